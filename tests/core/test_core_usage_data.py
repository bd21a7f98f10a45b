"""``Usage`` as data: there and back, added up in any order, refused where it is none."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import ConfigError, SecretsClient, Usage
from smclient.usage import (
    BASELINES,
    BUCKETS,
    FORMAT,
    LATENCY_BOUNDS,
    Histogram,
    SecretUsage,
    added,
    bucket,
    micro,
)

counts = st.integers(0, 10**12)
names = st.text(max_size=8)
by_name = st.dictionaries(names, counts, max_size=4)
by_two = st.dictionaries(names, by_name, max_size=3)
histograms = st.builds(
    Histogram, st.lists(counts, min_size=len(BUCKETS), max_size=len(BUCKETS)).map(tuple), counts
)
secrets = st.dictionaries(names, st.builds(SecretUsage, *[counts] * 7), max_size=4)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "int": counts,
    # eighths of seconds: sums of floats are exact then, so that order cannot matter
    "float": st.integers(0, 10**9).map(lambda n: n / 8),
    "Mapping[str, int]": by_name,
    "Mapping[str, Mapping[str, int]]": by_two,
    "Mapping[str, SecretUsage]": secrets,
    "Mapping[str, Histogram]": st.dictionaries(names, histograms, max_size=2),
    "Histogram": histograms,
}
usages = st.builds(
    Usage, **{f.name: KINDS[str(f.type)] for f in fields(Usage) if f.name != "format"}
)


# --- there and back -------------------------------------------------------------------------------


@given(usages)
def test_to_dict_and_back_is_the_same(usage: Usage) -> None:
    """Through JSON too."""
    assert Usage.from_dict(usage.to_dict()) == usage
    assert Usage.from_dict(json.loads(json.dumps(usage.to_dict()))) == usage


def test_what_a_client_gives_survives_the_way(client: SecretsClient) -> None:
    """With its details."""
    client.get("db")
    client.get("db")
    usage = client.usage()
    assert usage.per_secret
    assert Usage.from_dict(json.loads(json.dumps(usage.to_dict()))) == usage


def test_the_first_format_is_still_read(client: SecretsClient) -> None:
    """It had totals only, and no number."""
    client.get("db")
    usage = client.usage()
    kept = [f.name for f in fields(Usage)][:16]
    old = {name: value for name, value in usage.to_dict().items() if name in kept}
    assert "format" not in old
    read = Usage.from_dict(old)
    assert (read.misses, read.api_calls, read.per_secret) == (1, {"GetSecretValue": 1}, {})
    assert read.format == FORMAT


def test_a_newer_format_is_refused(client: SecretsClient) -> None:
    """It may mean something else by the same names."""
    with pytest.raises(ConfigError, match="upgrade"):
        Usage.from_dict({**client.usage().to_dict(), "format": FORMAT + 1})


@pytest.mark.parametrize(
    "change",
    [
        {"hits": "1"},
        {"hits": True},
        {"hits": -1},
        {"hits": 1.5},
        {"hits": {}},
        {"seconds": -0.5},
        {"seconds": None},
        {"api_calls": 3},
        {"api_calls": {"a": {}}},
        {"baselines": {"a": 1}},
        {"per_secret": {"a": 1}},
        {"per_secret": {"a": {"strange": 1}}},
        {"per_secret": {"a": {"hits": -1}}},
        {"refresh_latency": {}},
        {"refresh_latency": {"buckets": {}, "microseconds": 0}},
        {"latency": {"a": {"buckets": dict.fromkeys(BUCKETS, -1), "microseconds": 0}}},
        {"strange": 1},
        {"format": "2"},
        {"format": 0},
        {"format": True},
    ],
)
def test_what_is_no_usage_is_refused(change: dict[str, Any]) -> None:
    """Nothing odd becomes a number in a report."""
    with pytest.raises(ConfigError):
        Usage.from_dict({**Usage.none().to_dict(), **change})


def test_a_part_that_is_missing_is_named() -> None:
    """Totals are never made up."""
    plain = Usage.none().to_dict()
    del plain["hits"]
    with pytest.raises(ConfigError, match="hits"):
        Usage.from_dict(plain)


# --- adding up ------------------------------------------------------------------------------------


@given(usages, usages, usages)
def test_adding_up_is_associative(a: Usage, b: Usage, c: Usage) -> None:
    """However the snapshots of a fleet are grouped."""
    assert a.merge([b]).merge([c]) == a.merge([b.merge([c])]) == a.merge([b, c])


@given(usages, usages)
def test_adding_up_is_commutative(a: Usage, b: Usage) -> None:
    """In whatever order they are read."""
    assert a.merge([b]) == b.merge([a])


@given(usages)
def test_nothing_adds_nothing(usage: Usage) -> None:
    """On either side."""
    assert usage.merge([]) == usage.merge([Usage.none()]) == Usage.none().merge([usage]) == usage


@given(usages, usages)
def test_a_sum_is_the_sum_of_each_count(a: Usage, b: Usage) -> None:
    """Worked out beside it for each kind of count."""
    both = a.merge([b])
    assert both.reads == a.reads + b.reads
    assert both.calls == a.calls + b.calls
    assert both.processes == a.processes + b.processes
    for name in {*a.per_secret, *b.per_secret}:
        parts = [u.per_secret[name] for u in (a, b) if name in u.per_secret]
        assert both.per_secret[name].bytes == sum(part.bytes for part in parts)
    for name in {*a.baselines, *b.baselines}:
        parts_of = [u.baselines[name] for u in (a, b) if name in u.baselines]
        assert sum(both.baselines[name].values()) == sum(sum(p.values()) for p in parts_of)
    assert both.refresh_latency.count == a.refresh_latency.count + b.refresh_latency.count


def test_a_sum_keeps_what_was_added_as_it_was(client: SecretsClient) -> None:
    """Nothing is shared with it."""
    client.get("db")
    usage = client.usage()
    before = usage.to_dict()
    both = usage.merge([usage])
    assert usage.to_dict() == before
    assert both.processes == 2
    assert set(both.baselines) == set(BASELINES)
    assert both.format == FORMAT


# --- histograms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(len(LATENCY_BOUNDS)))
def test_a_bound_belongs_to_its_bucket(n: int) -> None:
    """As Prometheus has it: less or equal."""
    assert bucket(LATENCY_BOUNDS[n]) == n
    assert bucket(LATENCY_BOUNDS[n] * 1.001) == n + 1


@given(st.lists(st.floats(0, 60), max_size=30))
def test_a_histogram_counts_each_once(durations: list[float]) -> None:
    """And knows their sum to the microsecond."""
    histogram = Histogram()
    for seconds in durations:
        histogram = histogram.observe(seconds)
    assert histogram.count == len(durations)
    assert histogram.microseconds == sum(map(micro, durations))
    for n, bound in enumerate(LATENCY_BOUNDS):
        assert sum(histogram.counts[: n + 1]) == sum(seconds <= bound for seconds in durations)


def test_mean_and_quantile() -> None:
    """By the upper ends of the buckets; of nothing they are nothing."""
    histogram = Histogram()
    assert (histogram.mean, histogram.quantile(0.5)) == (0.0, 0.0)
    for seconds in (0.004, 0.004, 0.2, 20.0):
        histogram = histogram.observe(seconds)
    assert histogram.mean == pytest.approx(5.052)
    assert histogram.quantile(0.5) == 0.005
    assert histogram.quantile(0.75) == 0.25
    assert histogram.quantile(1.0) == float("inf")


def test_a_clock_that_goes_back_costs_no_time() -> None:
    """Never less than nothing."""
    assert Histogram().observe(-1.0) == replace(Histogram(), counts=(1, *[0] * len(LATENCY_BOUNDS)))


def test_numbers_add_up_as_they_are() -> None:
    """The smallest case."""
    assert added([1, 2, 3]) == 6
