"""Who among redis-py's pools wants to hear of new credentials, and how each is told."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any
from weakref import WeakMethod

from redis.auth.token import TokenInterface

logger = logging.getLogger("smclient")

Listener = Callable[[TokenInterface], Any]


class Login(TokenInterface):
    """User and password in the shape that redis-py re-authenticates with. It does not expire."""

    __slots__ = ("_password", "_user")

    def __init__(self, credentials: tuple[str] | tuple[str, str]) -> None:
        self._user = credentials[0] if len(credentials) == 2 else "default"
        self._password = credentials[-1]

    def try_get(self, key: str) -> str:
        """redis-py asks for ``oid`` only: the user."""
        return self._user

    def get_value(self) -> str:
        """The password."""
        return self._password

    def is_expired(self) -> bool:
        """Never: the next rotation sends another."""
        return False

    def ttl(self) -> float:
        """Milliseconds left, as redis-py defines it; -1 for no end."""
        return -1

    def get_expires_at_ms(self) -> float:
        """-1: no end."""
        return -1

    def get_received_at_ms(self) -> float:
        """-1: not kept."""
        return -1


class Listeners:
    """The callbacks that redis-py registered, each with the event loop it belongs to.

    They are held weakly: redis-py takes none back, and a client that is gone needs no login.
    """

    def __init__(self) -> None:
        self._known: list[tuple[Callable[[], Listener | None], asyncio.AbstractEventLoop | None]]
        self._known = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, callback: Listener) -> None:
        """Remember one, once."""
        if any(reference() == callback for reference, _ in self._known):
            return
        held = WeakMethod(callback) if inspect.ismethod(callback) else lambda: callback
        self._known = [*self._living(), (held, _running_loop())]

    def seen_on_loop(self) -> None:
        """A connection was opened here: where asyncio clients that were made elsewhere live."""
        self._loop = asyncio.get_running_loop()

    def tell(self, token: TokenInterface) -> None:
        """Pass a login to all of them. One that fails is logged and keeps it from nobody else."""
        self._known = self._living()
        for reference, loop in self._known:
            callback = reference()
            if callback is None:
                continue
            if inspect.iscoroutinefunction(callback):
                _tell_on(loop or self._loop, callback, token)
                continue
            try:
                callback(token)
            except Exception as error:  # noqa: BLE001  another pool's trouble
                _log(error)

    def _living(self) -> list[tuple[Callable[[], Listener | None], Any]]:
        return [
            known
            for known in self._known
            if known[0]() is not None and not (known[1] is not None and known[1].is_closed())
        ]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _tell_on(
    loop: asyncio.AbstractEventLoop | None,
    callback: Callable[[TokenInterface], Awaitable[Any]],
    token: TokenInterface,
) -> None:
    if loop is None or loop.is_closed():
        return  # no connection was opened yet, or none is left

    async def tell() -> None:
        await callback(token)

    asyncio.run_coroutine_threadsafe(tell(), loop).add_done_callback(_look_at)


def _look_at(told: Future[None]) -> None:
    error = None if told.cancelled() else told.exception()
    if error is not None:
        _log(error)


def _log(error: BaseException) -> None:
    logger.error("connections of a Redis pool did not re-authenticate: %s", type(error).__name__)
