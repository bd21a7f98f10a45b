"""Threads, processes and forks on one file: exact, and nobody waits for ever."""

from __future__ import annotations

import os
import random
import select
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smclient_file import FileStore
from smclient_file.errors import FileStoreError, StoreBusy
from smclient_file.lock import FileLock, ThreadLock, thread_lock
from smclient_file.system import Posix
from tests.backends.file.helpers_file import arn, fork, put, value, wait

Make = Callable[..., Path]
Open = Callable[..., FileStore]


def increment(store: FileStore, name: str = "app/count") -> int:
    """Read a number, write the next one, in one transaction."""
    keys = store.keyring()
    assert keys is not None
    with store.transaction(write=True) as tx:
        current = tx.version(arn(name), tx.labels(arn(name))["AWSCURRENT"])
        assert current is not None
        assert current.sealed is not None
        number = int(keys.open(current.sealed)) + 1
        context = {"SecretARN": arn(name), "SecretVersionId": f"v{number}"}
        sealed = keys.seal(b"%d" % number, key_id=None, context=context)
        tx.put_version(
            current.__class__(arn(name), f"v{number}", current.created_at, sealed=sealed)
        )
        tx.put_label(arn(name), "AWSCURRENT", f"v{number}")
        tx.remove_version(arn(name), current.version_id)
    return number


def test_four_processes_increment_one_secret_exactly(path: Path, open_file: Open) -> None:
    """Each with its own opening of the file."""
    put(open_file(path), "app/count", "0", "v0")

    def work() -> None:
        store = open_file(path)
        for _ in range(50):
            increment(store)

    children = [fork(work) for _ in range(4)]
    assert [wait(child) for child in children] == [0] * 4
    assert value(open_file(path), "app/count") == b"200"


def test_eight_threads_with_two_stores_increment_exactly(path: Path, open_file: Open) -> None:
    """Stores of one path share the lock between threads."""
    put(open_file(path), "app/count", "0", "v0")
    stores = [open_file(path), open_file(path)]
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(increment, stores * 40))
    assert sorted(numbers) == list(range(1, 81))


def test_a_reader_sees_what_another_process_wrote(path: Path, open_file: Open) -> None:
    store = open_file(path)
    assert wait(fork(lambda: put(open_file(path), "app/db", "of the child", "v3"))) == 0
    assert value(store, "app/db") == b"of the child"


def test_readers_wait_for_no_writer(path: Path, open_file: Open) -> None:
    """Neither within a process nor between two."""
    store = open_file(path)
    with store.transaction(write=True) as tx:
        tx.remove_secret(arn("app/key"))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(value, open_file(path), "app/key").result(timeout=5)
        assert wait(fork(lambda: value(open_file(path), "app/key"))) == 0


def test_a_writer_waits_as_long_as_it_was_told(path: Path, open_file: Open) -> None:
    """Then it says who it waited for. Between processes, and between threads."""
    store = open_file(path)
    with store.transaction(write=True) as tx:
        tx.remove_secret(arn("app/key"))

        def work() -> None:
            with pytest.raises(StoreBusy, match="another process"):
                put(open_file(path, lock_timeout=0.05), "app/db", "new", "v3")

        assert wait(fork(work)) == 0
        with ThreadPoolExecutor(1) as pool:
            other = open_file(path, lock_timeout=0.05)
            with pytest.raises(StoreBusy, match="another thread"):
                pool.submit(put, other, "app/db", "new", "v3").result()


def test_reading_goes_on_while_another_process_hangs_in_a_write(
    path: Path, open_file: Open
) -> None:
    """Also in a transaction that could write and only reads, or only appends to the audit trail."""
    lock = FileLock(str(path), Posix())
    lock.acquire()
    store = open_file(path, lock_timeout=0.05)
    with store.transaction(write=True) as tx:
        assert tx.secret(arn("app/db")) is not None
    with store.transaction(write=True) as tx:
        tx.append_audit([])
    with pytest.raises(StoreBusy):
        put(store, "app/db", "new", "v3")
    lock.release()
    put(store, "app/db", "new", "v3")


def test_a_write_within_a_write_is_an_error_at_once(path: Path, open_file: Open) -> None:
    """Not a wait for oneself; the outer one goes on."""
    store, other = open_file(path), open_file(path)
    with store.transaction(write=True) as tx:
        tx.remove_secret(arn("app/key"))
        with pytest.raises(RuntimeError, match="within another"), other.transaction(write=True):
            pass
    with store.transaction(write=False) as tx:
        assert tx.secret(arn("app/key")) is None


# --- forks ----------------------------------------------------------------------------------------


def test_a_fork_while_the_lock_is_held(path: Path, open_file: Open) -> None:
    """The child does not have the lock, does not take it away, and can use the store later."""
    store = open_file(path, lock_timeout=0.05)
    reading, writing = os.pipe()
    with store.transaction(write=True) as tx:
        tx.remove_secret(arn("app/key"))

        def work() -> None:
            with pytest.raises(StoreBusy):
                put(store, "app/db", "of the child", "v3")
            assert os.read(reading, 1) == b"x"  # the parent is through
            put(store, "app/db", "of the child", "v3")

        child = fork(work)

        def another() -> None:
            with pytest.raises(StoreBusy):
                put(open_file(path, lock_timeout=0.3), "app/db", "of another", "v3")

        assert wait(fork(another)) == 0
    os.write(writing, b"x")
    assert wait(child) == 0
    assert value(store, "app/db") == b"of the child"


def test_a_child_cannot_end_its_parents_transaction(path: Path, open_file: Open) -> None:
    store = open_file(path)
    raw = path.read_bytes()
    context = store.transaction(write=True)
    with context as tx:
        tx.remove_secret(arn("app/key"))

        def work() -> None:
            with pytest.raises(FileStoreError, match="fork"):
                context.__exit__(None, None, None)
            assert path.read_bytes() == raw

        assert wait(fork(work)) == 0
    with store.transaction(write=False) as tx:
        assert tx.secret(arn("app/key")) is None


def test_a_child_forgets_keys_and_contents_and_opens_anew(path: Path, open_file: Open) -> None:
    store = open_file(path)

    def work() -> None:
        assert store._generation is None
        assert value(store, "app/db")
        increment_child = open_file(path)
        put(increment_child, "app/db", "of the child", "v3")
        assert value(store, "app/db") == b"of the child"

    before = store.generation().keys
    assert wait(fork(work)) == 0
    assert before.root() != bytes(32)
    assert value(store, "app/db") == b"of the child"


def test_a_fork_while_another_thread_writes(path: Path, open_file: Open) -> None:
    """The thread does not exist in the child, and what it held is free there."""
    store = open_file(path)
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction(write=True) as tx:
            tx.remove_secret(arn("app/key"))
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(10)
    child = fork(lambda: put(store, "app/db", "of the child", "v3"))
    leave.set()
    thread.join()
    assert wait(child) == 0
    assert value(open_file(path), "app/db") == b"of the child"


def test_locks_of_one_path_are_one_and_go_with_their_users(tmp_path: Path) -> None:
    lock = thread_lock(str(tmp_path / "a"))
    assert thread_lock(str(tmp_path / "a")) is lock
    assert thread_lock(str(tmp_path / "b")) is not lock
    assert isinstance(lock, ThreadLock)


# --- kill -9 --------------------------------------------------------------------------------------


def test_no_acknowledged_write_is_lost_to_kill(path: Path, open_file: Open) -> None:
    """25 writers killed at random moments; 150 in ``benchmarks/file_kill.py``."""
    chance = random.Random(7)
    put(open_file(path), "app/count", "0", "v0")
    acknowledged = 0
    for _ in range(25):
        reading, writing = os.pipe()

        def work(writing: int = writing) -> None:
            store = open_file(path)
            while True:
                os.write(writing, increment(store).to_bytes(4, "big"))

        child = fork(work)
        os.close(writing)
        for _ in range(chance.randrange(12)):
            os.read(reading, 4)
        select.select([], [], [], chance.random() * 0.004)
        os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
        told = b""
        while chunk := os.read(reading, 4096):
            told += chunk
        os.close(reading)
        now = int(value(open_file(path), "app/count"))
        last = int.from_bytes(told[-4:], "big") if told else acknowledged
        assert last <= now
        acknowledged = now
    put(open_file(path), "app/db", "new", "v3")
    assert not [name for name in os.listdir(path.parent) if name.endswith(".tmp")]
