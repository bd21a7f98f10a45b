"""``bind_engine`` on a real PostgreSQL, through every driver that is installed."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import URL, Engine

from smclient import CredentialFieldError, ResourceNotFoundError, SecretsClient
from smclient.rotation import PostgresSingleUser
from smclient_sqlalchemy import bind_engine

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
MakeEngine = Callable[..., Engine]


@pytest.fixture(params=["psycopg", "psycopg2", "pg8000"])
def driver(request: pytest.FixtureRequest) -> str:
    """The name of an installed driver."""
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def make_engine(bench: Any, driver: str) -> Iterator[MakeEngine]:
    """Bound engines on the driver; ``url`` are parts of it, anything else goes to the engine."""
    engines: list[Engine] = []

    def make(url: dict[str, Any], client: SecretsClient | None = None, **options: Any) -> Engine:
        full = URL.create(f"postgresql+{driver}", **url)
        engine = sqlalchemy.create_engine(full, **options)
        engines.append(engine)
        assert bind_engine(engine, bench.name, client or bench.client) is engine
        return engine

    yield make
    for engine in engines:
        engine.dispose()


def address(user: Any) -> dict[str, Any]:
    return {"host": user.server.host, "port": user.server.port, "database": user.dbname}


def who(engine: Engine) -> tuple[str, str]:
    """User and database of a connection."""
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("SELECT current_user, current_database()")).one()
    return row[0], row[1]


def test_the_url_gives_the_address_and_the_secret_the_login(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """A URL without user and password is enough."""
    bench.create(user.secret(host="192.0.2.1", port=1, dbname="nowhere"))
    assert who(make_engine(address(user))) == (user.name, user.dbname)


def test_the_secret_gives_what_the_url_lacks(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """A URL of the bare driver is enough where the secret has the address."""
    bench.create(user.secret())
    assert who(make_engine({})) == (user.name, user.dbname)


@pytest.mark.parametrize("absent", ["host", "port", "database"])
def test_each_part_of_the_address_comes_from_either(
    bench: Any, user: Any, make_engine: MakeEngine, absent: str
) -> None:
    """What the URL has wins, what it lacks is in the secret."""
    wrong = {"host": "192.0.2.1", "port": 1, "dbname": "nowhere"}
    del wrong["dbname" if absent == "database" else absent]
    bench.create(user.secret(**wrong))
    url = {name: part for name, part in address(user).items() if name != absent}
    assert who(make_engine(url)) == (user.name, user.dbname)


def test_user_and_password_of_the_url_are_ignored(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """So that an old URL in a configuration does no harm."""
    bench.create(user.secret())
    engine = make_engine({**address(user), "username": "somebody", "password": "wrong"})
    assert who(engine) == (user.name, user.dbname)
    only_login = make_engine({"username": "somebody", "password": "wrong"})
    assert who(only_login) == (user.name, user.dbname)


def test_other_arguments_reach_the_driver(bench: Any, user: Any, make_engine: MakeEngine) -> None:
    """``connect_args`` stay what they are."""
    bench.create(user.secret())
    engine = make_engine(address(user), connect_args={"application_name": "tested"})
    with engine.connect() as connection:
        name = connection.execute(sqlalchemy.text("SHOW application_name")).scalar_one()
    assert name == "tested"


def test_new_connections_follow_every_phase_of_a_rotation(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """No pool: every query is a login. None fails, from before the rotation to after it."""
    bench.create(user.secret())
    engine = make_engine(address(user), poolclass=sqlalchemy.NullPool)
    for _ in range(2):
        function = PostgresSingleUser()
        token = bench.begin(function)
        for step in STEPS:
            assert who(engine)[0] == user.name
            bench.step(function, step, token)
            assert who(engine)[0] == user.name
        bench.service.run_due()
    assert bench.client.usage().logins["AWSPENDING"] == 2


def test_pooled_connections_outlive_a_rotation(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """An open transaction goes on, and a connection at rest is used again without a login."""
    bench.create(user.secret())
    engine = make_engine(address(user), pool_size=2)
    process = sqlalchemy.text("SELECT pg_backend_pid()")
    with engine.connect() as connection:
        before = connection.execute(process).scalar_one()
        bench.begin(PostgresSingleUser())
        assert bench.service.run_due().rotated
        assert connection.execute(process).scalar_one() == before
        with engine.connect() as another:  # a new login, with the new password
            after = another.execute(process).scalar_one()
    with engine.connect() as one, engine.connect() as other:
        again = {c.execute(process).scalar_one() for c in (one, other)}
    assert again == {before, after}
    assert len(again) == 2
    assert sum(bench.client.usage().logins.values()) == 2


def test_many_threads_in_the_window(bench: Any, user: Any, make_engine: MakeEngine) -> None:
    """A pool that grows while only AWSPENDING logs in."""
    bench.create(user.secret())
    engine = make_engine(address(user), pool_size=8)
    function = PostgresSingleUser()
    token = bench.begin(function)
    bench.client.get(bench.name)
    for step in STEPS[:2]:
        bench.step(function, step, token)
    gate = threading.Barrier(8)
    names: list[str] = []

    def work() -> None:
        with engine.connect() as connection:
            gate.wait(20)  # all eight hold a connection at the same time
            names.append(connection.execute(sqlalchemy.text("SELECT current_user")).scalar_one())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == [user.name] * 8


def test_a_refused_login_is_sqlalchemys_error_with_our_note(
    bench: Any, user: Any, make_engine: MakeEngine, shown: Any
) -> None:
    """Wrapped as every driver error is; the versions tried are told, the passwords are not."""
    bench.create(user.secret(password="canary-previous-53"))
    bench.put(user.secret(password="canary-current-8e"))
    engine = make_engine({**address(user), "username": "somebody", "password": "of-the-url"})
    with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
        engine.connect()
    told = "".join(traceback.format_exception(caught.value))
    assert "password authentication failed" in str(caught.value)
    for version in bench.labels().values():
        assert version in told
    assert "canary-" not in told + shown(caught.value) + repr(engine)
    assert isinstance(caught.value.orig, engine.dialect.loaded_dbapi.Error)


def test_a_server_that_is_down_is_no_matter_of_passwords(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """SQLAlchemy's own error after one try."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bench.create(user.secret())
    engine = make_engine({**address(user), "port": port})
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        engine.connect()
    assert bench.client.usage().failed_logins == 0
    assert bench.client.usage().api_calls["GetSecretValue"] == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"password": None}, CredentialFieldError), ({"username": None}, CredentialFieldError)],
)
def test_a_secret_without_a_login_says_what_it_lacks(
    bench: Any, user: Any, make_engine: MakeEngine, changes: dict[str, Any], error: type[Exception]
) -> None:
    """Our own error, not a driver's guess with the operating system's user."""
    bench.create(user.secret(**changes))
    with pytest.raises(error, match="|".join(changes)):
        make_engine({**address(user), "username": "somebody", "password": "wrong"}).connect()


def test_an_unknown_secret_shows_at_the_first_connect(
    bench: Any, user: Any, make_engine: MakeEngine
) -> None:
    """Binding asks nothing; the first connection does."""
    engine = make_engine(address(user))
    with pytest.raises(ResourceNotFoundError, match=bench.name):
        engine.connect()
    bench.create(user.secret())
    assert who(engine)[0] == user.name


def test_two_engines_have_two_secrets(bench: Any, make_user: Any, driver: str) -> None:
    """Each engine keeps to its own."""
    for user in (make_user(own_database=True), make_user(own_database=True)):
        bench.name = f"prod/{user.name}"
        bench.create(user.secret())
        engine = sqlalchemy.create_engine(f"postgresql+{driver}://")
        bind_engine(engine, bench.name, bench.client)
        assert who(engine) == (user.name, user.dbname)
        engine.dispose()
