"""The client of a holder follows its secret. MongoDB itself cannot be had here: PyMongo talks to a
scripted server that speaks the login of MongoDB's protocol (``smclient_demo.scripted_mongo``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pymongo.errors
import pytest

from smclient import AWSPENDING, AsyncSecretsClient, ConfigError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_demo.scripted_mongo import ScriptedMongo
from smclient_pymongo import AsyncMongoHolder, MongoHolder


class Scene:
    """A user of the script, and its secret."""

    def __init__(self, server: ScriptedMongo) -> None:
        self.server, self.backend, self.clock = server, FakeBackend(), FakeClock()
        self.client = SecretsClient(
            self.backend, login_wait=0, clock=self.clock, worker=Inline(), jitter=0.0
        )
        self.takes("first")
        self.backend.put("prod/mongo", self.secret("first"))

    def takes(self, password: str) -> None:
        """The server takes this password only."""
        self.server.create_user("app", password, "readWrite")

    def secret(self, password: str) -> dict[str, Any]:
        where = {"host": self.server.host, "port": self.server.port}
        return {"username": "app", "password": password, **where}

    def rotate(self, password: str) -> None:
        """A whole rotation, and the client has seen it."""
        self.takes(password)
        self.backend.put("prod/mongo", self.secret(password))
        self.client.refresh("prod/mongo")


@pytest.fixture
def scene() -> Iterator[Scene]:
    with ScriptedMongo() as server:
        made = Scene(server)
        yield made
        made.client.close()


@pytest.fixture
def holder(scene: Scene) -> Iterator[MongoHolder]:
    made = MongoHolder(
        scene.client, "prod/mongo", clock=scene.clock, grace=60.0, directConnection=True
    )
    yield made
    made.close()


def status(client: Any) -> float:
    """A command that the script answers to those only who are logged in."""
    return float(client.admin.command("connectionStatus")["ok"])


def test_it_is_logged_in_and_stays_the_same_until_the_secret_moves(
    scene: Scene, holder: MongoHolder
) -> None:
    """Then it is another, and the one before goes on meanwhile."""
    before = holder.client
    assert holder.client is before
    scene.rotate("second")
    assert holder.client is not before
    assert [status(client) for client in (before, holder.client)] == [1.0, 1.0]


def test_in_the_window_the_pending_version_wins_and_is_kept(
    scene: Scene, holder: MongoHolder
) -> None:
    """Nor is it swapped when AWSCURRENT has moved to what it logged in with."""
    scene.backend.put("prod/mongo", scene.secret("second"), stages=(AWSPENDING,))
    scene.takes("second")
    made = holder.client
    assert status(made) == 1.0
    assert holder.client is made
    version = scene.client.get("prod/mongo", version_stage=AWSPENDING).version_id
    current = scene.client.get("prod/mongo").version_id
    assert version != current


def test_work_that_meets_a_refused_login_is_done_on_another_client(
    scene: Scene, holder: MongoHolder
) -> None:
    """The password moved, nobody has seen that, and the pool opens a connection."""
    first = holder.client
    scene.takes("second")
    scene.backend.put("prod/mongo", scene.secret("second"))
    first.close()
    reached: list[Any] = []

    def work(client: Any) -> float:
        reached.append(client)
        if client is first:
            raise pymongo.errors.OperationFailure("Authentication failed.", 18)
        return status(client)

    assert holder.run(work) == 1.0
    assert reached == [first, holder.client]


def test_other_errors_are_the_callers(holder: MongoHolder) -> None:
    """Once, and no swap."""
    before = holder.client
    with pytest.raises(pymongo.errors.OperationFailure, match="no such command"):
        holder.run(lambda client: client.admin.command("nonsense"))
    assert holder.client is before


def test_the_one_before_is_closed_after_its_grace_and_its_work(
    scene: Scene, holder: MongoHolder
) -> None:
    """Not under whoever works with it."""

    def work(before: Any) -> Any:
        scene.rotate("second")
        assert holder.client is not before
        scene.clock.advance(61)
        assert holder.client is not before
        assert status(before) == 1.0
        return before

    before = holder.run(work)
    assert holder.client is not before
    with pytest.raises(pymongo.errors.InvalidOperation):
        status(before)


def test_when_no_login_works_the_client_before_is_used_on(
    scene: Scene, holder: MongoHolder, caplog: pytest.LogCaptureFixture
) -> None:
    """Its open connections still serve; the log says so without the password."""
    before = holder.client
    scene.backend.put("prod/mongo", scene.secret("canary-wrong"))
    scene.takes("nobody knows")
    scene.client.refresh("prod/mongo")
    assert status(holder.client) == 1.0
    assert holder.client is before
    assert "OperationFailure" in caplog.text
    assert "canary" not in caplog.text


def test_user_and_password_come_from_the_secret_only(scene: Scene) -> None:
    """Refused when it is made."""
    for holder in (MongoHolder, AsyncMongoHolder):
        with pytest.raises(ConfigError, match="password"):
            holder(scene.client, "prod/mongo", password="x")  # type: ignore[arg-type]


def test_asyncio_does_all_that_too(scene: Scene) -> None:
    """Swapped after a rotation, and when a login is refused."""

    async def main() -> None:
        holder = AsyncMongoHolder(
            AsyncSecretsClient(sync=scene.client), "prod/mongo", directConnection=True
        )
        before = await holder.client()
        assert await holder.client() is before
        scene.rotate("second")
        after = await holder.client()
        assert after is not before
        scene.takes("third")
        scene.backend.put("prod/mongo", scene.secret("third"))

        async def work(client: Any) -> float:
            if client is after:
                raise pymongo.errors.OperationFailure("Authentication failed.", 18)
            return float((await client.admin.command("connectionStatus"))["ok"])

        assert await holder.run(work) == 1.0
        assert await holder.client() is not after
        await holder.close()

    asyncio.run(main())
