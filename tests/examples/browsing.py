"""An example as a real process, and browsers that visit it all the time."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 120.0
PAUSE = 0.05
"""Seconds between the visits of one browser: other tests want to run too."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One answer: when its request began, and what came back."""

    browser: int
    began: float
    status: int
    page: dict[str, Any]
    text: str


class Example:
    """``start.py`` of an example as a child process, ready when entered."""

    def __init__(self, name: str, folder: Path, *, workers: int, **environ: str) -> None:
        self._home = EXAMPLES / name
        self._folder = folder
        self._workers = workers
        own = {k: v for k, v in os.environ.items() if not k.startswith(("SMCLIENT_", "PYTEST_"))}
        self._environ = {**own, **environ}
        self.port = _free_port()
        self.log = folder / "log"

    def __enter__(self) -> Self:
        store = self._folder / "store"
        port, workers = str(self.port), str(self._workers)
        options = ["--folder", str(store), "--port", port, "--workers", workers]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(self._home / "start.py"), *options],
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environ,
                text=True,
            )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told.startswith("ready"):
            self._process.wait(PATIENCE)
            raise AssertionError(f"it did not start: {told}{self.log.read_text()[-4000:]}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)

    def rotate(self, what: str, *options: str) -> float:
        """``rotate.py``, and the moment when it was over."""
        script = [sys.executable, str(self._home / "rotate.py"), what, *options]
        folder = ["--folder", str(self._folder / "store")]
        done = subprocess.run(
            [*script, *folder], env=self._environ, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return time.monotonic()


class Browsers:
    """Threads that ask for the page again and again, each with its own cookie, each request on a
    connection of its own so that it reaches any worker."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._visits: list[list[Visit]] = [[] for _ in range(number)]
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]

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

    def wait_for(self, number: int, *, after: float) -> list[Visit]:
        """So many visits of each browser that began after a moment."""

        def enough() -> bool:
            return all(len(own) >= number and own[-number].began > after for own in self._visits)

        with self._news:
            assert self._news.wait_for(enough, PATIENCE), "the browsers got no answers in time"
        return [visit for visit in self.visits() if visit.began > after]

    def visits(self) -> list[Visit]:
        """All of them, the earliest first."""
        with self._news:
            found = [visit for own in self._visits for visit in own]
        return sorted(found, key=lambda visit: visit.began)

    def _run(self, browser: int) -> None:
        cookie = ""
        while not self._stop.wait(PAUSE):
            visit, cookie = self._visit(browser, cookie)
            with self._news:
                self._visits[browser].append(visit)
                self._news.notify_all()

    def _visit(self, browser: int, cookie: str) -> tuple[Visit, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        began = time.monotonic()
        try:
            connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            text = answer.read().decode()
            given = answer.getheader("Set-Cookie", "").partition(";")[0]
            page = json.loads(text) if answer.status == 200 else {}
            return Visit(browser, began, answer.status, page, text), given or cookie
        except OSError as error:
            return Visit(browser, began, 0, {}, repr(error)), cookie
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
