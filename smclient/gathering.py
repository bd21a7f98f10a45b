"""Concurrent cold reads, gathered into batches without delaying the first.

The first miss goes at once. Misses of other secrets that arrive while it is under way wait for it,
50 ms at most, and then go together in one batch if they are enough, else each alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from smclient.batch import Batch, pages
from smclient.forking import survive_fork
from smclient.secret import SecretRef, SecretValue
from smclient.singleflight import fresh_copy

LONGEST_WAIT = 0.05


class _Seat:
    """A miss that waits for its turn."""

    __slots__ = ("called", "leads", "ref", "together")

    def __init__(self, ref: SecretRef) -> None:
        self.ref = ref
        self.called = threading.Event()
        self.leads = False
        self.together: _Together | None = None


class _Together:
    """A batch that several misses share."""

    __slots__ = ("done", "ids", "result")

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.done = threading.Event()
        self.result = Batch()


class Gatherer:
    """Lets misses share calls."""

    def __init__(
        self,
        *,
        alone: Callable[[SecretRef], SecretValue],
        fetch_page: Callable[[list[str], Batch], None],
        enough: Callable[[int], bool],
    ) -> None:
        self._alone = alone
        self._fetch_page = fetch_page
        self._enough = enough
        self._lock = threading.Lock()
        self._under_way = False
        self._waiting: list[_Seat] = []
        survive_fork(self)

    def after_fork(self) -> None:
        """Whoever was under way or waited is in the parent."""
        self._lock = threading.Lock()
        self._under_way = False
        self._waiting = []

    def fetch(self, ref: SecretRef) -> SecretValue:
        """Fetch AWSCURRENT of a secret, alone or with others."""
        with self._lock:
            goes_first = not self._under_way
            self._under_way = True
            seat = _Seat(ref)
            if not goes_first:
                self._waiting.append(seat)
        if goes_first:
            try:
                return self._alone(ref)
            finally:
                self._call_the_waiting()
        seat.called.wait(LONGEST_WAIT)
        with self._lock:
            if seat in self._waiting:  # nobody called: the one under way takes long
                self._waiting.remove(seat)
        if seat.together is None:
            return self._alone(ref)
        return self._ride(seat, seat.together)

    # --- inside ---------------------------------------------------------------------------------

    def _ride(self, seat: _Seat, together: _Together) -> SecretValue:
        if seat.leads:
            try:
                for page in pages(together.ids):
                    self._fetch_page(page, together.result)
            finally:
                together.done.set()
                self._call_the_waiting()
        together.done.wait()
        secret_id = seat.ref.secret_id
        error = together.result.errors.get(secret_id)
        if error is not None:
            raise fresh_copy(error) from error
        value = together.result.values.get(secret_id)
        return self._alone(seat.ref) if value is None else value  # none: the leader was interrupted

    def _call_the_waiting(self) -> None:
        """The one under way has landed: send those who wait, together or each alone."""
        with self._lock:
            seats, self._waiting = self._waiting, []
            self._under_way = self._enough(len(seats))
            if self._under_way:
                together = _Together([seat.ref.secret_id for seat in seats])
                for seat in seats:
                    seat.together = together
                seats[0].leads = True
        for seat in seats:
            seat.called.set()
