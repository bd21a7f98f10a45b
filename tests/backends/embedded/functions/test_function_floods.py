"""A function that writes without end: its time limit and its answer hold all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from smclient.errors import FunctionFailedError
from smclient_embedded.functions import child

FLOODS = """
    import os, threading

    def flood():
        while True:
            os.write(1, b"x" * 65536)

    def lambda_handler(event, context):
        if event.get("and_goes_on"):
            threading.Thread(target=flood, daemon=True).start()
            return "answered"
        flood()
"""
FULL = b"x" * 65536


def test_its_time_limit_ends_it(workshop: Any) -> None:
    """Though there is always something to read."""
    workshop.function(FLOODS, timeout=0.5)
    assert workshop.failure().kind == "Sandbox.Timedout"


def test_its_answer_is_taken(workshop: Any) -> None:
    """What a thread of its still writes is not waited for."""
    workshop.function(FLOODS, timeout=30)
    assert workshop.run({"and_goes_on": True}) == "answered"


class Refilled:
    """A log whose pipe is full again as soon as it was read. Each time costs a second."""

    def __init__(self, output: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.turns = 0
        self._output = output
        monkeypatch.setattr(child.time, "monotonic", lambda: float(self.turns))

    def write(self, content: bytes) -> None:
        self.turns += 1
        assert self.turns < 50, "it reads without end"
        os.write(self._output, content)


class Pipes:
    """The service's ends of three pipes, and the function's of two."""

    def __init__(self) -> None:
        self.orders_end, self.orders = os.pipe()
        self.results, self.answers = os.pipe()
        self.output, self.writes = os.pipe()
        os.write(self.writes, FULL)

    def talk(self, log: Any) -> Any:
        return child._Talk(self.orders, self.results, self.output, log)

    def close(self) -> None:
        for descriptor in vars(self).values():
            os.close(descriptor)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


def test_time_passes_though_a_pipe_is_never_empty(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Refilled(pipes.writes, monkeypatch)
    with pytest.raises(FunctionFailedError, match="Sandbox.Timedout: it ran longer than 7 seconds"):
        pipes.talk(log).answer(7, "Sandbox.Timedout", "it ran longer")
    assert log.turns == 7


def test_an_answer_is_taken_though_a_pipe_is_never_empty(
    pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as much as was in the pipe before it."""
    os.write(pipes.answers, b'{"ok": "1"}\n')
    log = Refilled(pipes.writes, monkeypatch)
    assert pipes.talk(log).answer(7, "Sandbox.Timedout", "it ran longer") == {"ok": "1"}
    assert log.turns <= 2
