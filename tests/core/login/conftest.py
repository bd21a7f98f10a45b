"""A secret that is being rotated, and the database it is for."""

from __future__ import annotations

import pytest

from smclient.testing import FakeBackend
from tests.core.login.helpers_login import Database, add


@pytest.fixture
def backend() -> FakeBackend:
    """A secret that was rotated before: v0 is AWSPREVIOUS, v1 AWSCURRENT."""
    backend = FakeBackend()
    add(backend, "v0")
    add(backend, "v1")
    return backend


@pytest.fixture
def database() -> Database:
    """It accepts the current password."""
    return Database(app="p1")
