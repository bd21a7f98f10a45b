"""The login ladder in every phase of a rotation, of one user and of two."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from smclient import SecretsClient
from smclient.testing import FakeBackend
from tests.core.login.helpers_login import Database, add, finish, logins, stages_asked

# --- single user, phase by phase ------------------------------------------------------------------


def test_the_cached_password_is_tried_first(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Where it is right, a login costs no call."""
    client.get("db")
    for _ in range(5):
        assert client.connect("db", database.connect) == "connected as app"
    assert len(backend.calls) == 1
    assert (logins(client), client.usage().failed_logins) == ({"cached": 5}, 0)


def test_after_create_secret_the_current_password_still_holds(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """AWSPENDING is not looked at."""
    add(backend, "v2", "AWSPENDING")
    client.connect("db", database.connect)
    assert database.passwords == ["p1"]


def test_after_set_secret_the_pending_password_holds(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The labels have not moved yet: this is where everybody else fails."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2"]
    assert stages_asked(backend)[1:] == ["AWSCURRENT", "AWSPENDING"]
    assert (logins(client), client.usage().failed_logins) == ({"AWSPENDING": 1}, 1)


def test_after_finish_secret_a_fresh_read_helps_a_stale_cache(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """One failed login, one call."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    finish(backend, "v2")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p2"]
    assert stages_asked(backend)[1:] == ["AWSCURRENT"]
    assert logins(client) == {"AWSCURRENT": 1}
    client.connect("db", database.connect)
    assert (database.passwords[2:], len(backend.calls)) == (["p2"], 2)


def test_the_previous_password_is_the_last_resort(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Where the new one is not in force yet: a lagging replica, a restored database."""
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p0"]
    assert logins(client) == {"AWSPREVIOUS": 1}


def test_a_cache_that_is_several_rotations_old_gets_there(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Within four logins, in the middle of yet another rotation."""
    client.get("db")
    add(backend, "v2")
    add(backend, "v3")
    add(backend, "v4", "AWSPENDING")
    database.users["app"] = "p4"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p3", "p4"]


# --- alternating users ----------------------------------------------------------------------------


@pytest.fixture
def two_users(backend: FakeBackend) -> Database:
    """AWSCURRENT is ``app``, AWSPREVIOUS ``app_clone``; both may log in."""
    backend.remove("db")
    add(backend, "v0", user="app_clone")
    add(backend, "v1")
    return Database(app="p1", app_clone="p0")


@pytest.mark.parametrize("phase", ["before", "create", "set", "finish"])
def test_alternating_users_log_in_with_what_is_cached_in_every_phase(
    phase: str, client: SecretsClient, backend: FakeBackend, two_users: Database
) -> None:
    """The user that is being re-keyed is the other one."""
    client.get("db")
    if phase != "before":
        add(backend, "v2", "AWSPENDING", user="app_clone")
    if phase in ("set", "finish"):
        two_users.users["app_clone"] = "p2"
    if phase == "finish":
        finish(backend, "v2")
    client.connect("db", two_users.connect)
    assert two_users.tried == [("app", "p1")]


def test_alternating_users_with_a_cache_two_rotations_old(
    client: SecretsClient, backend: FakeBackend, two_users: Database
) -> None:
    """The cached user has another password by now, the fresh one works."""
    client.get("db")
    add(backend, "v2", user="app_clone")
    add(backend, "v3", user="app")
    two_users.users.update(app="p3", app_clone="p2")
    client.connect("db", two_users.connect)
    assert two_users.tried == [("app", "p1"), ("app", "p3")]


# --- many threads ---------------------------------------------------------------------------------


def test_many_threads_log_in_through_a_rotation(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """None fails, in whatever phase it comes; each tries few passwords."""
    client = make_client(login_wait=5.0)
    lock = threading.Lock()
    failures: list[BaseException] = []
    done = threading.Event()

    def rotate() -> None:
        for n in range(2, 12):
            with lock:
                add(backend, f"v{n}", "AWSPENDING")
            with lock:
                database.users["app"] = f"p{n}"
            with lock:
                finish(backend, f"v{n}")
        done.set()

    def log_in() -> None:
        while not done.is_set():
            try:
                with lock:  # a rotation step does not happen in the middle of a login
                    client.connect("db", database.connect)
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=log_in) for _ in range(4)]
    rotation = threading.Thread(target=rotate)
    for thread in [*threads, rotation]:
        thread.start()
    for thread in [*threads, rotation]:
        thread.join(60)
    assert failures == []
    assert done.is_set()
