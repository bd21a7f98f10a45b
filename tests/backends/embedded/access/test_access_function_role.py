"""What a rotation function may do that was given no role."""

from __future__ import annotations

from typing import Any

import pytest

from smclient_embedded.accounts import default_function_role, function_principal
from smclient_embedded.policy import parse
from tests.backends.embedded.access.realm import allow, policy


@pytest.fixture
def function(realm: Any) -> str:
    """A function that one of two secrets names; neither has other rights to it."""
    arn = str(realm.service.register_function("rotate", lambda event, context: None))
    realm.secret("named")
    realm.secret("other")
    realm(None, "RotateSecret", SecretId="named", RotationLambdaARN=arn, RotateImmediately=False)
    return arn


def test_it_is_a_valid_policy(function: str) -> None:
    parse(default_function_role(function, masters=[function]), "identity")


def test_it_rotates_the_secrets_that_name_it_and_no_other(realm: Any, function: str) -> None:
    acting = function_principal(function)
    for secret, answered in (("named", True), ("other", False)):
        assert realm.may(acting, "GetSecretValue", SecretId=secret) is answered
        assert realm.may(acting, "DescribeSecret", SecretId=secret) is answered
        put = {"SecretId": secret, "SecretString": "x", "VersionStages": ["OWN"]}
        assert realm.may(acting, "PutSecretValue", **put) is answered
    assert realm.may(acting, "GetRandomPassword")
    assert not realm.may(acting, "ListSecrets")
    assert not realm.may(acting, "DeleteSecret", SecretId="named")


def test_it_reads_the_master_secrets_it_is_told_of_and_changes_none(
    realm: Any, function: str
) -> None:
    master = realm.secret("master")
    acting = function_principal(function, masters=[master])
    assert realm.may(acting, "GetSecretValue", SecretId=master)
    assert realm.may(acting, "DescribeSecret", SecretId=master)
    assert not realm.may(acting, "PutSecretValue", SecretId=master, SecretString="x")
    assert not realm.may(function_principal(function), "GetSecretValue", SecretId=master)


def test_it_uses_customer_keys_through_the_service(realm: Any, function: str) -> None:
    key = realm.service.create_key()
    master = realm.secret("master", KmsKeyId=key)
    acting = function_principal(function, masters=[master])
    assert realm.may(acting, "GetSecretValue", SecretId=master)


def test_a_function_with_a_role_acts_under_it(realm: Any) -> None:
    """``context.secrets`` asks as a session of the role, and is denied what the role is."""
    seen: list[Any] = []

    def handler(event: Any, context: Any) -> None:
        seen.append(context.secrets.identity().principal)
        context.secrets.describe(event["SecretId"])
        context.secrets.call("PutSecretValue", {"SecretId": event["SecretId"], "SecretString": "x"})

    role = realm.accounts.create_role("rotator", policies=policy(allow("DescribeSecret")))
    function = realm.service.register_function("own-role", handler, role)
    arn = realm.secret()
    realm(None, "RotateSecret", SecretId=arn, RotationLambdaARN=function)
    assert realm.service.run_due().failed == (arn,)
    assert seen[0].startswith("arn:aws:sts::123456789012:assumed-role/rotator/")
    denied = [e for e in realm.service.audit.lookup() if e.get("errorCode") == "AccessDenied"]
    assert {event["eventName"] for event in denied} == {"PutSecretValue"}
