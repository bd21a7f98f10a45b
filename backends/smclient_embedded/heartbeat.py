"""A sign of life while something long runs: a thread that does one thing again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

logger = logging.getLogger("smclient.embedded")


class Heartbeat:
    """Calls ``beat`` every so many seconds of the machine's clock while the block runs, until it
    says ``False``. A beat that fails is logged and tried again: the next one may come in time."""

    def __init__(self, beat: Callable[[], bool], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="smclient-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                if not self._beat():
                    return
            except Exception as error:  # noqa: BLE001  whatever it is, the work must not end of it
                logger.error("a lease could not be renewed: %s", type(error).__name__)
