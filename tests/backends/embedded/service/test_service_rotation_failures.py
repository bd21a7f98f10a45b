"""The ways off a rotation: a step that fails, a cancelling, a version put in its place by hand."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.backends.embedded.service.helpers_rotation import (
    BUSY,
    STEPS,
    Function,
    rotate,
    service_events,
)


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
