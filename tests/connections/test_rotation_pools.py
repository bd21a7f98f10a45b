"""psycopg's pools and asyncpg's through rotations whose window is held open, on a real PostgreSQL.

No request fails though every second one makes its pool open another connection; once the user has
moved, a pool that was told so has connections of the new user only.
"""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from smclient import AsyncSecretsClient, SecretsClient
from smclient.hooks import SecretEvent
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof.scene import Scene

ROTATIONS = 2
WHO = "SELECT current_user"


class Rotating:
    """An application's client, and rotations on a thread of their own."""

    def __init__(self, server: PostgresServer, users: Any) -> None:
        self.scene = Scene(server, users, hold=0.5, lag=0.0)
        self.client = SecretsClient(self.scene.backend())
        self._thread = ThreadPoolExecutor(1)

    def start(self) -> Callable[[], bool]:
        """Begin to rotate; tells whether that is still under way, and raises if it failed."""

        def rotate() -> int:
            return sum(self.scene.rotate() for _ in range(ROTATIONS))

        rotated = self._thread.submit(rotate)

        def under_way() -> bool:
            if not rotated.done():
                return True
            assert rotated.result() == ROTATIONS
            return False

        return under_way

    def current_user(self) -> str:
        """Whom AWSCURRENT names, asked past the client."""
        value = self.scene.service.client().get_secret_value(SecretId=self.scene.secret_id)
        return str(json.loads(value["SecretString"])["username"])

    def close(self) -> None:
        self._thread.shutdown()
        self.client.close()
        self.scene.close()


@pytest.fixture(params=["single", "alternating"])
def rotating(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Rotating]:
    made = Rotating(postgres, request.param)
    yield made
    made.close()


def test_psycopgs_pool(rotating: Rotating) -> None:
    """With a connection class, and ``drain`` when the secret has moved."""
    client, secret_id = rotating.client, rotating.scene.secret_id
    drained: queue.Queue[str | None] = queue.Queue()

    class Connection(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            return client.connect(secret_id, super().connect, **kwargs)

    with ConnectionPool(connection_class=Connection, min_size=2, max_size=4) as pool:

        def drain(event: SecretEvent) -> None:
            pool.drain()
            drained.put(event.new_version_id)

        client.on_rotate(drain)
        under_way, requests = rotating.start(), 0
        while under_way() or requests < 2:
            with pool.connection(timeout=20) as connection:
                assert connection.execute(WHO).fetchone() is not None
                requests += 1
                if requests % 2:
                    connection.close()
        rotating.scene.rotate()
        version = client.refresh(secret_id).version_id
        while drained.get(timeout=20) != version:
            pass  # of a rotation before
        with pool.connection(timeout=20) as one, pool.connection(timeout=20) as two:
            users = {connection.execute(WHO).fetchone() for connection in (one, two)}
    assert users == {(rotating.current_user(),)}


def test_psycopgs_async_pool(rotating: Rotating) -> None:
    """The same, awaited."""
    secrets, secret_id = AsyncSecretsClient(sync=rotating.client), rotating.scene.secret_id

    class Connection(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            return await secrets.connect(secret_id, super().connect, **kwargs)

    async def main() -> set[Any]:
        loop = asyncio.get_running_loop()
        drained: asyncio.Queue[str | None] = asyncio.Queue()
        pool = AsyncConnectionPool(connection_class=Connection, min_size=2, max_size=4, open=False)
        async with pool:

            async def drain(event: SecretEvent) -> None:
                await pool.drain()
                drained.put_nowait(event.new_version_id)

            secrets.on_rotate(lambda event: asyncio.run_coroutine_threadsafe(drain(event), loop))
            under_way, requests = rotating.start(), 0
            while under_way() or requests < 2:
                async with pool.connection(timeout=20) as connection:
                    await connection.execute(WHO)
                    requests += 1
                    if requests % 2:
                        await connection.close()
            await asyncio.to_thread(rotating.scene.rotate)
            version = (await secrets.refresh(secret_id)).version_id
            while await asyncio.wait_for(drained.get(), 20) != version:
                pass  # of a rotation before
            async with pool.connection(timeout=20) as one, pool.connection(timeout=20) as two:
                return {await (await c.execute(WHO)).fetchone() for c in (one, two)}

    assert asyncio.run(main()) == {(rotating.current_user(),)}


def test_asyncpgs_pool(rotating: Rotating) -> None:
    """With ``connect=``, and ``expire_connections`` when the secret has moved."""
    secrets, secret_id = AsyncSecretsClient(sync=rotating.client), rotating.scene.secret_id

    async def main() -> set[Any]:
        loop = asyncio.get_running_loop()
        expired: asyncio.Queue[str | None] = asyncio.Queue()
        connect = secrets.connector(secret_id, asyncpg.connect)
        async with asyncpg.create_pool(connect=connect, min_size=2, max_size=4) as pool:

            async def expire(event: SecretEvent) -> None:
                await pool.expire_connections()
                expired.put_nowait(event.new_version_id)

            secrets.on_rotate(lambda event: asyncio.run_coroutine_threadsafe(expire(event), loop))
            under_way, requests = rotating.start(), 0
            while under_way() or requests < 2:
                async with pool.acquire(timeout=20) as connection:
                    await connection.fetchval(WHO)
                    requests += 1
                    if requests % 2:
                        await connection.close()
            await asyncio.to_thread(rotating.scene.rotate)
            version = (await secrets.refresh(secret_id)).version_id
            while await asyncio.wait_for(expired.get(), 20) != version:
                pass  # of a rotation before
            async with pool.acquire(timeout=20) as one, pool.acquire(timeout=20) as two:
                return {await c.fetchval(WHO) for c in (one, two)}

    assert asyncio.run(main()) == {rotating.current_user()}
