"""Work off the reader's path: one daemon thread, started by the first piece of work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from smclient.forking import survive_fork

logger = logging.getLogger("smclient")

WAIT = 1.0
"""Seconds for which a request is held up at most by a look it can go on without."""

Work = Callable[[], object]


class Worker(Protocol):
    """Where work that nobody waits for is done."""

    def submit(self, work: Work) -> None:
        """Do it soon, or now."""
        ...

    def close(self) -> None:
        """Finish what was begun and do no more."""
        ...


class ThreadWorker:
    """Does work on a daemon thread of its own, in order. It is started when it is first needed, and
    a worker that was forgotten rather than closed takes its thread with it."""

    def __init__(self, name: str = "smclient-refresh") -> None:
        self._name = name
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        survive_fork(self)

    def after_fork(self) -> None:
        """The thread is gone; the next work starts one. What was queued is the parent's."""
        self._queue = SimpleQueue()
        self._lock = threading.Lock()
        self._thread = None

    def submit(self, work: Work) -> None:
        """Queue work; after ``close`` it is dropped, since nobody is left to profit from it."""
        with self._lock:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(
                    target=_run, args=(self._queue,), name=self._name, daemon=True
                )
                self._thread.start()
            self._queue.put(work)

    def close(self) -> None:
        """Finish what is queued, then end the thread. Waits for it, unless called on it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __del__(self) -> None:
        queue: SimpleQueue[Work | None] | None = getattr(self, "_queue", None)
        if queue is not None:  # else an interrupt came while it was made
            queue.put(None)


def _run(queue: SimpleQueue[Work | None]) -> None:
    """Knows the queue and not the worker, and while it waits not the work it did: whoever is behind
    them can be forgotten."""
    while (work := queue.get()) is not None:
        do_quietly(work)
        del work


def begin(work: Work, name: str) -> threading.Thread:
    """Begin work on a thread of its own, for whoever waits for it so long only as it likes."""
    thread = threading.Thread(target=do_quietly, args=(work,), name=name, daemon=True)
    thread.start()
    return thread


def do_quietly(work: Work) -> None:
    """Do work whose failure must not end the thread; it is logged by kind, without its text."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  the thread serves everybody after this too
        logger.error("background work failed: %s", type(error).__name__)
