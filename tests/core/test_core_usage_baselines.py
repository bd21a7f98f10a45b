"""What other clients would have called does not depend on what ours holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretsClient
from smclient.ledger import AWS_CACHING_VERSIONS, Baseline, Ledger
from smclient.metering import (
    AWS_CACHING,
    AWS_CACHING_REFRESH,
    NO_CACHE,
    POWERTOOLS,
    POWERTOOLS_REFRESH,
)
from smclient.testing import FakeBackend, FakeClock, Queued

MakeClient = Callable[..., SecretsClient]


def others(client: SecretsClient) -> Mapping[str, Mapping[str, int]]:
    """The baselines."""
    return client.usage().baselines


def test_forgetting_ours_does_not_make_others_ask(client: SecretsClient) -> None:
    """They hold what they hold, whoever invalidates here."""
    for _ in range(5):
        client.get("db")
        client.invalidate("db")
        client.get("db")
        client.invalidate()
    assert others(client) == {
        NO_CACHE: {"GetSecretValue": 10},
        AWS_CACHING: {"DescribeSecret": 1, "GetSecretValue": 1},
        POWERTOOLS: {"GetSecretValue": 1},
    }


def test_evicting_ours_does_not_make_others_ask(make_client: MakeClient) -> None:
    """Room is short here, not there."""
    client = make_client(FakeBackend({"a": "x", "b": "x"}), max_secrets=1)
    for _ in range(5):
        client.get("a")
        client.get("b")
    assert client.usage().evicted == 9
    assert others(client)[AWS_CACHING] == {"DescribeSecret": 2, "GetSecretValue": 2}
    assert others(client)[POWERTOOLS] == {"GetSecretValue": 2}


def test_what_is_too_large_to_hold_is_read_by_others_too(
    make_client: MakeClient, clock: FakeClock
) -> None:
    """They would hold it: two questions, and one for each time that is over."""
    client = make_client(FakeBackend({"big": "x" * 5000}), max_bytes=2000)
    for _ in range(3):
        client.get("big")
    assert client.usage().secrets == 0
    assert others(client) == {
        NO_CACHE: {"GetSecretValue": 3},
        AWS_CACHING: {"DescribeSecret": 1, "GetSecretValue": 1},
        POWERTOOLS: {"GetSecretValue": 1},
    }
    clock.advance(POWERTOOLS_REFRESH)
    client.get_many(["big"])
    assert others(client)[POWERTOOLS] == {"GetSecretValue": 2}


def test_a_refresh_moves_nothing_in_the_books_of_others(
    client: SecretsClient, clock: FakeClock, worker: Queued
) -> None:
    """Only reads do."""
    client.get("db")
    clock.advance(299)
    client.refresh("db")
    client.refresh("db")
    assert others(client)[POWERTOOLS] == {"GetSecretValue": 1}
    clock.advance(1)
    client.get("db")
    assert others(client)[POWERTOOLS] == {"GetSecretValue": 2}


def test_a_second_label_is_no_second_description(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """AWS's client describes a secret once for all its labels; powertools mixes them up."""
    backend.put("db", "second")
    client.get("db")
    client.get("db", version_stage="AWSPREVIOUS")
    client.get("db", version_stage="AWSPREVIOUS")
    assert others(client)[AWS_CACHING] == {"DescribeSecret": 1, "GetSecretValue": 2}
    assert others(client)[POWERTOOLS] == {"GetSecretValue": 1}
    clock.advance(AWS_CACHING_REFRESH)
    client.get("db")
    client.get("db", version_stage="AWSPREVIOUS")
    assert others(client)[AWS_CACHING] == {"DescribeSecret": 2, "GetSecretValue": 2}


def test_a_version_that_comes_back_is_still_held_by_others() -> None:
    """They hold ten of a secret."""
    baseline, now = Baseline(), 0.0
    calls: Counter[str] = Counter()
    versions = [*"abab", *(str(n) for n in range(AWS_CACHING_VERSIONS)), "a"]
    for version in versions:
        calls.update(baseline.read(now, version)[AWS_CACHING])
        now += AWS_CACHING_REFRESH
    assert calls == {
        "DescribeSecret": len(versions),
        "GetSecretValue": 2 + AWS_CACHING_VERSIONS + 1,
    }


def test_labels_of_a_secret_are_remembered_up_to_a_bound() -> None:
    """Whatever is asked for."""
    baseline = Baseline()
    for n in range(1000):
        baseline.read(0.0, str(n), (None, str(n)))
    assert len(baseline._labels) == len(baseline._versions) == AWS_CACHING_VERSIONS


def test_past_the_bound_the_least_recently_read_begin_anew() -> None:
    """Stated, and only there."""
    ledger = Ledger(2)
    first, second = ledger.baseline("a"), ledger.baseline("b")
    past = ledger.baseline("c")
    assert ledger.baseline("c") is past
    for arn in ("d", "e"):
        ledger.baseline(arn)
    assert ledger.baseline("c") is not past
    assert (ledger.baseline("a"), ledger.baseline("b")) == (first, second)


@given(
    st.lists(
        st.tuples(st.integers(0, 900), st.sampled_from(["read", "drop", "clear", "many"])),
        max_size=40,
    )
)
def test_baselines_are_those_of_the_reads_alone(steps: list[tuple[int, str]]) -> None:
    """Beside a model that knows only when somebody read."""
    clock = FakeClock()
    client = SecretsClient(
        FakeBackend({"db": "x"}), clock=clock, worker=Queued(), refresh="get", max_stale=1000
    )
    model, expected = Baseline(), {AWS_CACHING: Counter[str](), POWERTOOLS: Counter[str]()}
    for seconds, act in steps:
        clock.advance(seconds)
        if act == "drop":
            client.invalidate("db")
        elif act == "clear":
            client.invalidate()
        else:
            _ = client.get("db") if act == "read" else client.get_many(["db"])
            for name, calls in model.read(clock.monotonic(), "v").items():
                expected[name].update(calls)
    found = others(client)
    assert {name: found[name] for name in expected} == expected
    client.close()
