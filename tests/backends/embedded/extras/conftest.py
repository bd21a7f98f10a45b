"""A service under a clock moved by hand, with two secrets, and pytest's own test bed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError


def pytest_configure(config: pytest.Config) -> None:
    """Only the root conftest may say ``pytest_plugins``."""
    config.pluginmanager.import_plugin("pytester")


class Extras:
    """A service and short ways to ask it."""

    def __init__(self, service: EmbeddedService, clock: FakeClock) -> None:
        self.service, self.clock = service, clock

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        if operation in ("CreateSecret", "PutSecretValue", "RotateSecret", "UpdateSecret"):
            request.setdefault("ClientRequestToken", str(uuid.uuid4()))
        context = request.pop("context", None)
        return self.service.call(operation, request, context)

    def refused(self, operation: str, **request: Any) -> str:
        """The code of the refusal; the test fails if the call is answered."""
        with pytest.raises(ServiceError) as caught:
            self(operation, **request)
        return caught.value.code

    def create(self, name: str, value: str = "first", **more: Any) -> str:
        """A secret; its ARN."""
        return str(self("CreateSecret", Name=name, SecretString=value, **more)["ARN"])

    def value(self, secret_id: str = "db") -> str:
        """The current text."""
        return str(self("GetSecretValue", SecretId=secret_id)["SecretString"])


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def open_service(clock: FakeClock) -> Iterator[Callable[..., Extras]]:
    """Opens services that are closed after the test."""
    opened: list[EmbeddedService] = []

    def open_one(store: Any = "embedded://", **more: Any) -> Extras:
        service = EmbeddedService(store, clock=clock, **more)
        opened.append(service)
        return Extras(service, clock)

    yield open_one
    for service in opened:
        service.close()


@pytest.fixture
def extras(open_service: Callable[..., Extras]) -> Extras:
    """A service in memory with the secret ``db``."""
    made = open_service()
    made.create("db")
    return made


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind."""
    return "embedded://" if request.param == "memory" else f"embedded://{tmp_path}/secrets.db"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings."""
    for name in ("SMCLIENT_MASTER_KEY", "SMCLIENT_MASTER_KEY_FILE", "SMCLIENT_MASTER_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SMCLIENT_BACKEND", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
