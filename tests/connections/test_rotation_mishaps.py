"""What else happens to a rotation: it fails at a step, the database restarts, services share the
secret, old sessions are cut. The application keeps its login."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import Engine

import smclient_sqlalchemy.engine as binding
from smclient import SecretsClient
from smclient.testing import FakeClock
from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof.application import make_engine
from smclient_demo.proof.scene import Scene
from smclient_sqlalchemy import bind_engine
from tests.servers import started

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
WHO = sqlalchemy.text("SELECT current_user")


@pytest.fixture(scope="module", params=[PostgresServer, MariaDBServer], ids=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server of this module's own: it is restarted."""
    own = started(request.param())
    yield own
    own.stop()


@pytest.fixture
def clock() -> FakeClock:
    """The service's, moved by hand."""
    return FakeClock()


@pytest.fixture
def make_scene(server: Any, clock: FakeClock) -> Iterator[Callable[..., Scene]]:
    """Scenes without a held window; closed at the end."""
    made: list[Scene] = []

    def make(users: Any = "single") -> Scene:
        made.append(Scene(server, users, hold=0.0, lag=0.0, clock=clock))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture
def service(server: Any) -> Iterator[Callable[[Scene], Engine]]:
    """An application's engine, with a client of its own."""
    closing: list[Callable[[], object]] = []

    def start(scene: Scene, **settings: Any) -> Engine:
        client = SecretsClient(scene.backend(), login_wait=0.0, **settings)
        engine = make_engine(
            server, scene.user, lambda engine: bind_engine(engine, scene.secret_id, client)
        )
        engine.smclient = client  # type: ignore[attr-defined]  for the tests below
        closing.extend((engine.dispose, client.close))
        return engine

    yield start
    for close in closing:
        close()


def who(engine: Engine) -> str:
    """A request with a new login."""
    with engine.connect() as connection:
        found = str(connection.execute(WHO).scalar_one()).partition("@")[0]
        connection.invalidate()
    return found


class Mishap(Exception):
    """What a function raises that has a bad day."""


def failing(scene: Scene, step: str, when: str, times: int) -> None:
    """Let the scene's function raise before or after the work of a step, so many times."""
    function, left = scene.function, itertools.repeat(None, times)
    real = type(function).__call__

    class Failing(type(function)):  # type: ignore[misc]
        def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
            fails = event["Step"] == step and next(left, "done") is None
            if fails and when == "before":
                raise Mishap(step)
            real(self, event, context)
            if fails:
                raise Mishap(step)

    function.__class__ = Failing


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("users", ["single", "alternating"])
def test_a_rotation_that_fails_at_a_step_costs_no_login(
    users: str,
    step: str,
    when: str,
    clock: FakeClock,
    make_scene: Callable[..., Scene],
    service: Callable[..., Engine],
) -> None:
    """Before or after the work of the step; when the function is well again, the rotation ends."""
    scene = make_scene(users)
    engine = service(scene)
    assert who(engine) == scene.user
    failing(scene, step, when, times=1)
    ended = scene.rotate()
    assert who(engine).startswith(scene.user)
    assert "AWSCURRENT" in scene.versions()
    for _ in range(5):
        if ended:
            break
        clock.advance(minutes=30)  # when a failed rotation is tried again is the service's matter
        ended = scene.run_due()
        assert who(engine).startswith(scene.user)
    assert ended
    assert scene.rotate()
    assert who(engine).startswith(scene.user)


def test_the_database_restarts_in_the_middle(
    make_scene: Callable[..., Scene], service: Callable[..., Engine], server: Any
) -> None:
    """While it is down nobody logs in; after that everybody does, and the rotation ends."""
    scene = make_scene()
    engine = service(scene)
    assert who(engine) == scene.user
    real = scene.function.test_value

    def restart(rotation: Any) -> None:
        server.restart()
        assert who(engine) == scene.user  # in the window, right after the restart
        real(rotation)

    scene.function.test_value = restart  # type: ignore[method-assign]
    engine.dispose()
    assert scene.rotate()
    assert who(engine) == scene.user


def test_two_services_share_a_secret(
    make_scene: Callable[..., Scene], service: Callable[..., Engine]
) -> None:
    """One reads all the time, the other slept through two rotations."""
    scene = make_scene()
    busy, sleepy = service(scene), service(scene)
    assert who(busy) == who(sleepy) == scene.user
    for _ in range(2):
        assert scene.rotate()
        assert who(busy) == scene.user
    assert who(sleepy) == scene.user


def test_the_old_users_sessions_are_cut(
    make_scene: Callable[..., Scene],
    service: Callable[..., Engine],
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alternating users: once the client saw AWSCURRENT move, no session of the old user is handed
    out; so cutting them fails no request, without pre-ping and without a retry."""
    scene = make_scene("alternating")
    engine = service(scene)
    with engine.connect(), engine.connect():
        pass  # two pooled connections of the first user
    assert scene.rotate()
    engine.smclient.refresh(scene.secret_id)  # type: ignore[attr-defined]  as its ttl would
    monkeypatch.setattr(binding, "SETTLED", 0.0)
    cut(server, scene.user)
    with engine.connect() as one, engine.connect() as other:
        users = {str(c.execute(WHO).scalar_one()).partition("@")[0] for c in (one, other)}
    assert users == {f"{scene.user}_clone"}


def cut(server: Any, user: str) -> None:
    """End every session of a user."""
    if isinstance(server, PostgresServer):
        with server.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
                (user,),
            )
    else:
        for (number,) in server.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s", user
        ):
            server.execute(f"KILL {int(number)}")
