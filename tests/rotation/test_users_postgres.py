"""What is particular to PostgreSQL: attributes and settings of a role, masters that are no
superusers, verifiers, three drivers."""

from __future__ import annotations

import json
import os
import string
import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.rotation import PostgresAlternatingUsers, PostgresSingleUser, scram
from smclient.rotation.postgres_session import identifier, literal
from smclient_demo.postgres_server import PostgresServer

DRIVERS = ("psycopg", "psycopg2", "pg8000.native")


def rotate(bench: Any, function: Any) -> dict[str, Any]:
    bench.begin(function)
    assert bench.service.run_due().rotated == (bench.arn,)
    value: dict[str, Any] = bench.value()
    return value


def sql(server: PostgresServer, *statements: str) -> list[Any]:
    """Run statements as the superuser; the rows of the last."""
    with server.connect(dbname="shared") as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


# --- what a clone gets ----------------------------------------------------------------------------


def test_attributes_and_settings_of_the_role(postgres_kind: Any, bench: Any, store: Any) -> None:
    """Membership does not pass these on."""
    server = postgres_kind.server
    first = store(postgres_kind, postgres_kind.make(), master=True)
    user = identifier(first["username"])
    sql(
        server,
        f"ALTER ROLE {user} CREATEDB CREATEROLE BYPASSRLS NOINHERIT CONNECTION LIMIT 7",
        f"ALTER ROLE {user} VALID UNTIL '2999-12-31 00:00:00+00'",
        f"""ALTER ROLE {user} SET search_path TO "$user", public, "Odd, one" """,
        f"ALTER ROLE {user} SET statement_timeout TO '70s'",
        f"ALTER ROLE {user} SET log_statement TO 'ddl'",
        f"ALTER ROLE {user} IN DATABASE shared SET my.\"setting\" TO 'it''s \\ 100%'",
    )
    value = rotate(bench, PostgresAlternatingUsers())
    columns = (
        "rolcreatedb, rolcreaterole, rolbypassrls, rolsuper, rolreplication, rolconnlimit, "
        "rolvaliduntil"
    )
    settings = (
        "SELECT setdatabase, unnest(setconfig) FROM pg_db_role_setting s JOIN pg_roles r "
        "ON r.oid = setrole WHERE rolname = {} ORDER BY 1, 2"
    )
    for query in (f"SELECT {columns} FROM pg_roles WHERE rolname = {{}}", settings):
        old, new = (
            sql(server, query.format(literal(name)))
            for name in (first["username"], value["username"])
        )
        assert old == new
        assert old
    assert postgres_kind.may_read(value)  # also from a role that does not inherit


def test_a_setting_the_master_may_not_give_is_left_out(
    postgres_kind: Any, bench: Any, caplog: pytest.LogCaptureFixture, weak_master: Any
) -> None:
    """With a warning that names it; the rotation succeeds."""
    user = identifier(weak_master["username"])
    sql(
        postgres_kind.server,
        f"ALTER ROLE {user} SET log_statement TO 'ddl'",
        f"ALTER ROLE {user} SET statement_timeout TO '70s'",
    )
    value = rotate(bench, PostgresAlternatingUsers())
    assert "the setting log_statement is not copied" in caplog.text
    with postgres_kind.server.connect(value["username"], value["password"], "shared") as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("70s",)
        assert connection.execute("SELECT one FROM readable").fetchone() == (1,)


@pytest.fixture
def weak_master(postgres_kind: Any, bench: Any) -> dict[str, Any]:
    """A secret whose master is no superuser: it may make roles, and grant the user's."""
    server = postgres_kind.server
    first: dict[str, Any] = postgres_kind.make()
    master = f"m_{first['username']}"
    server.create_user(master, "master-pw")
    sql(server, f"ALTER ROLE {identifier(master)} CREATEROLE")
    sql(server, f"GRANT {identifier(first['username'])} TO {identifier(master)} WITH ADMIN OPTION")
    secret = {**postgres_kind.admin_secret(), "username": master, "password": "master-pw"}
    answer = bench.client.call("CreateSecret", Name="m", SecretString=json.dumps(secret))
    first["masterarn"] = answer["ARN"]
    bench.create(first)
    return first


def test_a_master_that_is_no_superuser(
    postgres_kind: Any, bench: Any, weak_master: dict[str, Any]
) -> None:
    """As on RDS, where nobody is."""
    for _ in range(3):
        value = rotate(bench, PostgresAlternatingUsers())
        assert postgres_kind.may_read(value)
        assert weak_master["masterarn"] == value["masterarn"]


def test_a_master_whose_own_rotation_is_under_way(
    postgres_kind: Any, bench: Any, weak_master: dict[str, Any]
) -> None:
    """Its pending password is in force already."""
    master = json.loads(str(bench.client.get("m").text))
    pending = {**master, "password": "master-pw-2"}
    bench.client.call(
        "PutSecretValue",
        SecretId="m",
        SecretString=json.dumps(pending),
        VersionStages=["AWSPENDING"],
    )
    sql(postgres_kind.server, f"ALTER ROLE {identifier(master['username'])} PASSWORD 'master-pw-2'")
    assert postgres_kind.may_read(rotate(bench, PostgresAlternatingUsers()))


def test_a_clone_that_lost_its_membership_gets_it_back(
    postgres_kind: Any, bench: Any, store: Any
) -> None:
    """Found at its next turn."""
    first = store(postgres_kind, postgres_kind.make(), master=True)
    clone = rotate(bench, PostgresAlternatingUsers())
    rotate(bench, PostgresAlternatingUsers())
    old, new = identifier(first["username"]), identifier(clone["username"])
    sql(postgres_kind.server, f"REVOKE {old} FROM {new}")
    assert postgres_kind.may_read(rotate(bench, PostgresAlternatingUsers()))


def test_a_first_user_that_is_gone_is_made_with_all_rights(
    postgres_kind: Any, bench: Any, store: Any
) -> None:
    """Only the clone was restored; and so it goes on, though roles are no members in a circle."""
    made = postgres_kind.make(f"restored_{os.getpid()}_clone")
    clone = store(postgres_kind, made, master=True)["username"]
    sql(
        postgres_kind.server,
        f"ALTER ROLE {identifier(clone)} CREATEDB",
        f"ALTER ROLE {identifier(clone)} SET statement_timeout TO '70s'",
    )
    first = clone.removesuffix("_clone")
    for name in (first, clone, first, clone):
        value = rotate(bench, PostgresAlternatingUsers())
        assert value["username"] == name
        assert postgres_kind.takes(value)
        assert postgres_kind.may_read(value)
    (row,) = sql(
        postgres_kind.server,
        f"SELECT rolcreatedb, rolconfig FROM pg_roles WHERE rolname = {literal(first)}",
    )
    assert row == (True, ["statement_timeout=70s"])


# --- verifiers ------------------------------------------------------------------------------------


def test_the_method_is_the_one_the_server_is_set_to(
    postgres_kind: Any, bench: Any, store: Any
) -> None:
    """A role set to md5 keeps md5: its clients may know nothing else."""
    first = store(postgres_kind, postgres_kind.make(), master=False)
    sql(
        postgres_kind.server,
        f"ALTER ROLE {identifier(first['username'])} SET password_encryption TO 'md5'",
    )
    function = PostgresSingleUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    bench.step(function, "setSecret", token)
    (row,) = sql(
        postgres_kind.server,
        f"SELECT rolpassword FROM pg_authid WHERE rolname = {literal(first['username'])}",
    )
    password = bench.value("AWSPENDING")["password"]
    assert row[0] == scram.md5(password, first["username"])
    assert row[0].startswith("md5")


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_verifiers_are_those_of_libpq(password: str) -> None:
    """For any text, prepared (RFC 4013) or not: compared with libpq's own, on its salt."""
    made = _libpq(password)
    salt = b64decode(made.split(":")[1].split("$")[0])
    assert scram.scram_sha_256(password, salt) == made


def _libpq(password: str) -> str:
    connection = psycopg.pq.PGconn.connect_start(b"host=127.0.0.1 port=1 connect_timeout=1")
    try:
        made: bytes = connection.encrypt_password(password.encode(), b"u", b"scram-sha-256")
    finally:
        connection.finish()
    return made.decode()


# --- quoting, drivers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection(postgres: PostgresServer) -> Iterator[Any]:
    """A connection of the superuser."""
    with postgres.connect() as made:
        yield made


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))))
def test_literals_and_identifiers_come_back(connection: Any, texts: list[str]) -> None:
    """Any text, with either reading of backslashes."""
    for conforming in ("on", "off"):
        connection.execute(f"SET standard_conforming_strings = {conforming}")
        for text in texts:
            assert connection.execute(f"SELECT {literal(text)}").fetchone() == (text,)
            name = (text or "x").encode()[:60].decode(errors="ignore")
            cursor = connection.execute(f"SELECT 1 AS {identifier(name)}")
            assert cursor.description[0].name == name


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver(
    postgres_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """The same statements through each of them; a refused login is one on all."""
    for other in DRIVERS:
        if other != driver:
            monkeypatch.setitem(sys.modules, other, None)

    class Fixed(PostgresAlternatingUsers):
        def new_password(self, rotation: Any) -> str:
            return string.punctuation + "é%s:x"

    store(postgres_kind, postgres_kind.make(f"o'b%s:{driver}"), master=True)
    for function in (Fixed(), Fixed(), PostgresAlternatingUsers(), PostgresSingleUser()):
        value = rotate(bench, function)
        assert postgres_kind.takes(value)
        assert postgres_kind.may_read(value)
