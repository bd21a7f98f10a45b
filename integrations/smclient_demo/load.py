"""Steady requests over HTTP from several threads; what is not answered with 200 has failed."""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from smclient_demo.crew import Crew

TIMEOUT = 15.0


class Serving:
    """A Flask app on a free port of the loopback interface, in threads of this process."""

    def __init__(self, app: Flask) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        app.logger.setLevel(logging.CRITICAL)  # failed requests are counted, not printed
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, app, threaded=True)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Load(Crew):
    """Threads that ask for ``/`` again and again until stopped."""

    def __init__(self, port: int, *, threads: int, pause: float) -> None:
        super().__init__(threads=threads, pause=pause)
        self._port = port
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self.slowest = 0.0

    @property
    def requests(self) -> int:
        """How many requests were answered or failed so far."""
        with self._lock:
            return self._outcomes.total()

    @property
    def failed(self) -> int:
        """How many were not answered with 200."""
        with self._lock:
            return self._outcomes.total() - self._outcomes["200"]

    def work(self, number: int) -> None:
        """One request."""
        began = time.monotonic()
        outcome = self._ask()
        with self._lock:
            self._outcomes[outcome] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _ask(self) -> str:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
            with contextlib.closing(connection):
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                return str(answer.status)
        except Exception as error:  # noqa: BLE001  whatever it is, it is no answer
            return type(error).__name__
