"""Threads that stand by: each does one thing again and again, as long as a block runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

logger = logging.getLogger("smclient.embedded")

STOP_SECONDS = 10.0
"""How long the end of the block waits, for all threads together. Then they are left behind."""

Duty = Callable[[Callable[[], object]], object]
"""Done every so many seconds. It is given what to call if its thread hangs: another one takes the
place of that thread, which ends when it comes back."""


class Standing:
    """One thread for each duty while the block runs.

    Args:
        duties: what they do, by the names of the threads.
        seconds: between two turns of a thread.
    """

    def __init__(self, duties: dict[str, Duty], seconds: float) -> None:
        self._duties = duties
        self._seconds = seconds
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def __enter__(self) -> Self:
        for name in self._duties:
            self._start(name)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._stop.set()
            threads = list(self._threads.values())
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, name: str) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            thread = threading.Thread(target=self._run, args=(name,), name=name, daemon=True)
            self._threads[name] = thread
            thread.start()

    def _run(self, name: str) -> None:
        is_replaced = threading.Event()

        def replace() -> None:
            is_replaced.set()
            self._start(name)

        while not (is_replaced.is_set() or self._stop.wait(self._seconds)):
            try:
                self._duties[name](replace)
            except BaseException as error:  # noqa: BLE001  one bad turn must not end all later ones
                logger.error("%s could not be done: %s", name, type(error).__name__)
