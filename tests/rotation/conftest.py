"""The databases that rotations are tested on, under one set of names: make a user, ask whether a
password is taken, ask whether the user still has its rights. And the crash between two statements.
"""

from __future__ import annotations

import itertools
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

import psycopg
import pymongo
import pymysql
import pytest
import redis

from smclient.rotation import (
    MariaDBAlternatingUsers,
    MariaDBSingleUser,
    MongoDBAlternatingUsers,
    MongoDBSingleUser,
    PostgresAlternatingUsers,
    PostgresSingleUser,
    RedisAclUser,
    RedshiftAlternatingUsers,
    RedshiftSingleUser,
)
from smclient.rotation.mongodb import MongoSession
from smclient.rotation.mysql import MySQLSession
from smclient.rotation.postgres_session import PostgresSession, identifier
from smclient_demo.scripted_mongo import ScriptedMongo

_numbers = itertools.count(1)


class Kind:
    """One database."""

    name: ClassVar[str]
    engine: ClassVar[str]
    single: ClassVar[Any]
    alternating: ClassVar[Any] = None
    statements: ClassVar[tuple[Any, str]]  # where every statement passes
    keeps_both = False  # whether the old password goes on working

    def __init__(self, server: Any) -> None:
        self.server = server

    def make(self, name: str | None = None, password: str | None = None) -> dict[str, Any]:
        """A user that may read one table, and its secret."""
        name = name or f"r{os.getpid()}_{next(_numbers)}"
        password = password or f"old-{uuid.uuid4().hex}"
        self.create(name, password)
        return {
            "engine": self.engine,
            "host": self.server.host,
            "port": self.server.port,
            "username": name,
            "password": password,
            "kept": "as it was",
            **self.more(),
        }

    def more(self) -> dict[str, Any]:
        """What else is in the secret."""
        return {}

    def admin_secret(self) -> dict[str, Any]:
        """The master's secret."""
        return {**self.server.admin_secret(), "engine": self.engine}

    def create(self, name: str, password: str) -> None:
        raise NotImplementedError

    def takes(self, secret: dict[str, Any]) -> bool:
        """Whether the server lets these credentials in."""
        raise NotImplementedError

    def may_read(self, secret: dict[str, Any]) -> bool:
        """Whether the user has the right it began with."""
        raise NotImplementedError


class PostgresKind(Kind):
    name = "postgres"
    engine = "postgres"
    single = PostgresSingleUser
    alternating = PostgresAlternatingUsers
    statements = (PostgresSession, "run")

    def create(self, name: str, password: str) -> None:
        self.server.create_user(name, password)
        with self.server.connect(dbname="shared") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS readable AS SELECT 1 AS one")
            connection.execute(f"GRANT SELECT ON readable TO {identifier(name)}")

    def more(self) -> dict[str, Any]:
        return {"dbname": "shared"}

    def takes(self, secret: dict[str, Any]) -> bool:
        try:
            self.server.connect(secret["username"], secret["password"], "shared").close()
        except psycopg.OperationalError:
            return False
        return True

    def may_read(self, secret: dict[str, Any]) -> bool:
        with self.server.connect(secret["username"], secret["password"], "shared") as connection:
            return bool(connection.execute("SELECT one FROM readable").fetchone())


class RedshiftKind(PostgresKind):
    """Redshift's statements, on PostgreSQL: its protocol and catalogue, not Redshift itself."""

    name = "redshift"
    engine = "redshift"
    single = RedshiftSingleUser
    alternating = RedshiftAlternatingUsers


class MariaDBKind(Kind):
    name = "mariadb"
    engine = "mariadb"
    single = MariaDBSingleUser
    alternating = MariaDBAlternatingUsers
    statements = (MySQLSession, "run")

    def create(self, name: str, password: str) -> None:
        self.server.create_user(name, password)
        self.server.execute("CREATE DATABASE IF NOT EXISTS shared")
        self.server.execute("CREATE TABLE IF NOT EXISTS shared.readable AS SELECT 1 AS one")
        self.server.execute("GRANT SELECT ON shared.readable TO %s@'%%'", name)

    def takes(self, secret: dict[str, Any]) -> bool:
        try:
            self.server.connect(secret["username"], secret["password"]).close()
        except pymysql.OperationalError as error:
            if error.args[0] != 1045:
                raise
            return False
        return True

    def may_read(self, secret: dict[str, Any]) -> bool:
        with self.server.connect(secret["username"], secret["password"]) as connection:
            with connection.cursor() as cursor:
                return bool(cursor.execute("SELECT one FROM shared.readable"))


class RedisKind(Kind):
    name = "redis"
    engine = "redis"
    single = RedisAclUser
    statements = (redis.Redis, "execute_command")
    keeps_both = True

    def create(self, name: str, password: str) -> None:
        self.server.create_user(name, password, "~readable", "+get", "+ping")

    def more(self) -> dict[str, Any]:
        return {"ssl": False}

    def admin_secret(self) -> dict[str, Any]:
        return {**self.server.admin_secret(), "ssl": False}

    def takes(self, secret: dict[str, Any]) -> bool:
        try:
            self.server.connect(secret["username"], secret["password"]).close()
        except redis.exceptions.AuthenticationError:
            return False
        return True

    def may_read(self, secret: dict[str, Any]) -> bool:
        with self.server.connect(secret["username"], secret["password"]) as client:
            client.get("readable")
        return True


class MongoKind(Kind):
    """A script that speaks MongoDB's protocol: no registry here brings the server itself."""

    name = "mongo"
    engine = "mongo"
    single = MongoDBSingleUser
    alternating = MongoDBAlternatingUsers
    statements = (MongoSession, "command")

    def create(self, name: str, password: str) -> None:
        self.server.create_user(name, password, "read")

    def more(self) -> dict[str, Any]:
        return {"ssl": False}

    def takes(self, secret: dict[str, Any]) -> bool:
        client: Any = pymongo.MongoClient(
            self.server.host,
            self.server.port,
            username=secret["username"],
            password=secret["password"],
            directConnection=True,
            serverSelectionTimeoutMS=5000,
        )
        try:
            client.admin.command("ping")
        except pymongo.errors.OperationFailure as error:
            if error.code != 18:
                raise
            return False
        finally:
            client.close()
        return True

    def may_read(self, secret: dict[str, Any]) -> bool:
        return self.server.roles(secret["username"]) == ["read"]


KINDS = {
    kind.name: kind for kind in (PostgresKind, RedshiftKind, MariaDBKind, RedisKind, MongoKind)
}
SERVERS = {
    "postgres": "postgres",
    "redshift": "postgres",
    "mariadb": "mariadb",
    "redis": "redis_server",
    "mongo": "scripted_mongo",
}


@pytest.fixture(scope="session")
def scripted_mongo() -> Iterator[ScriptedMongo]:
    """The script that stands for MongoDB."""
    with ScriptedMongo() as server:
        yield server


def _kind(name: str, request: pytest.FixtureRequest) -> Kind:
    return KINDS[name](request.getfixturevalue(SERVERS[name]))


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Every database."""
    return _kind(request.param, request)


@pytest.fixture(params=[name for name, kind in KINDS.items() if kind.alternating])
def alternating_kind(request: pytest.FixtureRequest) -> Kind:
    """Every database with alternating users."""
    return _kind(request.param, request)


@pytest.fixture
def kind_named(request: pytest.FixtureRequest) -> Any:
    """One database by its name."""
    return lambda name: _kind(name, request)


@pytest.fixture
def mariadb_kind(kind_named: Any, mariadb: Any) -> Kind:
    """MariaDB."""
    found: Kind = kind_named("mariadb")
    return found


@pytest.fixture
def postgres_kind(kind_named: Any, postgres: Any) -> Kind:
    """PostgreSQL."""
    found: Kind = kind_named("postgres")
    return found


@pytest.fixture
def redis_kind(kind_named: Any, redis_server: Any) -> Kind:
    """Redis."""
    found: Kind = kind_named("redis")
    return found


class Crash:
    """Breaks off at the n-th statement of a step, before or after it was carried out."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.after = False
        self.happened = False

    def at(self, number: int, *, after: bool) -> None:
        """Arm it."""
        self.left, self.after, self.happened = number, after, False

    def off(self) -> None:
        """Disarm it."""
        self.left = None

    def watch(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        """Stand in the way of every call."""
        real = getattr(owner, name)

        def broken(*args: Any, **kwargs: Any) -> Any:
            hit = self._hit()
            if hit and not self.after:
                raise OSError("the machine of the function went away")
            answer = real(*args, **kwargs)
            if hit:
                raise OSError("the machine of the function went away")
            return answer

        monkeypatch.setattr(owner, name, broken)

    def _hit(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        if self.left == 0:
            self.left, self.happened = None, True
            return True
        return False


@pytest.fixture
def crash() -> Crash:
    """A crash to be armed."""
    return Crash()


@pytest.fixture
def store(bench: Any) -> Any:
    """Makes the secret of a user, and the master's where asked; returns nothing."""

    def put(kind: Kind, secret: dict[str, Any], *, master: bool) -> dict[str, Any]:
        if master:
            answer = bench.client.call(
                "CreateSecret",
                Name=f"master-{uuid.uuid4()}",
                SecretString=json.dumps(kind.admin_secret()),
            )
            secret = {**secret, "masterarn": answer["ARN"]}
        bench.create(secret)
        return secret

    return put
