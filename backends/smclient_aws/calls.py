"""What happens on the wire during one call: attempts are counted, LimitExceeded is not repeated.

botocore's event system carries both. A call is known by its thread, because botocore does all the
work of a call on the thread that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SERVICE = "secrets-manager"
_LASTING = "LimitExceededException"
_HIDDEN = "LimitExceededException (lasting)"


class Wire:
    """What one call sent."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = 0


class _Current(threading.local):
    wire: Wire | None = None


_current = _Current()


@contextmanager
def watched() -> Iterator[Wire]:
    """Count what this thread sends to Secrets Manager inside the block, retries included."""
    outer, wire = _current.wire, Wire()
    _current.wire = wire
    try:
        yield wire
    finally:
        _current.wire = outer


def under_way() -> bool:
    """Whether this thread is inside a call of ours."""
    return _current.wire is not None


def attach(client: Any) -> None:
    """Watch a client. Does nothing to calls outside ``watched``; attaching twice is fine."""
    events = client.meta.events
    events.register_first(f"before-send.{_SERVICE}", _count, unique_id="smclient-count")
    # botocore takes LimitExceededException for a throttle. Its handlers would repeat the call, and
    # use up the tokens of its retry quota; so they do not get to see that code. The root of an
    # event comes last, after every handler of the service.
    events.register_first(f"needs-retry.{_SERVICE}", _hide, unique_id="smclient-hide")
    events.register_last("needs-retry", _show, unique_id="smclient-show")


def _count(**event: Any) -> None:
    if _current.wire is not None:
        _current.wire.sent += 1


def _hide(response: Any = None, **event: Any) -> bool | None:
    error = _error_of(response)
    if _current.wire is None or error.get("Code") != _LASTING:
        return None
    error["Code"] = _HIDDEN
    return False  # botocore: an answer that is not None ends the search, and False is "no retry"


def _show(response: Any = None, **event: Any) -> None:
    error = _error_of(response)
    if error.get("Code") == _HIDDEN:
        error["Code"] = _LASTING


def _error_of(response: Any) -> dict[str, Any]:
    error = response[1].get("Error") if response is not None else None
    return error if isinstance(error, dict) else {}
