"""Alarms: what counts, when they ring, whom they call, when they are over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient_embedded.access import Access
from smclient_embedded.alarms import AlarmRule
from smclient_embedded.context import Principal, RequestContext


def denied(world: Any) -> None:
    """A read that nobody allows."""
    user = Principal("arn:aws:iam::123456789012:user/jo", "123456789012")
    context = RequestContext(user, "us-east-1", "r")
    with pytest.raises(Exception, match="not authorized"):
        world.service.call("GetSecretValue", {"SecretId": "s"}, context)


def failing_rotation(world: Any) -> None:
    def fail(event: Any, context: Any) -> None:
        raise RuntimeError

    function = world.service.register_function("rotate", fail)
    world("RotateSecret", SecretId="s", RotationLambdaARN=function)
    world.service.run_due()


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("metric", "happen"),
        [
            ("DeniedReads", denied),
            ("RotationErrors", failing_rotation),
            (
                "DeletedSecretReads",
                lambda world: (
                    world("DeleteSecret", SecretId="s"),
                    world.refused("GetSecretValue", SecretId="s"),
                ),
            ),
        ],
    )
    def test_rings_its_own_alarm_only(
        self, world: Any, metric: str, happen: Callable[[Any], object]
    ) -> None:
        """At once, and counts in the metrics."""
        world.create()
        alarms = {
            name: world.service.alarm(name, name)
            for name in ("DeniedReads", "RotationErrors", "DeletedSecretReads")
        }
        happen(world)
        ringing = [name for name, alarm in alarms.items() if alarm.state == "ALARM"]
        assert ringing == [metric]
        counted = [m for m in world.service.metrics() if m["Namespace"] == "SMClient"]
        assert [(m["MetricName"], m["Value"]) for m in counted] == [(metric, 1)]

    def test_a_denied_secret_of_a_batch_is_a_denied_read(self, make: Callable[..., Any]) -> None:
        """Each of them."""

        def no_values(request: Any) -> Access:
            return Access(not request.action.endswith(":GetSecretValue"), "because so")

        world = make(authoriser=no_values)
        world.create("a")
        world.create("b")
        alarm = world.service.alarm("denied", "DeniedReads", threshold=2)
        world("BatchGetSecretValue", SecretIdList=["a", "b"])
        assert alarm.state == "ALARM"

    def test_other_refusals_do_not(self, memory: Any) -> None:
        """A read of nothing, a write to what is marked for deletion."""
        memory.create()
        alarms = [
            memory.service.alarm(name, name) for name in ("DeniedReads", "DeletedSecretReads")
        ]
        memory.refused("GetSecretValue", SecretId="none")
        memory("DeleteSecret", SecretId="s")
        memory.refused("PutSecretValue", SecretId="s", SecretString="x")
        assert {alarm.state for alarm in alarms} == {"INSUFFICIENT_DATA"}

    def test_a_call_from_another_account_counts_once(self, make: Callable[..., Any]) -> None:
        """Though it is on record in both."""
        world = make()
        arn = world.create()
        alarm = world.service.alarm("denied", "DeniedReads", threshold=2)
        stranger = RequestContext(Principal.administrator("210987654321"), "us-east-1", "r")
        with pytest.raises(Exception, match="not authorized"):
            world.service.call("GetSecretValue", {"SecretId": arn}, stranger)
        assert alarm.state != "ALARM"


class TestStates:
    def test_begin_without_data_and_are_ok_after_a_period(self, memory: Any) -> None:
        """In CloudWatch's words."""
        alarm = memory.service.alarm("a", "DeniedReads", period=60)
        assert alarm.state == "INSUFFICIENT_DATA"
        assert alarm.reason == "Unchecked: Initial alarm creation"
        memory.clock.advance(60)
        assert alarm.state == "OK"
        assert "sum of 0 within 60 seconds was not greater than or equal to" in alarm.reason

    def test_need_the_threshold_within_the_period(self, memory: Any) -> None:
        """Not over a longer time."""
        memory.create()
        alarm = memory.service.alarm("a", "DeniedReads", threshold=3, period=60)
        for _ in range(4):
            denied(memory)
            memory.clock.advance(30)
        assert alarm.state == "OK"
        denied(memory)
        denied(memory)
        assert alarm.state == "ALARM"

    def test_are_ok_again_when_the_period_is_over(self, memory: Any) -> None:
        """Without another call: the time is looked at."""
        memory.create()
        alarm = memory.service.alarm("a", "DeniedReads", period=60)
        denied(memory)
        memory.clock.advance(59)
        assert alarm.state == "ALARM"
        memory.clock.advance(1)
        assert alarm.state == "OK"

    def test_greater_than_wants_more(self, memory: Any) -> None:
        """Than the threshold."""
        memory.create()
        alarm = memory.service.alarm(
            "a", "DeniedReads", threshold=1, comparison="GreaterThanThreshold"
        )
        denied(memory)
        assert alarm.state != "ALARM"
        denied(memory)
        assert alarm.state == "ALARM"


class TestCalling:
    def test_each_change_of_state_is_told_in_cloudwatchs_shape(self, memory: Any) -> None:
        """To the alarm's own target, once for each change."""
        seen: list[dict[str, Any]] = []
        memory.create()
        memory.service.alarm("no access", "DeniedReads", period=60, target=seen.append)
        denied(memory)
        denied(memory)
        memory.clock.advance(60)
        memory.service.run_due()
        memory.service.run_due()
        assert memory.service.events.flush(30)
        assert [e["detail"]["state"]["value"] for e in seen] == ["ALARM", "OK"]
        event = seen[0]
        assert event["source"] == "aws.cloudwatch"
        assert event["detail-type"] == "CloudWatch Alarm State Change"
        assert event["resources"] == ["arn:aws:cloudwatch:us-east-1:123456789012:alarm:no access"]
        assert event["detail"]["alarmName"] == "no access"
        assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
        assert event["detail"]["state"]["timestamp"] == "2026-09-24T10:20:30.123+0000"
        (metric,) = event["detail"]["configuration"]["metrics"]
        assert metric["metricStat"]["metric"]["namespace"] == "SMClient"

    def test_a_function_is_called_too(self, memory: Any) -> None:
        """By name."""
        seen: list[str] = []
        memory.service.register_function(
            "page", lambda event, context: seen.append(event["detail"]["alarmName"])
        )
        memory.create()
        memory.service.alarm("a", "DeniedReads", target="page")
        denied(memory)
        assert memory.service.events.flush(30)
        assert seen == ["a"]

    def test_only_its_own_target_is_called(self, memory: Any) -> None:
        """Another alarm's is not."""
        seen: list[Any] = []
        memory.create()
        memory.service.alarm("a", "DeniedReads")
        memory.service.alarm("b", "RotationErrors", target=seen.append)
        denied(memory)
        assert memory.service.events.flush(30)
        assert seen == []

    def test_a_cancelled_one_does_not_ring(self, memory: Any) -> None:
        """Its name is free again; its state is none."""
        seen: list[Any] = []
        memory.create()
        alarm = memory.service.alarm("a", "DeniedReads", target=seen.append)
        alarm.cancel()
        alarm.cancel()
        denied(memory)
        assert memory.service.events.flush(30)
        assert seen == []
        with pytest.raises(ConfigError, match="cancelled"):
            _ = alarm.state
        memory.service.alarm("a", "DeniedReads", target=seen.append)


class TestWrong:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"metric": "Rotations"}, "RotationErrors"),
            ({"period": 0.5}, "period"),
            ({"period": 86_401}, "period"),
            ({"period": float("nan")}, "period"),
            ({"threshold": -1}, "threshold"),
            ({"threshold": float("nan")}, "threshold"),
            ({"comparison": "LessThanThreshold"}, "none of"),
            ({"target": "nobody"}, "register it first"),
            ({"target": 3}, "cannot be called"),
            ({"name": "taken"}, "already"),
        ],
    )
    def test_is_refused_and_leaves_no_alarm(
        self, memory: Any, given: dict[str, Any], says: str
    ) -> None:
        """Nor a subscriber."""
        memory.service.alarm("taken", "DeniedReads")
        with pytest.raises(ConfigError, match=says):
            memory.service.alarm(**{"name": "new", "metric": "DeniedReads", **given})
        assert not memory.service.events.is_heard
        memory.service.alarm("new", "DeniedReads")


@given(st.integers(0, 9), st.integers(0, 9), st.floats(0, 600))
def test_more_never_calms_an_alarm(total: int, threshold: int, watched: float) -> None:
    """And a sum at the threshold rings, whatever was watched before."""
    rule = AlarmRule("a", "DeniedReads", threshold, 300)
    if rule.state(total, watched) == "ALARM":
        assert rule.state(total + 1, watched) == "ALARM"
    assert (rule.state(total, watched) == "ALARM") is (total >= threshold)
