"""A rotation whose window is held open, of a secret in a service of this process: what the demo and
the proof have in common."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from smclient import InvalidRequestError, SecretsClient
from smclient.rotation import Rotation, RotationFunction
from smclient_embedded import EmbeddedService


class Held(RotationFunction):
    """Another function whose testSecret takes ``hold`` seconds, so that the window between
    setSecret and finishSecret stays open as long: until it closes, the database of a single user
    takes the pending password only, and every fresh read of AWSCURRENT is wrong.

    Attributes:
        windows: seconds for which each was open.
        after_step: called after each step.
    """

    def __init__(self, function: RotationFunction, hold: float) -> None:
        super().__init__()
        self._function = function
        self._hold = hold
        self.after_step: Callable[[], object] = lambda: None
        self.windows: list[float] = []

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        """Do one step."""
        super().__call__(event, context)
        self.after_step()

    def new_value(self, rotation: Rotation) -> Mapping[str, Any] | str | bytes:
        """The function's."""
        return self._function.new_value(rotation)

    def set_value(self, rotation: Rotation) -> None:
        """The function's."""
        self._function.set_value(rotation)

    def test_value(self, rotation: Rotation) -> None:
        """The function's, twice, ``hold`` seconds apart."""
        began = time.monotonic()
        self._function.test_value(rotation)
        time.sleep(self._hold)
        self._function.test_value(rotation)
        self.windows.append(time.monotonic() - began)


class RotatedService:
    """A service with a function, and its administrator."""

    def __init__(self, service: EmbeddedService, function: Held) -> None:
        self.service = service
        self.function = function
        self.admin = SecretsClient(service.backend())
        self._function_arn = service.register_function("held", function)

    def create(self, name: str, value: Mapping[str, Any]) -> str:
        """Make a secret; its ARN."""
        answer = self.admin.call("CreateSecret", Name=name, SecretString=json.dumps(value))
        return str(answer["ARN"])

    def begin(self, secret_id: str) -> bool:
        """RotateSecret; whether it was taken. It is not while an earlier rotation has not ended."""
        try:
            self.admin.call(
                "RotateSecret",
                SecretId=secret_id,
                RotationLambdaARN=self._function_arn,
                RotationRules={"AutomaticallyAfterDays": 30},
            )
        except InvalidRequestError:
            return False
        return True

    def run_due(self) -> bool:
        """Run the rotation that is due; whether one ended."""
        return bool(self.service.run_due().rotated)

    def close(self) -> None:
        """Close the service; the server is the caller's."""
        self.admin.close()
        self.service.close()
