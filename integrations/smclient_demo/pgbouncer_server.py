"""A real PgBouncer for the tests, in front of a PostgreSQL: our child process, as the others are.

It asks PostgreSQL for what it knows of a user (``auth_query``), so that a password that is changed
there holds here at the next login.
"""

import atexit
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Self

from smclient_demo.postgres_server import PostgresServer
from smclient_demo.server_home import (
    HOST,
    Home,
    ServerStartError,
    ServerUnavailableError,
    launch_on_free_port,
)

ACCOUNTS = ("postgres", "nobody")
FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")


class PgBouncerServer:
    """One pooler before a server that is running, from ``start`` to ``stop`` or in a ``with``.

    Args:
        behind: the PostgreSQL.
        startup_timeout: seconds until ``start`` gives up.
    """

    host = HOST

    def __init__(self, behind: PostgresServer, *, startup_timeout: float = 30.0) -> None:
        self.port = 0  # 0 until started
        self._behind = behind
        self._startup_timeout = startup_timeout
        self._home: Home | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the pooler and wait until it listens.

        Raises:
            ServerUnavailableError: there is no PgBouncer here.
            ServerStartError: it does not come up.
        """
        program = _find()
        self._home = home = Home("pgbouncer", ACCOUNTS)
        atexit.register(self.stop)
        try:
            home.make_data()
            launch_on_free_port(lambda port: self._launch(home, program, port))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the pooler and remove its folder; does nothing when it is not started."""
        if self._home is None:
            return
        atexit.unregister(self.stop)
        try:
            self._home.end(signal.SIGKILL)
        finally:
            self._home.remove()
            self._home = None

    def _launch(self, home: Home, program: Path, port: int) -> None:
        self.port = port
        server = self._behind
        users, config = home.data / "users.txt", home.data / "pgbouncer.ini"
        _write(home, users, f'"{server.superuser}" "{server.superuser_password}"\n')
        _write(
            home,
            config,
            f"""[databases]
* = host={server.host} port={server.port} auth_user={server.superuser}
[pgbouncer]
listen_addr = {HOST}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
pool_mode = session
server_login_retry = 0
query_wait_timeout = 3
""",  # noqa: S608  the settings of a child process
        )
        home.run(program, config)
        deadline = time.monotonic() + self._startup_timeout
        while home.exit_code(0.02) is None:
            try:
                socket.create_connection((HOST, port), 1).close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    home.end(signal.SIGKILL)
                    raise ServerStartError(f"it does not listen{home.log_tail()}") from error
        raise ServerStartError(f"PgBouncer exited{home.log_tail()}")


def _write(home: Home, path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    home.give(path)


def _find() -> Path:
    found = shutil.which("pgbouncer", path=":".join(FOLDERS))
    if found is None:
        raise ServerUnavailableError(
            "no PgBouncer on this machine: `apt-get install pgbouncer`, or your system's package"
        )
    return Path(found)
