"""A database whose accepted passwords are scripted, its errors, and a rotation by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smclient import SecretsClient
from smclient.testing import FakeBackend

CANARY = "c4n4ry"


class WrongPassword(Exception):
    """What asyncpg raises."""

    sqlstate = "28P01"


class NotPermitted(Exception):
    """A refusal that does not say why."""

    sqlstate = "28000"


class NoDatabase(Exception):
    """Has nothing to do with the password."""

    sqlstate = "3D000"


for _class in (WrongPassword, NotPermitted, NoDatabase):
    _class.__module__ = "asyncpg.exceptions"


class Database:
    """Accepts what it is told to; remembers every login that was tried."""

    def __init__(self, **users: str) -> None:
        self.users = users
        self.tried: list[tuple[str, str]] = []
        self.error: Callable[[], Exception] = WrongPassword
        self.before: Callable[[], object] = lambda: None

    def connect(self, user: str, password: str, **more: Any) -> str:
        self.before()
        self.tried.append((user, str(password)))
        if self.users.get(user) != password:
            raise self.error()
        return f"connected as {user}"

    @property
    def passwords(self) -> list[str]:
        return [password for _, password in self.tried]


def add(backend: FakeBackend, version: str, stage: str = "AWSCURRENT", user: str = "app") -> str:
    """Version ``vN`` holds password ``pN``."""
    content = {"username": user, "password": "p" + version[1:]}
    return backend.put("db", content, stages=[stage], version_id=version)


def finish(backend: FakeBackend, version: str) -> None:
    """What finishSecret does to the labels."""
    backend.move("db", "AWSCURRENT", version)
    backend.move("db", "AWSPENDING", None)


def logins(client: SecretsClient) -> dict[str, int]:
    return dict(client.usage().logins)


def stages_asked(backend: FakeBackend) -> list[str | None]:
    return [call.stage for call in backend.calls]
