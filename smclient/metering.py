"""Exact counters of what was called and what caching saved.

Hits are counted without a lock, by a counter whose increment is one C call. Everything else happens
at the edge to a backend, where a lock costs nothing beside the network. What other clients would
have called is not guessed from a log: each secret has a ``Baseline`` with the moment at which
the next of them would ask, and the reader who crosses it enters it in the books.

Memory is bounded: ``MOST_SECRETS`` secrets (or ``max_secrets``, if that is more) have an account of
their own; whatever comes after them shares one, ``(others)``. No count is lost by that.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from smclient.forking import survive_fork
from smclient.ledger import (
    AWS_CACHING_REFRESH,
    MOST_SECRETS,
    MOST_TAGS,
    POWERTOOLS_REFRESH,
    Baseline,
    Ledger,
    Selector,
    Tally,
)
from smclient.usage import (
    AWS_CACHING,
    BASELINES,
    BUCKETS,
    NO_CACHE,
    OTHERS,
    POWERTOOLS,
    UNKNOWN,
    Histogram,
    SecretUsage,
    Usage,
    bucket,
    micro,
)

__all__ = [
    "AWS_CACHING",
    "AWS_CACHING_REFRESH",
    "BASELINES",
    "MOST_SECRETS",
    "NO_CACHE",
    "POWERTOOLS",
    "POWERTOOLS_REFRESH",
    "VALUE_OPERATIONS",
    "Baseline",
    "Meter",
    "SecretUsage",
    "Tally",
    "Usage",
]

VALUE_OPERATIONS = frozenset({"GetSecretValue", "PutSecretValue", "CreateSecret", "UpdateSecret"})
"""Operations that imply one KMS call when a value is part of them: Decrypt or GenerateDataKey."""


class _Timing:
    """A histogram that grows."""

    __slots__ = ("counts", "microseconds")

    def __init__(self) -> None:
        self.counts = [0] * len(BUCKETS)
        self.microseconds = 0

    def observe(self, seconds: float) -> None:
        self.counts[bucket(seconds)] += 1
        self.microseconds += micro(seconds)

    def frozen(self) -> Histogram:
        return Histogram(tuple(self.counts), self.microseconds)


@dataclass(eq=False)
class Meter:
    """The counters behind ``Usage``. Thread-safe."""

    started: float = 0.0
    most_secrets: int = MOST_SECRETS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _calls: Counter[str] = field(default_factory=Counter)
    _regions: dict[str, Counter[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _errors: Counter[str] = field(default_factory=Counter)
    _logins: Counter[str] = field(default_factory=Counter)
    _kms: Counter[str | None] = field(default_factory=Counter)
    _baselines: dict[str, Counter[str]] = field(
        default_factory=lambda: {AWS_CACHING: Counter(), POWERTOOLS: Counter()}
    )
    _latency: dict[str, _Timing] = field(default_factory=dict)
    _refresh_latency: _Timing = field(default_factory=_Timing)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.most_secrets)
        survive_fork(self)

    def after_fork(self) -> None:
        """The child counts for itself, so that both can be added up."""
        self._lock = threading.Lock()
        for counter in (self._calls, self._counts, self._errors, self._logins, self._kms):
            counter.clear()
        for calls in self._baselines.values():
            calls.clear()
        self._regions.clear()
        self._latency.clear()
        self._refresh_latency = _Timing()
        self._ledger.reset()

    # --- for what is held -----------------------------------------------------------------------

    def tally(self, arn: str) -> Tally:
        """What to count the hits of a secret with."""
        with self._lock:
            return self._ledger.tally(arn)

    def baseline(self, arn: str) -> Baseline:
        """What others would have called for a secret."""
        with self._lock:
            return self._ledger.baseline(arn)

    # --- at the edge to a backend ---------------------------------------------------------------

    def called(
        self,
        operation: str,
        attempts: int,
        *,
        values_of: Iterable[str] = (),
        received: Iterable[tuple[str, int]] = (),
        region: str = UNKNOWN,
        seconds: float | None = None,
    ) -> None:
        """A backend was asked and answered.

        Args:
            values_of: the secrets (ARNs) of which a value was opened or sealed.
            received: ARN and size of each value that came.
            region: where it was asked.
            seconds: how long it took.
        """
        with self._lock:
            self._asked(operation, attempts, region, seconds)
            if attempts:
                arns = list(values_of)
                self._kms.update(self._key(arn) for arn in arns)
                if operation == "BatchGetSecretValue":
                    self._counts["batched"] += len(arns)
            for arn, size in received:
                self._counts["bytes"] += size
                self._ledger.account(arn).counts.update(fetched=1, bytes=size)

    def failed(
        self,
        operation: str,
        attempts: int,
        code: str,
        *,
        region: str = UNKNOWN,
        seconds: float | None = None,
    ) -> None:
        """A backend was asked and refused."""
        with self._lock:
            self._asked(operation, attempts, region, seconds)
            self._errors[code] += 1

    def refused(self, codes: Iterable[str]) -> None:
        """Refusals inside an answer, as a batch has them."""
        with self._lock:
            self._errors.update(codes)

    def described(
        self, arn: str, kms_key_id: str | None, tags: Iterable[tuple[str, str]] = ()
    ) -> None:
        """A description told which key a secret is under; ``None`` is AWS's own, which is free."""
        with self._lock:
            self._ledger.account(arn)
            known = self._ledger.known(arn)
            if known is not None:
                known.describe(kms_key_id, tags)

    # --- reads ----------------------------------------------------------------------------------

    def count(self, what: str, by: int = 1, *, arn: str | None = None) -> None:
        """One more ``stale_hits``, ``coalesced``, ``negative`` and so on; of a secret, if named."""
        with self._lock:
            self._counts[what] += by
            if arn is not None:
                self._ledger.account(arn).counts[what] += by

    def missed(self, asked: str, arn: str | None, *, coalesced: bool = False) -> None:
        """A read that had to wait, by the name it asked for, and the secret it got, if it got one;
        whether it shared the call of another."""
        with self._lock:
            if arn is None:
                account = self._ledger.asked(asked)
            else:
                account = self._ledger.learn(asked, arn)
            for what in ("misses", "coalesced") if coalesced else ("misses",):
                self._counts[what] += 1
                account.counts[what] += 1

    def read(self, arn: str, selector: Selector, now: float, version_id: str) -> None:
        """A read that looked closer: enter what others would have called."""
        with self._lock:
            calls = self._ledger.baseline(arn).read(now, version_id, selector)
            for name, made in calls.items():
                self._baselines[name].update(made)

    def refreshed(self, arn: str, seconds: float) -> None:
        """A held value was looked at behind the readers' backs, for better or worse."""
        with self._lock:
            self._counts["refreshes"] += 1
            self._ledger.account(arn).counts["refreshes"] += 1
            self._refresh_latency.observe(seconds)

    def login(self, step: str) -> None:
        """A login was won at a step of the ladder."""
        with self._lock:
            self._logins[step] += 1

    # --- looking --------------------------------------------------------------------------------

    def usage(self, *, evicted: int, secrets: int, now: float, hits: int | None = None) -> Usage:
        """Everything counted so far; ``hits`` only if they were counted elsewhere."""
        with self._lock:
            per_secret = self._ledger.per_secret()
            if hits is None:
                hits = sum(secret.hits for secret in per_secret.values())
            counts = self._counts
            reads = hits + counts["stale_hits"] + counts["misses"]
            return Usage(
                api_calls=_some(self._calls),
                kms_calls=self._kms.total(),
                kms_unknown=self._kms[None],
                kms_billed=sum(n for key, n in self._kms.items() if key),
                hits=hits,
                stale_hits=counts["stale_hits"],
                misses=counts["misses"],
                coalesced=counts["coalesced"],
                evicted=evicted,
                errors=dict(sorted(self._errors.items())),
                logins=dict(self._logins),
                failed_logins=counts["failed_logins"],
                baselines={
                    NO_CACHE: {"GetSecretValue": reads},
                    **{name: dict(calls) for name, calls in self._baselines.items()},
                },
                seconds=now - self.started,
                secrets=secrets,
                batched=counts["batched"],
                negative=counts["negative"],
                preloaded=counts["preloaded"],
                refreshes=counts["refreshes"],
                rotations=counts["rotations"],
                bytes=counts["bytes"],
                per_secret=per_secret,
                per_region={name: _some(self._regions[name]) for name in sorted(self._regions)},
                per_tag=self._ledger.per_tag(per_secret),
                per_key={key: n for key, n in self._kms.items() if key},
                latency={name: timing.frozen() for name, timing in sorted(self._latency.items())},
                refresh_latency=self._refresh_latency.frozen(),
            )

    # --- inside ---------------------------------------------------------------------------------

    def _asked(self, operation: str, attempts: int, region: str, seconds: float | None) -> None:
        self._calls[operation] += attempts
        if attempts:
            self._regions.setdefault(region, Counter())[operation] += attempts
            if seconds is not None:
                self._latency.setdefault(operation, _Timing()).observe(seconds)

    def _key(self, arn: str) -> str | None:
        known = self._ledger.known(arn)
        key = None if known is None else known.key
        room = not key or key in self._kms or len(self._kms) < MOST_TAGS
        return key if room else OTHERS


def _some(calls: Counter[str]) -> dict[str, int]:
    return {name: n for name, n in sorted(calls.items()) if n}
