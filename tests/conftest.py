"""What all tests share: a real PostgreSQL and its users, a service under a clock moved by hand, and
how long hypothesis looks."""

from __future__ import annotations

import itertools
import json
import os
import signal
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from smclient import SecretsClient, background
from smclient.backend import Backend
from smclient.testing import FakeClock
from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.redis_server import RedisServer
from smclient_embedded import EmbeddedService
from tests.servers import started

TESTS = Path(__file__).parent
SHARED_DATABASE = "shared"
SERVERS = frozenset(
    {"postgres", "mariadb", "redis_server", "kind", "alternating_kind", "kind_named"}
)
_numbers = itertools.count(1)

settings.register_profile(
    "default", max_examples=60, deadline=None, derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("default")
background.WAIT = 60.0  # a busy machine is no backend that hangs; tests of that say how long


def pytest_configure() -> None:
    """Under ``nohup`` or in the background of a script, signals are ignored, and would be by every
    process that a test starts, which then waits for ever for one. A handler is not inherited."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a server is marked ``server``."""
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL, shared: each test makes users and databases of its own."""
    server: PostgresServer = started(PostgresServer(max_connections=50))
    server.create_database(SHARED_DATABASE, server.superuser)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A running MariaDB, shared: each test makes users and databases of its own."""
    server: MariaDBServer = started(MariaDBServer())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A running Redis, shared: each test makes users of its own."""
    server: RedisServer = started(RedisServer())
    yield server
    server.stop()


@dataclass
class Bench:
    """An embedded service with one secret, its function, and the steps called by hand."""

    clock: FakeClock
    service: EmbeddedService
    name: str = "prod/db"
    client: SecretsClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = SecretsClient(self.service.backend(), clock=self.clock)

    @property
    def secrets(self) -> Backend:
        """The service as a ``Backend``, as the administrator."""
        return self.service.backend()

    @property
    def context(self) -> Any:
        """What the service gives a handler."""
        return SimpleNamespace(secrets=self.secrets)

    def create(self, value: Any) -> None:
        """Make the secret: bytes and text as they are, anything else as JSON."""
        member = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        content = value if isinstance(value, bytes | str) else json.dumps(value)
        self.client.call("CreateSecret", Name=self.name, **{member: content})

    def put(self, value: Any, **more: Any) -> None:
        """Store another version."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.client.call("PutSecretValue", SecretId=self.name, SecretString=text, **more)

    def begin(self, function: Any) -> str:
        """RotateSecret; the steps wait. Returns the token of the rotation."""
        arn = self.service.register_function("rotate", function)
        answer = self.client.call(
            "RotateSecret",
            SecretId=self.name,
            RotationLambdaARN=arn,
            RotationRules={"AutomaticallyAfterDays": 30},
        )
        return str(answer["VersionId"])

    def step(self, function: Any, step: str, token: str) -> None:
        """Call the function for one step, as the service does."""
        event = {"Step": step, "SecretId": self.arn, "ClientRequestToken": token}
        function(event, self.context)

    @property
    def arn(self) -> str:
        """The secret's ARN."""
        return self.secrets.describe(self.name).value.arn

    def labels(self) -> dict[str, str]:
        """Staging label to version id."""
        stages = self.secrets.describe(self.name).value.version_stages
        return {label: version for version, labels in stages.items() for label in labels}

    def value(self, stage: str = "AWSCURRENT") -> Any:
        """The JSON at a stage, as plain data."""
        found = self.client.get(self.name, version_stage=stage, max_age=0)
        return json.loads(str(found.text))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A service in memory, with no secret yet."""
    clock = FakeClock()
    with EmbeddedService(clock=clock) as service:
        made = Bench(clock, service)
        yield made
        made.client.close()


@dataclass
class DatabaseUser:
    """A role of the real server."""

    server: PostgresServer
    name: str
    password: str
    dbname: str

    def secret(self, **changes: Any) -> dict[str, Any]:
        """The secret of this user, as AWS's templates have it."""
        login = {
            "engine": "postgres",
            "host": self.server.host,
            "port": self.server.port,
            "dbname": self.dbname,
            "username": self.name,
            "password": self.password,
            "kept": "as it was",
        }
        return {k: v for k, v in {**login, **changes}.items() if v is not None}

    def takes(self, password: str) -> bool:
        """Whether the server lets the user in with it."""
        try:
            self.server.connect(self.name, password, self.dbname).close()
        except psycopg.OperationalError:
            return False
        return True

    def set_password(self, password: str) -> None:
        """Change it behind everybody's back."""
        with self.server.connect() as connection:
            verifier = connection.pgconn.encrypt_password(
                password.encode(), self.name.encode(), b"scram-sha-256"
            )
            connection.execute(
                sql.SQL("ALTER USER {} PASSWORD {}").format(
                    sql.Identifier(self.name), sql.Literal(verifier.decode())
                )
            )


@pytest.fixture
def make_user(postgres: PostgresServer) -> Any:
    """Makes database users. A database of their own is for tests that tell databases apart: each
    takes some megabytes."""

    def make(name: str | None = None, *, own_database: bool = False) -> DatabaseUser:
        name = name or f"rotated_{next(_numbers)}"
        password = f"old-{uuid.uuid4().hex}"
        postgres.create_user(name, password)
        dbname = SHARED_DATABASE
        if own_database:
            dbname = f"own_{next(_numbers)}"
            postgres.create_database(dbname, name)
        return DatabaseUser(postgres, name, password, dbname)

    return make


@pytest.fixture
def user(make_user: Any) -> DatabaseUser:
    """A user of the real server."""
    made: DatabaseUser = make_user()
    return made


@pytest.fixture
def shown() -> Callable[[BaseException], str]:
    """Shows what an error gives away."""
    return _shown


def _shown(error: BaseException) -> str:
    """Everything an error reporter can show of an error: texts, notes, attributes, causes, and the
    locals of every frame, ours and the drivers', but the tests' own."""
    parts: list[str] = []
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        layer = queue.pop()
        if layer is None or id(layer) in seen:
            continue
        seen.add(id(layer))
        queue += [layer.__cause__, layer.__context__, getattr(layer, "orig", None)]
        parts += [str(layer), repr(layer), repr(layer.args), *getattr(layer, "__notes__", ())]
        for name in dir(layer):
            if not name.startswith("__"):
                parts.append(repr(getattr(layer, name, None)))
        for frame, _ in traceback.walk_tb(layer.__traceback__):
            path = Path(frame.f_code.co_filename)
            if TESTS not in path.parents:
                parts += [f"{path.name} {name} {value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(parts)
