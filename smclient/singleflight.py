"""One fetch per secret at a time: the first asker leads, the others get what the leader got."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from smclient.forking import survive_fork

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
E = TypeVar("E", bound=Exception)


class _Flight(Generic[T]):
    __slots__ = ("done", "error", "next", "result")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None
        self.next: _Flight[T] | None = None


class SingleFlight(Generic[T]):
    """Shares one running call among everybody who asks for the same key meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight[T]] = {}
        self._batched: dict[Hashable, _Flight[T]] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """Calls under way belong to threads of the parent."""
        self._lock = threading.Lock()
        self._flights = {}
        self._batched = {}

    def do(self, key: Hashable, fetch: Callable[[], T], *, newer: bool = False) -> tuple[T, bool]:
        """The result of ``fetch``, run once for all who ask at the same time.

        Args:
            newer: do not accept a call that began before this one was asked for; wait for it to
                end and share the one after it.

        Returns:
            The result, and whether this caller ran ``fetch`` itself.

        Raises:
            Whatever ``fetch`` raises. Each follower gets an error of its own, caused by the
            leader's, so that no traceback grows by being raised many times. What interrupts the
            leader itself (Ctrl-C) is not passed on: its followers ask anew.
        """
        while True:
            with self._lock:
                running = self._flights.get(key)
                if running is None and not newer:
                    running = self._batched.get(key)
                if running is None:
                    flight, leads, before = _Flight[T](), True, None
                    self._flights[key] = flight
                elif not newer:
                    flight, leads, before = running, False, None
                elif running.next is None:
                    flight, leads, before = _Flight[T](), True, running
                    running.next = flight
                else:
                    flight, leads, before = running.next, False, None
            if leads:
                return self._lead(key, flight, before, fetch), True
            flight.done.wait()
            if flight.error is None:
                return flight.result, False  # type: ignore[return-value]  # set before done is
            if isinstance(flight.error, Exception):
                raise fresh_copy(flight.error) from flight.error

    def _lead(
        self, key: Hashable, flight: _Flight[T], before: _Flight[T] | None, fetch: Callable[[], T]
    ) -> T:
        try:
            if before is not None:
                before.done.wait()
            flight.result = fetch()
            return flight.result
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                running = self._flights[key]
                if running is not flight:
                    running.next = None  # interrupted while it waited for its turn
                elif flight.next is None:
                    del self._flights[key]
                else:
                    self._flights[key] = flight.next
            flight.done.set()

    def do_many(
        self, keys: Iterable[K], fetch: Callable[[list[K]], Mapping[K, T | E]]
    ) -> tuple[dict[K, T | E], set[K]]:
        """``do`` for many keys: ``fetch`` is run once, for those that nobody asks for yet, and
        gives a result or an error for each. Who asks for something newer does not wait for it.

        Returns:
            A result or an error for each key, and the keys that this caller ran ``fetch`` for.

        Raises:
            Whatever ``fetch`` raises here; whatever it raised for another is an error of its keys.
        """
        led: dict[K, _Flight[T]] = {}
        joined: dict[K, _Flight[T]] = {}
        with self._lock:
            for key in keys:
                running = self._flights.get(key) or self._batched.get(key)
                if running is None:
                    led[key] = self._batched[key] = _Flight[T]()
                else:
                    joined[key] = running
        found = self._lead_many(led, fetch) if led else {}
        again = []
        for key, flight in joined.items():  # after its own have landed: nobody waits in a circle
            flight.done.wait()
            if flight.error is None:
                found[key] = flight.result  # type: ignore[assignment]  # set before done is
            elif isinstance(flight.error, Exception):
                found[key] = fresh_copy(flight.error)  # type: ignore[assignment]
            else:
                again.append(key)
        if again:
            more, led_too = self.do_many(again, fetch)
            return {**found, **more}, {*led, *led_too}
        return found, set(led)

    def _lead_many(
        self, led: dict[K, _Flight[T]], fetch: Callable[[list[K]], Mapping[K, T | E]]
    ) -> dict[K, T | E]:
        try:
            found = dict(fetch(list(led)))
            for key, flight in led.items():
                outcome = found[key]
                if isinstance(outcome, Exception):
                    flight.error = outcome
                else:
                    flight.result = outcome
            return found
        except BaseException as error:
            for flight in led.values():
                flight.error = error
            raise
        finally:
            with self._lock:
                for key in led:
                    self._batched.pop(key, None)
            for flight in led.values():
                flight.done.set()


def fresh_copy(error: E) -> E:
    """The same error anew: to be raised by somebody else without growing its traceback, or to be
    kept without the frames of whoever it was raised to."""
    copy = type(error).__new__(type(error), *error.args)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy
