"""Deeper counters: per secret, region, tag and key, bounded, exact, whatever happens to values."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import (
    AccessDeniedError,
    Answer,
    AsyncSecretsClient,
    BackendUnavailableError,
    ResourceNotFoundError,
    SecretDescription,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.boto_shapes import value_dict
from smclient.edge import region_of
from smclient.ledger import Ledger, Tally
from smclient.metering import AWS_CACHING, NO_CACHE, POWERTOOLS, Meter
from smclient.testing import Call, FakeBackend, FakeClock, Inline, Queued
from smclient.usage import OTHERS, UNKNOWN, UNTAGGED, SecretUsage, Usage

MakeClient = Callable[..., SecretsClient]


def adds_up(usage: Usage) -> None:
    """The parts are the whole."""
    each = usage.per_secret.values()
    for name in ("hits", "stale_hits", "misses", "coalesced", "refreshes", "bytes"):
        assert sum(getattr(secret, name) for secret in each) == getattr(usage, name), name
    regions: dict[str, int] = {}
    for calls in usage.per_region.values():
        for operation, n in calls.items():
            regions[operation] = regions.get(operation, 0) + n
    assert regions == usage.api_calls


# --- per secret -----------------------------------------------------------------------------------


def test_each_secret_has_its_own_counts(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """By ARN, however it was named."""
    backend.put("other", "12345")
    client.get("db")
    for _ in range(3):
        client.get(backend.arn("db"))
    client.get("other")
    clock.advance(300)
    client.get("other")
    worker.run()
    client.get("other")
    usage = client.usage()
    assert usage.per_secret == {
        backend.arn("db"): SecretUsage(hits=3, misses=1, fetched=1, bytes=21),
        backend.arn("other"): SecretUsage(
            hits=1, stale_hits=1, misses=1, refreshes=1, fetched=2, bytes=10
        ),
    }
    assert usage.per_secret[backend.arn("other")].reads == 3
    adds_up(usage)


def test_refused_reads_are_entered_where_they_belong(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """To the secret if it was read before by that name, else to nobody's account."""
    client.get("db")
    backend.fail_with(AccessDeniedError("no"))
    with pytest.raises(AccessDeniedError):
        client.get("db", max_age=0)
    with pytest.raises(ResourceNotFoundError):
        client.get("absent")
    with pytest.raises(ResourceNotFoundError):
        client.get("absent")
    usage = client.usage()
    assert usage.per_secret[backend.arn("db")].misses == 2
    assert usage.per_secret[UNKNOWN].misses == 2
    assert (usage.misses, usage.negative) == (4, 1)
    adds_up(usage)


def test_reading_many_counts_each(client: SecretsClient, backend: FakeBackend) -> None:
    """Held, fetched and refused alike; the refusals inside the batch by their codes."""
    backend.put("other", "x")
    client.get("db")
    client.get_many(["db", "other", "absent", "gone"])
    usage = client.usage()
    assert usage.per_secret[backend.arn("db")].reads == 2
    assert usage.per_secret[backend.arn("other")].reads == 1
    assert usage.per_secret[UNKNOWN].misses == 2
    assert usage.errors == {"ResourceNotFoundException": 2}
    assert usage.batched == 1
    adds_up(usage)


def test_those_who_shared_a_call_are_counted_with_their_secret(make_client: MakeClient) -> None:
    """Whether it ends well or not."""
    backend = FakeBackend({"db": "x"})
    client = make_client(backend)
    waiting = threading.Semaphore(0)
    do = client._reader._flights.do

    def joined(*args: Any, **more: Any) -> Any:
        waiting.release()
        return do(*args, **more)

    client._reader._flights.do = joined  # type: ignore[method-assign]

    def all_there(call: Call) -> None:
        for _ in range(5):
            assert waiting.acquire(timeout=10)
        _until_followed(client, 4)

    for name, error in (("db", None), ("absent", ResourceNotFoundError)):
        backend.before = all_there
        threads = [threading.Thread(target=_read, args=(client, name)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert error is None or client.usage().per_secret[UNKNOWN].coalesced == 4
    usage = client.usage()
    assert usage.per_secret[backend.arn("db")] == SecretUsage(
        misses=5, coalesced=4, fetched=1, bytes=1
    )
    assert (usage.misses, usage.coalesced) == (10, 8)
    assert usage.api_calls == {"GetSecretValue": 2}
    adds_up(usage)


def _read(client: SecretsClient, name: str) -> None:
    with suppress(SmclientError):
        client.get(name)


def _until_followed(client: SecretsClient, followers: int) -> None:
    """Until so many wait for the flight under way."""
    flight = next(iter(client._reader._flights._flights.values()))
    event = threading.Event()
    while len(flight.done._cond._waiters) < followers:  # type: ignore[attr-defined]
        event.wait(0.001)


def test_tasks_that_share_a_call_are_counted_with_their_secret() -> None:
    """Also in the async client, and when it is refused."""
    backend = FakeBackend({"db": "x"})

    async def main() -> Usage:
        async with AsyncSecretsClient(backend) as client:
            await asyncio.gather(*(client.get("db") for _ in range(5)))
            refused = [client.get("absent") for _ in range(3)]
            await asyncio.gather(*refused, return_exceptions=True)
            return client.usage()

    usage = asyncio.run(main())
    secret = usage.per_secret[backend.arn("db")]
    assert (secret.misses, secret.coalesced, secret.reads) == (5, 4, 5)
    assert (usage.per_secret[UNKNOWN].misses, usage.per_secret[UNKNOWN].coalesced) == (3, 2)
    adds_up(usage)


def test_counts_are_exact_under_threads(make_client: MakeClient) -> None:
    """Reads, invalidations and evictions at once, past the bound on accounts too."""
    names = [f"s{n}" for n in range(12)]
    backend = FakeBackend(dict.fromkeys(names, "x"))
    client = make_client(backend, max_secrets=6)
    client._meter._ledger._most = 4
    start = threading.Barrier(5)

    def work(seed: int) -> None:
        start.wait()
        for n in range(3000):
            client.get(names[(n * seed) % 12])
            if n % 100 == 0:
                client.invalidate(names[n // 100 % 12])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 5, 7, 11)]
    for thread in threads:
        thread.start()
    start.wait()
    for _ in range(20):
        adds_up(client.usage())
    for thread in threads:
        thread.join(60)
    usage = client.usage()
    assert usage.reads == 12_000
    assert len(usage.per_secret) == 5
    assert usage.per_secret[OTHERS].hits > 0
    adds_up(usage)


# --- bounds ---------------------------------------------------------------------------------------


def test_secrets_past_the_bound_share_an_account(make_client: MakeClient) -> None:
    """No count is lost; memory does not grow with the number of names."""
    names = [f"s{n}" for n in range(50)]
    client = make_client(FakeBackend(dict.fromkeys(names, "x")), max_secrets=10)
    client._meter._ledger._most = 20
    for _ in range(2):
        for name in names:
            client.get(name)
            client.get(name)
    usage = client.usage()
    assert len(usage.per_secret) == 21
    assert usage.per_secret[OTHERS].reads == 30 * 4
    assert usage.per_secret[OTHERS].hits >= 30 * 2
    adds_up(usage)
    ledger = client._meter._ledger
    assert len(ledger._accounts) == 20
    assert len(ledger._asked) <= 4 * 20
    assert len(client._cache._entries) == 10


def test_a_secret_past_the_bound_has_its_own_second_chance(make_client: MakeClient) -> None:
    """What is evicted is still decided by its own hits, not by those of all others together."""
    client = make_client(FakeBackend(dict.fromkeys("abcde", "x")), max_secrets=3)
    client._meter._ledger._most = 1
    for name in "abc":
        client.get(name)
    for _ in range(3):
        client.get("b")
    client.get("d")
    assert "b" in client._hot
    assert "a" not in client._hot or "c" not in client._hot


def test_the_bound_is_not_below_what_is_held(make_client: MakeClient) -> None:
    """Whoever holds more has accounts for as many."""
    assert make_client(max_secrets=10_000)._meter.most_secrets == 10_000
    assert make_client(max_secrets=10)._meter.most_secrets == 4096


def test_what_moved_is_noticed_for_many_but_not_for_all(make_client: MakeClient) -> None:
    """The memory of versions seen is bounded too."""
    client = make_client(FakeBackend({"db": "x"}), max_secrets=1)
    value = client.get("db")
    for n in range(20_000):
        arn = f"{value.arn[:-10]}{n:010d}"
        client._cache._note_version(_as(value, arn))
    assert len(client._cache._seen) == 16_384


def _as(value: SecretValue, arn: str) -> SecretValue:
    return SecretValue(arn=arn, name=value.name, version_id="v", text="x")


def test_a_tally_of_two_counts_in_both() -> None:
    """And looks at its own."""
    whole = Tally()
    one, other = Tally(also=whole), Tally(also=whole)
    for _ in range(3):
        one.tick()
    other.tick()
    assert (one.value(), other.value(), whole.value()) == (3, 1, 4)
    whole.reset()
    assert (one.value(), whole.value()) == (3, 0)
    one.tick()
    assert (one.value(), whole.value()) == (4, 1)


# --- regions, keys, tags --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "region"),
    [
        (["arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf"], "eu-west-1"),
        (["db", "arn:aws-cn:secretsmanager:cn-north-1:1:secret:a:b"], "cn-north-1"),
        (["db"], UNKNOWN),
        ([], UNKNOWN),
        (["arn:aws:short"], UNKNOWN),
        (["arn:aws:secretsmanager::1:secret:a"], UNKNOWN),
    ],
)
def test_a_region_is_that_of_an_arn(ids: list[str], region: str) -> None:
    """Of the first that has one."""
    assert region_of(ids) == region


def test_calls_are_counted_by_region(client: SecretsClient, backend: FakeBackend) -> None:
    """Of what was answered, else of what was asked, else unknown."""
    client.get("db")
    client.get_many([backend.arn("db"), "absent"])
    with pytest.raises(ResourceNotFoundError):
        client.get(backend.arn("absent").replace("eu-west-1", "us-east-1"))
    backend.fail_with(BackendUnavailableError("no answer", attempts=3))
    with pytest.raises(BackendUnavailableError):
        client.get("somewhere")
    usage = client.usage()
    assert usage.per_region == {
        UNKNOWN: {"BatchGetSecretValue": 1, "GetSecretValue": 3},
        "eu-west-1": {"GetSecretValue": 1},
        "us-east-1": {"GetSecretValue": 1},
    }


class Described(FakeBackend):
    """Descriptions with tags and keys, by both ways to ask."""

    tags: dict[str, dict[str, str]] = {}
    keys: dict[str, str] = {}

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        answer = super().describe(secret_id)
        name = answer.value.name
        told = replace(answer.value, tags=self.tags.get(name, {}), kms_key_id=self.keys.get(name))
        return Answer(told)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        if operation != "DescribeSecret":
            return super().call(operation, parameters)
        told = self.describe(str(parameters["SecretId"])).value
        shape: dict[str, Any] = {"ARN": told.arn, "Name": told.name}
        if told.tags:
            shape["Tags"] = [{"Key": k, "Value": v} for k, v in told.tags.items()]
        return Answer(shape | ({"KmsKeyId": told.kms_key_id} if told.kms_key_id else {}))


def test_tags_are_known_from_descriptions_only(make_client: MakeClient, clock: FakeClock) -> None:
    """A secret counts in each of its tags; the others are said to be unknown or without."""
    backend = Described(dict.fromkeys("abcd", "x"))
    backend.tags = {"a": {"team": "web", "env": "prod"}, "b": {"team": "web"}}
    client = make_client(backend, refresh="describe")
    for name in "aabcd":
        client.get(name)
    assert client.usage().per_tag == {UNKNOWN: SecretUsage(hits=1, misses=4, fetched=4, bytes=4)}
    clock.advance(300)
    client.get("a")
    client.call("DescribeSecret", SecretId="b")
    client.call("DescribeSecret", SecretId="c")
    tags = client.usage().per_tag
    assert set(tags) == {"team=web", "env=prod", UNTAGGED, UNKNOWN}
    assert (tags["team=web"].reads, tags["env=prod"].reads) == (4, 3)
    assert (tags[UNTAGGED].reads, tags[UNKNOWN].reads) == (1, 1)


def test_many_distinct_tags_are_counted_together(make_client: MakeClient) -> None:
    """Past the bound."""
    names = [f"s{n}" for n in range(300)]
    backend = Described(dict.fromkeys(names, "x"))
    backend.tags = {name: {"owner": name} for name in names}
    client = make_client(backend)
    for name in names:
        client.call("DescribeSecret", SecretId=name)
        client.get(name)
    tags = client.usage().per_tag
    assert len(tags) == 257
    assert tags[OTHERS].reads == 300 - 256


def test_kms_calls_are_counted_by_customer_key(make_client: MakeClient) -> None:
    """Those of AWS's own key and of unknown ones are not among them."""
    backend = Described(dict.fromkeys(("mine", "also", "aws", "unknown"), "x"))
    backend.keys = {"mine": "key/1", "also": "key/1", "aws": "alias/aws/secretsmanager"}
    client = make_client(backend)
    for name in ("mine", "also", "aws"):
        client.call("DescribeSecret", SecretId=name)
    client.get_many(["mine", "also", "aws", "unknown"])
    client.refresh("mine")
    usage = client.usage()
    assert usage.per_key == {"key/1": 3}
    assert (usage.kms_calls, usage.kms_billed, usage.kms_unknown) == (5, 3, 1)


def test_many_distinct_keys_are_counted_together() -> None:
    """Past the bound; all are still billed."""
    meter = Meter(0.0)
    for n in range(300):
        meter.described(f"arn{n}", f"key/{n}")
        meter.called("GetSecretValue", 1, values_of=[f"arn{n}"])
    usage = meter.usage(evicted=0, secrets=0, now=1.0)
    assert usage.kms_billed == 300
    assert len(usage.per_key) == 257
    assert usage.per_key[OTHERS] == 44


# --- time -----------------------------------------------------------------------------------------


def test_how_long_calls_took_is_counted_by_operation(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Answered or refused."""
    backend.before = lambda call: clock.advance(0.2)
    client.get("db")
    with pytest.raises(ResourceNotFoundError):
        client.get("absent")
    client.get_many(["one", "two"])
    latency = client.usage().latency
    assert (latency["GetSecretValue"].count, latency["GetSecretValue"].microseconds) == (2, 400_000)
    assert latency["BatchGetSecretValue"].mean == pytest.approx(0.2)
    assert client.usage().refresh_latency.count == 0


@pytest.mark.parametrize("refresh", ["get", "describe", "batch"])
def test_how_long_a_refresh_took_is_counted(
    refresh: str, make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Once for each secret that was looked at, whatever came of it."""
    worker = Queued()
    client = make_client(refresh=refresh, worker=worker)
    client.get("db")
    for fault in (None, BackendUnavailableError("no answer")):
        clock.advance(400)
        client.get("db")
        if fault is not None:
            backend.fail_with(fault)
        backend.before = lambda call: clock.advance(0.03)
        worker.run()
        backend.before = lambda call: None
    usage = client.usage()
    assert usage.refreshes == usage.refresh_latency.count == 2
    assert usage.per_secret[backend.arn("db")].refreshes == 2
    assert usage.refresh_latency.microseconds == 60_000


# --- preloading -----------------------------------------------------------------------------------


class Filtering(FakeBackend):
    """Answers ListSecrets and BatchGetSecretValue with filters: everything, on one page."""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        self._asked(Call(operation, ()))
        if operation == "ListSecrets":
            tags = [{"Key": "k", "Value": "v"}]
            return Answer({"SecretList": [{"Name": n, "Tags": tags} for n in self._versions]})
        shapes = [value_dict(self._value(SecretRef(name))) for name in self._versions]
        return Answer({"SecretValues": shapes, "Errors": []})


@pytest.mark.parametrize("how", [{"secret_ids": ["a", "b"]}, {"prefix": ""}, {"tags": {"k": "v"}}])
def test_preloading_counts_alike_however_secrets_are_named(
    how: dict[str, Any], make_client: MakeClient
) -> None:
    """As values fetched and not as reads: nobody asked yet, so nothing was saved yet."""
    client = make_client(Filtering({"a": "x", "b": "xy"}))
    client.preload(**how)
    usage = client.usage()
    assert (usage.preloaded, usage.batched, usage.bytes) == (2, 2, 3)
    assert (usage.reads, usage.misses) == (0, 0)
    assert usage.baselines == {NO_CACHE: {"GetSecretValue": 0}, AWS_CACHING: {}, POWERTOOLS: {}}
    client.get("a")
    client.get("a")
    usage = client.usage()
    assert (usage.hits, usage.misses, usage.preloaded) == (2, 0, 2)
    assert usage.baselines == {
        NO_CACHE: {"GetSecretValue": 2},
        AWS_CACHING: {"DescribeSecret": 1, "GetSecretValue": 1},
        POWERTOOLS: {"GetSecretValue": 1},
    }
    adds_up(usage)


def test_preloading_what_is_held_fetches_nothing(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """What is past its time is looked at in the background, as if it had been read."""
    client.preload(["db"])
    client.preload(["db"])
    assert len(backend.calls) == 1
    clock.advance(300)
    assert client.preload(["db"]).values["db"].text == '{"password": "first"}'
    assert len(backend.calls) == 1
    worker.run()
    usage = client.usage()
    assert (len(backend.calls), usage.refreshes, usage.preloaded, usage.reads) == (2, 1, 1, 0)


# --- a fork ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_counts_from_nought(make_client: MakeClient) -> None:
    """Everything, and what it knows of keys and tags stays."""
    backend = Described({"db": "x"})
    backend.tags, backend.keys = {"db": {"team": "web"}}, {"db": "key/1"}
    client = make_client(backend)
    client.call("DescribeSecret", SecretId="db")
    client.get("db")
    client.get("db")
    client._meter.after_fork()
    usage = client.usage()
    assert usage.reads == usage.calls == usage.bytes == usage.kms_calls == 0
    assert (usage.per_secret, usage.latency, usage.per_region) == ({}, {}, {})
    client.get("db")
    client.refresh("db")
    usage = client.usage()
    assert usage.per_secret == {backend.arn("db"): SecretUsage(hits=1, fetched=1, bytes=1)}
    assert (usage.per_key, set(usage.per_tag)) == ({"key/1": 1}, {"team=web"})


# --- any history ----------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["get", "many", "preload", "refresh", "drop", "wait", "put", "fail"]),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_the_parts_are_the_whole_after_any_history(steps: list[tuple[str, int]]) -> None:
    """Whatever was read, refused, evicted or forgotten on the way."""
    clock, backend = FakeClock(), FakeBackend({f"s{n}": f"{n}" for n in range(5)})
    client = SecretsClient(backend, clock=clock, worker=Inline(), max_secrets=3)
    client._meter._ledger._most = 4
    acts: dict[str, Callable[[int], object]] = {
        "get": lambda n: client.get(f"s{n}"),
        "many": lambda n: client.get_many([f"s{m}" for m in range(n)]),
        "preload": lambda n: client.preload([f"s{n}"]),
        "refresh": lambda n: client.refresh(f"s{n}"),
        "drop": lambda n: client.invalidate(f"s{n}"),
        "wait": lambda n: clock.advance(n * 400),
        "put": lambda n: backend.put(f"s{n % 5}", "new"),
        "fail": lambda n: backend.fail_with(BackendUnavailableError("no answer")),
    }
    for act, n in steps:
        with suppress(SmclientError):
            acts[act](n)
    usage = client.usage()
    adds_up(usage)
    assert usage.baselines[NO_CACHE] == {"GetSecretValue": usage.reads}
    assert Usage.from_dict(usage.to_dict()) == usage
    client.close()


def test_a_ledger_knows_a_secret_by_the_names_it_was_asked_for() -> None:
    """What nobody got is in nobody's account."""
    ledger = Ledger(2)
    account = ledger.learn("db", "arn:db")
    assert ledger.asked("db") is ledger.asked("arn:db") is account
    assert ledger.asked("other") is ledger.asked("another")
    assert ledger.known("arn:other") is None
