"""What a client remembers between logins, by ARN. Pure but for its lock: time comes in."""

from __future__ import annotations

import threading
from datetime import datetime

from smclient.forking import survive_fork
from smclient.secret import ARN_SUFFIX, AWSCURRENT, SecretValue

CACHED = "cached"
REMEMBERED = "remembered"

_RECENT = 60.0
_BREAKER_FAILURES = 5
_BREAKER_WINDOW = 60.0
_BREAKER_OPEN = 30.0


def _younger(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


class LoginMemory:
    """What a client remembers between logins, by ARN: winners, moved labels, exhausted ladders."""

    def __init__(self, max_stale: float) -> None:
        self._lock = threading.Lock()
        self._max_stale = max_stale
        self._winners: dict[str, tuple[SecretValue, float]] = {}
        self._moved_at: dict[str, float] = {}
        self._losses: dict[str, list[tuple[float, frozenset[bytes]]]] = {}
        self._good: dict[str, bytes] = {}
        self._youngest: dict[str, tuple[datetime, bool]] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """What was remembered is true for the child too."""
        self._lock = threading.Lock()

    def winner(self, secret: str, now: float) -> SecretValue | None:
        """The version that won last, if it was not AWSCURRENT; for ``max_stale`` seconds."""
        with self._lock:
            value, since = self._winners.get(secret, (None, now))
            if value is not None and now - since >= self._max_stale:
                del self._winners[secret]
                return None
            return value

    def won(self, secret: str, value: SecretValue, step: str, digest: bytes, now: float) -> None:
        """A login succeeded: remember a winner that is not AWSCURRENT, forget failures."""
        with self._lock:
            self._good[secret] = digest
            youngest, _ = self._youngest.get(secret, (None, False))
            if value.created_date and (youngest is None or youngest <= value.created_date):
                self._youngest[secret] = (value.created_date, False)
            self._losses.pop(secret, None)
            if step in (CACHED, AWSCURRENT):
                self._winners.pop(secret, None)
            elif step != REMEMBERED:
                self._winners[secret] = (value, now)

    def values(self) -> list[SecretValue]:
        """The versions that are remembered."""
        with self._lock:
            return [value for value, _ in self._winners.values()]

    def forget(self, secret_id: str | None = None) -> None:
        """Forget the winner of a secret, however it is named, or all winners. What a database
        refused stays: the account that it may lock is the same."""
        with self._lock:
            for arn, (value, _) in list(self._winners.items()):
                if secret_id in (None, arn, arn[:-ARN_SUFFIX], value.name):
                    del self._winners[arn]

    def is_old(self, value: SecretValue) -> bool:
        """Whether a version is older than the youngest that won a login, or is that one and was
        refused since."""
        with self._lock:
            won, refused = self._youngest.get(value.arn, (None, False))
        return _younger(won, value.created_date) or (refused and won == value.created_date)

    def refused(self, value: SecretValue) -> None:
        """A login with a version was refused."""
        with self._lock:
            won, _ = self._youngest.get(value.arn, (None, False))
            if won is not None and won == value.created_date:
                self._youngest[value.arn] = (won, True)

    def was_good(self, secret: str, digest: bytes) -> bool:
        """Whether the last login of a secret was won with these credentials: if they are refused
        now, somebody changed them."""
        with self._lock:
            return self._good.get(secret) == digest

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._good.clear()
            self._youngest.clear()
            self._winners.clear()
            self._moved_at.clear()
            self._losses.clear()

    def moved(self, secret: str, created: datetime | None, now: float) -> None:
        """AWSCURRENT moved to a version created then: winners of before are over. A younger one is
        not: it is pending, or the read that showed the move lags."""
        with self._lock:
            self._moved_at[secret] = now
            winner, _ = self._winners.get(secret, (None, 0.0))
            if winner is None or not _younger(winner.created_date, created):
                self._winners.pop(secret, None)
            self._losses.pop(secret, None)

    def moved_recently(self, secret: str, now: float) -> bool:
        """Whether AWSCURRENT was seen to move within a minute."""
        with self._lock:
            moved_at = self._moved_at.get(secret)
            return moved_at is not None and now - moved_at <= _RECENT

    def lost(self, secret: str, tried: dict[bytes, str], now: float) -> None:
        """A whole ladder failed: one step nearer to the breaker, unless all was held back. That
        these credentials were good once is no reason to wait again."""
        if not tried:
            return
        with self._lock:
            self._good.pop(secret, None)
            losses = self._losses.setdefault(secret, [])
            losses.append((now, frozenset(tried)))
            del losses[:-_BREAKER_FAILURES]

    def blocked(self, secret: str, digest: bytes, now: float) -> bool:
        """Whether these credentials failed so often that another try risks a lock-out: five whole
        ladders within a minute, then no more for 30 s, or until labels move."""
        with self._lock:
            losses = self._losses.get(secret, [])
            if len(losses) < _BREAKER_FAILURES:
                return False
            first, last = losses[0][0], losses[-1][0]
            in_burst = last - first <= _BREAKER_WINDOW and now - last < _BREAKER_OPEN
            return in_burst and any(digest in digests for _, digests in losses)
