"""A role is assumed at the first question, with keys that renew themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smclient import AccessDeniedError, SecretRef, SecretsClient, ThrottlingError
from smclient_aws import AwsBackend

ROLE = "arn:aws:iam::123456789012:role/reader"
REF = SecretRef("prod/db")


def _assumed(double: Any, lifetime: timedelta) -> Any:
    until = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
        "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>t</SessionToken><Expiration>{until}</Expiration></Credentials>"
        "</AssumeRoleResult></AssumeRoleResponse>"
    )
    return double.raw(body.encode())


def _refused(double: Any, code: str) -> Any:
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>not you</Message></Error></ErrorResponse>"
    )
    return double.raw(body.encode(), 403)


@pytest.fixture
def assuming(
    double: Any,
    opened: Callable[..., AwsBackend],
    monkeypatch: pytest.MonkeyPatch,
    slept: list[float],
) -> AwsBackend:
    """A backend with a role; STS and Secrets Manager are the same double."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", double.url)
    more = "external_id=ext&session_name=me"
    return opened(f"aws://us-east-1?role_arn={ROLE}&{more}&endpoint_url={double.url}")


def _keys(double: Any) -> list[str]:
    return [
        request["Authorization"].partition("Credential=")[2].partition("/")[0]
        for request in double.requests
    ]


def test_the_role_is_assumed_once_and_its_keys_are_used(double: Any, assuming: AwsBackend) -> None:
    """STS is no attempt of Secrets Manager's."""
    double.answers(_assumed(double, timedelta(hours=1)), double.value())
    assert assuming.identity().principal == ROLE
    assert double.requests == []
    assert [assuming.fetch(REF).attempts for _ in range(2)] == [1, 1]
    assert _keys(double) == ["AKIAIOSFODNN7EXAMPLE", "ASIAROLE", "ASIAROLE"]
    assert "smclient/" in double.requests[0]["User-Agent"]


def test_keys_that_end_soon_are_renewed(double: Any, assuming: AwsBackend) -> None:
    """Before they end."""
    soon = _assumed(double, timedelta(minutes=11))  # valid, and inside botocore's 15 minutes
    later = _assumed(double, timedelta(hours=1))
    double.answers(soon, double.value(), later, double.value())
    assuming.fetch(REF)
    assuming.fetch(REF)
    assuming.fetch(REF)
    assert _keys(double) == ["AKIAIOSFODNN7EXAMPLE", "ASIAROLE"] * 2 + ["ASIAROLE"]


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDenied", AccessDeniedError), ("Throttling", ThrottlingError)]
)
def test_a_role_that_cannot_be_assumed_is_told_from_a_secret_that_cannot_be_read(
    double: Any, assuming: AwsBackend, code: str, expected: type[Exception]
) -> None:
    """The message names AssumeRole; nothing reached Secrets Manager."""
    double.answers(_refused(double, code))
    with pytest.raises(expected, match="AssumeRole for it: not you") as caught:
        assuming.fetch(REF)
    assert vars(caught.value)["attempts"] == 0


def test_the_external_id_and_the_session_name_are_sent(
    double: Any, assuming: AwsBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role's trust policy may ask for them."""
    import botocore.client

    sent: list[dict[str, Any]] = []
    plain = botocore.client.BaseClient._make_api_call

    def noted(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "AssumeRole":
            sent.append(parameters)
        return plain(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    double.answers(_assumed(double, timedelta(hours=1)), double.value())
    assuming.fetch(REF)
    assert sent == [{"RoleArn": ROLE, "RoleSessionName": "me", "ExternalId": "ext"}]


def test_against_moto(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second service that speaks STS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    with SecretsClient(f"aws://us-east-1?role_arn={ROLE}&endpoint_url={moto}") as client:
        client.call("CreateSecret", Name="a", SecretString="x")
        assert client.get("a").text == "x"
