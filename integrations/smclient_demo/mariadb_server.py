"""A real MariaDB for the tests: our child process, in a temporary folder.

It listens on 127.0.0.1 only, has no anonymous account and looks up no names, so that users are
``'name'@'%'``. Debian's package brings it; no wheel does.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pymysql

from smclient_demo.child_server import ChildServer
from smclient_demo.server_home import HOST, Home, ServerStartError, ServerUnavailableError

PROGRAMS = ("mariadbd", "mariadb-install-db")
FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
ACCOUNTS = ("mysql", "nobody")
SERVER_SETTINGS: dict[str, str | int] = {
    # Small and quick. A commit survives the server's death, not the machine's.
    "innodb-log-file-size": "8M",
    "innodb-buffer-pool-size": "16M",
    "innodb-flush-log-at-trx-commit": 2,
    "innodb-temp-data-file-path": "ibtmp1:4M:autoextend",
    "performance-schema": "OFF",
    "character-set-server": "utf8mb4",
}


class MariaDBServer(ChildServer[Home]):
    """One MariaDB server.

    Args:
        max_connections: how many clients may be connected at once.
        settings: more server settings, for example ``{"sql-mode": "NO_BACKSLASH_ESCAPES"}``.
        startup_timeout: seconds until ``start`` and ``restart`` give up.
    """

    title = "MariaDB"
    stopped_by = (signal.SIGKILL, signal.SIGKILL)  # the data go too: nothing to write in order
    restarted_by = (signal.SIGTERM, signal.SIGKILL)
    not_up = pymysql.Error
    admin = "admin"

    def __init__(
        self,
        *,
        max_connections: int = 100,
        settings: Mapping[str, str | int] | None = None,
        startup_timeout: float = 60.0,
    ) -> None:
        super().__init__(startup_timeout)
        self.admin_password = secrets.token_urlsafe(24)
        self._settings = {
            **SERVER_SETTINGS,
            "max-connections": max_connections,
            **(settings or {}),
        }

    def connect(
        self, user: str | None = None, password: str | None = None, database: str | None = None
    ) -> "pymysql.Connection[Any]":
        """Log in, by default as the administrator; ``pymysql.Error`` if that is refused."""
        if user is None:
            user, password = self.admin, password or self.admin_password
        return pymysql.connect(
            host=HOST,
            port=self.port,
            user=user,
            password=(password or "").encode(),  # else PyMySQL takes it for Latin-1
            database=database,
            charset="utf8mb4",
            connect_timeout=5,
            autocommit=True,
            ssl_disabled=True,
        )

    def execute(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Run one statement as the administrator and give its rows."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())

    def create_user(self, name: str, password: str, *, host: str = "%") -> None:
        """Create a user with no rights; ``pymysql.Error`` if it exists."""
        self.execute("CREATE USER %s@%s IDENTIFIED BY %s", name, host, password)

    def create_database(self, name: str, owner: str, *, host: str = "%") -> None:
        """Create a database in which ``owner`` may do everything."""
        quoted = "`" + name.replace("`", "``") + "`"
        self.execute(f"CREATE DATABASE {quoted}")
        # In a grant, _ and % of a database's name are wildcards.
        only = quoted.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%%")
        self.execute(f"GRANT ALL ON {only}.* TO %s@%s", owner, host)

    def admin_secret(self) -> dict[str, Any]:
        """The administrator's secret, as ``masterarn`` names one."""
        return {
            "engine": "mariadb",
            "host": self.host,
            "port": self.port,
            "username": self.admin,
            "password": self.admin_password,
        }

    def _open_home(self) -> Home:
        for program in PROGRAMS:
            _find(program)
        return Home("mariadb", ACCOUNTS)

    def _create_data(self, home: Home) -> None:
        home.make_data()
        common = ["--no-defaults", f"--datadir={home.data}", *_options(SERVER_SETTINGS)]
        home.run(
            _find("mariadb-install-db"),
            *common,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        if home.exit_code(self._startup_timeout) != 0:
            raise ServerStartError(f"mariadb-install-db failed{home.log_tail()}")
        home.run(_find("mariadbd"), *common, "--bootstrap", feed=self._accounts())
        if home.exit_code(self._startup_timeout) != 0:
            raise ServerStartError(f"the administrator could not be made{home.log_tail()}")

    def _accounts(self) -> str:
        """The statements that leave one account that may log in: the administrator."""
        account = f"'{self.admin}'@'%'"
        return (
            "FLUSH PRIVILEGES;\n"
            "DELETE FROM mysql.global_priv WHERE User IN ('', 'root');\n"
            "FLUSH PRIVILEGES;\n"
            f"CREATE USER {account} IDENTIFIED BY '{self.admin_password}';\n"
            f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
            "INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, "
            f"Grantor) VALUES ('%', '{self.admin}', '', '', 1, '');\n"
        )

    def _launch(self, home: Home) -> None:
        home.run(
            _find("mariadbd"),
            "--no-defaults",
            f"--datadir={home.data}",
            f"--socket={home.data / 'socket'}",
            f"--pid-file={home.data / 'pid'}",
            f"--bind-address={HOST}",
            f"--port={self.port}",
            "--skip-name-resolve",
            *_options(self._settings),
        )

    def _answer(self) -> None:
        self.connect().close()


def _options(settings: Mapping[str, str | int]) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def _find(program: str) -> Path:
    path = os.pathsep.join((os.environ.get("PATH", ""), *FOLDERS))  # sbin is not on every PATH
    found = shutil.which(program, path=path)
    if found is None:
        raise ServerUnavailableError(
            f"no MariaDB server on this machine ({program} is absent): `apt-get install "
            "mariadb-server`, or your system's package"
        )
    return Path(found)
