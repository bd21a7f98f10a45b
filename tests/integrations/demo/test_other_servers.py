"""The MariaDB and the Redis of the tests: private, restartable, and gone without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
import redis

from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.redis_server import RedisServer
from smclient_demo.server_home import ServerStartError, ServerUnavailableError
from tests.servers import started

ROOT = Path(__file__).parents[3]
REFUSED = (pymysql.OperationalError, redis.exceptions.AuthenticationError)


@pytest.fixture(params=[MariaDBServer, RedisServer], ids=["mariadb", "redis"])
def own(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server of the test's own."""
    server = started(request.param())
    yield server
    server.stop()


def test_only_who_knows_the_password_gets_in(own: Any) -> None:
    """Neither without a user, nor with the wrong password; users made later do get in."""
    own.connect().close()
    for name, password in ((own.admin, "wrong"), ("root", ""), ("default", "")):
        with pytest.raises(REFUSED):
            own.connect(name, password)
    own.create_user("o'b%s\\x", "pass'\\%`")
    own.connect("o'b%s\\x", "pass'\\%`").close()


def test_it_keeps_port_and_users_over_a_restart(own: Any) -> None:
    """A crash loses nothing that was saved."""
    own.create_user("kept", "word")
    if isinstance(own, RedisServer):
        with own.connect() as client:
            client.execute_command("ACL", "SAVE")
    port = own.port
    own.kill()
    own.restart()
    assert own.port == port
    own.connect("kept", "word").close()


def test_nothing_is_left(own: Any) -> None:
    """Stopping twice is fine; folder and process are gone."""
    folder = own._home.folder
    assert folder.exists()
    own.stop()
    own.stop()
    assert not folder.exists()
    with pytest.raises((pymysql.OperationalError, redis.exceptions.ConnectionError)):
        own.connect()


@pytest.mark.skipif(os.geteuid() != 0, reason="about a server started by root")
def test_it_does_not_run_as_root(own: Any) -> None:
    """Its data belong to an unprivileged account."""
    assert own._home.data.stat().st_uid != 0
    assert own._home.folder.stat().st_mode & 0o077 == 0o010


def test_no_password_is_in_its_folder_or_arguments(own: Any) -> None:
    """Passwords came in by standard input, or as digests."""
    password = own.admin_password.encode()
    for path in own._home.folder.rglob("*"):
        if path.is_file():
            assert password not in path.read_bytes(), path.name
    for argument in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert password not in argument.read_bytes()
        except OSError:  # it ended meanwhile
            continue


def test_a_setting_that_is_none_is_told_with_the_log() -> None:
    """The error carries what the server said."""
    server = MariaDBServer(settings={"no-such-setting": 1})
    try:
        with pytest.raises(ServerStartError, match="no-such-setting"):
            server.start()
    except ServerUnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("fixture", ["mariadb", "redis_server"])
@pytest.mark.parametrize(("required", "code"), [("0", 0), ("1", 1)])
def test_a_server_that_cannot_be_had(
    tmp_path: Path, fixture: str, required: str, code: int
) -> None:
    """Tests that need one are skipped, or fail under REQUIRE_SERVERS=1, and say what to install."""
    test = tmp_path / "test_needs_one.py"
    test.write_text(f"from conftest import *\n\ndef test_one({fixture}): pass\n")
    nowhere = (
        "import sys, pytest\n"
        "from smclient_demo import mariadb_server\n"
        "mariadb_server.FOLDERS = ()\n"
        "sys.exit(pytest.main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            nowhere,
            "-p",
            "no:cacheprovider",
            "-rs",
            "-c",
            "/dev/null",
            str(test),
        ],
        env={
            **os.environ,
            "PATH": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests", *sys.path))),
            "REQUIRE_SERVERS": required,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("1 error" if code else "1 skipped") in done.stdout
    assert "apt-get install" in done.stdout + done.stderr
