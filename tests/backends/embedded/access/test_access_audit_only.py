"""The way in for a team: every denial is decided and recorded, and the call let through."""

from __future__ import annotations

from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from tests.backends.embedded.access.realm import allow, policy

ASK = "is not authorized to perform: secretsmanager:"


@pytest.fixture
def lenient(make: Any) -> Any:
    """A service that only records; a user without policies."""
    realm = make(access="audit")
    realm.secret()
    realm.app = realm.user()
    return realm


def denials(realm: Any, operation: str) -> list[str]:
    """What is on record about the newest call of an operation."""
    (newest, *_) = realm.service.audit.lookup(event_name=operation)
    data = newest.get("additionalEventData") or {}
    return list(data.get("accessDeniedButLetThrough", []))


def test_a_read_is_let_through_and_on_record(lenient: Any) -> None:
    assert lenient(lenient.app, "GetSecretValue", SecretId="prod/db")["SecretString"]
    (said,) = denials(lenient, "GetSecretValue")
    assert said == (
        f"User: {lenient.app} {ASK}GetSecretValue on resource: prod/db "
        "because no identity-based policy allows the secretsmanager:GetSecretValue action"
    )


def test_a_change_is_let_through_and_on_record(lenient: Any) -> None:
    lenient(lenient.app, "PutSecretValue", SecretId="prod/db", SecretString="second")
    assert len(denials(lenient, "PutSecretValue")) == 1
    assert lenient(None, "GetSecretValue", SecretId="prod/db")["SecretString"] == "second"


def test_every_action_that_lacks_is_named(lenient: Any) -> None:
    lenient(lenient.app, "CreateSecret", Name="b", Tags=[{"Key": "k", "Value": "v"}])
    said = denials(lenient, "CreateSecret")
    assert len(said) == 2
    assert "CreateSecret" in said[0]
    assert "TagResource" in said[1]


def test_keys_and_the_items_of_a_batch_are_let_through_too(lenient: Any) -> None:
    lenient.secret("keyed", KmsKeyId=lenient.service.create_key())
    answer = lenient(lenient.app, "BatchGetSecretValue", SecretIdList=["keyed"])
    assert answer["SecretValues"]
    said = denials(lenient, "BatchGetSecretValue")
    assert ["kms:Decrypt" in text for text in said] == [False, False, True]


def test_what_is_allowed_leaves_no_such_record(lenient: Any) -> None:
    lenient.accounts.put_policy(lenient.app, "read", policy(allow("GetSecretValue")))
    lenient(lenient.app, "GetSecretValue", SecretId="prod/db")
    assert denials(lenient, "GetSecretValue") == []


def test_other_refusals_stay(lenient: Any) -> None:
    code, _ = lenient.refused(lenient.app, "GetSecretValue", SecretId="unknown")
    assert code == "ResourceNotFoundException"
    assert denials(lenient, "GetSecretValue")


def test_there_are_two_modes() -> None:
    with pytest.raises(ConfigError, match="'enforce' or 'audit'"):
        EmbeddedService(access="off")  # type: ignore[arg-type]
