"""GET over a few kept connections to this machine. What ``smclient.agent`` needs, and no more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

KEPT = 4
"""Idle connections; few, because the agent counts open ones against its limit of 800."""
KEPT_FOR = 30.0
"""Seconds after which an idle one is not used again; the agent drops them after 61."""
LONGEST = 2 * 1024 * 1024
"""Bytes of an answer. A value has 64 KiB at most, in JSON six times that."""


class Refused(Exception):
    """Nobody listens there."""


class Broken(Exception):
    """No answer, or none that can be read; the message says which."""


class Connections:
    """A pool. Thread-safe; after a fork the child leaves its parent's connections alone."""

    def __init__(self, address: str, port: int, timeout: float) -> None:
        self._address = address
        self._port = port
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[tuple[float, HTTPConnection]] = []
        self._pid = os.getpid()

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body. A kept connection that was closed meanwhile is replaced, once.

        Raises:
            Refused: nobody listens.
            Broken: anything else went wrong.
        """
        kept = self._take()
        if kept is not None:
            try:
                return self._ask(kept, path, headers)
            except TimeoutError:
                raise Broken(f"nothing came within {self._timeout:g} s") from None
            except (OSError, HTTPException):
                pass  # the other side let go of it while it was idle; asking again harms nobody
        try:
            new = HTTPConnection(self._address, self._port, timeout=self._timeout)
            return self._ask(new, path, headers)
        except ConnectionRefusedError:
            raise Refused from None
        except TimeoutError:
            raise Broken(f"nothing came within {self._timeout:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Broken(type(error).__name__) from None

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    # --- inside ---------------------------------------------------------------------------------

    def _ask(
        self, connection: HTTPConnection, path: str, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        keep = False
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read(LONGEST + 1)
            if len(body) > LONGEST:
                raise Broken("its answer is too long for a secret")
            keep = not response.will_close and response.isclosed()
            return response.status, body
        finally:
            if not keep:
                connection.close()
            else:
                self._give(connection)

    def _take(self) -> HTTPConnection | None:
        """A kept connection, the last used first."""
        self._forget_after_fork()
        with self._lock:
            now = time.monotonic()
            late = [entry for entry in self._idle if now - entry[0] > KEPT_FOR]
            self._idle = [entry for entry in self._idle if now - entry[0] <= KEPT_FOR]
            kept = self._idle.pop()[1] if self._idle else None
        for _, connection in late:
            connection.close()
        return kept

    def _give(self, connection: HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < KEPT:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def _forget_after_fork(self) -> None:
        if self._pid != os.getpid():
            self._lock = threading.Lock()  # the parent's may be held by a thread that is not here
            self._idle, self._pid = [], os.getpid()
