"""The login ladder where a version cannot be read, or is no login."""

from __future__ import annotations

from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    CredentialFieldError,
    NotJsonError,
    SecretsClient,
    SmclientError,
)
from smclient.testing import Call, FakeBackend
from tests.core.login.helpers_login import CANARY, Database, WrongPassword


@pytest.mark.parametrize("refusal", [AccessDeniedError("no"), BackendUnavailableError("no answer")])
@pytest.mark.parametrize("denied", ["AWSPENDING", "AWSCURRENT"])
def test_a_rung_that_is_denied_or_does_not_answer_is_skipped(
    denied: str,
    refusal: SmclientError,
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
) -> None:
    """The others are tried."""
    client.get("db")

    def refuse(call: Call) -> None:
        if call.stage == denied:
            raise refusal

    backend.before = refuse
    database.users["app"] = "p0"
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p1", "p0"]


def test_a_rung_that_is_absent_costs_the_cached_value_nothing(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """AWSCURRENT stays held, so the next login asks nobody."""
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    calls = len(backend.calls)
    database.users["app"] = "p1"
    client.connect("db", database.connect)
    assert len(backend.calls) == calls


def test_a_pending_version_without_a_value_is_skipped(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """It has the label before createSecret has made the password."""
    backend._labels["db"]["AWSPENDING"] = "empty-version"
    database.users["app"] = "p0"
    client.connect("db", database.connect)
    assert database.passwords == ["p1", "p0"]


@pytest.mark.parametrize(
    "content", ["no json", [1], {"username": "app"}, b"\xff", {"password": ""}]
)
def test_a_version_with_unfit_content_does_not_hide_what_the_database_said(
    content: Any, client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """The ladder goes on, and the driver's error is raised."""
    backend.put("db", content, stages=["AWSPENDING"])
    database.users["app"] = "p0"
    assert client.connect("db", database.connect) == "connected as app"
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("no json", NotJsonError),
        ({"password": "x"}, CredentialFieldError),
        ({"username": "app"}, CredentialFieldError),
        ({"username": "app", "password": 5}, CredentialFieldError),
        ({"username": "", "password": CANARY}, CredentialFieldError),
    ],
)
def test_a_secret_that_is_no_login_is_refused_before_the_database_is_asked(
    content: Any,
    error: type[SmclientError],
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
) -> None:
    """The message says what is missing, not what is there."""
    backend.put("db", content)
    with pytest.raises(error, match="'db'") as caught:
        client.connect("db", database.connect)
    assert database.tried == []
    assert CANARY not in str(caught.value)
    assert client.usage().failed_logins == 0
