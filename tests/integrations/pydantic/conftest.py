"""A client over a backend with some secrets, which every settings class of a test reads through."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_pydantic import use_client


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(
        {
            "prod/db": {"username": "us-canary-er", "password": "canary-pw", "port": 5432},
            "prod/app": {"api_key": "canary-key", "hosts": ["a", "b"], "deep": {"er": "canary-x"}},
            "prod/text": "canary-text",
        }
    )


@pytest.fixture
def client(backend: FakeBackend, clock: FakeClock) -> SecretsClient:
    return SecretsClient(backend, ttl=60.0, jitter=0.0, clock=clock, worker=Inline())


@pytest.fixture(autouse=True)
def used(client: SecretsClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And an environment without variables of others."""
    for name in list(os.environ):
        if name.lower() in ("db", "api_key", "name", "port", "key", "hosts", "password"):
            monkeypatch.delenv(name)
    with use_client(client):
        yield
