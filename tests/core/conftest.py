"""What the tests of the core share: a clock moved by hand, a backend with a log, a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline, Queued

settings.register_profile("core", deadline=None, max_examples=150, database=None)
settings.load_profile("core")


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    """A backend with one secret, ``db``, of one field."""
    return FakeBackend({"db": {"password": "first"}})


@pytest.fixture
def worker() -> Queued:
    """A worker that does nothing until it is told to."""
    return Queued()


@pytest.fixture
def make_client(backend: FakeBackend, clock: FakeClock) -> Iterator[Callable[..., SecretsClient]]:
    """Clients on the shared clock and backend, refreshed by ``get``, work done inline, without
    jitter; closed after."""
    made: list[SecretsClient] = []

    def make(given: Any = None, **settings: Any) -> SecretsClient:
        settings = {
            "jitter": 0.0,
            "refresh": "get",
            "clock": clock,
            "worker": Inline(),
            **settings,
        }
        client = SecretsClient(backend if given is None else given, **settings)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., SecretsClient], worker: Queued) -> SecretsClient:
    """A client whose background work waits for ``worker.run()``."""
    return make_client(worker=worker)
