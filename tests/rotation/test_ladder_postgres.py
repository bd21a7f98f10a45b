"""The login ladder on a real PostgreSQL, through every driver that is installed: who logs in with
what at each phase of a single-user rotation, and what an error gives away."""

from __future__ import annotations

import functools
import importlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from smclient import LoginHeldBackError, SecretEvent, SecretsClient
from smclient.rotation import PostgresSingleUser
from smclient.testing import Inline

DRIVERS = ("psycopg", "psycopg2", "pg8000")
Shown = Callable[[BaseException], str]


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Any:
    """The driver's module."""
    return pytest.importorskip(request.param)


@pytest.fixture
def make_client(bench: Any) -> Any:
    """Clients of the bench's service, on its clock, without jitter; closed at the end."""
    made: list[SecretsClient] = []

    def make(**settings: Any) -> SecretsClient:
        settings = {"clock": bench.clock, "worker": Inline(), "jitter": 0.0, **settings}
        made.append(SecretsClient(bench.service.backend(), **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


def user_of(connection: Any) -> str:
    """Who the server says is logged in; closes the connection."""
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])
    finally:
        connection.close()


def counting(driver: Any) -> tuple[Callable[..., Any], list[dict[str, Any]]]:
    """The driver's ``connect``, and a list of the calls made to it."""
    calls: list[dict[str, Any]] = []

    @functools.wraps(driver.connect)
    def connect(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return driver.connect(*args, **kwargs)

    return connect, calls


class Watched(PostgresSingleUser):
    """Calls back after each step."""

    def __init__(self, after: Callable[[str], object]) -> None:
        super().__init__()
        self._after = after

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        super().__call__(event, context)
        self._after(event["Step"])


# --- each phase of a rotation ---------------------------------------------------------------------


def test_every_login_of_a_rotation(bench: Any, user: Any, make_client: Any, driver: Any) -> None:
    """The table of who fails when, and the step that logs in: with a value read before the
    rotation, and with one read just now."""
    bench.create(user.secret())
    stale = make_client(ttl=3600.0)
    assert stale.get(bench.name)["password"] == user.password
    seen: dict[str, list[str]] = {}

    def log_in(phase: str) -> None:
        for client in (stale, make_client()):
            before = client.usage().logins
            assert user_of(client.connect(bench.name, driver.connect)) == user.name
            steps = [s for s, n in client.usage().logins.items() if n > before.get(s, 0)]
            seen.setdefault(phase, []).extend(steps)

    log_in("before")
    bench.begin(Watched(log_in))
    assert bench.service.run_due().rotated == (bench.arn,)
    log_in("after")
    assert seen == {
        "before": ["cached", "cached"],
        "createSecret": ["cached", "cached"],
        "setSecret": ["AWSPENDING", "AWSPENDING"],
        "testSecret": ["remembered", "AWSPENDING"],
        "finishSecret": ["remembered", "cached"],
        "after": ["remembered", "cached"],
    }


def test_a_cache_from_before_finds_the_new_current(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """After a rotation that nobody watched: one refused login, one forced read, one good login; the
    next ones come from the cache."""
    bench.create(user.secret())
    client = make_client(ttl=3600.0)
    client.get(bench.name)
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    connect, calls = counting(driver)
    for _ in range(2):
        assert user_of(client.connect(bench.name, connect)) == user.name
    assert client.usage().logins == {"AWSCURRENT": 1, "cached": 1}
    assert client.usage().failed_logins == 1
    assert client.usage().api_calls["GetSecretValue"] == 2
    assert len(calls) == 3


def test_the_window_costs_one_refused_login(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """The winner is remembered: a pool does not climb for each connection; and it is told once."""
    bench.create(user.secret())
    client = make_client()
    events: list[SecretEvent] = []
    client.on_fallback(events.append)
    connect, calls = counting(driver)
    connector = client.connector(bench.name, connect)
    function = PostgresSingleUser()
    token = bench.begin(function)
    for step in ("createSecret", "setSecret"):
        bench.step(function, step, token)
    for _ in range(5):
        assert user_of(connector()) == user.name
    assert len(calls) == 6
    assert client.usage().failed_logins == 1
    assert client.usage().logins == {"AWSPENDING": 1, "remembered": 4}
    assert [(e.stage, e.new_version_id) for e in events] == [("AWSPENDING", token)]


def test_a_rolled_back_rotation_is_found_at_previous(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """The database was restored to a state before the rotation."""
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    user.set_password(user.password)
    client = make_client()
    assert user_of(client.connect(bench.name, driver.connect)) == user.name
    assert client.usage().logins == {"AWSPREVIOUS": 1}


def test_without_the_ladder_the_window_fails(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """What the ladder is for: a fresh read of AWSCURRENT alone is refused."""
    bench.create(user.secret())
    client = make_client(ladder=("AWSCURRENT",))
    function = PostgresSingleUser()
    token = bench.begin(function)
    for step in ("createSecret", "setSecret"):
        bench.step(function, step, token)
    with pytest.raises(driver.Error):
        client.connect(bench.name, driver.connect)
    assert client.usage().logins == {}


def test_a_user_whose_role_was_locked_is_tried_further(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """NOLOGIN is a refusal that is not clearly about the password: one more login, no more."""
    bench.create(user.secret())
    bench.put(user.secret(password="another"), VersionStages=["AWSPENDING"])
    bench.put(user.secret(password="a third"), VersionStages=["OTHER"])
    with user.server.connect() as connection:
        connection.execute(f"ALTER ROLE {user.name} NOLOGIN")
    client = make_client()
    connect, calls = counting(driver)
    with pytest.raises(driver.Error):
        client.connect(bench.name, connect)
    assert len(calls) <= 2


# --- what the arguments become --------------------------------------------------------------------


def test_arguments_of_the_caller_win_over_the_secret(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """Address and anything else can be given; user and password cannot."""
    bench.create(user.secret(host="192.0.2.1", port=1, dbname="nowhere"))
    dbname = "database" if driver.__name__ == "pg8000" else "dbname"
    address = {"host": user.server.host, "port": user.server.port, dbname: user.dbname}
    client = make_client()
    assert user_of(client.connect(bench.name, driver.connect, **address)) == user.name
    name = "application_name"
    connection = client.connect(bench.name, driver.connect, **address, **{name: "tested"})
    cursor = connection.cursor()
    cursor.execute("SHOW application_name")
    assert cursor.fetchone()[0] == "tested"
    connection.close()


@pytest.mark.parametrize("name", ["psycopg", "psycopg2"])
def test_a_dsn_keeps_its_address(bench: Any, user: Any, make_client: Any, name: str) -> None:
    """With a DSN only user and password are added."""
    driver = pytest.importorskip(name)
    bench.create(user.secret(host="192.0.2.1", port=1, dbname="nowhere"))
    dsn = f"host={user.server.host} port={user.server.port} dbname={user.dbname}"
    assert user_of(make_client().connect(bench.name, driver.connect, dsn)) == user.name


def test_other_ways_into_a_driver(bench: Any, user: Any, make_client: Any) -> None:
    """Classes, bound class methods and submodules of the drivers."""
    bench.create(user.secret())
    client = make_client()
    for path in ("psycopg:Connection.connect", "pg8000.dbapi:connect", "pg8000.native:Connection"):
        module, _, attribute = path.partition(":")
        factory = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
        connection = client.connect(bench.name, factory)
        if path.startswith("pg8000.native"):
            assert connection.run("SELECT current_user") == [[user.name]]
            connection.close()
        else:
            assert user_of(connection) == user.name


# --- errors ---------------------------------------------------------------------------------------


def refused(client: SecretsClient, secret: str, connect: Any) -> Exception:
    with pytest.raises(Exception) as caught:
        client.connect(secret, connect)
    return caught.value


def test_a_refused_login_is_the_drivers_error_and_tells_no_password(
    bench: Any,
    user: Any,
    make_client: Any,
    driver: Any,
    shown: Shown,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its own class, with the versions tried as a note; the passwords in no text, attribute, note,
    cause, local of our frames, or log at DEBUG."""
    caplog.set_level(logging.DEBUG)
    bench.create(user.secret(password="canary-previous-6b"))
    bench.put(user.secret(password="canary-current-e1"))
    bench.put(user.secret(password="canary-pending-09"), VersionStages=["AWSPENDING"])
    client = make_client(login_wait=0.0)
    connect, calls = counting(driver)
    error = refused(client, bench.name, connect)
    assert isinstance(error, driver.Error)
    assert "password authentication failed" in str(error)
    labels = bench.labels()
    note = "\n".join(error.__notes__)
    for stage in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"):
        assert labels[stage] in note
    tried = [str(call["password"]) for call in calls]
    assert tried == ["canary-current-e1", "canary-pending-09", "canary-previous-6b"]
    text = shown(error) + note + caplog.text + repr(getattr(error, "pgconn", None))
    assert "canary-" not in text
    assert "login" in text  # frames of ours were looked at


def test_the_same_refusal_again_and_again_is_held_back(
    bench: Any, user: Any, make_client: Any, driver: Any, shown: Shown
) -> None:
    """Five whole ladders, then none for half a minute: an account must not be locked by us."""
    bench.create(user.secret(password="canary-wrong-77"))
    client = make_client()
    connect, calls = counting(driver)
    for _ in range(5):
        assert isinstance(refused(client, bench.name, connect), driver.Error)
    assert len(calls) == 5
    error = refused(client, bench.name, connect)
    assert isinstance(error, LoginHeldBackError)
    assert len(calls) == 5
    assert "canary-" not in shown(error)
    user.set_password("canary-wrong-77")
    bench.clock.advance(31)
    assert user_of(client.connect(bench.name, connect)) == user.name


def test_a_database_that_does_not_exist_is_no_matter_of_passwords(
    bench: Any, user: Any, make_client: Any, driver: Any, shown: Shown
) -> None:
    """One login, the driver's error, no other version tried."""
    bench.create(user.secret(dbname="nowhere"))
    bench.put(user.secret(password="canary-pending-5a"), VersionStages=["AWSPENDING"])
    client = make_client()
    connect, calls = counting(driver)
    error = refused(client, bench.name, connect)
    assert isinstance(error, driver.Error)
    assert "nowhere" in str(error)
    assert len(calls) == 1
    assert client.usage().failed_logins == 0
    assert client.usage().api_calls == {"GetSecretValue": 1}
    assert user.password not in shown(error)


def test_a_server_that_is_down_is_told_at_once(
    bench: Any, user: Any, make_client: Any, driver: Any, shown: Shown
) -> None:
    """One try, no wait, no other version."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bench.create(user.secret(port=port))
    bench.put(user.secret(password="canary-pending-5a"), VersionStages=["AWSPENDING"])
    client = make_client()
    connect, calls = counting(driver)
    error = refused(client, bench.name, connect)
    assert isinstance(error, driver.Error)
    assert len(calls) == 1
    assert bench.clock.slept == []
    assert client.usage().failed_logins == 0
    assert user.password not in shown(error)


def test_a_server_that_goes_down_and_comes_back(
    bench: Any, user: Any, make_client: Any, driver: Any
) -> None:
    """Errors of the network leave no trace in what the client remembers of logins."""
    bench.create(user.secret())
    client = make_client()
    connect, _ = counting(driver)
    bad = user.secret(port=1)
    bench.put(bad)
    client.refresh(bench.name)
    for _ in range(7):
        assert not isinstance(refused(client, bench.name, connect), LoginHeldBackError)
    bench.put(user.secret())
    client.refresh(bench.name)
    assert user_of(client.connect(bench.name, connect)) == user.name
