"""Fifty processes through rotations: each with a client of its own, over HTTP, with new logins.

The processes are forked before anything is started, as workers of a web server are. Each reads the
secret through boto3 from one served service (signatures verified), logs in to a real PostgreSQL
again and again, and counts. Meanwhile the password is rotated with the window held open. Ends with
1 if a login failed.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections import Counter
from typing import Any

import boto3  # noqa: F401  once for all of them, before they are forked
import psycopg

from smclient import SecretsClient
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof.scene import Scene
from smclient_embedded.served import served

REGION = "us-east-1"


class Worker:
    """One process: waits to be told where, works until its pipe is closed, says what it saw."""

    def __init__(self, pause: float) -> None:
        told, self._tell = os.pipe()
        self._seen, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            for descriptor in (self._tell, self._seen, *OPEN):
                os.close(descriptor)
            work(told, say, pause)
            os._exit(0)
        os.close(told)
        os.close(say)
        OPEN.extend((self._tell, self._seen))

    def start(self, where: dict[str, str]) -> None:
        os.write(self._tell, json.dumps(where).encode() + b"\n")

    def stop(self) -> None:
        os.close(self._tell)

    def seen(self) -> dict[str, Any]:
        with os.fdopen(self._seen, "rb") as pipe:
            found: dict[str, Any] = json.loads(pipe.read())
        os.waitpid(self.pid, 0)
        return found


OPEN: list[int] = []
"""Ends of pipes that a child must not keep open."""


def work(told: int, say: int, pause: float) -> None:
    where = json.loads(os.read(told, 65536))
    os.environ.update(where["environment"])
    client = SecretsClient(f"aws://{REGION}?endpoint_url={where['endpoint']}")
    connect = client.connector(where["secret"], psycopg.connect, connect_timeout=30)
    failures: Counter[str] = Counter()
    logins, slowest = 0, 0.0
    while not select.select([told], [], [], pause)[0]:
        began = time.monotonic()
        try:
            with connect() as connection:
                connection.execute("SELECT 1")
        except Exception as error:  # noqa: BLE001  whatever an application would see
            failures[f"{type(error).__name__}: {error}"[:200]] += 1
        logins += 1
        slowest = max(slowest, time.monotonic() - began)
    usage = client.usage()
    client.close()
    told_back = {
        "logins": logins,
        "failures": failures,
        "slowest": slowest,
        "calls": usage.calls,
        "by": usage.logins,
    }
    os.write(say, json.dumps(told_back).encode())
    os.close(say)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=50)
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--hold", type=float, default=3.0, help="seconds of each window")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two logins")
    options = parser.parse_args()
    workers = [Worker(options.pause) for _ in range(options.processes)]
    with PostgresServer(max_connections=20 + 2 * options.processes) as server:
        scene = Scene(server, "single", hold=options.hold, lag=0.0)
        with served(scene.service) as service:
            where = {
                "endpoint": service.endpoint,
                "environment": service.environment,
                "secret": scene.secret_id,
            }
            for worker in workers:
                worker.start(where)
            time.sleep(3.0)
            for _ in range(options.rotations):
                rotate(scene)
                time.sleep(1.0)
            for worker in workers:
                worker.stop()
            seen = [worker.seen() for worker in workers]
        windows = len(scene.function.windows)
        scene.close()
    failures = sum((Counter(each["failures"]) for each in seen), Counter())
    by = sum((Counter(each["by"]) for each in seen), Counter())
    print(f"{options.processes} processes, {windows} rotations, windows of {options.hold:g} s")
    print(f"logins {sum(each['logins'] for each in seen)}, won by {dict(by)}")
    print(f"failed {failures.total()} {dict(failures)}")
    print(f"API calls {sum(each['calls'] for each in seen)}")
    print(f"slowest login {max(each['slowest'] for each in seen):.2f} s")
    return 1 if failures or windows < options.rotations else 0


def rotate(scene: Scene) -> None:
    """Begin a rotation and wait until it has ended, whoever runs it: the server does, too."""
    before = scene.versions()["AWSCURRENT"]
    scene.rotate()
    while scene.versions()["AWSCURRENT"] == before or "AWSPENDING" in scene.versions():
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
