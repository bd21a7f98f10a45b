"""What the examples run on, so that their apps hold nothing but the app: a PostgreSQL of their own,
secrets in an embedded store, and the rotations that a reader starts from another terminal."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from smclient import SecretsClient
from smclient.rotation import PostgresSingleUser, Rotation, SigningKey
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded import EmbeddedService

DATABASE, SESSIONS, MESSAGE = "example/database", "example/sessions", "example/message"
TTL, MAX_STALE = "5", "10"
HOLD = 3.0
START = 60.0

Command = Callable[[int, int], list[str]]


def start(home: Path, command: Command) -> None:
    """Run a server with everything it needs, until Ctrl-C.

    ``command(port, workers)`` are the arguments after ``python``. The store is made anew.
    """
    parser = argparse.ArgumentParser(description="Run the example; Ctrl-C ends it.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=home / ".run", help="where secrets are kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    with PostgresServer() as server:
        url = _prepare(options.folder, server)
        environ = {"SMCLIENT_TTL": TTL, "SMCLIENT_MAX_STALE": MAX_STALE, **os.environ}
        process = subprocess.Popen(
            [sys.executable, *command(options.port, options.workers)],
            cwd=home,
            env={**environ, "SMCLIENT_BACKEND": url},
        )
        try:
            _wait_until_it_answers(process, options.port)
            print(f"ready: http://127.0.0.1:{options.port}/", flush=True)
            print(f"in another terminal: python {home / 'rotate.py'} database", flush=True)
            process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            process.terminate()
            process.wait()


def rotate(home: Path) -> None:
    """Change one of the secrets, as Secrets Manager would."""
    parser = argparse.ArgumentParser(description="Change a secret of the running example.")
    parser.add_argument("what", choices=("database", "session-key", "message"))
    parser.add_argument("--folder", type=Path, default=home / ".run")
    parser.add_argument("--hold", type=float, default=HOLD, help="seconds with the window open")
    parser.add_argument("--ttl", type=float, default=float(TTL), help="the app's SMCLIENT_TTL")
    parser.add_argument("--at-once", action="store_true", help="a session key without a wait")
    options = parser.parse_args()
    if not (options.folder / "secrets.db").exists():
        sys.exit(f"no secrets in {options.folder}; start the example first: python start.py")
    with EmbeddedService(_url(options.folder)) as service:
        client = SecretsClient(service.backend())
        if options.what == "message":
            text = f"hello, it is {time.strftime('%H:%M:%S')} ({secrets.token_hex(2)})"
            client.call("PutSecretValue", SecretId=MESSAGE, SecretString=text)
        elif options.what == "session-key" and options.at_once:
            value = json.dumps({"secret": secrets.token_urlsafe(32)})
            client.call("PutSecretValue", SecretId=SESSIONS, SecretString=value)
        elif options.what == "session-key":
            _rotate(service, client, SESSIONS, SigningKey(ttl=options.ttl, algorithm="HS256"))
        else:
            _rotate(service, client, DATABASE, SlowPostgresSingleUser(options.hold))
    print(f"{options.what}: done", flush=True)


class SlowPostgresSingleUser(PostgresSingleUser):
    """Holds open the window in which the database takes the pending password only, so that there is
    something to see."""

    def __init__(self, hold: float) -> None:
        super().__init__()
        self._hold = hold

    def test_value(self, rotation: Rotation) -> None:
        """Test, and wait."""
        super().test_value(rotation)
        time.sleep(self._hold)


def _rotate(
    service: EmbeddedService, client: SecretsClient, secret_id: str, function: object
) -> None:
    arn = service.register_function("example", function)  # type: ignore[arg-type]
    rules = {"AutomaticallyAfterDays": 30}
    client.call("RotateSecret", SecretId=secret_id, RotationLambdaARN=arn, RotationRules=rules)
    done = service.run_due()
    if len(done.rotated) != 1:
        sys.exit(f"{secret_id}: the rotation failed; {done}")


def _prepare(folder: Path, server: PostgresServer) -> str:
    """A new store with three secrets, one of them a login of a new database. Returns its URL."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    password = secrets.token_urlsafe(24)
    server.create_user("example", password)
    server.create_database("example", "example")
    with server.connect("example", password, "example") as connection:
        connection.execute("CREATE TABLE visits AS SELECT 0 AS n")
    login = {
        "engine": "postgres",
        "host": server.host,
        "port": server.port,
        "dbname": "example",
        "username": "example",
        "password": password,
    }
    key = {"secret": secrets.token_urlsafe(32)}
    values = {DATABASE: json.dumps(login), SESSIONS: json.dumps(key), MESSAGE: "hello"}
    with EmbeddedService(_url(folder)) as service:
        client = SecretsClient(service.backend())
        for name, value in values.items():
            client.call("CreateSecret", Name=name, SecretString=value)
    return _url(folder)


def _url(folder: Path) -> str:
    return f"embedded://{(folder / 'secrets.db').absolute()}"


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
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
