"""What is particular to MariaDB and MySQL: accounts with a host, grants of every sort, SQL modes,
three drivers."""

from __future__ import annotations

import os
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import ConfigError, MissingExtraError, RotationStepError
from smclient.rotation import (
    MariaDBAlternatingUsers,
    MariaDBSingleUser,
    MySQLAlternatingUsers,
    MySQLSingleUser,
)
from smclient.rotation.mysql_grants import grants_for, requirements
from smclient_demo.mariadb_server import MariaDBServer

DRIVERS = ("pymysql", "MySQLdb", "mysql.connector")


def rotate(bench: Any, function: Any) -> dict[str, Any]:
    bench.begin(function)
    assert bench.service.run_due().rotated == (bench.arn,)
    value: dict[str, Any] = bench.value()
    return value


def grants(server: MariaDBServer, user: str, host: str = "%") -> list[str]:
    """What a user may do, without its name and password."""
    rows = server.execute("SHOW GRANTS FOR %s@%s", user, host)
    found = (str(row[0]).replace(user, "?") for row in rows)
    return sorted(
        text.split(" IDENTIFIED BY PASSWORD ")[0] + text.partition("'?'")[2] for text in found
    )


# --- grants ---------------------------------------------------------------------------------------


def test_every_sort_of_grant_is_the_clones_too(mariadb_kind: Any, bench: Any, store: Any) -> None:
    """Global, database with wildcards, table, column, routine; grant option, roles, TLS, limits."""
    server = mariadb_kind.server
    first = store(mariadb_kind, mariadb_kind.make(), master=True)
    user = first["username"]
    for statement in (
        "CREATE DATABASE IF NOT EXISTS `odd_db``%%`",
        "CREATE TABLE IF NOT EXISTS shared.columns (a INT, b INT)",
        "CREATE OR REPLACE FUNCTION shared.f() RETURNS INT RETURN 1",
        "CREATE ROLE IF NOT EXISTS reporter",
        "GRANT SELECT ON shared.* TO reporter",
    ):
        server.execute(statement.replace("%%", "%"))
    for statement in (
        "GRANT PROCESS ON *.* TO {} REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 700",
        "GRANT ALL ON `odd\\_db``\\%%`.* TO {} WITH GRANT OPTION",
        "GRANT SELECT (a), UPDATE (a, b) ON shared.columns TO {}",
        "GRANT EXECUTE ON FUNCTION shared.f TO {}",
        "GRANT reporter TO {} WITH ADMIN OPTION",
        "SET DEFAULT ROLE reporter FOR {}",
        "GRANT PROXY ON 'someone'@'%%' TO {}",
    ):
        server.execute(statement.format("%s@'%%'"), user)
    server.execute("ALTER USER %s@'%%' REQUIRE NONE", user)  # this server has no TLS
    value = rotate(bench, MariaDBAlternatingUsers())
    assert value["username"] == f"{user}_clone"
    assert len(grants(server, user)) >= 8
    assert grants(server, f"{user}_clone") == grants(server, user)
    shown = str(server.execute("SHOW CREATE USER %s@'%%'", f"{user}_clone"))
    assert "MAX_QUERIES_PER_HOUR 700" in shown


def test_what_a_login_requires_is_required_of_the_clone() -> None:
    """The statement of SHOW GRANTS carries it on MariaDB."""
    shown = (
        "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SSL WITH GRANT OPTION"
    )
    assert list(grants_for([shown], "u", "%", "u_clone")) == [
        "GRANT USAGE ON *.* TO 'u_clone'@'%' REQUIRE SSL WITH GRANT OPTION"
    ]


def test_later_grants_reach_the_other_user_with_its_turn(
    mariadb_kind: Any, bench: Any, store: Any
) -> None:
    """As with AWS's function, which copies them at each rotation."""
    server = mariadb_kind.server
    first = store(mariadb_kind, mariadb_kind.make(), master=True)
    clone = rotate(bench, MariaDBAlternatingUsers())["username"]
    server.execute("CREATE TABLE IF NOT EXISTS shared.later (a INT)")
    server.execute("GRANT INSERT ON shared.later TO %s@'%%'", clone)
    rotate(bench, MariaDBAlternatingUsers())
    assert grants(server, first["username"]) == grants(server, clone)


def test_a_master_that_may_not_grant(
    mariadb_kind: Any, bench: Any, store: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pending user exists, and cannot log in: never with fewer rights than the current one."""
    server = mariadb_kind.server
    server.execute(
        "CREATE OR REPLACE USER weak@'%%' IDENTIFIED BY 'weak-canary-3f'".replace("%%", "%")
    )
    server.execute("GRANT CREATE USER ON *.* TO weak@'%%'".replace("%%", "%"))
    weak = {**mariadb_kind.admin_secret(), "username": "weak", "password": "weak-canary-3f"}
    monkeypatch.setattr(mariadb_kind, "admin_secret", lambda: weak)
    store(mariadb_kind, mariadb_kind.make(), master=True)
    function = MariaDBAlternatingUsers()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="could not make the other user") as caught:
        bench.step(function, "setSecret", token)
    text = shown(caught.value)
    assert "weak-canary" not in text
    assert bench.value("AWSPENDING")["password"] not in text
    assert not mariadb_kind.takes(bench.value("AWSPENDING"))
    assert mariadb_kind.takes(bench.value())


# --- the host of an account -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.%", "127.0.0.0/255.255.255.0"])
def test_the_account_that_the_login_matches_is_rotated(
    mariadb_kind: Any, bench: Any, host: str
) -> None:
    """Another account of that name, at another host, keeps its password; the clone has the host."""
    server: MariaDBServer = mariadb_kind.server
    user = f"h{abs(hash(host)) % 10**8}_{os.getpid()}"
    server.create_user(user, "old", host=host)
    server.create_user(user, "elsewhere", host="192.0.2.1")
    server.execute("GRANT SELECT ON mysql.* TO %s@%s", user, host)
    before = server.execute("SHOW CREATE USER %s@'192.0.2.1'", user)
    secret = {**mariadb_kind.make(), "username": user, "password": "old"}
    master = bench.client.call("CreateSecret", Name="m", SecretString=_json(server.admin_secret()))
    bench.create({**secret, "masterarn": master["ARN"]})
    assert mariadb_kind.takes(rotate(bench, MariaDBSingleUser()))
    assert not mariadb_kind.takes(secret)
    assert server.execute("SHOW CREATE USER %s@'192.0.2.1'", user) == before
    clone = rotate(bench, MariaDBAlternatingUsers())
    assert mariadb_kind.takes(clone)
    assert grants(server, clone["username"], host) == grants(server, user, host)


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


# --- SQL modes ------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=["NO_BACKSLASH_ESCAPES", "ANSI,NO_BACKSLASH_ESCAPES", "ANSI"]
)
def odd_mode(request: pytest.FixtureRequest, mariadb: Any) -> Iterator[MariaDBServer]:
    """A server that reads strings and quotes differently."""
    with MariaDBServer(settings={"sql-mode": request.param}) as server:
        yield server


@pytest.mark.parametrize("name", ["o'brien", "back\\slash\\'", 'say "hi"', "a`b"])
def test_any_sql_mode(
    odd_mode: MariaDBServer, mariadb_kind: Any, bench: Any, store: Any, name: str
) -> None:
    """Names and passwords are quoted for the session, whatever the server is set to."""
    kind = type(mariadb_kind)(odd_mode)

    class Fixed(MariaDBAlternatingUsers):
        def new_password(self, rotation: Any) -> str:
            return string.punctuation + "\\"

    first = store(kind, kind.make(name), master=True)
    for _ in range(2):
        value = rotate(bench, Fixed())
        assert kind.takes(value)
        assert kind.may_read(value)
    value = rotate(bench, MariaDBAlternatingUsers())
    assert kind.takes(value)
    assert not kind.takes(first)


# --- engines, logs, drivers -----------------------------------------------------------------------


def test_the_function_for_mysql_on_mariadb(mariadb_kind: Any, bench: Any, store: Any) -> None:
    """The statements follow what the server is; the secret's engine, what the function is."""
    store(mariadb_kind, {**mariadb_kind.make(), "engine": "mysql"}, master=False)
    assert mariadb_kind.takes(rotate(bench, MySQLSingleUser()))


def test_the_servers_log_has_no_password(mariadb_kind: Any, bench: Any, store: Any) -> None:
    """With the general log on, statements are there and passwords are not."""
    server = mariadb_kind.server
    store(mariadb_kind, mariadb_kind.make(), master=True)
    (row,) = server.execute("SELECT @@datadir, @@general_log_file")
    server.execute("SET GLOBAL general_log = ON")
    try:
        values = [rotate(bench, MariaDBAlternatingUsers()) for _ in "ab"]
        bench.put({**bench.value(), "masterarn": None})
        values.append(rotate(bench, MariaDBSingleUser()))
    finally:
        server.execute("SET GLOBAL general_log = OFF")
    text = Path(row[0], row[1]).read_text(errors="replace")
    assert "GRANT SELECT" in text
    assert "SET PASSWORD" in text
    for value in values:
        assert value["password"] not in text


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver(
    mariadb_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """The same statements through each of them; a refused login is one on all."""
    pytest.importorskip(driver)
    for other in DRIVERS:
        if other != driver:
            monkeypatch.setitem(sys.modules, other, None)

    class Fixed(MariaDBAlternatingUsers):
        def new_password(self, rotation: Any) -> str:
            return string.punctuation + "é%s"

    store(mariadb_kind, mariadb_kind.make(f"o'b%s-{driver}"), master=True)
    for function in (Fixed(), Fixed(), MariaDBAlternatingUsers()):
        value = rotate(bench, function)
        assert mariadb_kind.takes(value)
        assert mariadb_kind.may_read(value)


def test_no_driver_at_all(
    mariadb_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the extra."""
    store(mariadb_kind, mariadb_kind.make(), master=False)
    token = bench.begin(MariaDBSingleUser())
    bench.step(MariaDBSingleUser(), "createSecret", token)
    for driver in DRIVERS:
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(MissingExtraError, match=r"smclient\[mysql\]"):
        bench.step(MariaDBSingleUser(), "setSecret", token)


def test_tls_that_is_demanded_is_not_done_without(
    mariadb_kind: Any, bench: Any, store: Any
) -> None:
    """``"ssl": true`` never falls back to plain text; without it the server decides."""
    store(mariadb_kind, {**mariadb_kind.make(), "ssl": "True"}, master=False)
    token = bench.begin(MariaDBSingleUser())
    bench.step(MariaDBSingleUser(), "createSecret", token)
    with pytest.raises(RotationStepError, match="cannot reach the database") as caught:
        bench.step(MariaDBSingleUser(), "setSecret", token)
    assert isinstance(caught.value.__cause__, pymysql.OperationalError)


# --- texts, no server -----------------------------------------------------------------------------


def test_a_user_name_limit_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWS's function has it: 16 where the server is that old."""
    engine = MySQLAlternatingUsers.engine()
    assert engine.check_name("u" * 32) is None
    assert engine.check_name("u" * 33)
    monkeypatch.setenv("USERNAME_CHARACTER_LIMIT", "16")
    assert engine.check_name("u" * 17)
    monkeypatch.setenv("USERNAME_CHARACTER_LIMIT", "many")
    with pytest.raises(ConfigError, match="USERNAME_CHARACTER_LIMIT"):
        engine.check_name("u")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("GRANT SELECT ON `d`.* TO `u`@`%`", "GRANT SELECT ON `d`.* TO 'n'@'%'"),
        ("GRANT SELECT ON `d`.* TO 'u'@'%'", "GRANT SELECT ON `d`.* TO 'n'@'%'"),
        (
            "GRANT `r`@`%` TO `u`@`%` WITH ADMIN OPTION",
            "GRANT `r`@`%` TO 'n'@'%' WITH ADMIN OPTION",
        ),
        ("REVOKE SELECT ON `d`.* FROM `u`@`%`", "REVOKE SELECT ON `d`.* FROM 'n'@'%'"),
        ("SET DEFAULT ROLE `r` FOR `u`@`%`", "SET DEFAULT ROLE `r` FOR 'n'@'%'"),
        (
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*0A'",
            "GRANT USAGE ON *.* TO 'n'@'%'",
        ),
        (
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED VIA ed25519 USING 'x' OR unix_socket",
            "GRANT USAGE ON *.* TO 'n'@'%'",
        ),
        (
            "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED IN A NEW WAY 'x'",
            "GRANT USAGE ON *.* TO 'n'@'%'",
        ),
        ("GRANT SELECT ON `d`.* TO `r`", None),
        ("GRANT SELECT ON `d`.* TO `u2`@`%`", None),
        ("GRANT SELECT ON `d`.* TO `u`@`10.%`", None),
    ],
)
def test_grants_as_servers_show_them(shown: str, expected: str | None) -> None:
    """The name at the end is changed, the password is cut out, others' grants are left out."""
    assert list(grants_for([shown], "u", "%", "n")) == ([expected] if expected else [])


@given(st.text(min_size=1), st.text(st.characters(blacklist_characters="'`\\"), min_size=1))
def test_grants_are_found_for_any_name(user: str, other: str) -> None:
    """Also a name that looks like the end of a statement."""
    shown = "GRANT SELECT ON `a TO b`.* TO `{}`@`%` WITH GRANT OPTION".format(
        user.replace("`", "``")
    )
    assert list(grants_for([shown], user, "%", other)) == [
        f"GRANT SELECT ON `a TO b`.* TO '{other}'@'%' WITH GRANT OPTION"
    ]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (
            "CREATE USER `u`@`%` IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$ REQUIRE X' "
            "DEFAULT ROLE `r`@`%` REQUIRE SUBJECT '/CN=a PASSWORD b' WITH MAX_USER_CONNECTIONS 3 "
            "PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK PASSWORD HISTORY DEFAULT",
            "REQUIRE SUBJECT '/CN=a PASSWORD b' WITH MAX_USER_CONNECTIONS 3",
        ),
        ("CREATE USER `u`@`%` IDENTIFIED WITH 'x' REQUIRE NONE PASSWORD EXPIRE", "REQUIRE NONE"),
        ("CREATE USER `u`@`%` IDENTIFIED BY PASSWORD '*0A'", None),
    ],
)
def test_requirements_as_mysql_shows_them(shown: str, expected: str | None) -> None:
    """What follows REQUIRE, and nothing of the password or its expiry."""
    assert requirements(shown) == expected
