"""Rotation with a function in process: the whole path, and a test run, which moves no label."""

from __future__ import annotations

from typing import Any

from tests.backends.embedded.service.helpers_rotation import (
    BUSY,
    STEPS,
    Function,
    rotate,
    service_events,
)


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

    def test_that_fails_says_so_once(self, rotated: Any, function: Function) -> None:
        """It is not tried again, and its version is in nobody's way: the real rotation is taken."""
        rotate(rotated, RotateImmediately=False)
        function.fails_at = "testSecret"
        rotated.service.run_due()
        assert rotated.labels() == {"v0": {"AWSCURRENT"}}
        rotated.clock.advance(120)
        assert rotated.service.run_due().failed == ()
        assert service_events(rotated) == ["TestRotationStarted", "TestRotationFailed"]
        function.fails_at = None
        rotate(rotated, "v2")
        rotated.service.run_due()
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}


def test_a_version_that_a_rotation_made_keeps_its_date_when_it_is_filled(
    rotated: Any, function: Function
) -> None:
    """CreatedDate is fixed."""
    rotate(rotated)
    began = rotated.service._door.now()
    rotated.clock.advance(60)
    rotated.service.run_due()
    assert rotated("GetSecretValue", SecretId="s")["CreatedDate"] == began
