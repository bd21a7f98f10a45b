"""When a held value is fresh, stale or expired, and what an error means for it. Pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from enum import Enum

from smclient.errors import SmclientError, TransientError
from smclient.secret import ARN_SUFFIX, SecretValue

FIRST_RETRY = 1.0
LAST_RETRY = 30.0
BATCH_FROM = 10


class Freshness(Enum):
    """What may be done with a held value at one moment."""

    FRESH = "serve it"
    STALE = "serve it, and look for a newer one behind the reader's back"
    EXPIRED = "fetch first"


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How long values are good for. Seconds; ``spread`` arguments are random numbers in [0, 1)."""

    ttl: float
    max_stale: float
    jitter: float

    def due_at(self, fetched_at: float, spread: float) -> float:
        """When to look for a newer value. Jitter only shortens; never later than ``max_stale``."""
        return fetched_at + min(self.ttl * (1.0 - self.jitter * spread), self.max_stale)

    def expires_at(self, fetched_at: float) -> float:
        """From when on the value is served no more, whatever happens."""
        return fetched_at + self.max_stale

    def past(self, rotation: float, spread: float) -> float:
        """When to look after a rotation that is announced to all at once: jitter spreads them."""
        return rotation + self.ttl * self.jitter * spread

    def retry_at(self, now: float, failures: int, spread: float) -> float:
        """When to try again after ``failures`` transient failures in a row: 1 s doubling to 30 s,
        the later half of each step at random."""
        step = min(FIRST_RETRY * 2.0 ** min(failures - 1, 16), LAST_RETRY)
        return now + step * (0.5 + 0.5 * spread)


@dataclass(frozen=True, slots=True)
class RefreshPolicies:
    """The policy of each secret: its own, by name or ARN, or the general one."""

    general: RefreshPolicy
    own: Mapping[str, RefreshPolicy] = field(default_factory=dict)

    @classmethod
    def of_settings(
        cls, general: RefreshPolicy, per_secret: Mapping[str, Mapping[str, float]]
    ) -> RefreshPolicies:
        """``per_secret`` as ``ClientConfig`` has it: what a secret does not set is general."""
        return cls(general, {name: replace(general, **own) for name, own in per_secret.items()})

    def of(self, value: SecretValue) -> RefreshPolicy:
        """The policy for a value."""
        if not self.own:
            return self.general
        names = (value.arn, value.name, value.arn[:-ARN_SUFFIX])
        return next((self.own[name] for name in names if name in self.own), self.general)

    def of_name(self, secret_id: str) -> RefreshPolicy:
        """The policy for a secret that is not held, by what somebody calls it."""
        return self.own.get(secret_id, self.general)


def freshness(
    now: float, *, fetched_at: float, due_at: float, expires_at: float, max_age: float | None
) -> Freshness:
    """The state of a value at ``now``. ``max_age`` is the reader's own, stricter, bound."""
    if now >= expires_at or (max_age is not None and now - fetched_at >= max_age):
        return Freshness.EXPIRED
    return Freshness.STALE if now >= due_at else Freshness.FRESH


def choose_mode(wanted: str, due: int, denied: Set[str]) -> str:
    """How to look at ``due`` values that are due together: ``batch``, ``describe`` or ``get``.

    ``auto`` batches from ten on: fewer are cheaper to ask one by one, and batches have a quota of
    100 calls a second. What is denied gives way to the next in that order.
    """
    mode = wanted
    if wanted == "auto":
        mode = "batch" if due >= BATCH_FROM else "describe"
    if mode == "batch" and "batch" in denied:
        mode = "describe"
    return "get" if mode == "describe" and "describe" in denied else mode


def may_serve_stale(error: SmclientError) -> bool:
    """Whether a value may outlive this error. Denials and absences may not be outlived: a
    revocation has to take effect."""
    return isinstance(error, TransientError)
