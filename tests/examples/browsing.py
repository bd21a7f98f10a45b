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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from smclient_demo.crew import Crew

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 120.0
ANSWER = 30.0
"""Seconds that a browser waits for an answer."""
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
    """``start.py`` of an example as a child process, ready when entered.

    Args:
        options: more of its options.
        environ: more of its environment, ``SMCLIENT_TTL`` for one.
    """

    def __init__(
        self, name: str, folder: Path, *, workers: int, options: Sequence[str] = (), **environ: str
    ) -> None:
        self._home = EXAMPLES / name
        self._workers = workers
        self._options = options
        own = {k: v for k, v in os.environ.items() if not k.startswith(("SMCLIENT_", "PYTEST_"))}
        self._environ = {**own, **environ}
        self.folder = folder / "store"
        self.port = _free_port()
        self.log = folder / "log"

    def __enter__(self) -> Self:
        port, workers = str(self.port), str(self._workers)
        options = ["--folder", str(self.folder), "--port", port, "--workers", workers]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(self._home / "start.py"), *options, *self._options],
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
        folder = ["--folder", str(self.folder)]
        done = subprocess.run(
            [*script, *folder], env=self._environ, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return time.monotonic()


class Browsers(Crew):
    """Threads that ask for a page again and again, each with its own cookie, each request on a
    connection of its own so that it reaches any worker."""

    def __init__(self, port: int, number: int, *, path: str = "/", pause: float = PAUSE) -> None:
        super().__init__(threads=number, pause=pause)
        self._port = port
        self._path = path
        self._cookies = [""] * number
        self._news = threading.Condition()
        self._visits: list[list[Visit]] = [[] for _ in range(number)]

    def work(self, number: int) -> None:
        """One visit."""
        visit = self._visit(number)
        with self._news:
            self._visits[number].append(visit)
            self._news.notify_all()

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

    def _visit(self, browser: int) -> Visit:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER)
        began = time.monotonic()
        cookie = self._cookies[browser]
        try:
            connection.request("GET", self._path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            given = answer.getheader("Set-Cookie", "").partition(";")[0]
            self._cookies[browser] = given or cookie
            page = json.loads(text) if answer.status == 200 else {}
            return Visit(browser, began, answer.status, page, text)
        except (OSError, http.client.HTTPException) as error:
            return Visit(browser, began, 0, {}, repr(error))
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
