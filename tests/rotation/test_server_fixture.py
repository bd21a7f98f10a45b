"""Without a PostgreSQL the tests that need one are skipped; with REQUIRE_SERVERS=1 they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("required", "code"), [("0", 0), ("1", 1)])
def test_a_server_that_cannot_be_had(tmp_path: Path, required: str, code: int) -> None:
    """Either way the reason says what to install."""
    test = "tests/rotation/test_rotation_postgres.py::test_each_step_twice_in_a_row"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        env={**os.environ, "SMCLIENT_PG_BIN": str(tmp_path), "REQUIRE_SERVERS": required},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("1 error" if code else "1 skipped") in done.stdout
    assert "no PostgreSQL server in" in done.stdout
