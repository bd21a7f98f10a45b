"""A service over each store, under a clock that tests move by hand, and a short way to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError
from tests.backends.embedded.service.helpers_rotation import Function

TAKES_TOKEN = ("CreateSecret", "PutSecretValue", "RotateSecret", "UpdateSecret")


class World:
    """A service, its clock, and questions to it: ``world("GetSecretValue", SecretId="a")``.

    As an SDK does, it sends a new token where one is taken; ``ClientRequestToken=None`` sends none.
    """

    def __init__(self, service: EmbeddedService, clock: FakeClock, url: str) -> None:
        self.service = service
        self.clock = clock
        self.url = url
        self.caller: str | None = None
        self.region: str | None = None
        self._tokens = 0

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        if operation in TAKES_TOKEN:
            self._tokens += 1
            request.setdefault("ClientRequestToken", self.token(f"auto-{self._tokens}"))
        context = self.service.context(self.caller, self.region)
        return self.service.call(operation, request, context)

    def refused(self, operation: str, **request: Any) -> tuple[str, str]:
        """Code and message of the refusal; the test fails if the call is answered."""
        with pytest.raises(ServiceError) as caught:
            self(operation, **request)
        return caught.value.code, str(caught.value)

    @staticmethod
    def token(name: str) -> str:
        """A readable token of 32 characters."""
        return f"{name}-".ljust(32, "0")

    def create(self, name: str = "s", value: str | None = "v0", **more: Any) -> str:
        """A secret with version ``v0``; its ARN."""
        if value is not None:
            more["SecretString"] = value
        more.setdefault("ClientRequestToken", self.token("v0"))
        return str(self("CreateSecret", Name=name, **more)["ARN"])

    def put(self, version: str, *stages: str, secret: str = "s", value: str = "") -> dict[str, Any]:
        """A version under a readable name."""
        more: dict[str, Any] = {"VersionStages": list(stages)} if stages else {}
        return self(
            "PutSecretValue",
            SecretId=secret,
            SecretString=value or version,
            ClientRequestToken=self.token(version),
            **more,
        )

    def move(self, label: str, *, of: str | None = None, to: str | None = None) -> dict[str, Any]:
        """UpdateSecretVersionStage with readable version names."""
        more = {}
        if of is not None:
            more["RemoveFromVersionId"] = self.token(of)
        if to is not None:
            more["MoveToVersionId"] = self.token(to)
        return self("UpdateSecretVersionStage", SecretId="s", VersionStage=label, **more)

    def labels(self, secret: str = "s") -> dict[str, set[str]]:
        """The labels of each labelled version, under its readable name."""
        shown = self("DescribeSecret", SecretId=secret).get("VersionIdsToStages", {})
        return {version.split("-0")[0]: set(stages) for version, stages in shown.items()}

    def value(self, secret: str = "s", **more: Any) -> str:
        """The text of a version."""
        return str(self("GetSecretValue", SecretId=secret, **more)["SecretString"])

    def describe(self, secret: str = "s") -> dict[str, Any]:
        """DescribeSecret."""
        return self("DescribeSecret", SecretId=secret)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The audit trail, oldest first."""
        return self.service.audit.lookup(event_name=name, limit=10_000)[::-1]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock(datetime.fromisoformat("2026-09-24T10:20:30.123456+00:00"))


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of each store."""
    return "embedded://" if request.param == "memory" else f"embedded://{tmp_path}/secrets.db"


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., World]]:
    """Makes worlds that are closed after the test."""
    made: list[EmbeddedService] = []

    def make(url: Any = "embedded://", **more: Any) -> World:
        service = EmbeddedService(url, clock=clock, **more)
        made.append(service)
        return World(service, clock, str(url))

    yield make
    for service in made:
        service.close()


@pytest.fixture
def world(make: Callable[..., World], url: str) -> World:
    """A service over each store."""
    return make(url)


@pytest.fixture
def memory(make: Callable[..., World]) -> World:
    """A service in memory, for what no store has a part in."""
    return make()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings."""
    for name in ("SMCLIENT_MASTER_KEY", "SMCLIENT_MASTER_KEY_FILE", "SMCLIENT_MASTER_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SMCLIENT_BACKEND", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def rotated(world: Any, function: Function) -> Any:
    """A secret, and a function that ``rotate`` uses."""
    world.create()
    world.function_arn = world.service.register_function("rotate", function)
    return world
