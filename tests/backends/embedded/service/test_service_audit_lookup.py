"""Looking into the trail: by attribute, by time, in pages, as CloudTrail's LookupEvents."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from smclient_embedded import EmbeddedService
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.errors import InvalidNextTokenException, ServiceError, ValidationException
from smclient_embedded.store.records import Scope


def looked_up(world: Any, **attributes: Any) -> list[str]:
    return [e["eventName"] for e in world.service.audit.lookup(**attributes)[::-1]]


@pytest.fixture
def filled(world: Any) -> Any:
    """Two secrets, some reads, one by another user with a key."""
    world.create("web/db")
    world.create("other")
    world.value("web/db")
    user = world.service.create_principal("jo")
    context = RequestContext(
        world.service.principal(user), "us-east-1", "r", access_key_id="AKIAJO"
    )
    with pytest.raises(ServiceError):
        world.service.call("GetSecretValue", {"SecretId": "web/db"}, context)
    return world


class TestAttributes:
    def test_event_source(self, filled: Any) -> None:
        """The service's own, or KMS's."""
        assert looked_up(filled, event_source="kms.amazonaws.com") == [
            "GenerateDataKey",
            "GenerateDataKey",
            "Decrypt",
        ]
        assert len(looked_up(filled, event_source="secretsmanager.amazonaws.com")) == 4

    def test_username_and_access_key(self, filled: Any) -> None:
        """Users by name, the administrator as root."""
        assert looked_up(filled, username="jo") == ["GetSecretValue"]
        assert looked_up(filled, access_key_id="AKIAJO") == ["GetSecretValue"]
        assert "CreateSecret" in looked_up(filled, username="root")

    def test_resource_by_name_arn_and_type(self, filled: Any) -> None:
        """However the caller named it, and by the name inside the ARN on record."""
        arn = filled.describe("web/db")["ARN"]
        by_name = looked_up(filled, resource_name="web/db")
        assert by_name == ["CreateSecret", "GetSecretValue", "GetSecretValue", "DescribeSecret"]
        by_arn = looked_up(filled, resource_name=arn)
        assert by_arn == by_name
        key_uses = looked_up(filled, resource_type="AWS::KMS::Key")
        assert set(key_uses) == {"GenerateDataKey", "Decrypt"}
        assert looked_up(filled, resource_name="web/d") == []

    def test_event_id(self, filled: Any) -> None:
        """One record."""
        (event,) = filled.events("CreateSecret")[:1]
        assert filled.service.audit.lookup(event_id=event["eventID"]) == [event]
        assert filled.service.audit.lookup(event_id="none") == []

    def test_read_only_and_name_together(self, filled: Any) -> None:
        """All must fit."""
        assert looked_up(filled, read_only=False) == ["CreateSecret", "CreateSecret"]
        assert looked_up(filled, read_only=True, event_name="CreateSecret") == []

    def test_one_that_there_is_not_is_refused(self, filled: Any) -> None:
        """And one of another kind."""
        with pytest.raises(ValidationException, match="event_source, access_key_id"):
            filled.service.audit.lookup(color="red")
        with pytest.raises(ValidationException, match="true or false"):
            filled.service.audit.lookup(read_only="perhaps")

    def test_a_time_range_includes_its_ends(self, world: Any) -> None:
        """From and to."""
        start = world.clock.now()
        for n in range(5):
            world.refused("DescribeSecret", SecretId=f"s{n}")
            world.clock.advance(60)
        found = world.service.audit.lookup(
            since=start + timedelta(minutes=1), until=start + timedelta(minutes=3)
        )
        assert [e["requestParameters"]["secretId"] for e in found] == ["s3", "s2", "s1"]


class TestLookupEvents:
    def test_has_boto3s_shape(self, filled: Any) -> None:
        """Some members, and the record as text."""
        asked = [{"AttributeKey": "Username", "AttributeValue": "jo"}]
        answer = filled.service.audit.lookup_events(LookupAttributes=asked)
        (event,) = answer["Events"]
        document = json.loads(event.pop("CloudTrailEvent"))
        assert document["errorCode"] == "AccessDenied"
        assert event.pop("Resources")[0]["ResourceType"] == "AWS::SecretsManager::Secret"
        assert event == {
            "EventId": document["eventID"],
            "EventName": "GetSecretValue",
            "ReadOnly": "true",
            "AccessKeyId": "AKIAJO",
            "EventTime": datetime.fromisoformat("2026-09-24T10:20:30+00:00"),
            "EventSource": "secretsmanager.amazonaws.com",
            "Username": "jo",
        }

    @pytest.mark.parametrize("attribute", [None, ("ReadOnly", "true"), ("EventName", "Describe")])
    def test_pages_give_each_record_once(
        self, world: Any, attribute: tuple[str, str] | None
    ) -> None:
        """Whatever is asked for, whatever comes meanwhile."""
        for n in range(25):
            world.refused("DescribeSecret", SecretId=f"s{n}")
            world.refused("PutSecretValue", SecretId="none", SecretString="x")
        request: dict[str, Any] = {"MaxResults": 7}
        if attribute is not None:
            key, value = attribute
            value = "DescribeSecret" if key == "EventName" else value
            request["LookupAttributes"] = [{"AttributeKey": key, "AttributeValue": value}]
        found: list[str] = []
        while True:
            answer = world.service.audit.lookup_events(**request)
            assert len(answer["Events"]) <= 7
            found += [event["EventId"] for event in answer["Events"]]
            world.refused("RestoreSecret", SecretId="meanwhile")
            if "NextToken" not in answer:
                break
            request["NextToken"] = answer["NextToken"]
        assert len(found) == len(set(found)) == (50 if attribute is None else 25)

    @pytest.mark.parametrize(
        ("request_", "error"),
        [
            ({"LookupAttributes": [{"AttributeKey": "Color", "AttributeValue": "x"}]}, "Color"),
            ({"LookupAttributes": [{}]}, "lookup attribute"),
            ({"LookupAttributes": [{}, {}]}, "one attribute"),
            ({"LookupAttributes": ["EventName"]}, "lookup attribute"),
            ({"MaxResults": 51}, "50"),
            ({"MaxResults": 0}, "50"),
            ({"MaxResults": "7"}, "50"),
            ({"StartTime": "today"}, "time zone"),
            ({"EventCategory": "insight"}, "EventCategory"),
        ],
    )
    def test_refuses_what_cloudtrail_would_not_take(
        self, memory: Any, request_: dict[str, Any], error: str
    ) -> None:
        """Saying what it takes."""
        with pytest.raises(ValidationException, match=error):
            memory.service.audit.lookup_events(**request_)

    def test_refuses_a_range_that_ends_before_it_begins(self, memory: Any) -> None:
        """Nothing could be in it."""
        now = memory.clock.now()
        with pytest.raises(ValidationException, match="after EndTime"):
            memory.service.audit.lookup_events(StartTime=now, EndTime=now - timedelta(1))

    @pytest.mark.parametrize("token", ["", "x", "W10=", "WzEsIDJd", 3])
    def test_refuses_a_token_that_it_did_not_give_out(self, memory: Any, token: Any) -> None:
        """Whatever it is."""
        with pytest.raises(InvalidNextTokenException):
            memory.service.audit.lookup_events(NextToken=token)

    def test_refuses_a_token_of_another_question(self, memory: Any) -> None:
        """As CloudTrail does."""
        for _ in range(3):
            memory("ListSecrets")
        token = memory.service.audit.lookup_events(MaxResults=1)["NextToken"]
        with pytest.raises(InvalidNextTokenException, match="another question"):
            memory.service.audit.lookup_events(
                NextToken=token,
                LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "ListSecrets"}],
            )


class Timer:
    """A timer that the test lets go off."""

    def __init__(self, seconds: float, work: Callable[[], object]) -> None:
        self.seconds = seconds
        self.work = work
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TestTheSecond:
    """Reads are written within a second of the first, also if no other call comes."""

    @pytest.fixture
    def timers(self, memory: Any) -> list[Timer]:
        made: list[Timer] = []

        def set_alarm(seconds: float, work: Callable[[], object]) -> Timer:
            made.append(Timer(seconds, work))
            return made[-1]

        memory.service.audit._set_alarm = set_alarm
        return made

    def test_a_timer_is_set_by_the_first_read_only(self, memory: Any, timers: list[Timer]) -> None:
        """Not when the service is made, nor by a change; one is enough for all that follow."""
        memory.create()
        assert timers == []
        memory.value()
        memory.value()
        assert [timer.seconds for timer in timers] == [1.0]

    def test_it_writes_what_is_held_back(self, memory: Any, timers: list[Timer]) -> None:
        """And the next read sets another one."""
        memory.create()
        memory.value()
        store = memory.service._store
        with store.transaction(write=False) as tx:
            assert tx.audit(memory.service.audit._home, event_name="GetSecretValue") == []
        timers[0].work()
        with store.transaction(write=False) as tx:
            assert len(tx.audit(memory.service.audit._home, event_name="GetSecretValue")) == 1
        memory.value()
        assert len(timers) == 2

    def test_closing_calls_it_off(self, memory: Any, timers: list[Timer]) -> None:
        """Nothing is left running."""
        memory.create()
        memory.value()
        memory.service.close()
        assert timers[0].cancelled

    def test_what_could_not_be_written_is_tried_again(
        self, memory: Any, timers: list[Timer], caplog: pytest.LogCaptureFixture
    ) -> None:
        """By another timer, without a call."""
        from smclient_embedded.store import StoreError

        memory.create()
        memory.value()
        trail = memory.service.audit
        store, trail._store = trail._store, Refusing(StoreError("the disk is full"))
        timers[0].work()
        assert "the disk is full" in caplog.text
        trail._store = store
        timers[1].work()
        assert len(timers) == 2
        scope = Scope(memory.service.account, memory.service.region)
        with store.transaction(write=False) as tx:
            assert len(tx.audit(scope, event_name="GetSecretValue")) == 1

    def test_a_child_process_leaves_what_was_held_back_to_its_parent(self, memory: Any) -> None:
        """Or it would be on record twice."""
        memory.create()
        memory.value()
        for forked in (memory.service.audit, memory.service.audit._held):
            forked.after_fork()
        assert memory.events("GetSecretValue") == []

    def test_a_service_under_the_machines_own_clock_has_one(self) -> None:
        """Set when first needed: until then there is no thread."""
        with EmbeddedService() as service:
            assert service.audit._alarm is None
            service.call("ListSecrets", {})
            assert service.audit._alarm is not None
            assert service.audit._alarm.daemon  # type: ignore[attr-defined]


class Refusing:
    """A store that cannot be written."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def transaction(self, *, write: bool) -> Any:
        raise self._error


def test_an_administrator_is_no_user(memory: Any) -> None:
    """``root`` is only the administrator."""
    user = Principal("arn:aws:iam::123456789012:user/root", "123456789012")
    with pytest.raises(ServiceError):
        memory.service.call("ListSecrets", {}, RequestContext(user, "us-east-1", "r"))
    found = memory.service.audit.lookup(username="root")
    assert [e["userIdentity"]["type"] for e in found] == ["IAMUser"]
