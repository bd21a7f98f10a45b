"""Where operating systems differ: flushing, replacing, locking, permissions. One small object each,
so that every path can be tested anywhere."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol


class System(Protocol):
    """What the file store asks of an operating system."""

    has_modes: bool
    """Whether permissions are those of POSIX."""

    def flush(self, descriptor: int) -> None:
        """Bring what was written to the disk itself."""
        ...

    def flush_folder(self, path: str) -> None:
        """Bring a rename in a folder to the disk."""
        ...

    def replace(self, source: str, target: str) -> None:
        """Put a file in the place of another, at once."""
        ...

    def try_lock(self, descriptor: int) -> bool:
        """Lock a whole open file against other processes; ``False`` if one has it."""
        ...

    def unlock(self, descriptor: int) -> None:
        """Let go of the lock."""
        ...


class Posix:
    """Linux and others: ``fsync``, ``rename``, ``flock``."""

    has_modes = True

    def flush(self, descriptor: int) -> None:
        """See ``System.flush``."""
        os.fsync(descriptor)

    def flush_folder(self, path: str) -> None:
        """See ``System.flush_folder``."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            with suppress(OSError):  # nothing was written through it
                os.close(descriptor)

    def replace(self, source: str, target: str) -> None:
        """See ``System.replace``."""
        os.replace(source, target)

    def try_lock(self, descriptor: int) -> bool:
        """``flock``, not ``fcntl`` locks: those are dropped when any other part of the process
        closes the file."""
        fcntl: Any = import_module("fcntl")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, descriptor: int) -> None:
        """See ``System.unlock``."""
        fcntl: Any = import_module("fcntl")
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class MacOs(Posix):
    """As ``Posix``, but ``fsync`` there does not reach the disk; ``F_FULLFSYNC`` does."""

    def flush(self, descriptor: int) -> None:
        """``F_FULLFSYNC``; ``fsync`` on file systems that do not have it."""
        fcntl: Any = import_module("fcntl")
        try:
            fcntl.fcntl(descriptor, getattr(fcntl, "F_FULLFSYNC", 51))
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            os.fsync(descriptor)


class Windows:
    """``msvcrt`` locks; a replace is repeated while a reader or a virus scanner holds the file."""

    has_modes = False
    REPEATS = 20

    def __init__(
        self, *, msvcrt: Any = None, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._msvcrt = msvcrt or import_module("msvcrt")
        self._sleep = sleep

    def flush(self, descriptor: int) -> None:
        """See ``System.flush``."""
        os.fsync(descriptor)

    def flush_folder(self, path: str) -> None:
        """Folders cannot be opened there; the file system's journal orders renames."""

    def replace(self, source: str, target: str) -> None:
        """See ``System.replace``. Raises the last ``PermissionError`` after some 2 seconds."""
        for repeat in range(self.REPEATS):
            try:
                os.replace(source, target)
            except PermissionError:
                if repeat == self.REPEATS - 1:
                    raise
                self._sleep(min(0.01 * 2**repeat, 0.16))
            else:
                return

    def try_lock(self, descriptor: int) -> bool:
        """Locks the first byte, which need not exist."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            self._msvcrt.locking(descriptor, self._msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(self, descriptor: int) -> None:
        """See ``System.unlock``."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._msvcrt.locking(descriptor, self._msvcrt.LK_UNLCK, 1)


_NOT_SUPPORTED = frozenset({22, 25, 45})  # EINVAL, ENOTTY, ENOTSUP as macOS numbers them


def this_system() -> System:
    """The one that this process runs on."""
    if sys.platform == "win32":
        return Windows()
    return MacOs() if sys.platform == "darwin" else Posix()


def flag(name: str) -> int:
    """A flag of ``os.open``; 0 where the system does not have it."""
    value: int = getattr(os, name, 0)
    return value


def writable_by_others(mode: int) -> bool:
    """Whether group or everybody may write."""
    return bool(mode & (stat.S_IWGRP | stat.S_IWOTH))


def open_to_others(mode: int) -> bool:
    """Whether group or everybody may do anything."""
    return bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
