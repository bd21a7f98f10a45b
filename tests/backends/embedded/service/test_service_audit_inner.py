"""What a call makes the service do, and what the service does by itself, on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from smclient_embedded.access import Access, AccessRequest, administrator_only
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.store.records import Scope

OTHER = "210987654321"


def names(world: Any) -> list[str]:
    return [event["eventName"] for event in world.events()]


class TestABatch:
    def test_has_a_record_of_its_own_and_one_for_each_secret_asked_for(self, world: Any) -> None:
        """As recorded: invoked by the service, with the batch's request id before the id as it was
        given."""
        arn = world.create("a")
        world.create("b")
        world("BatchGetSecretValue", SecretIdList=["a", "none", arn])
        (batch,) = world.events("BatchGetSecretValue")
        assert batch["requestParameters"] == {"secretIdList": ["a", "none", arn]}
        assert "resources" not in batch
        items = world.events("GetSecretValue")
        assert [item["requestParameters"] for item in items] == [
            {"secretId": "a"},
            {"secretId": "none"},
            {"secretId": arn},
        ]
        for item in items:
            secret_id = item["requestParameters"]["secretId"]
            assert item["requestID"] == f"{batch['requestID']}:{secret_id}"
            assert item["userIdentity"]["invokedBy"] == "secretsmanager.amazonaws.com"
            assert item["sourceIPAddress"] == "secretsmanager.amazonaws.com"
            assert item["userAgent"] == "secretsmanager.amazonaws.com"
            assert "accessKeyId" not in item["userIdentity"]
            assert "resources" not in item
            assert item["readOnly"] is True
        assert [item.get("errorCode") for item in items] == [
            None,
            "ResourceNotFoundException",
            None,
        ]
        assert len({event["eventID"] for event in world.events()}) == len(world.events())

    def test_by_filter_has_one_for_each_secret_found(self, memory: Any) -> None:
        """By their ARNs: nobody gave an id."""
        arns = [memory.create(name) for name in ("web/a", "web/b", "other")]
        memory("BatchGetSecretValue", Filters=[{"Key": "name", "Values": ["web/"]}])
        items = memory.events("GetSecretValue")
        assert [item["requestParameters"]["secretId"] for item in items] == arns[:2]

    def test_says_which_secret_was_denied(self, make: Callable[..., Any]) -> None:
        """AccessDenied in the log of that one only."""

        def all_but_b(request: AccessRequest) -> Access:
            if ":secret:b-" in request.resource and request.action.endswith("GetSecretValue"):
                return Access(False, "because no identity-based policy allows it")
            return administrator_only(request)

        world = make(authoriser=all_but_b)
        world.create("a")
        world.create("b")
        world("BatchGetSecretValue", SecretIdList=["a", "b"])
        items = world.events("GetSecretValue")
        assert [item.get("errorCode") for item in items] == [None, "AccessDenied"]

    def test_that_is_refused_has_no_secrets(self, memory: Any) -> None:
        """Nothing was looked for."""
        memory.refused("BatchGetSecretValue")
        assert names(memory) == ["BatchGetSecretValue"]


class TestKeys:
    def test_a_write_generates_a_data_key(self, world: Any) -> None:
        """Under the encryption context of secret and version, invoked by the service."""
        arn = world.create()
        (event,) = world.events("GenerateDataKey")
        key = event["resources"][0]["ARN"]
        assert event["eventSource"] == "kms.amazonaws.com"
        assert event["requestParameters"] == {
            "keyId": key,
            "keySpec": "AES_256",
            "encryptionContext": {"SecretARN": arn, "SecretVersionId": world.token("v0")},
        }
        assert event["resources"] == [
            {"ARN": key, "accountId": "123456789012", "type": "AWS::KMS::Key"}
        ]
        assert event["userIdentity"]["invokedBy"] == "secretsmanager.amazonaws.com"
        assert (event["readOnly"], event["eventType"]) == (True, "AwsApiCall")

    def test_a_read_decrypts(self, world: Any) -> None:
        """Once for each value."""
        arn = world.create()
        world.value()
        (event,) = world.events("Decrypt")
        assert event["requestParameters"] == {
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "encryptionContext": {"SecretARN": arn, "SecretVersionId": world.token("v0")},
        }

    def test_a_batch_decrypts_each_value(self, memory: Any) -> None:
        """One record for each."""
        for name in "abc":
            memory.create(name)
        memory("BatchGetSecretValue", SecretIdList=["a", "b", "c", "none"])
        assert len(memory.events("Decrypt")) == 3

    def test_a_customer_key_is_tried_before_it_is_used(self, world: Any) -> None:
        """Two calls that validate, as recorded, then the one for the value."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        found = [
            (e["eventName"], e["requestParameters"]["encryptionContext"]["SecretVersionId"])
            for e in world.events()
            if e["eventSource"] == "kms.amazonaws.com"
        ]
        assert found == [
            ("GenerateDataKey", "RequestToValidateKeyAccess"),
            ("Decrypt", "RequestToValidateKeyAccess"),
            ("GenerateDataKey", world.token("v0")),
        ]

    @pytest.mark.parametrize(
        ("state", "code"),
        [("Disabled", "DisabledException"), ("PendingDeletion", "KMSInvalidStateException")],
    )
    def test_a_refusal_of_kms_is_on_record_too(self, world: Any, state: str, code: str) -> None:
        """With KMS's own code, beside the record of the call."""
        from dataclasses import replace

        key = world.service.create_key()
        world.create(KmsKeyId=key)
        with world.service._store.transaction(write=True) as tx:
            tx.put_key(replace(tx.key(key), state=state))
        world.refused("GetSecretValue", SecretId="s")
        event = world.events("Decrypt")[-1]
        assert (event["errorCode"], event["resources"][0]["ARN"]) == (code, key)
        assert world.events("GetSecretValue")[-1]["errorCode"] == "DecryptionFailure"
        world.refused("PutSecretValue", SecretId="s", SecretString="x")
        assert world.events("GenerateDataKey")[-1]["errorCode"] == code


class TestServiceEvents:
    def test_a_deletion_starts_and_ends(self, world: Any) -> None:
        """The end comes when the window is over."""
        arn = world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        (start,) = world.events("StartSecretVersionDelete")
        assert start["additionalEventData"] == {"ARN": arn, "Name": "s"}
        assert start["eventType"] == "AwsServiceEvent"
        assert world.events("EndSecretVersionDelete") == []
        world.clock.advance(days=8)
        world.service.run_due()
        assert len(world.events("EndSecretVersionDelete")) == 1

    def test_a_forced_deletion_starts_and_ends_at_once(self, world: Any) -> None:
        """After the record of the call, as recorded."""
        world.create()
        world("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        assert names(world)[-3:] == [
            "DeleteSecret",
            "StartSecretVersionDelete",
            "EndSecretVersionDelete",
        ]
        world("DeleteSecret", SecretId="none", ForceDeleteWithoutRecovery=True)
        assert names(world)[-1] == "DeleteSecret"

    def test_a_restored_secret_cancels_the_deletion_of_each_version(self, world: Any) -> None:
        """One event for each; none if it was not marked."""
        world.create()
        world.put("v1")
        world("RestoreSecret", SecretId="s")
        assert world.events("CancelSecretVersionDelete") == []
        world("DeleteSecret", SecretId="s")
        world("RestoreSecret", SecretId="s")
        found = world.events("CancelSecretVersionDelete")
        assert {e["additionalEventData"]["VersionId"] for e in found} == {
            world.token("v0"),
            world.token("v1"),
        }

    def test_a_version_over_the_quota_is_said_to_be_deleted(self, memory: Any) -> None:
        """When it is pruned."""
        memory.create()
        for n in range(110):
            memory.put(f"v{n + 1}")
            memory.clock.advance(hours=1)
        found = memory.events("SecretVersionDeletion")
        assert found[0]["additionalEventData"]["VersionId"] == memory.token("v0")

    def test_a_refused_change_leaves_none(self, memory: Any) -> None:
        """What was not committed did not happen."""
        memory.create()
        memory("DeleteSecret", SecretId="s")
        before = len(memory.events("StartSecretVersionDelete"))
        memory.refused("DeleteSecret", SecretId="s")
        assert len(memory.events("StartSecretVersionDelete")) == before


class TestTwoAccounts:
    def test_a_call_that_reaches_another_account_is_on_record_in_both(
        self, make: Callable[..., Any]
    ) -> None:
        """Whoever owns a secret sees who asked for it; the two records have one sharedEventID."""
        world = make(authoriser=lambda request: Access(allowed=True))
        arn = world.create(KmsKeyId=world.service.create_key())
        stranger = Principal.administrator(OTHER)
        context = RequestContext(stranger, "us-east-1", request_id="r")
        world.service.call("GetSecretValue", {"SecretId": arn}, context)
        (owners,) = world.events("GetSecretValue")
        (callers,) = world.service.audit.lookup(
            Scope(OTHER, "us-east-1"), event_name="GetSecretValue"
        )
        assert owners["sharedEventID"] == callers["sharedEventID"]
        assert owners["eventID"] != callers["eventID"]
        assert owners["recipientAccountId"] == "123456789012"
        assert callers["recipientAccountId"] == OTHER
        assert owners["userIdentity"]["accountId"] == OTHER

    def test_within_an_account_there_is_no_shared_id(self, memory: Any) -> None:
        """It would say something that is not so."""
        memory.create()
        memory.value()
        assert "sharedEventID" not in memory.events("GetSecretValue")[0]


class TestWhoAsked:
    @pytest.mark.parametrize(
        ("principal", "identity"),
        [
            (
                Principal("arn:aws:iam::123456789012:user/team/jo", "123456789012"),
                {"type": "IAMUser", "userName": "jo", "accessKeyId": "AKIA1"},
            ),
            (
                Principal("arn:aws:iam::123456789012:role/app", "123456789012", "role"),
                {"type": "AssumedRole", "accessKeyId": "AKIA1"},
            ),
            (Principal("x", "123456789012", "service"), {"type": "AWSService"}),
        ],
    )
    def test_is_told_as_cloudtrail_does(
        self, memory: Any, principal: Principal, identity: dict[str, str]
    ) -> None:
        """By kind, with the access key that signed."""
        context = RequestContext(principal, "us-east-1", "r", access_key_id="AKIA1")
        with pytest.raises(Exception, match="not authorized"):
            memory.service.call("ListSecrets", {}, context)
        (event,) = memory.events("ListSecrets")
        assert identity.items() <= event["userIdentity"].items()

    def test_a_session_names_the_role_that_issued_it(self, memory: Any) -> None:
        """sessionContext.sessionIssuer is the role."""
        arn = "arn:aws:sts::123456789012:assumed-role/app/web-1"
        context = RequestContext(Principal(arn, "123456789012", "role"), "us-east-1", "r")
        with pytest.raises(Exception, match="not authorized"):
            memory.service.call("ListSecrets", {}, context)
        (event,) = memory.events("ListSecrets")
        assert event["userIdentity"]["sessionContext"]["sessionIssuer"] == {
            "type": "Role",
            "arn": "arn:aws:iam::123456789012:role/app",
            "accountId": "123456789012",
            "userName": "app",
        }
        assert memory.service.audit.lookup(username="web-1") == [event]


def test_parameters_over_a_hundred_kilobytes_are_left_out(memory: Any) -> None:
    """Whoever sends rubbish does not fill the trail with it."""
    memory.create()
    memory.refused("UntagResource", SecretId="s", TagKeys=["k" * 1000] * 200)
    (event,) = memory.events("UntagResource")
    assert event["requestParameters"] is None
    assert len(json.dumps(event)) < 5000


class TestReplication:
    def test_a_label_is_told_for_the_replica_too(self, memory: Any) -> None:
        """In its own region."""
        memory.create()
        memory(
            "ReplicateSecretToRegions", SecretId="s", AddReplicaRegions=[{"Region": "eu-west-1"}]
        )
        seen: list[dict[str, Any]] = []
        memory.service.subscribe(seen.append, pattern={"detail-type": ["Secret Label Updated"]})
        memory.put("v1")
        assert memory.service.events.flush(30)
        assert [event["region"] for event in seen] == ["us-east-1", "eu-west-1"]
        assert {event["detail"]["versionId"] for event in seen} == {memory.token("v1")}


def test_a_key_that_the_caller_may_not_use_is_on_record_as_kms_has_it(world: Any) -> None:
    """AccessDenied, without parameters."""
    key = world.service.create_key()
    world.create(KmsKeyId=key)
    user = world.service.create_principal("reader")
    allow = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
    world.service.accounts.put_policy(user, "read", {"Version": "2012-10-17", "Statement": [allow]})
    world.caller = user
    code, _ = world.refused("GetSecretValue", SecretId="s")
    assert code == "AccessDeniedException"
    event = world.events("Decrypt")[-1]
    assert event["errorCode"] == "AccessDenied"
    assert "kms:Decrypt" in event["errorMessage"]
    assert event["requestParameters"] is None
