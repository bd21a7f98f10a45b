"""Reading one secret that may be no older than the caller says."""

from __future__ import annotations

import threading

import pytest

from smclient import Answer, BackendUnavailableError, SecretRef, SecretsClient, SecretValue
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.helpers_reads import MAX_STALE, TTL, password, put


def test_max_age_is_never_exceeded(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A held value is good enough while it is younger; then it is fetched first."""
    client.get("db")
    put(backend, "second")
    clock.advance(4.999)
    assert password(client, max_age=5) == "first"
    clock.advance(0.001)
    assert password(client, max_age=5) == "second"
    assert len(backend.calls) == 2


def test_max_age_zero_always_asks(client: SecretsClient, backend: FakeBackend) -> None:
    """And what it got serves the others."""
    for n in range(3):
        put(backend, f"value {n}")
        assert password(client, max_age=0) == f"value {n}"
        assert password(client) == f"value {n}"
    assert len(backend.calls) == 3


def test_max_age_does_not_lengthen_the_life_of_a_value(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """The TTL and ``max_stale`` hold beside it."""
    client.get("db")
    put(backend, "second")
    clock.advance(TTL)
    assert password(client, max_age=1e9) == "first"
    assert len(worker.waiting) == 1
    clock.advance(MAX_STALE)
    assert password(client, max_age=1e9) == "second"


def test_max_age_raises_rather_than_give_an_older_value(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """In an outage too; others are still served."""
    client.get("db")
    clock.advance(5)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    with pytest.raises(BackendUnavailableError):
        client.get("db", max_age=5)
    assert password(client) == "first"


def test_max_age_does_not_accept_a_call_that_began_before(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its answer may be older than the question."""
    asked, answer = threading.Event(), threading.Event()
    got: list[str] = []
    fetch = backend.fetch

    def late(ref: SecretRef) -> Answer[SecretValue]:
        """Read first, handed over late, as over a slow network."""
        backend.fetch = fetch  # type: ignore[method-assign]
        found = fetch(ref)
        asked.set()
        assert answer.wait(10)
        return found

    backend.fetch = late  # type: ignore[method-assign]
    first = threading.Thread(target=lambda: got.append(password(client)))
    first.start()
    assert asked.wait(10)
    put(backend, "second")
    joining = threading.Event()
    do = client._reader._flights.do
    client._reader._flights.do = lambda *a, **k: (joining.set(), do(*a, **k))[1]  # type: ignore[method-assign]
    second = threading.Thread(target=lambda: got.append(password(client, max_age=0)))
    second.start()
    assert joining.wait(10)
    answer.set()
    first.join(10)
    second.join(10)
    assert sorted(got) == ["first", "second"]
