"""Rotation with a function in process: the whole path, and every way off it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.scheduler import LEASE
from smclient_embedded.store.records import RotationJob

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
BUSY = (
    "InvalidRequestException",
    "A previous rotation isn't complete. That rotation will be reattempted.",
)


class Function:
    """A rotation function as AWS's template has it; it can be told to fail, or to leave out what it
    is for, and something can be done in the middle of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails_at: str | None = None
        self.skips: set[str] = set()
        self.before: Callable[[str], object] = lambda step: None
        self.seen: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any], context: Any) -> object:
        step, secret_id, token = event["Step"], event["SecretId"], event["ClientRequestToken"]
        self.calls.append((step, token))
        self.seen.append(event)
        self.before(step)
        if step == self.fails_at:
            raise RuntimeError("the database says: password is canary-9d1")
        if step not in self.skips:
            getattr(self, step)(context.secrets, secret_id, token)
        return {"ignored": True}

    def createSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        stages = {"VersionStages": ["AWSPENDING"], "ClientRequestToken": token}
        request = {"SecretId": secret_id, "SecretString": f"made by {token[:8]}", **stages}
        secrets.call("PutSecretValue", request)

    def setSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        pass

    def testSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        secrets.call(
            "GetSecretValue",
            {"SecretId": secret_id, "VersionId": token, "VersionStage": "AWSPENDING"},
        )

    def finishSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        stages = secrets.describe(secret_id).value.version_stages
        (current,) = (v for v, labels in stages.items() if "AWSCURRENT" in labels)
        secrets.call(
            "UpdateSecretVersionStage",
            {
                "SecretId": secret_id,
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": token,
                "RemoveFromVersionId": current,
            },
        )


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def rotated(world: Any, function: Function) -> Any:
    """A secret, and a function that ``rotate`` uses."""
    world.create()
    world.function_arn = world.service.register_function("rotate", function)
    return world


def rotate(world: Any, name: str = "v1", **more: Any) -> dict[str, Any]:
    more.setdefault("RotationLambdaARN", world.function_arn)
    answer: dict[str, Any] = world(
        "RotateSecret", SecretId="s", ClientRequestToken=world.token(name), **more
    )
    return answer


def service_events(world: Any) -> list[str]:
    """What the service did by itself, in order."""
    return [e["eventName"] for e in world.events() if e["eventType"] == "AwsServiceEvent"]


class TestRotateSecret:
    def test_answers_the_token_and_labels_an_empty_version_at_once(
        self, rotated: Any, function: Function
    ) -> None:
        """The steps have not begun."""
        arn = rotated.describe()["ARN"]
        assert rotate(rotated) == {"ARN": arn, "Name": "s", "VersionId": rotated.token("v1")}
        assert rotated.labels() == {"v0": {"AWSCURRENT"}, "v1": {"AWSPENDING"}}
        assert function.calls == []
        described = rotated.describe()
        assert described["RotationEnabled"] is True
        assert described["RotationLambdaARN"] == rotated.function_arn
        for request in ({"VersionStage": "AWSPENDING"}, {"VersionId": rotated.token("v1")}):
            code, _ = rotated.refused("GetSecretValue", SecretId="s", **request)
            assert code == "ResourceNotFoundException"
        versions = rotated("ListSecretVersionIds", SecretId="s", IncludeDeprecated=True)["Versions"]
        assert len(versions) == 1

    def test_takes_four_steps_and_moves_the_labels(self, rotated: Any, function: Function) -> None:
        """Old value AWSPREVIOUS, new one AWSCURRENT, AWSPENDING gone, the dates set."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 30})
        rotated.clock.advance(60)
        done = rotated.service.run_due()
        arn = rotated.describe()["ARN"]
        assert (done.rotated, done.failed) == ((arn,), ())
        token = rotated.token("v1")
        assert function.calls == [(step, token) for step in STEPS]
        assert all(event["SecretId"] == arn for event in function.seen)
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}
        assert rotated.value() == f"made by {token[:8]}"
        assert rotated.describe()["LastRotatedDate"] == rotated.service._door.now()
        assert service_events(rotated) == ["RotationStarted", "RotationSucceeded"]

    def test_is_done_once(self, rotated: Any, function: Function) -> None:
        """A second pass finds nothing."""
        rotate(rotated)
        rotated.service.run_due()
        assert rotated.service.run_due().rotated == ()
        assert len(function.calls) == 4

    def test_uses_the_stored_settings_the_next_time(self, rotated: Any, function: Function) -> None:
        """Neither function nor rules need be named again."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 30, "Duration": "2h"})
        rotated.service.run_due()
        answer = rotated("RotateSecret", SecretId="s", ClientRequestToken=rotated.token("v2"))
        assert answer["VersionId"] == rotated.token("v2")
        rotated.service.run_due()
        assert rotated.labels() == {"v1": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}
        rules = rotated.describe()["RotationRules"]
        assert rules == {"AutomaticallyAfterDays": 30, "Duration": "2h"}

    def test_without_a_function_is_an_invalid_request(self, world: Any) -> None:
        """And the secret stays as it was."""
        world.create(value=None)
        before = world.describe()
        assert world.refused("RotateSecret", SecretId="s") == (
            "InvalidRequestException",
            "No Lambda rotation function ARN is associated with this secret.",
        )
        assert world.describe() == before

    def test_with_an_unknown_function_is_denied(self, world: Any) -> None:
        """And the secret stays as it was."""
        world.create()
        before = world.describe()
        arn = "arn:aws:lambda:us-east-1:123456789012:function:nope"
        assert world.refused("RotateSecret", SecretId="s", RotationLambdaARN=arn) == (
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function "
            "policy grants access to the principal secretsmanager.amazonaws.com.",
        )
        assert world.describe() == before

    def test_refuses_a_second_one_while_one_runs(self, rotated: Any, function: Function) -> None:
        """Before the steps, after a failure, and from within."""
        rotate(rotated)
        assert rotated.refused("RotateSecret", SecretId="s") == BUSY
        within: list[Any] = []
        function.before = lambda step: within.append(rotated.refused("RotateSecret", SecretId="s"))
        function.fails_at = "testSecret"
        rotated.service.run_due()
        assert within == [BUSY] * 3
        assert rotated.refused("RotateSecret", SecretId="s") == BUSY

    def test_is_taken_with_awspending_on_the_current_version(self, rotated: Any) -> None:
        """As handlers leave it behind; that rotation is complete."""
        rotated.put("v0", "AWSPENDING", value="v0")
        rotate(rotated)
        rotated.service.run_due()
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_of_an_empty_secret_makes_its_first_value(self, world: Any, function: Function) -> None:
        """The function's pending value is not taken for a first value put by hand."""
        world.create(value=None)
        world.function_arn = world.service.register_function("rotate", function)
        function.skips = {"finishSecret"}
        rotate(world)
        world.service.run_due()
        assert world.labels() == {"v1": {"AWSPENDING"}}

    def test_a_function_that_puts_its_value_as_awscurrent_is_no_abandonment(
        self, rotated: Any, function: Function
    ) -> None:
        """Some functions move both labels in createSecret; the rotation goes on."""

        def create(secrets: Any, secret_id: str, token: str) -> None:
            stages = {"VersionStages": ["AWSPENDING", "AWSCURRENT"], "ClientRequestToken": token}
            request = {"SecretId": secret_id, "SecretString": "new", **stages}
            secrets.call("PutSecretValue", request)

        function.createSecret = create  # type: ignore[method-assign]
        function.skips = {"finishSecret"}
        rotate(rotated)
        assert rotated.service.run_due().failed == ()
        assert len(function.calls) == 4
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}
        assert "RotationAbandoned" not in service_events(rotated)


class TestAFailure:
    @pytest.mark.parametrize("step", STEPS)
    def test_leaves_awscurrent_and_tries_all_steps_again_with_the_same_token(
        self, rotated: Any, function: Function, step: str
    ) -> None:
        """Not at once, but after two minutes; then it succeeds."""
        rotate(rotated)
        function.fails_at = step
        done = rotated.service.run_due()
        assert (done.rotated, len(done.failed)) == ((), 1)
        assert function.calls[-1][0] == step
        assert rotated.value() == "v0"
        assert rotated.labels() == {"v0": {"AWSCURRENT"}, "v1": {"AWSPENDING"}}
        assert "LastRotatedDate" not in rotated.describe()
        function.fails_at = None
        function.calls.clear()
        rotated.clock.advance(119)
        assert rotated.service.run_due().rotated == ()
        assert function.calls == []
        rotated.clock.advance(1)
        assert len(rotated.service.run_due().rotated) == 1
        assert function.calls == [(s, rotated.token("v1")) for s in STEPS]
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}
        events = ["RotationStarted", "RotationFailed", "RotationSucceeded"]
        assert service_events(rotated) == events

    def test_keeps_what_the_function_said_to_itself(
        self, rotated: Any, function: Function, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its words may hold anything; step and class are told."""
        rotate(rotated)
        function.fails_at = "setSecret"
        rotated.service.run_due()
        failed = rotated.events("RotationFailed")[-1]
        assert failed["additionalEventData"]["FailureReason"] == "setSecret: RuntimeError"
        assert "canary-9d1" not in json.dumps(rotated.events())
        assert "canary-9d1" not in caplog.text

    def test_is_what_it_is_if_awscurrent_was_not_moved(
        self, rotated: Any, function: Function
    ) -> None:
        """A function that returns without doing its work."""
        rotate(rotated)
        function.skips = {"finishSecret"}
        assert len(rotated.service.run_due().failed) == 1
        assert rotated.value() == "v0"
        reason = rotated.events("RotationFailed")[-1]["additionalEventData"]["FailureReason"]
        assert reason == "finishSecret: AWSCURRENT was not moved"

    def test_comes_again_ever_more_seldom_up_to_an_hour(
        self, rotated: Any, function: Function
    ) -> None:
        """For as long as it takes: sixty attempts later it is still tried each hour."""
        rotate(rotated)
        function.fails_at = "createSecret"
        moments = []
        for _ in range(60):
            while not rotated.service.run_due().failed:
                rotated.clock.advance(60)
            moments.append(rotated.clock.now())
        waits = [
            (later - earlier).total_seconds() / 60 for earlier, later in itertools.pairwise(moments)
        ]
        assert waits[:6] == [2, 4, 8, 16, 32, 60]
        assert set(waits[5:]) == {60}

    def test_of_one_does_not_stop_another(self, rotated: Any, function: Function) -> None:
        """Each job on its own."""
        rotated.create("t")
        rotate(rotated)
        rotated(
            "RotateSecret",
            SecretId="t",
            ClientRequestToken=rotated.token("v1"),
            RotationLambdaARN=rotated.service.register_function("fine", Function()),
        )
        function.fails_at = "createSecret"
        done = rotated.service.run_due()
        assert (len(done.rotated), len(done.failed)) == (1, 1)
        assert rotated.labels("t") == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}


class TestCancelling:
    def test_turns_rotation_off_and_leaves_the_labels(
        self, rotated: Any, function: Function
    ) -> None:
        """The answer names the unfinished version; nothing runs any more."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 30})
        arn = rotated.describe()["ARN"]
        answer = rotated("CancelRotateSecret", SecretId="s")
        assert answer == {"ARN": arn, "Name": "s", "VersionId": rotated.token("v1")}
        described = rotated.describe()
        assert described["RotationEnabled"] is False
        assert "NextRotationDate" not in described
        assert described["RotationLambdaARN"] == rotated.function_arn
        assert rotated.labels() == {"v0": {"AWSCURRENT"}, "v1": {"AWSPENDING"}}
        rotated.clock.advance(days=60)
        rotated.service.run_due()
        assert function.calls == []

    def test_asks_for_awspending_to_be_removed_before_the_next_rotation(self, rotated: Any) -> None:
        """As AWS documents it."""
        rotate(rotated)
        rotated("CancelRotateSecret", SecretId="s")
        assert rotated.refused("RotateSecret", SecretId="s") == BUSY
        rotated.move("AWSPENDING", of="v1")
        rotate(rotated, "v2")
        rotated.service.run_due()
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}

    def test_what_was_never_rotated_succeeds(self, world: Any) -> None:
        """And turns nothing on or off."""
        arn = world.create()
        assert world("CancelRotateSecret", SecretId="s") == {"ARN": arn, "Name": "s"}
        assert "RotationEnabled" not in world.describe()

    def test_from_within_a_step_ends_it_there(self, rotated: Any, function: Function) -> None:
        """What the function does later is not counted as a rotation."""
        rotate(rotated)

        def cancel(step: str) -> None:
            if step == "testSecret":
                rotated("CancelRotateSecret", SecretId="s")

        function.before = cancel
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        assert "LastRotatedDate" not in rotated.describe()
        assert rotated.describe()["RotationEnabled"] is False


class TestAbandonment:
    @pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecret"])
    def test_by_a_value_made_current_by_hand(
        self, rotated: Any, function: Function, operation: str
    ) -> None:
        """AWSPENDING goes, the steps do not run, and the next rotation is taken."""
        rotate(rotated)
        token = rotated.token("hand")
        rotated(operation, SecretId="s", SecretString="by hand", ClientRequestToken=token)
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "hand": {"AWSCURRENT"}}
        rotated.clock.advance(days=1)
        rotated.service.run_due()
        assert function.calls == []
        assert service_events(rotated) == ["RotationAbandoned"]
        rotate(rotated, "v2")
        rotated.service.run_due()
        assert rotated.labels() == {"hand": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}

    def test_also_on_a_secret_without_rotation(self, world: Any) -> None:
        """As recorded: AWSPENDING on another version is enough."""
        arn = world.create()
        world.put("v1", "AWSPENDING")
        world.put("v2")
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}
        (event,) = world.events("RotationAbandoned")
        assert event["additionalEventData"] == {"SecretId": arn}

    def test_by_awspending_put_on_another_version(self, rotated: Any, function: Function) -> None:
        """Off an existing version it moves."""
        rotate(rotated)
        rotated.put("hand", "AWSPENDING")
        assert rotated.labels() == {"v0": {"AWSCURRENT"}, "hand": {"AWSPENDING"}}
        assert service_events(rotated) == ["RotationAbandoned"]
        rotated.service.run_due()
        assert function.calls == []
        assert service_events(rotated) == ["RotationAbandoned"]

    def test_by_awspending_taken_away(self, rotated: Any, function: Function) -> None:
        """A rotation that is not under way by its label is not tried again."""
        rotate(rotated)
        function.fails_at = "setSecret"
        rotated.service.run_due()
        rotated.move("AWSPENDING", of="v1")
        function.calls.clear()
        rotated.clock.advance(days=1)
        done = rotated.service.run_due()
        assert (done.rotated, done.failed, function.calls) == ((), (), [])
        assert service_events(rotated)[-1] == "RotationAbandoned"
        function.fails_at = None
        rotate(rotated, "v2")
        assert len(rotated.service.run_due().rotated) == 1
        assert rotated.value() == f"made by {rotated.token('v2')[:8]}"

    def test_in_the_middle_of_the_steps_wins_over_the_function(
        self, rotated: Any, function: Function
    ) -> None:
        """The value by hand stays current."""
        rotate(rotated)
        function.skips = {"testSecret", "finishSecret"}
        function.before = lambda step: step == "testSecret" and rotated.put("hand")
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        assert rotated.value() == "hand"
        assert "LastRotatedDate" not in rotated.describe()

    @pytest.mark.parametrize("stages", [("BLUE",), ("AWSCURRENT",)])
    def test_not_by_other_labels_nor_by_a_replay(
        self, rotated: Any, function: Function, stages: tuple[str, ...]
    ) -> None:
        """The current version with its own label again changes nothing."""
        rotate(rotated)
        version = "v0" if stages == ("AWSCURRENT",) else "other"
        rotated.put(version, *stages)
        rotated.service.run_due()
        assert len(function.calls) == 4


class TestATestRun:
    def test_calls_test_secret_alone_and_moves_no_label(
        self, rotated: Any, function: Function
    ) -> None:
        """RotateImmediately=false: a version with a copy of the value, left without a label."""
        rotate(rotated, RotateImmediately=False, RotationRules={"AutomaticallyAfterDays": 30})
        token = rotated.token("v1")
        seen: list[str] = []
        function.before = lambda step: seen.append(rotated.value(VersionStage="AWSPENDING"))
        assert rotated.labels() == {"v0": {"AWSCURRENT"}, "v1": {"AWSPENDING"}}
        rotated.service.run_due()
        assert function.calls == [("testSecret", token)]
        assert seen == ["v0"]
        assert rotated.labels() == {"v0": {"AWSCURRENT"}}
        assert rotated.value(VersionId=token) == "v0"
        described = rotated.describe()
        assert described["RotationEnabled"] is True
        assert "NextRotationDate" in described
        assert "LastRotatedDate" not in described
        assert service_events(rotated) == ["TestRotationStarted", "TestRotationSucceeded"]

    def test_copies_bytes_as_bytes(self, world: Any, function: Function) -> None:
        """The kind of the value goes with it."""
        world("CreateSecret", Name="s", SecretBinary=b"\0\xff")
        world.function_arn = world.service.register_function("rotate", function)
        rotate(world, RotateImmediately=False)
        copy = world("GetSecretValue", SecretId="s", VersionId=world.token("v1"))
        assert copy["SecretBinary"] == b"\0\xff"

    def test_that_fails_says_so(self, rotated: Any, function: Function) -> None:
        """And is tried again."""
        rotate(rotated, RotateImmediately=False)
        function.fails_at = "testSecret"
        rotated.service.run_due()
        function.fails_at = None
        rotated.clock.advance(120)
        rotated.service.run_due()
        assert service_events(rotated) == [
            "TestRotationStarted",
            "TestRotationFailed",
            "TestRotationSucceeded",
        ]
        assert rotated.labels() == {"v0": {"AWSCURRENT"}}


class TestSchedules:
    def test_in_days_come_at_the_end_of_the_day(self, rotated: Any) -> None:
        """23:59:59 UTC of the day 30 days later, shown at once."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 30})
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)
        assert described["RotationRules"] == {"AutomaticallyAfterDays": 30}

    def test_of_cron_show_the_last_second_of_the_window_and_the_days_until_it(
        self, rotated: Any
    ) -> None:
        """7 on 24 September for 1 October, as recorded."""
        cron = {"ScheduleExpression": "cron(0 0 1 * ? *)", "Duration": "1h"}
        rotate(rotated, RotationRules=cron)
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 1, 0, 59, 59, tzinfo=UTC)
        assert described["RotationRules"] == {**cron, "AutomaticallyAfterDays": 7}

    def test_worked_out_days_are_not_taken_for_given_ones(self, rotated: Any) -> None:
        """The next rotation keeps the cron; other rules take its place."""
        rotate(rotated, RotationRules={"ScheduleExpression": "cron(0 8 1 * ? *)"})
        rotated.service.run_due()
        rotate(rotated, "v2")
        rotated.service.run_due()
        rules = rotated.describe()["RotationRules"]
        assert rules["ScheduleExpression"] == "cron(0 8 1 * ? *)"
        rotate(rotated, "v3", RotationRules={"AutomaticallyAfterDays": 9})
        assert rotated.describe()["RotationRules"] == {"AutomaticallyAfterDays": 9}

    def test_are_shown_in_a_list_too(self, rotated: Any) -> None:
        """The same members as DescribeSecret's."""
        rotate(rotated, RotationRules={"ScheduleExpression": "rate(10 days)"})
        described = rotated.describe()
        (entry,) = rotated("ListSecrets")["SecretList"]
        for member in ("RotationEnabled", "RotationLambdaARN", "RotationRules", "NextRotationDate"):
            assert entry[member] == described[member]

    @pytest.mark.parametrize(
        ("rules", "code", "text"),
        [
            (
                {"AutomaticallyAfterDays": 3, "ScheduleExpression": "rate(3 days)"},
                "InvalidParameterException",
                "You cannot specify both rotation frequency and schedule expression together.",
            ),
            ({"AutomaticallyAfterDays": 0}, "ValidationException", None),
            ({"AutomaticallyAfterDays": 1001}, "ValidationException", None),
            ({"ScheduleExpression": "rate(3 hours)"}, "InvalidParameterException", None),
            ({"ScheduleExpression": "every day"}, "InvalidParameterException", None),
            ({"ScheduleExpression": "cron(0 0 1 * ? *) # x\n"}, "ValidationException", None),
            ({"ScheduleExpression": ""}, "ValidationException", None),
            ({"AutomaticallyAfterDays": 3, "Duration": "25h"}, "InvalidParameterException", None),
            ({"AutomaticallyAfterDays": 3, "Duration": "2d"}, "ValidationException", None),
        ],
    )
    def test_that_are_none_are_refused_and_nothing_is_stored(
        self, rotated: Any, rules: dict[str, Any], code: str, text: str | None
    ) -> None:
        """Neither settings nor label."""
        before = rotated.describe()
        refused = rotated.refused(
            "RotateSecret",
            SecretId="s",
            RotationLambdaARN=rotated.function_arn,
            RotationRules=rules,
        )
        assert refused[0] == code
        assert text in (None, refused[1])
        assert rotated.describe() == before

    def test_run_when_due_and_not_before(self, rotated: Any, function: Function) -> None:
        """From the start of the window on, with a token of their own; then comes the next."""
        rotate(rotated, RotationRules={"ScheduleExpression": "rate(10 days)"})
        rotated.service.run_due()
        function.calls.clear()
        due = datetime(2026, 10, 4, tzinfo=UTC)
        rotated.clock.advance((due - rotated.clock.now()).total_seconds() - 1)
        assert rotated.service.run_due().rotated == ()
        rotated.clock.advance(1)
        assert len(rotated.service.run_due().rotated) == 1
        assert [step for step, _ in function.calls] == list(STEPS)
        assert function.calls[0][1] != rotated.token("v1")
        assert rotated.service.run_due().rotated == ()
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 14, 23, 59, 59, tzinfo=UTC)
        assert described["LastRotatedDate"] == due

    def test_a_value_changed_by_hand_counts_as_a_rotation_for_the_next_date(
        self, rotated: Any
    ) -> None:
        """And is not one: LastRotatedDate stays away."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 10}, RotateImmediately=False)
        rotated.service.run_due()
        rotated.clock.advance(days=5)
        rotated.put("hand")
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 9, 23, 59, 59, tzinfo=UTC)
        assert "LastRotatedDate" not in described

    def test_a_pending_value_changes_no_date(self, rotated: Any) -> None:
        """Only what becomes current does."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 10})
        before = rotated.describe()["NextRotationDate"]
        rotated.clock.advance(days=5)
        rotated.put("hand", "BLUE")
        assert rotated.describe()["NextRotationDate"] == before

    def test_do_not_run_once_cancelled(self, rotated: Any, function: Function) -> None:
        """Whatever time passes."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 1})
        rotated.service.run_due()
        rotated("CancelRotateSecret", SecretId="s")
        rotated.clock.advance(days=30)
        assert rotated.service.run_due().rotated == ()


def job_of(world: Any) -> RotationJob | None:
    with world.service._store.transaction(write=False) as tx:
        job: RotationJob | None = tx.rotation_job(world.describe()["ARN"])
        return job


class TestFences:
    def test_who_lost_the_job_writes_nothing(self, rotated: Any, function: Function) -> None:
        """Another node claimed it while the function ran past the lease."""
        rotate(rotated)

        def lose_it(step: str) -> None:
            if step == "finishSecret":
                rotated.clock.advance(hours=1)
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    claimed = tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )
                    assert len(claimed) == 1

        function.before = lose_it
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        job = job_of(rotated)
        assert job is not None
        assert (job.owner, job.attempts) == ("other", 1)
        assert "LastRotatedDate" not in rotated.describe()
        assert service_events(rotated) == ["RotationStarted"]

    def test_a_later_rotation_is_not_taken_for_the_one_that_was_cancelled(
        self, rotated: Any, function: Function
    ) -> None:
        """The fences of two jobs may be equal; their tokens are not."""
        rotate(rotated)

        def replaced(step: str) -> None:
            if step == "createSecret":
                rotated("CancelRotateSecret", SecretId="s")
                rotated.move("AWSPENDING", of="v1")
                rotate(rotated, "v2")
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )

        function.before = replaced
        function.skips = {"createSecret"}
        function.fails_at = "setSecret"
        assert rotated.service.run_due().failed == ()
        job = job_of(rotated)
        assert job is not None
        assert (job.token, job.owner, job.attempts) == (rotated.token("v2"), "other", 0)

    def test_a_job_cancelled_before_its_turn_is_not_begun(
        self, rotated: Any, function: Function
    ) -> None:
        """One pass claims many; the function of the first cancels the second."""
        rotated.create("t")
        rotate(rotated)
        rotated.clock.advance(1)
        second = Function()
        rotated(
            "RotateSecret",
            SecretId="t",
            ClientRequestToken=rotated.token("v1"),
            RotationLambdaARN=rotated.service.register_function("second", second),
        )
        function.before = lambda step: rotated("CancelRotateSecret", SecretId="t")
        rotated.service.run_due()
        assert len(function.calls) == 4
        assert second.calls == []

    def test_a_job_whose_lease_ran_out_before_its_turn_is_left_to_who_took_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Claimed in one batch, but the first function took an hour."""
        rotated.create("t")
        rotate(rotated)
        rotated.clock.advance(1)
        second = Function()
        rotated(
            "RotateSecret",
            SecretId="t",
            ClientRequestToken=rotated.token("v1"),
            RotationLambdaARN=rotated.service.register_function("second", second),
        )

        def slow(step: str) -> None:
            if step == "finishSecret":
                rotated.clock.advance(hours=1)
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )

        function.before = slow
        rotated.service.run_due()
        assert second.calls == []

    def test_a_lease_counts_from_each_step(self, rotated: Any, function: Function) -> None:
        """Fifty seconds for each: longer than the lease together, and nobody takes the job."""
        rotate(rotated)
        stolen: list[Any] = []

        def slow(step: str) -> None:
            rotated.clock.advance(50)
            now = rotated.service._door.now()
            with rotated.service._store.transaction(write=True) as tx:
                stolen.extend(
                    tx.claim_rotation_jobs(now, owner="other", leased_until=now + LEASE, limit=9)
                )

        function.before = slow
        assert len(rotated.service.run_due().rotated) == 1
        assert stolen == []

    def test_the_job_of_a_deleted_secret_goes_with_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Before its turn and in the middle."""
        rotate(rotated)
        rotated("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        rotated.service.run_due()
        assert function.calls == []
        rotated.create()
        rotate(rotated)
        function.before = lambda step: (
            step == "setSecret"
            and rotated("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        )
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        rotated.clock.advance(days=1)
        function.calls.clear()
        rotated.service.run_due()
        assert function.calls == []

    def test_the_job_of_a_secret_that_waits_for_its_deletion_waits_with_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Restored, the rotation goes on."""
        rotate(rotated)
        rotated("DeleteSecret", SecretId="s")
        done = rotated.service.run_due()
        assert (done.rotated, done.failed, function.calls) == ((), (), [])
        rotated("RestoreSecret", SecretId="s")
        rotated.clock.advance(hours=1)
        assert len(rotated.service.run_due().rotated) == 1
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_two_services_on_one_file_run_each_rotation_once(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """Also when the second looks while the first one's function runs."""
        url = f"embedded://{tmp_path}/s.db"
        first, second = make(url), make(url)
        function = Function()
        for world in (first, second):
            world.function_arn = world.service.register_function("rotate", function)
        rules = {"RotationRules": {"ScheduleExpression": "rate(10 days)"}}
        for name in ("s", "t", "u"):
            first.create(name)
            first(
                "RotateSecret",
                SecretId=name,
                ClientRequestToken=first.token("v1"),
                RotationLambdaARN=first.function_arn,
                **rules,
            )
        rotated: list[str] = []
        function.before = lambda step: rotated.extend(second.service.run_due().rotated)
        rotated.extend(first.service.run_due().rotated)
        assert sorted(rotated) == sorted(first.describe(name)["ARN"] for name in ("s", "t", "u"))
        assert len(function.calls) == 12
        function.calls.clear()
        rotated.clear()
        function.before = lambda step: rotated.extend(first.service.run_due().rotated)
        first.clock.advance(days=10)
        rotated.extend(second.service.run_due().rotated)
        assert len(rotated) == len(set(rotated)) == 3
        assert len(function.calls) == 12

    def test_a_crashed_nodes_job_is_taken_over_when_its_lease_ends(
        self, rotated: Any, function: Function
    ) -> None:
        """With the same token; it need not be told of a second time that it started."""
        rotate(rotated)
        now = rotated.service._door.now()
        with rotated.service._store.transaction(write=True) as tx:
            tx.claim_rotation_jobs(now, owner="crashed", leased_until=now + LEASE, limit=9)
        assert rotated.service.run_due().rotated == ()
        rotated.clock.advance(LEASE.total_seconds())
        assert len(rotated.service.run_due().rotated) == 1
        assert {token for _, token in function.calls} == {rotated.token("v1")}


class TestFunctions:
    def test_act_under_their_role(self, rotated: Any, function: Function) -> None:
        """A user who may nothing is refused in createSecret; the rotation fails."""
        user = rotated.service.create_principal("rotator")
        rotated.function_arn = rotated.service.register_function("poor", function, role=user)
        rotate(rotated)
        rotated.service.run_due()
        reason = rotated.events("RotationFailed")[-1]["additionalEventData"]["FailureReason"]
        assert reason == "createSecret: AccessDeniedError"
        denied = [e for e in rotated.events("PutSecretValue") if "errorCode" in e]
        assert denied[-1]["userIdentity"]["arn"] == user

    def test_get_lambdas_names_in_their_context(self, world: Any) -> None:
        """function_name and invoked_function_arn."""
        seen: list[tuple[str, str]] = []
        world.create()
        world.function_arn = world.service.register_function(
            "mine",
            lambda event, context: seen.append(
                (context.function_name, context.invoked_function_arn)
            ),
        )
        assert world.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:mine"
        rotate(world)
        world.service.run_due()
        assert set(seen) == {("mine", world.function_arn)}

    def test_that_cannot_be_called_are_refused(self, memory: Any) -> None:
        """When they are registered."""
        from smclient.errors import ConfigError

        with pytest.raises(ConfigError, match="cannot be called"):
            memory.service.register_function("x", "not a function")

    def test_that_are_gone_make_the_rotation_fail(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """The next process did not register it: it is tried again later."""
        url = f"embedded://{tmp_path}/s.db"
        first = make(url)
        first.create()
        first.function_arn = first.service.register_function("rotate", Function())
        rotate(first)
        second = make(url)
        assert len(second.service.run_due().failed) == 1
        first.clock.advance(minutes=2)
        assert len(first.service.run_due().rotated) == 1

    def test_a_put_of_another_value_under_the_token_is_refused(
        self, rotated: Any, function: Function
    ) -> None:
        """A second attempt may not change what the first one made."""
        rotate(rotated)
        function.fails_at = "setSecret"
        rotated.service.run_due()
        code, _ = rotated.refused(
            "PutSecretValue",
            SecretId="s",
            SecretString="another",
            ClientRequestToken=rotated.token("v1"),
            VersionStages=["AWSPENDING"],
        )
        assert code == "ResourceExistsException"


def test_a_version_that_a_rotation_made_keeps_its_date_when_it_is_filled(
    rotated: Any, function: Function
) -> None:
    """CreatedDate is fixed."""
    rotate(rotated)
    began = rotated.service._door.now()
    rotated.clock.advance(60)
    rotated.service.run_due()
    assert rotated("GetSecretValue", SecretId="s")["CreatedDate"] == began
