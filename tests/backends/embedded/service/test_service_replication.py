"""Replication to other regions: how a replica comes about, follows, and ends. As recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

HERE, THERE, ELSEWHERE = "us-east-1", "eu-west-1", "ap-south-2"
DEFAULT_KEY = "alias/aws/secretsmanager"
READ_ONLY = (
    "InvalidParameterException",
    "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
)
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
            }
        ],
    }
)


@contextmanager
def region(world: Any, name: str) -> Iterator[None]:
    """Ask in another region."""
    before, world.region = world.region, name
    try:
        yield
    finally:
        world.region = before


def replicate(world: Any, *regions: str, secret: str = "s", **more: Any) -> dict[str, Any]:
    asked = [{"Region": name} for name in regions]
    answer: dict[str, Any] = world(
        "ReplicateSecretToRegions", SecretId=secret, AddReplicaRegions=asked, **more
    )
    return answer


def status(world: Any, secret: str = "s") -> list[dict[str, Any]]:
    """ReplicationStatus of DescribeSecret."""
    found: list[dict[str, Any]] = world.describe(secret).get("ReplicationStatus", [])
    return found


def arn_in(name: str, arn: str) -> str:
    return arn.replace(f":{HERE}:", f":{name}:")


IN_SYNC = {
    "Region": THERE,
    "KmsKeyId": DEFAULT_KEY,
    "Status": "InSync",
    "StatusMessage": "Replication succeeded",
}


class TestMakingAReplica:
    def test_is_in_progress_and_then_in_sync(self, world: Any) -> None:
        """The answer has no message yet; DescribeSecret shows the end of it."""
        arn = world.create()
        assert replicate(world, THERE) == {
            "ARN": arn,
            "ReplicationStatus": [
                {"Region": THERE, "KmsKeyId": DEFAULT_KEY, "Status": "InProgress"}
            ],
        }
        described = world.describe()
        assert described["ReplicationStatus"] == [IN_SYNC]
        assert described["PrimaryRegion"] == HERE

    def test_the_replica_describes_itself_as_recorded(self, world: Any) -> None:
        """Its ARN differs in the region only; dates of creation and key are its own."""
        arn = world.create(Description="d", Tags=[{"Key": "k", "Value": "v"}])
        world.clock.advance(seconds=60)
        replicate(world, THERE)
        primary = world.describe()
        with region(world, THERE):
            replica = world.describe()
        assert replica == {
            "ARN": arn_in(THERE, arn),
            "Name": "s",
            "Description": "d",
            "KmsKeyId": DEFAULT_KEY,
            "Tags": [{"Key": "k", "Value": "v"}],
            "CreatedDate": world.service.door.now(),
            "LastChangedDate": primary["LastChangedDate"],
            "VersionIdsToStages": primary["VersionIdsToStages"],
            "PrimaryRegion": HERE,
        }

    def test_the_replica_has_values_and_labels(self, world: Any) -> None:
        """Text and binary, own labels too; a version's CreatedDate is the replica's own."""
        world.create()
        world.put("v1")
        world.put("custom", "CUSTOM")
        world.clock.advance(seconds=60)
        replicate(world, THERE)
        with region(world, THERE):
            assert world.value() == "v1"
            assert world.value(VersionStage="AWSPREVIOUS") == "v0"
            assert world.value(VersionId=world.token("custom")) == "custom"
            read = world("GetSecretValue", SecretId="s")
            assert read["CreatedDate"] == world.service.door.now()
        world("CreateSecret", Name="b", SecretBinary=b"\0\xff")
        replicate(world, THERE, secret="b")
        with region(world, THERE):
            assert world("GetSecretValue", SecretId="b")["SecretBinary"] == b"\0\xff"

    def test_of_a_secret_without_a_value(self, world: Any) -> None:
        """There is nothing to copy, and that is in sync."""
        world.create(value=None)
        replicate(world, THERE)
        assert status(world) == [IN_SYNC]
        with region(world, THERE):
            assert "VersionIdsToStages" not in world.describe()

    def test_with_create_secret(self, world: Any) -> None:
        """The answer has ReplicationStatus then, and only then."""
        answer = world(
            "CreateSecret",
            Name="s",
            SecretString="v0",
            ClientRequestToken=world.token("v0"),
            AddReplicaRegions=[{"Region": THERE}, {"Region": ELSEWHERE}],
        )
        assert [entry["Status"] for entry in answer["ReplicationStatus"]] == ["InProgress"] * 2
        for name in (THERE, ELSEWHERE):
            with region(world, name):
                assert world.value() == "v0"

    def test_under_a_key_of_its_region(self, world: Any) -> None:
        """Which is named by what it is called there."""
        key = world.service.create_key(alias="there", region=THERE)
        world.create()
        asked = [{"Region": THERE, "KmsKeyId": "alias/there"}]
        world("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        assert status(world)[0]["KmsKeyId"] == "alias/there"
        with region(world, THERE):
            (version,) = world("ListSecretVersionIds", SecretId="s")["Versions"]
            assert version["KmsKeyIds"] == [key]
            assert world.value() == "v0"

    def test_again_with_another_key_seals_it_anew(self, world: Any) -> None:
        """Without a key named, the one it has stays."""
        key = world.service.create_key(region=THERE)
        world.create()
        replicate(world, THERE)
        asked = [{"Region": THERE, "KmsKeyId": key}]
        world("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        replicate(world, THERE)
        with region(world, THERE):
            (version,) = world("ListSecretVersionIds", SecretId="s")["Versions"]
            assert version["KmsKeyIds"] == [key]
            assert world.describe()["KmsKeyId"] == key

    def test_costs_a_decryption_and_a_data_key_for_each_region(self, world: Any) -> None:
        """As AWS counts."""
        world.create()
        before = dict(world.service.usage()["kms_calls"])
        replicate(world, THERE, ELSEWHERE)
        after = world.service.usage()["kms_calls"]
        grown = {action: after[action] - before.get(action, 0) for action in after}
        assert grown == {"Decrypt": 1, "GenerateDataKey": 2}

    @pytest.mark.parametrize("asked", [[{"Region": HERE}], [{"Region": THERE}, {}]])
    def test_in_no_other_region_is_refused(self, memory: Any, asked: Any) -> None:
        """Its own, or none; nothing is made."""
        memory.create()
        expected = ("InvalidParameterException", "Invalid replica region.")
        request = {"SecretId": "s", "AddReplicaRegions": asked}
        assert memory.refused("ReplicateSecretToRegions", **request) == expected
        assert memory.refused("CreateSecret", Name="n", AddReplicaRegions=asked) == expected
        assert status(memory) == []
        assert [s["Name"] for s in memory("ListSecrets")["SecretList"]] == ["s"]

    def test_a_region_twice_is_one(self, world: Any) -> None:
        """In the answer and after."""
        world.create()
        assert len(replicate(world, THERE, THERE)["ReplicationStatus"]) == 1
        assert status(world) == [IN_SYNC]

    def test_again_changes_nothing_but_a_date(self, world: Any) -> None:
        """In progress, then in sync, once more."""
        world.create()
        replicate(world, THERE)
        with region(world, THERE):
            before = world.describe()
        world.clock.advance(seconds=5)
        assert replicate(world, THERE)["ReplicationStatus"][0]["Status"] == "InProgress"
        with region(world, THERE):
            after = world.describe()
        assert {**after, "LastChangedDate": before["LastChangedDate"]} == before

    def test_says_when_it_was_read_there(self, world: Any) -> None:
        """LastAccessedDate is of the region; the primary's own stays away."""
        world.create()
        replicate(world, THERE)
        with region(world, THERE):
            world.value()
            read_on = world.describe()["LastAccessedDate"]
        assert status(world)[0]["LastAccessedDate"] == read_on
        assert "LastAccessedDate" not in world.describe()


class TestWhatHindersIt:
    def test_a_secret_of_that_name(self, world: Any) -> None:
        """It stays as it is; the status says why."""
        world.create()
        with region(world, THERE):
            theirs = world.create(value="theirs")
        replicate(world, THERE)
        assert status(world) == [
            {
                "Region": THERE,
                "KmsKeyId": DEFAULT_KEY,
                "Status": "Failed",
                "StatusMessage": "Replication failed: Secret name s already exists in region "
                f"{THERE}.",
            }
        ]
        with region(world, THERE):
            assert (world.value(), world.describe()["ARN"]) == ("theirs", theirs)
        world.put("v1")  # changes go on
        with region(world, THERE):
            assert world.value() == "theirs"

    def test_which_gives_way_if_forced(self, world: Any) -> None:
        """Its ARN is gone; the replica keeps its date of creation."""
        arn = world.create()
        with region(world, THERE):
            theirs = world.create(value="theirs")
            created = world.describe()["CreatedDate"]
        world.clock.advance(days=1)
        replicate(world, THERE)
        replicate(world, THERE, ForceOverwriteReplicaSecret=True)
        assert status(world) == [IN_SYNC]
        with region(world, THERE):
            replica = world.describe()
            assert (replica["ARN"], replica["CreatedDate"]) == (arn_in(THERE, arn), created)
            assert world.value() == "v0"
            assert world.refused("DescribeSecret", SecretId=theirs)[0] == (
                "ResourceNotFoundException"
            )

    def test_a_replica_of_another_primary_never_gives_way(self, world: Any) -> None:
        """Its primary would be left dangling."""
        with region(world, ELSEWHERE):
            world.create(value="other")
            replicate(world, THERE)
        world.create()
        replicate(world, THERE, ForceOverwriteReplicaSecret=True)
        assert status(world)[0]["Status"] == "Failed"
        with region(world, THERE):
            assert world.value() == "other"

    def test_a_key_that_is_not_there(self, world: Any) -> None:
        """KMS's words; nothing is made."""
        world.create()
        asked = [{"Region": THERE, "KmsKeyId": "alias/nope"}]
        world("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        (entry,) = status(world)
        assert entry["Status"] == "Failed"
        assert entry["StatusMessage"].startswith(
            f"Replication failed: Alias arn:aws:kms:{THERE}:123456789012:alias/nope is not found. "
            "(Service: AWSKMS;"
        )
        with region(world, THERE):
            assert world("ListSecrets")["SecretList"] == []

    def test_a_key_that_is_out_of_use_leaves_the_replica_as_it_was(self, world: Any) -> None:
        """The change of the primary succeeds; the next change catches up."""
        key = world.service.create_key(region=THERE)
        world.create()
        asked = [{"Region": THERE, "KmsKeyId": key}]
        world("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        world.service.keys.disable(key)
        world.put("v1")
        (entry,) = status(world)
        assert entry["Status"] == "Failed"
        assert f"Replication failed: {key} is disabled." in entry["StatusMessage"]
        world.service.keys.enable(key)
        with region(world, THERE):
            assert world.value() == "v0"
        world.put("v2")
        assert status(world)[0]["Status"] == "InSync"
        with region(world, THERE):
            assert world.value() == "v2"
            assert world.value(VersionStage="AWSPREVIOUS") == "v1"

    def test_one_region_does_not_hinder_another(self, world: Any) -> None:
        """Each has a status of its own."""
        world.create()
        with region(world, THERE):
            world.create(value="theirs")
        replicate(world, THERE, ELSEWHERE)
        found = {entry["Region"]: entry["Status"] for entry in status(world)}
        assert found == {THERE: "Failed", ELSEWHERE: "InSync"}

    def test_the_quota_of_that_region(self, make: Any) -> None:
        """A replica is a secret there."""
        from smclient_embedded.quotas import Quotas

        world = make(quotas=Quotas(secrets=1))
        with region(world, THERE):
            world.create("other")
        world.create()
        replicate(world, THERE)
        (entry,) = status(world)
        assert entry["Status"] == "Failed"
        assert "limit of 1 secrets" in entry["StatusMessage"]

    def test_a_secret_marked_for_deletion_cannot_be_replicated(self, memory: Any) -> None:
        """Nor be one that has replicas."""
        memory.create()
        memory("DeleteSecret", SecretId="s")
        asked = [{"Region": THERE}]
        code, _ = memory.refused("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        assert code == "InvalidRequestException"


class TestFollowing:
    def test_description_tags_policies_and_labels_follow(self, world: Any) -> None:
        """Each change at once."""
        world.create()
        world.put("v1")
        replicate(world, THERE)
        world("UpdateSecret", SecretId="s", Description="new")
        world("TagResource", SecretId="s", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
        world("UntagResource", SecretId="s", TagKeys=["b"])
        world("PutResourcePolicy", SecretId="s", ResourcePolicy=POLICY)
        world.move("BLUE", to="v0")
        primary = world.describe()
        kept = world("GetResourcePolicy", SecretId="s")["ResourcePolicy"]
        with region(world, THERE):
            replica = world.describe()
            assert world("GetResourcePolicy", SecretId="s")["ResourcePolicy"] == kept
            assert world("ListResourcePolicies", SecretId="s")["ResourcePolicies"]
        for member in ("Description", "Tags", "VersionIdsToStages", "LastChangedDate"):
            assert replica[member] == primary[member]
        world("DeleteResourcePolicy", SecretId="s")
        with region(world, THERE):
            assert "ResourcePolicy" not in world("GetResourcePolicy", SecretId="s")

    def test_a_value_is_sealed_once_for_each_region(self, world: Any) -> None:
        """What is there is not copied again."""
        world.create()
        replicate(world, THERE)
        before = dict(world.service.usage()["kms_calls"])
        world("UpdateSecret", SecretId="s", Description="new")
        assert world.service.usage()["kms_calls"] == before
        world.put("v1")
        after = world.service.usage()["kms_calls"]
        assert after["Decrypt"] - before["Decrypt"] == 1
        assert after["GenerateDataKey"] - before["GenerateDataKey"] == 2

    def test_rotation_runs_at_the_primary_and_its_values_follow(self, world: Any) -> None:
        """Also while it is under way; the replica shows the settings and is never due itself."""
        from smclient_embedded.rotating import RotationTo

        function = world.service.register_function("rotate", RotationTo("rotated"))
        world.create()
        replicate(world, THERE)
        world(
            "RotateSecret",
            SecretId="s",
            RotationLambdaARN=function,
            RotationRules={"AutomaticallyAfterDays": 7},
        )
        with region(world, THERE):
            assert ["AWSPENDING"] in world.describe()["VersionIdsToStages"].values()
        assert len(world.service.run_due().rotated) == 1
        with region(world, THERE):
            assert world.value() == "rotated"
            replica = world.describe()
        primary = world.describe()
        for member in ("RotationEnabled", "RotationRules", "NextRotationDate", "LastRotatedDate"):
            assert replica[member] == primary[member]
        world.clock.advance(days=8)
        assert world.service.run_due().rotated == (primary["ARN"],)
        world("CancelRotateSecret", SecretId="s")
        with region(world, THERE):
            assert world.describe()["RotationEnabled"] is False

    def test_pruned_versions_go(self, make: Any) -> None:
        """A replica keeps what its primary keeps."""
        from smclient_embedded.quotas import Quotas

        world = make(quotas=Quotas(versions=2))
        world.create()
        replicate(world, THERE)
        world.put("v1")
        world.clock.advance(days=2)
        world.put("v2")
        world.clock.advance(days=2)
        world.put("v3")
        with region(world, THERE):
            shown = world("ListSecretVersionIds", SecretId="s", IncludeDeprecated=True)
            assert {v["VersionId"] for v in shown["Versions"]} == {
                world.token("v2"),
                world.token("v3"),
            }

    def test_a_change_that_is_refused_reaches_no_replica(self, world: Any) -> None:
        """All or nothing, in both regions."""
        world.create()
        replicate(world, THERE)
        with region(world, THERE):
            before = world.describe()
        world.refused("PutSecretValue", SecretId="s", SecretString="x", ClientRequestToken="short")
        world.refused("TagResource", SecretId="s", Tags=[{"Key": "aws:x", "Value": ""}])
        with region(world, THERE):
            assert world.describe() == before


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("PutSecretValue", {"SecretString": "x"}),
    ("UpdateSecret", {"Description": "x"}),
    ("UpdateSecret", {"SecretString": "x"}),
    ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}]}),
    ("UntagResource", {"TagKeys": ["k"]}),
    ("PutResourcePolicy", {"ResourcePolicy": POLICY}),
    ("DeleteResourcePolicy", {}),
    ("DeleteSecret", {}),
    ("DeleteSecret", {"ForceDeleteWithoutRecovery": True}),
    ("RestoreSecret", {}),
    ("RotateSecret", {}),
    ("CancelRotateSecret", {}),
    ("UpdateSecretVersionStage", {"VersionStage": "X", "MoveToVersionId": "v0-".ljust(32, "0")}),
    ("ReplicateSecretToRegions", {"AddReplicaRegions": [{"Region": ELSEWHERE}]}),
    ("RemoveRegionsFromReplication", {"RemoveReplicaRegions": [HERE]}),
]


class TestAReplica:
    @pytest.mark.parametrize(("operation", "request_"), WRITES, ids=lambda v: str(v)[:40])
    def test_is_read_only(self, memory: Any, operation: str, request_: dict[str, Any]) -> None:
        """Whatever would change it; AWS's words."""
        memory.create()
        replicate(memory, THERE)
        with region(memory, THERE):
            before = memory.describe()
            assert memory.refused(operation, SecretId="s", **request_) == READ_ONLY
            assert memory.describe() == before

    def test_is_listed_in_its_region(self, world: Any) -> None:
        """And found by its primary's; so is the primary."""
        world.create()
        replicate(world, THERE)
        wanted = [{"Key": "primary-region", "Values": [HERE[:4]]}]
        for name in (HERE, THERE):
            with region(world, name):
                (entry,) = world("ListSecrets", Filters=wanted)["SecretList"]
                assert entry["PrimaryRegion"] == HERE
                assert "ReplicationStatus" not in entry
        with region(world, ELSEWHERE):
            assert world("ListSecrets", Filters=wanted)["SecretList"] == []

    def test_is_a_secret_on_the_bill_of_its_region(self, memory: Any) -> None:
        """AWS bills replicas as secrets."""
        memory.create()
        replicate(memory, THERE)
        assert memory.service.usage()["secrets_billed"] == 2


class TestDeletingThePrimary:
    @pytest.mark.parametrize("forced", [True, False])
    def test_is_refused_while_it_has_replicas(self, world: Any, forced: bool) -> None:
        """The message lists the regions."""
        arn = world.create()
        replicate(world, THERE, ELSEWHERE)
        code, text = world.refused("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=forced)
        assert code == "InvalidParameterException"
        assert text == (
            f"You can't delete secret {arn} that still has replica regions [{THERE}, {ELSEWHERE}]."
        )
        assert world.value() == "v0"

    def test_is_possible_once_they_are_removed(self, world: Any) -> None:
        """The replicas are gone by then."""
        world.create()
        replicate(world, THERE)
        world("RemoveRegionsFromReplication", SecretId="s", RemoveReplicaRegions=[THERE])
        world("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)


class TestRemovingRegions:
    def remove(self, world: Any, *regions: str) -> dict[str, Any]:
        answer: dict[str, Any] = world(
            "RemoveRegionsFromReplication", SecretId="s", RemoveReplicaRegions=list(regions)
        )
        return answer

    def test_deletes_the_replicas_there(self, world: Any) -> None:
        """Others stay; the last one gone, the secret is no primary any more."""
        arn = world.create()
        replicate(world, THERE, ELSEWHERE)
        answer = self.remove(world, ELSEWHERE)
        assert answer == {"ARN": arn, "ReplicationStatus": [IN_SYNC]}
        with region(world, ELSEWHERE):
            assert world.refused("DescribeSecret", SecretId="s")[0] == "ResourceNotFoundException"
        assert self.remove(world, THERE) == {"ARN": arn, "ReplicationStatus": []}
        described = world.describe()
        assert not {"PrimaryRegion", "ReplicationStatus"} & described.keys()

    def test_where_there_is_none_changes_nothing(self, world: Any) -> None:
        """Not even a date."""
        world.create()
        replicate(world, THERE)
        before = world.describe()
        world.clock.advance(seconds=5)
        assert self.remove(world, ELSEWHERE)["ReplicationStatus"] == [IN_SYNC]
        assert world.describe() == before

    def test_leaves_a_secret_alone_that_was_never_a_replica(self, world: Any) -> None:
        """The one whose name was in the way."""
        world.create()
        with region(world, THERE):
            world.create(value="theirs")
        replicate(world, THERE)
        assert self.remove(world, THERE)["ReplicationStatus"] == []
        with region(world, THERE):
            assert world.value() == "theirs"


class TestPromoting:
    def test_makes_a_secret_of_its_own(self, world: Any) -> None:
        """It keeps its key's name; its date moves, the primary's does not."""
        arn = world.create()
        replicate(world, THERE)
        primary = world.describe()
        world.clock.advance(seconds=5)
        with region(world, THERE):
            answer = world("StopReplicationToReplica", SecretId="s")
            assert answer == {"ARN": arn_in(THERE, arn)}
            promoted = world.describe()
        assert "PrimaryRegion" not in promoted
        assert promoted["KmsKeyId"] == DEFAULT_KEY
        assert promoted["LastChangedDate"] == world.service.door.now()
        after = world.describe()
        assert after["LastChangedDate"] == primary["LastChangedDate"]
        assert not {"PrimaryRegion", "ReplicationStatus"} & after.keys()

    def test_each_goes_its_own_way_then(self, world: Any) -> None:
        """Writing on one, deleting the other."""
        world.create()
        replicate(world, THERE)
        with region(world, THERE):
            world("StopReplicationToReplica", SecretId="s")
            world.put("own")
        world.put("v1")
        assert world.value() == "v1"
        world("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        with region(world, THERE):
            assert world.value() == "own"
            assert world.value(VersionStage="AWSPREVIOUS") == "v0"

    def test_rotation_is_to_be_turned_on_anew(self, world: Any) -> None:
        """Nothing rotates twice."""
        from smclient_embedded.rotating import RotationTo

        function = world.service.register_function("rotate", RotationTo("rotated"))
        world.create()
        world("RotateSecret", SecretId="s", RotationLambdaARN=function)
        world.service.run_due()
        replicate(world, THERE)
        with region(world, THERE):
            world("StopReplicationToReplica", SecretId="s")
            assert world.describe()["RotationEnabled"] is False

    @pytest.mark.parametrize("replicated", [True, False])
    def test_is_asked_of_a_replica(self, memory: Any, replicated: bool) -> None:
        """Not of a primary, nor of a secret that is alone."""
        memory.create()
        if replicated:
            replicate(memory, THERE)
        assert memory.refused("StopReplicationToReplica", SecretId="s") == (
            "InvalidParameterException",
            "Operation not permitted on a primary secret. Call must be made in replica secret's "
            "region.",
        )

    def test_and_replicating_again_takes_force(self, world: Any) -> None:
        """The promoted secret has the name, and the very ARN, of what would be made."""
        arn = world.create()
        replicate(world, THERE)
        with region(world, THERE):
            world("StopReplicationToReplica", SecretId="s")
            world.put("own")
        replicate(world, THERE)
        assert status(world)[0]["Status"] == "Failed"
        replicate(world, THERE, ForceOverwriteReplicaSecret=True)
        with region(world, THERE):
            assert world.describe()["ARN"] == arn_in(THERE, arn)
            assert world.value() == "v0"
            assert world.labels() == {"v0": {"AWSCURRENT"}}


def test_replicas_outlive_the_service(make: Any, tmp_path: Any) -> None:
    """Primary and replica know each other after the next start."""
    url = f"embedded://{tmp_path}/s.db"
    world = make(url)
    world.create()
    replicate(world, THERE)
    world.service.close()
    world = make(url)
    assert status(world) == [IN_SYNC]
    world("PutSecretValue", SecretId="s", SecretString="later")
    with region(world, THERE):
        assert world.value() == "later"
