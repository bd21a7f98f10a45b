"""Backends by URL survive a fork: their service is opened anew in the child, and in the parent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from smclient import ClientClosedError, SecretsClient, SmclientError
from smclient.backend import Identity
from smclient.secret import SecretRef
from smclient.testing import FakeBackend
from smclient_embedded.reopening import ReopenedBackend

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(work: Callable[[], bool]) -> bool:
    """Whether work returned true in a forked child."""
    pid = os.fork()
    if pid == 0:
        done = False
        try:
            done = work()
        finally:
            os._exit(0 if done else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def client(tmp_path: Path) -> SecretsClient:
    made = SecretsClient(f"embedded://{tmp_path / 'secrets.db'}")
    made.call("CreateSecret", Name="prod/web", SecretString="one")
    return made


def test_a_child_reads_and_writes_and_so_does_the_parent(client: SecretsClient) -> None:
    """Each through a service of its own, over one store."""

    def work() -> bool:
        client.call("PutSecretValue", SecretId="prod/web", SecretString="two")
        return client.get("prod/web").text == "two"

    assert in_child(work)
    assert client.refresh("prod/web").text == "two"
    assert in_child(lambda: client.refresh("prod/web").text == "two")
    client.close()


def test_children_of_children_work(client: SecretsClient) -> None:
    """As a server's master makes workers that make processes."""
    assert in_child(lambda: in_child(lambda: client.refresh("prod/web").text == "one"))
    client.close()


class Slow(FakeBackend):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.inside, self.go_on = threading.Event(), threading.Event()

    def identity(self) -> Identity:
        self.inside.set()
        assert self.go_on.wait(10)
        self.order.append("answered")
        return super().identity()

    def close(self) -> None:
        self.order.append("closed")


def test_a_fork_waits_for_a_call_under_way() -> None:
    """So that the store has no connection in use when it happens."""
    slow = Slow()
    backend = ReopenedBackend(lambda: slow)
    thread = threading.Thread(target=backend.identity)
    thread.start()
    assert slow.inside.wait(10)
    later = threading.Timer(0.1, slow.go_on.set)
    later.start()
    assert in_child(lambda: True)
    thread.join()
    later.join()
    assert slow.order == ["answered", "closed"]


def test_a_closed_backend_is_not_opened_again(client: SecretsClient) -> None:
    """Neither in the parent nor in a child."""
    backend = client._backend
    client.close()
    with pytest.raises(ClientClosedError):
        client.get("prod/web")

    def work() -> bool:
        try:
            backend.fetch(SecretRef("prod/web"))
        except SmclientError:
            return True
        return False

    assert work()
    assert in_child(work)


def test_a_backend_that_a_fork_closed_can_be_closed_for_good(client: SecretsClient) -> None:
    """Who asks it then is told, in parent and child."""
    backend = client._backend
    assert in_child(lambda: True)
    backend.close()

    def told() -> bool:
        with pytest.raises(ClientClosedError, match="this backend was closed"):
            backend.fetch(SecretRef("prod/web"))
        return True

    assert told()
    assert in_child(told)


def test_a_store_in_memory_is_not_closed_by_a_fork() -> None:
    """It would be lost; the child has a copy."""
    client = SecretsClient("embedded://")
    client.call("CreateSecret", Name="a", SecretString="one")
    assert in_child(lambda: client.refresh("a").text == "one")
    assert client.refresh("a").text == "one"
    client.close()
