"""Freshness before a request: nothing that was noted is past its ttl, at as few calls as may be."""

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from collections.abc import Iterator

import pytest

from smclient import BackendUnavailableError, SecretRef, SecretsClient, background
from smclient.fresh import MOST, RETRY, Freshness, note, ttl_of
from smclient.keyring import KeyRing
from smclient.testing import FakeBackend, FakeClock, Inline

TTL = 60.0
A, B = SecretRef("a"), SecretRef("b")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"a": "a1", "b": "b1"})


@pytest.fixture
def client(backend: FakeBackend, clock: FakeClock) -> SecretsClient:
    return make(backend, clock)


def make(backend: FakeBackend, clock: FakeClock, **settings: object) -> SecretsClient:
    return SecretsClient(backend, ttl=TTL, jitter=0.0, clock=clock, worker=Inline(), **settings)  # type: ignore[arg-type]


def test_what_was_noted_is_never_past_its_ttl(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """One batch for all, also after a long sleep; within the ttl nobody is asked."""
    note(client, [A, B])
    freshness = Freshness()
    for number in range(2, 5):
        freshness.look(client)
        backend.put("a", f"a{number}")
        clock.advance(TTL)
        calls = len(backend.calls)
        for _ in range(3):
            freshness.look(client)
        assert (client.get("a").text, client.get("b").text) == (f"a{number}", "b1")
        assert len(backend.calls) == calls + 1
    assert freshness.due(client) == []


def test_another_stage_is_kept_fresh_too(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A version that is named by its id never changes and is not asked for."""
    previous = SecretRef("a", version_stage="AWSPREVIOUS")
    pinned = SecretRef("a", version_id=client.get("a").version_id)
    backend.put("a", "a2")
    note(client, [previous, pinned])
    freshness = Freshness()
    freshness.look(client)
    assert client.get("a", version_stage="AWSPREVIOUS").text == "a1"
    backend.put("a", "a3")
    clock.advance(TTL)
    freshness.look(client)
    assert client.get("a", version_stage="AWSPREVIOUS").text == "a2"
    assert freshness.due(client) == []


def test_a_secret_with_a_ttl_of_its_own_is_held_to_that(
    backend: FakeBackend, clock: FakeClock
) -> None:
    """A longer one is not fetched before, a shorter one not after."""
    client = make(backend, clock, per_secret={"a": {"ttl": 3600.0}, "b": {"ttl": 10.0}})
    assert [ttl_of(client, ref) for ref in (A, B, SecretRef("c"))] == [3600.0, 10.0, TTL]
    note(client, [A, B])
    freshness = Freshness()
    freshness.look(client)
    assert [ttl_of(client, ref) for ref in (A, B)] == [3600.0, 10.0]
    asked: list[str] = []
    backend.before = lambda call: asked.extend(call.secret_ids)
    for _ in range(12):
        clock.advance(10)
        freshness.look(client)
    assert asked == ["b"] * 12


def test_a_key_ring_looks_as_often_as_its_secret_says(
    backend: FakeBackend, clock: FakeClock
) -> None:
    """Not as often as the others are looked at."""
    backend.put("a", "a2")
    client = make(backend, clock, per_secret={"a": {"ttl": 600.0}})
    ring = KeyRing(client, "secret://a")
    ring.keys()
    calls = len(backend.calls)
    clock.advance(599)
    assert ring.keys() == ["a2", "a1"]
    assert not ring.would_wait()
    assert len(backend.calls) == calls


def test_what_may_be_absent_costs_a_call_a_ttl_and_no_word(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """That is how it should be. When it is there it is found."""
    later = SecretRef("later")
    note(client, [later], optional=True)
    freshness = Freshness()
    for _ in range(6):
        freshness.look(client)
        clock.advance(TTL / 6)
    assert len(backend.calls) == 1
    assert caplog.text == ""
    backend.put("later", "here")
    freshness.look(client)
    assert client.peek("later") is not None


def test_what_must_not_be_absent_is_told_and_asked_for_again_soon(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if another use of it may do without."""
    later = SecretRef("later")
    note(client, [later], optional=True)
    note(client, [later])
    note(client, [later], optional=True)
    freshness = Freshness()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            freshness.look(client)
    assert caplog.text.count("later could not be read") == 1
    clock.advance(RETRY)
    freshness.look(client)
    assert len(backend.calls) == 2


def test_an_outage_holds_up_one_request_in_ten_seconds(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """And no request fails for it."""
    note(client, [A, SecretRef("b", version_stage="AWSPREVIOUS")])
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    freshness = Freshness()
    for _ in range(20):
        freshness.look(client)
    assert len(backend.calls) == 2
    clock.advance(RETRY)
    freshness.look(client)
    assert len(backend.calls) == 4


def test_a_closed_client_breaks_no_request(client: SecretsClient) -> None:
    """Whoever uses a value is told."""
    note(client, [A])
    client.close()
    Freshness().look(client)


def test_requests_at_the_same_time_cause_one_call(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """All of them wait for it."""
    note(client, [A, B])
    freshness, inside, go_on = Freshness(), threading.Event(), threading.Event()

    def hold(call: object) -> None:
        inside.set()
        go_on.wait(10)

    backend.before = hold
    threads = [threading.Thread(target=freshness.look, args=[client]) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert inside.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(backend.calls) == 1


@pytest.fixture
def hanging(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The backend answers when this is set, and nobody waits long for it."""
    answers = threading.Event()
    monkeypatch.setattr(background, "WAIT", 0.01)
    backend.before = lambda call: answers.wait(60)
    yield answers
    answers.set()


def looked(freshness: Freshness, client: SecretsClient) -> None:
    """Whoever was looking is done."""
    looking = freshness._state(client).looking
    assert looking is not None
    looking.join(60)


def test_a_backend_that_hangs_holds_up_no_request_for_long(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, hanging: threading.Event
) -> None:
    """One look is under way, for all stages, and once it is late nobody waits for it."""
    note(client, [A, SecretRef("b", version_stage="AWSPREVIOUS")])
    freshness = Freshness()
    for _ in range(5):
        freshness.look(client)
        assert freshness.due(client) == []
        clock.advance(RETRY)
    assert len(backend.calls) == 1
    backend.before = None
    hanging.set()
    looked(freshness, client)
    assert client.peek("a") is not None
    clock.advance(TTL)
    assert A in freshness.due(client)


def test_a_request_that_finds_another_looking_waits_no_longer(
    client: SecretsClient, backend: FakeBackend, hanging: threading.Event
) -> None:
    """However many there are."""
    note(client, [A])
    freshness = Freshness()
    threads = [threading.Thread(target=freshness.look, args=[client]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not hanging.is_set()
    assert len(backend.calls) == 1


def test_what_failed_late_is_held_back_as_ever(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, hanging: threading.Event
) -> None:
    """From when it failed."""
    note(client, [A])
    freshness = Freshness()
    freshness.look(client)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    hanging.set()
    looked(freshness, client)
    assert freshness.due(client) == []
    clock.advance(RETRY)
    assert freshness.due(client) == [A]


def test_the_number_of_references_is_bounded(client: SecretsClient) -> None:
    """What a request names may be without end."""
    note(client, [SecretRef(f"s{number}") for number in range(MOST + 10)])
    assert len(Freshness().due(client)) == MOST


def test_a_client_that_was_forgotten_is_not_kept(backend: FakeBackend, clock: FakeClock) -> None:
    """Nor what was noted for it."""
    client = make(backend, clock)
    freshness = Freshness()
    note(client, [A])
    freshness.look(client)
    forgotten = weakref.ref(client)
    del client
    gc.collect()
    assert forgotten() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_of_a_busy_parent_is_not_blocked(client: SecretsClient) -> None:
    """The lock that a thread of the parent held at the fork is a new one in the child."""
    note(client, [A])
    freshness = Freshness()
    with freshness._state(client).lock:
        child = os.fork()
        if child == 0:
            freshness.look(client)
            os._exit(0 if client.peek("a") is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
