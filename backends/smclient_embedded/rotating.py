"""A rotation function for tests: any value, or one made from the current."""

from __future__ import annotations

import json
from typing import Any

from smclient.rotation import RotationFunction
from smclient.rotation.function import Rotation
from smclient.rotation.passwords import PasswordRules


class RotationTo(RotationFunction):
    """Rotates a secret to a given value; nothing is set or tested anywhere.

    Args:
        to: the value, a callable that makes it from the current ``SecretValue``, or ``None`` for
            another password: the field ``password`` of a JSON object, else the whole text.
    """

    def __init__(self, to: Any = None) -> None:
        super().__init__()
        self._to = to

    def new_value(self, rotation: Rotation) -> str | bytes:
        """See ``RotationFunction.new_value``."""
        current = rotation.current()
        if self._to is None:
            made = self._another_password(rotation)
        else:
            made = self._to(current) if callable(self._to) else self._to
        return made if isinstance(made, str | bytes) else json.dumps(made)

    def set_value(self, rotation: Rotation) -> None:
        """Nothing else holds the value."""

    def test_value(self, rotation: Rotation) -> None:
        """It is there. Raises ``RotationStepError`` if not."""
        rotation.the_pending()

    def _another_password(self, rotation: Rotation) -> Any:
        password = rotation.random_password(PasswordRules())
        try:
            fields = json.loads(rotation.current().text or "")
        except ValueError:
            return password
        return {**fields, "password": password} if isinstance(fields, dict) else password
