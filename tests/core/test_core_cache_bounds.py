"""How much is held at most, and what goes first."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretRef, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline, Queued

MakeClient = Callable[..., SecretsClient]


@pytest.fixture
def backend() -> FakeBackend:
    """Twenty secrets of a thousand bytes."""
    return FakeBackend({f"s{n}": "x" * 1000 for n in range(20)})


def held(client: SecretsClient, backend: FakeBackend) -> set[str]:
    """Which of the twenty are served without a call, told without reading them."""
    return {name for name in (f"s{n}" for n in range(20)) if name in client._hot}


def test_the_least_recently_fetched_goes_first(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """Where nobody read any of them again."""
    client = make_client(max_secrets=3)
    for n in range(5):
        client.get(f"s{n}")
    assert held(client, backend) == {"s2", "s3", "s4"}
    assert (client.usage().secrets, client.usage().evicted) == (3, 2)


def test_what_was_hit_meanwhile_gets_a_second_chance(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """Hits are not seen one by one, but whether there were any is."""
    client = make_client(max_secrets=3)
    for n in (0, 1, 2):
        client.get(f"s{n}")
    client.get("s0")
    client.get("s3")
    assert held(client, backend) == {"s0", "s2", "s3"}
    client.get("s4")
    client.get("s5")
    assert "s0" not in held(client, backend)


def test_a_hot_set_survives_a_scan(make_client: MakeClient, backend: FakeBackend) -> None:
    """Secrets read once do not push out those that are read all the time."""
    client = make_client(max_secrets=4)
    for n in range(20):
        for hot in ("s0", "s1"):
            client.get(hot)
        client.get(f"s{n}")
    assert {"s0", "s1"} <= held(client, backend)
    assert backend.count("GetSecretValue") == 20


def test_all_hit_still_makes_room(make_client: MakeClient, backend: FakeBackend) -> None:
    """Then the oldest goes after all."""
    client = make_client(max_secrets=2)
    for _ in range(2):
        client.get("s0")
        client.get("s1")
    client.get("s2")
    assert client.usage().secrets == 2
    assert "s2" in held(client, backend)


def test_bytes_are_bounded(make_client: MakeClient, backend: FakeBackend) -> None:
    """Each secret counts with its value and what it takes to hold it."""
    client = make_client(max_bytes=3 * (1024 + 1000))
    for n in range(6):
        client.get(f"s{n}")
    assert held(client, backend) == {"s3", "s4", "s5"}


def test_every_version_held_counts(make_client: MakeClient, backend: FakeBackend) -> None:
    """Not only AWSCURRENT."""
    client = make_client(max_bytes=1024 + 2500 + 1024 + 1000)
    old = backend.put("s0", "a" * 1000)
    backend.put("s0", "b" * 1000)
    client.get("s1")
    client.get("s0")
    assert held(client, backend) == {"s0", "s1"}
    client.get("s0", version_id=old)
    client.get("s0", version_stage="AWSPREVIOUS")
    assert held(client, backend) == {"s0"}


def test_a_value_too_large_is_served_and_not_held(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """Nor does it push out the others."""
    client = make_client(max_bytes=3 * 2024)
    backend.put("large", "x" * 10_000)
    client.get("s0")
    assert [client.get("large").text for _ in range(2)] == ["x" * 10_000] * 2
    assert held(client, backend) == {"s0"}
    assert backend.count("GetSecretValue") == 3
    assert client.usage().evicted == 0


def test_a_value_that_grew_too_large_is_not_served_old(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """The smaller one of before goes."""
    client = make_client(max_bytes=5000)
    client.get("s0")
    backend.put("s0", "y" * 10_000)
    client.refresh("s0")
    assert client.get("s0").text == "y" * 10_000
    assert client.usage().secrets == 0


def test_old_clear_text_goes_when_labels_move(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """All versions that were held are asked anew."""
    client = make_client()
    first = client.get("s0").version_id
    client.get("s0", version_id=first)
    backend.put("s0", "new")
    client.refresh("s0")
    backend.calls.clear()
    client.get("s0")
    assert backend.calls == []
    client.get("s0", version_id=first)
    assert len(backend.calls) == 1


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=60),
    st.integers(1, 6),
    st.integers(1, 12_000),
)
def test_bounds_hold_and_what_is_held_is_right(
    reads: list[tuple[int, int]], max_secrets: int, max_bytes: int
) -> None:
    """Whatever is read and however it grows; a name never leads to another secret's value."""
    backend = FakeBackend()
    settings = {"max_secrets": max_secrets, "max_bytes": max_bytes}
    client = SecretsClient(backend, clock=FakeClock(), worker=Inline(), **settings)
    latest: dict[str, str] = {}
    for n, kilos in reads:
        name = f"s{n}"
        latest[name] = name + "x" * 1000 * kilos
        backend.put(name, latest[name])
        assert client.refresh(backend.arn(name) if kilos % 2 else name).text == latest[name]
        cache = client._cache
        assert cache.count() <= max_secrets
        assert cache._entries.currsize <= max_bytes
        assert sum(e.size() for e in list(cache._entries.values())) <= max_bytes
        assert set(cache.hot) <= set(cache._aliases)
        for other, text in latest.items():
            if other in cache.hot:
                assert cache.hot[other].value.text == text


def test_the_refresh_of_a_value_is_claimed_by_one_only(
    make_client: MakeClient, clock: FakeClock
) -> None:
    """Of two readers who found the same value stale at the same moment."""
    client = make_client()
    client.get("s0")
    clock.advance(300)
    found = client._cache.look(SecretRef("s0"))
    assert found is not None
    assert [client._cache.claim(found, until=400.0) for _ in range(3)] == [True, False, False]
    claimed = client._cache.look(SecretRef("s0"))
    assert claimed is not None
    assert (claimed.due_at, claimed.expires_at) == (400.0, found.expires_at)


def test_threads_that_evict_each_other_all_get_their_values(
    make_client: MakeClient, backend: FakeBackend
) -> None:
    """A tiny cache under eight readers: no error, no wrong value."""
    client = make_client(max_secrets=2, worker=Queued())
    wrong: list[object] = []
    start = threading.Barrier(8)
    for n in range(20):
        backend.put(f"s{n}", f"value {n}")

    def read(offset: int) -> None:
        start.wait()
        for n in range(300):
            name = (n * 7 + offset) % 20
            try:
                if client.get(f"s{name}").text != f"value {name}":
                    wrong.append(name)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    usage = client.usage()
    assert usage.reads == 2400
    assert usage.secrets <= 2
