"""A database account, its secret, and how it is read."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from typing import Any, Literal

from smclient import SYSTEM_CLOCK, Backend, Clock
from smclient.rotation import (
    MariaDBAlternatingUsers,
    MariaDBSingleUser,
    PostgresAlternatingUsers,
    PostgresSingleUser,
    RotationFunction,
)
from smclient_demo.held import Held, RotatedService
from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof.lagging import History, LaggingBackend
from smclient_embedded import EmbeddedService

Users = Literal["single", "alternating"]
Server = PostgresServer | MariaDBServer

MASTER = "proof/master"
_numbers = itertools.count(1)
_STRATEGIES: Mapping[tuple[type, Users], type[RotationFunction]] = {
    (PostgresServer, "single"): PostgresSingleUser,
    (PostgresServer, "alternating"): PostgresAlternatingUsers,
    (MariaDBServer, "single"): MariaDBSingleUser,
    (MariaDBServer, "alternating"): MariaDBAlternatingUsers,
}


class Scene(RotatedService):
    """One account on a server, rotated by a service in memory.

    Args:
        lag: seconds that the application's reads may be behind.
        clock: the service's.
    """

    def __init__(
        self,
        server: Server,
        users: Users,
        *,
        hold: float,
        lag: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        function = Held(_STRATEGIES[type(server), users](), hold)
        super().__init__(EmbeddedService(clock=clock), function)
        self.server = server
        self.users: Users = users
        self.user = f"proof_{next(_numbers)}"
        self.secret_id = f"proof/{self.user}"
        self._lag = lag
        self._set_up()
        self._history = History(self.service.backend(), self.secret_id)
        function.after_step = self._history.note

    def backend(self) -> Backend:
        """How an application reads the secret."""
        inner = self.service.backend()
        return LaggingBackend(inner, self._history, self._lag) if self._lag else inner

    def rotate(self) -> bool:
        """One whole rotation; whether it ended."""
        return self.begin(self.secret_id) and self.run_due()

    def run_due(self) -> bool:
        """Run the rotation that is due; whether one ended."""
        done = super().run_due()
        self._history.note()
        return done

    def versions(self) -> Mapping[str, str]:
        """Staging label to version id."""
        stages = self.service.backend().describe(self.secret_id).value.version_stages
        return {label: version for version, labels in stages.items() for label in labels}

    def _set_up(self) -> None:
        password = secrets.token_urlsafe(24)
        self.server.create_user(self.user, password)
        self.server.create_database(self.user, self.user)
        login: dict[str, Any] = {
            "engine": "postgres" if isinstance(self.server, PostgresServer) else "mariadb",
            "host": self.server.host,
            "port": self.server.port,
            "dbname": self.user,
            "username": self.user,
            "password": password,
            "ssl": False,
        }
        if self.users == "alternating":
            master = self.create(MASTER, {**self.server.admin_secret(), "ssl": False})
            login["masterarn"] = master
        self.create(self.secret_id, login)
