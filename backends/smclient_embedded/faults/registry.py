"""The faults of one service, and what it does when one of them strikes."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, cast

from smclient.clock import Clock
from smclient_embedded.context import RequestContext
from smclient_embedded.errors import ConnectionDropped, ServiceError, ThrottlingException
from smclient_embedded.faults.rules import Armed, Asked, Fault, Verdict, decide

RATE_EXCEEDED = "Rate exceeded"


class FaultHandle:
    """A fault that was added. ``cancel`` ends it; so does the end of a ``with``."""

    def __init__(self, faults: Faults, number: int, fault: Fault) -> None:
        self._faults = faults
        self.number = number
        self.fault = fault

    @property
    def struck(self) -> int:
        """How many calls it has struck."""
        return self._faults.struck(self.number)

    def cancel(self) -> None:
        """End it. Ending it twice is fine."""
        self._faults.cancel(self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()


class Faults:
    """The faults of one service. Safe to use from many threads."""

    KEPT_COUNTS = 1000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._random = random.Random()  # noqa: S311  no secret depends on it
        self._lock = threading.Lock()
        self._armed: dict[int, Armed] = {}
        self._ended: dict[int, int] = {}
        self._last = 0

    @property
    def armed(self) -> bool:
        """Whether any fault may strike: then a call may wait."""
        return bool(self._armed)

    def seed(self, seed: int) -> None:
        """Make improbable faults strike in an order that can be repeated."""
        with self._lock:
            self._random.seed(seed)

    def add(self, fault: Fault) -> FaultHandle:
        """Begin with a fault; it goes behind those that are there."""
        with self._lock:
            self._last += 1
            self._armed[self._last] = Armed(fault, self._clock.monotonic())
            return FaultHandle(self, self._last, fault)

    def cancel(self, number: int) -> bool:
        """End the fault of that number. Returns whether it was still there."""
        with self._lock:
            return self._end(number)

    def clear(self) -> None:
        """End all of them."""
        with self._lock:
            for number in list(self._armed):
                self._end(number)

    def struck(self, number: int) -> int:
        """How many calls a fault has struck, also after its end."""
        with self._lock:
            armed = self._armed.get(number)
            return self._ended.get(number, 0) if armed is None else armed.struck

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The faults there are, as plain data with ``number`` and ``struck``."""
        with self._lock:
            self._drop_over(self._clock.monotonic())
            rows = [
                {"number": number, **armed.fault.to_dict(), "struck": armed.struck}
                for number, armed in self._armed.items()
            ]
        return iter(rows)

    def strike(self, operation: str, request: object, context: RequestContext) -> None:
        """Let a call suffer what is due to it: wait, and perhaps end.

        Raises:
            ServiceError: throttled, refused, or ``ConnectionDropped``.
        """
        if not self._armed:
            return
        asked = Asked.of(operation, request, context)
        with self._lock:
            verdict = self._decide(asked)
        if verdict.seconds:
            self._clock.sleep(verdict.seconds)
        if verdict.ending is not None:
            raise _error(verdict.ending)

    # --- inside -----------------------------------------------------------------------------------

    def _decide(self, asked: Asked) -> Verdict:
        now = self._clock.monotonic()
        numbers = list(self._armed)
        verdict = decide(list(self._armed.values()), asked, now, self._random.random)
        for position in verdict.strikes:
            number = numbers[position]
            armed = self._armed[number]
            self._armed[number] = Armed(armed.fault, armed.since, armed.struck + 1)
        self._drop_over(now)
        return verdict

    def _drop_over(self, now: float) -> None:
        for number in [n for n, armed in self._armed.items() if armed.is_over(now)]:
            self._end(number)

    def _end(self, number: int) -> bool:
        armed = self._armed.pop(number, None)
        if armed is None:
            return False
        self._ended[number] = armed.struck
        while len(self._ended) > self.KEPT_COUNTS:
            del self._ended[next(iter(self._ended))]
        return True


def _error(fault: Fault) -> ServiceError:
    if fault.kind == "outage":
        return ConnectionDropped(fault.message or "The connection was closed without an answer.")
    if fault.kind == "throttling":
        return ThrottlingException(fault.message or RATE_EXCEEDED)
    return _error_class(fault.code, fault.status)(fault.message or f"Injected: {fault.code}")


@functools.lru_cache(maxsize=128)
def _error_class(code: str, status: int) -> type[ServiceError]:
    """The class of a code: the service's own where it has one, so that ``except`` finds it."""
    base = next((cls for cls in _known(ServiceError) if cls.__name__ == code), None)
    if base is not None and base.status == status:
        return base
    members = {"status": status, "__doc__": "An injected fault."}
    return cast(type[ServiceError], type(code, (base or ServiceError,), members))


def _known(base: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _known(cls)
