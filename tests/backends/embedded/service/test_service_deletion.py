"""Deleting, restoring, tagging, describing: what a secret is beside its values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

MARKED = (
    "InvalidRequestException",
    "You can't perform this operation on the secret because it was marked for deletion.",
)
NOT_FOUND = (
    "ResourceNotFoundException",
    "Secrets Manager can't find the specified secret.",
)


class TestDeleteSecret:
    @pytest.mark.parametrize(("window", "days"), [(None, 30), (7, 7), (8, 8), (30, 30)])
    def test_answers_the_end_of_the_window_and_describes_the_moment_of_the_call(
        self, world: Any, window: int | None, days: int
    ) -> None:
        """DeletionDate and DeletedDate are different things."""
        arn = world.create()
        world.clock.advance(60)
        now = world.service._door.now()
        more = {} if window is None else {"RecoveryWindowInDays": window}
        assert world("DeleteSecret", SecretId="s", **more) == {
            "ARN": arn,
            "Name": "s",
            "DeletionDate": now + timedelta(days=days),
        }
        described = world.describe()
        assert described["DeletedDate"] == now
        assert described["LastChangedDate"] == now

    @pytest.mark.parametrize("window", [-1, 0, 1, 6, 31, 10**12])
    def test_refuses_another_window_and_the_secret_lives_on(self, world: Any, window: int) -> None:
        """7 to 30 days."""
        world.create()
        code, text = world.refused("DeleteSecret", SecretId="s", RecoveryWindowInDays=window)
        assert code == "InvalidParameterException"
        assert "RecoveryWindowInDays value must be between 7 and 30 days (inclusive)" in text
        assert world.value() == "v0"

    def test_refuses_a_window_together_with_force(self, world: Any) -> None:
        """One or the other."""
        world.create()
        code, _ = world.refused(
            "DeleteSecret", SecretId="s", RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True
        )
        assert code == "InvalidParameterException"
        assert world.value() == "v0"

    def test_takes_a_window_with_force_set_to_false(self, world: Any) -> None:
        """False is not forcing."""
        world.create()
        world(
            "DeleteSecret", SecretId="s", RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=False
        )
        assert "DeletedDate" in world.describe()

    def test_by_force_removes_the_secret_at_once(self, world: Any) -> None:
        """DeletionDate is now; nothing is found afterwards."""
        arn = world.create()
        answer = world("DeleteSecret", SecretId=arn, ForceDeleteWithoutRecovery=True)
        assert answer == {"ARN": arn, "Name": "s", "DeletionDate": world.service._door.now()}
        assert world.refused("DescribeSecret", SecretId="s") == NOT_FOUND
        assert world.refused("DescribeSecret", SecretId=arn) == NOT_FOUND

    def test_by_force_works_on_a_secret_that_waits_for_its_deletion(self, world: Any) -> None:
        """The way to have the name back."""
        world.create()
        world("DeleteSecret", SecretId="s")
        world("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        world.create(value="new")
        assert world.value() == "new"
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_by_force_of_an_unknown_name_succeeds(self, world: Any) -> None:
        """As if it had existed."""
        answer = world("DeleteSecret", SecretId="never", ForceDeleteWithoutRecovery=True)
        assert answer.keys() == {"ARN", "Name", "DeletionDate"}
        assert answer["Name"] == "never"
        assert ":secret:never-" in answer["ARN"]

    def test_of_an_unknown_name_is_not_found(self, world: Any) -> None:
        """Without force."""
        assert world.refused("DeleteSecret", SecretId="never") == NOT_FOUND

    def test_a_second_time_is_refused_and_the_date_stays(self, world: Any) -> None:
        """It is marked already."""
        world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        before = world.describe()
        world.clock.advance(days=1)
        assert world.refused("DeleteSecret", SecretId="s", RecoveryWindowInDays=30) == MARKED
        assert world.describe() == before

    def test_takes_effect_when_the_window_is_over_and_not_before(self, world: Any) -> None:
        """run_due deletes; a day before it does not."""
        arn = world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        world.clock.advance(days=6, hours=23)
        assert world.service.run_due().deleted == ()
        assert "DeletedDate" in world.describe()
        world.clock.advance(hours=2)
        assert world.service.run_due().deleted == (arn,)
        assert world.refused("DescribeSecret", SecretId="s") == NOT_FOUND
        assert world.service.run_due().deleted == ()


class TestASecretThatWaitsForItsDeletion:
    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("GetSecretValue", {}),
            ("PutSecretValue", {"SecretString": "x"}),
            ("UpdateSecret", {"Description": "x"}),
            ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}]}),
            ("UntagResource", {"TagKeys": ["k"]}),
            ("RotateSecret", {}),
            ("CancelRotateSecret", {}),
            ("UpdateSecretVersionStage", {"VersionStage": "X", "MoveToVersionId": "v0".ljust(32)}),
        ],
    )
    def test_refuses_the_operation(self, world: Any, operation: str, more: dict[str, Any]) -> None:
        """One text for all of them."""
        world.create()
        world("DeleteSecret", SecretId="s")
        assert world.refused(operation, SecretId="s", **more) == MARKED

    def test_describes_itself_with_its_labels(self, world: Any) -> None:
        """Labels stay."""
        world.create()
        world("DeleteSecret", SecretId="s")
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_is_listed_only_if_asked_for(self, world: Any) -> None:
        """With its DeletedDate."""
        world.create()
        world.create("alive")
        world("DeleteSecret", SecretId="s")
        names = [entry["Name"] for entry in world("ListSecrets")["SecretList"]]
        assert names == ["alive"]
        listed = world("ListSecrets", IncludePlannedDeletion=True)["SecretList"]
        assert [("DeletedDate" in entry, entry["Name"]) for entry in listed] == [
            (True, "s"),
            (False, "alive"),
        ]

    def test_is_an_error_of_a_batch(self, world: Any) -> None:
        """Not of the call."""
        world.create()
        world("DeleteSecret", SecretId="s")
        answer = world("BatchGetSecretValue", SecretIdList=["s"])
        assert answer == {
            "SecretValues": [],
            "Errors": [{"SecretId": "s", "ErrorCode": MARKED[0], "Message": MARKED[1]}],
        }


class TestRestoreSecret:
    def test_brings_back_everything(self, world: Any) -> None:
        """Value, versions and labels are as before."""
        arn = world.create(Description="d")
        world.put("v1")
        world("DeleteSecret", SecretId="s")
        world.clock.advance(days=29)
        assert world("RestoreSecret", SecretId="s") == {"ARN": arn, "Name": "s"}
        described = world.describe()
        assert "DeletedDate" not in described
        assert described["Description"] == "d"
        assert world.value() == "v1"
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_takes_the_deletion_off_the_list(self, world: Any) -> None:
        """The old date has no effect any more; a new window begins anew."""
        world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        world("RestoreSecret", SecretId="s")
        world.clock.advance(days=40)
        assert world.service.run_due().deleted == ()
        assert world.value() == "v0"

    def test_of_a_live_secret_succeeds_and_changes_nothing(self, world: Any) -> None:
        """It is restored already."""
        arn = world.create()
        before = world.describe()
        world.clock.advance(1)
        assert world("RestoreSecret", SecretId="s") == {"ARN": arn, "Name": "s"}
        assert world.describe() == before

    def test_of_an_unknown_secret_is_not_found(self, world: Any) -> None:
        """Also after the window was over."""
        assert world.refused("RestoreSecret", SecretId="never") == NOT_FOUND


class TestTags:
    def test_are_added_and_replaced_by_key(self, world: Any) -> None:
        """The answer is empty; no version is made."""
        world.create()
        assert "Tags" not in world.describe()
        assert world("TagResource", SecretId="s", Tags=[{"Key": "a", "Value": "1"}]) == {}
        world(
            "TagResource",
            SecretId="s",
            Tags=[{"Key": "b", "Value": ""}, {"Key": "a", "Value": "2"}],
        )
        tags = {tag["Key"]: tag["Value"] for tag in world.describe()["Tags"]}
        assert tags == {"a": "2", "b": ""}
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_are_removed_by_key(self, world: Any) -> None:
        """A key that is not there is no error; the list stays, empty."""
        world.create(Tags=[{"Key": "a", "Value": "1"}])
        assert world("UntagResource", SecretId="s", TagKeys=["a", "unknown"]) == {}
        assert world.describe()["Tags"] == []

    def test_move_last_changed_date_when_added_and_not_when_removed(self, world: Any) -> None:
        """As recorded."""
        world.create()
        created = world.describe()["CreatedDate"]
        world.clock.advance(10)
        world("TagResource", SecretId="s", Tags=[{"Key": "a", "Value": "1"}])
        world.clock.advance(10)
        world("UntagResource", SecretId="s", TagKeys=["a"])
        assert world.describe()["LastChangedDate"] == created + timedelta(seconds=10)

    def test_keep_their_limits(self, world: Any) -> None:
        """Keys of 1 to 128 characters, values of up to 256."""
        world.create()
        world("TagResource", SecretId="s", Tags=[{"Key": "k" * 128, "Value": "v" * 256}])
        for key, value, member, limit in (
            ("", "v", "key", "greater than or equal to 1"),
            ("k" * 129, "v", "key", "less than or equal to 128"),
            ("k", "v" * 257, "value", "less than or equal to 256"),
        ):
            shown = key if member == "key" else value
            refused = world.refused(
                "TagResource", SecretId="s", Tags=[{"Key": key, "Value": value}]
            )
            assert refused == (
                "ValidationException",
                f"1 validation error detected: Value '{shown}' at 'tags.1.member.{member}' failed "
                f"to satisfy constraint: Member must have length {limit}",
            )


class TestDescribeSecret:
    def test_of_a_plain_secret_has_five_members(self, world: Any) -> None:
        """And none is null."""
        arn = world.create()
        now = world.service._door.now()
        assert world.describe() == {
            "ARN": arn,
            "Name": "s",
            "CreatedDate": now,
            "LastChangedDate": now,
            "VersionIdsToStages": {world.token("v0"): ["AWSCURRENT"]},
        }

    def test_cuts_times_to_milliseconds(self, world: Any) -> None:
        """As AWS's numbers have three decimals."""
        world.create()
        assert world.describe()["CreatedDate"].microsecond == 123_000

    def test_never_has_the_value(self, world: Any) -> None:
        """In no member."""
        world.create(value="canary-7d2f")
        assert "canary-7d2f" not in repr(world.describe())
        assert "canary-7d2f" not in repr(world("ListSecrets"))
        assert "canary-7d2f" not in repr(world("ListSecretVersionIds", SecretId="s"))

    def test_shows_the_default_key_only_if_it_was_asked_for_by_name(self, world: Any) -> None:
        """alias/aws/secretsmanager, as recorded."""
        world.create("plain")
        world.create("named", KmsKeyId="alias/aws/secretsmanager")
        assert "KmsKeyId" not in world.describe("plain")
        assert world.describe("named")["KmsKeyId"] == "alias/aws/secretsmanager"
