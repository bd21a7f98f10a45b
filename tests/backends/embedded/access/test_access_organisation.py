"""Organisations: service control policies by level, resource control policies, exemptions."""

from __future__ import annotations

from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded.context import Principal
from tests.backends.embedded.access.realm import HOME, OTHER, allow, deny, policy

MANAGEMENT = "111111111111"


@pytest.fixture
def organised(realm: Any) -> Any:
    """HOME is in root/prod/web of an organisation; a user there may do everything."""
    realm.secret()
    realm.accounts.create_organisation(MANAGEMENT)
    realm.accounts.put_account(HOME, "root/prod/web")
    realm.dev = realm.user("dev", allow("*"))
    return realm


class TestServiceControlPolicies:
    def test_without_any_everything_is_open(self, organised: Any) -> None:
        """FullAWSAccess is attached everywhere from the beginning."""
        assert organised.may(organised.dev, "GetSecretValue", SecretId="prod/db")

    @pytest.mark.parametrize("node", ["root", "root/prod", "root/prod/web", HOME])
    def test_a_deny_at_any_level_counts(self, organised: Any, node: str) -> None:
        document = policy(deny("DeleteSecret"))
        organised.accounts.attach_policy("scp", node, "no-delete", document)
        code, text = organised.refused(organised.dev, "DeleteSecret", SecretId="prod/db")
        assert code == "AccessDeniedException"
        assert text.endswith("with an explicit deny in a service control policy")
        organised.accounts.detach_policy("scp", node, "no-delete")
        assert organised.may(organised.dev, "DeleteSecret", SecretId="prod/db")

    @pytest.mark.parametrize("node", ["root", "root/prod", "root/prod/web", HOME])
    def test_every_level_has_to_allow(self, organised: Any, node: str) -> None:
        organised.accounts.attach_policy("scp", node, "list", policy(allow("DescribeSecret")))
        organised.accounts.detach_policy("scp", node, "FullAWSAccess")
        assert organised.may(organised.dev, "DescribeSecret", SecretId="prod/db")
        _, text = organised.refused(organised.dev, "GetSecretValue", SecretId="prod/db")
        assert text.endswith(
            "because no service control policy allows the secretsmanager:GetSecretValue action"
        )

    def test_the_root_user_of_a_member_is_bound(self, organised: Any) -> None:
        """So the zero-configuration administrator of such an account is."""
        organised.accounts.attach_policy("scp", "root", "no", policy(deny("DeleteSecret")))
        assert not organised.may(None, "DeleteSecret", SecretId="prod/db")
        assert organised.may(None, "DescribeSecret", SecretId="prod/db")

    def test_the_root_user_is_bound_by_the_key_that_it_names(self, organised: Any) -> None:
        key = organised.service.create_key(alias="ours")
        bound = {"ArnEquals": {"secretsmanager:KmsKeyArn": key}}
        document = policy(deny("CreateSecret", "UpdateSecret", Condition=bound))
        organised.accounts.attach_policy("scp", "root", "no-key", document)
        for caller in (None, organised.user("app", allow("*", "kms:*"))):
            assert not organised.may(caller, "CreateSecret", Name="a", KmsKeyId="alias/ours")
            assert not organised.may(caller, "UpdateSecret", SecretId="prod/db", KmsKeyId=key)
        assert organised.may(None, "CreateSecret", Name="a")

    def test_the_root_user_is_bound_by_the_tags_that_it_would_set(self, organised: Any) -> None:
        locked = {"Null": {"aws:ResourceTag/lock": "false"}}
        document = policy(deny("TagResource", "UntagResource", Condition=locked))
        organised.accounts.attach_policy("scp", "root", "locked", document)
        lock = [{"Key": "lock", "Value": "1"}]
        for caller in (None, organised.dev):
            assert not organised.may(caller, "TagResource", SecretId="prod/db", Tags=lock)
        assert "Tags" not in organised(None, "DescribeSecret", SecretId="prod/db")

    def test_the_management_account_is_not_bound(self, organised: Any) -> None:
        organised.accounts.attach_policy("scp", "root", "no", policy(deny("*")))
        administrator = Principal.administrator(MANAGEMENT)
        assert organised.may(administrator, "CreateSecret", Name="own")

    def test_an_account_outside_is_not_bound(self, organised: Any) -> None:
        organised.accounts.attach_policy("scp", "root", "no", policy(deny("*")))
        user = organised.user("ext", allow("*"), account=OTHER)
        assert organised.may(user, "CreateSecret", Name="own")

    def test_a_service_linked_role_is_not_bound(self, organised: Any) -> None:
        organised.accounts.attach_policy("scp", "root", "no", policy(deny("*")))
        role = organised.accounts.create_role(
            "AWSServiceRoleForX",
            path="/aws-service-role/x.amazonaws.com/",
            policies=policy(allow("DescribeSecret")),
        )
        assert organised.may(role, "DescribeSecret", SecretId="prod/db")


class TestResourceControlPolicies:
    def test_they_bind_principals_of_the_account(self, organised: Any) -> None:
        document = policy(deny("GetSecretValue", Principal="*"))
        organised.accounts.attach_policy("rcp", "root", "shut", document)
        _, text = organised.refused(organised.dev, "GetSecretValue", SecretId="prod/db")
        assert text.endswith("with an explicit deny in a resource control policy")

    def test_they_bind_foreigners(self, organised: Any) -> None:
        """Unless the condition spares their organisation."""
        key = organised.service.create_key()
        arn = organised.secret("shared", KmsKeyId=key)
        user = organised.user("ext", allow("*", "kms:*"), account=OTHER)
        organised.attach(arn, policy(allow("DescribeSecret", Principal={"AWS": user})))
        assert organised.may(user, "DescribeSecret", SecretId=arn)
        ours = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-smclient01"}}
        document = policy(deny("*", Principal="*", Condition=ours))
        document["Statement"][0]["Action"] = "secretsmanager:*"
        organised.accounts.attach_policy("rcp", "root", "ours", document)
        assert not organised.may(user, "DescribeSecret", SecretId=arn)
        assert organised.may(organised.dev, "DescribeSecret", SecretId=arn)

    def test_a_policy_that_allows_is_none(self, organised: Any) -> None:
        document = policy(allow("GetSecretValue", Principal="*"))
        with pytest.raises(ConfigError, match="rcp"):
            organised.accounts.attach_policy("rcp", "root", "open", document)


class TestPlaces:
    def test_conditions_know_organisation_and_path(self, organised: Any) -> None:
        where = {
            "StringEquals": {"aws:PrincipalOrgID": "o-smclient01"},
            "ForAnyValue:StringLike": {
                "aws:PrincipalOrgPaths": "o-smclient01/r-root/ou-prod/ou-web/*"
            },
        }
        member = organised.user("a", allow("ListSecrets", Condition=where))
        outside = organised.user("b", allow("ListSecrets", Condition=where), account=OTHER)
        assert organised.may(member, "ListSecrets")
        assert not organised.may(outside, "ListSecrets")

    def test_an_account_that_moves_is_bound_by_its_new_place(self, organised: Any) -> None:
        organised.accounts.attach_policy("scp", "root/prod", "no", policy(deny("*")))
        assert not organised.may(organised.dev, "ListSecrets")
        organised.accounts.put_account(HOME, "root/dev")
        assert organised.may(organised.dev, "ListSecrets")

    @pytest.mark.parametrize("node", ["root/none", OTHER, "prod"])
    def test_a_node_that_is_not_there_is_refused(self, organised: Any, node: str) -> None:
        with pytest.raises(ConfigError, match="has no"):
            organised.accounts.attach_policy("scp", node, "x", policy(deny("*")))
