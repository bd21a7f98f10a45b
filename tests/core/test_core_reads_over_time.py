"""Reading one secret: for how long it is served from memory, and when it is asked for again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import BackendUnavailableError, SecretsClient
from smclient.refresh import Freshness, RefreshPolicy, freshness
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.helpers_reads import MAX_STALE, TTL, password, put


def test_within_its_ttl_a_value_is_served_without_asking(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """To the last moment."""
    client.get("db")
    clock.advance(TTL - 0.001)
    client.get("db")
    assert (worker.waiting, len(backend.calls)) == ([], 1)


def test_past_its_ttl_a_value_is_served_at_once_and_refreshed_behind(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """One refresh, however many read meanwhile."""
    client.get("db")
    put(backend, "second")
    clock.advance(TTL)
    assert {password(client) for _ in range(10)} == {"first"}
    assert (len(worker.waiting), len(backend.calls)) == (1, 1)
    worker.run()
    assert password(client) == "second"
    assert len(backend.calls) == 2


def test_a_slow_refresh_is_not_repeated_when_it_is_done(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """While it hangs readers may ask again for one; all of these end with the first."""
    client.get("db")
    clock.advance(TTL)
    for _ in range(30):
        client.get("db")
        clock.advance(2)
    worker.run()
    assert len(backend.calls) == 2


def test_refreshes_that_pile_up_in_an_outage_fail_once(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """The back-off holds for all of them."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    for _ in range(30):
        client.get("db")
        clock.advance(2)
    worker.run()
    assert len(backend.calls) == 2


def test_past_max_stale_a_value_is_fetched_first(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """Counted from the fetch, not from the last read or refresh attempt."""
    client.get("db")
    put(backend, "second")
    clock.advance(MAX_STALE - 0.001)
    assert password(client) == "first"
    clock.advance(0.001)
    assert password(client) == "second"
    assert len(backend.calls) == 2


def test_max_stale_counts_from_when_the_backend_was_asked(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A slow answer is old when it comes."""
    backend.before = lambda call: clock.advance(100)
    client.get("db")
    backend.before = lambda call: None
    put(backend, "second")
    clock.advance(MAX_STALE - 100)
    assert password(client) == "second"


@pytest.mark.parametrize("ttl", [5000.0, MAX_STALE])
def test_max_stale_also_bounds_a_longer_ttl(
    ttl: float, make_client: Callable[..., SecretsClient], backend: FakeBackend, clock: FakeClock
) -> None:
    """Nothing is served past it."""
    client = make_client(ttl=ttl)
    client.get("db")
    put(backend, "second")
    clock.advance(MAX_STALE)
    assert password(client) == "second"


def test_max_stale_zero_holds_nothing(
    make_client: Callable[..., SecretsClient], backend: FakeBackend
) -> None:
    """Each read asks."""
    client = make_client(max_stale=0)
    assert [password(client), put(backend, "second") and password(client)] == ["first", "second"]


def test_ttl_zero_serves_at_once_and_looks_each_time(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, worker: Queued
) -> None:
    """Never waiting, never more than one refresh."""
    client = make_client(ttl=0, worker=worker)
    client.get("db")
    put(backend, "second")
    assert [password(client), password(client)] == ["first", "first"]
    assert len(worker.waiting) == 1
    worker.run()
    assert password(client) == "second"


def test_jitter_only_shortens(make_client: Callable[..., SecretsClient], clock: FakeClock) -> None:
    """Over many secrets, refreshes spread over the last part of the TTL, none comes after it."""
    backend = FakeBackend({f"s{n}": "x" for n in range(200)})
    worker = Queued()
    client = make_client(backend, jitter=0.5, worker=worker)
    for n in range(200):
        client.get(f"s{n}")
    due = []
    for percent in (49.9, 75.0, 99.9):
        clock.advance(TTL * percent / 100 - clock.monotonic())
        for n in range(200):
            client.get(f"s{n}")
        due.append(len(worker.waiting))
        worker.waiting.clear()
        clock.advance(0)
    assert due[0] == 0
    assert 0 < due[1] < 200
    assert due[2] > 0


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999999])
def test_the_due_time_is_within_the_last_part_of_the_ttl(spread: float) -> None:
    """As much as jitter says."""
    policy = RefreshPolicy(ttl=100.0, max_stale=1000.0, jitter=0.2)
    assert policy.due_at(7.0, spread) == 7.0 + 100.0 * (1 - 0.2 * spread)
    assert 7.0 + 80.0 <= policy.due_at(7.0, spread) <= 7.0 + 100.0
    assert policy.expires_at(7.0) == 1007.0


def test_retries_are_spread_over_the_later_half_of_steps_that_double() -> None:
    """From one second to thirty."""
    policy = RefreshPolicy(300.0, 3600.0, 0.1)
    steps = [1, 2, 4, 8, 16, 30, 30, 30]
    for failures, step in enumerate(steps, 1):
        assert policy.retry_at(0.0, failures, 0.0) == step / 2
        assert step * 0.99 < policy.retry_at(0.0, failures, 0.999) < step
    assert policy.retry_at(0.0, 2000, 1.0) == 30.0


@pytest.mark.parametrize(
    ("now", "max_age", "state"),
    [
        (0, None, Freshness.FRESH),
        (9.99, None, Freshness.FRESH),
        (10, None, Freshness.STALE),
        (19.99, None, Freshness.STALE),
        (20, None, Freshness.EXPIRED),
        (0, 0, Freshness.EXPIRED),
        (4.99, 5, Freshness.FRESH),
        (5, 5, Freshness.EXPIRED),
        (15, 16, Freshness.STALE),
        (19.99, 100, Freshness.STALE),
        (20, 100, Freshness.EXPIRED),
    ],
)
def test_freshness_of_a_value(now: float, max_age: float | None, state: Freshness) -> None:
    """Fetched at 0, due at 10, over at 20."""
    found = freshness(now, fetched_at=0.0, due_at=10.0, expires_at=20.0, max_age=max_age)
    assert found is state
