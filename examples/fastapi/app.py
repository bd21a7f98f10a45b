"""A FastAPI app whose session key, database login and settings are secrets that rotate.

``Settings`` is read through pydantic-settings and followed by ``watch``; sessions are Starlette's
cookies; the database is psycopg's own async pool.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self

from fastapi import FastAPI, Request
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from smclient import AsyncSecretsClient
from smclient_fastapi import KeyRingSessionMiddleware, lifespan
from smclient_pydantic import FromSecret, SecretsBaseSettings, default_client, watch


class Settings(SecretsBaseSettings):
    """SMCLIENT_BACKEND and SMCLIENT_TTL come from the environment; so may POOL and MESSAGE."""

    message: Annotated[str, FromSecret("example/message")]
    pool: int = 4


client = AsyncSecretsClient(sync=default_client())  # the settings read through it too


class Connection(AsyncConnection[Any]):
    """A connection that logs in with the secret, through a rotation if need be."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        return await client.connect("example/database", super().connect, **kwargs)


@asynccontextmanager
async def inner(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    live = watch(Settings)
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        connection_class=Connection, max_size=live.current.pool, open=False
    )
    async with pool:
        yield {"live": live, "pool": pool}


app = FastAPI(lifespan=lifespan(client, warm=["example/sessions", "example/database"], inner=inner))
app.add_middleware(KeyRingSessionMiddleware, secret_key="secret://example/sessions#secret")


@app.get("/")
async def index(request: Request) -> dict[str, Any]:
    request.session["visits"] = request.session.get("visits", 0) + 1
    async with request.state.pool.connection() as connection:
        row = await connection.execute("UPDATE visits SET n = n + 1 RETURNING n")
        (total,) = await row.fetchone()
        await connection.commit()
        await connection.close()  # for the show: each request logs in anew
    return {
        "message": request.state.live.current.message,
        "your_visits": request.session["visits"],
        "all_visits": total,
        "worker": os.getpid(),
    }
