"""The version that won is remembered, for as long as it is good for anything."""

from __future__ import annotations

import pytest

from smclient import AccessDeniedError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.login.helpers_login import Database, add, finish, logins


def test_a_winner_is_tried_first_until_labels_move(
    client: SecretsClient, backend: FakeBackend, database: Database, worker: Queued
) -> None:
    """A pool does not repeat the failing login; after the rotation AWSCURRENT is first again."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    for _ in range(4):
        client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2", "p2", "p2", "p2"]
    assert logins(client) == {"AWSPENDING": 1, "remembered": 3}
    finish(backend, "v2")
    worker.run()
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p2"]
    assert logins(client) == {"AWSPENDING": 1, "remembered": 3, "cached": 1}


def test_a_winner_that_is_refused_gives_way(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A rotation may be rolled back; the next login asks the winner no more."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    database.users["app"] = "p1"
    database.tried.clear()
    client.connect("db", database.connect)
    client.connect("db", database.connect)
    assert database.passwords == ["p2", "p1", "p1"]


def test_a_winner_is_forgotten_after_max_stale(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Clear text is not kept for ever."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    clock.advance(3600)
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2", "p1", "p2"]


def test_a_refused_secret_is_no_login_whoever_won_before(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Revocation takes effect for logins too."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    backend.fail_with(AccessDeniedError("no"), times=None)
    with pytest.raises(AccessDeniedError):
        client.refresh("db")
    with pytest.raises(AccessDeniedError):
        client.connect("db", database.connect)
