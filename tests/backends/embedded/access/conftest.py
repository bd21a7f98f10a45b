"""Services with principals, under a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from tests.backends.embedded.access.realm import Realm


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock(datetime.fromisoformat("2026-09-24T10:20:30.123456+00:00"))


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., Realm]]:
    """Makes services that are closed after the test."""
    made: list[EmbeddedService] = []

    def make(url: str = "embedded://", **more: Any) -> Realm:
        service = EmbeddedService(url, clock=clock, **more)
        made.append(service)
        return Realm(service, clock)

    yield make
    for service in made:
        service.close()


@pytest.fixture
def realm(make: Callable[..., Realm]) -> Realm:
    """A service in memory."""
    return make()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings."""
    for name in ("SMCLIENT_MASTER_KEY", "SMCLIENT_MASTER_KEY_FILE", "SMCLIENT_MASTER_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SMCLIENT_BACKEND", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
