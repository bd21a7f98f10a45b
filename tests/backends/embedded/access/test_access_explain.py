"""An explanation tells the story of the door: where it says yes the call is answered, and no."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.embedded.access.realm import HOME, allow, deny, policy

KMS = ("kms:GenerateDataKey", "kms:Decrypt")


def agree(realm: Any, user: str, operation: str, named: str, **more: Any) -> bool:
    """What both say; the test fails if they do not agree."""
    told = realm.service.explain(user, operation, named, parameters=more)
    member = "Name" if operation == "CreateSecret" else "SecretId"
    done = realm.may(user, operation, **{member: named}, **more)
    assert told.allowed is done, told.sentences()
    return bool(done)


class TestKeys:
    @pytest.fixture
    def keys(self, realm: Any) -> tuple[str, str]:
        """Of a secret that was made under the first and is under the second now."""
        first, second = realm.service.create_key(), realm.service.create_key()
        realm.secret(KmsKeyId=first)
        realm(None, "UpdateSecret", SecretId="prod/db", KmsKeyId=second)
        return first, second

    @pytest.mark.parametrize("has", [(), (0,), (1,), (0, 1)])
    def test_any_key_of_a_value_reads_it(
        self, realm: Any, keys: tuple[str, str], has: tuple[int, ...]
    ) -> None:
        use = [allow("kms:Decrypt", on=keys[each]) for each in has]
        user = realm.user("app", allow("GetSecretValue"), *use)
        assert agree(realm, user, "GetSecretValue", "prod/db") is bool(has)

    @pytest.mark.parametrize("has", [0, 1])
    def test_a_new_value_goes_under_the_secrets_key_of_now(
        self, realm: Any, keys: tuple[str, str], has: int
    ) -> None:
        user = realm.user("app", allow("PutSecretValue"), allow(KMS[0], on=keys[has]))
        assert agree(realm, user, "PutSecretValue", "prod/db", SecretString="b") is bool(has)

    @pytest.mark.parametrize("has", [(), (KMS[0],), KMS])
    def test_a_key_that_a_new_secret_names_is_tried(self, realm: Any, has: tuple[str, ...]) -> None:
        realm.service.create_key(alias="app")
        use = [allow(*has)] if has else []
        user = realm.user("app", allow("CreateSecret"), *use)
        assert agree(realm, user, "CreateSecret", "a", KmsKeyId="alias/app") is (has == KMS)

    @pytest.mark.parametrize(
        "more", [{"Description": "d"}, {"SecretString": "b"}, {"KmsKeyId": "alias/app"}]
    )
    @pytest.mark.parametrize("has", [(), (KMS[0],), KMS])
    def test_an_update_needs_of_them_what_it_changes(
        self, realm: Any, keys: tuple[str, str], more: dict[str, str], has: tuple[str, ...]
    ) -> None:
        realm.service.create_key(alias="app")
        use = [allow(*has)] if has else []
        user = realm.user("app", allow("UpdateSecret"), *use)
        needed = {"Description": 0, "SecretString": 1, "KmsKeyId": 2}[next(iter(more))]
        assert agree(realm, user, "UpdateSecret", "prod/db", **more) is (len(has) >= needed)

    def test_the_default_key_that_nobody_used_yet_lets_in(self, realm: Any) -> None:
        user = realm.user("app", allow("CreateSecret"))
        assert agree(realm, user, "CreateSecret", "a", SecretString="x")


def test_tags_that_take_the_callers_own_access_away(realm: Any) -> None:
    realm.secret(Tags=[{"Key": "team", "Value": "blue"}])
    blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    user = realm.user("app", allow("TagResource", Condition=blue))
    for team, may in (("red", False), ("blue", True)):
        tags = [{"Key": "team", "Value": team}]
        assert agree(realm, user, "TagResource", "prod/db", Tags=tags) is may


def test_each_secret_of_a_batch_is_explained(realm: Any) -> None:
    """What is refused there is an entry in the answer, not a refusal of the call."""
    key = realm.service.create_key()
    arns = [realm.secret("open"), realm.secret("shut"), realm.secret("keyed", KmsKeyId=key)]
    user = realm.user("app", allow("BatchGetSecretValue", "GetSecretValue"), deny("*", on=arns[1]))
    asked = {"SecretIdList": ["open", "shut", "keyed", "open", "not-there"]}
    told = realm.service.explain(user, "BatchGetSecretValue", parameters=asked)
    assert told.allowed
    answer = realm(user, "BatchGetSecretValue", **asked)
    refused = [each["SecretId"] for each in answer["Errors"]]
    assert refused == ["shut", "keyed", "not-there"]
    said = [(each.request.action.partition(":")[2], each.allowed) for each in told.items]
    assert said == [
        ("GetSecretValue", True),
        ("Decrypt", True),
        ("GetSecretValue", False),
        ("GetSecretValue", True),
        ("Decrypt", False),
        ("GetSecretValue", True),
    ]
    assert len(told.sentences()) > len(told.items)


def test_a_batch_that_is_refused_has_no_items(realm: Any) -> None:
    realm.secret("a")
    user = realm.user("app", allow("GetSecretValue"))
    told = realm.service.explain(user, "BatchGetSecretValue", parameters={"SecretIdList": ["a"]})
    assert not told.allowed
    assert told.items == ()


def test_a_foreigner_asks_the_key_of_the_secrets_account(realm: Any) -> None:
    key = realm.service.create_key(alias="owners")
    arn = realm.secret(KmsKeyId="alias/owners")
    user = realm.user("app", allow("*", "kms:*"), account="210987654321")
    realm.attach(arn, policy(allow("*", Principal={"AWS": user})))
    assert not agree(realm, user, "PutSecretValue", arn, SecretString="b")
    use = allow("kms:*", Principal={"AWS": [user, f"arn:aws:iam::{HOME}:root"]})
    realm.accounts.put_key_policy(key, policy(use))
    assert agree(realm, user, "PutSecretValue", arn, SecretString="b")
