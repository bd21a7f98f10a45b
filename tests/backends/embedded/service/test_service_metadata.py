"""Tags that are refused, types of external secrets, and secrets that other AWS services own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded.access import Access
from smclient_embedded.context import Principal

OWNED = ("InvalidRequestException", "Operation is not allowed on secret owned by events")
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "123456789012"},
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
            }
        ],
    }
)


class TestTags:
    @pytest.mark.parametrize("key", ["aws:x", "AWS:x", "aws:"])
    def test_of_aws_itself_cannot_be_set(self, world: Any, key: str) -> None:
        """Nor removed; the secret stays as it is."""
        world.create("s", Tags=[{"Key": "k", "Value": "v"}])
        before = world.describe()
        tags = [{"Key": "fine", "Value": ""}, {"Key": key, "Value": ""}]
        for operation, more in (
            ("TagResource", {"SecretId": "s", "Tags": tags}),
            ("UntagResource", {"SecretId": "s", "TagKeys": ["k", key]}),
            ("CreateSecret", {"Name": "new", "Tags": tags}),
        ):
            code, text = world.refused(operation, **more)
            assert code == "InvalidParameterException"
            assert repr(key) in text
        assert world.describe() == before
        assert [secret["Name"] for secret in world("ListSecrets")["SecretList"]] == ["s"]

    def test_with_aws_elsewhere_in_the_key_are_fine(self, world: Any) -> None:
        """Only the beginning is reserved, and only with its colon."""
        world.create()
        keys = ["my-aws:x", "awsome", "aws", "a:aws:b"]
        world("TagResource", SecretId="s", Tags=[{"Key": key, "Value": "1"} for key in keys])
        assert [tag["Key"] for tag in world.describe()["Tags"]] == keys

    @pytest.mark.parametrize("operation", ["TagResource", "CreateSecret"])
    def test_with_one_key_twice_are_refused(self, world: Any, operation: str) -> None:
        """Even with one value; in other case they are two keys."""
        world.create()
        name = {"SecretId": "s"} if operation == "TagResource" else {"Name": "new"}
        twice = [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "v"}]
        code, text = world.refused(operation, **name, Tags=twice)
        assert code == "InvalidParameterException"
        assert "'k'" in text
        assert "Tags" not in world.describe()
        world(operation, **name, Tags=[{"Key": "k", "Value": "1"}, {"Key": "K", "Value": "2"}])

    def test_without_a_key_are_refused(self, memory: Any) -> None:
        """The model lets that through, AWS does not."""
        memory.create()
        code, _ = memory.refused("TagResource", SecretId="s", Tags=[{"Value": "v"}])
        assert code == "InvalidParameterException"

    def test_of_a_replayed_call_are_looked_at_too(self, memory: Any) -> None:
        """CreateSecret once more with tags that there cannot be."""
        memory.create()
        code, _ = memory.refused(
            "CreateSecret",
            Name="s",
            SecretString="v0",
            ClientRequestToken=memory.token("v0"),
            Tags=[{"Key": "aws:x", "Value": ""}],
        )
        assert code == "InvalidParameterException"


class TestTypes:
    def test_of_external_secrets_are_shown(self, world: Any) -> None:
        """By DescribeSecret and ListSecrets; not before there is one."""
        world.create()
        assert "Type" not in world.describe()
        world.create("e", Type="SalesforceClientSecret")
        assert world.describe("e")["Type"] == "SalesforceClientSecret"
        shown = {s["Name"]: s.get("Type") for s in world("ListSecrets")["SecretList"]}
        assert shown == {"s": None, "e": "SalesforceClientSecret"}

    def test_can_be_changed_and_taken_away(self, world: Any) -> None:
        """By UpdateSecret; other changes leave it."""
        world.create(Type="one")
        world("UpdateSecret", SecretId="s", Type="two")
        world("UpdateSecret", SecretId="s", Description="d")
        assert world.describe()["Type"] == "two"
        world("UpdateSecret", SecretId="s", Type="")
        assert "Type" not in world.describe()


class TestAnotherServicesSecret:
    @pytest.fixture
    def owned(self, world: Any) -> Any:
        """A world with the secret ``s`` of EventBridge."""
        world.create()
        world.service.set_owning_service("s", "events")
        return world

    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}]}),
            ("UntagResource", {"TagKeys": ["k"]}),
            ("PutResourcePolicy", {"ResourcePolicy": POLICY}),
            ("DeleteResourcePolicy", {}),
            ("UpdateSecret", {"Description": "d"}),
            ("PutSecretValue", {"SecretString": "x"}),
            ("DeleteSecret", {}),
            ("DeleteSecret", {"ForceDeleteWithoutRecovery": True}),
        ],
    )
    def test_is_not_to_be_changed(self, owned: Any, operation: str, more: Any) -> None:
        """AWS's words."""
        assert owned.refused(operation, SecretId="s", **more) == OWNED
        assert owned.value() == "v0"

    def test_can_be_read(self, owned: Any) -> None:
        """Value, description, policy."""
        assert owned.value() == "v0"
        assert owned.describe()["OwningService"] == "events"
        assert "ResourcePolicy" not in owned("GetResourcePolicy", SecretId="s")

    def test_is_found_by_its_owner(self, owned: Any) -> None:
        """From the beginning of the name; a secret without an owner is not among them."""
        owned.create("mine")
        for value, expected in (("ev", ["s"]), ("Ev", []), ("rds", []), ("!ev", ["mine"])):
            found = owned("ListSecrets", Filters=[{"Key": "owning-service", "Values": [value]}])[
                "SecretList"
            ]
            assert [secret["Name"] for secret in found] == expected

    def test_given_back_is_like_any_other(self, owned: Any) -> None:
        """``None`` takes the owner away."""
        owned.service.set_owning_service("s", None)
        assert "OwningService" not in owned.describe()
        owned("DeleteSecret", SecretId="s")

    def test_that_is_not_there_cannot_be_owned(self, memory: Any) -> None:
        """A slip in a test's set-up."""
        with pytest.raises(ConfigError, match="nope"):
            memory.service.set_owning_service("nope", "rds")

    def test_is_made_and_changed_by_the_service_itself(self, make: Any) -> None:
        """A call of its principal."""
        world = make(authoriser=lambda request: Access(allowed=True))
        world.caller = Principal("events.amazonaws.com", "123456789012", "service")
        world.create()
        world.put("v1")
        world.caller = None
        assert world.describe()["OwningService"] == "events"
        assert world.refused("PutSecretValue", SecretId="s", SecretString="x") == OWNED
