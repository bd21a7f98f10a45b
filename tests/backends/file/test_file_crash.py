"""Loss of power, full disks, failing flushes: no acknowledged write is lost, and the file is whole,
old or new."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.kdf import Kdf
from smclient_file import Credentials, FileStore
from smclient_file.errors import (
    FileStoreError,
    StoreDurabilityUnknown,
    StoreMissing,
    StorePermissionsRefused,
    StoreReadFailed,
    StoreReadOnly,
    StoreWriteFailed,
)
from tests.backends.file.helpers_file import CANARY, arn, fork, put, value, wait

Make = Callable[..., Path]
Open = Callable[..., FileStore]

CALLS = (
    *("open", "read", "write", "close", "fsync", "replace", "unlink", "listdir"),
    *("stat", "fstat", "lseek", "mkdir"),
)


class Crash(BaseException):
    """The process ends here, as far as the code under test can tell."""


class Faults:
    """Counts the system calls of a block and lets one of them fail."""

    def __init__(self, at: int, fail: Callable[[str], object]) -> None:
        self.at = at
        self.fail = fail
        self.count = 0
        self.hit = ""

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                self.hit = name
                self.fail(name)
            return real(*arguments, **named)

        return call


@contextmanager
def faults(at: int, fail: Callable[[str], object]) -> Iterator[Faults]:
    """Let the ``at``-th system call fail."""
    found = Faults(at, fail)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, found.wrap(name, getattr(os, name)))
        patch.setattr(fcntl, "flock", found.wrap("flock", fcntl.flock))
        yield found


def raising(error: BaseException) -> Callable[[str], object]:
    def fail(*_: object) -> None:
        raise error

    return fail


def temps(path: Path) -> list[str]:
    return [name for name in os.listdir(path.parent) if name.endswith(".tmp")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("fresh", [True, False])
def test_an_error_of_any_system_call_is_told_and_harms_nothing(
    path: Path, open_file: Open, number: int, fresh: bool
) -> None:
    """Opening and writing, and writing in a store that is open."""
    at, done, hits = 0, False, set()
    while not done:
        at += 1
        store = None if fresh else open_file(path)
        before = value(open_file(path), "app/db")
        new = f"turn {at}"
        error: BaseException | None = None
        with faults(at, raising(OSError(number, os.strerror(number)))) as found:
            try:
                put(store or open_file(path), "app/db", new, f"t{at}")
            except FileStoreError as caught:
                error = caught
        done = not found.hit
        hits.add(found.hit)
        now = value(open_file(path), "app/db")
        if error is None:
            assert now == new.encode()
        elif isinstance(error, StoreDurabilityUnknown):
            assert now == (new.encode() if "in place, but" in str(error) else before)
        else:
            assert now == before, f"{found.hit}: {error}"
        if store is not None:  # the store goes on
            put(store, "app/key", f"after {at}")
            assert value(store, "app/key") == f"after {at}".encode()
        assert temps(path) == []
    assert hits >= {"open", "write", "fsync", "replace", "close", "fstat", "read", "flock", ""}


@pytest.mark.parametrize("exits", [True, False])
def test_a_crash_at_any_system_call_leaves_a_whole_file(
    path: Path, open_file: Open, exits: bool
) -> None:
    """The process is gone (a forked child that exits), or an exception flies through."""
    at, done = 0, False
    while not done:
        at += 1
        before, new = value(open_file(path), "app/db"), f"turn {at}"
        if exits:

            def work(at: int = at, new: str = new) -> None:
                with faults(at, lambda name: os._exit(7)):
                    put(open_file(path), "app/db", new, f"t{at}")

            status = wait(fork(work))
            assert status in (0, 7)
            done = status == 0
        else:
            with faults(at, raising(Crash())) as found, suppress(Crash):
                put(open_file(path), "app/db", new, f"t{at}")
            done = not found.hit
        now = value(open_file(path), "app/db")
        assert now == new.encode() if done else now in (before, new.encode())
        put(open_file(path), "app/key", f"after {at}")
        assert temps(path) == []
        assert value(open_file(path), "app/key") == f"after {at}".encode()
    assert at > 15


def test_short_writes_are_carried_on(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, raw: real(fd, bytes(raw)[: max(len(raw) // 2, 1)]))
    put(open_file(path), "app/db", "new", "v3")
    assert value(open_file(path), "app/db") == b"new"


def test_a_write_that_takes_nothing_is_an_error(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an endless loop."""
    raw, store = path.read_bytes(), open_file(path)
    monkeypatch.setattr(os, "write", lambda fd, raw: 0)
    with pytest.raises(StoreWriteFailed):
        put(store, "app/db", "new", "v3")
    assert path.read_bytes() == raw


def test_a_disk_that_fills_up_half_way_keeps_the_old_file(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, store, real = path.read_bytes(), open_file(path), os.write

    def write(descriptor: int, data: Any) -> int:
        if len(data) < 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[:300])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreWriteFailed, match="No space left") as caught:
        put(store, "app/db", "new", "v3")
    assert "old file is in place" in str(caught.value)
    assert path.read_bytes() == raw
    assert temps(path) == []


def test_a_failed_flush_is_not_tried_again(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the file nor of the folder; the file is read anew afterwards."""
    store, real, calls = open_file(path), os.fsync, []

    def broken(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append(folder)
        if folder is fails_for_folder:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    for fails_for_folder in (False, True):
        calls.clear()
        before = path.read_bytes()
        with pytest.raises(StoreDurabilityUnknown):
            put(store, "app/db", "new", "v3")
        assert calls.count(fails_for_folder) == 1
        assert (path.read_bytes() == before) is not fails_for_folder
    assert value(store, "app/db") == b"new"


def test_only_the_owner_may_read_and_write_what_is_written(path: Path, open_file: Open) -> None:
    """0600, also where the file was more open; the lock file too."""
    os.chmod(path, 0o644)
    put(open_file(path), "app/db", "new", "v3")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lock = Path(f"{path}.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert lock.read_bytes() == b""


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_may_write_is_refused(path: Path, open_file: Open, mode: int) -> None:
    os.chmod(path, mode)
    with pytest.raises(StorePermissionsRefused, match="chmod go-w"):
        open_file(path)


def test_a_symbolic_link_is_followed_once(path: Path, open_file: Open, tmp_path: Path) -> None:
    """Writing keeps the link; a file that becomes a link later is refused."""
    link = tmp_path / "link.sms"
    link.symlink_to(path)
    store = open_file(link)
    put(store, "app/db", "new", "v3")
    assert link.is_symlink()
    assert value(open_file(path), "app/db") == b"new"
    moved = tmp_path / "moved.sms"
    path.rename(moved)
    path.symlink_to(moved)
    with pytest.raises(StoreReadFailed, match="symbolic link"):
        value(store, "app/db")


def test_what_is_no_file_is_told(tmp_path: Path, open_file: Open, path: Path) -> None:
    with pytest.raises(StoreMissing, match="smclient file init"):
        open_file(tmp_path / "none.sms")
    with pytest.raises(StoreMissing):
        open_file(path / "below")
    with pytest.raises(StoreReadFailed):
        open_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreReadFailed):
        open_file(tmp_path / "pipe")


def test_a_folder_that_takes_no_files_can_be_read_from(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading goes on, also in transactions that could write; writing is told why not."""
    store, real = open_file(path), os.open

    def read_only(name: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and "state" not in str(name):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, *more, **named)

    monkeypatch.setattr(os, "open", read_only)
    assert value(store, "app/key") == CANARY.encode()
    with store.transaction(write=True) as tx:
        assert tx.secret(arn("app/db")) is not None
    with pytest.raises(StoreReadOnly, match="Read-only"):
        put(store, "app/db", "new", "v3")


def test_secret_bytes_are_in_no_file(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the store, the lock, the pin, a temp that was left, the log."""
    caplog.set_level(0)
    monkeypatch.setattr(os, "unlink", lambda *_: None)
    monkeypatch.setattr(os, "replace", raising(OSError(errno.EIO, "no")))
    with pytest.raises(StoreWriteFailed) as caught:
        put(open_file(path), "app/db", CANARY, "v3")
    assert len(temps(path)) == 1
    found = [file for file in path.parent.rglob("*") if file.is_file()]
    assert len(found) >= 4
    for file in found:
        assert CANARY.encode() not in file.read_bytes()
    assert CANARY not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


def test_temps_of_other_stores_stay(path: Path, open_file: Open) -> None:
    """Only what a writer of this store left is swept."""
    own = path.with_name(f".{path.name}.{'0' * 16}.tmp")
    others = [path.with_name(f".x{path.name}.{'0' * 16}.tmp"), path.with_name(f"{path.name}.tmp")]
    for file in (own, *others):
        file.write_bytes(b"")
    put(open_file(path), "app/db", "new", "v3")
    assert not own.exists()
    assert all(other.exists() for other in others)


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_write_that_failed_leaves_the_keys_at_hand(
    path: Path, key_file: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What opened the store may be gone meanwhile, as a passphrase that was typed; reading and
    writing go on, and no derivation runs again."""
    store = open_file(path)
    key_file.unlink()

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    real = os.open

    def refuse_new(name: Any, flags: int, *more: Any, **named: Any) -> int:
        return refuse() if str(name).endswith(".tmp") else real(name, flags, *more, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, refuse_new if call == "open" else refuse)
        with pytest.raises(StoreWriteFailed):
            put(store, "app/db", "new", "v3")
    assert value(store, "app/key") == CANARY.encode()
    put(store, "app/db", "newer", "v4")
    assert value(store, "app/db") == b"newer"


def test_readers_during_a_write_derive_no_key(
    make_file: Make, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have the generation before, until the new one is in place."""
    path = make_file("passphrase")
    store = FileStore(path, Credentials(passphrase="passphrase"))
    put(store, "app/db", "first")
    real, derived, seen = os.replace, [], []

    def replace(source: Any, target: Any) -> None:
        if str(target) == str(path):  # and no pin
            with ThreadPoolExecutor(1) as pool:
                seen.append(pool.submit(value, store, "app/db").result(timeout=10))
        real(source, target)

    monkeypatch.setattr(Kdf, "_derive", lambda *_: derived.append(1))
    monkeypatch.setattr(os, "replace", replace)
    put(store, "app/db", "second", "v2")
    assert (seen, derived) == ([b"first"], [])
    assert value(store, "app/db") == b"second"
