"""Cross-account replicas: two accounts, each of which does its part."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from smclient_embedded.access import Access, AccessRequest
from smclient_embedded.kms import MasterKey
from smclient_embedded.store import MemoryStore

OWNER, TAKER = "123456789012", "999999999999"
MANAGED = "cross-account-replication"

Authorise = Callable[[AccessRequest], Access]


class Two:
    """A primary's account and a replica's, over one store; what is asked of the authoriser."""

    def __init__(self, make: Any) -> None:
        self.refuse: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        store, master = MemoryStore(), MasterKey(b"k" * 32)
        self.owner, self.taker = (
            make(store, master_key=master, account=account, authoriser=self.authorise)
            for account in (OWNER, TAKER)
        )
        self.primary = self.owner.create("primary", "v0")
        self.key = self.taker.service.create_key(alias="theirs")

    def authorise(self, request: AccessRequest) -> Access:
        """All but what a test refuses."""
        self.asked.append((request.action, request.resource))
        action = request.action.partition(":")[2]
        return Access(action not in self.refuse, f"because no policy allows {request.action}")

    def create(self, **more: Any) -> str:
        request = {"Name": "copy", "KmsKeyId": self.key, "CrossAccountPrimaryARN": self.primary}
        return str(self.taker("CreateSecret", **{**request, **more})["ARN"])

    def associate(self, replica: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.owner(
            "AssociateCrossAccountReplica",
            SecretId="primary",
            CrossAccountReplicaARN=replica,
            **more,
        )
        return answer

    def refused(self, replica: str, **more: Any) -> tuple[str, str]:
        request = {"SecretId": "primary", "CrossAccountReplicaARN": replica, **more}
        found: tuple[str, str] = self.owner.refused("AssociateCrossAccountReplica", **request)
        return found

    def statuses(self) -> tuple[str | None, str | None]:
        """What the primary and what the replica say."""
        (entry,) = self.owner.describe("primary").get("CrossAccountReplicas", [{}])
        link = self.taker.describe("copy").get("CrossAccountPrimary", {})
        return entry.get("ReplicationStatus"), link.get("ReplicationStatus")


@pytest.fixture
def two(make: Any) -> Two:
    return Two(make)


class TestCreatingTheReplica:
    def test_waits_for_its_primary_without_a_value(self, two: Two) -> None:
        """Pending, on its side only; the primary knows nothing yet."""
        two.create()
        described = two.taker.describe("copy")
        assert described["CrossAccountPrimary"] == {
            "PrimarySecretARN": two.primary,
            "ReplicationStatus": "Pending",
        }
        assert "VersionIdsToStages" not in described
        assert "CrossAccountReplicas" not in two.owner.describe("primary")
        code, _ = two.taker.refused("GetSecretValue", SecretId="copy")
        assert code == "ResourceNotFoundException"

    def test_lets_the_primarys_account_begin(self, two: Two) -> None:
        """By a policy that its owner reads, and cannot change."""
        two.create()
        listed = two.taker("ListResourcePolicies", SecretId="copy")["ResourcePolicies"]
        assert listed == [{"PolicyName": MANAGED}]
        answer = two.taker("GetResourcePolicy", SecretId="copy", PolicyName=MANAGED)
        (statement,) = json.loads(answer["ResourcePolicy"])["Statement"]
        assert statement["Principal"] == {"AWS": f"arn:aws:iam::{OWNER}:root"}
        assert statement["Action"] == "secretsmanager:AcceptCrossAccountReplication"
        code, _ = two.taker.refused("DeleteResourcePolicy", SecretId="copy", PolicyName=MANAGED)
        assert code == "InvalidParameterException"
        assert "ResourcePolicy" not in two.taker("GetResourcePolicy", SecretId="copy")

    def test_has_policies_of_its_own_beside_that(self, two: Two) -> None:
        """Listed first."""
        two.create()
        own = json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": TAKER},
                        "Action": "secretsmanager:GetSecretValue",
                        "Resource": "*",
                    }
                ],
            }
        )
        two.taker("PutResourcePolicy", SecretId="copy", ResourcePolicy=own)
        listed = two.taker("ListResourcePolicies", SecretId="copy")["ResourcePolicies"]
        assert [entry["PolicyName"] for entry in listed] == ["default", MANAGED]

    @pytest.mark.parametrize(
        "more",
        [
            {"SecretString": "x"},
            {"SecretBinary": b"x"},
            {"Description": "x"},
            {"Type": "x"},
            {"AddReplicaRegions": [{"Region": "eu-west-1"}]},
            {"KmsKeyId": ""},
            {"KmsKeyId": "alias/aws/secretsmanager"},
            {"CrossAccountPrimaryARN": f"arn:aws:secretsmanager:eu-west-1:{OWNER}:secret:a-AbCdEf"},
            {"CrossAccountPrimaryARN": f"arn:aws:secretsmanager:us-east-1:{TAKER}:secret:a-AbCdEf"},
            {"CrossAccountPrimaryARN": f"arn:aws:secretsmanager:us-east-1:{OWNER}:secret:partial"},
            {"CrossAccountPrimaryARN": "not an ARN, but long enough"},
        ],
    )
    def test_takes_a_customer_key_and_nothing_of_its_own(
        self, two: Two, more: dict[str, Any]
    ) -> None:
        """Refused, and nothing is made."""
        request = {"Name": "copy", "KmsKeyId": two.key, "CrossAccountPrimaryARN": two.primary}
        code, _ = two.taker.refused("CreateSecret", **{**request, **more})
        assert code == "InvalidParameterException"
        assert two.taker("ListSecrets")["SecretList"] == []

    def test_takes_the_right_to_put_a_policy(self, two: Two) -> None:
        """For the one that AWS puts."""
        two.refuse.add("PutResourcePolicy")
        code, _ = two.taker.refused(
            "CreateSecret", Name="copy", KmsKeyId=two.key, CrossAccountPrimaryARN=two.primary
        )
        assert code == "AccessDeniedException"
        assert two.taker("ListSecrets")["SecretList"] == []


class TestAssociating:
    def test_begins_to_replicate(self, two: Two) -> None:
        """In progress in the answer, in sync on both sides after."""
        replica = two.create()
        assert two.associate(replica) == {
            "ARN": two.primary,
            "CrossAccountReplicaARN": replica,
            "ReplicationStatus": "InProgress",
        }
        assert two.owner.describe("primary")["CrossAccountReplicas"] == [
            {"ReplicaSecretARN": replica, "ReplicationStatus": "InSync"}
        ]
        assert two.statuses() == ("InSync", "InSync")
        assert two.taker.value("copy") == "v0"

    def test_copies_values_and_labels_and_nothing_else(self, two: Two) -> None:
        """Tags, description, rotation and region stay each one's own."""
        two.associate(two.create(Tags=[{"Key": "own", "Value": "1"}]))
        two.owner("TagResource", SecretId="primary", Tags=[{"Key": "theirs", "Value": "2"}])
        two.owner("UpdateSecret", SecretId="primary", Description="theirs")
        two.owner.put("v1", secret="primary")
        two.owner.put("blue", "BLUE", secret="primary")
        assert two.taker.value("copy") == "v1"
        assert two.taker.value("copy", VersionStage="BLUE") == "blue"
        changed = two.taker.describe("copy")["LastChangedDate"]
        two.owner.clock.advance(seconds=5)
        two.owner("UpdateSecret", SecretId="primary", Description="again")
        assert two.taker.describe("copy")["LastChangedDate"] == changed
        assert two.taker.labels("copy") == two.owner.labels("primary")
        described = two.taker.describe("copy")
        assert described["Tags"] == [{"Key": "own", "Value": "1"}]
        assert not {"Description", "PrimaryRegion", "ReplicationStatus"} & described.keys()
        (version, *_) = two.taker("ListSecretVersionIds", SecretId="copy")["Versions"]
        assert version["KmsKeyIds"] == [two.key]

    def test_once_more_repairs(self, two: Two) -> None:
        """What failed meanwhile is caught up; the role stays known."""
        role = f"arn:aws:iam::{OWNER}:role/replicating"
        replica = two.create()
        two.associate(replica, ReplicationRoleARN=role)
        two.taker.service.keys.disable(two.key)
        two.owner.put("v1", secret="primary")
        assert two.statuses() == ("Failed", "Failed")
        (entry,) = two.owner.describe("primary")["CrossAccountReplicas"]
        assert f"{two.key} is disabled" in entry["StatusMessage"]
        two.taker.service.keys.enable(two.key)
        assert two.taker.value("copy") == "v0"
        two.associate(replica)
        assert two.statuses() == ("InSync", "InSync")
        assert two.taker.value("copy") == "v1"
        (entry,) = two.owner.describe("primary")["CrossAccountReplicas"]
        assert entry["ReplicationRoleARN"] == role

    def test_that_cannot_work_changes_neither_side(self, two: Two) -> None:
        """A key that is out of use at the beginning."""
        replica = two.create()
        two.taker.service.keys.disable(two.key)
        code, text = two.refused(replica)
        assert code == "InvalidRequestException"
        assert f"{two.key} is disabled" in text
        assert two.statuses() == (None, "Pending")

    @pytest.mark.parametrize("action", ["GetSecretValue", "AcceptCrossAccountReplication"])
    def test_takes_rights_on_both_secrets(self, two: Two, action: str) -> None:
        """Reading the one, replicating to the other."""
        replica = two.create()
        two.refuse.add(action)
        assert two.refused(replica)[0] == "AccessDeniedException"
        two.refuse.clear()
        assert two.statuses() == (None, "Pending")
        assert ("secretsmanager:GetSecretValue", two.primary) in two.asked

    def test_takes_the_right_to_use_both_keys(self, two: Two) -> None:
        """Decrypt on the own one, Encrypt on the other's; denied by KMS, it does not begin."""
        replica = two.create()
        two.refuse.add("GenerateDataKey")
        two.associate(replica)
        two.owner(
            "DisassociateCrossAccountReplica", SecretId="primary", CrossAccountReplicaARN=replica
        )
        two.refuse.discard("GenerateDataKey")
        two.owner.put("v1", secret="primary")
        two.refuse.add("Encrypt")
        code, _ = two.refused(replica)
        assert code == "InvalidRequestException"
        assert two.statuses() == (None, "Detached")

    def test_takes_a_replica_that_was_made_for_this_primary(self, two: Two) -> None:
        """Not any secret, nor another one's replica."""
        another = two.owner.create("another", "x")
        replica = two.create(CrossAccountPrimaryARN=another)
        assert two.refused(replica)[0] == "InvalidRequestException"
        plain = two.taker.create("plain", "mine")
        assert two.refused(plain)[0] == "InvalidRequestException"
        assert two.taker.value("plain") == "mine"

    @pytest.mark.parametrize(
        ("arn", "code"),
        [
            (f"arn:aws:secretsmanager:us-east-1:{TAKER}:secret:none-AbCdEf", "ResourceNotFound"),
            (f"arn:aws:secretsmanager:eu-west-1:{TAKER}:secret:none-AbCdEf", "InvalidParameter"),
            (f"arn:aws:secretsmanager:us-east-1:{OWNER}:secret:none-AbCdEf", "InvalidParameter"),
            (f"arn:aws:iam::{OWNER}:role/none-none-none-none-none", "InvalidParameter"),
        ],
    )
    def test_takes_a_secret_of_another_account_in_the_same_region(
        self, two: Two, arn: str, code: str
    ) -> None:
        """Nothing else."""
        assert two.refused(arn)[0] == f"{code}Exception"

    def test_of_an_unknown_primary_is_not_found(self, two: Two) -> None:
        """Before anything else is looked at."""
        code, _ = two.owner.refused(
            "AssociateCrossAccountReplica", SecretId="nope", CrossAccountReplicaARN="x" * 20
        )
        assert code == "ResourceNotFoundException"

    def test_is_asked_from_the_primarys_account(self, two: Two) -> None:
        """The other account cannot pull."""
        replica = two.create()
        code, _ = two.taker.refused(
            "AssociateCrossAccountReplica", SecretId=two.primary, CrossAccountReplicaARN=replica
        )
        assert code == "InvalidRequestException"

    def test_a_primary_has_one_replica_in_other_accounts(self, two: Two) -> None:
        """And any number in other regions beside it."""
        two.owner(
            "ReplicateSecretToRegions",
            SecretId="primary",
            AddReplicaRegions=[{"Region": "eu-west-1"}],
        )
        two.associate(two.create())
        assert two.refused(two.create(Name="second"))[0] == "LimitExceededException"
        described = two.owner.describe("primary")
        assert len(described["ReplicationStatus"]) == len(described["CrossAccountReplicas"]) == 1


class TestTheReplica:
    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("PutSecretValue", {"SecretString": "x"}),
            ("UpdateSecret", {"SecretString": "x"}),
            ("UpdateSecretVersionStage", {"VersionStage": "X", "MoveToVersionId": "v" * 32}),
            ("RotateSecret", {}),
            ("CancelRotateSecret", {}),
        ],
    )
    def test_takes_its_value_from_its_primary_alone(
        self, two: Two, operation: str, more: dict[str, Any]
    ) -> None:
        """Also before there is one, and after it was detached."""
        two.create()
        code, text = two.taker.refused(operation, SecretId="copy", **more)
        assert code == "InvalidParameterException"
        assert two.primary in text

    def test_is_its_owners_otherwise(self, two: Two) -> None:
        """Tags, description, key."""
        two.associate(two.create())
        another = two.taker.service.create_key()
        two.taker("TagResource", SecretId="copy", Tags=[{"Key": "k", "Value": "v"}])
        two.taker("UpdateSecret", SecretId="copy", Description="mine", KmsKeyId=another)
        described = two.taker.describe("copy")
        assert (described["Description"], described["KmsKeyId"]) == ("mine", another)
        two.owner.put("v1", secret="primary")
        assert two.taker.value("copy") == "v1"

    @pytest.mark.parametrize("forced", [True, False])
    def test_cannot_be_deleted_before_replication_is_stopped(self, two: Two, forced: bool) -> None:
        """On its own side; nor can the primary before it is on its."""
        two.associate(two.create())
        for side, name in ((two.owner, "primary"), (two.taker, "copy")):
            code, _ = side.refused("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=forced)
            assert code == "InvalidParameterException"


class TestEndingIt:
    def test_the_primarys_side_leaves_the_replica_detached(self, two: Two) -> None:
        """It keeps what it has and gets no more; it is no secret of its own yet."""
        replica = two.create()
        two.associate(replica)
        answer = two.owner(
            "DisassociateCrossAccountReplica", SecretId="primary", CrossAccountReplicaARN=replica
        )
        assert answer == {"ARN": two.primary, "CrossAccountReplicaARN": replica}
        assert two.statuses() == (None, "Detached")
        two.owner.put("v1", secret="primary")
        assert two.taker.value("copy") == "v0"
        code, _ = two.taker.refused("PutSecretValue", SecretId="copy", SecretString="x")
        assert code == "InvalidParameterException"
        two.owner("DeleteSecret", SecretId="primary", ForceDeleteWithoutRecovery=True)
        two.taker("StopReplicationToReplica", SecretId="copy")
        two.taker("PutSecretValue", SecretId="copy", SecretString="mine")

    def test_the_replicas_side_makes_it_a_secret_of_its_own(self, two: Two) -> None:
        """The managed policy goes; the primary shows it as detached until it lets go, too."""
        replica = two.create()
        two.associate(replica)
        assert two.taker("StopReplicationToReplica", SecretId="copy") == {"ARN": replica}
        assert two.statuses() == ("Detached", None)
        assert two.taker("ListResourcePolicies", SecretId="copy") == {"ResourcePolicies": []}
        two.owner.put("v1", secret="primary")
        assert two.taker.value("copy") == "v0"
        two.taker("PutSecretValue", SecretId="copy", SecretString="mine")
        code, _ = two.owner.refused("DeleteSecret", SecretId="primary")
        assert code == "InvalidParameterException"
        two.owner(
            "DisassociateCrossAccountReplica", SecretId="primary", CrossAccountReplicaARN=replica
        )
        two.owner("DeleteSecret", SecretId="primary")
        two.taker("DeleteSecret", SecretId="copy")

    def test_stopping_takes_the_right_to_delete_the_policy(self, two: Two) -> None:
        """Since the managed one goes."""
        two.associate(two.create())
        two.refuse.add("DeleteResourcePolicy")
        code, _ = two.taker.refused("StopReplicationToReplica", SecretId="copy")
        assert code == "AccessDeniedException"
        assert two.statuses() == ("InSync", "InSync")

    def test_a_detached_replica_can_be_associated_again(self, two: Two) -> None:
        """It catches up."""
        replica = two.create()
        two.associate(replica)
        two.owner(
            "DisassociateCrossAccountReplica", SecretId="primary", CrossAccountReplicaARN=replica
        )
        two.owner.put("v1", secret="primary")
        two.associate(replica)
        assert two.statuses() == ("InSync", "InSync")
        assert two.taker.value("copy") == "v1"

    def test_what_is_no_replica_cannot_be_disassociated(self, two: Two) -> None:
        """Neither unknown nor merely waiting."""
        replica = two.create()
        code, _ = two.owner.refused(
            "DisassociateCrossAccountReplica", SecretId="primary", CrossAccountReplicaARN=replica
        )
        assert code == "ResourceNotFoundException"
