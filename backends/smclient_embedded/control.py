"""The control endpoint: what a test in any language does to a served service beside AWS's API.

Plain JSON under ``/_smclient``, for the administrator: empty the store, move the clock, run what is
due, faults on purpose, counts. The routes are in ``Control.routes``; ``http.app`` brings the
requests, having seen who asks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import ConfigError
from smclient.pricing import PRICE_BOOK, exact
from smclient_embedded.errors import SerializationException, ValidationException
from smclient_embedded.faults import Fault
from smclient_embedded.http import refusals
from smclient_embedded.metrics import bill
from smclient_embedded.seeding import Seed, sow
from smclient_embedded.service import EmbeddedService

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""The clock is not moved past this, so that whatever is planned still has a date."""


class MovableClock:
    """A clock that runs as another one does, ahead of it by what it was moved."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ahead = timedelta()
        self.sleep = clock.sleep

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self._clock.monotonic() + self._ahead.total_seconds()

    def time(self) -> float:
        """See ``Clock``."""
        return self._clock.time() + self._ahead.total_seconds()

    def now(self) -> datetime:
        """See ``Clock``."""
        return self._clock.now() + self._ahead

    @property
    def ahead(self) -> float:
        """By how many seconds it was moved."""
        return self._ahead.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move it on. Raises ``ConfigError`` for a step back, and past the year 9000."""
        with self._lock:
            left = (LATEST - self._clock.now() - self._ahead).total_seconds()
            if not 0 <= seconds <= left:
                raise ConfigError("the clock moves on, up to the year 9000, and never back")
            self._ahead += timedelta(seconds=seconds)

    def advance_to(self, moment: datetime) -> None:
        """Move it on to a moment. Raises ``ConfigError`` if that is past already."""
        self.advance((moment - self.now()).total_seconds())

    def reset(self) -> None:
        """Put it back to the clock that it runs with."""
        with self._lock:
            self._ahead = timedelta()


Route = Callable[["Control", Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Control:
    """What can be done to one service from outside.

    Args:
        clock: the one that the service was made with.
        seeds: sown again after a reset.
    """

    service: EmbeddedService
    clock: MovableClock
    seeds: Sequence[Seed] = field(default=(), repr=False)

    def __call__(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Answer one request of the administrator; ``path`` is what follows the prefix.

        Raises:
            ServiceError: there is no such route, or the body does not fit it.
        """
        name = path.strip("/")
        if name.startswith("faults/") and method == "DELETE":
            return self._end_fault(name.removeprefix("faults/"))
        routes = [route for route in ROUTES if route[1] == name]
        if not routes:
            raise refusals.UnknownPath(f"There is no {name!r} here; {_known()}", is_read=True)
        for verb, _, answer in routes:
            if verb == method:
                return answer(self, _content(body))
        allowed = ", ".join(verb for verb, _, _ in routes)
        raise refusals.UnknownMethod(f"{name} takes {allowed}.", is_read=True)

    def reset(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``POST reset``: see ``EmbeddedService.reset``; the clock is put back, what the server was
        started with is sown again."""
        _take(content)
        self.clock.reset()
        removed = self.service.reset()
        return {"removed": removed, "created": sow(self.service, self.seeds)}

    def time(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``GET clock``."""
        _take(content)
        return {"now": self.clock.now().isoformat(), "moved_seconds": self.clock.ahead}

    def move(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``POST clock``: ``{"advance": seconds}`` or ``{"to": "2030-01-01T00:00:00Z"}``."""
        _take(content, "advance", "to")
        if len(content) != 1:
            raise ValidationException('Say {"advance": seconds} or {"to": a moment}, one of them.')
        try:
            if "advance" in content:
                self.clock.advance(_number(content["advance"]))
            else:
                self.clock.advance_to(_moment(content["to"]))
        except ConfigError as error:
            raise ValidationException(str(error)) from None
        return self.time({})

    def run_due(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``POST run-due``: the ARNs that were deleted, rotated, or failed to be."""
        _take(content)
        done = self.service.run_due()
        return {
            "deleted": list(done.deleted),
            "rotated": list(done.rotated),
            "failed": list(done.failed),
        }

    def faults(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``GET faults``."""
        _take(content)
        return {"faults": list(self.service.faults)}

    def add_fault(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``POST faults``: a fault as ``Fault.to_dict`` gives it; answers its number."""
        try:
            return {"number": self.service.faults.add(Fault.from_dict(content)).number}
        except ConfigError as error:
            raise ValidationException(str(error)) from None

    def clear_faults(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``DELETE faults``."""
        _take(content)
        self.service.faults.clear()
        return {"faults": []}

    def metrics(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``GET metrics``."""
        _take(content)
        return {"metrics": self.service.metrics()}

    def usage(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """``GET usage``: this month's counts, and under ``bill`` what they would cost at AWS, in
        dollars as text."""
        _take(content)
        usage = self.service.usage()
        cost = bill(usage)
        parts = ("secrets", "api_calls", "customer_keys", "kms_calls", "total")
        dollars = {part: exact(getattr(cost, part)) for part in parts}
        as_of = PRICE_BOOK.as_of.isoformat()
        return {**usage, "bill": {"as_of": as_of, "dollars": dollars}}

    def _end_fault(self, number: str) -> dict[str, Any]:
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ValidationException("A fault is named by its number: faults/3.")
        return {"ended": self.service.faults.cancel(int(number))}


ROUTES: tuple[tuple[str, str, Route], ...] = (
    ("POST", "reset", Control.reset),
    ("GET", "clock", Control.time),
    ("POST", "clock", Control.move),
    ("POST", "run-due", Control.run_due),
    ("GET", "faults", Control.faults),
    ("POST", "faults", Control.add_fault),
    ("DELETE", "faults", Control.clear_faults),
    ("GET", "metrics", Control.metrics),
    ("GET", "usage", Control.usage),
)


def _known() -> str:
    return "known: " + ", ".join(f"{method} {name}" for method, name, _ in ROUTES)


def _content(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise SerializationException("The request body is not JSON.") from None
    if not isinstance(content, dict):
        raise SerializationException("The request body is not a JSON object.")
    return content


def _take(content: Mapping[str, Any], *known: str) -> None:
    for name in content:
        if name not in known:
            raise ValidationException(
                f"There is no member {name[:64]!r} here; known: {', '.join(known) or 'none'}."
            )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationException("'advance' is a number of seconds.")
    return float(value) if abs(value) < 1e15 else float("inf")


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValidationException("'to' is a moment such as 2030-01-01T00:00:00Z.") from None
    if moment.tzinfo is None:
        raise ValidationException("'to' needs an offset: 2030-01-01T00:00:00Z.")
    return moment
