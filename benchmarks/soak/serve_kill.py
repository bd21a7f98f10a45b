"""kill -9 of the server under write load: is an acknowledged write ever lost?

    .venv/bin/python benchmarks/soak/serve_kill.py [--kills 150] [--writers 4] [--workers 1]

Each round starts `smclient serve` over the same SQLite store. Writers, each with a connection of
its own, create secrets and put values into their own and into one that all of them share, and note
what was acknowledged. The server is killed at a random moment; then the store is opened and looked
at: every acknowledged value is there, is AWSCURRENT or was followed by the one that was on its way,
and each secret has one AWSCURRENT and at most one AWSPREVIOUS. Ends with 1 if not.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smclient_embedded import EmbeddedService

BIN = Path(sys.executable).parent
MOST_VERSIONS = 60


class RefusedError(Exception):
    """The server answered something else than yes."""


@dataclass
class Round:
    """What was acknowledged between two kills."""

    own: dict[str, list[str]] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many writes."""
        return len(self.shared) + sum(map(len, self.own.values()))


def main() -> int:
    """Kill and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that serve; all are killed"
    )
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    acknowledged, faults = 0, list[str]()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        url = f"embedded://{folder}/kill.db"
        for number in range(options.kills):
            seconds = chance.uniform(0.02, 0.8)
            done = killed(url, number, options.writers, options.workers, seconds)
            acknowledged += done.count
            faults += found(url, number, done)
            if sys.stdout.isatty():
                print(f"\r{number + 1} kills, {acknowledged:,} writes", end="", flush=True)
    for fault in faults:
        print(fault)
    print(
        f"{options.kills} kills, {acknowledged:,} acknowledged writes, {len(faults)} faults, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if faults or acknowledged < options.kills else 0


def killed(url: str, number: int, writers: int, workers: int, seconds: float) -> Round:
    """Serve, write for some seconds, kill; what was acknowledged."""
    command = [str(BIN / "smclient"), "serve", "--port", "0", "--json", "--store", url]
    command += ["--workers", str(workers)]
    process = subprocess.Popen(
        [*command, "--no-verify-signatures"], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    port = int(json.loads(process.stdout.readline())["endpoint"].rpartition(":")[2])
    done = Round()
    create(port, shared_name(number))
    threads = [
        threading.Thread(target=write, args=(port, number, writer, done))
        for writer in range(writers)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    serving = [process.pid] if workers == 1 else [process.pid, *children(process.pid)]
    for each in serving:
        os.kill(each, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a writer hangs after the server is gone"
    return done


def children(process: int) -> list[int]:
    """The processes that it forked."""
    return [
        int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def write(port: int, number: int, writer: int, done: Round) -> None:
    """Create a secret, put values into it and into the shared one, and begin anew."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        for turn in range(10_000):
            name = f"r{number}/w{writer}/{turn}"
            values = done.own.setdefault(name, [])
            call(connection, "CreateSecret", Name=name, SecretString="0")
            values.append("0")
            for value in range(1, 20):
                put(connection, name, str(value))
                values.append(str(value))
                if value % 10 == 0 and len(done.shared) < MOST_VERSIONS:
                    mine = f"{writer}/{turn}/{value}"
                    put(connection, shared_name(number), mine)
                    done.shared.append(mine)
    except RefusedError as error:
        done.refused.append(str(error))
    except (OSError, http.client.HTTPException):  # the server is gone
        return
    finally:
        connection.close()


def found(url: str, number: int, done: Round) -> list[str]:
    """What is wrong in the store after a kill."""
    faults: list[str] = list(done.refused)
    with EmbeddedService(url) as service:
        for name, values in done.own.items():
            if not values:
                continue
            now = int(service.call("GetSecretValue", {"SecretId": name})["SecretString"])
            if now not in (int(values[-1]), int(values[-1]) + 1):
                faults.append(f"{name}: {values[-1]} was acknowledged, {now} is there")
        request = {"SecretId": shared_name(number), "IncludeDeprecated": True, "MaxResults": 100}
        listed = service.call("ListSecretVersionIds", request)["Versions"]
        kept = {
            service.call(
                "GetSecretValue",
                {"SecretId": shared_name(number), "VersionId": version["VersionId"]},
            )["SecretString"]
            for version in listed
        }
        faults += [
            f"{value} was acknowledged and is lost" for value in done.shared if value not in kept
        ]
        for name in (*done.own, shared_name(number)):
            faults += labels_of(service, name)
    return faults


def labels_of(service: EmbeddedService, name: str) -> list[str]:
    """Labels that are not where they belong. A secret that was not acknowledged may be absent."""
    found = service.call("ListSecrets", {"Filters": [{"Key": "name", "Values": [name]}]})
    faults = []
    for secret in found["SecretList"]:
        stages = secret.get("SecretVersionsToStages", {})
        count = Counter(label for labels in stages.values() for label in labels)
        if count["AWSCURRENT"] != 1 or count["AWSPREVIOUS"] > 1:
            faults.append(f"{secret['Name']}: {dict(count)}")
    return faults


def shared_name(number: int) -> str:
    """The secret that all writers of a round put values into."""
    return f"r{number}/shared"


def create(port: int, name: str) -> None:
    """A secret, before the writing begins."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    call(connection, "CreateSecret", Name=name, SecretString="first")
    connection.close()


def put(connection: http.client.HTTPConnection, name: str, value: str) -> None:
    """PutSecretValue."""
    call(connection, "PutSecretValue", SecretId=name, SecretString=value)


def call(connection: http.client.HTTPConnection, operation: str, **request: Any) -> Any:
    """One call, acknowledged."""
    connection.request(
        "POST",
        "/",
        json.dumps({**request, "ClientRequestToken": str(uuid.uuid4())}),
        {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"secretsmanager.{operation}",
        },
    )
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RefusedError(f"{operation} was answered with {answer.status}: {content!r}")
    return json.loads(content)


def environment() -> dict[str, str]:
    """This one, without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SMCLIENT_")}


if __name__ == "__main__":
    sys.exit(main())
