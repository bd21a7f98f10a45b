"""Records that are kept back and written together: who adds the one too many has them written, and
whoever asks for that waits until what was there has been.

No clock and no store: the time and the writing come in. One writes at a time. Those who ask
meanwhile wait, one of them writes what came since, and the rest find theirs written too. Many do,
where the disk is slower than the callers: without this each would write a little of its own, and
some would wait for all the others first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from smclient_embedded.store.records import AuditRecord

HELD_BACK = 256
"""Calls that are written together."""

HELD_SECONDS = 1.0
"""How long the first of them waits at most."""

MOST_HELD = 2 * HELD_BACK
"""Calls that wait to be written at most; beyond, every caller waits with them."""


class HeldBack:
    """The records of one trail that are still to be written.

    Args:
        write: writes some; if it raises they stay, and are written with the next.
    """

    def __init__(self, write: Callable[[Sequence[AuditRecord]], object]) -> None:
        self._write = write
        self.forget()

    def forget(self) -> None:
        """Hold nothing, and let no thread be writing: in a forked child both are the parent's."""
        self._lock = threading.Lock()
        self._written = threading.Condition(self._lock)
        self._records: list[AuditRecord] = []
        self._calls = 0
        self._since = 0.0
        self._is_asked_for = False
        self._is_writing = False
        self._batches_taken = self._batches_written = 0

    def add(self, records: Sequence[AuditRecord], now: float) -> bool:
        """Hold the records of one call.

        Args:
            now: monotonic, in seconds.

        Returns:
            Whether the caller is to ``flush`` before it goes on: there are enough of them and
            nobody was told so yet, or there are too many.
        """
        with self._lock:
            if not self._records:
                self._since = now
                self._calls = 0
            self._records += records
            self._calls += 1
            is_enough = self._calls >= HELD_BACK or now - self._since >= HELD_SECONDS
            is_due = is_enough and not (self._is_asked_for and self._calls < MOST_HELD)
            self._is_asked_for = is_enough
            return is_due

    def flush(self) -> None:
        """Write what is held, or wait until another thread has.

        Raises:
            StoreError: it could not be written, and is held as before.
        """
        with self._written:
            wanted = self._batches_taken + (1 if self._records else 0)
            while self._is_writing and self._batches_written < wanted:
                self._written.wait()
            if self._batches_written >= wanted:
                return
            records, self._records = self._records, []
            calls, self._calls = self._calls, 0
            self._batches_taken += 1
            self._is_writing, self._is_asked_for = True, False
        try:
            self._write(records)
        except BaseException:
            with self._written:
                self._records = records + self._records
                self._calls += calls
                self._end()
            raise
        with self._written:
            self._batches_written = self._batches_taken
            self._end()

    def _end(self) -> None:
        self._is_writing = False
        self._written.notify_all()
