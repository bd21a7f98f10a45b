"""Nodes that do not all have every function: a job is run by one that can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.rotating import RotationTo
from smclient_embedded.rotation.left import SETTING
from smclient_embedded.scheduler import GRACE

START = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)


class Passwords:
    """A database that takes everything."""

    def __init__(self) -> None:
        self.password = ""

    def set_password(self, username: str, password: str) -> None:
        self.password = password

    def takes(self, username: str, password: str) -> bool:
        return self.password == password


class Nodes:
    """Two services over one store: one has the function, and who sets managed passwords."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(START)
        self.url = f"embedded://{folder}/secrets.db"
        self.able = EmbeddedService(self.url, clock=self.clock)
        self.unable = EmbeddedService(self.url, clock=self.clock)
        self.function = self.able.register_function("rotate", RotationTo("new"))
        self.database = Passwords()

    def restart_unable(self) -> None:
        """Its process ends, and another begins."""
        self.unable.close()
        self.unable = EmbeddedService(self.url, clock=self.clock)

    def secret(self) -> str:
        """A secret with a function, whose rotation is due."""
        token = {"ClientRequestToken": "0" * 32}
        made = self.able.call("CreateSecret", {"Name": "s", "SecretString": "x", **token})
        self.rotate("s", RotationLambdaARN=self.function)
        return str(made["ARN"])

    def managed(self) -> str:
        """A managed secret whose rotation is due, with no window."""
        arn = self.able.managed.create("rds", "admin", self.database, database="orders", window=0)
        self.rotate(arn)
        return arn

    def rotate(self, secret_id: str, **more: Any) -> None:
        request = {"SecretId": secret_id, "ClientRequestToken": "1" * 32, **more}
        self.able.call("RotateSecret", request)

    def events(self) -> list[str]:
        found = self.able.audit.lookup()
        return [e["eventName"] for e in reversed(found) if e["eventType"] == "AwsServiceEvent"]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.able.close()
    made.unable.close()


@pytest.fixture(params=["secret", "managed"])
def arn(request: pytest.FixtureRequest, nodes: Nodes) -> str:
    """A rotation that one of the nodes can run."""
    made: str = getattr(nodes, request.param)()
    return made


def test_who_cannot_run_it_leaves_it_to_others(nodes: Nodes, arn: str) -> None:
    """Without an attempt or an event, and for seconds."""
    done = nodes.unable.run_due()
    assert (done.rotated, done.failed) == ((), ())
    assert nodes.events() == []
    nodes.clock.advance(2)
    assert nodes.able.run_due().rotated == (arn,)
    assert nodes.events() == ["RotationStarted", "RotationSucceeded"]


def test_what_nobody_can_run_has_failed_after_a_while(nodes: Nodes, arn: str) -> None:
    """The event says what is missing. It is tried again, and told of again, later."""
    failed: list[timedelta] = []
    while nodes.clock.now() < START + timedelta(hours=1):
        if nodes.unable.run_due().failed:
            failed.append(nodes.clock.now() - START)
        nodes.clock.advance(60)
    assert failed[0] == GRACE
    assert 3 <= len(failed) <= 5
    (reason, *_) = {
        e["additionalEventData"]["FailureReason"]
        for e in nodes.able.audit.lookup(event_name="RotationFailed")
    }
    assert "there is no arn:" in reason or "managed.attach()" in reason


def test_a_node_that_is_started_anew_gives_it_no_longer(nodes: Nodes, arn: str) -> None:
    """What nobody can run fails when its time is over, whoever left it first: a pass of cron is a
    process of its own."""
    failed: list[timedelta] = []
    while nodes.clock.now() <= START + GRACE:
        nodes.restart_unable()
        if nodes.unable.run_due().failed:
            failed.append(nodes.clock.now() - START)
        nodes.clock.advance(60)
    assert failed == [GRACE]
    assert nodes.events() == ["RotationStarted", "RotationFailed"]


def test_one_that_is_long_due_is_left_all_the_same(nodes: Nodes, arn: str) -> None:
    """The first to look, after all nodes were away, is not always one that can run it."""
    nodes.clock.advance(hours=1)
    assert nodes.unable.run_due().failed == ()
    nodes.clock.advance(2)
    assert nodes.able.run_due().rotated == (arn,)


def test_one_asked_for_again_is_left_anew(nodes: Nodes) -> None:
    """Also with the token of the one that was cancelled."""
    arn = nodes.secret()
    nodes.unable.run_due()
    nodes.able.call("CancelRotateSecret", {"SecretId": arn})
    stage = {"VersionStage": "AWSPENDING", "RemoveFromVersionId": "1" * 32}
    nodes.able.call("UpdateSecretVersionStage", {"SecretId": arn, **stage})
    nodes.clock.advance(GRACE.total_seconds())
    nodes.rotate(arn, RotationLambdaARN=nodes.function)
    assert nodes.unable.run_due().failed == ()
    nodes.clock.advance(GRACE.total_seconds())
    assert nodes.unable.run_due().failed == (arn,)


def test_that_it_is_left_is_said_once(
    nodes: Nodes, arn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not each time that a node looks."""
    for _ in range(5):
        nodes.restart_unable()
        nodes.unable.run_due()
        nodes.clock.advance(60)
    (said,) = [r for r in caplog.records if r.name == "smclient.embedded.rotation"]
    assert said.levelname == "WARNING"
    assert arn in said.getMessage()
    assert "10 minutes" in said.getMessage()


def test_what_was_left_is_forgotten_when_it_is_over(nodes: Nodes) -> None:
    """The note that was made of it goes with the next one."""
    nodes.secret()
    nodes.unable.run_due()
    nodes.clock.advance(2)
    nodes.able.run_due()
    later = nodes.managed()
    nodes.unable.run_due()
    with nodes.able._store.transaction(write=False) as tx:
        assert list(json.loads(tx.setting(SETTING) or b"{}")) == [later]


def test_what_fails_elsewhere_is_no_failure_of_who_cannot_run_it(nodes: Nodes, arn: str) -> None:
    """However long it goes on: somebody runs it."""

    def fails(*args: object) -> None:
        raise OSError

    nodes.able.register_function("rotate", fails)
    nodes.database.set_password = fails  # type: ignore[method-assign]
    nodes.database.takes = lambda username, password: False  # type: ignore[method-assign]
    for _ in range(600):
        assert nodes.unable.run_due().failed == ()
        nodes.clock.advance(2)
        nodes.able.run_due()
        nodes.clock.advance(10)
    reasons = {
        e["additionalEventData"]["FailureReason"].partition(": ")[2]
        for e in nodes.able.audit.lookup(event_name="RotationFailed")
    }
    assert reasons == {"OSError"}


def test_a_value_of_the_managed_secret_is_the_databases(nodes: Nodes) -> None:
    """Whoever began it."""
    arn = nodes.managed()
    nodes.unable.run_due()
    nodes.clock.advance(2)
    nodes.able.run_due()
    value = nodes.able.call("GetSecretValue", {"SecretId": arn})["SecretString"]
    assert json.loads(value)["password"] == nodes.database.password
