"""One call for all who ask at the same time, and to each its own error."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from smclient import AccessDeniedError, BackendUnavailableError, SecretsClient
from smclient.singleflight import SingleFlight
from smclient.testing import Call, FakeBackend

WAIT = 20


def in_threads(count: int, act: Callable[[int], object]) -> list[Any]:
    """What ``act`` returned or raised, in as many threads at once."""
    results: list[Any] = [None] * count

    def run(n: int) -> None:
        try:
            results[n] = act(n)
        except BaseException as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    return results


class Gate:
    """Holds up calls of a backend until a number of askers are known to wait."""

    def __init__(self, client: SecretsClient, backend: FakeBackend, askers: int) -> None:
        self.open = threading.Event()
        self.arrived = 0
        self._lock = threading.Lock()
        self._askers = askers
        flights = client._reader._flights
        do = flights.do

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.arrived += 1
                if self.arrived == askers:
                    self.open.set()
            return do(*args, **kwargs)

        flights.do = counted  # type: ignore[method-assign]
        backend.before = self.hold_up

    def hold_up(self, call: Call) -> None:
        assert self.open.wait(WAIT)


def test_two_hundred_threads_on_a_cold_secret_make_one_call(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Once the last of them has arrived, the answer comes, for all."""
    Gate(client, backend, 200)
    values = in_threads(200, lambda n: client.get("db"))
    assert {value["password"] for value in values} == {"first"}
    # the last few may have arrived at the door when the answer was already handed out
    assert backend.count("GetSecretValue") <= 2
    usage = client.usage()
    assert usage.misses == 200
    assert usage.coalesced == 200 - backend.count("GetSecretValue")


def test_followers_get_errors_of_their_own(client: SecretsClient, backend: FakeBackend) -> None:
    """Caused by the leader's; no traceback grows by being raised in many threads."""
    Gate(client, backend, 50)
    backend.fail_with(AccessDeniedError("no", code="AccessDenied", attempts=3), times=None)
    errors = in_threads(50, lambda n: client.get("db"))
    assert {type(error) for error in errors} == {AccessDeniedError}
    assert {str(error) for error in errors} == {"secret 'db', stage AWSCURRENT: no"}
    assert {(error.code, error.attempts) for error in errors} == {("AccessDenied", 3)}
    assert len({id(error) for error in errors}) == 50
    leaders = {id(e.__cause__) for e in errors if isinstance(e.__cause__, AccessDeniedError)}
    assert leaders <= {id(error) for error in errors}
    assert leaders
    assert max(len(traceback.extract_tb(error.__traceback__)) for error in errors) < 15


def test_an_error_raised_many_times_does_not_grow(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Each read has an exception of its own."""
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    depths = set()
    for _ in range(50):
        with pytest.raises(BackendUnavailableError) as caught:
            client.get("db")
        depths.add(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(depths) == 1


def test_a_failed_flight_leaves_nothing_behind(client: SecretsClient, backend: FakeBackend) -> None:
    """The next asker asks."""
    backend.fail_with(BackendUnavailableError("no answer"))
    with pytest.raises(BackendUnavailableError):
        client.get("db")
    assert client._reader._flights._flights == {}
    assert client.get("db")["password"] == "first"
    assert client._reader._flights._flights == {}


def test_different_secrets_do_not_wait_for_each_other(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Nor do different versions of one."""
    backend.put("other", "x")
    both = threading.Barrier(3, timeout=WAIT)
    backend.before = lambda call: both.wait()
    backend.put("db", {"password": "p"}, stages=["AWSPENDING"])
    reads: list[Callable[[], Any]] = [
        lambda: client.get("db"),
        lambda: client.get("other"),
        lambda: client.get("db", version_stage="AWSPENDING"),
    ]
    assert not any(isinstance(r, BaseException) for r in in_threads(3, lambda n: reads[n]()))


# --- SingleFlight itself --------------------------------------------------------------------------


class Held:
    """A fetch that says when it began and ends when it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> Any:
        self.began.set()
        assert self.go.wait(WAIT)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Asker(threading.Thread):
    """Asks in a thread; ``outcome`` is what came."""

    def __init__(self, flights: SingleFlight[Any], fetch: Callable[[], Any], newer: bool) -> None:
        super().__init__(daemon=True)
        self._ask = lambda: flights.do("k", fetch, newer=newer)
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._ask()
        except BaseException as error:
            self.outcome = error

    def end(self) -> Any:
        self.join(WAIT)
        assert not self.is_alive()
        return self.outcome


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does next, without a time of one's own."""
    for _ in range(10_000_000):
        if true():
            return
    raise AssertionError("it did not happen")


def waited_for(flight: Any) -> threading.Event:
    """Set when somebody begins to wait for the end of a flight."""
    waiting = threading.Event()
    wait = flight.done.wait
    flight.done.wait = lambda *a: (waiting.set(), wait(*a))[1]
    return waiting


def test_newer_never_accepts_a_call_that_began_before() -> None:
    """It waits for its end, and all who asked meanwhile share the one after it."""
    flights: SingleFlight[Any] = SingleFlight()
    old, new = Held("old"), Held("new")
    leader = Asker(flights, old, newer=False)
    assert old.began.wait(WAIT)
    first = Asker(flights, new, newer=True)
    until(lambda: flights._flights["k"].next is not None)
    joined = waited_for(flights._flights["k"].next)
    second = Asker(flights, Held("never asked"), newer=True)
    assert joined.wait(WAIT)
    assert not new.began.is_set()
    old.go.set()
    assert leader.end() == ("old", True)
    assert new.began.wait(WAIT)
    new.go.set()
    assert first.end() == ("new", True)
    assert second.end() == ("new", False)
    assert flights._flights == {}


def test_a_patient_asker_shares_a_call_that_is_under_way() -> None:
    """Without ``newer`` the running call is good enough."""
    flights: SingleFlight[Any] = SingleFlight()
    fetch = Held("shared")
    leader = Asker(flights, fetch, newer=False)
    assert fetch.began.wait(WAIT)
    waiting = waited_for(flights._flights["k"])
    follower = Asker(flights, Held("never asked"), newer=False)
    assert waiting.wait(WAIT)
    fetch.go.set()
    assert [leader.end(), follower.end()] == [("shared", True), ("shared", False)]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(1)])
def test_what_interrupts_the_leader_does_not_interrupt_its_followers(
    interrupt: BaseException,
) -> None:
    """Ctrl-C in one thread is not meant for the others: they ask anew."""
    flights: SingleFlight[Any] = SingleFlight()
    fetch = Held(interrupt)
    leader = Asker(flights, fetch, newer=False)
    assert fetch.began.wait(WAIT)
    waiting = waited_for(flights._flights["k"])
    follower = Asker(flights, lambda: "asked anew", newer=False)
    assert waiting.wait(WAIT)
    fetch.go.set()
    assert leader.end() is interrupt
    assert follower.end() == ("asked anew", True)
    assert flights._flights == {}


def test_an_interrupted_wait_for_one_s_turn_blocks_nobody() -> None:
    """Ctrl-C while another call is under way leaves the key usable, before and after its end."""
    flights: SingleFlight[Any] = SingleFlight()
    running = Held("old")
    leader = Asker(flights, running, newer=False)
    assert running.began.wait(WAIT)
    done = flights._flights["k"].done
    wait = done.wait

    def interrupted(*args: Any) -> bool:
        done.wait = wait  # type: ignore[method-assign]
        raise KeyboardInterrupt

    done.wait = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        flights.do("k", lambda: "never asked", newer=True)
    next_one = Asker(flights, lambda: "new", newer=True)
    until(lambda: flights._flights["k"].next is not None)
    running.go.set()
    assert leader.end() == ("old", True)
    assert next_one.end() == ("new", True)
    assert flights._flights == {}
    assert flights.do("k", lambda: "later") == ("later", True)
