"""Replication to other regions: how a replica comes about, and what hinders it. As recorded."""

from __future__ import annotations

from typing import Any

import pytest

from smclient_embedded.quotas import Quotas
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


class TestTheTrail:
    def test_says_that_replication_began_and_how_it_ended(self, world: Any) -> None:
        """As events of the service, in the primary's region."""
        arn = world.create()
        with region(world, ELSEWHERE):
            world.create(value="theirs")
        replicate(world, THERE, ELSEWHERE)
        told = {
            (event["eventName"], event["additionalEventData"]["ReplicaRegion"])
            for event in world.events()
            if event["eventName"].startswith("Replication")
            and event["additionalEventData"]["SecretId"] == arn
        }
        assert told == {
            ("ReplicationStarted", THERE),
            ("ReplicationStarted", ELSEWHERE),
            ("ReplicationSucceeded", THERE),
            ("ReplicationFailed", ELSEWHERE),
        }

    def test_is_silent_while_a_replica_just_follows(self, world: Any) -> None:
        """Until it can follow no more."""
        key = world.service.create_key(region=THERE)
        world.create()
        asked = [{"Region": THERE, "KmsKeyId": key}]
        world("ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=asked)
        before = len([e for e in world.events() if e["eventName"].startswith("Replication")])
        world.put("v1")
        world.service.keys.disable(key)
        world.put("v2")
        world.put("v3")
        told = [e["eventName"] for e in world.events() if e["eventName"].startswith("Replication")]
        assert told[before:] == ["ReplicationFailed"]


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
