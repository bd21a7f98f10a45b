"""The scene: a real PostgreSQL, a service with secrets, a rotation function that dawdles."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from smclient import SecretsClient
from smclient.rotation import PostgresSingleUser
from smclient_demo.app import APP_SECRET, DATABASE_SECRET
from smclient_demo.held import Held, RotatedService
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded import EmbeddedService

USER = "app"


class SlowPostgresSingleUser(Held):
    """``PostgresSingleUser`` whose window is held open."""

    def __init__(self, hold: float) -> None:
        super().__init__(PostgresSingleUser(), hold)


class Scene(RotatedService):
    """Server, service and secrets, and what happens to them."""

    def __init__(self, server: PostgresServer, folder: Path, *, hold: float) -> None:
        service = EmbeddedService(f"embedded://{folder / 'secrets.db'}")
        super().__init__(service, SlowPostgresSingleUser(hold))
        self.server = server
        self._set_up()

    def client(self, **settings: Any) -> SecretsClient:
        """A client of its own, as an application has one."""
        return SecretsClient(self.service.backend(), **settings)

    def rotate(self) -> bool:
        """One whole rotation. True if it ended and the database takes the new password only."""
        old = self.admin.refresh(DATABASE_SECRET).fields
        if not (self.begin(DATABASE_SECRET) and self.run_due()):
            return False
        new = self.admin.refresh(DATABASE_SECRET).fields
        return self._logs_in(new) and not self._logs_in(old)

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
        self.create(DATABASE_SECRET, login)
        self.create(APP_SECRET, app)

    def _logs_in(self, fields: Mapping[str, Any]) -> bool:
        try:
            self.server.connect(USER, str(fields["password"]), "app").close()
        except psycopg.OperationalError:
            return False
        return True
