"""Records that are kept back and written together: when that is due.

No clock and no store: the time and the writing come in.
"""

from __future__ import annotations

from collections.abc import Sequence

from smclient_embedded.store.records import AuditRecord
from smclient_embedded.together import Together

HELD_BACK = 256
"""Calls that are written together."""

HELD_SECONDS = 1.0
"""How long the first of them waits at most."""

MOST_HELD = 2 * HELD_BACK
"""From so many calls on that no batch has taken yet, every caller waits for the next batch."""


class HeldBack(Together[Sequence[AuditRecord]]):
    """The records of one trail that are still to be written, those of each call by themselves."""

    def after_fork(self) -> None:
        """See ``Together``; nor was anybody asked to write."""
        super().after_fork()
        self._since = 0.0
        self._asked_for = 0

    def add(self, records: Sequence[AuditRecord], now: float) -> bool:
        """Hold the records of one call.

        Args:
            now: monotonic, in seconds.

        Returns:
            Whether the caller is to ``flush`` before it goes on: there are enough of them and
            nobody was told so yet, or there are too many.
        """
        with self._lock:
            if not self._held:
                self._since = now
            self._held.append(records)
            calls, batch = len(self._held), self._batches_taken + 1
            if calls < HELD_BACK and now - self._since < HELD_SECONDS:
                return False
            is_first = self._asked_for != batch
            self._asked_for = batch
            return is_first or calls >= MOST_HELD
