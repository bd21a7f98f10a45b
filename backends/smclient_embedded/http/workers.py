"""Several processes that serve one store behind one socket, so that every core answers.

The process that was started opens no store and answers nobody: it forks the others, one after the
other, replaces those that die, passes SIGTERM on, and ends with the last of them. A worker ends
when it does, however that happened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from smclient.errors import SmclientError

logger = logging.getLogger("smclient.embedded.http")

PAUSE_SECONDS = 1.0
"""How long a place stays empty: what keeps workers from serving may be over by then."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WorkerFailed(SmclientError):
    """A worker could not begin to serve; it has said why itself."""


@dataclass(frozen=True, slots=True)
class Worker:
    """This process, if it is one of the workers.

    Attributes:
        is_first: it is the first one ever, so what is done once for all of them is its part.
    """

    is_first: bool
    _ready: int

    def say_ready(self, how: str) -> None:
        """Tell that it accepts connections; ``how`` it is reached is told to whoever started."""
        os.write(self._ready, how.encode())
        os.close(self._ready)


class Workers:
    """The workers of one server.

    Args:
        on_ready: called once all of them accept connections, with what the last one said.
        on_ending: called when they are told to end, in a signal handler: lets nobody new in.
    """

    def __init__(
        self, number: int, on_ready: Callable[[str], object], on_ending: Callable[[], object]
    ) -> None:
        self._number = number
        self._on_ready: Callable[[str], object] | None = on_ready
        self._on_ending = on_ending
        self._alive: set[int] = set()
        self._is_first = True
        self._is_ending = False
        self._lifeline = os.pipe()

    def fork(self) -> Worker | None:
        """In each worker: who it is, at once. In the process that called: ``None``, when all of
        them have ended after a signal.

        It must have one thread only.

        Raises:
            WorkerFailed: one ended before all of them were ready; the others were ended.
        """
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        worker: Worker | None = None
        try:
            worker = self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if worker is not None:  # its own handlers are in place: what was meant for it may come
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return worker

    # --- inside -----------------------------------------------------------------------------------

    def _run(self) -> Worker | None:
        while not self._is_ending:
            if len(self._alive) == self._number:
                self._wait_for_an_end()
                continue
            heard = self._fork_one()
            if isinstance(heard, Worker):
                return heard
            self._on_begun(heard)
        while self._alive:
            self._wait_for_an_end()
        return None

    def _fork_one(self) -> Worker | str:
        """In the worker who it is; else what it said when it was ready, empty if it never was."""
        heard, ready = os.pipe()
        with _signals_held() as held:
            if self._is_ending:  # since it was looked at last
                os.close(heard)
                os.close(ready)
                return ""
            process = os.fork()
            if process == 0:
                held.pop_all()
                os.setpgid(0, 0)  # a terminal's Ctrl-C is for the process that was started
                os.close(heard)
                os.close(self._lifeline[1])
                _end_with(self._lifeline[0])
                return Worker(self._is_first, ready)
            self._alive.add(process)
        self._is_first = False
        os.close(ready)
        with os.fdopen(heard, encoding="utf-8") as pipe:
            return pipe.read()

    def _on_begun(self, said: str) -> None:
        """The first of all workers have to begin; one that takes a place later is tried again."""
        if self._on_ready is None or self._is_ending:
            return
        if not said:
            self._end_all()
            while self._alive:
                self._wait_for_an_end()
            raise WorkerFailed("a worker ended before it was ready, see above; nothing is served")
        if len(self._alive) == self._number:
            self._on_ready(said)
            self._on_ready = None

    def _wait_for_an_end(self) -> None:
        process, status = os.wait()
        if process not in self._alive:  # an orphan, where this is the first process of a container
            return
        self._alive.discard(process)
        if not self._is_ending:
            code = os.waitstatus_to_exitcode(status)
            logger.error("worker %d ended (%d); another one takes its place", process, code)
            time.sleep(PAUSE_SECONDS)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._end_all()

    def _end_all(self) -> None:
        self._is_ending = True
        self._on_ending()
        for process in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)


@contextlib.contextmanager
def _signals_held() -> Iterator[contextlib.ExitStack]:
    """Signals wait until the block ends, or until whoever took the stack lets them in."""
    with contextlib.ExitStack() as held:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        held.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, _SIGNALS)
        yield held


def _end_with(lifeline: int) -> None:
    """End as if told to when the other end of a pipe is closed: its process is gone."""

    def wait() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="smclient-lifeline", daemon=True).start()
