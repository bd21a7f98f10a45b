"""Listening to a client, ending it, and the thread that works behind it."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    ClientClosedError,
    SecretEvent,
    SecretsClient,
)
from smclient.background import ThreadWorker
from smclient.testing import Call, FakeBackend, FakeClock, Queued

WAIT = 20
CANARY = "c4n4ry"


Threads = Callable[[], list[threading.Thread]]


@pytest.fixture
def our_threads() -> Threads:
    """Our threads that were begun since the test began."""
    others = set(threading.enumerate())

    def ours() -> list[threading.Thread]:
        since = set(threading.enumerate()) - others
        return [thread for thread in since if thread.name.startswith("smclient")]

    return ours


# --- on_rotate ------------------------------------------------------------------------------------


def test_a_rotation_is_told_off_the_reader_s_path(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """With both version ids, once."""
    told: list[SecretEvent] = []
    client.on_rotate(told.append)
    old = client.get("db").version_id
    new = backend.put("db", {"password": "second"})
    client.refresh("db")
    assert told == []
    worker.run()
    assert told == [SecretEvent("rotate", "db", old, new)]
    client.refresh("db")
    worker.run()
    assert len(told) == 1


@pytest.mark.parametrize("how", ["behind", "many", "stage", "max_age"])
def test_a_rotation_is_told_however_it_is_seen(
    how: str, client: SecretsClient, backend: FakeBackend, worker: Queued, clock: FakeClock
) -> None:
    """By a refresh behind a reader, by a batch, by any read of AWSCURRENT."""
    told: list[SecretEvent] = []
    client.on_rotate(told.append)
    client.get("db")
    new = backend.put("db", {"password": "second"})
    if how == "behind":
        clock.advance(300)
        client.get("db")
    elif how == "many":
        clock.advance(3600)
        client.get_many(["db"])
    elif how == "stage":
        client.invalidate("db")
        client.get("db", version_stage="AWSCURRENT")
    else:
        client.get("db", max_age=0)
    worker.run()
    assert [event.new_version_id for event in told] == [new]


def test_reading_another_version_is_no_rotation(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """Only AWSCURRENT tells."""
    backend.put("db", "second")
    told: list[SecretEvent] = []
    client.on_rotate(told.append)
    client.get("db")
    client.get("db", version_stage="AWSPREVIOUS")
    client.get("db", version_stage="AWSCURRENT")
    worker.run()
    assert told == []


def test_a_cancelled_callback_is_called_no_more(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """Cancelling twice is fine; the others go on."""
    told: list[str] = []
    first = client.on_rotate(lambda event: told.append("first"))
    client.on_rotate(lambda event: told.append("second"))
    client.get("db")
    first.cancel()
    first.cancel()
    backend.put("db", "new")
    client.refresh("db")
    worker.run()
    assert told == ["second"]


def test_a_callback_that_raises_harms_nobody(
    client: SecretsClient,
    backend: FakeBackend,
    worker: Queued,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged by kind, without its text, which may hold anything."""
    told: list[SecretEvent] = []

    def broken(event: SecretEvent) -> None:
        raise RuntimeError(CANARY)

    client.on_rotate(broken)
    client.on_rotate(told.append)
    client.get("db")
    backend.put("db", "new")
    client.refresh("db")
    with caplog.at_level(logging.DEBUG):
        worker.run()
    assert len(told) == 1
    assert "on_rotate callback of secret db failed: RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_a_callback_may_use_the_client(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """It sees what it was told of."""
    seen: list[str] = []
    client.on_rotate(lambda event: seen.append(client.get(event.secret_id)["password"]))
    client.get("db")
    backend.put("db", {"password": "second"})
    client.refresh("db")
    worker.run()
    assert seen == ["second"]


# --- on_stale -------------------------------------------------------------------------------------


def test_a_value_served_because_of_an_error_is_told(
    client: SecretsClient, backend: FakeBackend, worker: Queued, clock: FakeClock
) -> None:
    """With the error, not when a refresh merely takes its time, nor for a lasting refusal."""
    told: list[SecretEvent] = []
    client.on_stale(told.append)
    version = client.get("db").version_id
    clock.advance(300)
    client.get("db")
    worker.run()
    assert told == []
    backend.fail_with(BackendUnavailableError("no answer"))
    clock.advance(300)
    client.get("db")
    worker.run()
    error = "secret 'db', stage AWSCURRENT: no answer"
    assert told == [SecretEvent("stale", "db", version, None, "AWSCURRENT", error)]
    backend.fail_with(AccessDeniedError("no"))
    clock.advance(300)
    client.get("db")
    worker.run()
    assert len(told) == 1


def test_an_event_holds_no_value(client: SecretsClient, backend: FakeBackend) -> None:
    """Nor anything that could lead to one."""
    assert {f for f in SecretEvent.__slots__} == {  # noqa: C416
        "kind",
        "secret_id",
        "old_version_id",
        "new_version_id",
        "stage",
        "error",
    }


# --- close ----------------------------------------------------------------------------------------


def test_a_closed_client_answers_no_more(client: SecretsClient, backend: FakeBackend) -> None:
    """Each way of asking is refused, also for what was held; the backend was let go."""
    client.get("db")
    connector = client.connector("db", lambda user, password: None)
    client.close()
    asks: list[Callable[[], Any]] = [
        lambda: client.get("db"),
        lambda: client.get("db", version_stage="AWSPENDING"),
        lambda: client.get_many(["db"]),
        lambda: client.preload(["db"]),
        lambda: client.preload(),
        lambda: client.refresh("db"),
        lambda: client.resolve("secret://db"),
        lambda: str(client.lazy("secret://db")),
        lambda: client.get_secret_value(SecretId="db"),
        lambda: client.batch_get_secret_value(SecretIdList=["db"]),
        lambda: client.call("PutSecretValue", SecretId="db"),
        lambda: client.login("db", lambda value: None),
        connector,
    ]
    for ask in asks:
        with pytest.raises(ClientClosedError, match="make a new one"):
            ask()
    assert backend.closed
    assert len(backend.calls) == 1


def test_closing_twice_is_fine(client: SecretsClient, backend: FakeBackend) -> None:
    """So is counting and invalidating after."""
    client.get("db")
    client.close()
    backend.closed = False
    client.close()
    assert not backend.closed
    client.invalidate("db")
    client.invalidate()
    assert client.usage().misses == 1
    assert "0 secrets held" in repr(client)


def test_a_client_is_a_context_manager(backend: FakeBackend) -> None:
    """It closes, and lets errors through."""
    with pytest.raises(KeyError), SecretsClient(backend) as client:  # noqa: PT012
        assert client.get("db")["password"] == "first"
        raise KeyError
    assert backend.closed


def test_closing_forgets_values_also_those_that_won_a_login(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Nothing in clear stays in memory."""
    backend.put("db", {"username": "u", "password": "pending"}, stages=["AWSPENDING"])
    backend.put("db", {"username": "u", "password": "current"})

    class Refused(Exception):
        sqlstate = "28P01"

    Refused.__module__ = "asyncpg.exceptions"

    def connect(user: str, password: str) -> str:
        if password != "pending":
            raise Refused
        return "connected"

    assert client.connect("db", connect) == "connected"
    assert client._ladder.memory._winners
    client.close()
    assert not client._ladder.memory._winners
    assert client._cache.hot == {}


def test_what_was_in_flight_when_the_client_closed_is_not_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its reader still gets it."""
    backend.before = lambda call: client.close()
    assert client.get("db")["password"] == "first"
    assert client._cache.hot == {}


# --- threads --------------------------------------------------------------------------------------


def test_no_thread_is_started_before_it_is_needed(
    backend: FakeBackend, clock: FakeClock, our_threads: Threads
) -> None:
    """Neither by making a client nor by reading; the first refresh starts one, closing ends it."""
    before = set(threading.enumerate())
    done = threading.Event()
    with SecretsClient(backend, refresh="get", jitter=0.0, clock=clock) as client:
        client.get("db")
        client.get_many(["db"])
        client.refresh("db")
        assert set(threading.enumerate()) == before
        backend.before = lambda call: done.set()
        clock.advance(300)
        client.get("db")
        assert len(our_threads()) == 1
        assert our_threads()[0].daemon
        assert done.wait(WAIT)
    assert our_threads() == []


def test_one_refresh_runs_behind_many_readers(backend: FakeBackend, clock: FakeClock) -> None:
    """On a real thread, while eight others read on."""
    began, go = threading.Event(), threading.Event()

    def hold_up(call: Call) -> None:
        began.set()
        assert go.wait(WAIT)

    with SecretsClient(backend, refresh="get", jitter=0.0, clock=clock) as client:
        client.get("db")
        backend.put("db", {"password": "second"})
        backend.before = hold_up
        clock.advance(300)
        seen: list[str] = []

        def read() -> None:
            seen.extend(client.get("db")["password"] for _ in range(100))

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(WAIT)
        assert seen == ["first"] * 800
        assert began.wait(WAIT)
        go.set()
    assert backend.count("GetSecretValue") == 2


def test_closing_waits_for_the_refresh_under_way(backend: FakeBackend, clock: FakeClock) -> None:
    """So that the backend is not closed under it."""
    began, go = threading.Event(), threading.Event()
    closed_meanwhile: list[bool] = []

    def hold_up(call: Call) -> None:
        began.set()
        assert go.wait(WAIT)
        closed_meanwhile.append(backend.closed)

    client = SecretsClient(backend, refresh="get", jitter=0.0, clock=clock)
    client.get("db")
    backend.before = hold_up
    clock.advance(300)
    client.get("db")
    assert began.wait(WAIT)
    closing = threading.Thread(target=client.close)
    closing.start()
    go.set()
    closing.join(WAIT)
    assert closed_meanwhile == [False]
    assert backend.closed


def test_a_client_may_be_closed_by_its_own_callback(
    backend: FakeBackend, our_threads: Threads
) -> None:
    """On the worker's thread, without waiting for itself."""
    client = SecretsClient(backend)
    closed = threading.Event()
    client.on_rotate(lambda event: (client.close(), closed.set()))
    client.get("db")
    backend.put("db", "new")
    client.refresh("db")
    assert closed.wait(WAIT)
    for thread in our_threads():
        thread.join(WAIT)
    assert our_threads() == []


def test_work_that_fails_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by kind, without its text."""
    worker = ThreadWorker("smclient-test")
    done = threading.Event()

    def fail() -> None:
        raise RuntimeError(CANARY)

    worker.submit(fail)
    worker.submit(done.set)
    assert done.wait(WAIT)
    worker.close()
    assert "background work failed: RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_a_forgotten_client_takes_its_thread_with_it(
    backend: FakeBackend, clock: FakeClock, our_threads: Threads
) -> None:
    """Nobody closed it; when it is collected the thread ends."""
    client = SecretsClient(backend, refresh="get", jitter=0.0, clock=clock)
    done = threading.Event()
    client.on_rotate(lambda event: done.set())
    client.get("db")
    backend.put("db", "new")
    client.refresh("db")
    assert done.wait(WAIT)
    [thread] = our_threads()
    del client
    gc.collect()
    thread.join(WAIT)
    assert our_threads() == []


def test_work_for_a_closed_worker_is_dropped(our_threads: Threads) -> None:
    """What was queued before is finished, in order; closing an idle or closed one is fine."""
    worker = ThreadWorker("smclient-test")
    done: list[int] = []
    for n in range(100):
        worker.submit(lambda n=n: done.append(n))
    worker.close()
    worker.close()
    worker.submit(lambda: done.append(-1))
    assert done == list(range(100))
    ThreadWorker().close()
    assert our_threads() == []


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_whose_making_was_interrupted_is_forgotten_quietly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smclient.background.SimpleQueue", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ThreadWorker()
    gc.collect()
