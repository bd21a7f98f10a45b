"""``agent://``: connections that are kept, replaced, shared, closed and not inherited."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from smclient.agent import AgentBackend
from smclient.backend import Backend
from smclient.secret import SecretRef
from tests.core.agent.helpers_agent import VALUE, Agent


def test_a_connection_is_kept(backend: Backend, agent: Agent) -> None:
    """Requests one after the other share one."""
    for _ in range(5):
        backend.fetch(SecretRef("db"))
    assert agent.connections == 1


def test_a_connection_that_was_dropped_meanwhile_is_replaced(
    backend: Backend, agent: Agent
) -> None:
    """The agent ends each after 61 seconds; no reader notices."""
    agent.drop = True
    for _ in range(3):
        assert backend.fetch(SecretRef("db")).value.text == VALUE
    assert agent.connections == 3


def test_threads_share_the_backend(backend: Backend, agent: Agent) -> None:
    """Each gets its own answer; few connections are left open."""
    for number in range(16):
        agent.secrets.put(f"s{number}", str(number))

    def read(number: int) -> bool:
        return backend.fetch(SecretRef(f"s{number % 16}")).value.text == str(number % 16)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))
    assert isinstance(backend, AgentBackend)
    assert 1 <= len(backend._connections._idle) <= 4


def test_closing_twice_is_fine(backend: Backend) -> None:
    """And lets the connections go."""
    backend.fetch(SecretRef("db"))
    backend.close()
    backend.close()
    assert isinstance(backend, AgentBackend)
    assert backend._connections._idle == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_send_on_its_parents_connection(backend: Backend, agent: Agent) -> None:
    """After a fork, also while another thread holds the pool's lock, it opens its own."""
    backend.fetch(SecretRef("db"))
    assert isinstance(backend, AgentBackend)
    ours, theirs = os.pipe()
    with backend._connections._lock:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                os.write(theirs, backend.fetch(SecretRef("db")).value.text.encode())
            finally:
                os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        assert answer.read().decode() == VALUE
    os.waitpid(child, 0)
    assert backend.fetch(SecretRef("db")).value.text == VALUE
    assert agent.connections == 2
