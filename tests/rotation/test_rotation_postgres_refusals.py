"""``PostgresSingleUser`` on a real PostgreSQL: what is refused, with one clear error."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from smclient import MissingExtraError, NotJsonError, RotationStepError
from smclient.rotation import PostgresSingleUser
from tests.rotation.helpers_rotation_postgres import STEPS

Shown = Callable[[BaseException], str]


def test_a_server_without_tls_is_refused_where_tls_is_demanded(
    bench: Any, user: Any, shown: Shown
) -> None:
    """``"ssl": true`` never falls back to plain text."""
    bench.create(user.secret(ssl=True))
    error = failure(bench, "setSecret")
    assert "cannot reach the database" in str(error)
    assert user.password not in shown(error)
    assert user.takes(user.password)


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
