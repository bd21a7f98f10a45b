"""An endpoint of a service for its own helpers on this machine: up when first needed, known to
nobody else, and open only to keys that were handed out here and end soon.

It is another than the one that ``serve`` prints: that one may speak TLS, be bound elsewhere, or let
everybody in, and in process there is none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from smclient_embedded.context import Principal
from smclient_embedded.door import Door
from smclient_embedded.http import server
from smclient_embedded.http.app import HttpApp, HttpSettings
from smclient_embedded.http.keys import AccessKeys, random_pair
from smclient_embedded.http.sigv4 import AccessKey

WORKERS = 4


@dataclass
class Loopback:
    """Safe to use from many threads; in a fork another endpoint comes up."""

    door: Callable[[], Door]
    account: str
    region: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _keys: AccessKeys = field(default_factory=AccessKeys)
    _running: contextlib.ExitStack | None = None
    _endpoint: str = ""
    _pid: int = 0

    def endpoint(self) -> str:
        """Where it is. Raises ``CannotListen``."""
        with self._lock:
            if self._running is None or self._pid != os.getpid():
                self._start()
            return self._endpoint

    def admit(self, principal: Principal, seconds: float) -> AccessKey:
        """New keys for a principal, for so long."""
        access_key_id, secret = random_pair("ASIA")
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        key = AccessKey(access_key_id, secret, principal, secrets.token_urlsafe(96), ends)
        self._keys.add(key)
        return key

    def found(self, access_key_id: str) -> AccessKey | None:
        """The keys that were handed out under an id."""
        return self._keys.find(access_key_id)

    def put(self, key: AccessKey) -> None:
        """Keys handed out before, changed."""
        self._keys.add(key)

    def dismiss(self, access_key_id: str) -> None:
        """These keys are good no longer."""
        self._keys.remove(access_key_id)

    def close(self) -> None:
        """Take the endpoint down, if it is up."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and self._pid == os.getpid():
            running.close()

    def _start(self) -> None:
        settings = HttpSettings(account=self.account, region=self.region, find_key=self._keys.find)
        stack = contextlib.ExitStack()
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS, "smclient-functions"))
        app = HttpApp(self.door(), settings, inline=lambda operation: False, pool=pool)
        listener = server.listen("127.0.0.1", 0)
        self._endpoint = stack.enter_context(server.in_thread(app, listener, server.Serving()))
        self._running, self._pid = stack, os.getpid()
