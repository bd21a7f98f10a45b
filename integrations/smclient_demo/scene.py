"""The scene: a real PostgreSQL, a service with secrets, a rotation function that dawdles."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from smclient import InvalidRequestError, SecretsClient
from smclient.rotation import PostgresSingleUser, Rotation
from smclient_demo.app import APP_SECRET, DATABASE_SECRET
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded import EmbeddedService

USER = "app"


class SlowPostgresSingleUser(PostgresSingleUser):
    """Holds the window between setSecret and finishSecret open: until it closes, the database takes
    the pending password only, and every fresh read of AWSCURRENT is wrong."""

    def __init__(self, hold: float) -> None:
        super().__init__()
        self._hold = hold
        self.held: list[float] = []

    def test_value(self, rotation: Rotation) -> None:
        """Test twice, ``hold`` seconds apart."""
        began = time.monotonic()
        super().test_value(rotation)
        time.sleep(self._hold)
        super().test_value(rotation)
        self.held.append(time.monotonic() - began)


class Scene:
    """Server, service and secrets, and what happens to them."""

    def __init__(self, server: PostgresServer, folder: Path, *, hold: float) -> None:
        self.server = server
        self.service = EmbeddedService(f"embedded://{folder / 'secrets.db'}")
        self.function = SlowPostgresSingleUser(hold)
        self._admin = SecretsClient(self.service.backend())
        self._arn = self.service.register_function("demo-rotation", self.function)
        self._set_up()

    def client(self, **settings: Any) -> SecretsClient:
        """A client of its own, as an application has one."""
        return SecretsClient(self.service.backend(), **settings)

    def rotate(self) -> bool:
        """One whole rotation. True if it ended and the database takes the new password only."""
        old = self._admin.refresh(DATABASE_SECRET).fields
        try:
            self._admin.call(
                "RotateSecret",
                SecretId=DATABASE_SECRET,
                RotationLambdaARN=self._arn,
                RotationRules={"AutomaticallyAfterDays": 30},
            )
        except InvalidRequestError:
            return False  # the one before did not end
        if not self.service.run_due().rotated:
            return False
        new = self._admin.refresh(DATABASE_SECRET).fields
        return self._logs_in(new) and not self._logs_in(old)

    def close(self) -> None:
        """Close the service; the server is the caller's."""
        self._admin.close()
        self.service.close()

    def _set_up(self) -> None:
        password = secrets.token_urlsafe(24)
        self.server.create_user(USER, password)
        self.server.create_database("app", USER)
        with self.server.connect(USER, password, "app") as connection:
            connection.execute("CREATE TABLE visits AS SELECT 0 AS n")
        login = {
            "engine": "postgres",
            "host": self.server.host,
            "port": self.server.port,
            "dbname": "app",
            "username": USER,
            "password": password,
        }
        app = {"session_key": secrets.token_hex(32), "api_key": secrets.token_hex(20)}
        for name, value in ((DATABASE_SECRET, login), (APP_SECRET, app)):
            self._admin.call("CreateSecret", Name=name, SecretString=json.dumps(value))

    def _logs_in(self, fields: Mapping[str, Any]) -> bool:
        try:
            self.server.connect(USER, str(fields["password"]), "app").close()
        except psycopg.OperationalError:
            return False
        return True
