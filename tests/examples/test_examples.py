"""The examples as a reader starts them: several workers, a real PostgreSQL, browsers' cookies, and
rotations from another process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from smclient_demo.postgres_server import PostgresServer
from tests.examples.browsing import Browsers, Example

TTL, MAX_STALE = 1.0, 2.0
WORKERS = 3


@pytest.mark.parametrize(
    ("name", "environ"),
    [
        ("flask", {}),
        ("flask", {"GUNICORN_CMD_ARGS": "--preload"}),  # the app is made before the fork
        ("fastapi", {}),
    ],
)
def test_rotations_reach_every_worker_and_nobody_notices(
    name: str, environ: dict[str, str], tmp_path: Path, postgres: PostgresServer
) -> None:
    """No request fails, so no login to the database does, with its window held open; no session
    ends, whichever worker signed or verifies; no worker shows a message past its ttl."""
    settings = {"SMCLIENT_TTL": str(TTL), "SMCLIENT_MAX_STALE": str(MAX_STALE), **environ}
    changed: list[tuple[float, str]] = []
    with (
        Example(name, tmp_path, workers=WORKERS, **settings) as example,
        Browsers(example.port, 4) as browsers,
    ):
        browsers.wait_for(3, after=time.monotonic())
        for how in ((), ("--at-once",)):
            over = example.rotate("message")
            late = browsers.wait_for(3, after=over + TTL)
            changed.append((over, str(late[-1].page.get("message"))))
            example.rotate("database", "--hold", "1.5")
            over = example.rotate("session-key", "--ttl", str(TTL), *how)
            browsers.wait_for(3, after=over + MAX_STALE)
        visits = browsers.visits()
        log = example.log.read_text()
    assert [visit.text for visit in visits if visit.status != 200] == [], log[-4000:]
    assert len({visit.page["worker"] for visit in visits}) == WORKERS
    for browser in range(4):
        counted = [v.page["your_visits"] for v in visits if v.browser == browser]
        assert counted == list(range(1, len(counted) + 1))
    assert len({message for _, message in changed}) == 2
    first, second = changed
    for visit in visits:
        if visit.began > second[0] + TTL:
            assert visit.page["message"] == second[1]
        elif visit.began > first[0] + TTL:
            assert visit.page["message"] in (first[1], second[1])
