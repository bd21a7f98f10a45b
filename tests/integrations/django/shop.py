"""The example served by a real server process, and browsers that keep looking at it."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from types import ModuleType
from typing import Any

EXAMPLE = Path(__file__).parents[3] / "examples" / "django"
DEADLINE = 90.0


def example() -> ModuleType:
    """``examples/django/run.py``, loaded by its path."""
    spec = importlib.util.spec_from_file_location("smclient_example_django", EXAMPLE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def free_port() -> int:
    """A port that nobody had just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Served:
    """A running server: its port, and what it wrote."""

    port: int
    log: Path

    def get(self, path: str, cookies: Mapping[str, str] | None = None) -> tuple[int, bytes, str]:
        """Status, body and Set-Cookie of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            jar = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
            connection.request("GET", path, headers={"Cookie": jar} if jar else {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheader("Set-Cookie") or ""
        finally:
            connection.close()


@contextlib.contextmanager
def serving(
    command: list[str], port: int, environment: Mapping[str, str], log: Path
) -> Iterator[Any]:
    """The server, ready, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=EXAMPLE,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1", "HOME": str(log.parent)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_it_listens(process, port, log)
            yield Served(port, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_it_listens(process: Any, port: int, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"nothing listens: {log.read_text()}")


@dataclass
class Seen:
    """One answer: when it was asked for, and what it said."""

    asked_at: float
    status: int
    said: dict[str, Any]


@dataclass
class Browser:
    """Looks at one page again and again, with a cookie jar of its own."""

    served: Served
    path: str
    seen: list[Seen] = field(default_factory=list)
    cookies: dict[str, str] = field(default_factory=dict)

    def look(self) -> Seen:
        """Ask once."""
        asked_at = time.monotonic()
        try:
            status, body, set_cookie = self.served.get(self.path, self.cookies)
        except OSError as error:
            status, body, set_cookie = 0, repr(error).encode(), ""
        self.cookies.update({name: m.value for name, m in SimpleCookie(set_cookie).items()})
        said = json.loads(body) if status == 200 else {"body": body.decode(errors="replace")}
        self.seen.append(Seen(asked_at, status, said))
        return self.seen[-1]


@contextlib.contextmanager
def looking(browsers: list[Browser]) -> Iterator[None]:
    """All browsers look, each on a thread of its own, until the block ends."""
    stop = threading.Event()

    def run(browser: Browser) -> None:
        while not stop.is_set():
            browser.look()

    threads = [threading.Thread(target=run, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
