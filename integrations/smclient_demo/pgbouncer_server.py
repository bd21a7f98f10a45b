"""A real PgBouncer for the tests, in front of a PostgreSQL: our child process, as the others are.

It asks PostgreSQL for what it knows of a user (``auth_query``), so that a password that is changed
there holds here at the next login.
"""

import shutil
import signal
import socket
from pathlib import Path

from smclient_demo.child_server import ChildServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.server_home import HOST, Home, ServerUnavailableError

ACCOUNTS = ("postgres", "nobody")
FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")


class PgBouncerServer(ChildServer[Home]):
    """One pooler before a server that is running.

    Args:
        behind: the PostgreSQL.
        startup_timeout: seconds until ``start`` gives up.
    """

    title = "PgBouncer"
    stopped_by = restarted_by = (signal.SIGKILL, signal.SIGKILL)
    not_up = OSError

    def __init__(self, behind: PostgresServer, *, startup_timeout: float = 30.0) -> None:
        super().__init__(startup_timeout)
        self._behind = behind

    def _open_home(self) -> Home:
        _find()
        return Home("pgbouncer", ACCOUNTS)

    def _create_data(self, home: Home) -> None:
        home.make_data()

    def _launch(self, home: Home) -> None:
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
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
pool_mode = session
server_login_retry = 0
query_wait_timeout = 3
""",  # noqa: S608  the settings of a child process
        )
        home.run(_find(), config)

    def _answer(self) -> None:
        socket.create_connection((HOST, self.port), 1).close()


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
