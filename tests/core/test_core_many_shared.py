"""Reads of many that share a call, and what they get where it fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from smclient import SecretsClient
from smclient.testing import Call, FakeBackend, FakeClock

WAIT = 20


@pytest.mark.parametrize("how", ["preload", "get_many", "get"])
def test_a_fault_of_the_backend_is_raised_for_all_who_share_the_call(
    how: str, backend: FakeBackend, clock: FakeClock
) -> None:
    """It is none of the client's errors, and no value."""
    backend.put("a", "1")
    backend.put("b", "2")
    begun, go = threading.Event(), threading.Event()

    def fail(call: Call) -> None:
        begun.set()
        assert go.wait(WAIT)
        raise OSError("a fault of a backend")

    backend.before = fail
    with SecretsClient(backend, clock=clock) as client, ThreadPoolExecutor(2) as pool:
        leading = pool.submit(client.get_many, ["a", "b"])
        assert begun.wait(WAIT)
        asked = "b" if how == "get" else ["b"]
        joining = pool.submit(getattr(client, how), asked)
        go.set()
        for each in (leading, joining):
            with pytest.raises(OSError, match="a fault of a backend"):
                each.result(WAIT)
