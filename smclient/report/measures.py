"""The names under which usage is measured, for every system of metrics alike, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any, Literal

from smclient.errors import ConfigError
from smclient.usage import BASELINES, BUCKETS, FORMAT, Histogram, SecretUsage, Usage

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]

SCALARS: dict[str, tuple[str, Kind, str]] = {
    "hits": ("hits_total", "counter", "Reads served from memory within their time."),
    "stale_hits": ("stale_hits_total", "counter", "Reads served from memory past their time."),
    "misses": ("misses_total", "counter", "Reads that had to wait for a backend."),
    "coalesced": ("coalesced_total", "counter", "Reads that shared the call of another."),
    "negative": ("negative_total", "counter", "Reads answered by a remembered refusal."),
    "preloaded": ("preloaded_total", "counter", "Values fetched before anybody read them."),
    "refreshes": ("refreshes_total", "counter", "Looks at held values in the background."),
    "rotations": ("rotations_total", "counter", "Times that AWSCURRENT was seen to move."),
    "batched": ("batched_total", "counter", "Values that came by BatchGetSecretValue."),
    "bytes": ("received_bytes_total", "counter", "Size of the values received."),
    "evicted": ("evicted_total", "counter", "Secrets that had to make room for others."),
    "failed_logins": ("failed_logins_total", "counter", "Logins refused on the way."),
    "kms_calls": ("kms_calls_total", "counter", "KMS calls implied by values read or written."),
    "kms_billed": ("kms_billed_total", "counter", "KMS calls under known customer keys."),
    "kms_unknown": ("kms_unknown_total", "counter", "KMS calls under keys that are not known."),
    "seconds": ("lifetime_seconds_total", "counter", "How long the clients have lived."),
    "secrets": ("secrets", "gauge", "Secrets held in memory."),
    "processes": ("processes", "gauge", "Clients that were added up."),
}
MAPPINGS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "api_calls": ("api_calls_total", ("operation",), "Calls on the wire."),
    "errors": ("errors_total", ("code",), "Refusals by AWS's code."),
    "logins": ("logins_total", ("step",), "Logins won, by the step of the ladder."),
    "per_key": ("key_calls_total", ("key",), "KMS calls by customer key."),
    "baselines": (
        "baseline_calls_total",
        ("instead", "operation"),
        "Calls that another client would have made for the same reads.",
    ),
    "per_region": ("region_calls_total", ("region", "operation"), "Calls on the wire by region."),
}
PER: dict[str, tuple[str, str]] = {
    "per_secret": ("secret", "a secret"),
    "per_tag": ("tag", "a tag"),
}
HISTOGRAMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "latency": ("call_seconds", ("operation",), "How long a backend took to answer."),
    "refresh_latency": ("refresh_seconds", (), "How long a look in the background took."),
}
COUNTED = tuple(f.name for f in fields(SecretUsage))


@dataclass(frozen=True, slots=True)
class Sample:
    """One number; ``suffix`` is ``_bucket``, ``_sum`` or ``_count`` for a part of a histogram."""

    labels: Labels
    value: int | float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """The numbers of one name."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


def families(usage: Usage) -> Iterator[Family]:
    """Everything a usage says. Counters of nothing are there too, so that they can be seen to
    begin."""
    for field, (name, kind, told) in SCALARS.items():
        yield Family(name, kind, told, (Sample((), getattr(usage, field)),))
    for field, (name, labels, told) in MAPPINGS.items():
        samples = tuple(_flat(getattr(usage, field), labels))
        yield Family(name, "counter", told, samples)
    for field, (label, what) in PER.items():
        per: Mapping[str, SecretUsage] = getattr(usage, field)
        for counted in COUNTED:
            samples = tuple(Sample(((label, k),), getattr(u, counted)) for k, u in per.items())
            told = f"{counted.replace('_', ' ').capitalize()} of {what}."
            yield Family(_per_name(label, counted), "counter", told, samples)
    for field, (name, labels, told) in HISTOGRAMS.items():
        found = getattr(usage, field)
        each = {(): found} if isinstance(found, Histogram) else {(k,): h for k, h in found.items()}
        samples = tuple(
            sample
            for key, histogram in each.items()
            for sample in _parts(tuple(zip(labels, key, strict=True)), histogram)
        )
        yield Family(name, "histogram", told, samples)


def usage_of(samples: Iterable[tuple[str, Mapping[str, str], int | float]]) -> Usage:
    """The usage that such samples (name, labels, value) came from. Names it does not know are left
    out.

    Raises:
        ConfigError: nothing of a usage is among them, or what is there does not fit.
    """
    plain: dict[str, Any] = {
        **Usage.none().to_dict(),
        "baselines": {name: {} for name in BASELINES},
    }
    parts: dict[str, dict[str, dict[str, int | float]]] = {}
    seen = False
    for name, labels, value in samples:
        seen |= _place(plain, parts, name, labels, value)
    if not seen:
        raise ConfigError("there are no metrics of smclient in that text")
    for field, found in parts.items():
        histograms = {key: _whole(part) for key, part in found.items()}
        plain[field] = histograms[""] if field == "refresh_latency" else histograms
    return Usage.from_dict({**plain, "format": FORMAT})


def _flat(mapping: Mapping[str, Any], labels: tuple[str, ...]) -> Iterator[Sample]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            for sample in _flat(value, labels[1:]):
                yield Sample(((labels[0], key), *sample.labels), sample.value)
        else:
            yield Sample(((labels[0], key),), value)


def _parts(labels: Labels, histogram: Histogram) -> Iterator[Sample]:
    """As Prometheus has them: each bucket holds those before it too."""
    for bound, n in zip(BUCKETS, accumulate(histogram.counts), strict=True):
        yield Sample((*labels, ("le", bound)), n, "_bucket")
    yield Sample(labels, histogram.microseconds / 1e6, "_sum")
    yield Sample(labels, histogram.count, "_count")


def _whole(parts: Mapping[str, int | float]) -> dict[str, Any]:
    grown = [int(parts.get(bound, 0)) for bound in BUCKETS]
    counts = [after - before for before, after in zip([0, *grown], grown, strict=False)]
    buckets = dict(zip(BUCKETS, counts, strict=True))
    return {"buckets": buckets, "microseconds": round(parts.get("sum", 0.0) * 1e6)}


def _per_name(label: str, counted: str) -> str:
    return f"{label}_{'received_bytes' if counted == 'bytes' else counted}_total"


_SCALAR = {name: field for field, (name, _, _) in SCALARS.items()}
_MAPPING = {name: (field, labels) for field, (name, labels, _) in MAPPINGS.items()}
_PER = {_per_name(label, c): (f, label, c) for f, (label, _) in PER.items() for c in COUNTED}
_HISTOGRAM = {
    name + suffix: (field, labels, suffix)
    for field, (name, labels, _) in HISTOGRAMS.items()
    for suffix in ("_bucket", "_sum", "_count")
}


def _place(
    plain: dict[str, Any],
    parts: dict[str, dict[str, dict[str, int | float]]],
    name: str,
    labels: Mapping[str, str],
    value: int | float,
) -> bool:
    """Put one sample where it belongs; tells whether it belongs anywhere."""
    try:
        if name in _SCALAR:
            plain[_SCALAR[name]] = value
        elif name in _MAPPING:
            field, (*outer, last) = _MAPPING[name]
            into = plain[field]
            for label in outer:
                into = into.setdefault(labels[label], {})
            into[labels[last]] = value
        elif name in _PER:
            field, label, counted = _PER[name]
            plain[field].setdefault(labels[label], {})[counted] = value
        elif name in _HISTOGRAM:
            field, own, suffix = _HISTOGRAM[name]
            part = parts.setdefault(field, {}).setdefault("".join(labels[n] for n in own), {})
            part[labels["le"] if suffix == "_bucket" else suffix[1:]] = value
        else:
            return False
    except KeyError as missing:
        raise ConfigError(f"metric {name} lacks its label {missing}") from None
    return True
