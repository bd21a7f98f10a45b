"""How often a forced refresh may ask: a few at once, then one a second for each secret.

A loop that forces a refresh at each error would else use up the account's quota. Whoever has no
allowance left gets what the last call brought, which is a second old at most. Pure but for its
lock: time comes in.
"""

from __future__ import annotations

import threading

from smclient.forking import survive_fork

AT_ONCE = 5
PER_SECOND = 1.0
MOST = 4096


class Allowance:
    """A bucket for each secret that was forced lately."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """Begin anew."""
        self._lock = threading.Lock()
        self._left = {}

    def take(self, arn: str, now: float) -> bool:
        """Whether a call may be made for a secret at ``now`` (monotonic seconds); takes it."""
        with self._lock:
            left, since = self._left.pop(arn, (float(AT_ONCE), now))
            left = min(float(AT_ONCE), left + (now - since) * PER_SECOND)
            allowed = left >= 1.0
            self._left[arn] = (left - 1.0 if allowed else left, now)
            if len(self._left) > MOST:  # the one that was forced the longest time ago
                del self._left[next(iter(self._left))]
            return allowed
