"""The breaker, which holds logins back after whole rounds of them failed."""

from __future__ import annotations

import pytest

from smclient import LoginHeldBackError, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from tests.core.login.helpers_login import Database, NoDatabase, WrongPassword, add


def fail_to_log_in(client: SecretsClient, database: Database) -> int:
    """How many logins were tried; which error came is in ``database.last``."""
    before = len(database.tried)
    with pytest.raises((WrongPassword, LoginHeldBackError)) as caught:
        client.connect("db", database.connect)
    database.last = caught.value  # type: ignore[attr-defined]
    return len(database.tried) - before


def test_five_whole_rounds_within_a_minute_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Then nothing is tried for 30 s, however often one asks: an account may be locked."""
    database.users.clear()
    for _ in range(5):
        assert fail_to_log_in(client, database) == 2
        clock.advance(1)
    for _ in range(28):
        assert fail_to_log_in(client, database) == 0
        assert isinstance(database.last, LoginHeldBackError)  # type: ignore[attr-defined]
        clock.advance(1)
    told = str(database.last)  # type: ignore[attr-defined]
    assert backend.arn("db") in told
    assert "held back: v1, v0" in told
    clock.advance(1)
    assert fail_to_log_in(client, database) == 2
    assert fail_to_log_in(client, database) == 0


def test_the_breaker_lets_a_recovered_database_in(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """And forgets the failures."""
    database.users.clear()
    for _ in range(5):
        fail_to_log_in(client, database)
    clock.advance(30)
    database.users["app"] = "p1"
    client.connect("db", database.connect)
    database.users.clear()
    assert fail_to_log_in(client, database) == 2


def test_a_new_version_is_tried_though_the_breaker_is_open(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """It has not failed yet; the move also closes the breaker."""
    database.users.clear()
    for _ in range(6):
        fail_to_log_in(client, database)
    add(backend, "v2")
    database.users["app"] = "p2"
    database.tried.clear()
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p2"]


def test_slow_failures_do_not_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Five in more than a minute are no burst."""
    database.users.clear()
    for _ in range(20):
        assert fail_to_log_in(client, database) == 2
        clock.advance(16)


def test_errors_of_another_kind_do_not_open_the_breaker(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A database that is down locks nobody out."""
    database.users.clear()
    database.error = NoDatabase
    for n in range(10):
        with pytest.raises(NoDatabase):
            client.connect("db", database.connect)
        assert len(database.tried) == n + 1
