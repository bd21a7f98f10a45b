"""How often somebody else may cause a call: a few at once, then one each so many seconds.

A loop that forces a refresh at each error would else use up the account's quota, and so would
strangers with forged signatures. Whoever has no allowance left gets what the last call brought.
Time comes in.
"""

from __future__ import annotations

import threading

from smclient.forking import survive_fork

AT_ONCE = 5
PER_SECOND = 1.0
MOST = 4096


class Allowance:
    """``burst`` at once, then one each ``every`` seconds. Not for two threads at once."""

    __slots__ = ("_at", "_burst", "_every", "_left")

    def __init__(self, burst: int, every: float) -> None:
        self._burst = burst
        self._every = every
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is allowed at ``now`` (monotonic seconds); takes it."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) / self._every)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Allowances:
    """One for each secret that was forced lately: five refreshes at once, then one a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, Allowance] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """Begin anew."""
        self._lock = threading.Lock()
        self._of = {}

    def take(self, arn: str, now: float) -> bool:
        """Whether a call may be made for a secret at ``now`` (monotonic seconds); takes it."""
        with self._lock:
            found = self._of.pop(arn, None) or Allowance(AT_ONCE, 1 / PER_SECOND)
            self._of[arn] = found
            if len(self._of) > MOST:  # the one that was forced the longest time ago
                del self._of[next(iter(self._of))]
            return found.take(now)
