"""``PostgresSingleUser`` on a real PostgreSQL: whole rotations, failures at every step, secrets
that do not fit, and what the server gets to see."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from smclient import MissingExtraError, NotJsonError, RotationStepError
from smclient.rotation import PasswordRules, PostgresSingleUser, Rotation
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded.scheduler import Done

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
Shown = Callable[[BaseException], str]


class Crashing(PostgresSingleUser):
    """Breaks off once, before or after the work of one step."""

    def __init__(self, step: str, when: str) -> None:
        super().__init__()
        self.armed = True
        self._step = step
        self._when = when
        self.calls: list[tuple[str, str]] = []

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        self.calls.append((event["Step"], event["ClientRequestToken"]))
        if self._when == "before":
            self._break(event)
        super().__call__(event, context)
        self._break(event)

    def _break(self, event: Mapping[str, Any]) -> None:
        if self.armed and event["Step"] == self._step:
            self.armed = False
            raise OSError("the machine of the function went away")


class Fixed(PostgresSingleUser):
    """Rotates to a given password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        return {**super().new_value(rotation), "password": self._password}


# --- whole rotations ------------------------------------------------------------------------------


def test_rotations_in_a_row(bench: Any, user: Any) -> None:
    """Each time the database takes the new password only, and nothing else of the secret moves."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    used = [user.password]
    for _ in range(3):
        bench.begin(function)
        assert bench.service.run_due().rotated == (bench.arn,)
        current = bench.value()
        assert user.takes(current["password"])
        assert not user.takes(used[-1])
        assert bench.value("AWSPREVIOUS")["password"] == used[-1]
        assert current == user.secret(password=current["password"])
        used.append(current["password"])
    assert len(set(used)) == 4


def test_each_step_twice_in_a_row(bench: Any, user: Any) -> None:
    """Steps repeated find their work done."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    token = bench.begin(function)
    for step in STEPS:
        for _ in range(2):
            bench.step(function, step, token)
    assert bench.labels()["AWSCURRENT"] == token
    assert user.takes(bench.value()["password"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_the_next_try(
    bench: Any, user: Any, step: str, when: str
) -> None:
    """All four steps run again with the same token; the password that was stored first is the one
    that is set. The crash after setSecret is the one that leaves AWSCURRENT wrong meanwhile."""
    bench.create(user.secret())
    function = Crashing(step, when)
    token = bench.begin(function)
    assert bench.service.run_due().failed == (bench.arn,)
    stored = None
    if (step, when) not in [("createSecret", "before"), ("finishSecret", "after")]:
        stored = bench.value("AWSPENDING")["password"]
        was_set = step in STEPS[2:] or (step, when) == ("setSecret", "after")
        assert user.takes(stored) is was_set
        assert user.takes(user.password) is not was_set
    assert bench.service.run_due() == Done()  # not due again yet
    bench.clock.advance(minutes=5)
    assert bench.service.run_due().rotated == (bench.arn,)
    assert {token_ for _, token_ in function.calls} == {token}
    assert [name for name, _ in function.calls][-4:] == list(STEPS)
    assert bench.labels()["AWSCURRENT"] == token
    current = bench.value()["password"]
    assert stored in (None, current)
    assert user.takes(current)
    assert not user.takes(user.password)


def test_the_previous_password_serves_where_the_current_one_does_not(bench: Any, user: Any) -> None:
    """Somebody stored a password that was never set; the one before still logs in."""
    bench.create(user.secret())
    bench.put(user.secret(password="never-set-in-the-database"))
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])
    assert not user.takes(user.password)


@pytest.mark.parametrize(
    "password",
    [
        "it's",
        'double " quote',
        "back\\slash",
        "100%s %(name)s {} $1",
        "пароль-密码-é",
        " leading and trailing ",
        "a" * 200,
        "semi;colon--comment/*",
    ],
)
def test_odd_passwords(bench: Any, make_user: Any, password: str) -> None:
    """Into one and out of it again: both sides of a rotation take any text."""
    user = make_user()
    bench.create(user.secret())
    bench.begin(Fixed(password))
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(password)
    assert not user.takes(user.password)
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])
    assert not user.takes(password)


@pytest.mark.parametrize(
    "name",
    ["O'Brien", 'double "quoted"', "MixedCase", "user name", "naïve-用户", "100%s {}", "a;--b\\"],
)
def test_odd_user_names(bench: Any, make_user: Any, name: str) -> None:
    """Names are quoted as identifiers and stay as they are."""
    user = make_user(name=name)
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert bench.value()["username"] == name
    assert user.takes(bench.value()["password"])
    assert not user.takes(user.password)


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": None},
        {"engine": "postgresql"},
        {"engine": "aurora-postgresql"},
        {"port": "as text"},
        {"ssl": False},
        {"ssl": "False"},
        {"ssl": "nonsense"},
        {"dbname": None},
        {"dbname": ""},
    ],
    ids=str,
)
def test_secrets_as_awss_templates_allow_them(
    bench: Any, user: Any, changes: dict[str, Any]
) -> None:
    """Engine names, a port as text, ``ssl`` in several spellings, no database name."""
    if "port" in changes:
        changes = {"port": str(user.server.port)}
    bench.create(user.secret(**changes))
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])


def test_a_server_without_tls_is_refused_where_tls_is_demanded(
    bench: Any, user: Any, shown: Shown
) -> None:
    """``"ssl": true`` never falls back to plain text."""
    bench.create(user.secret(ssl=True))
    error = failure(bench, "setSecret")
    assert "cannot reach the database" in str(error)
    assert user.password not in shown(error)
    assert user.takes(user.password)


def test_password_rules_are_kept(bench: Any, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment as in AWS Lambda, or given in code."""
    monkeypatch.setenv("PASSWORD_LENGTH", "17")
    monkeypatch.setenv("EXCLUDE_PUNCTUATION", "true")
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    assert len(bench.value()["password"]) == 17
    assert bench.value()["password"].isalnum()
    bench.begin(PostgresSingleUser(PasswordRules(length=40)))
    assert bench.service.run_due().rotated
    assert len(bench.value()["password"]) == 40


def test_default_passwords_fit_a_connection_url(bench: Any, user: Any) -> None:
    """None of the characters that break URLs and quoting, though nothing was configured."""
    bench.create(user.secret())
    rotation = Rotation(bench.secrets, bench.arn, str(uuid.uuid4()))
    for _ in range(20):
        password = PostgresSingleUser().new_value(rotation)["password"]
        assert len(password) == 32
        assert not set(password) & set(":/@\"'\\")


# --- what is refused, with one clear error --------------------------------------------------------


def failure(bench: Any, step: str, pending: dict[str, Any] | None = None) -> RotationStepError:
    """The error of one step of a new rotation, after those before it; ``pending`` is put in place
    of what createSecret would make."""
    function = PostgresSingleUser()
    token = bench.begin(function)
    if pending is not None:
        bench.put(pending, ClientRequestToken=token, VersionStages=["AWSPENDING"])
    before = bench.labels()
    for name in STEPS[: STEPS.index(step)]:
        bench.step(function, name, token)
    with pytest.raises(RotationStepError) as caught:
        bench.step(function, step, token)
    assert f"secret {bench.arn}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert bench.labels() == before  # a step that failed moved nothing
    return caught.value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"engine": "mysql"}, "engine is not postgres"),
        ({"host": None}, "it has no host"),
        ({"username": None, "host": None}, "it has no host, username"),
        ({"password": ""}, "it has no password"),
    ],
)
def test_a_secret_that_is_no_postgres_login(
    bench: Any, user: Any, shown: Shown, changes: dict[str, Any], said: str
) -> None:
    """createSecret refuses before it makes a password that could never be set."""
    bench.create(user.secret(**changes))
    error = failure(bench, "createSecret")
    assert said in str(error)
    assert user.password not in shown(error)
    assert "AWSPENDING" in bench.labels()
    assert user.takes(user.password)


@pytest.mark.parametrize(
    ("port", "step"),
    [
        *((port, "createSecret") for port in ("five", "54 32", [5432], {"a": 1}, True, -1, 54.5)),
        (70000, "setSecret"),
    ],
)
def test_a_port_that_is_none(bench: Any, user: Any, shown: Shown, port: Any, step: str) -> None:
    """The message names the field, not an int() somewhere inside."""
    bench.create({**user.secret(), "port": port})
    error = failure(bench, step)
    assert "port" in str(error)
    assert user.password not in shown(error)


@pytest.mark.parametrize(
    "text", ["canary-no-json-31", '"canary-no-json-31"', '["canary-no-json-31"]']
)
def test_a_secret_that_is_no_json_object(bench: Any, shown: Shown, text: str) -> None:
    """The core's own error, which does not repeat the text."""
    bench.create(text)
    function = PostgresSingleUser()
    token = bench.begin(function)
    with pytest.raises(NotJsonError) as caught:
        bench.step(function, "createSecret", token)
    assert "canary-no-json-31" not in shown(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"username": "somebody_else"}, "username differs between versions"),
        ({"host": "127.0.0.2"}, "host differs between versions"),
        ({"engine": "mysql"}, "engine is not postgres"),
    ],
)
def test_another_user_or_host_in_pending(
    bench: Any, user: Any, shown: Shown, changes: dict[str, str], said: str
) -> None:
    """A pending version that points elsewhere could change a stranger's password."""
    bench.create(user.secret())
    pending = user.secret(password="canary-pending-90fd", **changes)
    error = failure(bench, "setSecret", pending)
    assert said in str(error)
    assert "canary-pending-90fd" not in shown(error)
    assert user.password not in shown(error)
    assert user.takes(user.password)


def test_another_user_in_previous_is_not_used(bench: Any, make_user: Any, shown: Shown) -> None:
    """AWSPREVIOUS may be of another user, when the secret was given to somebody else."""
    first, second = make_user(), make_user()
    bench.create(first.secret())
    bench.put(second.secret(password="wrong-for-the-second"))
    error = failure(bench, "setSecret")
    assert "username differs" in str(error)
    assert first.password not in shown(error)
    assert first.takes(first.password)
    assert second.takes(second.password)


def test_an_unreachable_host(bench: Any, user: Any, shown: Shown) -> None:
    """Said at once, as what it is, with no other credentials tried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bench.create(user.secret(port=port))
    error = failure(bench, "setSecret")
    assert "cannot reach the database with the pending credentials" in str(error)
    assert isinstance(error.__cause__, psycopg.OperationalError)
    assert_shows_none(shown(error), bench, user)


def test_a_database_that_does_not_exist(bench: Any, user: Any, shown: Shown) -> None:
    """Not taken for a bad password."""
    bench.create(user.secret(dbname="nowhere"))
    function = PostgresSingleUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="cannot reach the database") as caught:
        bench.step(function, "setSecret", token)
    assert_shows_none(shown(caught.value), bench, user)


def test_no_password_works(bench: Any, user: Any, shown: Shown) -> None:
    """Pending, current and previous are refused: the message says what to do."""
    bench.create(user.secret(password="canary-previous-2b"))
    bench.put(user.secret(password="canary-current-4c"))
    error = failure(bench, "setSecret")
    assert "neither the pending nor the current nor the previous password" in str(error)
    text = shown(error)
    assert "canary-" not in text
    assert_shows_none(text, bench, user)
    assert user.takes(user.password)


def test_the_pending_password_is_refused_at_the_test(bench: Any, user: Any, shown: Shown) -> None:
    """Somebody set another password between the two steps."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    token = bench.begin(function)
    for step in STEPS[:2]:
        bench.step(function, step, token)
    user.set_password("set-by-hand")
    with pytest.raises(RotationStepError, match="refuses the pending password") as caught:
        bench.step(function, "testSecret", token)
    assert_shows_none(shown(caught.value), bench, user)
    assert bench.labels()["AWSPENDING"] == token


@pytest.mark.parametrize("step", ["setSecret", "testSecret"])
def test_a_step_before_create(bench: Any, user: Any, step: str) -> None:
    """Called out of order it says what is missing."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    token = bench.begin(function)
    with pytest.raises(RotationStepError, match="createSecret has stored no value"):
        bench.step(function, step, token)


def test_a_user_that_may_not_change_its_password(bench: Any, user: Any, shown: Shown) -> None:
    """The database's refusal of the statement shows neither password nor verifier."""
    bench.create(user.secret())
    with user.server.connect() as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(
                sql.Identifier(user.name)
            )
        )
    function = PostgresSingleUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="ReadOnlySqlTransaction") as caught:
        bench.step(function, "setSecret", token)
    text = shown(caught.value)
    assert_shows_none(text, bench, user)
    assert "SCRAM-SHA-256$" not in text
    assert user.takes(user.password)


def test_a_driver_that_is_not_installed(
    bench: Any, monkeypatch: pytest.MonkeyPatch, user: Any
) -> None:
    """The message names the extra."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    for driver in ("psycopg", "psycopg2", "pg8000.native"):
        monkeypatch.setitem(__import__("sys").modules, driver, None)
    with pytest.raises(MissingExtraError, match=r"smclient\[postgresql\]"):
        bench.step(function, "setSecret", token)


def assert_shows_none(text: str, bench: Any, user: Any) -> None:
    """Neither the database's password nor the pending one."""
    assert user.password not in text
    assert bench.value()["password"] not in text
    if "AWSPENDING" in bench.labels():
        assert bench.value("AWSPENDING")["password"] not in text


# --- what the server and the logs get to see ------------------------------------------------------


def server_log(server: PostgresServer) -> Path:
    with server.connect() as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0]).parent / "log"


def test_the_server_never_sees_the_clear_password(bench: Any, user: Any) -> None:
    """With every statement logged, the log holds ALTER USER with a SCRAM verifier."""
    with user.server.connect() as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} SET log_statement = 'all'").format(sql.Identifier(user.name))
        )
    bench.create(user.secret())
    log = server_log(user.server)
    before = len(log.read_bytes())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    text = log.read_bytes()[before:].decode()
    assert f'ALTER USER "{user.name}" WITH PASSWORD' in text
    assert "SCRAM-SHA-256$4096:" in text
    assert "SELECT now()" in text  # the test step is logged too: nothing was left out
    assert bench.value()["password"] not in text
    assert user.password not in text
    with user.server.connect() as connection:
        row = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [user.name]
        ).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")


def test_no_value_in_our_logs(bench: Any, user: Any, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, through a good rotation and one where no password works."""
    caplog.set_level(logging.DEBUG)
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    good = bench.value()["password"]
    user.set_password("set-by-hand-canary")
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().failed
    pending = bench.value("AWSPENDING")["password"]
    assert "setSecret raised RotationStepError" in caplog.text
    for password in (user.password, good, pending, "set-by-hand-canary", "SCRAM-SHA-256$"):
        assert password not in caplog.text


def test_no_connection_is_left_behind(bench: Any, user: Any) -> None:
    """Every step closes what it opened, also when it fails."""
    bench.create(user.secret())
    function = Crashing("testSecret", "after")
    bench.begin(function)
    assert bench.service.run_due().failed
    bench.clock.advance(minutes=5)
    assert bench.service.run_due().rotated
    with user.server.connect() as connection:
        for _ in range(200):  # a server process ends a moment after its client
            row = connection.execute(
                "SELECT count(*), pg_sleep(0.01) FROM pg_stat_activity WHERE usename = %s",
                [user.name],
            ).fetchone()
            if row and row[0] == 0:
                break
    assert row is not None
    assert row[0] == 0
