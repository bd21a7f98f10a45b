"""What several threads have to write, written together: one of them does, the others wait for it.

One writes at a time. Those who come meanwhile wait, one of them writes what came since, and the
rest find theirs written too. Many come, where the disk is slower than the callers: without this
each would write its own, and some would wait for all the others first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from smclient.forking import survive_fork

T = TypeVar("T")


class Together(Generic[T]):
    """Things that are still to be written.

    Args:
        write: writes some, in the order in which they came; if it raises they stay, and are written
            with the next.
    """

    def __init__(self, write: Callable[[Sequence[T]], object]) -> None:
        self._write = write
        self.after_fork()
        survive_fork(self)

    def after_fork(self) -> None:
        """Hold nothing, and let no thread be writing: both are the parent's."""
        self._lock = threading.Lock()
        self._written = threading.Condition(self._lock)
        self._held: list[T] = []
        self._is_writing = False
        self._batches_taken = self._batches_written = 0

    def hold(self, thing: T) -> None:
        """Keep something for the next ``flush``, whoever asks for that."""
        with self._lock:
            self._held.append(thing)

    def flush(self) -> None:
        """Write what is held, or wait until another thread has.

        Raises what ``write`` does: it could not be written, and is held as before.
        """
        with self._written:
            wanted = self._batches_taken + (1 if self._held else 0)
            while self._is_writing and self._batches_written < wanted:
                self._written.wait()
            if self._batches_written >= wanted:
                return
            held, self._held = self._held, []
            self._batches_taken += 1
            self._is_writing = True
        try:
            self._write(held)
        except BaseException:
            with self._written:
                self._held = held + self._held
                self._end()
            raise
        with self._written:
            self._batches_written = self._batches_taken
            self._end()

    def _end(self) -> None:
        self._is_writing = False
        self._written.notify_all()
