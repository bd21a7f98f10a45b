"""Keeping memory out of core dumps, seen from a process that asked for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from smclient.hardening import NO_CORE_DUMPS, NOT_TRACEABLE, harden_process

LOOK = """
import ctypes, os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
from smclient import harden_process
print(harden_process())
print(resource.getrlimit(resource.RLIMIT_CORE))
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
child = os.fork()
if not child:
    os.abort()
print(os.WCOREDUMP(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has both measures")
def test_on_linux_nothing_is_dumped_and_nobody_attaches() -> None:
    """Not of a child either; asked of the kernel, not of ourselves."""
    told = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [str((NO_CORE_DUMPS, NOT_TRACEABLE)), "(0, 0)", "0", "False"]


def test_where_a_platform_has_neither_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows; no error, since it is best effort."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert harden_process() == ()
