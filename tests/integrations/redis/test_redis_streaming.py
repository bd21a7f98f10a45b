"""Open connections re-authenticate when the secret rotates, on a real Redis."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_demo.redis_server import RedisServer
from smclient_redis import SecretCredentials
from smclient_redis.streaming import Listeners, Login

_numbers = itertools.count(1)


class Later:
    """A worker whose work is done when the test says so, as a thread does it: after the refresh."""

    def __init__(self) -> None:
        self._work: list[Callable[[], object]] = []

    def submit(self, work: Callable[[], object]) -> None:
        self._work.append(work)

    def close(self) -> None:
        self._work.clear()

    def do(self) -> None:
        while self._work:
            self._work.pop(0)()


class Moving:
    """A secret that moves from one user of the real server to another."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.where = {"host": server.host, "port": server.port}
        self.backend = FakeBackend()
        self.worker = Later()
        self.client = SecretsClient(
            self.backend, login_wait=0, clock=FakeClock(), worker=self.worker, jitter=0.0
        )
        self.provider = SecretCredentials(self.client, "prod/redis")
        self.user = ""
        self.move()

    def move(self) -> str:
        """AWSCURRENT is another user from now on; the client has not seen that yet."""
        before, self.user = self.user, f"streamed_{next(_numbers)}"
        password = f"of-{self.user}"
        self.server.create_user(self.user, password)
        content = {"username": self.user, "password": password, **self.where}
        self.backend.put("prod/redis", content)
        return before

    def notice(self) -> None:
        """The client sees the rotation, and whoever listens is told."""
        self.client.refresh("prod/redis")
        self.worker.do()

    def delete(self, user: str) -> None:
        """The user is gone, and Redis cuts the connections that are logged in as it."""
        with self.server.connect() as admin:
            admin.acl_deluser(user)

    def options(self) -> dict[str, Any]:
        """No retries: whatever is cut shows."""
        return {**self.where, "credential_provider": self.provider, "protocol": 2}


@pytest.fixture
def moving(redis_server: RedisServer) -> Iterator[Moving]:
    made = Moving(redis_server)
    yield made
    made.provider.close()
    made.client.close()


def who(connection: Any) -> tuple[str, int]:
    """The user and the number of the connection: the same number is the same connection."""
    name: bytes = connection.execute_command("ACL", "WHOAMI")
    return name.decode(), int(connection.execute_command("CLIENT", "ID"))


def test_an_idle_connection_becomes_the_new_user_and_outlives_the_old(moving: Moving) -> None:
    """The very same connection."""
    with redis.Redis(**moving.options(), retry=Retry(NoBackoff(), 0)) as connection:
        first = moving.user
        assert (before := who(connection))[0] == first
        moving.move()
        moving.notice()
        moving.delete(first)
        assert who(connection) == (moving.user, before[1])


def test_a_connection_in_use_becomes_the_new_user_when_it_comes_back(moving: Moving) -> None:
    """Not in the middle of what it does."""
    with redis.Redis(**moving.options(), retry=Retry(NoBackoff(), 0)) as connection:
        held = connection.connection_pool.get_connection()
        held.send_command("CLIENT", "ID")
        number = held.read_response()
        first = moving.move()
        moving.notice()
        held.send_command("ACL", "WHOAMI")
        assert held.read_response().decode() == first
        connection.connection_pool.release(held)
        moving.delete(first)
        assert who(connection) == (moving.user, number)


def test_rotation_after_rotation(moving: Moving) -> None:
    """Each time the old user is deleted; the connection stays."""
    with redis.Redis(**moving.options(), retry=Retry(NoBackoff(), 0)) as connection:
        seen = {who(connection)[1]}
        for _ in range(3):
            first = moving.move()
            moving.notice()
            moving.delete(first)
            name, number = who(connection)
            assert name == moving.user
            seen.add(number)
    assert len(seen) == 1


def test_asyncio_connections_do_so_on_their_loop(moving: Moving) -> None:
    """The rotation is seen on another thread."""

    async def main(connection: redis.asyncio.Redis) -> None:
        first = moving.user
        name, number = await whom(connection)
        assert name == first
        moving.move()
        await asyncio.to_thread(moving.notice)
        assert await whom(connection) == (moving.user, number)
        moving.delete(first)
        assert await whom(connection) == (moving.user, number)
        await connection.aclose()

    async def whom(connection: Any) -> tuple[str, int]:
        name = await connection.execute_command("ACL", "WHOAMI")
        return name.decode(), await connection.execute_command("CLIENT", "ID")

    outside = redis.asyncio.Redis(**moving.options(), retry=None)  # made where no loop runs
    asyncio.run(main(outside))


def test_another_secret_that_moves_changes_nothing(moving: Moving) -> None:
    """No login is made for it."""
    with redis.Redis(**moving.options()) as connection:
        before = who(connection)
        moving.backend.put("other", {"password": "a"})
        moving.client.get("other")
        moving.backend.put("other", {"password": "b"})
        moving.client.refresh("other")
        moving.worker.do()
        assert moving.client.usage().logins["cached"] == 1
        assert who(connection) == before


def test_a_login_that_the_server_refuses_is_passed_to_nobody(
    moving: Moving, caplog: pytest.LogCaptureFixture
) -> None:
    """Open connections stay as they are, and the log tells the kind of error and no password."""
    with redis.Redis(**moving.options(), retry=Retry(NoBackoff(), 0)) as connection:
        before = who(connection)
        moving.server.create_user(moving.user, "nobody knows")
        content = {"username": moving.user, "password": "canary-wrong", **moving.where}
        moving.backend.put("prod/redis", content)
        with caplog.at_level(logging.ERROR, "smclient"):
            moving.notice()
        assert who(connection) == before
    assert "AuthenticationError" in caplog.text
    assert "canary" not in caplog.text


def test_a_closed_provider_passes_nothing_on(moving: Moving) -> None:
    """New connections log in as before."""
    with redis.Redis(**moving.options()) as connection:
        before = who(connection)
        assert moving.provider.is_streaming()
        moving.provider.close()
        assert not moving.provider.is_streaming()
        moving.move()
        moving.notice()
        assert who(connection) == before


# --- listeners, without a server ------------------------------------------------------------------


class Pool:
    """What redis-py registers a method of."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[tuple[str, str]] = []
        self._error = error

    def re_auth(self, token: Any) -> None:
        if self._error is not None:
            raise self._error
        self.heard.append((token.try_get("oid"), token.get_value()))


def test_a_pool_that_fails_keeps_the_login_from_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by kind."""
    listeners, broken, sound = Listeners(), Pool(redis.ConnectionError("canary")), Pool()
    listeners.add(broken.re_auth)
    listeners.add(sound.re_auth)
    listeners.add(sound.re_auth)
    listeners.tell(Login(("app", "new")))
    assert sound.heard == [("app", "new")]
    assert "ConnectionError" in caplog.text
    assert "canary" not in caplog.text


def test_a_pool_that_is_gone_is_not_kept() -> None:
    """redis-py never takes a callback back."""
    import weakref

    listeners, pool = Listeners(), Pool()
    listeners.add(pool.re_auth)
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    listeners.tell(Login(("new",)))


def test_a_password_alone_is_the_default_users() -> None:
    """redis-py sends both, always."""
    pool, listeners = Pool(), Listeners()
    listeners.add(pool.re_auth)
    listeners.tell(Login(("only",)))
    assert pool.heard == [("default", "only")]
