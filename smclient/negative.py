"""Refusals that are remembered for a moment, so that a hundred readers of an absent secret make one
call. Pure but for its lock: time and randomness come in."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from smclient.errors import (
    AccessDeniedError,
    CredentialsError,
    ResourceNotFoundError,
    SmclientError,
    ThrottlingError,
)
from smclient.forking import survive_fork
from smclient.secret import SecretRef
from smclient.singleflight import fresh_copy

FIRST = 1.0
LONGEST: dict[type[SmclientError], float] = {
    ResourceNotFoundError: 10.0,
    AccessDeniedError: 60.0,
    CredentialsError: 60.0,
    ThrottlingError: 30.0,
}
"""Errors that are remembered, and for how long at most: 1 s first, doubled at each repetition."""
MOST = 1024


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: SmclientError
    until: float
    times: int


class Negatives:
    """What was refused lately, by what was asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusals: dict[SecretRef, _Refusal] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """Start with nothing."""
        self._lock = threading.Lock()
        self._refusals = {}

    def recall(self, ref: SecretRef, now: float) -> SmclientError | None:
        """The refusal that still holds, if one does."""
        if not self._refusals:
            return None
        with self._lock:
            refusal = self._refusals.get(ref)
            return refusal.error if refusal is not None and now < refusal.until else None

    def note(self, ref: SecretRef, error: SmclientError, now: float, spread: float) -> None:
        """Remember a refusal, longer each time in a row, the later half of it at random."""
        longest = LONGEST.get(type(error))
        if longest is None:
            return
        with self._lock:
            before = self._refusals.get(ref)
            again = before is not None and type(before.error) is type(error)
            times = before.times + 1 if again and before is not None else 1
            hold = min(FIRST * 2.0 ** min(times - 1, 16), longest) * (1.0 - 0.5 * spread)
            if len(self._refusals) >= MOST and ref not in self._refusals:
                self._refusals.clear()
            self._refusals[ref] = _Refusal(fresh_copy(error), now + hold, times)

    def forget(self, secret_id: str | None = None) -> None:
        """Forget the refusals of a secret as it was named, or all."""
        with self._lock:
            if secret_id is None:
                self._refusals.clear()
            else:
                for ref in [ref for ref in self._refusals if ref.secret_id == secret_id]:
                    del self._refusals[ref]
