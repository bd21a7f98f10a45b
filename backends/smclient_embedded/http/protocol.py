"""uvicorn's HTTP/1.1 protocol, with the bounds that it leaves to a proxy.

uvicorn lets headers grow and trickle in for ever, waits for ever for a client that does not read,
and answers what is not HTTP in plain text. Here: headers have a size and a deadline, an answer that
nobody reads has one too, there are only so many connections, and the refusals have the service's
shape. A request that came whole and can be answered at once is, without a task of its own.
"""

from __future__ import annotations

import asyncio
import functools
import http
import uuid
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from smclient_embedded.http import json11, refusals
from smclient_embedded.http.app import DROP, IS_WHOLE, HttpApp
from smclient_embedded.http.json11 import WireAnswer
from smclient_embedded.http.refusals import WireRefusal

MAX_HEADERS = 64 * 1024
HEADER_SECONDS = 10.0
WRITE_SECONDS = 30.0
GOODBYE_SECONDS = 0.5
MAX_CONNECTIONS = 900


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    header_seconds = HEADER_SECONDS
    max_headers = MAX_HEADERS
    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_headers = True
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refusal: WireRefusal | None = None
        self._is_over = False
        self._waiting: tuple[RequestResponseCycle, Any] | None = None
        self._is_parsing = self._just_answered = False
        self._extensions: dict[str, dict[object, object]] = {
            DROP: {"call": self._drop},
            IS_WHOLE: {"call": self._is_whole},
        }

    # --- the connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        joined: Any = _JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        if len(self.connections) > self.max_connections:
            self._refuse(refusals.TooManyConnections(self.max_connections))
        else:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        super().connection_lost(exc)
        _cancel(self._header_timer)
        self._header_timer = None
        _cancel(self._write_timer)
        self._write_timer = None

    def data_received(self, data: bytes) -> None:
        """Parse, and see whether the client is still in its headers."""
        if self._refusal is not None:
            return
        self._is_parsing, self._just_answered = True, False
        try:
            super().data_received(data)
        finally:
            self._is_parsing = False
        if self._waiting is not None:
            self._take_the_long_way()
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._in_headers or (is_idle and not self._just_answered):
            self._header_bytes += len(data)
            if self._header_bytes > self.max_headers:
                self._refuse(refusals.HeadersTooLarge(self.max_headers))
            else:
                self._wait_for_headers()
        elif self._header_timer is not None:
            _cancel(self._header_timer)
            self._header_timer = None

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more; what it asked for in full is still answered."""
        self._is_over = self.scheme == "http" and self._is_due and not self.cycle.more_body
        return self._is_over or None

    # --- the parser -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = True
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """The headers of a request are complete."""
        self._in_headers = False
        self._header_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request came whole: answer it, if that can be done at once."""
        super().on_message_complete()
        if self._waiting is not None and not self._answer_now(self._waiting[0]):
            self._take_the_long_way()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Wait for what else came with the headers, or begin."""
        if self._is_parsing and cycle.more_body:
            self._waiting = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """The parser gave up."""
        self._waiting = None
        self._refuse(refusals.NotHttp())

    def on_response_complete(self) -> None:
        """An answer is out; a refusal may wait behind it."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._do_not_wait_for_goodbye()
        elif not self._is_due and self._refusal is not None:
            self._write_refusal(self._refusal)
        elif not self._is_due and self._is_over:
            self.transport.close()

    def shutdown(self) -> None:
        """The server ends: at once, or after the answer that is due."""
        super().shutdown()
        if self.transport.is_closing():
            self._do_not_wait_for_goodbye()

    # --- writing ----------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        _cancel(self._write_timer)
        self._write_timer = None

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _is_due(self) -> bool:
        """Whether an answer is still to come."""
        return self.cycle is not None and not self.cycle.response_complete

    def _take_the_long_way(self) -> None:
        """Give the request to the application as ASGI has it."""
        assert self._waiting is not None
        (cycle, app), self._waiting = self._waiting, None
        super()._start_asgi_task(cycle, app)

    def _answer_now(self, cycle: RequestResponseCycle) -> bool:
        app = self.app
        if (
            not isinstance(app, HttpApp)
            or not cycle.keep_alive
            or cycle.waiting_for_100_continue
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        scope: Any = self.scope
        prompt = app.answer_now(scope, bytes(cycle.body))
        if prompt is None:
            return False
        if prompt.later or prompt.answer.dropped:
            self._waiting = cycle, functools.partial(app.finish, prompt)
            return False
        self._waiting = None
        self._just_answered = True
        self._write_answer(prompt.answer)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.on_response_complete()
        return True

    def _write_answer(self, answer: WireAnswer) -> None:
        lines = [_status_line(answer.status)]
        lines += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        lines += [
            f"{name.lower()}: {value}\r\n".encode("latin-1")
            for name, value in answer.headers.items()
        ]
        lines += (b"content-length: %d\r\n\r\n" % len(answer.body), answer.body)
        self.transport.write_whole(b"".join(lines))  # type: ignore[attr-defined]

    def _drop(self) -> None:
        """Close the connection without an answer to the request that is being answered."""
        self.cycle.disconnected = True
        self.transport.abort()

    def _is_whole(self) -> bool:
        """Whether the request that is being answered has come in full."""
        return not (self.cycle.more_body or self.pipeline)

    def _do_not_wait_for_goodbye(self) -> None:
        """A TLS connection closes when both sides have said so, and idle clients say nothing."""
        if self.scheme == "https":
            self.loop.call_later(GOODBYE_SECONDS, self.transport.abort)

    def _wait_for_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if self._is_due:
            self._wait_for_headers()  # an earlier request is being answered
        elif self._header_bytes == 0:
            self.transport.close()  # nothing was asked
        else:
            self._refuse(refusals.TooSlow(self.header_seconds))

    def _refuse(self, refusal: WireRefusal) -> None:
        """Answer with a refusal, after the answers that are still due, and close."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = refusal
        if self._is_due and not self.cycle.more_body:
            return  # on_response_complete goes on
        if self.pipeline:
            self.transport.close()
        else:
            self._write_refusal(refusal)

    def _write_refusal(self, refusal: WireRefusal) -> None:
        answer = json11.refusal(refusal, str(uuid.uuid4()))
        headers = {
            **answer.headers,
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = _status_line(answer.status) + lines.encode("latin-1")
        self.transport.write(head + b"\r\n" + answer.body)
        self.transport.close()


@functools.cache
def _status_line(status: int) -> bytes:
    known = http.HTTPStatus(status)
    return f"HTTP/1.1 {known.value} {known.phrase}\r\n".encode()


class _JoinedWrites:
    """A transport whose writes of one turn of the loop go out together: uvicorn writes the head and
    the body of an answer one by one, which is two system calls and two packets."""

    __slots__ = ("_loop", "_pieces", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write soon."""
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def write_whole(self, answer: bytes) -> None:
        """Write an answer that nothing will follow, behind what is left; there is no turn of the
        loop to wait for."""
        self._flush()
        self._transport.write(answer)

    def close(self) -> None:
        """Write what is left, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
