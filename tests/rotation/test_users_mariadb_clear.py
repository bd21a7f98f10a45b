"""When MariaDB is sent a password itself: only where it says that it wants it. Its logs show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient import RotationStepError
from smclient.rotation import MariaDBAlternatingUsers, MariaDBSingleUser, users
from smclient_demo.mariadb_server import MariaDBServer


@pytest.fixture(scope="module")
def logging_server(mariadb: Any) -> Iterator[MariaDBServer]:
    """A server of its own, which writes every statement down."""
    with MariaDBServer(settings={"general-log": "ON"}) as server:
        yield server


@pytest.fixture
def logging_kind(logging_server: MariaDBServer, mariadb_kind: Any) -> Any:
    return type(mariadb_kind)(logging_server)


def log_of(server: MariaDBServer) -> str:
    (row,) = server.execute("SELECT @@datadir, @@general_log_file")
    return Path(row[0], row[1]).read_text(errors="replace")


def test_not_where_the_server_takes_no_changes(logging_kind: Any, bench: Any, store: Any) -> None:
    """It refuses the digest with the number that it has for strict validation, too."""
    server = logging_kind.server
    store(logging_kind, logging_kind.make(), master=False)
    function = MariaDBSingleUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    server.execute("SET GLOBAL read_only = ON")
    try:
        with pytest.raises(RotationStepError, match="could not change the password"):
            bench.step(function, "setSecret", token)
    finally:
        server.execute("SET GLOBAL read_only = OFF")
    assert "SET PASSWORD = '*" in log_of(server)
    assert bench.value("AWSPENDING")["password"] not in log_of(server)


def test_not_where_the_master_may_not_set_it(
    logging_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may make users and grant, and not write to ``mysql``."""
    server = logging_kind.server
    server.create_user("weak", "weak-pw")
    server.execute("GRANT CREATE USER ON *.* TO weak WITH GRANT OPTION")
    server.execute("CREATE DATABASE IF NOT EXISTS shared")
    server.execute("GRANT SELECT ON shared.* TO weak WITH GRANT OPTION")
    weak = {**logging_kind.admin_secret(), "username": "weak", "password": "weak-pw"}
    monkeypatch.setattr(logging_kind, "admin_secret", lambda: weak)
    store(logging_kind, logging_kind.make(), master=True)
    function = MariaDBAlternatingUsers()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="could not make the other user"):
        bench.step(function, "setSecret", token)
    assert "SET PASSWORD FOR" in log_of(server)
    assert bench.value("AWSPENDING")["password"] not in log_of(server)


@pytest.fixture
def plugin(logging_server: MariaDBServer) -> Iterator[Any]:
    """Loads libraries for one test."""
    loaded: list[str] = []

    def load(library: str) -> None:
        logging_server.execute(f"INSTALL SONAME '{library}'")
        loaded.append(library)

    yield load
    for library in loaded:
        logging_server.execute(f"UNINSTALL SONAME '{library}'")


def test_where_it_checks_every_password(
    logging_kind: Any, bench: Any, store: Any, plugin: Any
) -> None:
    """Strict validation: a digest cannot be checked."""
    plugin("simple_password_check")
    made = logging_kind.make(password="Old-password-1")
    store(logging_kind, made, master=True)
    for function in (MariaDBSingleUser(), MariaDBAlternatingUsers()):
        bench.begin(function)
        assert bench.service.run_due().rotated == (bench.arn,)
        assert logging_kind.takes(bench.value())
        assert logging_kind.may_read(bench.value())
    assert not logging_kind.takes(made)


def test_where_the_users_plugin_hashes_another_way(
    logging_kind: Any, bench: Any, store: Any, plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ed25519: the hash that the server shows is that of the pending password. The pending user
    does not log in here: PyMySQL wants another package for that."""
    real = users.log_in
    monkeypatch.setattr(
        users, "log_in", lambda e, login: None if login.label == "pending" else real(e, login)
    )
    plugin("auth_ed25519")
    server = logging_kind.server
    first = store(logging_kind, logging_kind.make(), master=True)
    clone = f"{first['username']}_clone"
    server.execute("CREATE USER %s IDENTIFIED VIA ed25519 USING PASSWORD('before')", clone)
    function = MariaDBAlternatingUsers()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    bench.step(function, "setSecret", token)
    shown = str(server.execute("SHOW CREATE USER %s", clone))
    same = bench.value("AWSPENDING")["password"]
    server.execute("CREATE USER twin IDENTIFIED VIA ed25519 USING PASSWORD(%s)", same)
    twin = str(server.execute("SHOW CREATE USER twin"))
    assert shown.partition(" USING ")[2].split("'")[1] == twin.partition(" USING ")[2].split("'")[1]
    server.execute("DROP USER twin, %s", clone)
