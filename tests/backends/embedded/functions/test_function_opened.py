"""When the code of a function is opened: its package may be megabytes, sealed."""

from __future__ import annotations

from typing import Any

import pytest

from smclient_embedded.functions.kept import KeptFunctions
from tests.backends.embedded.functions.conftest import ROTATES


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ARN of each function that was opened."""
    seen: list[str] = []
    find = KeptFunctions.find

    def counted(kept: KeptFunctions, arn: str) -> Any:
        seen.append(arn)
        return find(kept, arn)

    monkeypatch.setattr(KeptFunctions, "find", counted)
    return seen


def test_once_for_the_four_steps_of_a_rotation(workshop: Any, opened: list[str]) -> None:
    """Its process is kept warm between them."""
    workshop.secret()
    arn = workshop.function(ROTATES)
    assert len(workshop.rotate(arn).rotated) == 1
    assert opened == [arn]


def test_again_when_it_was_changed(workshop: Any, opened: list[str]) -> None:
    """The warm process has other code."""
    workshop.function("def lambda_handler(event, context):\n    return 1")
    assert workshop.run() == 1
    workshop.function("def lambda_handler(event, context):\n    return 2")
    assert workshop.run() == 2
    assert len(opened) == 2


def test_never_for_a_log(workshop: Any, opened: list[str]) -> None:
    """Of this function or of others."""
    workshop.function("def lambda_handler(event, context):\n    print('said')")
    workshop.function("def lambda_handler(event, context):\n    pass", name="other")
    workshop.run()
    opened.clear()
    assert "said" in workshop.service.function_log("f")
    assert opened == []
