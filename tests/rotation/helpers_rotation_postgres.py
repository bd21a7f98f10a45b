"""What the tests of ``PostgresSingleUser`` share: the steps, and a function that breaks off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smclient.rotation import PostgresSingleUser

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class Crashing(PostgresSingleUser):
    """Breaks off once, before or after the work of one step."""

    def __init__(self, step: str, when: str) -> None:
        super().__init__()
        self.armed = True
        self._step = step
        self._when = when
        self.calls: list[tuple[str, str]] = []

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        self.calls.append((event["Step"], event["ClientRequestToken"]))
        if self._when == "before":
            self._break(event)
        super().__call__(event, context)
        self._break(event)

    def _break(self, event: Mapping[str, Any]) -> None:
        if self.armed and event["Step"] == self._step:
            self.armed = False
            raise OSError("the machine of the function went away")
