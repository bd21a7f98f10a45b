"""A service killed at any point of a rotation: after a restart it goes on, and nobody is locked
out meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded.scheduler import LEASE
from tests.backends.embedded.engine.killed import POINTS, START, TOKEN, opened


def _labels(service: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    stages = service.call("DescribeSecret", {"SecretId": "s"})["VersionIdsToStages"]
    for version, labels in stages.items():
        for label in labels:
            found.setdefault(label, []).append(version)
    return found


def _value(service: Any, stage: str) -> str | None:
    from smclient_embedded.errors import ResourceNotFoundException

    try:
        answer = service.call("GetSecretValue", {"SecretId": "s", "VersionStage": stage})
    except ResourceNotFoundException:
        return None
    return str(answer["SecretString"])


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rotation_goes_on_after_a_restart(tmp_path: Path, point: str) -> None:
    """With the same token, within a lease; every value that the database may have can be read."""
    store = f"embedded://{tmp_path}/secrets.db"
    program = [sys.executable, "-m", "tests.backends.embedded.engine.killed"]
    root = Path(__file__).parents[4]
    ended = subprocess.run(
        [*program, store, str(tmp_path), point], cwd=root, check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    clock = FakeClock(START)
    service, _ = opened(store, tmp_path, clock)
    with service:
        database = tmp_path / "database"
        before = _labels(service)
        assert all(len(versions) == 1 for versions in before.values())
        assert database.read_text() in (
            _value(service, "AWSCURRENT"),
            _value(service, "AWSPENDING"),
        )
        done = service.run_due()
        clock.advance(LEASE.total_seconds())
        later = service.run_due()
        if point == "ran":
            assert done.rotated == later.rotated == ()
        else:
            assert len(done.rotated + later.rotated) == 1
        assert done.failed == later.failed == ()
        assert _value(service, "AWSCURRENT") == database.read_text() != "first"
        assert _labels(service) == {"AWSCURRENT": [TOKEN], "AWSPREVIOUS": ["v0".ljust(32, "0")]}
        described = service.call("DescribeSecret", {"SecretId": "s"})
        assert "LastRotatedDate" in described
        events = [
            event["eventName"]
            for event in service.audit.lookup()
            if event["eventType"] == "AwsServiceEvent"
        ]
        assert events == ["RotationSucceeded", "RotationStarted"]
