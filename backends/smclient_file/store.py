"""``FileStore``: the encrypted file as a ``Store``.

Readers take no lock: they look whether the file is the one they know, and read it anew if not. A
writer holds the lock, reads the file if it changed, applies, and puts a whole new file in place.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from smclient_embedded.store import Keyring, StoreError, Transaction
from smclient_file import pin
from smclient_file.crypto import StoreKeys
from smclient_file.errors import (
    FileStoreError,
    StoreBusy,
    StoreReadOnly,
    StoreRolledBack,
)
from smclient_file.format import NO_MAC, Header, assemble, take_apart
from smclient_file.generation import Generation, Memory
from smclient_file.lock import LOCK_TIMEOUT, FileLock, NoLock, ThreadLock, thread_lock
from smclient_file.pin import NoPins, Pins, Seen
from smclient_file.seals import FileKeyring
from smclient_file.slots import Slot
from smclient_file.system import System, this_system
from smclient_file.tables import Tables, tables_of
from smclient_file.transaction import FileTransaction
from smclient_file.unlock import Credentials, unlock
from smclient_file.write import read_file, read_signature, sweep, write_file

_all: weakref.WeakSet[FileStore] = weakref.WeakSet()


class FileStore:
    """A store in one encrypted file. Safe for threads, processes and forks.

    The file keeps secrets, versions, labels, tags, policies, rotation settings, rotations under way
    and settings of the store. The audit trail (the newest 10,000 records), KMS keys and the date of
    the last access are remembered by the process only: reading never writes the file.

    Args:
        path: the file; symbolic links are followed once, now.
        credentials: what opens it; without, the environment.
        expected_generation: a file older than that is refused.
        accept_rollback: take an older or another file than the pin says, and pin that.
        lock_timeout: how long a writer waits for another one, in seconds.
        private: nobody else knows the file, as git's temporary ones in a merge: no lock file is
            made beside it, and it is neither compared with a pin nor pinned.

    Raises:
        FileStoreError: one of ``smclient_file.errors``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        credentials: Credentials | None = None,
        *,
        expected_generation: int | None = None,
        accept_rollback: bool = False,
        lock_timeout: float = LOCK_TIMEOUT,
        private: bool = False,
        pins: Pins | None = None,
        system: System | None = None,
    ) -> None:
        self.path = os.path.realpath(path)
        self._credentials = credentials or Credentials()
        self._expected = expected_generation
        self._accept_rollback = accept_rollback
        self._pins = NoPins() if private else pins or Pins()
        self._private = private
        self._system = system or this_system()
        self._lock_timeout = lock_timeout
        self._memory = Memory()
        self._closed = False
        self._generation: Generation | None = None
        self._new_locks()
        _all.add(self)
        self._current()
        self._accept_rollback = False  # it was meant for the file that was found just now

    # --- Store ------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """See ``Store.transaction``. What a failed write raises says whether the file changed."""
        self._must_be_open()
        if write:
            with self._writing() as (tx, _):
                yield tx
        else:
            yield FileTransaction(self.path, self._read_only, self._memory, write=False)

    def recall(self, key: Hashable) -> object | None:
        """See ``Store.recall``: nothing is kept here."""
        return None

    def keyring(self) -> Keyring | None:
        """Its own keys seal and open."""
        return FileKeyring(self.path, self._keys_now)

    def close(self) -> None:
        """Forget contents and keys. The store cannot be used again.

        A write under way ends first. One that lasts longer than ``lock_timeout``, or in which this
        is called, is refused when it would be committed.
        """
        threads = self._threads
        ended = threads.acquire(self._lock_timeout)
        try:
            with self._loading:
                self._closed = True
                self._forget(wipe=ended)
        finally:
            if ended:
                threads.release()

    # --- more than a Store ------------------------------------------------------------------------

    def generation(self) -> Generation:
        """The file as it is now, believed."""
        self._must_be_open()
        return self._current()

    def rewrite(self, change: Callable[[Generation], tuple[Header, StoreKeys, Tables]]) -> None:
        """Write a generation whose header, keys or lines ``change`` made: slots, epochs, merges.

        ``change`` is called under the lock; generation and ``prev_mac`` are filled in.
        """
        self._must_be_open()
        with self._writing() as (tx, put):
            base, refusal = tx.begin()
            if refusal is not None:
                raise refusal
            put(base, *change(base))

    # --- reading ----------------------------------------------------------------------------------

    def _read_only(self) -> tuple[Generation, None]:
        return self._current(), None

    def _keys_now(self) -> tuple[StoreKeys, int]:
        self._must_be_open()
        generation = self._generation or self._current()
        return generation.keys, generation.header.epoch

    def _current(self) -> Generation:
        known = self._generation
        if known is not None and read_signature(self.path, self._system) == known.signature:
            return known
        with self._loading:
            self._must_be_open()  # a reader that waited for close() takes up no keys again
            known = self._generation
            if known is not None and read_signature(self.path, self._system) == known.signature:
                return known
            self._generation = self._load(known)
            return self._generation

    def _load(self, known: Generation | None) -> Generation:
        """Read and believe the file. A pin that runs ahead may be a writer's who was faster than
        this reader, so the file is looked at again before it is called rolled back."""
        while True:
            raw, signature = read_file(self.path, self._system)
            image = take_apart(self.path, raw)
            keys, slot = self._unlocked(image.header, known)
            body = image.body(self.path, keys)
            seen = Seen(image.header.generation, image.mac)
            try:
                self._check_pin(image.header.store_id, seen)
            except StoreRolledBack:
                if read_signature(self.path, self._system) == signature:
                    raise
                continue
            tables = tables_of(self.path, image.header.store_id, body)
            return Generation(image.header, image.mac, keys, slot, tables, signature)

    def _unlocked(self, header: Header, known: Generation | None) -> tuple[StoreKeys, Slot]:
        """The keys; those at hand as long as the slot that gave them is in the file."""
        if (
            known is not None
            and known.slot in header.slots
            and (known.header.store_id, known.header.algorithm)
            == (header.store_id, header.algorithm)
        ):
            return known.keys, known.slot
        return unlock(self.path, header, self._credentials)

    def _check_pin(self, store_id: str, seen: Seen) -> None:
        back = False
        try:
            pin.check(self.path, seen, self._pins.get(store_id), self._expected)
        except StoreRolledBack:
            below = self._expected is not None and seen.generation < self._expected
            if below or not self._accept_rollback:
                raise
            back = True
        self._pins.advance(store_id, seen, back=back)

    # --- writing ----------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[tuple[_Writing, Callable[..., None]]]:
        threads, pid = self._threads, os.getpid()
        if not threads.acquire(self._lock_timeout):
            raise StoreBusy(
                self.path,
                f"another thread has been writing for {self._lock_timeout:g} s",
                part="lock",
                remedy="try again",
            )
        try:
            if threads.writing:
                raise RuntimeError(f"{self.path}: a write transaction within another one")
            threads.writing = True
            lock = self._file_lock()
            try:
                tx = _Writing(self.path, lambda: self._begin(lock), self._memory, write=True)
                yield tx, self._put
                if os.getpid() != pid:
                    raise FileStoreError(
                        self.path, "a transaction was begun before a fork; the parent ends it"
                    )
                self._commit(tx)
            finally:
                threads.writing = False
                lock.release()
        finally:
            if os.getpid() == pid:
                threads.release()

    def _begin(self, lock: FileLock) -> tuple[Generation, StoreError | None]:
        try:
            lock.acquire()
        except (StoreBusy, StoreReadOnly) as error:
            return self._current(), error
        return self._current(), None

    def _commit(self, tx: FileTransaction) -> None:
        entries, settings = tx.changes()
        base = tx.base
        if base is not None and (entries or settings):
            tables = base.tables.changed(entries, settings)
            self._put(base, base.header, base.keys, tables)
        tx.publish()

    def _put(self, base: Generation, header: Header, keys: StoreKeys, tables: Tables) -> None:
        """Write the next generation. If anything goes wrong, the signature says on next use
        whether the file changed; the generation that is known stays until then."""
        self._must_be_open()
        last = max(base.header.generation, header.generation)
        header = replace(header, generation=last + 1, prev_mac=base.mac)
        raw, mac = assemble(self.path, header, tables.blocks(), keys)
        sweep(self.path)
        signature = write_file(self.path, raw, self._system)
        slot = base.slot if base.slot in header.slots else header.slots[0]
        self._generation = Generation(header, mac, keys, slot, tables, signature)
        self._pins.advance(header.store_id, Seen(header.generation, mac))

    # --- inside -----------------------------------------------------------------------------------

    def _file_lock(self) -> FileLock:
        kind = NoLock if self._private else FileLock
        return kind(self.path, self._system, timeout=self._lock_timeout)

    def _must_be_open(self) -> None:
        if self._closed:
            raise FileStoreError(self.path, "the store was closed", remedy="open it anew")

    def _new_locks(self) -> None:
        self._threads: ThreadLock = thread_lock(self.path)
        self._loading = threading.RLock()

    def _forget(self, *, wipe: bool) -> None:
        generation, self._generation = self._generation, None
        if wipe and generation is not None:
            generation.keys.wipe()

    def _after_fork_in_child(self) -> None:
        self._new_locks()
        self._forget(wipe=True)

    def __repr__(self) -> str:
        return f"FileStore({self.path!r})"


class _Writing(FileTransaction):
    """A transaction whose begin ``rewrite`` can ask for."""

    def begin(self) -> tuple[Generation, StoreError | None]:
        """Take the lock and read the file."""
        generation = self._generation()
        return generation, self._refusal


def create(
    path: str | os.PathLike[str],
    slots: Callable[[StoreKeys], Sequence[Slot]],
    *,
    algorithm: str = "A256GCM",
    store_id: str,
    pins: Pins | None = None,
    system: System | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
) -> str:
    """Make a new, empty store and return its real path.

    ``slots`` makes its key slots for its new root key.

    Raises:
        StoreExists, StoreWriteFailed, StoreBusy
    """
    real, system = os.path.realpath(path), system or this_system()
    keys = StoreKeys.random(store_id=store_id, algorithm=algorithm)
    header = Header(store_id, 1, tuple(slots(keys)), NO_MAC, 1, algorithm)
    raw, mac = assemble(real, header, [], keys)
    lock = FileLock(real, system, timeout=lock_timeout)
    lock.acquire()
    try:
        sweep(real)
        write_file(real, raw, system, create=True)
    finally:
        lock.release()
    (pins or Pins()).advance(store_id, Seen(1, mac))
    return real


def _forked() -> None:
    for store in list(_all):
        store._after_fork_in_child()


# Not through smclient.forking, whose hook may come before the one of smclient_file.lock: a store
# would take a lock again that a thread of the parent holds. Hooks run in the order of registration.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
