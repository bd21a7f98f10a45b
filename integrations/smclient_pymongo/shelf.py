"""Which MongoDB client is the one to use, and which ones wait for their end. No I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from smclient import SecretValue

C = TypeVar("C")


@dataclass(slots=True, eq=False)
class Made(Generic[C]):
    """A client, and the versions of the secret that are no reason to swap it: the one it logged in
    with, and the one that was AWSCURRENT then (a login may be won by AWSPENDING)."""

    client: C
    versions: set[str]
    users: int = 0
    retired_at: float | None = None

    def settles_for(self, current: SecretValue | None) -> None:
        """This was AWSCURRENT at the login."""
        if current is not None:
            self.versions.add(current.version_id)


class Shelf(Generic[C]):
    """The client in use and the retired ones. Safe between threads."""

    def __init__(self, grace: float, now: Callable[[], float]) -> None:
        self._grace = grace
        self._now = now
        self._lock = threading.Lock()
        self._retired: list[Made[C]] = []
        self.current: Made[C] | None = None

    def swap(self, made: Made[C] | None) -> None:
        """Another is the one to use from now on, or none is."""
        with self._lock:
            if self.current is not None:
                self.current.retired_at = self._now()
                self._retired.append(self.current)
            self.current = made

    def begin(self) -> Made[C] | None:
        """Work begins on the client in use."""
        with self._lock:
            if self.current is not None:
                self.current.users += 1
            return self.current

    def end(self, made: Made[C]) -> None:
        """That work ended."""
        with self._lock:
            made.users -= 1

    def over(self) -> list[C]:
        """Retired clients to close now: nobody works with them, and their grace is over."""
        if not self._retired:
            return []
        until = self._now() - self._grace
        with self._lock:
            ends = [
                made
                for made in self._retired
                if made.users == 0 and made.retired_at is not None and made.retired_at <= until
            ]
            self._retired = [made for made in self._retired if made not in ends]
        return [made.client for made in ends]

    def empty(self) -> list[C]:
        """All of them, to close now."""
        self.swap(None)
        with self._lock:
            everything, self._retired = self._retired, []
        return [made.client for made in everything]
