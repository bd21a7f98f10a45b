"""uvicorn's HTTP/1.1 protocol, with the bounds that it leaves to a proxy.

uvicorn lets headers grow and trickle in for ever, waits for ever for a client that does not read,
and answers what is not HTTP in plain text. Here: headers have a size and a deadline, an answer that
nobody reads has one too, there are only so many connections, and the refusals have the service's
shape. A request that came whole and can be answered at once is, without a task of its own: what
the parser says of it is held back until that is known, and else told to uvicorn then.
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
        self._prompt_app = self.app if isinstance(self.app, HttpApp) else None
        self._held_body: list[bytes] | None = None
        self._finish: Any = None
        self._just_answered = False
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
        self._just_answered = False
        super().data_received(data)
        if self._held_body is not None:
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
        if self._may_be_prompt():
            self._held_body = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if self._held_body is None:
            super().on_body(body)
        else:
            self._held_body.append(body)

    def on_message_complete(self) -> None:
        """A request came whole: answer it, if that can be done at once."""
        if self._held_body is not None:
            if self._answer_now(b"".join(self._held_body)):
                self._held_body = None
                return
            self._take_the_long_way()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer a request, in a task of its own."""
        finish, self._finish = self._finish, None
        super()._start_asgi_task(cycle, finish or app)

    def send_400_response(self, msg: str) -> None:
        """The parser gave up."""
        self._held_body = None
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

    def _may_be_prompt(self) -> bool:
        """Whether a request, as far as its headers tell, is one that may be answered at once; then
        ``scope`` says so."""
        parser: Any = self.parser
        if (
            self._prompt_app is None
            or self._is_due
            or self.url != b"/"
            or self.expect_100_continue
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
        ):
            return False
        scope: Any = self.scope
        scope["method"], scope["path"], scope["raw_path"] = "POST", "/", b"/"
        scope["query_string"] = b""
        return True

    def _take_the_long_way(self) -> None:
        """Tell uvicorn what was held back: it gives the request to the application as ASGI says."""
        pieces, self._held_body = self._held_body, None
        super().on_headers_complete()
        for body in pieces or ():
            super().on_body(body)

    def _answer_now(self, body: bytes) -> bool:
        """Whether that was done. If something has to be done first, it is left to ``_finish``."""
        if self.flow.write_paused or self.transport.is_closing() or self._prompt_app is None:
            return False
        scope: Any = self.scope
        prompt = self._prompt_app.answer_now(scope, body)
        if prompt is None:
            return False
        if prompt.later or prompt.answer.dropped:
            self._finish = functools.partial(self._prompt_app.finish, prompt)
            return False
        self._just_answered = True
        self._write_answer(prompt.answer)
        self.on_response_complete()
        return True

    def _write_answer(self, answer: WireAnswer) -> None:
        lines = [f"{name.lower()}: {value}\r\n" for name, value in answer.headers.items()]
        self.transport.write_whole(  # type: ignore[attr-defined]
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (
                _status_line(answer.status),
                _lines_of(tuple(self.server_state.default_headers)),
                "".join(lines).encode("latin-1"),
                len(answer.body),
                answer.body,
            )
        )

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


@functools.lru_cache(maxsize=4)
def _lines_of(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Headers that stay the same for a second: the date is among them."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


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

    def is_closing(self) -> bool:
        """Whether it is closed, or will be once all is written."""
        return self._transport.is_closing()

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
