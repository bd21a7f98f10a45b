"""A client survives fork, a machine that was frozen, and a clock that is set."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from smclient import SecretsClient
from smclient.testing import Call, FakeBackend, FakeClock
from smclient_aws import AwsBackend, AwsSettings

MakeClient = Callable[..., SecretsClient]


def in_child(work: Callable[[], bool]) -> bool:
    """Run work in a forked child, ten seconds at most; whether it returned true."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writes, b"y" if work() else b"n")
        finally:
            os._exit(0)
    os.close(writes)
    killer = threading.Timer(10, os.kill, (pid, 9))
    killer.start()
    try:
        with os.fdopen(reads, "rb") as pipe:
            return pipe.read() == b"y"
    finally:
        killer.cancel()
        os.waitpid(pid, 0)


pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def test_a_child_reads_what_the_parent_holds() -> None:
    """Without asking again; both count for themselves."""
    backend = FakeBackend({"db": "value"})
    with SecretsClient(backend) as client:
        for _ in range(5):
            client.get("db")

        def work() -> bool:
            text = client.get("db").text
            usage = client.usage()
            return (text, len(backend.calls), usage.hits, dict(usage.api_calls)) == (
                "value",
                1,
                1,
                {},
            )

        assert in_child(work)
        assert client.usage().hits == 4


def test_a_child_works_while_the_parent_was_in_the_middle_of_a_fetch() -> None:
    """Locks and flights of other threads do not reach it."""
    backend = FakeBackend({"db": "value", "slow": "later"})
    asked, release = threading.Event(), threading.Event()

    def before(call: Call) -> None:
        if call.secret_ids == ("slow",) and os.getpid() == parent:
            asked.set()
            assert release.wait(10)

    parent = os.getpid()
    backend.before = before
    with SecretsClient(backend) as client:
        thread = threading.Thread(target=client.get, args=("slow",))
        thread.start()
        assert asked.wait(10)
        try:
            assert in_child(lambda: client.get("slow").text == "later")
        finally:
            release.set()
            thread.join()


def test_a_child_works_though_a_thread_held_the_caches_lock() -> None:
    """What it held may be half-changed, so the child starts with an empty cache."""
    backend = FakeBackend({"db": "value"})
    with SecretsClient(backend) as client:
        client.get("db")
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with client._cache._lock:
                held.set()
                assert release.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        try:
            assert in_child(lambda: client.get("db").text == "value" and len(backend.calls) == 2)
        finally:
            release.set()
            thread.join()


def test_a_child_refreshes_on_a_thread_of_its_own() -> None:
    """The parent's thread is not there."""
    backend, clock = FakeBackend({"db": "old"}), FakeClock()
    with SecretsClient(backend, clock=clock, refresh="get", jitter=0.0) as client:
        client.get("db")
        clock.advance(301)
        client.get("db")  # starts the parent's thread

        def work() -> bool:
            refreshed = threading.Event()
            backend.before = lambda call: refreshed.set()
            clock.advance(600)
            client.get("db")
            return refreshed.wait(5)

        assert in_child(work)


def test_a_frozen_machine_knows_by_the_time_of_day(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Its monotonic clock stood still; a value past max_stale is not served."""
    client = make_client(refresh="get")
    client.get("db")
    backend.put("db", {"password": "second"})
    clock.set_ahead(4000)
    assert client.get("db")["password"] == "second"
    assert client.get("db")["password"] == "second"
    assert backend.count("GetSecretValue") == 2


def test_a_clock_that_is_set_back_does_not_stretch_the_ttl(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The monotonic clock tells."""
    client = make_client(refresh="get")
    client.get("db")
    clock.set_ahead(-7200)
    clock.advance(301)
    client.get("db")
    assert backend.count("GetSecretValue") == 2


def test_a_clock_that_is_set_ahead_for_good_costs_one_refresh(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Not one at each read."""
    client = make_client(refresh="get")
    client.get("db")
    clock.set_ahead(86400)
    for _ in range(10):
        client.get("db")
    assert backend.count("GetSecretValue") == 2


def test_a_child_makes_a_boto3_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One from before the fork would answer on the parent's sockets."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    backend = AwsBackend(AwsSettings(region="eu-west-1"))
    identity = backend.identity()
    mine = backend._client
    assert mine is not None
    assert in_child(lambda: backend.identity() == identity and backend._opened() is not mine)
    assert backend._client is mine
    backend.close()
