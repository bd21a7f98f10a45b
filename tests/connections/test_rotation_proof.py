"""The proof, in short: a pool of 20 under load through rotations, and no request fails.

``benchmarks/rotation_proof.py`` is the same at length: ten rotations, and the peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.postgres_server import PostgresServer
from smclient_demo.proof import Case, run_cases
from tests.servers import started

SHORT = {"rotations": 3, "hold": 1.2}


@pytest.fixture(scope="module", params=[PostgresServer, MariaDBServer], ids=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One with room for every pool at once."""
    own = started(request.param(max_connections=200))
    yield own
    own.stop()


@pytest.mark.server
def test_no_request_fails_through_rotations_held_open(server: Any) -> None:
    """Single user and alternating users, with reads at once and up to five seconds behind; and the
    same with the ladder off, to see that the window was real."""
    cases = [Case(users, lag=lag, **SHORT) for users in ("single", "alternating") for lag in (0, 5)]  # type: ignore[arg-type]
    *with_ladder, without = run_cases(server, [*cases, Case("single", "ladder off", rotations=1)])
    for outcome in with_ladder:
        assert outcome.broken() == [], outcome
    assert without.failed > 0
