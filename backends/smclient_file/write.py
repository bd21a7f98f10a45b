"""Reading and replacing the file. A reader sees a whole old or a whole new one, at any moment.

    temp in the same folder (new, 0600) → write all → flush → replace → flush the folder

A flush that failed is never tried again: the system may have marked lost pages as clean.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from smclient_file.errors import (
    FileStoreError,
    StoreDurabilityUnknown,
    StoreExists,
    StoreLimitExceeded,
    StoreMissing,
    StorePermissionsRefused,
    StoreReadFailed,
    StoreReadOnly,
    StoreWriteFailed,
)
from smclient_file.format import MAC_BYTES, MAX_FILE
from smclient_file.system import System, flag, writable_by_others

T = TypeVar("T")

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_CHUNK = 1 << 20
_OPEN = flag("O_CLOEXEC") | flag("O_NOFOLLOW") | flag("O_BINARY") | flag("O_NOCTTY")


@dataclass(frozen=True, slots=True)
class Signature:
    """By what a file is known to be the one that was read: where and when it was written, and its
    MAC line, because a file system may use an inode and a coarse time again."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int
    tail: bytes

    @classmethod
    def of(cls, found: os.stat_result, tail: bytes) -> Signature:
        """From what the system says of an open file, and its end."""
        return cls(
            found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, tail
        )


def read_file(path: str, system: System) -> tuple[bytes, Signature]:
    """All bytes of the file.

    Raises:
        StoreMissing, StorePermissionsRefused, StoreLimitExceeded, StoreReadFailed
    """
    with _Reading(path, system) as reading:
        if reading.found.st_size > MAX_FILE:
            raise StoreLimitExceeded(
                path, f"the file has {reading.found.st_size} bytes, more than {MAX_FILE}"
            )
        raw = reading.read(MAX_FILE + 1)
        return raw, Signature.of(reading.found, raw[-MAC_BYTES:])


def read_signature(path: str, system: System) -> Signature:
    """What ``read_file`` would say of the file now, without reading all of it.

    Raises:
        StoreMissing, StorePermissionsRefused, StoreReadFailed
    """
    with _Reading(path, system) as reading:
        start = max(reading.found.st_size - MAC_BYTES, 0)
        return Signature.of(reading.found, reading.read(MAC_BYTES, start=start))


class _Reading:
    """An open file, checked for what it is and who may write it."""

    found: os.stat_result

    def __init__(self, path: str, system: System) -> None:
        self._path = path
        self._system = system
        self._descriptor = -1

    def __enter__(self) -> _Reading:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | _OPEN | flag("O_NONBLOCK"))
            self.found = os.fstat(self._descriptor)
            self._check()
        except OSError as error:
            self.__exit__()
            raise self._refusal(error) from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _close_quietly(descriptor)

    def read(self, length: int, *, start: int = 0) -> bytes:
        chunks: list[bytes] = []
        try:
            if start:
                os.lseek(self._descriptor, start, os.SEEK_SET)
            while length > 0:
                chunk = os.read(self._descriptor, min(length, _CHUNK))
                if not chunk:
                    break
                chunks.append(chunk)
                length -= len(chunk)
        except OSError as error:
            raise self._refusal(error) from error
        return b"".join(chunks)

    def _check(self) -> None:
        if not stat.S_ISREG(self.found.st_mode):
            raise StoreReadFailed(self._path, "it is no regular file")
        if self._system.has_modes and writable_by_others(self.found.st_mode):
            raise StorePermissionsRefused(
                self._path,
                "others than its owner may write it",
                part="permissions",
                remedy=f"chmod go-w {self._path}",
            )

    def _refusal(self, error: OSError) -> FileStoreError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return StoreMissing(
                self._path, "there is no such file", remedy="make one with 'smclient file init'"
            )
        if error.errno == errno.ELOOP:
            return StoreReadFailed(
                self._path, "it became a symbolic link after it was opened", remedy="open it anew"
            )
        return StoreReadFailed(self._path, f"it cannot be read: {_said(error)}")


def write_file(path: str, raw: bytes, system: System, *, create: bool = False) -> Signature:
    """Put a whole new file in the place of the old one, and bring it to the disk.

    The caller holds the lock. With ``create`` there must be none yet.

    Raises:
        StoreWriteFailed: nothing was changed.
        StoreReadOnly: the folder takes no files; nothing was changed.
        StoreDurabilityUnknown: a flush failed.
        StoreExists: ``create``, and there is one.
    """
    if create and os.path.lexists(path):
        raise StoreExists(path, "there is a file already", remedy="choose another path")
    temp = _temp_name(path)
    try:
        _fill(temp, path, raw, system)
        _attempt(path, lambda: system.replace(temp, path), "the new file cannot be put in place")
    except Exception:
        _remove(temp)
        raise
    try:
        system.flush_folder(os.path.dirname(path))
        return Signature.of(os.stat(path, follow_symlinks=False), raw[-MAC_BYTES:])
    except OSError as error:
        raise StoreDurabilityUnknown(
            path,
            f"the new file is in place, but its folder could not be flushed: {_said(error)}",
            part="folder",
            remedy="the change may not survive a power cut; check the disk, then write again",
        ) from error


def sweep(path: str) -> None:
    """Remove the temps that a crash left. The caller holds the lock, so none of them is in use."""
    folder, name = os.path.split(path)
    stale = re.compile(re.escape(f".{name}.") + r"[0-9a-f]{16}\.tmp")
    try:
        found = [entry for entry in os.listdir(folder) if stale.fullmatch(entry)]
    except OSError:
        return  # tidiness only; what matters will fail by itself
    for entry in found:
        _remove(os.path.join(folder, entry))


def write_all(descriptor: int, raw: bytes) -> None:
    """Write every byte, however few the system takes at a time."""
    view = memoryview(raw)
    while view:
        written = os.write(descriptor, view[: 16 * _CHUNK])
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        view = view[written:]


def _fill(temp: str, path: str, raw: bytes, system: System) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
    descriptor = _attempt(
        path, lambda: os.open(temp, flags, 0o600), "no file can be made beside it"
    )
    try:
        _attempt(path, lambda: write_all(descriptor, raw), "the new file cannot be written")
        try:
            system.flush(descriptor)
        except OSError as error:
            raise StoreDurabilityUnknown(
                path,
                f"the new file could not be flushed to the disk: {_said(error)}",
                remedy="the old file is in place and nothing was changed; check the disk",
            ) from error
    except BaseException:
        _close_quietly(descriptor)
        raise
    _attempt(path, lambda: os.close(descriptor), "the new file cannot be closed")


def _attempt(path: str, work: Callable[[], T], problem: str) -> T:
    try:
        return work()
    except OSError as error:
        kind = StoreReadOnly if error.errno in READ_ONLY else StoreWriteFailed
        raise kind(
            path,
            f"{problem}: {_said(error)}",
            remedy="the old file is in place and nothing was changed",
        ) from error


def _temp_name(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")


def _remove(path: str) -> None:
    with suppress(OSError):  # gone already, or swept by the next writer
        os.unlink(path)


def _close_quietly(descriptor: int) -> None:
    with suppress(OSError):  # all was read, or another error is on its way
        os.close(descriptor)


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__
