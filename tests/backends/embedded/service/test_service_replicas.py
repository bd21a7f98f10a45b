"""Replicas in other regions: how they follow, what they refuse, how they end. As recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smclient_embedded.quotas import Quotas
from smclient_embedded.rotating import RotationTo
from tests.backends.embedded.service.helpers_replication import (
    DEFAULT_KEY,
    ELSEWHERE,
    HERE,
    IN_SYNC,
    THERE,
    arn_in,
    region,
    replicate,
    status,
)

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

    def test_and_forcing_it_while_a_rotation_is_under_way(self, world: Any) -> None:
        """Its empty version is copied to where there was one of that id before."""
        function = world.service.register_function("rotate", RotationTo("rotated"))
        world.create()
        world("RotateSecret", SecretId="s", RotationLambdaARN=function)
        replicate(world, THERE)
        with region(world, THERE):
            world("StopReplicationToReplica", SecretId="s")
        replicate(world, THERE, ForceOverwriteReplicaSecret=True)
        assert status(world) == [IN_SYNC]
        with region(world, THERE):
            assert ["AWSPENDING"] in world.describe()["VersionIdsToStages"].values()


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
