"""UpdateSecret with another key: which versions it opens from then on, and which stay."""

from __future__ import annotations

from typing import Any

import pytest

from smclient_embedded.access import Access, AccessRequest
from smclient_embedded.context import Principal
from smclient_embedded.kms import MasterKey
from smclient_embedded.store import MemoryStore

DEFAULT = "DefaultEncryptionKey"


def keys_of(world: Any, secret: str = "s") -> dict[str, list[str]]:
    """The KmsKeyIds of each version, under its readable name."""
    shown = world("ListSecretVersionIds", SecretId=secret, IncludeDeprecated=True)["Versions"]
    return {version["VersionId"].split("-0")[0]: version["KmsKeyIds"] for version in shown}


def kms_calls(world: Any) -> dict[str, int]:
    """How often KMS was needed, by action."""
    return dict(world.service.usage()["kms_calls"])


def anything(request: AccessRequest) -> Access:
    """Whatever it is, the caller may."""
    return Access(allowed=True)


def two_accounts(make: Any, **more: Any) -> tuple[Any, Any]:
    """Two services over one store, each at home in an account of its own."""
    store, master = MemoryStore(), MasterKey(b"k" * 32)
    return tuple(
        make(store, master_key=master, account=account, **more)
        for account in ("123456789012", "999999999999")
    )


@pytest.fixture
def full(world: Any) -> tuple[Any, str, str]:
    """A secret under a first key with a version for each kind of label, and a second key."""
    first = world.service.create_key(alias="first")
    second = world.service.create_key(alias="second")
    world.create(KmsKeyId=first)
    world.put("v1")
    world.put("v2")
    world.put("custom", "CUSTOM")
    world.put("pending", "AWSPENDING")
    return world, first, second


class TestAnotherKey:
    def test_opens_what_awss_labels_are_on_and_nothing_else(self, full: Any) -> None:
        """KmsKeyIds of those are both keys; of own labels and of none, the old one."""
        world, first, second = full
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        assert keys_of(world) == {
            "v0": [first],
            "v1": [first, second],
            "v2": [first, second],
            "custom": [first],
            "pending": [first, second],
        }
        assert world.describe()["KmsKeyId"] == second

    @pytest.mark.parametrize("disabled", ["first", "second"])
    def test_either_key_opens_what_both_are_on(self, full: Any, disabled: str) -> None:
        """Whichever of the two is out of use."""
        world, _, second = full
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        world.service.keys.disable(f"alias/{disabled}")
        assert world.value() == "v2"
        assert world.value(VersionStage="AWSPREVIOUS") == "v1"
        assert world.value(VersionStage="AWSPENDING") == "pending"

    def test_with_both_keys_out_of_use_nothing_opens(self, full: Any) -> None:
        """The old one says why."""
        world, first, second = full
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        world.service.keys.disable("alias/first")
        world.service.keys.disable("alias/second")
        code, text = world.refused("GetSecretValue", SecretId="s")
        assert code == "DecryptionFailure"
        assert f"{first} is disabled" in text

    def test_what_the_old_key_alone_is_on_needs_it(self, full: Any) -> None:
        """It was not encrypted again."""
        world, first, second = full
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        world.service.keys.disable(first)
        code, _ = world.refused("GetSecretValue", SecretId="s", VersionStage="CUSTOM")
        assert code == "DecryptionFailure"

    def test_alone_seals_what_is_written_later(self, full: Any) -> None:
        """The old key is of no use for that version."""
        world, first, second = full
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        world.put("v3")
        assert keys_of(world)["v3"] == [second]
        world.service.keys.disable(first)
        assert world.value() == "v3"

    def test_together_with_a_value(self, full: Any) -> None:
        """The value is under the new key alone, the one before it under both."""
        world, first, second = full
        token = world.token("v3")
        world(
            "UpdateSecret",
            SecretId="s",
            KmsKeyId=second,
            SecretString="v3",
            ClientRequestToken=token,
        )
        assert keys_of(world)["v3"] == [second]
        assert keys_of(world)["v2"] == [first, second]
        assert world.value() == "v3"

    def test_costs_two_calls_to_try_it_and_two_for_each_version(self, full: Any) -> None:
        """8 with all three labels."""
        world, _, second = full
        before = kms_calls(world)
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        after = kms_calls(world)
        grown = {action: after[action] - before.get(action, 0) for action in after}
        assert grown == {"GenerateDataKey": 1, "Decrypt": 1 + 3, "Encrypt": 3}

    def test_succeeds_where_the_old_key_is_out_of_use(self, full: Any) -> None:
        """Versions that cannot be opened are left as they are."""
        world, first, second = full
        world.service.keys.disable(first)
        world("UpdateSecret", SecretId="s", KmsKeyId=second)
        assert keys_of(world)["v2"] == [first]
        world.service.keys.enable(first)
        assert world.value() == "v2"

    def test_that_is_out_of_use_changes_nothing(self, full: Any) -> None:
        """The call fails as a whole."""
        world, first, second = full
        world.service.keys.disable(second)
        before = world.describe()
        code, _ = world.refused("UpdateSecret", SecretId="s", KmsKeyId=second, Description="new")
        assert code == "InvalidParameterException"
        assert world.describe() == before
        assert keys_of(world)["v2"] == [first]

    def test_and_another_one_after_it_are_all_kept(self, full: Any) -> None:
        """Going back adds nothing."""
        world, first, second = full
        third = world.service.create_key()
        for key in (second, third, first):
            world("UpdateSecret", SecretId="s", KmsKeyId=key)
        assert keys_of(world)["v2"] == [first, second, third]

    def test_is_none_if_it_is_the_same_by_another_name(self, full: Any) -> None:
        """KmsKeyId is shown as named; no version changes."""
        world, first, _ = full
        world("UpdateSecret", SecretId="s", KmsKeyId="alias/first")
        assert world.describe()["KmsKeyId"] == "alias/first"
        assert keys_of(world)["v2"] == [first]


class TestTheDefaultKey:
    def test_is_left_for_a_customers(self, world: Any) -> None:
        """DefaultEncryptionKey stays first in the list."""
        key = world.service.create_key()
        world.create()
        world("UpdateSecret", SecretId="s", KmsKeyId=key)
        assert keys_of(world) == {"v0": [DEFAULT, key]}
        assert world.value() == "v0"

    def test_is_what_an_empty_key_id_means(self, world: Any) -> None:
        """KmsKeyId is not shown any more."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        world("UpdateSecret", SecretId="s", KmsKeyId="")
        assert "KmsKeyId" not in world.describe()
        assert keys_of(world) == {"v0": [key, DEFAULT]}
        world.service.keys.disable(key)
        assert world.value() == "v0"

    def test_of_another_account_cannot_be_written_under(self, make: Any) -> None:
        """Whatever the policies say."""
        world = make(authoriser=anything)
        arn = world.create()
        world.caller = Principal.administrator("999999999999")
        said = "encrypt the secret with the default KMS service key"
        for operation in ("PutSecretValue", "UpdateSecret"):
            code, text = world.refused(operation, SecretId=arn, SecretString="x")
            assert code == "InvalidRequestException"
            assert said in text


class TestAKeyOfAnotherAccount:
    def test_is_found_by_its_arn_alone(self, make: Any) -> None:
        """An alias or an id is looked for at home."""
        world, other = two_accounts(make, authoriser=anything)
        key = other.service.create_key(alias="theirs")
        world.create(KmsKeyId=key)
        assert world.value() == "v0"
        assert keys_of(world) == {"v0": [key]}
        by_alias = key.split(":key/")[0] + ":alias/theirs"
        world("UpdateSecret", SecretId="s", KmsKeyId=by_alias)
        assert keys_of(world) == {"v0": [key]}
        code, _ = world.refused("UpdateSecret", SecretId="s", KmsKeyId="alias/theirs")
        assert code == "InvalidParameterException"

    def test_needs_leave_of_whoever_decides(self, make: Any) -> None:
        """Without policies for it, nobody uses the key of another account."""
        world, other = two_accounts(make)
        key = other.service.create_key()
        expected = ("AccessDeniedException", "Access to KMS is not allowed")
        assert world.refused("CreateSecret", Name="s", KmsKeyId=key) == expected
