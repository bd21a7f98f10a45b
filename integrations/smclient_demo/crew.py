"""Threads that do one thing again and again, until stopped."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self


class Crew:
    """A ``with`` block in which so many threads call ``work``, each with its number, with a pause
    before each call. What a call raises ends its thread, and is raised at the end of the block.

    Args:
        pause: seconds.
    """

    def __init__(self, *, threads: int, pause: float) -> None:
        self._pause = pause
        self._stop = threading.Event()
        self._errors: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    def wait(self, seconds: float) -> None:
        """Let them work for a while."""
        self._stop.wait(seconds)

    def work(self, number: int) -> None:
        """One piece of work of the thread of that number."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its threads do")

    def _run(self, number: int) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.work(number)
            except Exception as error:  # noqa: BLE001  it is raised where it is seen
                self._errors.append(error)
                return
