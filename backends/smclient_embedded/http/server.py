"""uvicorn, run from here: sockets, readiness, draining."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from smclient.errors import SmclientError
from smclient_embedded.http.app import HttpApp
from smclient_embedded.http.protocol import BoundedProtocol

if TYPE_CHECKING:
    from smclient_embedded.http.tls import TlsFiles

logger = logging.getLogger("smclient.embedded.http")

DRAIN_SECONDS = 10
IDLE_SECONDS = 75
"""How long a connection may be idle: longer than SDKs keep theirs."""
BACKLOG = 1024

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotListen(SmclientError):
    """The address cannot be listened on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that was bound, and how it is reached."""

    socket: socket.socket
    host: str
    is_tls: bool = False

    @property
    def endpoint(self) -> str:
        """The URL that SDKs are given. For "every address" it names this machine's loopback."""
        address, port = self.socket.getsockname()[:2]
        any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address)  # noqa: S104  compared
        host = any_address or self.host
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.is_tls else 'http'}://{shown}:{port}"


def listen(host: str, port: int, *, is_tls: bool = False) -> Listener:
    """Bind a host (a name or an address) and a port, 0 for a free one.

    Raises:
        CannotListen: the port is taken or not allowed, or the host is not here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda f: f[0] != socket.AF_INET)
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"the host {host!r} cannot be listened on: {error.strerror}") from error
    try:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotListen(
            f"port {port} on {host} cannot be listened on ({reason}); choose another with --port, "
            "or a free one with --port 0"
        ) from error
    return Listener(bound, host, is_tls)


@dataclass(frozen=True, slots=True)
class Serving:
    """How a server runs.

    Attributes:
        background: what is entered while the server runs.
        drain_seconds: how long the answers in flight may take at the end.
        max_connections: how many there may be at once, ``None`` for what the protocol says. One
            more is told so and closed.
    """

    tls: TlsFiles | None = None
    background: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    drain_seconds: int = DRAIN_SECONDS
    protocol: type[BoundedProtocol] = BoundedProtocol
    max_connections: int | None = None


def run(
    app: HttpApp, listener: Listener, serving: Serving, *, on_ready: Callable[[], object]
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is in flight.

    Args:
        on_ready: called once connections are accepted.
    """
    server = _Server(_config(app, serving), on_ready)
    with serving.background():
        server.run(sockets=[listener.socket])


@contextlib.contextmanager
def in_thread(app: HttpApp, listener: Listener, serving: Serving) -> Iterator[str]:
    """Serve from a thread of this process while the block runs. Gives the endpoint."""
    ready = threading.Event()
    server = _Server(_config(app, serving), ready.set)

    def serve() -> None:
        try:
            with serving.background():
                server.run(sockets=[listener.socket])
        finally:
            ready.set()

    thread = threading.Thread(target=serve, name="smclient-serve", daemon=True)
    thread.start()
    ready.wait()
    if not server.started:
        raise CannotListen(f"no server came up at {listener.endpoint}; its log says why")
    try:
        yield listener.endpoint
    finally:
        server.should_exit = True
        thread.join(serving.drain_seconds + DRAIN_SECONDS)


class _Server(uvicorn.Server):
    """Ends normally after a signal; uvicorn's own raises it again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal drains, the second does not wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def _config(app: HttpApp, serving: Serving) -> uvicorn.Config:
    tls = serving.tls
    return uvicorn.Config(
        app,
        loop=_loop(),
        http=_protocol(serving),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # what is wrong with a request is told to who sent it
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe X-Forwarded-For from this machine
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=serving.drain_seconds,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )


def _protocol(serving: Serving) -> type[BoundedProtocol]:
    if serving.max_connections is None:
        return serving.protocol
    members = {"max_connections": serving.max_connections}
    return type(serving.protocol.__name__, (serving.protocol,), members)


def _loop() -> Any:
    try:
        import uvloop  # noqa: F401  not there on every platform
    except ImportError:
        return "asyncio"
    return "uvloop"
