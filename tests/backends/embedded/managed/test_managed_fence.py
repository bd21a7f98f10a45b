"""A node that was paused in a managed rotation wakes up to one that others finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.rotation.machine import Lost
from smclient_embedded.store.records import RotationJob, SecretRecord


class Database:
    """One user. ``before_answer`` happens once, before the next question is answered."""

    def __init__(self) -> None:
        self.password = ""
        self.before_answer: Callable[[], object] | None = None

    def set_password(self, username: str, password: str) -> None:
        self.password = password

    def takes(self, username: str, password: str) -> bool:
        answer = self.password == password
        if self.before_answer is not None:
            act, self.before_answer = self.before_answer, None
            act()
        return answer


class TwoNodes:
    """A managed secret in a store that two nodes run."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.database = Database()
        url = f"embedded://{folder}/secrets.db"
        self.paused = EmbeddedService(url, clock=self.clock)
        self.arn = self.paused.managed.create("rds", "admin", self.database, database="orders")
        self.other = EmbeddedService(url, clock=self.clock)
        self.other.managed.attach(self.arn, self.database)

    def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.other.call(operation, {"SecretId": self.arn, **request})

    def rotate(self, token: str) -> None:
        self.ask("RotateSecret", ClientRequestToken=token * 32)

    def finish_elsewhere(self) -> None:
        """The other node takes the rotation over and ends it."""
        self.clock.advance(120)
        assert self.other.run_due().rotated == (self.arn,)

    def rotate_elsewhere(self, token: str) -> None:
        self.rotate(token)
        self.other.run_due()
        self.finish_elsewhere()

    def current(self) -> tuple[str, str]:
        """AWSCURRENT's version and password."""
        shown = self.ask("GetSecretValue")
        return shown["VersionId"], json.loads(shown["SecretString"])["password"]

    def job(self) -> tuple[SecretRecord, RotationJob]:
        with self.other._store.transaction(write=False) as tx:
            secret, job = tx.secret(self.arn), tx.rotation_job(self.arn)
        assert secret is not None
        assert job is not None
        return secret, job


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[TwoNodes]:
    made = TwoNodes(tmp_path)
    yield made
    made.other.close()
    made.paused.close()


def test_the_password_of_an_ended_rotation_is_not_set_again(nodes: TwoNodes) -> None:
    """Paused between the question whether the database takes it and setting it."""

    def meanwhile() -> None:
        nodes.finish_elsewhere()
        nodes.rotate_elsewhere("2")

    nodes.rotate("1")
    nodes.database.before_answer = meanwhile
    assert nodes.paused.run_due().rotated == ()
    assert nodes.current() == ("2" * 32, nodes.database.password)


@pytest.mark.parametrize("step", ["createSecret", "setSecret", "finishSecret"])
def test_no_step_of_an_ended_rotation_writes(nodes: TwoNodes, step: str) -> None:
    """Paused after it was last looked whether the job is its own."""
    nodes.rotate("1")
    nodes.other.run_due()
    secret, job = nodes.job()
    nodes.finish_elsewhere()
    nodes.rotate_elsewhere("2")
    before = nodes.current()
    with pytest.raises(Lost):
        nodes.paused.managed.rotation().step(secret, job, step)
    assert nodes.current() == before == ("2" * 32, nodes.database.password)


def test_a_first_value_is_not_put_for_another_node(nodes: TwoNodes) -> None:
    """The version is still empty, and the job claimed anew."""
    nodes.rotate("1")
    secret, job = nodes.job()
    with nodes.other._store.transaction(write=True) as tx:
        now = nodes.clock.now()
        (claimed,) = tx.claim_rotation_jobs(now, owner="other", leased_until=now, limit=1)
    assert claimed.fence != job.fence
    with pytest.raises(Lost):
        nodes.paused.managed.rotation().step(secret, job, "createSecret")
    with nodes.other._store.transaction(write=False) as tx:
        version = tx.version(nodes.arn, "1" * 32)
    assert version is not None
    assert version.sealed is None
