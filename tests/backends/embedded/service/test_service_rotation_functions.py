"""What a rotation function is given, what it may do, and what happens where it is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backends.embedded.service.helpers_rotation import Function, rotate


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
        """The next process did not register it, nor does another for a while: tried again later."""
        url = f"embedded://{tmp_path}/s.db"
        first = make(url)
        first.create()
        first.function_arn = first.service.register_function("rotate", Function())
        rotate(first)
        second = make(url)
        assert second.service.run_due().failed == ()
        second.clock.advance(minutes=10)
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
