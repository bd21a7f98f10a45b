"""The paths of macOS and Windows, played on any system."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smclient_file import FileStore, system
from smclient_file.errors import StoreBusy, StoreDurabilityUnknown, StoreWriteFailed
from smclient_file.lock import FileLock
from smclient_file.system import MacOs, Posix, Windows
from tests.backends.file.helpers_file import put, sample, value

Make = Callable[..., Path]
Open = Callable[..., FileStore]


class Msvcrt:
    """Windows's locks: of one byte, per descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: set[int] = set()

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
        if mode == self.LK_UNLCK:
            self.held.discard(descriptor)
        elif self.held:
            raise OSError(errno.EACCES, "Permission denied")
        else:
            self.held.add(descriptor)


def windows(sleeps: list[float] | None = None) -> Windows:
    return Windows(msvcrt=Msvcrt(), sleep=(sleeps if sleeps is not None else []).append)


@pytest.mark.parametrize("make", [Posix, MacOs, windows])
def test_a_store_works_on_every_system(
    make_file: Make, open_file: Open, make: Callable[[], Any]
) -> None:
    path = make_file()
    store = open_file(path, system=make())
    sample(store)
    put(store, "app/db", "third", "v3")
    assert value(open_file(path, system=make()), "app/db") == b"third"


def test_macos_flushes_to_the_disk_itself(
    make_file: Make, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``F_FULLFSYNC``; ``fsync`` only where the file system does not have it."""
    asked: list[int] = []
    refusal: list[OSError] = []

    def control(descriptor: int, command: int) -> int:
        asked.append(command)
        if refusal:
            raise refusal[0]
        return 0

    path = make_file()
    store = open_file(path, system=MacOs())
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    sample(store)
    assert asked
    assert set(asked) == {51}
    refusal.append(OSError(45, "Operation not supported"))
    put(store, "app/db", "third", "v3")
    refusal[0] = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StoreDurabilityUnknown):
        put(store, "app/db", "fourth", "v4")
    assert value(store, "app/db") == b"third"


def test_windows_repeats_a_replace_that_is_refused(
    make_file: Make, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader or a virus scanner holds the file for a moment; in the end it is an error."""
    path, real = make_file(), os.replace
    sleeps: list[float] = []
    refusals = [3]

    def replace(source: str, target: str) -> None:
        if str(target).endswith(".sms") and refusals[0]:
            refusals[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    store = open_file(path, system=windows(sleeps))
    put(store, "app/db", "first")
    assert sleeps == [0.01, 0.02, 0.04]
    refusals[0] = 1000
    raw = path.read_bytes()
    with pytest.raises(StoreWriteFailed, match="Access is denied"):
        put(store, "app/db", "second", "v2")
    assert path.read_bytes() == raw
    assert sum(sleeps) < 4


def test_windows_has_no_modes_and_no_folders_to_flush(make_file: Make, open_file: Open) -> None:
    path = make_file()
    os.chmod(path, 0o666)
    store = open_file(path, system=windows())
    sample(store)
    windows().flush_folder("no folder")


def test_windows_locks(tmp_path: Path) -> None:
    """One at a time; the waiting is bounded and grows."""
    here = windows()
    sleeps: list[float] = []
    first = FileLock(str(tmp_path / "s"), here)
    first.acquire()
    times = iter(range(100))
    second = FileLock(
        str(tmp_path / "s"),
        here,
        timeout=5.5,
        sleep=sleeps.append,
        monotonic=lambda: float(next(times)),
    )
    with pytest.raises(StoreBusy, match=r"5\.5 s"):
        second.acquire()
    assert len(sleeps) == 5
    assert sleeps == sorted(sleeps)
    first.release()
    second.acquire()
    second.release()
    second.release()  # twice is fine


def test_the_system_is_chosen_by_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, kind in (("linux", Posix), ("darwin", MacOs), ("freebsd14", Posix)):
        monkeypatch.setattr("sys.platform", platform)
        assert type(system.this_system()) is kind
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setitem(__import__("sys").modules, "msvcrt", Msvcrt())
    assert type(system.this_system()) is Windows


def test_a_user_without_a_home(
    make_file: Make, open_file: Open, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Said, and nothing is made in whatever folder the process is in."""
    path = make_file()
    for name in ("SMCLIENT_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(path.parent)
    before = set(path.parent.iterdir())
    sample(open_file(path))
    assert "rollbacks go unnoticed" in caplog.text
    assert set(path.parent.iterdir()) - before == {Path(f"{path}.lock")} - before


def test_a_file_system_without_locks_is_told(tmp_path: Path) -> None:
    class None_(Posix):
        def try_lock(self, descriptor: int) -> bool:
            raise OSError(errno.ENOLCK, "No locks available")

    with pytest.raises(StoreWriteFailed, match="No locks available"):
        FileLock(str(tmp_path / "s"), None_()).acquire()
