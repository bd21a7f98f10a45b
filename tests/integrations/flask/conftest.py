"""An app whose secrets are read through a client that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_flask import Secrets

CANARY = "canary-web-4f1d"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(
        {
            "prod/web": {"key": CANARY, "port": 8080, "hosts": ["a", "b"], "user": "us-canary-er"},
            "prod/text": "canary-plain-text",
            "prod/binary": b"\xff\x00canary",
        }
    )


@pytest.fixture
def client(backend: FakeBackend, clock: FakeClock) -> SecretsClient:
    return SecretsClient(backend, ttl=60.0, jitter=0.0, clock=clock, worker=Inline())


@pytest.fixture
def make_app(client: SecretsClient) -> Callable[..., Flask]:
    """An app with these settings, its secrets read through the given client."""

    def make(**settings: Any) -> Flask:
        app = Flask("tested")
        app.config.update(settings)
        Secrets(app, client=client)
        return app

    return make
