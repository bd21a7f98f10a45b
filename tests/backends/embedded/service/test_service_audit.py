"""The audit trail, metrics, and what a failing store leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded import EmbeddedService
from smclient_embedded.errors import InternalServiceError
from smclient_embedded.store.records import Scope
from tests.backends.embedded.service.helpers_broken_store import BrokenStore

CANARY = "canary-4b7e91"


def kept(world: Any) -> int:
    """How many records are in the store, without writing what is held back."""
    with world.service._store.transaction(write=False) as tx:
        return len(tx.audit(Scope("123456789012", "us-east-1"), limit=10_000))


class TestARecord:
    def test_of_a_read_has_cloudtrails_shape(self, world: Any) -> None:
        """readOnly, no response, and the secret under resources."""
        arn = world.create()
        world.value()
        (event,) = world.events("GetSecretValue")
        assert len(event.pop("eventID")) == 36
        assert len(event.pop("requestID")) == 36
        assert event == {
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "Root",
                "principalId": "123456789012",
                "arn": "arn:aws:iam::123456789012:root",
                "accountId": "123456789012",
            },
            "eventTime": "2026-09-24T10:20:30Z",
            "eventSource": "secretsmanager.amazonaws.com",
            "eventName": "GetSecretValue",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "127.0.0.1",
            "userAgent": "smclient-embedded",
            "requestParameters": {"secretId": "s"},
            "responseElements": None,
            "readOnly": True,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "eventCategory": "Management",
            "recipientAccountId": "123456789012",
            "resources": [
                {
                    "accountId": "123456789012",
                    "type": "AWS::SecretsManager::Secret",
                    "ARN": arn,
                }
            ],
        }

    def test_of_a_change_has_the_arn_in_its_response(self, world: Any) -> None:
        """Whether the name was sent or the ARN; the request as it was sent."""
        arn = world.create()
        world.put("v1")
        (event,) = world.events("PutSecretValue")
        assert event["responseElements"] == {"arn": arn}
        assert event["requestParameters"] == {
            "secretId": "s",
            "clientRequestToken": world.token("v1"),
        }
        assert event["readOnly"] is False
        (event,) = world.events("CreateSecret")
        assert event["responseElements"] == {"arn": arn}
        assert event["requestParameters"] == {
            "name": "s",
            "clientRequestToken": world.token("v0"),
            "forceOverwriteReplicaSecret": False,
        }

    def test_of_a_deletion_has_its_date(self, world: Any) -> None:
        """deletionDate, name and arn, as recorded."""
        arn = world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        (event,) = world.events("DeleteSecret")
        assert event["responseElements"] == {
            "deletionDate": "2026-10-01T10:20:30Z",
            "name": "s",
            "arn": arn,
        }
        assert event["requestParameters"] == {"secretId": "s", "recoveryWindowInDays": 7}

    def test_writes_member_names_small_at_every_depth(self, memory: Any) -> None:
        """Lists of structures too."""
        memory.create(Tags=[{"Key": "a", "Value": "b"}])
        (event,) = memory.events("CreateSecret")
        assert event["requestParameters"]["tags"] == [{"key": "a", "value": "b"}]
        memory("ListSecrets", Filters=[{"Key": "name", "Values": ["s"]}])
        (event,) = memory.events("ListSecrets")
        assert event["requestParameters"] == {"filters": [{"key": "name", "values": ["s"]}]}

    @pytest.mark.parametrize(
        ("operation", "request_", "has"),
        [
            ("DescribeSecret", {}, True),
            ("UpdateSecret", {"Description": "x"}, True),
            ("PutSecretValue", {"SecretString": "x"}, True),
            ("BatchGetSecretValue", {"SecretId": None, "SecretIdList": ["s"]}, False),
            ("CreateSecret", {"SecretId": None, "Name": "new"}, False),
        ],
    )
    def test_lists_its_resource_where_aws_does(
        self, memory: Any, operation: str, request_: dict[str, Any], has: bool
    ) -> None:
        """As recorded, operation by operation."""
        memory.create()
        memory(operation, **{"SecretId": "s", **request_})
        assert ("resources" in memory.events(operation)[-1]) is has

    def test_of_a_refusal_has_code_and_message(self, world: Any) -> None:
        """For whatever reason it was refused."""
        world.refused("GetSecretValue", SecretId="nope")
        world.refused("GetSecretValue", SecretId=3)
        world.refused("GetSecretValue", SecretId="s", VersionId="short")
        found = [(e["errorCode"], e["responseElements"]) for e in world.events("GetSecretValue")]
        assert found == [
            ("ResourceNotFoundException", None),
            ("SerializationException", None),
            ("ValidationException", None),
        ]
        first = world.events("GetSecretValue")[0]
        assert first["errorMessage"] == "Secrets Manager can't find the specified secret."

    def test_of_a_denial_shortens_the_code_and_names_who_asked(self, world: Any) -> None:
        """AccessDenied in the log, AccessDeniedException in the answer."""
        user = world.service.create_principal("nobody")
        world.create()
        world.caller = user
        code, text = world.refused("GetSecretValue", SecretId="s")
        assert code == "AccessDeniedException"
        (event,) = world.events("GetSecretValue")
        assert (event["errorCode"], event["errorMessage"]) == ("AccessDenied", text)
        assert event["userIdentity"] == {
            "type": "IAMUser",
            "arn": user,
            "accountId": "123456789012",
            "userName": "nobody",
        }

    @pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecret"])
    def test_of_a_failed_change_still_names_the_secret(self, world: Any, operation: str) -> None:
        """As recorded for these two."""
        arn = world.create()
        world.refused(
            operation, SecretId="s", SecretString="other", ClientRequestToken=world.token("v0")
        )
        (event,) = world.events(operation)
        assert event["errorCode"] == "ResourceExistsException"
        assert event["responseElements"] == {"arn": arn}
        assert event["resources"][0]["ARN"] == arn

    def test_cuts_long_texts(self, memory: Any) -> None:
        """User agent and message at 1,024 characters."""
        context = memory.service.context()
        long = type(context)(
            context.principal, context.region, context.request_id, user_agent="u" * 5000
        )
        memory.service.call("ListSecrets", {}, long)
        assert len(memory.events("ListSecrets")[0]["userAgent"]) == 1024
        memory.refused("DescribeSecret", SecretId="x" * 2049)
        assert len(memory.events("DescribeSecret")[0]["errorMessage"]) == 1024

    def test_never_repeats_a_description(self, memory: Any) -> None:
        """Not even one that is refused for its length, and not beside another fault."""
        asked = {"Name": "", "Description": f"{CANARY}' at 'description' " + "x" * 2048}
        _, text = memory.refused("CreateSecret", **asked)
        assert CANARY in text
        (event,) = memory.events("CreateSecret")
        assert CANARY not in json.dumps(event)
        assert "Value at 'description' failed" in event["errorMessage"]
        assert "Value '' at 'name' failed" in event["errorMessage"]

    def test_is_one_for_each_call(self, world: Any) -> None:
        """Answered or refused, read or written; each with an id of its own."""
        world.create()
        world.value()
        world.refused("CreateSecret", Name="s")
        world("GetRandomPassword")
        world("ListSecrets")
        world.refused("ValidateResourcePolicy", ResourcePolicy="{}")
        events = [e for e in world.events() if "invokedBy" not in e["userIdentity"]]
        assert sorted(event["eventName"] for event in events) == [
            "CreateSecret",
            "CreateSecret",
            "GetRandomPassword",
            "GetSecretValue",
            "ListSecrets",
            "ValidateResourcePolicy",
        ]
        assert len({event["eventID"] for event in events}) == 6
        assert len({event["requestID"] for event in events}) == 6

    def test_never_holds_a_secret(self, world: Any, caplog: pytest.LogCaptureFixture) -> None:
        """Values, descriptions, passwords, rotation tokens: in no record and no log line."""
        caplog.set_level("DEBUG")
        world.create("a", CANARY, Description=CANARY)
        world("CreateSecret", Name="b", SecretBinary=CANARY.encode())
        world.put("v1", secret="a", value=CANARY + "1")
        world(
            "PutSecretValue",
            SecretId="a",
            SecretString=CANARY,
            RotationToken=f"{CANARY}-" + "0" * 40,
        )
        world("UpdateSecret", SecretId="a", SecretString=CANARY, Description=CANARY)
        world("BatchGetSecretValue", SecretIdList=["a", "b"])
        password = world("GetRandomPassword")["RandomPassword"]
        for operation, more in (
            ("PutSecretValue", {"SecretId": "nope", "SecretString": CANARY}),
            ("PutSecretValue", {"SecretId": "a", "SecretString": CANARY, "VersionStages": []}),
            ("PutSecretValue", {"SecretId": "a", "SecretString": [CANARY]}),
            ("PutSecretValue", {"SecretId": "a", "SecretString": CANARY, "SecretBinary": b"x"}),
            ("PutSecretValue", {"SecretId": "a", "SecretString": CANARY * 9000}),
            ("PutSecretValue", {"SecretId": "a", "SecretString": "x", "RotationToken": CANARY}),
            ("CreateSecret", {"Name": "a", "SecretString": CANARY}),
        ):
            _, text = world.refused(operation, **more)
            assert CANARY not in text
        trail = json.dumps(world.events())
        assert "PutSecretValue" in trail
        for secret in (CANARY, password):
            assert secret not in trail
            assert secret not in caplog.text


class TestWriting:
    def test_a_change_and_its_record_are_one(self, make: Callable[..., Any]) -> None:
        """If the record cannot be written, nothing was changed; the caller gets a 500."""
        store = BrokenStore()
        world = make(store)
        world.create()
        store.audit_breaks = True
        for operation, more in {
            "CreateSecret": {"Name": "new", "SecretString": "x"},
            "PutSecretValue": {"SecretId": "s", "SecretString": "x"},
            "UpdateSecret": {"SecretId": "s", "Description": "x", "SecretString": "y"},
            "TagResource": {"SecretId": "s", "Tags": [{"Key": "k", "Value": "v"}]},
            "DeleteSecret": {"SecretId": "s", "ForceDeleteWithoutRecovery": True},
        }.items():
            code, text = world.refused(operation, **more)
            assert (code, "the trail is full" in text) == ("InternalServiceError", True)
        store.audit_breaks = False
        assert world.labels() == {"v0": {"AWSCURRENT"}}
        assert world.describe().keys() & {"Description", "Tags"} == set()
        assert [entry["Name"] for entry in world("ListSecrets")["SecretList"]] == ["s"]

    def test_a_change_is_on_record_before_it_is_answered(self, world: Any) -> None:
        """Nothing is held back of it, nor of the key that it used."""
        before = kept(world)
        world.create()
        assert kept(world) == before + 2

    def test_reads_and_refusals_are_held_back_up_to_256(self, world: Any) -> None:
        """Then they are written together."""
        world.create()
        before = kept(world)
        for n in range(255):
            if n % 2:
                world.describe()
            else:
                world.refused("DescribeSecret", SecretId="nope")
        assert kept(world) == before
        world.describe()
        assert kept(world) == before + 256

    def test_reads_are_held_back_for_a_second(self, world: Any) -> None:
        """The first one after it writes them."""
        world.create()
        before = kept(world)
        world.describe()
        world.clock.advance(0.9)
        world.describe()
        assert kept(world) == before
        world.clock.advance(0.1)
        world.describe()
        assert kept(world) == before + 3

    def test_lookup_run_due_and_closing_write_what_is_held_back(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """So nothing is lost on an orderly end."""
        url = f"embedded://{tmp_path}/s.db"
        world = make(url)
        world.create()
        before = kept(world)
        world.describe()
        world.service.run_due()
        assert kept(world) == before + 1
        world.describe()
        assert len(world.service.audit.lookup(event_name="DescribeSecret")) == 2
        world.describe()
        world.service.close()
        assert len(make(url).events("DescribeSecret")) == 3

    def test_a_trail_that_cannot_be_written_refuses_reads_and_keeps_its_records(
        self, make: Callable[..., Any]
    ) -> None:
        """Rather unanswered than unrecorded; and the error is one of ours, also for refusals."""
        store = BrokenStore()
        world = make(store)
        world.create()
        world.clock.advance(10)
        world.describe()
        store.audit_breaks = True
        world.clock.advance(2)
        assert world.refused("DescribeSecret", SecretId="s")[0] == "InternalServiceError"
        assert world.refused("DescribeSecret", SecretId="no")[0] == "ResourceNotFoundException"
        store.audit_breaks = False
        codes = [event.get("errorCode") for event in world.events("DescribeSecret")]
        assert codes == [
            None,
            None,
            "InternalServiceError",
            "ResourceNotFoundException",
        ]

    def test_a_store_that_cannot_write_is_an_internal_error(self, make: Callable[..., Any]) -> None:
        """500 in process and on the wire; its cause is in the log."""
        store = BrokenStore()
        world = make(store)
        world.create()
        store.writes_break = True
        with pytest.raises(InternalServiceError, match="the disk is full") as caught:
            world("PutSecretValue", SecretId="s", SecretString="x")
        assert caught.value.status == 500
        client = world.service.client()
        with pytest.raises(client.exceptions.ClientError) as wired:
            client.put_secret_value(SecretId="s", SecretString="x")
        assert wired.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        store.writes_break = False
        assert world.value() == "v0"


class TestLookup:
    def test_gives_records_that_are_the_callers_own(self, world: Any) -> None:
        """Changing one changes neither what is kept nor what is recorded later."""
        role = world.service.create_principal("app", kind="role")
        world.caller = world.service.assume_role(role, "s-1").principal
        for _ in range(2):
            world.refused("DescribeSecret", SecretId="s")
            (event, *_) = world.events("DescribeSecret")
            kept = json.dumps(event["userIdentity"])
            event["userIdentity"]["sessionContext"]["attributes"].clear()
            event["requestParameters"]["secretId"] = "another"
        found = world.events("DescribeSecret")
        assert [json.dumps(each["userIdentity"]) for each in found] == [kept, kept]
        assert {each["requestParameters"]["secretId"] for each in found} == {"s"}

    def test_gives_the_newest_first_up_to_a_limit(self, world: Any) -> None:
        """Fifty unless told."""
        for n in range(60):
            world.clock.advance(1)
            world.refused("DescribeSecret", SecretId=f"s{n}")
        found = world.service.audit.lookup()
        assert len(found) == 50
        assert found[0]["requestParameters"] == {"secretId": "s59"}
        assert len(world.service.audit.lookup(limit=3)) == 3

    def test_finds_by_event_name_and_by_scope(self, world: Any) -> None:
        """Another region has a trail of its own."""
        world.create()
        world.region = "eu-west-1"
        world("ListSecrets")
        assert [e["eventName"] for e in world.events()] == ["CreateSecret", "GenerateDataKey"]
        there = world.service.audit.lookup(Scope("123456789012", "eu-west-1"))
        assert [event["eventName"] for event in there] == ["ListSecrets"]
        assert world.events("ListSecrets") == []

    def test_what_the_service_did_by_itself_is_an_aws_service_event(self, world: Any) -> None:
        """A deletion whose time has come."""
        arn = world.create()
        world("DeleteSecret", SecretId="s", RecoveryWindowInDays=7)
        world.clock.advance(days=8)
        world.service.run_due()
        (event,) = world.events("EndSecretVersionDelete")
        assert event["eventType"] == "AwsServiceEvent"
        assert event["readOnly"] is False
        assert event["additionalEventData"] == {"ARN": arn, "Name": "s"}
        assert event["userIdentity"] == {
            "accountId": "123456789012",
            "invokedBy": "secretsmanager.amazonaws.com",
        }
        assert (event["requestParameters"], event["responseElements"]) == (None, None)


class TestMetrics:
    def test_count_calls_by_operation_and_outcome(self, world: Any) -> None:
        """In CloudWatch's shape, sorted."""
        world.create()
        for _ in range(3):
            world.value()
        world.refused("GetSecretValue", SecretId="nope")
        found = [m for m in world.service.metrics() if m["MetricName"] == "CallCount"]
        assert found[0].keys() >= {"Namespace", "MetricName", "Dimensions", "Value"}
        assert {m["Namespace"] for m in found} == {"AWS/Usage"}
        assert found[0]["Dimensions"] == {
            "Service": "Secrets Manager",
            "Type": "API",
            "Resource": "CreateSecret",
            "Class": "None",
        }
        assert [(m["Dimensions"]["Resource"], m["Outcome"], m["Value"]) for m in found] == [
            ("CreateSecret", "ok", 1),
            ("GetSecretValue", "ResourceNotFoundException", 1),
            ("GetSecretValue", "ok", 3),
        ]

    def test_are_a_snapshot_that_later_calls_do_not_change(self, memory: Any) -> None:
        """And that changing it does not change."""
        memory("ListSecrets")
        snapshot = memory.service.metrics()
        before = len(snapshot)
        memory("GetRandomPassword")
        assert len(snapshot) == before
        snapshot.clear()
        assert len(memory.service.metrics()) == before + 1

    def test_tell_regions_and_accounts_apart(self, memory: Any) -> None:
        """One entry for each."""
        memory("ListSecrets")
        memory.region = "eu-west-1"
        memory("ListSecrets")
        assert {m["Region"] for m in memory.service.metrics()} == {"us-east-1", "eu-west-1"}


def test_the_day_of_access_is_written_after_the_read_and_for_the_version_read(world: Any) -> None:
    """An older version that is read gets the day, the current one does not."""
    world.create()
    world.put("v1")
    world.value(VersionStage="AWSPREVIOUS")
    versions = {v["VersionId"]: v for v in world("ListSecretVersionIds", SecretId="s")["Versions"]}
    assert "LastAccessedDate" in versions[world.token("v0")]
    assert "LastAccessedDate" not in versions[world.token("v1")]


def test_a_record_of_millions_is_not_needed_to_see_that_time_is_cut(memory: Any) -> None:
    """eventTime is in whole seconds, as CloudTrail has it."""
    memory.create()
    memory.clock.advance(timedelta(milliseconds=999).total_seconds())
    memory.describe()
    assert memory.events("DescribeSecret")[0]["eventTime"] == "2026-09-24T10:20:31Z"


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    """And after an error inside a with block."""
    service = EmbeddedService(f"embedded://{tmp_path}/s.db")
    service.close()
    service.close()
    with pytest.raises(KeyError), EmbeddedService() as service:
        raise KeyError
    service.close()
