"""What follows a login with another version than AWSCURRENT: it is told, and looked into."""

from __future__ import annotations

from typing import Any

from smclient import SecretEvent, SecretsClient
from smclient.testing import FakeBackend, Queued
from tests.core.login.helpers_login import Database, add, finish


def test_a_fallback_is_told_once_with_both_versions(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """Off the path of the login; logins with AWSCURRENT are no fallback."""
    told: list[SecretEvent] = []
    client.on_fallback(told.append)
    client.connect("db", database.connect)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    client.connect("db", database.connect)
    assert told == []
    worker.run()
    assert told == [SecretEvent("fallback", "db", "v1", "v2", "AWSPENDING")]


def test_after_a_fallback_a_newer_awscurrent_is_looked_for(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """Not only when its TTL ends; readers are served meanwhile."""
    told: list[Any] = []
    client.on_rotate(told.append)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    finish(backend, "v2")
    assert client.get("db").version_id == "v1"
    worker.run()
    assert client.get("db").version_id == "v2"
    worker.run()
    assert len(told) == 1
