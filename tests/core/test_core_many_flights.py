"""Many secrets, asked for by many at once: each is fetched once, and a refusal is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from smclient import AccessDeniedError, ResourceNotFoundError, SecretsClient, ThrottlingError
from smclient.allowance import AT_ONCE
from smclient.batch import Batch
from smclient.errors import BackendUnavailableError
from smclient.singleflight import SingleFlight
from smclient.testing import Call, FakeBackend, FakeClock

WAIT = 20
NAMES = [f"s{n}" for n in range(45)]


@pytest.fixture
def backend() -> FakeBackend:
    """Forty-five secrets whose text is their name."""
    return FakeBackend({name: name for name in NAMES})


class Behind:
    """Starts askers behind the first call of a batch, and lets it go once they all wait for it."""

    def __init__(self, client: SecretsClient, backend: FakeBackend) -> None:
        self._flights = client._reader._flights
        self._under_way = threading.Event()
        self._go = threading.Event()
        self._waiting = threading.Semaphore(0)
        backend.before = self._hold

    def _hold(self, call: Call) -> None:
        if not self._under_way.is_set():
            self._under_way.set()
            assert self._go.wait(WAIT)

    def run(self, first: Callable[[], Any], *askers: Callable[[], Any]) -> list[Future[Any]]:
        """What the first and the askers got."""
        with ThreadPoolExecutor(1 + len(askers)) as pool:
            futures = [pool.submit(first)]
            assert self._under_way.wait(WAIT)
            for flight in self._flights._batched.values():
                flight.done.wait = self._counted(flight.done.wait)  # type: ignore[method-assign]
            futures += [pool.submit(asker) for asker in askers]
            try:
                for _ in askers:
                    assert self._waiting.acquire(timeout=WAIT)
            finally:
                self._go.set()
        return futures

    def _counted(self, wait: Callable[..., bool]) -> Callable[..., bool]:
        counted = threading.local()

        def waits(*args: Any) -> bool:
            if not getattr(counted, "done", False):
                counted.done = True
                self._waiting.release()
            return wait(*args)

        return waits


def test_twenty_threads_that_ask_for_the_same_make_one_call_a_page(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """All get every value; each read is a miss, and all but the first thread's are coalesced."""
    first_page = NAMES[:20]
    ask = lambda: client.get_many(first_page)  # noqa: E731
    batches = [future.result() for future in Behind(client, backend).run(ask, *[ask] * 19)]
    assert [list(batch.values) for batch in batches] == [first_page] * 20
    assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]
    usage = client.usage()
    assert (usage.misses, usage.coalesced) == (400, 380)


def test_a_single_read_shares_a_batch_that_is_under_way(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """And a preload does."""
    askers = [lambda: client.get("s1").text, lambda: client.preload(["s1"]).values["s1"].text]
    got = Behind(client, backend).run(lambda: client.get_many(["s0", "s1"]), *askers)
    assert [future.result() for future in got[1:]] == ["s1", "s1"]
    assert len(backend.calls) == 1


def test_who_asks_for_more_than_is_under_way_asks_for_the_rest(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Two that overlap crosswise do not wait for each other."""
    askers = [lambda: client.get_many(["s2", "s1"]), lambda: client.get_many(["s1", "s3"])]
    got = Behind(client, backend).run(lambda: client.get_many(["s0", "s1"]), *askers)
    assert [set(future.result().values) for future in got] == [
        {"s0", "s1"},
        {"s2", "s1"},
        {"s1", "s3"},
    ]
    assert sorted(call.secret_ids for call in backend.calls) == [("s0", "s1"), ("s2",), ("s3",)]


def test_who_shares_a_batch_gets_an_error_of_his_own(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """For the ids that have one."""
    ask = lambda: client.get_many(["s0", "absent"])  # noqa: E731
    batches: list[Batch] = [f.result() for f in Behind(client, backend).run(ask, ask, ask)]
    errors = [batch.errors["absent"] for batch in batches]
    assert all(isinstance(error, ResourceNotFoundError) for error in errors)
    assert len({id(error) for error in errors}) == 3
    assert [list(batch.values) for batch in batches] == [["s0"]] * 3


def test_a_forced_refresh_does_not_wait_for_a_batch(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The batch began before it was asked for."""
    refreshed: list[str] = []

    def refresh(call: Call) -> None:
        if call.operation == "BatchGetSecretValue":
            refreshed.append(client.refresh("s0").text)

    backend.before = refresh
    client.get_many(["s0", "s1"])
    assert refreshed == ["s0"]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), RuntimeError("a fault")])
def test_what_ends_a_batch_ends_no_other_asker_forever(end: BaseException) -> None:
    """Ctrl-C is not meant for others, who ask anew; a fault is theirs too."""
    flights: SingleFlight[str] = SingleFlight()
    began, go, waiting = threading.Event(), threading.Event(), threading.Event()

    def ends(keys: list[str]) -> dict[str, str | Exception]:
        began.set()
        assert go.wait(WAIT)
        raise end

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.do_many, ["a", "b"], ends)
        assert began.wait(WAIT)
        done = flights._batched["b"].done
        wait = done.wait
        done.wait = lambda *a: (waiting.set(), wait(*a))[1]  # type: ignore[method-assign]
        anew = lambda keys: dict.fromkeys(keys, "anew")  # noqa: E731
        follower = pool.submit(flights.do_many, ["b"], anew)
        assert waiting.wait(WAIT)
        go.set()
        assert leader.exception() is end
        found, led = follower.result()
    if isinstance(end, Exception):
        assert (type(found["b"]), led) == (RuntimeError, set())
    else:
        assert (found, led) == ({"b": "anew"}, {"b"})
    assert flights._batched == {}


# --- refusals -------------------------------------------------------------------------------------


def test_absent_secrets_are_asked_for_once(client: SecretsClient, backend: FakeBackend) -> None:
    """However they are read for a moment after; each read is entered as a miss."""
    for _ in range(10):
        assert list(client.get_many(["absent", "gone"]).errors) == ["absent", "gone"]
    with pytest.raises(ResourceNotFoundError, match="secret 'absent'"):
        client.get("absent")
    assert len(backend.calls) == 1
    usage = client.usage()
    assert (usage.misses, usage.to_dict()["negative"]) == (21, 19)


def test_what_single_reads_were_refused_is_not_asked_for_in_a_batch(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The others are."""
    with pytest.raises(ResourceNotFoundError):
        client.get("absent")
    batch = client.get_many(["absent", "s0"])
    assert (list(batch.values), list(batch.errors)) == (["s0"], ["absent"])
    assert backend.calls[-1].secret_ids == ("s0",)


def test_an_outage_is_not_remembered(client: SecretsClient, backend: FakeBackend) -> None:
    """It may be over."""
    backend.fail_with(BackendUnavailableError("no answer"))
    assert list(client.get_many(["s0"]).errors) == ["s0"]
    assert list(client.get_many(["s0"]).values) == ["s0"]


@pytest.mark.parametrize(
    "error", [AccessDeniedError("no"), ResourceNotFoundError("no"), ThrottlingError("slow down")]
)
def test_a_loop_that_forces_what_is_refused_makes_one_call_a_second(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, error: Exception
) -> None:
    """Past the first few; in between everybody is told what the last call was."""
    backend.fail_with(error, times=None)  # type: ignore[arg-type]
    for _ in range(50):
        with pytest.raises(type(error)):
            client.refresh("s0")
    assert len(backend.calls) == AT_ONCE
    backend.recover()
    clock.advance(1.0)
    assert client.refresh("s0").text == "s0"
