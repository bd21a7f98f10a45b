"""What a service tells its subscribers."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded.store import MemoryStore, StoreError


@pytest.fixture
def told(memory: Any) -> Callable[..., list[dict[str, Any]]]:
    """Subscribes, and gives the list that events come into."""

    def told(pattern: Any = None, **more: Any) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        memory.service.subscribe(seen.append, pattern=pattern, **more)
        return seen

    return told


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Event names, or the labels that moved."""
    return [e["detail"].get("eventName") or "→" + e["detail"]["labelUpdated"] for e in events]


class TestApiCalls:
    def test_come_in_eventbridges_envelope(self, memory: Any, told: Any) -> None:
        """With the record as detail."""
        seen = told({"detail": {"eventName": ["CreateSecret"]}})
        memory.create()
        assert memory.service.events.flush(30)
        (record,) = memory.events("CreateSecret")
        assert seen == [
            {
                "version": "0",
                "id": record["eventID"],
                "detail-type": "AWS API Call via CloudTrail",
                "source": "aws.secretsmanager",
                "account": "123456789012",
                "time": "2026-09-24T10:20:30Z",
                "region": "us-east-1",
                "resources": [],
                "detail": record,
            }
        ]

    def test_come_in_the_order_of_the_changes(self, memory: Any, told: Any) -> None:
        """A change, what it made the service do, then the labels that it moved."""
        seen = told()
        memory.create()
        memory.put("v1")
        memory("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        assert memory.service.events.flush(30)
        assert kinds(seen) == [
            "CreateSecret",
            "→AWSCURRENT",
            "PutSecretValue",
            "→AWSCURRENT",
            "DeleteSecret",
            "StartSecretVersionDelete",
            "EndSecretVersionDelete",
        ]

    def test_that_were_refused_come_too(self, memory: Any, told: Any) -> None:
        """Reads only to those who ask."""
        writes = told({"detail": {"errorCode": [{"exists": True}]}})
        reads = told({"detail": {"eventName": ["GetSecretValue"]}}, all_management_events=True)
        memory.refused("PutSecretValue", SecretId="none", SecretString="x")
        memory.refused("GetSecretValue", SecretId="none")
        assert memory.service.events.flush(30)
        assert kinds(writes) == ["PutSecretValue"]
        assert kinds(reads) == ["GetSecretValue"]

    def test_keys_are_used_by_another_source(self, memory: Any, told: Any) -> None:
        """aws.kms."""
        seen = told({"source": ["aws.kms"]}, all_management_events=True)
        memory.create()
        memory.value()
        assert memory.service.events.flush(30)
        assert kinds(seen) == ["GenerateDataKey", "Decrypt"]

    def test_hold_no_secret(self, memory: Any, told: Any) -> None:
        """They go to whoever subscribed."""
        seen = told(all_management_events=True)
        memory.create(value="canary-7d1f")
        memory.value()
        memory.put("v1", value="canary-7d1f-2")
        assert memory.service.events.flush(30)
        assert len(seen) > 5
        assert "canary-7d1f" not in json.dumps(seen)


class TestLabels:
    PATTERN = {"detail-type": ["Secret Label Updated"]}

    def test_have_the_native_event(self, memory: Any, told: Any) -> None:
        """Exactly as Secrets Manager sends it."""
        arn = memory.create()
        seen = told(self.PATTERN)
        memory.put("v1")
        assert memory.service.events.flush(30)
        (event,) = seen
        assert len(event.pop("id")) == 36
        assert event == {
            "version": "0",
            "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager",
            "account": "123456789012",
            "time": "2026-09-24T10:20:30Z",
            "region": "us-east-1",
            "resources": [arn],
            "detail": {
                "name": "s",
                "labelUpdated": "AWSCURRENT",
                "versionId": memory.token("v1"),
            },
        }

    def test_are_told_for_own_labels_but_not_for_pending_and_previous(
        self, memory: Any, told: Any
    ) -> None:
        """Nor where a label stays or goes."""
        memory.create()
        seen = told(self.PATTERN)
        memory.put("v1", "AWSPENDING")
        memory.put("v2", "blue", "green")
        memory.move("blue", of="v2", to="v1")
        memory.move("blue", of="v1")
        memory("UpdateSecret", SecretId="s", Description="x")
        memory("TagResource", SecretId="s", Tags=[{"Key": "a", "Value": "b"}])
        assert memory.service.events.flush(30)
        moves = [(e["detail"]["labelUpdated"], e["detail"]["versionId"]) for e in seen]
        assert moves == [
            ("blue", memory.token("v2")),
            ("green", memory.token("v2")),
            ("blue", memory.token("v1")),
        ]

    def test_are_told_at_a_rollback_and_a_rotation(self, memory: Any, told: Any) -> None:
        """Whoever moves AWSCURRENT."""
        from smclient_embedded.rotating import RotationTo

        memory.create()
        memory.put("v1")
        seen = told(self.PATTERN)
        memory.move("AWSCURRENT", of="v1", to="v0")
        function = memory.service.register_function("rotate", RotationTo("next"))
        memory("RotateSecret", SecretId="s", RotationLambdaARN=function)
        memory.service.run_due()
        assert memory.service.events.flush(30)
        assert kinds(seen) == ["→AWSCURRENT", "→AWSCURRENT"]


class TestFunctions:
    def test_are_called_with_the_event_under_their_role(self, memory: Any) -> None:
        """By name or ARN; ``context.secrets`` is theirs: a failed rotation raises the alarm."""
        seen: list[Any] = []

        def fail(event: Any, context: Any) -> None:
            raise RuntimeError("no way in")

        def page(event: Any, context: Any) -> None:
            secret = context.secrets.describe(event["detail"]["additionalEventData"]["SecretId"])
            seen.append((event["detail"]["eventName"], secret.value.name))

        rotate = memory.service.register_function("rotate", fail)
        memory.service.register_function("page", page)
        subscription = memory.service.subscribe(
            "page",
            pattern={
                "detail-type": ["AWS Service Event via CloudTrail"],
                "detail": {"eventName": [{"suffix": "RotationFailed"}, "RotationFailed"]},
            },
        )
        memory.create()
        memory("RotateSecret", SecretId="s", RotationLambdaARN=rotate)
        memory.service.run_due()
        assert memory.service.events.flush(30)
        assert seen == [("RotationFailed", "s")]
        assert subscription.delivered == 1

    def test_that_are_not_there_are_refused(self, memory: Any) -> None:
        """When it is subscribed, not when the alarm should ring."""
        with pytest.raises(ConfigError, match="register it first"):
            memory.service.subscribe("nobody")


class TestAfterTheCommit:
    def test_an_event_is_told_when_its_change_can_be_read(self, memory: Any) -> None:
        """By a subscriber that asks the service at once."""
        values: list[str] = []
        memory.service.subscribe(
            lambda event: values.append(memory.value()),
            pattern={"detail": {"eventName": ["PutSecretValue"]}},
        )
        memory.create()
        for n in range(20):
            memory.put(f"v{n + 1}")
        assert memory.service.events.flush(30)
        assert len(values) == 20
        assert values[-1] == "v20"

    def test_what_was_not_committed_is_not_told(self, make: Callable[..., Any]) -> None:
        """Only the refusal is."""

        class Failing(MemoryStore):
            fails = False

            @contextmanager
            def transaction(self, *, write: bool) -> Any:
                with super().transaction(write=write) as tx:
                    yield tx
                    if write and self.fails:
                        raise StoreError("the disk is full")

        store = Failing()
        world = make(store)
        world.create()
        seen: list[dict[str, Any]] = []
        world.service.subscribe(seen.append)
        store.fails = True
        world.refused("PutSecretValue", SecretId="s", SecretString="x")
        store.fails = False
        assert world.service.events.flush(30)
        assert [(e["detail"]["eventName"], e["detail"]["errorCode"]) for e in seen] == [
            ("PutSecretValue", "InternalServiceError")
        ]

    def test_a_listener_that_fails_does_not_fail_the_call(
        self, memory: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged by kind."""

        def broken(records: Any) -> None:
            raise ValueError("hunter2")

        memory.service.audit.listen(broken)
        memory.create()
        assert memory.value() == "v0"
        assert "ValueError" in caplog.text
        assert "hunter2" not in caplog.text


def test_closing_delivers_what_waits(make: Callable[..., Any]) -> None:
    """The last change of a service is told too."""
    world = make()
    seen: list[dict[str, Any]] = []
    world.service.subscribe(seen.append)
    world.create()
    world.service.close()
    assert kinds(seen) == ["CreateSecret", "→AWSCURRENT"]


def test_without_subscribers_nothing_is_made(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event, no look at labels: who does not listen does not pay."""

    def unexpected(*_: object) -> None:
        raise AssertionError("an event was made for nobody")

    monkeypatch.setattr("smclient_embedded.events.bus.event_of", unexpected)
    monkeypatch.setattr("smclient_embedded.events.shapes.envelope", unexpected)
    memory.create()
    memory.put("v1")
    assert memory.value() == "v1"
