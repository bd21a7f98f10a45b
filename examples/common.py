"""What the examples run on, so that their apps hold nothing but the app: a PostgreSQL of their own,
secrets in an embedded store, and the rotations that a reader starts from another terminal."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from smclient import SecretsClient
from smclient.rotation import RotationFunction, SigningKey
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.scene import SlowPostgresSingleUser
from smclient_embedded import EmbeddedService

DATABASE, SESSIONS, MESSAGE = "example/database", "example/sessions", "example/message"
TTL, MAX_STALE = "5", "10"
HOLD = 3.0
"""Seconds for which the database takes the pending password only, so that there is something to
see."""
START = 60.0

Command = Callable[[int, int], list[str]]


def start(home: Path, command: Command) -> None:
    """Run a server with everything it needs, until Ctrl-C.

    ``command(port, workers)`` are the arguments after ``python``.
    """
    options = start_options(home).parse_args()
    with surroundings(options.folder) as server:
        login = login_of_new_database(server, "example")
        with server.connect("example", login["password"], "example") as connection:
            connection.execute("CREATE TABLE visits AS SELECT 0 AS n")
        key = {"secret": secrets.token_urlsafe(32)}
        with EmbeddedService(store_url(options.folder)) as service:
            create_secrets(service, {DATABASE: login, SESSIONS: key, MESSAGE: "hello"})
        environ = {"SMCLIENT_TTL": TTL, "SMCLIENT_MAX_STALE": MAX_STALE, **os.environ}
        serve(
            command(options.port, options.workers),
            home,
            options.port,
            {**environ, "SMCLIENT_BACKEND": store_url(options.folder)},
            then=f"in another terminal: python {home / 'rotate.py'} database",
        )


def rotate(home: Path) -> None:
    """Change one of the secrets, as Secrets Manager would."""
    parser = argparse.ArgumentParser(description="Change a secret of the running example.")
    parser.add_argument("what", choices=("database", "session-key", "message"))
    parser.add_argument("--folder", type=Path, default=home / ".run")
    parser.add_argument("--hold", type=float, default=HOLD, help="seconds with the window open")
    parser.add_argument("--ttl", type=float, default=float(TTL), help="the app's SMCLIENT_TTL")
    parser.add_argument("--at-once", action="store_true", help="a session key without a wait")
    options = parser.parse_args()
    if not _store(options.folder).exists():
        sys.exit(f"no secrets in {options.folder}; start the example first: python start.py")
    with EmbeddedService(store_url(options.folder)) as service:
        client = SecretsClient(service.backend())
        if options.what == "message":
            text = f"hello, it is {time.strftime('%H:%M:%S')} ({secrets.token_hex(2)})"
            client.call("PutSecretValue", SecretId=MESSAGE, SecretString=text)
        elif options.what == "session-key" and options.at_once:
            value = json.dumps({"secret": secrets.token_urlsafe(32)})
            client.call("PutSecretValue", SecretId=SESSIONS, SecretString=value)
        elif options.what == "session-key":
            _rotate_now(service, SESSIONS, SigningKey(ttl=options.ttl, algorithm="HS256"))
        else:
            _rotate_now(service, DATABASE, SlowPostgresSingleUser(options.hold))
    print(f"{options.what}: done", flush=True)


def start_options(home: Path) -> argparse.ArgumentParser:
    """What can be said to any example when it is started."""
    parser = argparse.ArgumentParser(description="Run the example; Ctrl-C ends it.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=home / ".run", help="where secrets are kept")
    return parser


@contextlib.contextmanager
def surroundings(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL, and a new folder for secrets that only you may read; both are gone after the
    block, which SIGTERM ends as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _leave)
    if folder.exists() and any(folder.iterdir()) and not _store(folder).exists():
        sys.exit(f"{folder} is there already, and no example made it; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        with PostgresServer() as server:
            yield server
    finally:
        shutil.rmtree(folder)


def store_url(folder: Path) -> str:
    """The secrets in a folder, as ``SMCLIENT_BACKEND`` has it."""
    return f"embedded://{_store(folder).absolute()}"


def login_of_new_database(server: PostgresServer, name: str) -> dict[str, Any]:
    """Make a database and its owner, both of that name. Returns what their secret holds."""
    password = secrets.token_urlsafe(24)
    server.create_user(name, password)
    server.create_database(name, name)
    return {
        "engine": "postgres",
        "host": server.host,
        "port": server.port,
        "dbname": name,
        "username": name,
        "password": password,
    }


def create_secrets(service: EmbeddedService, values: Mapping[str, str | dict[str, Any]]) -> None:
    """Make secrets: text as it is, anything else as JSON."""
    client = SecretsClient(service.backend())
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        client.call("CreateSecret", Name=name, SecretString=text)


def rotate_with(
    service: EmbeddedService, secret_id: str, function: RotationFunction, **more: Any
) -> None:
    """Have a secret rotated by a function every 30 days; ``more`` is for ``RotateSecret``."""
    SecretsClient(service.backend()).call(
        "RotateSecret",
        SecretId=secret_id,
        RotationLambdaARN=service.register_function(secret_id.replace("/", "-"), function),
        RotationRules={"AutomaticallyAfterDays": 30},
        **more,
    )


def serve(
    command: list[str],
    home: Path,
    port: int,
    environ: Mapping[str, str],
    *,
    path: str = "/",
    then: str,
) -> None:
    """Run ``python`` with a command in ``home`` until Ctrl-C. Once it answers, that is said on
    stdout, and what to do ``then``; what it writes itself goes to stderr."""
    process = subprocess.Popen([sys.executable, *command], cwd=home, env=environ, stdout=sys.stderr)
    try:
        _wait_until_it_answers(process, port, path)
        print(f"ready: http://127.0.0.1:{port}{path}\n{then}", flush=True)
        process.wait()
    except KeyboardInterrupt:
        pass
    finally:
        process.terminate()
        process.wait()


def _rotate_now(service: EmbeddedService, secret_id: str, function: RotationFunction) -> None:
    rotate_with(service, secret_id, function)
    done = service.run_due()
    if len(done.rotated) != 1:
        sys.exit(f"{secret_id}: the rotation failed; {done}")


def _store(folder: Path) -> Path:
    return folder / "secrets.db"


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # not yet
        finally:
            connection.close()
        time.sleep(0.1)
    sys.exit(f"the server did not answer on port {port}")


def _leave(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
