"""A database account, its secret, and a rotation function that holds its window open."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

from smclient import SYSTEM_CLOCK, Backend, Clock, InvalidRequestError, SecretsClient
from smclient.rotation import (
    MariaDBAlternatingUsers,
    MariaDBSingleUser,
    PostgresAlternatingUsers,
    PostgresSingleUser,
    Rotation,
    RotationFunction,
)
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


class Held(RotationFunction):
    """Another function whose testSecret takes ``hold`` seconds, so that the window between
    setSecret and finishSecret stays open as long; what can be read is noted after each step."""

    def __init__(self, function: RotationFunction, hold: float) -> None:
        super().__init__()
        self._function = function
        self._hold = hold
        self.history: History | None = None
        self.windows: list[float] = []

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        """Do one step, and note what can be read."""
        super().__call__(event, context)
        if self.history is not None:
            self.history.note()

    def new_value(self, rotation: Rotation) -> Mapping[str, Any] | str | bytes:
        """The function's."""
        return self._function.new_value(rotation)

    def set_value(self, rotation: Rotation) -> None:
        """The function's."""
        self._function.set_value(rotation)

    def test_value(self, rotation: Rotation) -> None:
        """The function's, twice, ``hold`` seconds apart."""
        began = time.monotonic()
        self._function.test_value(rotation)
        time.sleep(self._hold)
        self._function.test_value(rotation)
        self.windows.append(time.monotonic() - began)


class Scene:
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
        self.server = server
        self.users: Users = users
        self.service = EmbeddedService(clock=clock)
        self.function = Held(_STRATEGIES[type(server), users](), hold)
        self._admin = SecretsClient(self.service.backend())
        self._lock = threading.Lock()
        self.user = f"proof_{next(_numbers)}"
        self.secret_id = f"proof/{self.user}"
        self._lag = lag
        self._function_arn = self.service.register_function("proof", self.function)
        self._set_up()
        self.function.history = History(self.service.backend(), self.secret_id)

    def backend(self) -> Backend:
        """How an application reads the secret."""
        inner = self.service.backend()
        if not self._lag or self.function.history is None:
            return inner
        return LaggingBackend(inner, self.function.history, self._lag)

    def rotate(self) -> bool:
        """One whole rotation; whether it ended."""
        try:
            self._admin.call(
                "RotateSecret",
                SecretId=self.secret_id,
                RotationLambdaARN=self._function_arn,
                RotationRules={"AutomaticallyAfterDays": 30},
            )
        except InvalidRequestError:
            return False  # the one before did not end
        return self.run_due()

    def run_due(self) -> bool:
        """Run the rotation that is due; whether one ended."""
        done = bool(self.service.run_due().rotated)
        if self.function.history is not None:
            self.function.history.note()
        return done

    def versions(self) -> Mapping[str, str]:
        """Staging label to version id."""
        stages = self.service.backend().describe(self.secret_id).value.version_stages
        return {label: version for version, labels in stages.items() for label in labels}

    def close(self) -> None:
        """Close the service; the server is the caller's."""
        self._admin.close()
        self.service.close()

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
            master = self._create(MASTER, {**self.server.admin_secret(), "ssl": False})
            login["masterarn"] = master
        self._create(self.secret_id, login)

    def _create(self, name: str, value: Mapping[str, Any]) -> str:
        answer = self._admin.call("CreateSecret", Name=name, SecretString=json.dumps(value))
        return str(answer["ARN"])
