"""What an administrator does to KMS keys from Python, and what secrets under them answer then."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from smclient.errors import ConfigError

TAIL = r" \(Service: AWSKMS; Status Code: 400; Error Code: {}; Request ID: [0-9a-f-]{{36}}; .*\)"


class TestDisabling:
    def test_a_secret_under_a_disabled_key_is_not_read_and_not_written(self, world: Any) -> None:
        """Decryption and encryption fail, each with its own code and KMS's text."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        assert world.service.keys.disable(key).state == "Disabled"
        tail = TAIL.format("DisabledException")
        code, text = world.refused("GetSecretValue", SecretId="s")
        assert code == "DecryptionFailure"
        assert re.search(f"{key} is disabled.{tail}$", text)
        code, text = world.refused("PutSecretValue", SecretId="s", SecretString="x")
        assert code == "EncryptionFailure"
        assert re.search(f"{key} is disabled.{tail}$", text)

    def test_describing_needs_no_key(self, world: Any) -> None:
        """Nothing is opened."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        world.service.keys.disable(key)
        assert world.describe()["KmsKeyId"] == key

    def test_enabled_again_it_opens(self, world: Any) -> None:
        """Nothing was lost."""
        key = world.service.create_key(alias="mine")
        world.create(KmsKeyId=key)
        world.service.keys.disable("alias/mine")
        world.service.keys.enable("alias/mine")
        assert world.value() == "v0"

    def test_doing_it_twice_changes_nothing(self, world: Any) -> None:
        """As with KMS."""
        key = world.service.create_key()
        assert world.service.keys.disable(key) == world.service.keys.disable(key)
        assert world.service.keys.enable(key) == world.service.keys.enable(key)


class TestDeletion:
    def test_a_key_that_waits_for_it_is_out_of_use_at_once(self, world: Any) -> None:
        """KMS has another code for that."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        described = world.service.keys.schedule_deletion(key, days=7)
        assert described.state == "PendingDeletion"
        assert described.delete_after == world.service.door.now() + timedelta(days=7)
        code, text = world.refused("GetSecretValue", SecretId="s")
        assert code == "DecryptionFailure"
        assert re.search(
            rf"{key} is pending deletion.{TAIL.format('KMSInvalidStateException')}", text
        )

    def test_after_the_waiting_period_it_is_gone_for_good(self, world: Any) -> None:
        """The secret is there, its value is lost; KMS knows no such key."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        world.service.keys.schedule_deletion(key, days=7)
        world.clock.advance(days=6, hours=23)
        assert world.service.run_due().keys_deleted == ()
        world.clock.advance(hours=1)
        assert world.service.run_due().keys_deleted == (key,)
        code, text = world.refused("GetSecretValue", SecretId="s")
        assert code == "DecryptionFailure"
        assert re.search(f"Key '{key}' does not exist{TAIL.format('NotFoundException')}", text)
        assert key not in [k.arn for k in world.service.keys.list()]
        shown = world("ListSecretVersionIds", SecretId="s")["Versions"]
        assert [version["KmsKeyIds"] for version in shown] == [[key]]

    def test_cancelled_the_key_is_disabled_until_it_is_enabled(self, world: Any) -> None:
        """As KMS leaves it."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        world.service.keys.schedule_deletion(key)
        kept = world.service.keys.cancel_deletion(key)
        assert (kept.state, kept.delete_after) == ("Disabled", None)
        world.clock.advance(days=31)
        assert world.service.run_due().keys_deleted == ()
        world.service.keys.enable(key)
        assert world.value() == "v0"

    @pytest.mark.parametrize("days", [0, 6, 31])
    def test_takes_seven_to_thirty_days(self, memory: Any, days: int) -> None:
        """KMS's bounds."""
        key = memory.service.create_key()
        with pytest.raises(ConfigError, match=f"7 to 30 days, not {days}"):
            memory.service.keys.schedule_deletion(key, days=days)
        assert memory.service.keys.describe(key).state == "Enabled"

    @pytest.mark.parametrize("verb", ["enable", "disable", "schedule_deletion"])
    def test_while_it_waits_a_key_can_only_be_cancelled(self, memory: Any, verb: str) -> None:
        """The state is the deletion's."""
        key = memory.service.create_key()
        memory.service.keys.schedule_deletion(key)
        with pytest.raises(ConfigError, match="pending deletion: cancel"):
            getattr(memory.service.keys, verb)(key)
        assert memory.service.keys.describe(key).state == "PendingDeletion"

    def test_what_is_not_scheduled_cannot_be_cancelled(self, memory: Any) -> None:
        """A slip that would hide another one."""
        key = memory.service.create_key()
        with pytest.raises(ConfigError, match="does not wait"):
            memory.service.keys.cancel_deletion(key)


class TestNamingAKey:
    def test_by_arn_id_or_alias(self, world: Any) -> None:
        """In the service's own region; by ARN in any."""
        key = world.service.create_key(alias="mine")
        for name in (key, key.split("/")[1], "alias/mine"):
            assert world.service.keys.describe(name).arn == key
        abroad = world.service.create_key(region="eu-west-1")
        assert world.service.keys.describe(abroad).arn == abroad
        assert [k.arn for k in world.service.keys.list(region="eu-west-1")] == [abroad]

    @pytest.mark.parametrize("name", ["alias/nope", "nope", "arn:aws:kms:us-east-1:1:key/2", ""])
    def test_that_is_not_there(self, memory: Any, name: str) -> None:
        """With what KMS says of it."""
        with pytest.raises(ConfigError, match="no such KMS key"):
            memory.service.keys.disable(name)

    def test_awss_own_key_cannot_be_changed(self, world: Any) -> None:
        """KMS refuses that, too."""
        world.create()
        for verb in ("disable", "schedule_deletion"):
            with pytest.raises(ConfigError, match="AWS's own"):
                getattr(world.service.keys, verb)("alias/aws/secretsmanager")
        assert world.value() == "v0"

    def test_material_is_not_shown(self, memory: Any) -> None:
        """Not even wrapped."""
        key = memory.service.create_key()
        assert "wrapped" not in repr(memory.service.keys.describe(key))

    def test_the_state_outlives_the_service(self, make: Any, tmp_path: Any) -> None:
        """It is in the store."""
        url = f"embedded://{tmp_path}/s.db"
        world = make(url)
        key = world.service.create_key()
        world.service.keys.disable(key)
        world.service.close()
        assert make(url).service.keys.describe(key).state == "Disabled"
