"""One endpoint lets all processes of functions in, however many begin at once."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from smclient.errors import FunctionFailedError
from smclient_embedded.functions import ChildFunction
from smclient_embedded.functions.session import Session
from smclient_embedded.http import loopback


def test_four_that_begin_at_once_share_it(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that were handed out are found again, whoever asked first."""
    together = threading.Barrier(4)
    made: list[object] = []

    class Counted(loopback.Loopback):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(0.2)  # where they are made at once, they meet here

    monkeypatch.setattr(loopback, "Loopback", Counted)
    workshop.function("def lambda_handler(event, context):\n    return event['n']")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(workshop.run, {"n": number}) for number in range(4)]
        assert [one.result() for one in asked] == [0, 1, 2, 3]
    assert len(made) == 1


def test_keys_that_are_not_known_are_no_reason_to_grant_less(workshop: Any) -> None:
    """Silence would make the function fail for another reason, later."""
    function = ChildFunction(
        arn="arn:aws:lambda:us-east-1:123456789012:function:f",
        name="f",
        package=b"",
        handler="a.b",
        python="python",
        environment={},
        role=None,
        role_policy=None,
    )
    session = Session("http://127.0.0.1:1", "ASIAUNKNOWN", "", "", ends_at=0.0)
    with pytest.raises(FunctionFailedError, match="keys"):
        workshop.service._functions._reception.expect(session, function, {})
