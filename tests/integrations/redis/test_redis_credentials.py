"""redis-py, sync and asyncio, and Celery, with the credentials of a secret, on a real Redis."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from smclient import AWSPENDING, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_demo.redis_server import RedisServer
from smclient_redis import SecretCredentials

_numbers = itertools.count(1)


class User:
    """A user of the real server and its secret, which move as the test says."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.name = f"tested_{next(_numbers)}"
        self.backend = FakeBackend()
        self.client = SecretsClient(self.backend, login_wait=0, clock=FakeClock())
        self.set_password("first")
        self.backend.put("prod/redis", self.secret("first"))

    def set_password(self, password: str) -> None:
        self.server.create_user(self.name, password)

    def secret(self, password: str) -> dict[str, Any]:
        where = {"host": self.server.host, "port": self.server.port}
        return {"username": self.name, "password": password, **where}

    def url(self, query: str = "") -> str:
        return f"redis://{self.server.host}:{self.server.port}/0{query}"

    def connection(self) -> Any:
        """A client of redis-py without retries of its own."""
        return redis.Redis(
            host=self.server.host,
            port=self.server.port,
            credential_provider=SecretCredentials(self.client, "prod/redis"),
            retry=Retry(NoBackoff(), 0),
        )


@pytest.fixture
def user(redis_server: RedisServer) -> User:
    return User(redis_server)


def who(connection: Any) -> str:
    """Who is logged in, on a new connection."""
    connection.connection_pool.disconnect()
    name: bytes = connection.execute_command("ACL", "WHOAMI")
    return name.decode()


def test_connections_log_in_with_the_secret(user: User) -> None:
    """And keep doing so after a rotation: the current version is fetched when the login fails."""
    with user.connection() as connection:
        assert who(connection) == user.name
        user.set_password("second")
        user.backend.put("prod/redis", user.secret("second"))
        assert who(connection) == user.name


def test_a_rotation_in_its_window_is_survived_by_the_pending_version(user: User) -> None:
    """The server takes the new password before AWSCURRENT moves."""
    seen: list[str | None] = []
    user.client.on_fallback(lambda event: seen.append(event.stage))
    with user.connection() as connection:
        assert who(connection) == user.name
        user.backend.put("prod/redis", user.secret("second"), stages=(AWSPENDING,))
        user.set_password("second")
        assert who(connection) == user.name
    assert user.client.usage().logins[AWSPENDING] == 1


def test_open_connections_are_not_touched(user: User) -> None:
    """Redis lets them be."""
    with user.connection() as connection, connection.client() as one:
        one.ping()
        user.set_password("second")
        assert one.execute_command("ACL", "WHOAMI").decode() == user.name


def test_a_login_that_no_version_wins_is_redis_pys_own_error(user: User) -> None:
    """With the versions tried, and no password."""
    user.set_password("nobody knows")
    with user.connection() as connection, pytest.raises(redis.AuthenticationError) as caught:
        who(connection)
    assert "versions tried" in "".join(getattr(caught.value, "__notes__", ()))
    assert "first" not in str(caught.value)


def test_a_server_that_is_away_is_no_matter_of_credentials(user: User) -> None:
    """One try."""
    user.backend.put("prod/redis", {**user.secret("first"), "port": 1})
    provider = SecretCredentials(user.client, "prod/redis")
    with pytest.raises(redis.ConnectionError):
        provider.get_credentials()
    assert user.backend.count("GetSecretValue") == 1


def test_asyncio_logs_in_too(user: User) -> None:
    """Off the loop."""

    async def run() -> list[str]:
        connection = redis.asyncio.Redis(
            host=user.server.host,
            port=user.server.port,
            credential_provider=SecretCredentials(user.client, "prod/redis"),
        )
        names = [await connection.execute_command("ACL", "WHOAMI")]
        user.set_password("second")
        user.backend.put("prod/redis", user.secret("second"))
        await connection.connection_pool.disconnect()
        names.append(await connection.execute_command("ACL", "WHOAMI"))
        await connection.aclose()
        return [name.decode() for name in names]

    assert asyncio.run(run()) == [user.name] * 2


def test_a_secret_without_a_user_is_the_default_user(user: User) -> None:
    """Redis before its users had names."""
    user.backend.put("old", {"password": "only"})
    checked: list[str] = []
    provider = SecretCredentials(user.client, "old", check=lambda value: checked.append(value.name))
    assert provider.get_credentials() == ("only",)
    assert checked == ["old"]


def test_a_provider_without_a_secret_is_refused() -> None:
    """When it is made."""
    with pytest.raises(TypeError, match="name of a secret"):
        SecretCredentials()


def test_providers_share_the_client_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery has a URL name a class, and kombu makes one for each channel."""
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    assert len({SecretCredentials(secret_id="prod/redis").client for _ in range(8)}) == 1


def test_a_provider_that_is_gone_is_held_by_no_client(user: User) -> None:
    """The client lives on; channels come and go."""
    provider = SecretCredentials(user.client, "prod/redis")
    provider.on_next(lambda login: None)
    assert user.client._hooks.wants("rotate")
    gone = weakref.ref(provider)
    del provider
    gc.collect()
    assert gone() is None
    assert not user.client._hooks.wants("rotate")


# --- Celery ---------------------------------------------------------------------------------------


class BrokerCredentials(SecretCredentials):
    """Named in a URL, so it says by itself what it needs."""

    secret_id: ClassVar[str] = "prod/redis"
    shared: ClassVar[SecretsClient | None] = None

    def __init__(self) -> None:
        super().__init__(self.shared)


@pytest.fixture
def celery_app(user: User) -> Iterator[Celery]:
    """Broker and result backend on the real server, both with the secret's credentials."""
    BrokerCredentials.shared = user.client
    app = Celery(
        "tested",
        broker=user.url(f"?credential_provider={__name__}.BrokerCredentials"),
        backend=user.url(),
    )
    app.conf.redis_backend_credential_provider = SecretCredentials(user.client, "prod/redis")
    app.conf.task_default_queue = user.name
    app.conf.broker_connection_retry_on_startup = True
    level = logging.root.level  # its worker sets it, for good
    yield app
    app.close()
    logging.root.setLevel(level)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery loads the class by its name."""
    import sys
    from types import ModuleType

    module = ModuleType(__name__)
    module.BrokerCredentials = BrokerCredentials  # type: ignore[attr-defined]
    for number in range(1, __name__.count(".") + 1):
        parent = __name__.rsplit(".", number)[0]
        if parent not in sys.modules:
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, __name__, module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Celery uses what redis-py will drop
def test_celery_works_on_through_a_rotation(user: User, celery_app: Celery) -> None:
    """Tasks are sent, done and answered before and after, by a worker that reconnects."""
    from celery.contrib.testing.worker import start_worker

    @celery_app.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    with start_worker(celery_app, perform_ping_check=False, pool="solo"):
        assert add.delay(1, 2).get(timeout=30) == 3
        user.backend.put("prod/redis", user.secret("second"), stages=(AWSPENDING,))
        user.set_password("second")
        with user.server.connect() as admin:
            for connection in admin.client_list():
                if connection["user"] == user.name:
                    admin.client_kill_filter(_id=connection["id"])
        assert add.delay(3, 4).get(timeout=30) == 7


def test_a_shared_client_that_somebody_closed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins go on, and rotations are heard of from the new one."""
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    provider = SecretCredentials(secret_id="prod/redis", check=lambda value: None)
    provider.on_next(print)
    before = provider.client
    login = provider.get_credentials()
    before.close()
    assert provider.get_credentials() == login
    assert provider.client is not before
    assert provider.is_streaming()
    assert len(provider.client._hooks._subscriptions) == 1
    assert before._hooks._subscriptions == ()
    provider.client.close()
