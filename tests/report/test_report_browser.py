"""The page in a real browser: it loads nothing else, and it fits a telephone and a desk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from smclient import SecretsClient
from smclient.report import html
from smclient.report.snapshots import Snapshot
from smclient.testing import FakeBackend, FakeClock, Inline
from tests.servers import absent

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
START = datetime(2026, 1, 1, tzinfo=UTC)
LOOK = """
<script>
const box = (e) => e.getBoundingClientRect();
const seen = {
  pictures: [...document.querySelectorAll("svg")].map((e) => [box(e).width, box(e).height]),
  page: document.documentElement.scrollWidth, window: window.innerWidth,
  heading: box(document.querySelector("h1")).height,
};
document.body.replaceChildren(JSON.stringify(seen));
</script>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    if CHROMIUM is None:
        absent("there is no Chromium; apt-get install chromium")
    return CHROMIUM


@pytest.fixture(scope="module")
def text() -> str:
    """The page of a client that read for two days."""
    clock, backend = FakeClock(START), FakeBackend({f"a-rather-long/name/{n}": n for n in range(5)})
    snapshots = []
    with SecretsClient(backend, clock=clock, worker=Inline()) as client:
        for hour in range(48):
            client.get(f"a-rather-long/name/{hour % 5}")
            clock.advance(3600)
            snapshots.append(Snapshot("web", START + timedelta(hours=hour), client.usage()))
    return html.render(snapshots)


class Pages(BaseHTTPRequestHandler):
    """Serves one page and writes down what is asked for."""

    page = ""
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Pages.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def seen(chromium: str, url: str, width: int, profile: Path) -> str:
    """The document as the browser has it."""
    flags = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync "
        "disable-background-networking disable-component-update disable-dev-shm-usage"
    )
    command = [chromium, *(f"--{flag}" for flag in flags.split())]
    command += [f"--user-data-dir={profile}", f"--window-size={width},900", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_page_asks_for_nothing_else(
    chromium: str, server: str, text: str, tmp_path: Path
) -> None:
    """It may be opened where there is no network, and tells nobody that it was."""
    Pages.page = text
    assert "What smclient saves" in seen(chromium, server, 1000, tmp_path)
    assert set(Pages.asked) <= {"/", "/favicon.ico"}


@pytest.mark.parametrize("width", [520, 1400])
def test_its_pictures_are_drawn_and_nothing_overflows(
    width: int, chromium: str, server: str, text: str, tmp_path: Path
) -> None:
    """As the browser lays it out; a copy without the policy that forbids scripts says so."""
    copy = re.sub(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", text)
    Pages.page = copy.replace("</body>", LOOK + "</body>")
    told = seen(chromium, server, width, tmp_path)
    found: dict[str, Any] = json.loads(unescape(re.sub(r"<[^>]+>", "", told.split("<body")[1])[1:]))
    assert found["page"] <= found["window"]
    assert found["heading"] > 10
    assert all(w > 8 and h > 8 for w, h in found["pictures"])
    assert sum(w > 400 and h > 100 for w, h in found["pictures"]) == 2  # the charts
