"""What requests use is within its ttl before they begin, and no event loop waits for that."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Receive, Scope, Send

from smclient import AsyncSecretsClient, SecretsClient
from smclient.fresh import Freshness
from smclient_fastapi.lifespan import AnyClient, as_async, client_in

_freshness = Freshness()
_looking: WeakKeyDictionary[SecretsClient, asyncio.Future[Any]] = WeakKeyDictionary()


class FreshSecretsMiddleware:
    """``app.add_middleware(FreshSecretsMiddleware)``: a request waits until what requests use is
    within its ttl, or cannot be now. It holds up no other request, and asks nobody within the ttl.

    What requests use is what ``warm``, ``Secret``, ``KeyRingSessionMiddleware`` and settings of
    ``smclient_pydantic.watch`` read through the same client. ``Secret`` and
    ``KeyRingSessionMiddleware`` do the same by themselves, so this is for apps that have neither.

    Args:
        app: what runs inside.
        client: that of the app; without one, its lifespan's.
    """

    def __init__(self, app: ASGIApp, *, client: AnyClient | None = None) -> None:
        self._app = app
        self._given = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait if need be, then go on inside."""
        if scope["type"] in ("http", "websocket"):
            await freshen(as_async(self._given) if self._given else client_in(scope))
        await self._app(scope, receive, send)


async def freshen(client: AsyncSecretsClient) -> None:
    """Wait until everything that was noted is within its ttl, or cannot be now; all tasks that need
    that wait for one look. Raises nothing."""
    sync = client.sync
    if not _freshness.due(sync):
        return
    looking = _looking.get(sync)
    if looking is None or looking.get_loop() is not asyncio.get_running_loop():
        looking = asyncio.ensure_future(asyncio.to_thread(_freshness.look, sync))
        _looking[sync] = looking
        looking.add_done_callback(lambda done: _landed(sync, done))
    await asyncio.shield(looking)


def _landed(client: SecretsClient, done: asyncio.Future[Any]) -> None:
    if _looking.get(client) is done:
        del _looking[client]
