"""The service as an ASGI 3 application: AWS JSON 1.1 on ``POST /``, ``GET /health``, and what the
administrator may do beside that under ``/_smclient``, where it is allowed.

One order for every request: Host → forwarded headers → path and method → content type → the body,
within its limit and its deadline → JSON → target → signature → the door. All that a client can do
wrong is answered with a refusal in AWS's shape; a fault of our own is logged without values and
answered with ``InternalServiceError`` and no details. ``x-amzn-RequestId`` is always there.

The door is synchronous. Measured (2 busy cores, uvloop, GetSecretValue over SQLite with its
signature): on the loop 4,200 requests/s, p99 9 ms; through a pool of threads 2,500 and 18 ms, as
handing over the interpreter costs more than a read. Hence ``inline``: what it says yes to, point
reads of a store on this machine, is answered on the loop; the rest, which waits for a disk, a lock
or another machine, goes to a bounded pool. So does what a read has to write now and then: the audit
trail with every 256th, LastAccessedDate with the first of a day. Its answer waits for that; the
loop does not.

A request that somebody passed on is refused (``X-Forwarded-For``, ``Forwarded``), as AWS's agent
does: it comes from elsewhere than it seems to, and whoever put a proxy in front says so
(``behind_proxy``). Then the last hop is the source address.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from smclient._version import __version__
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.door import Door
from smclient_embedded.errors import AccessDeniedException, ServiceError
from smclient_embedded.http import json11, refusals
from smclient_embedded.http.hosts import AllowedHosts
from smclient_embedded.http.incoming import ClientGone, Receive, Wire, whole
from smclient_embedded.http.json11 import WireAnswer
from smclient_embedded.http.own_faults import answer_of_fault
from smclient_embedded.http.sigv4 import AccessKey, Caller, Headers, claimed, verify
from smclient_embedded.ids import random_uuid

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Control = Callable[[str, str, bytes], dict[str, Any]]
"""Answers a control request: method, what follows the prefix, body. Raises ``ServiceError``."""

CONTROL = "/_smclient"

DROP = "smclient.drop"
"""The extension of a server that can close a connection without an answer, for an outage on
purpose. Another server sends a 503 instead."""

IS_WHOLE = "smclient.is_whole"
"""The extension of a server that knows whether a request has come in full; then no deadline is
set for it."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 16 * 2**20
_HEALTH = json.dumps({"status": "ok", "version": __version__}).encode()


Manage = Callable[[str, dict[str, Any], RequestContext], dict[str, Any]]
"""The end of a target of ours, its body, and who asks, to an answer."""

MANAGE_PREFIX = b"smclient.Function"


def _system_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What an application allows.

    Attributes:
        find_key: the access key of an id; ``None`` lets everybody in unsigned. Then a 12-digit
            access key id selects that account, and the administrator of ``account`` is the rest.
        region: where an unsigned request is answered that names no region.
        hosts: the names that a request may have in ``Host``.
        max_body, body_seconds: how large a body may be, and how long it may take to arrive.
        behind_proxy: a proxy of ours is in front; else forwarded requests are refused.
        open_session: the key of a session by its id and token.
        now: the time that signatures are compared with. The machine's, not the service's, which
            tests move.
        manage: does what requests with targets of our own ask, once they are verified; ``None``
            refuses them.
    """

    account: str
    region: str
    find_key: Callable[[str], AccessKey | None] | None
    hosts: AllowedHosts = field(default_factory=AllowedHosts)
    max_body: int = 2**20
    body_seconds: float = 10.0
    behind_proxy: bool = False
    now: Callable[[], datetime] = _system_now
    open_session: Callable[[str, str], AccessKey | None] | None = None
    manage: Manage | None = None


class Prompt(NamedTuple):
    """An answer that is ready, and what has to be done before it goes out."""

    answer: WireAnswer
    later: Sequence[Callable[[], object]]


class HttpApp:
    """The ASGI application of one service.

    Args:
        inline: whether an operation may be answered on the event loop.
        pool: where the others are answered.
        control: answers what is under ``/_smclient``; ``None`` where that is not allowed.
    """

    def __init__(
        self,
        door: Door,
        settings: HttpSettings,
        *,
        inline: Callable[[str], bool],
        pool: Executor | None = None,
        control: Control | None = None,
    ) -> None:
        self._door = door
        self._settings = settings
        self._inline = inline
        self._pool = pool
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _other_protocol(scope["type"], receive, send)
            return
        request_id = random_uuid()
        unread = False
        try:
            answer = await self._answer(scope, receive, request_id)
        except ClientGone:
            return
        except ServiceError as refusal:
            answer = json11.refusal(refusal, request_id)
            unread = isinstance(refusal, refusals.WireRefusal) and not refusal.is_read
        except Exception as error:  # noqa: BLE001  a bug of ours must not reach the client as one
            answer = answer_of_fault(error, request_id)
        if answer.dropped and DROP in scope.get("extensions", {}):
            scope["extensions"][DROP]["call"]()
            return
        await _send(send, answer, scope["method"], close=unread)
        if unread:
            await _linger(receive)
            await send({"type": "http.response.body", "body": b""})

    def answer_now(self, scope: Scope, body: bytes) -> Prompt | None:
        """The answer to a request that is whole, if it can be had on the event loop; ``None`` for
        whatever takes another way: it is then given to ``__call__``, as if nothing had been asked.

        For a server that holds the request already: a task and four messages for each take as long
        as reading the secret does.
        """
        if scope["path"] != "/" or scope["method"] != "POST" or self._door.faults.armed:
            return None
        headers: Headers = scope["headers"]
        wire = Wire.of(headers)
        if wire.content_type != _CONTENT_TYPE or len(body) > self._settings.max_body:
            return None
        try:
            self._check_origin(scope, wire)
            operation = json11.named(wire.target.decode("latin-1"), self._door.model.operations)
            if not self._inline(operation):
                return None
            caller = self._caller(scope, headers, body)
            context = self._context(scope, wire, caller, random_uuid())
        except ServiceError:
            return None
        later: list[Callable[[], object]] = []
        try:
            call = json11.Call(operation, body)
            answer = json11.respond(self._door, call, context, later.append)
        except Exception as error:  # noqa: BLE001  as in __call__
            answer = answer_of_fault(error, context.request_id)
        return Prompt(answer, later)

    async def finish(self, prompt: Prompt, scope: Scope, receive: Receive, send: Send) -> None:
        """Do what has to be done before a prompt answer goes out, and send it."""
        answer = prompt.answer
        if answer.dropped and DROP in scope.get("extensions", {}):
            scope["extensions"][DROP]["call"]()
            return
        try:
            await self._do(prompt.later)
        except Exception as error:  # noqa: BLE001  as in __call__
            answer = answer_of_fault(error, answer.headers["x-amzn-RequestId"])
        await _send(send, answer, scope["method"], close=False)

    # --- inside -----------------------------------------------------------------------------------

    async def _do(self, later: Sequence[Callable[[], object]]) -> None:
        for work in later:
            await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _context(self, scope: Scope, wire: Wire, caller: Caller, request_id: str) -> RequestContext:
        return RequestContext(
            caller.principal,
            caller.region,
            request_id,
            self._source(scope, wire),
            wire.user_agent.decode("latin-1"),
            scope.get("scheme") == "https",
            caller.access_key_id,
        )

    async def _answer(self, scope: Scope, receive: Receive, request_id: str) -> WireAnswer:
        headers: Headers = scope["headers"]
        wire = Wire.of(headers)
        path = scope["path"]
        if path == "/health" and scope["method"] in ("GET", "HEAD"):
            return _health(request_id)
        self._check_origin(scope, wire)
        if path != "/":
            return await self._controlled(scope, receive, wire, request_id)
        if scope["method"] != "POST":
            raise refusals.UnknownMethod
        kind = wire.content_type
        if kind != _CONTENT_TYPE and kind.partition(b";")[0].strip().lower() != _CONTENT_TYPE:
            raise refusals.UnknownContentType
        body = await self._body(scope, receive, wire.content_length)
        if wire.target.startswith(MANAGE_PREFIX):
            caller = self._caller(scope, headers, body)
            context = self._context(scope, wire, caller, request_id)
            return await self._managed(wire.target, body, context)
        call = json11.read(wire.target.decode("latin-1"), body, self._door.model.operations)
        caller = self._caller(scope, headers, body)
        context = self._context(scope, wire, caller, request_id)
        may_wait = self._door.faults.armed  # a latency on purpose must not hold up the loop
        if self._inline(call.operation) and not may_wait:
            later: list[Callable[[], object]] = []
            answer = json11.respond(self._door, call, context, later.append)
            await self._do(later)
            return answer
        respond = functools.partial(json11.respond, self._door, call, context)
        return await asyncio.get_running_loop().run_in_executor(self._pool, respond)

    async def _managed(self, target: bytes, body: bytes, context: RequestContext) -> WireAnswer:
        manage = self._settings.manage
        if manage is None or self._settings.find_key is None:
            raise AccessDeniedException(
                "functions cannot be managed here: the server was started without "
                "--allow-function-upload"
            )
        action = target.removeprefix(MANAGE_PREFIX).decode("latin-1")
        given = json11.parsed(body)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._pool, manage, action, given, context)
        return json11.answered(answer, context.request_id)

    async def _controlled(
        self, scope: Scope, receive: Receive, wire: Wire, request_id: str
    ) -> WireAnswer:
        """Answer the administrator beside AWS's API. A page in a browser cannot ask: it may not
        send this content type, nor DELETE, to another origin."""
        path, method = scope["path"], scope["method"]
        if path != CONTROL and not path.startswith(CONTROL + "/"):
            raise refusals.UnknownPath
        if self._control is None:
            raise refusals.NoControl
        kind = wire.content_type.partition(b";")[0].strip().lower()
        if method == "POST" and kind != b"application/json":
            raise refusals.UnknownContentType("The Content-Type must be application/json.")
        body = await self._body(scope, receive, wire.content_length)
        principal = self._caller(scope, scope["headers"], body).principal
        administrator = Principal.administrator(self._settings.account)
        if self._settings.find_key is not None and principal != administrator:
            raise refusals.NotAdministrator
        answer = functools.partial(self._control, method, path.removeprefix(CONTROL), body)
        found = await asyncio.get_running_loop().run_in_executor(self._pool, answer)
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
        return WireAnswer(200, headers, json.dumps(found).encode())

    def _check_origin(self, scope: Scope, wire: Wire) -> None:
        server = scope.get("server")
        if wire.hosts != 1 or not self._settings.hosts.allows(wire.host, server and server[0]):
            raise refusals.UnknownHost
        if wire.forwarded and not self._settings.behind_proxy:
            raise refusals.Forwarded

    def _source(self, scope: Scope, wire: Wire) -> str:
        if self._settings.behind_proxy and wire.forwarded_for:
            last = wire.forwarded_for.rpartition(b",")[2].strip().decode("latin-1")
            try:
                return str(ipaddress.ip_address(last))
            except ValueError:
                raise refusals.Forwarded(is_read=True) from None
        client = scope.get("client")
        return str(client[0]) if client else "127.0.0.1"

    def _caller(self, scope: Scope, headers: Headers, body: bytes) -> Caller:
        settings = self._settings
        if settings.find_key is None:
            key, region = claimed(headers)
            is_account = key is not None and len(key) == 12 and key.isascii() and key.isdigit()
            account = key if key is not None and is_account else settings.account
            return Caller(Principal.administrator(account), region or settings.region)
        return verify(
            method=scope["method"],
            path=scope["raw_path"],
            query=scope["query_string"],
            headers=headers,
            body=body,
            now=settings.now(),
            find_key=settings.find_key,
            open_session=settings.open_session,
        )

    async def _body(self, scope: Scope, receive: Receive, announced: bytes | None) -> bytes:
        limit = self._settings.max_body
        if announced is not None and (len(announced) > 18 or int(announced or b"0") > limit):
            raise refusals.TooLarge(limit)
        extensions = scope.get("extensions", {})
        if IS_WHOLE in extensions and extensions[IS_WHOLE]["call"]():
            return await whole(receive, limit)
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                return await whole(receive, limit)
        except TimeoutError:
            raise refusals.TooSlow(self._settings.body_seconds) from None


_CONTENT_TYPE = json11.CONTENT_TYPE.encode()
_LOWER = {"Content-Type": b"content-type", "x-amzn-RequestId": b"x-amzn-requestid"}


async def _send(send: Send, answer: WireAnswer, method: str, *, close: bool) -> None:
    headers = [
        (_LOWER.get(name) or name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
    ]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    if answer.status == 405:
        headers.append((b"allow", b"POST"))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": close})


async def _linger(receive: Receive) -> None:
    """Let a client that is still sending read its refusal: what it sends is thrown away, within
    bounds. Closing at once would reset the connection under the answer."""
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


async def _other_protocol(kind: str, receive: Receive, send: Send) -> None:
    if kind == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})


def _health(request_id: str) -> WireAnswer:
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
    return WireAnswer(200, headers, _HEALTH)
