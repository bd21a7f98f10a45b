"""What the proof counts: each failed request, whatever it raised; nothing shown is no proof."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smclient_demo.crew import Crew
from smclient_demo.load import Load
from smclient_demo.proof import Case, Outcome
from smclient_demo.proof.application import Application
from smclient_demo.server_home import ServerUnavailableError

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "rotation_proof.py"
SOON = 30.0


class Broken:
    """An engine that raises what no database does; every third time it works."""

    def __init__(self) -> None:
        self.asked = 0
        self.enough = threading.Event()

    @contextmanager
    def connect(self) -> Iterator[Any]:
        self.asked += 1
        if self.asked >= 4:
            self.enough.set()
        raise ZeroDivisionError("canary of the reason")
        yield

    def dispose(self) -> None:
        """Nothing to let go of."""


def test_a_request_fails_whatever_it_raised() -> None:
    """And its thread goes on asking."""
    engine: Any = Broken()
    with Application(engine, threads=1, pause=0.0) as application:
        assert engine.enough.wait(SOON)
    assert application.failed == application.requests >= 4
    assert dict(application.failures) == {
        "ZeroDivisionError: canary of the reason": application.failed
    }


def test_a_request_over_http_fails_whatever_it_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its thread goes on asking."""
    asked: list[int] = []
    enough = threading.Event()

    def raises(*args: object, **more: object) -> Any:
        asked.append(1)
        if len(asked) >= 4:
            enough.set()
        raise ZeroDivisionError

    monkeypatch.setattr("smclient_demo.load.http.client.HTTPConnection", raises)
    with Load(1, threads=1, pause=0.0) as load:
        assert enough.wait(SOON)
    assert load.failed == load.requests >= 4


def test_a_crew_that_lost_a_thread_says_so() -> None:
    """At the end of the block: what it counted is not the whole."""

    class Fails(Crew):
        done = threading.Event()

        def work(self, number: int) -> None:
            self.done.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Fails(threads=1, pause=0.0) as crew:
        assert crew.done.wait(SOON)


# --- what is a proof ------------------------------------------------------------------------------


def outcome(case: Case, failed: int, *, window: float = 2.0) -> Outcome:
    return Outcome(
        case=case,
        server="Postgres",
        requests=10,
        failures={"OperationalError": failed} if failed else {},
        slowest=0.1,
        rotated=case.rotations,
        shortest_window=window,
        logins=4,
        usage=None,
    )


def test_a_control_that_failed_nothing_proves_nothing() -> None:
    """With the ladder off requests must fail, or the window was none."""
    control = Case("single", "ladder off")
    assert outcome(control, failed=3).broken() == []
    (told,) = outcome(control, failed=0).broken()
    assert "failed" in told
    assert outcome(control, failed=3, window=0.1).broken() == ["each window was held open"]


def test_the_peer_claims_nothing() -> None:
    assert outcome(Case("single", "aws-secretsmanager-caching"), failed=0).broken() == []


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rotation_proof", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_without_any_server_ends_with_1(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was shown."""

    def absent(**settings: object) -> Any:
        raise ServerUnavailableError("there is none")

    monkeypatch.setattr(benchmark, "SERVERS", {"postgres": absent, "mariadb": absent})
    monkeypatch.setattr(sys, "argv", ["rotation_proof.py"])
    assert benchmark.main() == 1
    assert "nothing was run" in capsys.readouterr().out


@pytest.mark.parametrize(("failed", "code"), [(3, 0), (0, 1)])
def test_a_run_whose_control_failed_nothing_ends_with_1(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, failed: int, code: int
) -> None:
    @contextmanager
    def server(**settings: object) -> Iterator[None]:
        yield

    control = outcome(Case("single", "ladder off"), failed=failed)
    monkeypatch.setattr(benchmark, "SERVERS", {"postgres": server})
    monkeypatch.setattr(benchmark, "run_cases", lambda *_: [control])
    monkeypatch.setattr(sys, "argv", ["rotation_proof.py", "--servers", "postgres"])
    assert benchmark.main() == code
