"""``smclient serve --workers``: several processes behind one socket, over one store."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends.embedded.http.served import (
    REGION,
    Serve,
    Served,
    boto,
    end,
    read_answer,
    request,
    start_server,
    within,
)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="workers are found by /proc here"
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"embedded://{tmp_path}/s.db"


def workers_of(served: Served) -> list[int]:
    me = served.process.pid
    return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextmanager
def only(worker: int, workers: list[int]) -> Iterator[None]:
    """The others stand still."""
    others = [each for each in workers if each != worker]
    for each in others:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in others:
            os.kill(each, signal.SIGCONT)


def test_each_worker_answers_and_sees_at_once_what_the_others_wrote(serve: Serve, url: str) -> None:
    served = serve("--store", url, "--workers", "3")
    workers = workers_of(served)
    assert len(workers) == 3
    assert served.ready["pid"] == served.process.pid
    client = boto(served.endpoint)
    client.create_secret(Name="a", SecretString="0")
    for worker in [*workers, *workers]:
        written = client.put_secret_value(SecretId="a", SecretString="x")["VersionId"]
        with only(worker, workers):  # a read: who stands still may be in the middle of a write
            stages = boto(served.endpoint).describe_secret(SecretId="a")["VersionIdsToStages"]
        assert stages[written] == ["AWSCURRENT"]


def test_a_worker_that_is_killed_is_replaced_and_no_write_is_lost(serve: Serve, url: str) -> None:
    """An SDK tries again where its connection was cut."""
    served = serve("--store", url, "--workers", "2")
    before = workers_of(served)

    def write(number: int) -> int:
        client = boto(served.endpoint, attempts=10)
        for index in range(25):
            client.create_secret(Name=f"w{number}/{index}", SecretString="x")
        return 25

    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write, number) for number in range(4)]
        os.kill(before[0], signal.SIGKILL)
        assert sum(each.result(60) for each in written) == 100
    assert within(20, lambda: len(workers_of(served)) == 2 and before[0] not in workers_of(served))
    pages = boto(served.endpoint, attempts=10).get_paginator("list_secrets").paginate()
    assert sum(len(page["SecretList"]) for page in pages) == 100
    assert served.stop() == 0
    assert f"worker {before[0]} ended (-9)" in served.everything_it_said()


def test_a_place_that_cannot_be_taken_now_is_taken_later(serve: Serve, tmp_path: Path) -> None:
    """The others answer meanwhile."""
    served = serve("--store", f"embedded://{tmp_path}/s.db", "--workers", "2")
    boto(served.endpoint).create_secret(Name="a", SecretString="x")
    killed, other = workers_of(served)
    key, aside = tmp_path / "s.db.key", tmp_path / "aside"
    key.rename(aside)
    os.kill(killed, signal.SIGKILL)
    assert within(20, lambda: any("master key" in line for line in served.errors.seen))
    assert boto(served.endpoint, attempts=10).describe_secret(SecretId="a")["Name"] == "a"
    assert is_running(other)
    aside.rename(key)
    assert within(20, lambda: a_new_one_answers(served, other))
    assert served.stop() == 0


def a_new_one_answers(served: Served, known: int) -> bool:
    """While the known one stands still."""
    new = [worker for worker in workers_of(served) if worker != known]
    with only(new[0] if new else 0, workers_of(served)):
        try:
            with socket.create_connection(("127.0.0.1", served.port), timeout=1) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return read_answer(connection)[0] == 200
        except (OSError, IndexError):  # nobody yet
            return False


def test_an_answer_in_flight_is_sent_before_the_end(serve: Serve, url: str) -> None:
    served = serve("--store", url, "--workers", "2", "--no-verify-signatures", keys=False)
    workers = workers_of(served)
    whole = request()
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as busy:
        busy.sendall(whole[:-1])
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as other:
            other.sendall(whole)
            assert read_answer(other)[0] == 200
        served.process.terminate()
        busy.sendall(whole[-1:])
        assert read_answer(busy)[0] == 200
    assert served.process.wait(20) == 0
    assert not any(map(is_running, workers))
    assert served.everything_it_said().strip() == json.dumps(served.ready)


def test_workers_do_not_outlive_the_process_that_was_started(serve: Serve, url: str) -> None:
    served = serve("--store", url, "--workers", "2")
    workers = workers_of(served)
    served.process.kill()
    assert within(20, lambda: not any(map(is_running, workers)))


def test_what_the_files_say_is_done_once(serve: Serve, url: str, tmp_path: Path) -> None:
    """By the first worker: the others find it, and one that takes a place leaves alone what was
    changed meanwhile."""
    seeds = tmp_path / "seeds.json"
    seeds.write_text(json.dumps({"secrets": {"a": "first"}}))
    served = serve("--store", url, "--workers", "2", "--init", str(seeds), "--region", REGION)
    client = boto(served.endpoint, attempts=10)
    assert client.get_secret_value(SecretId="a")["SecretString"] == "first"
    client.delete_secret(SecretId="a", ForceDeleteWithoutRecovery=True)
    first = workers_of(served)[0]
    os.kill(first, signal.SIGKILL)
    assert within(20, lambda: len(workers_of(served)) == 2 and first not in workers_of(served))
    listed = boto(served.endpoint, attempts=10).list_secrets(IncludePlannedDeletion=True)
    assert listed["SecretList"] == []


def test_a_store_that_cannot_be_opened_ends_them_all(tmp_path: Path) -> None:
    """Whoever could not open it says why."""
    served = start_server(tmp_path, "--workers", "2", "--store", f"embedded://{tmp_path}/no/s.db")
    try:
        assert served.process.wait(20) != 0
    finally:
        end(served.process)
    said = served.everything_it_said()
    assert "there is no folder" in said
    assert "a worker ended before it was ready" in said
    assert "Traceback" not in said
    assert served.output.all() == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "a store that they can share"),
        (("--store", "file:///s.sms", "--allow-function-upload"), "keeps no functions"),
        (("--store", "embedded:///nowhere/s.db", "--control"), "--control"),
        (
            ("--store", "embedded:///nowhere/s.db", "--access-key", "A", "--secret-key", "-"),
            "@FILE",
        ),
    ],
)
def test_what_only_one_process_can_have_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    served = start_server(tmp_path, "--workers", "2", *arguments)
    try:
        assert served.process.wait(20) == 2
    finally:
        end(served.process)
    assert why in served.everything_it_said()
