"""Deeper counters: per secret, exact, whatever happens to values, threads and processes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import (
    AccessDeniedError,
    AsyncSecretsClient,
    BackendUnavailableError,
    ResourceNotFoundError,
    SecretsClient,
    SmclientError,
)
from smclient.ledger import Ledger
from smclient.metering import NO_CACHE
from smclient.testing import Call, FakeBackend, FakeClock, Inline, Queued
from smclient.usage import OTHERS, UNKNOWN, SecretUsage, Usage
from tests.core.helpers_usage import Described, MakeClient, adds_up

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
