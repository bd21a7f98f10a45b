"""One writer at a time: a lock for threads, then one for processes, both with a time limit.

The processes' lock is on ``<store>.lock``, never on the store, whose inode changes with each write.
The lock file stays: whoever removed it would let two writers in.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from smclient_file.errors import StoreBusy, StoreReadOnly, StoreWriteFailed
from smclient_file.system import System, flag
from smclient_file.write import READ_ONLY

LOCK_TIMEOUT = 10.0
_FLAGS = os.O_RDWR | os.O_CREAT | flag("O_CLOEXEC") | flag("O_NOFOLLOW") | flag("O_BINARY")


class ThreadLock:
    """A re-entrant lock that can be held in a weak table."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.writing = False

    def acquire(self, timeout: float) -> bool:
        """Take it; ``False`` when time is up."""
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()


_of_path: WeakValueDictionary[str, ThreadLock] = WeakValueDictionary()
_table = threading.Lock()
_open: set[int] = set()


def thread_lock(path: str) -> ThreadLock:
    """The lock of all threads of this process for one real path."""
    with _table:
        lock = _of_path.get(path)
        if lock is None:
            lock = _of_path[path] = ThreadLock()
        return lock


class FileLock:
    """The lock between processes for one store. Not re-entrant: hold the thread lock first."""

    def __init__(
        self,
        store: str,
        system: System,
        *,
        timeout: float = LOCK_TIMEOUT,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = store + ".lock"
        self._store = store
        self._system = system
        self._timeout = timeout
        self._sleep = sleep
        self._monotonic = monotonic
        self._descriptor = -1
        self._pid = -1

    def acquire(self) -> None:
        """Take it.

        Raises:
            StoreBusy: another process had it for the whole time limit.
            StoreReadOnly: the folder takes no lock file.
            StoreWriteFailed: the system refused for another reason.
        """
        try:
            self._descriptor = os.open(self.path, _FLAGS, 0o600)
        except OSError as error:
            kind = StoreReadOnly if error.errno in READ_ONLY else StoreWriteFailed
            raise kind(
                self._store,
                f"the lock file {self.path} cannot be opened: {error.strerror}",
                part="lock",
                remedy="nothing was changed; writing needs a folder that takes files",
            ) from error
        _open.add(self._descriptor)
        self._pid = os.getpid()
        try:
            self._wait()
        except OSError as error:
            self.release()
            raise StoreWriteFailed(
                self._store,
                f"the lock file {self.path} cannot be locked: {error.strerror}",
                part="lock",
                remedy="nothing was changed; network file systems often have no locks",
            ) from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of it. In a forked child only the copy is closed: the lock is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0 or self._pid != os.getpid():
            return
        _open.discard(descriptor)
        try:
            with suppress(OSError):  # closing ends what unlocking did not
                self._system.unlock(descriptor)  # a child may hold a copy of the descriptor
        finally:
            with suppress(OSError):  # closed all the same
                os.close(descriptor)

    def _wait(self) -> None:
        end = self._monotonic() + self._timeout
        pause = 0.0005
        while not self._system.try_lock(self._descriptor):
            left = end - self._monotonic()
            if left <= 0:
                raise StoreBusy(
                    self._store,
                    f"another process has held {self.path} for {self._timeout:g} s",
                    part="lock",
                    remedy="try again; if it hangs, end that process (the lock goes with it)",
                )
            self._sleep(min(pause, left))
            pause = min(pause * 1.5, 0.02)


class NoLock(FileLock):
    """For a file that nobody else knows."""

    def acquire(self) -> None:
        """There is nobody to wait for."""

    def release(self) -> None:
        """Nothing is held."""


def _after_fork_in_child() -> None:
    """The child closes its copies of locks and starts with none held. Unlocking them here would
    take them from the parent."""
    global _table
    _table = threading.Lock()
    _of_path.clear()
    for descriptor in _open:
        with suppress(OSError):  # closed already
            os.close(descriptor)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
