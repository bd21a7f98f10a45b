"""Two accounts: a secret is shared by its policy, its key and the caller's account together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from smclient_embedded.context import Principal
from smclient_embedded.store.records import Scope
from tests.backends.embedded.access.realm import HOME, OTHER, allow, deny, policy

NO_KMS = ("AccessDeniedException", "Access to KMS is not allowed")


@dataclass
class Shared:
    """A secret under a customer key, and a user of another account."""

    realm: Any
    arn: str
    key: str
    user: str

    def open_secret(self) -> None:
        self.realm.attach(self.arn, policy(allow("GetSecretValue", Principal={"AWS": self.user})))

    def open_key(self) -> None:
        root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:root"})
        use = allow("kms:Decrypt", Principal={"AWS": self.user})
        self.realm.accounts.put_key_policy(self.key, policy(root, use))

    def open_account(self) -> None:
        document = policy(allow("GetSecretValue", on=self.arn), allow("kms:Decrypt", on=self.key))
        self.realm.accounts.put_policy(self.user, "shared", document)

    def refused(self) -> tuple[str, str]:
        return self.realm.refused(self.user, "GetSecretValue", SecretId=self.arn)  # type: ignore[no-any-return]


@pytest.fixture
def shared(realm: Any) -> Shared:
    key = realm.service.create_key()
    arn = realm.secret("shared/db", KmsKeyId=key)
    user = realm.user("reader", account=OTHER)
    return Shared(realm, arn, key, user)


class TestSharing:
    def test_all_three_open_it(self, shared: Shared) -> None:
        shared.open_secret()
        shared.open_key()
        shared.open_account()
        answer = shared.realm(shared.user, "GetSecretValue", SecretId=shared.arn)
        assert answer["SecretString"] == "the value"

    def test_without_the_secrets_policy_it_stays_shut(self, shared: Shared) -> None:
        shared.open_key()
        shared.open_account()
        assert shared.refused()[0] == "AccessDeniedException"
        assert shared.refused()[1].endswith(
            "because no resource-based policy allows the secretsmanager:GetSecretValue action"
        )

    def test_without_the_callers_own_policy_it_stays_shut(self, shared: Shared) -> None:
        shared.open_key()
        shared.open_secret()
        assert shared.refused()[1].endswith(
            "because no identity-based policy allows the secretsmanager:GetSecretValue action"
        )

    def test_without_the_key_it_stays_shut(self, shared: Shared) -> None:
        shared.open_secret()
        shared.open_account()
        assert shared.refused() == NO_KMS

    def test_a_grant_on_the_key_serves_as_well(self, shared: Shared) -> None:
        """Until it is revoked."""
        shared.open_secret()
        shared.open_account()
        accounts = shared.realm.accounts
        grant = accounts.create_grant(shared.key, shared.user, ["Decrypt"])
        assert shared.realm.may(shared.user, "GetSecretValue", SecretId=shared.arn)
        accounts.revoke_grant(shared.key, grant)
        assert shared.refused() == NO_KMS

    def test_the_default_key_is_not_shared(self, shared: Shared) -> None:
        """Whatever the policies say."""
        realm = shared.realm
        arn = realm.secret("plain")
        realm.attach(arn, policy(allow("*", Principal={"AWS": shared.user})))
        realm.accounts.put_policy(shared.user, "all", policy(allow("*", "kms:*")))
        for operation, more in (("GetSecretValue", {}), ("PutSecretValue", {"SecretString": "b"})):
            code, text = realm.refused(shared.user, operation, SecretId=arn, **more)
            assert code == "InvalidRequestException"
            assert "default KMS service key" in text

    def test_a_name_means_the_callers_own_account(self, shared: Shared) -> None:
        shared.open_secret()
        shared.open_key()
        shared.open_account()
        assert not shared.realm.may(shared.user, "GetSecretValue", SecretId="shared/db")

    def test_whether_a_foreign_secret_exists_is_not_told(self, shared: Shared) -> None:
        """Not even to the administrator of another account."""
        there = shared.arn
        absent = there[:-6] + "aaaaaa"
        administrator = Principal.administrator(OTHER)
        for caller in (shared.user, administrator):
            codes = {
                shared.realm.refused(caller, "GetSecretValue", SecretId=arn)[0]
                for arn in (there, absent)
            }
            assert codes == {"AccessDeniedException"}

    def test_a_shared_secret_is_written_under_its_owners_key(self, shared: Shared) -> None:
        realm = shared.realm
        realm.attach(shared.arn, policy(allow("*", Principal={"AWS": shared.user})))
        shared.open_account()
        use = allow("kms:GenerateDataKey", "kms:Decrypt", Principal={"AWS": shared.user})
        root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:root"})
        realm.accounts.put_key_policy(shared.key, policy(root, use))
        realm.accounts.put_policy(
            shared.user, "write", policy(allow("PutSecretValue"), allow("kms:GenerateDataKey"))
        )
        realm(shared.user, "PutSecretValue", SecretId=shared.arn, SecretString="second")
        assert realm(None, "GetSecretValue", SecretId=shared.arn)["SecretString"] == "second"

    def test_a_key_alias_of_the_caller_is_not_the_owners(self, realm: Any) -> None:
        """The alias that a secret was put under is looked up in the secret's account."""
        own = realm.service.create_key(alias="app")
        arn = realm.secret("aliased", KmsKeyId="alias/app")
        versions = realm(None, "ListSecretVersionIds", SecretId=arn)["Versions"]
        assert own in str(versions) or "alias/app" in str(versions)
        user = realm.user("reader", allow("*", "kms:*"), account=OTHER)
        realm.attach(arn, policy(allow("*", Principal={"AWS": user})))
        asked = {"SecretId": arn, "SecretString": "theirs"}
        assert realm.refused(user, "PutSecretValue", **asked) == NO_KMS

    @pytest.mark.parametrize("sent", ["arn", "alias/owners", "alias arn"])
    def test_a_condition_on_the_key_sees_the_key_that_will_be_used(
        self, shared: Shared, sent: str
    ) -> None:
        """An alias or id means the secret's account, as it does for KMS; an ARN its own account."""
        realm = shared.realm
        key = realm.service.create_key(alias="owners")
        bound = {"ArnEquals": {"secretsmanager:KmsKeyArn": key}}
        user = realm.user(
            "keen", allow("*", "kms:*"), deny("UpdateSecret", Condition=bound), account=OTHER
        )
        realm.attach(shared.arn, policy(allow("*", Principal={"AWS": user})))
        use = allow("kms:*", Principal={"AWS": [user, f"arn:aws:iam::{HOME}:root"]})
        for each in (shared.key, key):
            realm.accounts.put_key_policy(each, policy(use))
        place = key.partition("key/")[0]
        key_id = {"arn": key, "alias arn": f"{place}alias/owners"}.get(sent, sent)
        assert not realm.may(user, "UpdateSecret", SecretId=shared.arn, KmsKeyId=key_id)
        assert realm.may(user, "UpdateSecret", SecretId=shared.arn, KmsKeyId=shared.key)


class TestKeysAtHome:
    """The caller, not the service, needs the rights on the key."""

    @pytest.fixture
    def key(self, realm: Any) -> str:
        return str(realm.service.create_key())

    def test_a_read_needs_decrypt(self, realm: Any, key: str) -> None:
        """Describing needs nothing of the key."""
        realm.secret(KmsKeyId=key)
        user = realm.user("app", allow("GetSecretValue", "DescribeSecret"))
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == NO_KMS
        assert realm.may(user, "DescribeSecret", SecretId="prod/db")
        realm.accounts.put_policy(user, "kms", policy(allow("kms:Decrypt", on=key)))
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")

    def test_a_new_version_needs_generate_data_key_only(self, realm: Any, key: str) -> None:
        realm.secret(KmsKeyId=key)
        user = realm.user("app", allow("PutSecretValue"), allow("kms:GenerateDataKey", on=key))
        assert realm.may(user, "PutSecretValue", SecretId="prod/db", SecretString="b")
        realm.accounts.put_policy(user, "no", policy(deny("kms:GenerateDataKey")))
        asked = {"SecretId": "prod/db", "SecretString": "c"}
        assert realm.refused(user, "PutSecretValue", **asked) == NO_KMS

    def test_naming_a_key_needs_both_even_without_a_value(self, realm: Any, key: str) -> None:
        user = realm.user("app", allow("CreateSecret"), allow("kms:GenerateDataKey", on=key))
        assert realm.refused(user, "CreateSecret", Name="new", KmsKeyId=key) == NO_KMS
        realm.accounts.put_policy(user, "kms", policy(allow("kms:Decrypt", on=key)))
        assert realm.may(user, "CreateSecret", Name="new", KmsKeyId=key)

    def test_the_default_key_needs_no_right_of_its_own(self, realm: Any) -> None:
        """Its own policy admits the account through Secrets Manager. A Deny still counts."""
        realm.secret()
        user = realm.user("app", allow("GetSecretValue"))
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")
        realm.accounts.put_policy(user, "no", policy(deny("kms:Decrypt")))
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == NO_KMS

    @pytest.mark.parametrize(
        ("condition", "answered"),
        [
            ({"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}, True),
            ({"kms:ViaService": "s3.us-east-1.amazonaws.com"}, False),
            ({"kms:CallerAccount": HOME}, True),
            ({"aws:ViaAWSService": "true"}, True),
            ({"aws:SourceIp": "127.0.0.1"}, False),
        ],
    )
    def test_what_kms_knows_of_a_call(
        self, realm: Any, key: str, condition: dict[str, str], answered: bool
    ) -> None:
        """It comes through the service: without the caller's address."""
        realm.secret(KmsKeyId=key)
        use = allow("kms:Decrypt", on=key, Condition={"StringEquals": condition})
        user = realm.user("app", allow("GetSecretValue"), use)
        assert realm.may(user, "GetSecretValue", SecretId="prod/db") is answered

    def test_the_encryption_context_is_secret_and_version(self, realm: Any, key: str) -> None:
        mine, other = realm.secret("mine", KmsKeyId=key), realm.secret("other", KmsKeyId=key)
        bound = {"StringEquals": {"kms:EncryptionContext:SecretARN": mine}}
        user = realm.user("app", allow("GetSecretValue"), allow("kms:Decrypt", Condition=bound))
        assert realm.may(user, "GetSecretValue", SecretId=mine)
        assert realm.refused(user, "GetSecretValue", SecretId=other) == NO_KMS

    def test_a_key_policy_without_the_account_shuts_it_out(self, realm: Any, key: str) -> None:
        """Identity policies do not count then; the root user's rights neither."""
        realm.secret(KmsKeyId=key)
        keeper = realm.user("keeper", allow("GetSecretValue"))
        user = realm.user("app", allow("GetSecretValue"), allow("kms:*"))
        only = policy(allow("kms:*", Principal={"AWS": keeper}))
        realm.accounts.put_key_policy(key, only)
        assert realm.may(keeper, "GetSecretValue", SecretId="prod/db")
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == NO_KMS
        assert realm.refused(None, "GetSecretValue", SecretId="prod/db") == NO_KMS
        realm.accounts.put_key_policy(key, None)
        assert realm.may(None, "GetSecretValue", SecretId="prod/db")

    def test_the_key_of_a_new_secret_is_compared_as_an_arn(self, realm: Any, key: str) -> None:
        """Whether it was sent as an id, an ARN or an alias."""
        named = realm.service.create_key(alias="app")
        bound = {"ArnEquals": {"secretsmanager:KmsKeyArn": named}}
        user = realm.user("app", allow("CreateSecret", Condition=bound), allow("kms:*"))
        for index, sent in enumerate((named, named.rpartition("/")[2], "alias/app")):
            assert realm.may(user, "CreateSecret", Name=f"s-{index}", KmsKeyId=sent)
        assert not realm.may(user, "CreateSecret", Name="s", KmsKeyId=key)
        assert not realm.may(user, "CreateSecret", Name="s")

    def test_a_batch_without_the_key_has_an_error_for_the_secret(
        self, realm: Any, key: str
    ) -> None:
        realm.secret("under-key", KmsKeyId=key)
        realm.secret("plain")
        user = realm.user("app", allow("BatchGetSecretValue", "GetSecretValue"))
        answer = realm(user, "BatchGetSecretValue", SecretIdList=["under-key", "plain"])
        assert [each["Name"] for each in answer["SecretValues"]] == ["plain"]
        assert [each["Message"] for each in answer["Errors"]] == [NO_KMS[1]]


class TestWhatTheOwnerSees:
    """The owner of a secret, and of a key, has a record of every foreigner who came to it."""

    def seen(self, shared: Shared, name: str) -> list[dict[str, Any]]:
        found = shared.realm.service.audit.lookup(event_name=name)
        return [each for each in found if each["userIdentity"]["accountId"] == OTHER]

    def of_the_reader(self, shared: Shared, name: str) -> list[dict[str, Any]]:
        there = Scope(OTHER, "us-east-1")
        return list(shared.realm.service.audit.lookup(there, event_name=name))

    def test_of_a_batch(self, shared: Shared) -> None:
        shared.open_secret()
        shared.open_key()
        own = allow("BatchGetSecretValue", "GetSecretValue")
        shared.realm.accounts.put_policy(shared.user, "p", policy(own, allow("kms:Decrypt")))
        asked = [shared.arn, shared.arn[:-7], "not-there"]
        shared.realm(shared.user, "BatchGetSecretValue", SecretIdList=asked)
        found = self.seen(shared, "GetSecretValue")
        assert {each["requestParameters"]["secretId"] for each in found} == set(asked[:2])
        assert {each["userIdentity"]["arn"] for each in found} == {shared.user}
        assert {each["recipientAccountId"] for each in found} == {HOME}
        shares = {each["sharedEventID"] for each in found}
        theirs = self.of_the_reader(shared, "GetSecretValue")
        assert len(theirs) == 3
        assert {each["sharedEventID"] for each in theirs if "sharedEventID" in each} == shares

    def test_of_a_batch_that_was_refused_it(self, shared: Shared) -> None:
        user = shared.realm.user("curious", allow("BatchGetSecretValue"), account=OTHER)
        shared.realm(user, "BatchGetSecretValue", SecretIdList=[shared.arn])
        (found,) = self.seen(shared, "GetSecretValue")
        assert found["userIdentity"]["arn"] == user
        assert found["errorCode"] == "AccessDenied"

    @pytest.mark.parametrize("is_let_in", [True, False])
    def test_of_its_key(self, shared: Shared, is_let_in: bool) -> None:
        shared.open_secret()
        shared.open_account()
        if is_let_in:
            shared.open_key()
        assert shared.realm.may(shared.user, "GetSecretValue", SecretId=shared.arn) is is_let_in
        (found,) = self.seen(shared, "Decrypt")
        (theirs,) = self.of_the_reader(shared, "Decrypt")
        assert found["sharedEventID"] == theirs["sharedEventID"]
        assert found["userIdentity"]["arn"] == shared.user
        assert found.get("errorCode") == (None if is_let_in else "AccessDenied")
        assert found["resources"][0]["ARN"] == shared.key
