"""``PostgresSingleUser`` on a real PostgreSQL: what the server and the logs get to see."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from smclient.rotation import PostgresSingleUser
from smclient_demo.postgres_server import PostgresServer
from tests.rotation.helpers_rotation_postgres import Crashing


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
