"""``KeyRingSessionMiddleware``: Starlette's cookie sessions, through a rotation of their key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import itsdangerous
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from smclient import ConfigError, SecretsClient, SmclientError
from smclient.fresh import note
from smclient.keyring import OTHER_STAGES, Key, KeyRing, followed
from smclient.remedies import with_remedy
from smclient_fastapi.fresh import freshen
from smclient_fastapi.lifespan import AnyClient, as_async, client_in

_keys: ContextVar[list[Key]] = ContextVar("smclient_fastapi_session_keys")


class KeyRingSessionMiddleware(SessionMiddleware):
    """``app.add_middleware(KeyRingSessionMiddleware, secret_key="secret://prod/web#session_key")``.

    The current key signs, AWSPENDING and AWSPREVIOUS verify too. A cookie that fits no key makes
    the ring look once more, off the event loop, before it is called bad: another worker may have
    signed it with a newer key.

    Args:
        app: what runs inside.
        secret_key: a reference to the key.
        client: reads it; without one, the app's (see ``lifespan``).
        stages: the labels whose keys verify; none ends all sessions at a rotation.
        options: Starlette's own: ``session_cookie``, ``max_age``, ``https_only``, ….

    Raises:
        InvalidReferenceError, ConfigError: it is no reference to the current version of a secret.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: str,
        *,
        client: AnyClient | None = None,
        stages: Iterable[str] = OTHER_STAGES,
        **options: Any,
    ) -> None:
        super().__init__(app, secret_key="replaced below", **options)  # noqa: S106
        self.signer = _RingSigner()
        self._reference = followed(secret_key)
        self._stages = tuple(stages)
        self._given = client
        self._ring: tuple[SecretsClient, KeyRing] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the keys at hand, without blocking the loop, then do as Starlette does."""
        if scope["type"] in ("http", "websocket"):
            client = as_async(self._given) if self._given else client_in(scope)
            ring = self._ring_for(client.sync)
            await freshen(client)
            try:
                await self._take_keys(ring, HTTPConnection(scope))
            except SmclientError as error:
                told = f"session key {self._reference}: {with_remedy(error)}"
                raise ConfigError(told) from error
        await super().__call__(scope, receive, send)

    # --- inside ---------------------------------------------------------------------------------

    async def _take_keys(self, ring: KeyRing, connection: HTTPConnection) -> None:
        waits = ring.would_wait()
        _keys.set(await asyncio.to_thread(ring.keys) if waits else ring.keys())
        cookie = connection.cookies.get(self.session_cookie)
        if cookie is None or self._fits(cookie):
            return
        if await asyncio.to_thread(ring.look_again, _keys.get()):
            _keys.set(ring.keys())

    def _fits(self, cookie: str) -> bool:
        try:
            self.signer.unsign(cookie.encode("utf-8"), max_age=self.max_age)
        except itsdangerous.SignatureExpired:
            return True  # well signed: no other key would make it younger
        except itsdangerous.BadSignature:
            return False
        return True

    def _ring_for(self, client: SecretsClient) -> KeyRing:
        if self._ring is None or self._ring[0] is not client:
            note(client, self._reference.refs())
            self._ring = (client, KeyRing(client, self._reference, stages=self._stages))
        return self._ring[1]


class _RingSigner(itsdangerous.TimestampSigner):
    """Signs and verifies with the keys that were taken for the request at hand."""

    def __init__(self) -> None:
        super().__init__("replaced at each use")

    def sign(self, value: str | bytes) -> bytes:
        return self._now().sign(value)

    def unsign(self, signed_value: str | bytes, *args: Any, **kwargs: Any) -> Any:
        return self._now().unsign(signed_value, *args, **kwargs)

    def _now(self) -> itsdangerous.TimestampSigner:
        newest_last: Any = list(reversed(_keys.get()))
        return itsdangerous.TimestampSigner(newest_last)
