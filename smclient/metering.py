"""Exact counters of what was called and what caching saved.

Hits are counted without a lock, by a counter whose increment is one C call. Everything else happens
at the edge to a backend, where a lock costs nothing beside the network. What other clients would
have called is not guessed from a log: each value carries a ``Baseline`` with the moment at which
the next of them would ask, and the reader who crosses it enters it in the books.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smclient.forking import survive_fork

if TYPE_CHECKING:
    from smclient.pricing import Cost, PriceBook

NO_CACHE = "no cache"
AWS_CACHING = "aws-secretsmanager-caching"
POWERTOOLS = "aws-lambda-powertools"
BASELINES = (NO_CACHE, AWS_CACHING, POWERTOOLS)

AWS_CACHING_REFRESH = 2700.0
"""AWS's client draws each refresh from [1800, 3600] s; its mean stands for it."""
POWERTOOLS_REFRESH = 300.0

VALUE_OPERATIONS = frozenset({"GetSecretValue", "PutSecretValue", "CreateSecret", "UpdateSecret"})
"""Operations that imply one KMS call when a value is part of them: Decrypt or GenerateDataKey."""


class Tally:
    """A counter that many threads increase without a lock; ``tick`` is the increment."""

    __slots__ = ("_peeks", "tick")

    def __init__(self) -> None:
        self.tick = itertools.count().__next__
        self._peeks = 0

    def value(self) -> int:
        """How often ``tick`` was called. Looking uses up one number, so that is taken off; the
        caller holds a lock."""
        seen = self.tick() - self._peeks
        self._peeks += 1
        return seen

    def reset(self) -> None:
        """Count from nought again."""
        self._peeks = self.tick() + 1


class Baseline:
    """What other clients would have called for one value, given when it was really read."""

    __slots__ = ("aws_due", "aws_version", "next_due", "powertools_due")

    def __init__(self) -> None:
        self.aws_due = self.powertools_due = self.next_due = float("-inf")
        self.aws_version: str | None = None

    def read(self, now: float, version_id: str) -> dict[str, Counter[str]]:
        """A read at ``now``: the calls that each of the others would have made for it."""
        calls = {AWS_CACHING: Counter[str](), POWERTOOLS: Counter[str]()}
        if now >= self.aws_due:
            calls[AWS_CACHING]["DescribeSecret"] += 1
            if version_id != self.aws_version:
                calls[AWS_CACHING]["GetSecretValue"] += 1
                self.aws_version = version_id
            self.aws_due = now + AWS_CACHING_REFRESH
        if now >= self.powertools_due:
            calls[POWERTOOLS]["GetSecretValue"] += 1
            self.powertools_due = now + POWERTOOLS_REFRESH
        self.next_due = min(self.aws_due, self.powertools_due)
        return calls


@dataclass(frozen=True, slots=True)
class Usage:
    """What a client did since it was made. Counts are exact.

    Attributes:
        api_calls: calls on the wire by operation, repeats and failures included.
        kms_calls: KMS calls that these imply (facts: one Decrypt a value read, one GenerateDataKey
            a value written). Which of them cost money depends on the key.
        kms_unknown: how many of ``kms_calls`` were for secrets whose key is not known.
        kms_billed: how many were for secrets known to be under a customer key.
        hits: reads served from memory within their time.
        stale_hits: reads served from memory past ``ttl``, within ``max_stale``.
        misses: reads that had to wait for a backend.
        coalesced: misses that shared the call of another reader.
        logins: logins won, by the step of the ladder that won them.
        failed_logins: logins that a database refused on the way.
        batched: values that came by BatchGetSecretValue, which AWS may bill by secret.
        baselines: for each other client, the calls it would have made for the same reads.
        seconds: how long the client has lived.
    """

    api_calls: Mapping[str, int]
    kms_calls: int
    kms_unknown: int
    kms_billed: int
    hits: int
    stale_hits: int
    misses: int
    coalesced: int
    evicted: int
    errors: Mapping[str, int]
    logins: Mapping[str, int]
    failed_logins: int
    baselines: Mapping[str, Mapping[str, int]]
    seconds: float
    secrets: int = 0
    batched: int = 0

    @property
    def reads(self) -> int:
        """How often a value was asked for."""
        return self.hits + self.stale_hits + self.misses

    def cost(self, price_book: PriceBook | None = None) -> Cost:
        """Dollars for the calls of this usage; see ``smclient.pricing``."""
        from smclient.pricing import PRICE_BOOK, usage_cost

        return usage_cost(self, price_book or PRICE_BOOK)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            plain[name] = _plain(value) if isinstance(value, Mapping) else value
        return plain


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


@dataclass(eq=False)
class Meter:
    """The counters behind ``Usage``, except hits, which live with what is held."""

    started: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _calls: Counter[str] = field(default_factory=Counter)
    _counts: Counter[str] = field(default_factory=Counter)
    _errors: Counter[str] = field(default_factory=Counter)
    _logins: Counter[str] = field(default_factory=Counter)
    _kms: Counter[bool | None] = field(default_factory=Counter)
    _customer_key: dict[str, bool] = field(default_factory=dict)
    _baselines: dict[str, Counter[str]] = field(
        default_factory=lambda: {AWS_CACHING: Counter(), POWERTOOLS: Counter()}
    )

    def __post_init__(self) -> None:
        survive_fork(self)

    def after_fork(self) -> None:
        """The child counts for itself, so that both can be added up."""
        self._lock = threading.Lock()
        for counter in (self._calls, self._counts, self._errors, self._logins, self._kms):
            counter.clear()
        for calls in self._baselines.values():
            calls.clear()

    def called(self, operation: str, attempts: int, *, values_of: Iterable[str] = ()) -> None:
        """A backend was asked; a value of each of these secrets (ARNs) was opened or sealed."""
        with self._lock:
            self._calls[operation] += attempts
            if attempts:
                values = [self._customer_key.get(arn) for arn in values_of]
                self._kms.update(values)
                if operation == "BatchGetSecretValue":
                    self._counts["batched"] += len(values)

    def failed(self, operation: str, attempts: int, code: str) -> None:
        """A backend was asked and refused."""
        with self._lock:
            self._calls[operation] += attempts
            self._errors[code] += 1

    def learned_key(self, arn: str, kms_key_id: str | None) -> None:
        """A description told which key a secret is under; ``None`` is AWS's own, which is free."""
        managed = kms_key_id is None or kms_key_id.endswith("alias/aws/secretsmanager")
        with self._lock:
            self._customer_key[arn] = not managed

    def count(self, what: str, by: int = 1) -> None:
        """One more ``stale_hits``, ``misses``, ``coalesced`` or ``failed_logins``."""
        with self._lock:
            self._counts[what] += by

    def login(self, step: str) -> None:
        """A login was won at a step of the ladder."""
        with self._lock:
            self._logins[step] += 1

    def read(self, baseline: Baseline, now: float, version_id: str) -> None:
        """A read that looked closer: enter what others would have called."""
        with self._lock:
            for name, calls in baseline.read(now, version_id).items():
                self._baselines[name].update(calls)

    def usage(self, *, hits: int, evicted: int, secrets: int, now: float) -> Usage:
        """Everything counted so far."""
        with self._lock:
            reads = hits + self._counts["stale_hits"] + self._counts["misses"]
            return Usage(
                api_calls={name: n for name, n in sorted(self._calls.items()) if n},
                kms_calls=self._kms.total(),
                kms_unknown=self._kms[None],
                kms_billed=self._kms[True],
                hits=hits,
                stale_hits=self._counts["stale_hits"],
                misses=self._counts["misses"],
                coalesced=self._counts["coalesced"],
                evicted=evicted,
                errors=dict(sorted(self._errors.items())),
                logins=dict(self._logins),
                failed_logins=self._counts["failed_logins"],
                baselines={
                    NO_CACHE: {"GetSecretValue": reads},
                    **{name: dict(calls) for name, calls in self._baselines.items()},
                },
                seconds=now - self.started,
                secrets=secrets,
                batched=self._counts["batched"],
            )
