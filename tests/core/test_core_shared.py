"""The client of the process: one for the same settings, and never a closed one."""

from __future__ import annotations

import os
import threading

import pytest

from smclient import UnknownSettingError, shared
from smclient.shared import default_client


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SMCLIENT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")


def test_the_same_settings_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they come from; others make another."""
    monkeypatch.setenv("SMCLIENT_TTL", "7")
    assert default_client() is default_client(backend="null://", ttl=7.0)
    assert default_client(ttl=None) is default_client()
    assert default_client() is not default_client(ttl=8)
    monkeypatch.setenv("SMCLIENT_TLL", "7")
    with pytest.raises(UnknownSettingError, match="SMCLIENT_TTL"):
        default_client()


def test_a_closed_client_is_given_to_nobody() -> None:
    """Whoever closed it, the next gets a new one."""
    first = default_client(ttl=11)
    first.close()
    second = default_client(ttl=11)
    assert second is not first
    assert second.resolve("secret://any#key") == "smclient-null-placeholder"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_has_it_too_though_a_thread_was_making_one() -> None:
    """The lock that was held at the fork is a new one in the child."""
    held = default_client(ttl=12)
    with shared._clients._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if default_client(ttl=12) is held else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_that_ask_at_once_get_one() -> None:
    """Not one each."""
    gate, found = threading.Barrier(8), []

    def ask() -> None:
        gate.wait(10)
        found.append(default_client(ttl=13))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1
