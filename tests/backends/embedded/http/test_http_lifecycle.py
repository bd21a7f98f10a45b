"""How a served store ends: drained, or killed; and what runs by itself meanwhile."""

from __future__ import annotations

import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError

from tests.backends.embedded.http.served import (
    Serve,
    boto,
    read_answer,
    request,
    within,
)

CANARY = "canary-5f1c0a"


# --- how it ends ----------------------------------------------------------------------------------


def test_a_request_in_flight_is_answered_before_the_end(serve: Serve) -> None:
    served = serve("--no-verify-signatures", keys=False)
    whole = request(headers={"X-Note": "x"})
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as busy,
        socket.create_connection(("127.0.0.1", served.port), timeout=20) as idle,
    ):
        busy.sendall(whole[:-1])
        idle.sendall(whole)
        assert read_answer(idle)[0] == 200
        served.process.terminate()
        assert idle.recv(1) == b""  # an idle connection is closed at once
        with pytest.raises(OSError):  # nobody new is let in
            socket.create_connection(("127.0.0.1", served.port), timeout=5)
        assert served.process.poll() is None
        busy.sendall(whole[-1:])
        assert read_answer(busy)[0] == 200
    assert served.process.wait(20) == 0
    assert served.everything_it_said().strip() == served.output.seen[0]


def test_every_acknowledged_write_is_there_after_the_drain(serve: Serve, tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/s.db"
    served = serve("--store", url)
    acknowledged: list[str] = []
    enough = threading.Event()

    def write(worker: int) -> None:
        client = boto(served.endpoint)
        for number in range(1000):
            try:
                client.create_secret(Name=f"w{worker}/{number}", SecretString="x")
            except BotoCoreError:  # the server is gone
                return
            acknowledged.append(f"w{worker}/{number}")
            if len(acknowledged) > 40:
                enough.set()

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write, worker) for worker in range(4)]
        assert enough.wait(20)
        assert served.stop() == 0
        for each in done:
            each.result(20)
    client = boto(serve("--store", url).endpoint)
    for name in acknowledged:
        assert client.get_secret_value(SecretId=name)["SecretString"] == "x"


@pytest.mark.parametrize("seed", range(3))
def test_kill_nine_loses_nothing_that_was_acknowledged(
    serve: Serve, tmp_path: Path, seed: int
) -> None:
    """Rewrites of a few secrets; after the kill each is at its last acknowledged value or at the
    one that was on its way, and exactly one version is AWSCURRENT."""
    url, chance = f"embedded://{tmp_path}/s.db", random.Random(seed)
    served = serve("--store", url)
    client = boto(served.endpoint)
    names = [f"s{number}" for number in range(3)]
    for name in names:
        client.create_secret(Name=name, SecretString="0")
    last = dict.fromkeys(names, 0)
    until, enough = chance.randint(10, 60), threading.Event()

    def write(name: str) -> None:
        own = boto(served.endpoint, config={"connect_timeout": 5, "read_timeout": 5})
        for value in range(1, 5000):
            try:
                own.put_secret_value(SecretId=name, SecretString=str(value))
            except BotoCoreError:  # the server is gone
                return
            last[name] = value
            if sum(last.values()) > until:
                enough.set()

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(write, name) for name in names]
        assert enough.wait(30)
        served.process.kill()
        served.process.wait(20)
        for each in done:
            each.result(20)
    client = boto(serve("--store", url).endpoint)
    for name in names:
        read = client.get_secret_value(SecretId=name)
        assert int(read["SecretString"]) in (last[name], last[name] + 1)
        stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
        current = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
        assert current == [read["VersionId"]]


def test_what_is_due_runs_by_itself(serve: Serve, tmp_path: Path) -> None:
    """Reads are written to the trail within a second or two, without further calls."""
    served = serve("--store", f"embedded://{tmp_path}/s.db")
    client = boto(served.endpoint)
    client.create_secret(Name="a", SecretString="x")
    client.get_secret_value(SecretId="a")
    wal = tmp_path / "s.db-wal"
    before = wal.stat().st_size
    client.get_secret_value(SecretId="a")
    assert within(5, lambda: wal.stat().st_size != before)
