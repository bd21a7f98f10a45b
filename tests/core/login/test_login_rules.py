"""The rules of the login ladder: what is tried, how often, in which order, and what ends it."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from smclient import SecretsClient, SecretValue
from smclient.testing import FakeBackend
from tests.core.login.helpers_login import (
    Database,
    NoDatabase,
    NotPermitted,
    WrongPassword,
    add,
    stages_asked,
)

# --- the rules of the ladder ----------------------------------------------------------------------


def test_the_same_credentials_are_never_tried_twice(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Though three versions hold them."""
    content = {"username": "app", "password": "p1", "note": "another version, the same login"}
    backend.put("db", content, stages=["AWSPENDING"], version_id="v2")
    backend.put("db", content, stages=["AWSCURRENT"], version_id="v3")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert database.passwords == ["p1"]


def test_the_same_password_of_another_user_is_another_login(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """User and password count together."""
    backend.put("db", {"username": "other", "password": "p1"}, stages=["AWSPENDING"])
    database = Database(other="p1")
    client.connect("db", database.connect)
    assert database.tried == [("app", "p1"), ("other", "p1")]


def test_at_most_four_logins(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """However fast versions come."""
    client.get("db")
    versions = iter(range(2, 100))
    backend.before = lambda call: add(backend, f"v{next(versions)}", "AWSCURRENT")
    database.users.clear()
    with pytest.raises(WrongPassword) as caught:
        client.connect("db", database.connect)
    assert len(database.tried) == len(set(database.tried)) == 4
    (note,) = caught.value.__notes__
    assert note.count("v") >= 4


def test_an_error_that_is_not_about_the_password_ends_it_at_once(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Nothing is asked, nothing tried again, nothing counted as a refused login."""
    client.get("db")
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    database.error = NoDatabase
    with pytest.raises(NoDatabase):
        client.connect("db", database.connect)
    assert (len(database.tried), len(backend.calls)) == (1, 1)
    assert client.usage().failed_logins == 0


def test_an_error_of_the_caller_s_own_code_ends_it_at_once(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its traceback shows where."""

    def broken(user: str, password: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        client.connect("db", broken)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "broken"


@pytest.mark.parametrize("versions", [["AWSPENDING"], ["AWSPENDING", "AWSCURRENT"]])
def test_after_an_unclear_error_one_more_login_is_allowed(
    versions: list[str], client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """With a different version, and no more than one."""
    client.get("db")
    for n, stage in enumerate(versions, 2):
        add(backend, f"v{n}", stage)
    database.users.clear()
    database.error = NotPermitted
    with pytest.raises(NotPermitted):
        client.connect("db", database.connect)
    assert len(database.tried) == 2
    assert client.usage().failed_logins == 2


def test_an_unclear_error_may_be_about_the_password_after_all(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """Then the second login wins."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    database.error = NotPermitted
    assert client.connect("db", database.connect) == "connected as app"


def test_an_unclear_error_without_another_version_is_final(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The same credentials are not tried again."""
    backend.move("db", "AWSPREVIOUS", None)
    database.users.clear()
    database.error = NotPermitted
    with pytest.raises(NotPermitted):
        client.connect("db", database.connect)
    assert len(database.tried) == 1


def test_with_the_ladder_off_only_awscurrent_is_tried(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """Cached and fresh."""
    client = make_client(ladder=("AWSCURRENT",))
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert database.passwords == ["p1"]
    assert stages_asked(backend) == ["AWSCURRENT", "AWSCURRENT"]


def test_the_ladder_has_the_rungs_and_the_order_that_were_set(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, database: Database
) -> None:
    """Any staging label can be one."""
    client = make_client(ladder=("AWSCURRENT", "mine", "AWSPREVIOUS"))
    add(backend, "v7", "mine")
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p7", "p0"]


# --- whole versions -------------------------------------------------------------------------------


def test_login_gives_whole_versions_to_the_caller(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """For what ``connect`` cannot express."""
    tried: list[str] = []
    backend.put("db", {"api_key": "k2"}, stages=["AWSPENDING"], version_id="v2")
    backend.put("db", {"api_key": "k3"}, stages=["AWSCURRENT"], version_id="v3")

    def attempt(value: SecretValue) -> str:
        tried.append(value.version_id)
        if value.version_id != "v2":
            raise WrongPassword
        return value["api_key"]  # type: ignore[no-any-return]

    assert client.login("db", attempt, fields=["api_key"]) == "k2"
    assert tried == ["v3", "v2"]
