"""``smclient_django.db.postgresql`` on a real PostgreSQL, pooled or not, through rotations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from smclient import SecretsClient
from smclient.rotation import PostgresSingleUser
from smclient.testing import FakeBackend, Inline
from smclient_django import SecretConfigError, clients

pooling = pytest.mark.skipif(django.VERSION < (5, 1), reason="Django's option pool came with 5.1")
MakeDatabase = Callable[..., Any]


@pytest.fixture
def secrets(bench: Any) -> Iterator[SecretsClient]:
    """The client of the alias ``default``, on the bench's service and clock."""
    made = SecretsClient(bench.service.backend(), clock=bench.clock, jitter=0.0, worker=Inline())
    with clients.replaced("default", made):
        yield made


@pytest.fixture
def make_database(bench: Any) -> Iterator[MakeDatabase]:
    """Makes connections as ``django.db.connections`` has them; all closed in the end."""
    handlers: list[ConnectionHandler] = []

    def make(**entry: Any) -> Any:
        whole = {"ENGINE": "smclient_django.db.postgresql", "SECRET": bench.name, **entry}
        handler = ConnectionHandler({"default": whole})
        handlers.append(handler)
        return handler["default"]

    yield make
    for handler in handlers:
        for connection in handler.all(initialized_only=True):
            connection.close()
            pool = getattr(connection, "_connection_pools", {}).pop("default", None)
            if pool is not None:
                pool.close()


def who(connection: Any) -> str:
    """Who the database says we are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def held_open(bench: Any, check: Callable[[], object]) -> None:
    """One whole rotation; ``check`` is called after each of its steps."""

    class Watched(PostgresSingleUser):
        def __call__(self, event: Any, context: Any = None) -> None:
            super().__call__(event, context)
            check()

    bench.begin(Watched())
    assert bench.service.run_due().rotated == (bench.arn,)


def test_address_and_credentials_come_from_the_secret(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """An entry that names the secret and nothing else is enough."""
    bench.create(user.secret())
    database = make_database()
    assert who(database) == user.name
    with database.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (user.dbname,)


def test_settings_win_over_the_secret_for_the_address(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """Host, port and name as settings have them; the secret's are for who leaves them out."""
    bench.create(user.secret(host="nowhere.invalid", port=1, dbname="absent"))
    server = user.server
    database = make_database(NAME=user.dbname, HOST=server.host, PORT=server.port)
    assert who(database) == user.name


def test_fields_can_have_other_names(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """``SECRET_FIELDS`` says what the secret calls them."""
    renamed = user.secret(username=None, password=None)
    bench.create({**renamed, "login": user.name, "word": user.password})
    database = make_database(SECRET_FIELDS={"USER": "login", "PASSWORD": "word"})
    assert who(database) == user.name


def test_an_entry_without_a_secret_is_djangos_own(user: Any, make_database: MakeDatabase) -> None:
    """The same engine serves a plain password, as a developer's machine has it."""
    server = user.server
    address = {"NAME": user.dbname, "HOST": server.host, "PORT": server.port}
    database = make_database(SECRET="", USER=user.name, PASSWORD=user.password, **address)
    assert who(database) == user.name


@pytest.mark.parametrize("options", [{}, pytest.param({"pool": {"timeout": 8}}, marks=pooling)])
def test_every_login_of_a_rotation_wins(
    bench: Any,
    user: Any,
    secrets: SecretsClient,
    make_database: MakeDatabase,
    options: dict[str, Any],
) -> None:
    """After each step of a single-user rotation a new connection logs in, with a cache from before;
    with a pool too, whose arguments Django fixes once."""
    bench.create(user.secret())
    database = make_database(OPTIONS=options)
    assert who(database) == user.name
    seen: list[str] = []

    def check() -> None:
        database.close()
        if options:
            database.close_pool()
        seen.append(who(database))

    held_open(bench, check)
    check()
    assert seen == [user.name] * 5
    assert secrets.usage().logins["AWSPENDING"] >= 1


@pooling
def test_a_pool_from_before_a_rotation_grows_after_it(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """The pool was made with the old password; connections that it opens later use the new one."""
    bench.create(user.secret())
    database = make_database(OPTIONS={"pool": {"min_size": 1, "max_size": 3, "timeout": 8}})
    assert who(database) == user.name
    held_open(bench, lambda: None)
    others = [database.copy() for _ in range(2)]
    try:
        assert [who(other) for other in others] == [user.name] * 2
    finally:
        for other in others:
            other.close()


@pooling
def test_a_pool_says_why_it_has_no_connection(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase, shown: Any
) -> None:
    """Not only that time ran out: the database's last word, and the versions that were tried."""
    bench.create(user.secret(password="wrong-canary-pw"))
    pool = {"min_size": 1, "timeout": 1.5, "reconnect_timeout": 0.2}
    database = make_database(OPTIONS={"pool": pool})
    with pytest.raises(OperationalError, match="password authentication failed") as caught:
        database.ensure_connection()
    assert "versions tried" in str(caught.value)
    assert "canary" not in shown(caught.value)


@pooling
def test_a_pool_does_not_wait_for_a_secret_that_is_absent(
    bench: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """It fails at once, not after the pool's time-out."""
    database = make_database(NAME="app", OPTIONS={"pool": {"timeout": 600}})
    with pytest.raises(SecretConfigError, match="prod/db"):
        database.ensure_connection()


def test_a_connection_that_stays_survives_the_rotation(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """CONN_MAX_AGE: a password change does not cut what is logged in."""
    bench.create(user.secret())
    database = make_database(CONN_MAX_AGE=600)
    database.ensure_connection()
    before = database.connection
    held_open(bench, lambda: None)
    database.close_if_unusable_or_obsolete()
    assert who(database) == user.name
    assert database.connection is before


def test_health_checks_bring_a_killed_connection_back(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """The server ends all sessions and the user is another one: the next request logs in anew."""
    other = user.server.connect()
    bench.create(user.secret())
    database = make_database(CONN_MAX_AGE=600, CONN_HEALTH_CHECKS=True)
    assert who(database) == user.name
    held_open(bench, lambda: None)
    with other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
            [user.name],
        )
    database.close_if_unusable_or_obsolete()  # as at the start of each request
    assert who(database) == user.name


def test_threads_share_one_look_at_the_secret(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """Four logins at once after a rotation that nobody watched: one refresh between them."""
    bench.create(user.secret())
    database = make_database()
    assert who(database) == user.name
    held_open(bench, lambda: None)
    before = secrets.usage().api_calls.get("GetSecretValue", 0)
    barrier, seen = threading.Barrier(4), list[str]()

    def log_in() -> None:
        mine = database.copy()
        barrier.wait(10)
        try:
            seen.append(who(mine))
        finally:
            mine.close()

    threads = [threading.Thread(target=log_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [user.name] * 4
    assert secrets.usage().api_calls["GetSecretValue"] - before <= 4


def test_the_settings_are_never_changed(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """All threads share that dict: no user, no password in it, before or after a login."""
    bench.create(user.secret())
    database = make_database()
    before = dict(database.settings_dict)
    who(database)
    assert dict(database.settings_dict) == before
    assert (database.settings_dict["USER"], database.settings_dict["PASSWORD"]) == ("", "")


def test_the_connection_parameters_are_those_of_a_login(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """For libraries that connect by themselves with what Django would use. Their repr hides it."""
    bench.create(user.secret())
    parameters = make_database().get_connection_params()
    assert parameters["user"] == user.name
    assert parameters["password"] == user.password
    assert user.password not in repr(parameters)


def test_the_maintenance_database_is_not_the_secrets(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """Creating a test database connects to ``postgres``, as Django wants it."""
    bench.create(user.secret())
    with make_database()._nodb_cursor() as cursor:
        cursor.execute("SELECT current_database(), current_user")
        assert cursor.fetchone() == ("postgres", user.name)


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_refused_login_is_djangos_error(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase, shown: Any
) -> None:
    """``OperationalError`` caused by the driver's, with the versions tried; no value anywhere."""
    bench.create(user.secret(password="wrong-canary-pw"))
    with pytest.raises(OperationalError) as caught:
        make_database().ensure_connection()
    assert "versions tried" in shown(caught.value)
    assert "canary" not in shown(caught.value)


def test_a_secret_that_is_absent_is_told_with_setting_and_remedy(
    bench: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """``ImproperlyConfigured``: which setting, which secret, what to do."""
    with pytest.raises(ImproperlyConfigured) as caught:
        make_database(NAME="app").ensure_connection()
    told = str(caught.value)
    assert "settings.DATABASES['default']['SECRET'] = 'prod/db'" in told
    assert "create it" in told


def test_a_secret_without_a_password_is_told(
    bench: Any, user: Any, secrets: SecretsClient, make_database: MakeDatabase
) -> None:
    """Named: setting, secret, field."""
    bench.create(user.secret(password=None))
    with pytest.raises(SecretConfigError, match=r"prod/db.*'password' to log in with"):
        make_database().ensure_connection()


def test_an_outage_of_the_backend_is_an_outage_of_the_database(
    make_database: MakeDatabase,
) -> None:
    """``OperationalError``, which health pages and retries know, and not a wrong configuration."""
    from smclient import BackendUnavailableError

    backend = FakeBackend()
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    with (
        clients.replaced("default", SecretsClient(backend, worker=Inline())),
        pytest.raises(OperationalError, match=r"DATABASES\['default'\].*no answer"),
    ):
        make_database(NAME="app").ensure_connection()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"USER": "me"}, "USER come from SECRET"),
        ({"PASSWORD": "plain-canary"}, "PASSWORD come from SECRET"),
        ({"SECRET": "secret://prod/db#password"}, "without a key"),
        ({"SECRET": "prod/db?stage=AWSPREVIOUS"}, "without a key, a stage"),
        ({"SECRET": "prod db"}, "secret name"),
        ({"SECRET_FIELDS": {"SCHEMA": "x"}}, "SCHEMA"),
        ({"SECRET_ALIAS": "other"}, "no such alias"),
    ],
)
def test_an_entry_that_does_not_fit_together_is_refused(
    make_database: MakeDatabase, entry: dict[str, Any], said: str
) -> None:
    """Before anything is asked; what is repeated is never a password."""
    with pytest.raises(ImproperlyConfigured, match=said) as caught:
        make_database(NAME="app", **entry).ensure_connection()
    assert "canary" not in str(caught.value)


def test_dbshell_gets_the_credentials_that_log_in(
    bench: Any,
    user: Any,
    secrets: SecretsClient,
    make_database: MakeDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of a rotation too; the password in the environment of psql, not among its
    arguments."""
    import subprocess

    bench.create(user.secret())
    database = make_database()
    ran: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(subprocess, "run", lambda args, env, check: ran.append((args, env)))
    held_open(bench, lambda: database.client.runshell([]))
    current = bench.value()["password"]
    passwords = [str(env["PGPASSWORD"]) for _, env in ran]
    assert passwords == [user.password, current, current, current]
    for args, _ in ran:
        assert args[0] == "psql"
        assert args[args.index("-U") + 1] == user.name
        assert not {user.password, current} & set(args)
