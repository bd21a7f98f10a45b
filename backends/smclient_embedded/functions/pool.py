"""Processes kept warm between invocations, as Lambda does: between the four steps of a rotation the
interpreter and the drivers need not be loaded again while the application waits."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smclient_embedded.functions.definition import ChildFunction
from smclient_embedded.functions.log import InvocationLog
from smclient_embedded.functions.session import Session

if TYPE_CHECKING:
    from smclient_embedded.functions.child import Child

MOST_WARM = 8
"""How many processes wait for their next event, of all functions together."""

OpenSession = Callable[[ChildFunction], Session]
EndSession = Callable[[Session], object]
Find = Callable[[], tuple[str, ChildFunction]]
"""A function and its revision."""


@dataclass(frozen=True, slots=True)
class _Warm:
    revision: str
    child: Child


@dataclass
class Pool:
    """Warm processes. Safe to use from many threads; empty in a fork."""

    open_session: OpenSession
    end_session: EndSession
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _warm: list[_Warm] = field(default_factory=list)
    _pid: int = field(default_factory=os.getpid)

    @contextlib.contextmanager
    def lend(self, arn: str, revision: str, find: Find, log: InvocationLog) -> Iterator[Child]:
        """A process with the handler loaded, for the length of the block. It is kept if the block
        ends well, and ended if it does not.

        Args:
            find: opens the function's code, which is done only where no process of it waits.

        Raises:
            FunctionFailedError: the handler cannot be loaded; or what ``find`` raises.
        """
        from smclient_embedded.functions.child import Child  # loads what few services need

        child = self._take(arn, revision)
        if child is None:
            revision, function = find()
            child = Child(function, self.open_session(function))
        try:
            if not child.loaded:
                child.start(log)
            yield child
        except BaseException:
            self._end(child)
            raise
        self._give_back(_Warm(revision, child))

    def close(self) -> None:
        """End every process that waits."""
        for warm in self._all():
            self._end(warm.child)

    def _all(self) -> list[_Warm]:
        with self._lock:
            warm, self._warm = self._warm, []
            if self._pid != os.getpid():  # they belong to the process that this one is a fork of
                self._pid = os.getpid()
                for other in warm:
                    other.child.forget()
                return []
        return warm

    def _take(self, arn: str, revision: str) -> Child | None:
        """A process of this very code whose keys outlast the invocation; older ones are ended."""
        found: Child | None = None
        kept: list[_Warm] = []
        now = time.monotonic()
        for warm in reversed(self._all()):
            child = warm.child
            latest = now + child.function.timeout_seconds
            if child.function.arn != arn:
                kept.insert(0, warm)
            elif warm.revision != revision or child.session.ends_at < latest or not child.alive:
                self._end(child)
            elif found is None:
                found = child
            else:
                kept.insert(0, warm)
        with self._lock:
            self._warm = kept + self._warm
        return found

    def _give_back(self, warm: _Warm) -> None:
        with self._lock:
            self._warm.append(warm)
            surplus, self._warm = self._warm[:-MOST_WARM], self._warm[-MOST_WARM:]
        for other in surplus:
            self._end(other.child)

    def _end(self, child: Child) -> None:
        child.close()
        self.end_session(child.session)
