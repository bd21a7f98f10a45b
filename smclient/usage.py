"""What a client did, as plain numbers: frozen, fit for JSON, and added up over processes.

Everything here is a sum, so ``merge`` is associative and commutative, and a report of a fleet is
the report of one process with bigger numbers. Only ``seconds`` is not a whole number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from smclient.errors import ConfigError

if TYPE_CHECKING:
    from smclient.pricing import Cost, PriceBook

FORMAT = 2
"""Version of the shape of ``Usage.to_dict``. Format 1 had no ``format`` and only totals."""

NO_CACHE = "no cache"
AWS_CACHING = "aws-secretsmanager-caching"
POWERTOOLS = "aws-lambda-powertools"
BASELINES = (NO_CACHE, AWS_CACHING, POWERTOOLS)
READ_OPERATIONS = frozenset({"BatchGetSecretValue", "DescribeSecret", "GetSecretValue"})

OTHERS = "(others)"
"""Where secrets, keys and tags past the bound on distinct ones are counted together."""
UNKNOWN = "(unknown)"
"""What no answer told: the secret of a refused read, the region of a call, the tags of a secret."""
UNTAGGED = "(untagged)"

LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in seconds, inclusive; one more bucket takes what is longer."""
BUCKETS = (*map(str, LATENCY_BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class SecretUsage:
    """What was done with one secret, or with all secrets that carry a tag.

    Attributes:
        hits, stale_hits, misses, coalesced: as in ``Usage``.
        refreshes: how often it was looked at behind the readers' backs.
        fetched: values received, alone or in a batch.
        bytes: their size.
    """

    hits: int = 0
    stale_hits: int = 0
    misses: int = 0
    coalesced: int = 0
    refreshes: int = 0
    fetched: int = 0
    bytes: int = 0

    @property
    def reads(self) -> int:
        """How often a value was asked for."""
        return self.hits + self.stale_hits + self.misses


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long things took: how many fell in each bucket of ``LATENCY_BOUNDS``, and the sum in
    whole microseconds, so that histograms add up exactly."""

    counts: tuple[int, ...] = (0,) * len(BUCKETS)
    microseconds: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean in seconds, 0 of none."""
        return self.microseconds / self.count / 1e6 if self.count else 0.0

    def observe(self, seconds: float) -> Histogram:
        """This histogram and one more."""
        counts = list(self.counts)
        counts[bucket(seconds)] += 1
        return Histogram(tuple(counts), self.microseconds + micro(seconds))

    def quantile(self, share: float) -> float:
        """A bound that this share of them stays under: the upper end of its bucket, infinite for
        the last one, 0 of none."""
        seen, wanted = 0, share * self.count
        for bound, n in zip((*LATENCY_BOUNDS, float("inf")), self.counts, strict=True):
            seen += n
            if seen >= wanted and seen:
                return bound
        return 0.0


def bucket(seconds: float) -> int:
    """Which bucket a duration falls in."""
    return sum(seconds > bound for bound in LATENCY_BOUNDS)


def micro(seconds: float) -> int:
    """Whole microseconds, never fewer than none."""
    return max(0, round(seconds * 1e6))


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
        misses: reads that had to wait for a backend, or were told what it said a moment ago.
        coalesced: misses that shared the call of another reader.
        negative: misses answered by a refusal that is remembered for a moment.
        preloaded: values that ``preload`` fetched. They are no reads: nobody asked yet.
        refreshes: how often a held value was looked at behind the readers' backs.
        rotations: how often AWSCURRENT was seen to move.
        bytes: size of the values received.
        evicted: secrets that had to make room for others.
        errors: refusals by AWS's code, those inside a batch included.
        logins: logins won, by the step of the ladder that won them.
        failed_logins: logins that a database refused on the way.
        batched: values that came by BatchGetSecretValue, which AWS may bill by secret.
        baselines: for each other client, the calls it would have made for the same reads. A read
            that was refused counts for ``no cache`` only: what the others do then is not modelled.
        per_secret: by ARN. At most as many as ``metering.MOST_SECRETS`` or ``max_secrets``, those
            that were seen first; the rest is in ``(others)``, and reads of what was never found
            in ``(unknown)``, so that the sum over all is the total.
        per_region: ``api_calls`` by the region of the ARNs asked for or answered.
        per_tag: by ``key=value``, as far as descriptions told: a secret counts in each of its tags,
            in ``(untagged)`` or in ``(unknown)``.
        per_key: KMS calls by customer key, as far as descriptions told.
        latency: how long a backend took to answer or refuse, by operation.
        refresh_latency: how long it took until a value was looked at behind the readers' backs.
        seconds: how long the client has lived; of a sum, the lifetimes together.
        secrets: how many are held now; of a sum, by all processes together.
        processes: of how many clients this is the sum.
        format: ``FORMAT``.
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
    negative: int = 0
    preloaded: int = 0
    refreshes: int = 0
    rotations: int = 0
    bytes: int = 0
    per_secret: Mapping[str, SecretUsage] = field(default_factory=dict)
    per_region: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    per_tag: Mapping[str, SecretUsage] = field(default_factory=dict)
    per_key: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[str, Histogram] = field(default_factory=dict)
    refresh_latency: Histogram = Histogram()
    processes: int = 1
    format: int = FORMAT

    @property
    def reads(self) -> int:
        """How often a value was asked for."""
        return self.hits + self.stale_hits + self.misses

    @property
    def calls(self) -> int:
        """All API calls."""
        return sum(self.api_calls.values())

    @property
    def read_calls(self) -> dict[str, int]:
        """Those of ``api_calls`` that other clients would make too, more or fewer: what the
        baselines compare with. Writing and listing costs everybody the same."""
        return {name: n for name, n in self.api_calls.items() if name in READ_OPERATIONS}

    def saved_calls(self, baseline: str) -> int:
        """How many calls a baseline would have made more for the same reads."""
        return sum(self.baselines.get(baseline, {}).values()) - sum(self.read_calls.values())

    def cost(self, price_book: PriceBook | None = None) -> Cost:
        """Dollars for the calls of this usage; see ``smclient.pricing``."""
        from smclient.pricing import PRICE_BOOK, usage_cost

        return usage_cost(self, price_book or PRICE_BOOK)

    @classmethod
    def none(cls) -> Usage:
        """The usage of no process: what ``merge`` adds nothing with."""
        return cls({}, 0, 0, 0, 0, 0, 0, 0, 0, {}, {}, 0, {}, 0.0, processes=0)

    def merge(self, others: Iterable[Usage]) -> Usage:
        """This usage and others, added up. Keeps every secret that one of them knows."""
        all_of_them = [self, *others]
        return Usage(
            **{
                f.name: added([getattr(usage, f.name) for usage in all_of_them])
                for f in fields(Usage)
                if f.name != "format"
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, fit for JSON: numbers, and mappings of them."""
        return {**{f.name: _plain(getattr(self, f.name)) for f in fields(self)}, "format": FORMAT}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Usage:
        """The usage that ``to_dict`` gave, of this format or an older one.

        Raises:
            ConfigError: that is no such thing, or a newer smclient wrote it.
        """
        version = plain.get("format", 1)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ConfigError("that is no Usage.to_dict(): its format is no number")
        if version > FORMAT:
            raise ConfigError(
                f"that usage is of format {version}; this smclient reads up to {FORMAT}: upgrade it"
            )
        strange = plain.keys() - {f.name for f in fields(cls)}
        missing = cls.none().to_dict().keys() - _ADDED - plain.keys()
        if strange or missing:
            odd = ", ".join(sorted(map(str, strange | missing)))
            raise ConfigError(f"that is no Usage.to_dict(): strange or missing are {odd}")
        found = {
            f.name: _read(f.name, f.type, plain[f.name]) for f in fields(cls) if f.name in plain
        }
        return cls(**{**found, "format": FORMAT})


_ADDED = frozenset(
    f.name for f in fields(Usage) if f.default is not MISSING or f.default_factory is not MISSING
)
"""Fields that a snapshot of an older format may lack."""


def added(values: Sequence[Any]) -> Any:
    """The sum of one or more: numbers, or mappings, histograms and the like part by part."""
    first = values[0]
    if isinstance(first, Mapping):
        gathered: dict[str, list[Any]] = {}
        for mapping in values:
            for name, value in mapping.items():
                gathered.setdefault(name, []).append(value)
        return {name: added(found) for name, found in sorted(gathered.items())}
    if isinstance(first, tuple):
        return tuple(map(sum, zip(*values, strict=True)))
    if isinstance(first, SecretUsage | Histogram):
        names = [f.name for f in fields(first)]
        return type(first)(*(added([getattr(v, name) for v in values]) for name in names))
    return sum(values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Histogram):
        buckets = dict(zip(BUCKETS, value.counts, strict=True))
        return {"buckets": buckets, "microseconds": value.microseconds}
    if isinstance(value, SecretUsage):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return value


def _read(name: str, kind: Any, value: Any) -> Any:
    """Plain data as the kind that a field's annotation names; refuses what does not fit."""
    if kind == "float":
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return float(value)
    elif kind == "int":
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    elif isinstance(value, Mapping):
        if kind.startswith("Mapping[str, "):
            inner = kind.removeprefix("Mapping[str, ")[:-1]
            return {str(key): _read(f"{name} of {key}", inner, v) for key, v in value.items()}
        if kind == "SecretUsage" and value.keys() <= {f.name for f in fields(SecretUsage)}:
            return SecretUsage(**{key: _read(name, "int", v) for key, v in value.items()})
        if kind == "Histogram" and set(value) == {"buckets", "microseconds"}:
            counts = _read(name, "Mapping[str, int]", value["buckets"])
            if counts.keys() == set(BUCKETS):
                counted = tuple(counts[b] for b in BUCKETS)
                return Histogram(counted, _read(name, "int", value["microseconds"]))
    raise ConfigError(f"that is no Usage.to_dict(): {name} is not as it should be")
