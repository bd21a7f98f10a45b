"""What ``smclient demo`` claims: each claim breaks on its own, and a broken one ends it with 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient import AWSPENDING, Usage
from smclient.metering import Meter
from smclient_demo import cli, run
from smclient_demo.postgres_server import PostgresStartError, PostgresUnavailableError


def usage(logins: Mapping[str, int]) -> Usage:
    counted = Meter(started=0.0).usage(hits=5, evicted=0, secrets=2, now=10.0)
    return replace(counted, logins=logins)


GOOD = run.Part(
    requests=100,
    failed=0,
    slowest=0.1,
    rotations_asked=2,
    rotations_done=2,
    shortest_window=1.2,
    usage=usage({"cached": 4, AWSPENDING: 2}),
)
CONTROL = replace(GOOD, failed=40, rotations_asked=1, rotations_done=1, usage=usage({"cached": 1}))


def test_nothing_is_broken_when_all_holds() -> None:
    """The starting point of the cases below."""
    assert run.Result(GOOD, CONTROL).broken() == []


@pytest.mark.parametrize(
    ("main", "control", "claim"),
    [
        ({"requests": 0}, {}, "requests were made"),
        ({"failed": 1}, {}, "no request failed"),
        ({"rotations_done": 1}, {}, "every rotation ended"),
        ({"rotations_done": 0, "rotations_asked": 0}, {}, "every rotation ended"),
        ({"shortest_window": 1.0}, {}, "window open for more than a second"),
        ({"shortest_window": 0.0}, {}, "window open for more than a second"),
        ({"usage": usage({"cached": 4})}, {}, "won by AWSPENDING"),
        ({"usage": usage({AWSPENDING: 0})}, {}, "won by AWSPENDING"),
        ({}, {"rotations_done": 0}, "ladder off, rotated"),
        ({}, {"rotations_done": 0, "rotations_asked": 0}, "ladder off, rotated"),
        ({}, {"failed": 0}, "the control failed requests"),
    ],
)
def test_each_claim_breaks_alone(main: dict[str, Any], control: dict[str, Any], claim: str) -> None:
    """One thing that does not hold, one claim named."""
    broken = run.Result(replace(GOOD, **main), replace(CONTROL, **control)).broken()
    assert len(broken) == 1
    assert claim in broken[0]


def invoke(monkeypatch: pytest.MonkeyPatch, outcome: Any, *arguments: str) -> Result:
    """The command, with a run that ends as told."""

    def pretend(**asked: Any) -> run.Result:
        asked["tell"]("working")
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, run.Result)
        return outcome

    monkeypatch.setattr(cli, "run", pretend)
    return CliRunner().invoke(cli.demo, arguments)


def test_the_command_shows_the_table_and_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0, both runs side by side, progress before."""
    answer = invoke(monkeypatch, run.Result(GOOD, CONTROL))
    assert answer.exit_code == 0
    for words in ("working", "failed requests", "logins by AWSPENDING", "dollars a month"):
        assert words in answer.output
    rows = [line for line in answer.output.splitlines() if "failed requests" in line]
    assert [cell.strip() for cell in rows[0].strip("│┃ ").split("│")][1:] == ["0", "40"]


@pytest.mark.parametrize("json_too", [False, True])
def test_a_broken_claim_ends_with_1(monkeypatch: pytest.MonkeyPatch, json_too: bool) -> None:
    """The table is still shown; the claim is named on standard error."""
    arguments = ["--json"] if json_too else []
    answer = invoke(monkeypatch, run.Result(replace(GOOD, failed=3), CONTROL), *arguments)
    assert answer.exit_code == 1
    assert "NOT TRUE: no request failed" in answer.stderr
    if json_too:
        told = json.loads(answer.stdout)
        assert (told["ok"], told["broken"]) == (False, ["no request failed"])
        assert told["main"]["failed"] == 3
    else:
        assert "failed requests" in answer.stdout


@pytest.mark.parametrize("kind", [PostgresUnavailableError, PostgresStartError])
def test_no_server_ends_with_5(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """One line that says what to install, and nothing else."""
    answer = invoke(monkeypatch, kind("no PostgreSQL: install one"))
    assert answer.exit_code == 5
    assert "error: no PostgreSQL: install one" in answer.stderr
    assert "Traceback" not in answer.output


@pytest.mark.parametrize(
    "arguments",
    [("--rotations", "0"), ("--hold", "1.0"), ("--threads", "0"), ("--threads", "x"), ("--no",)],
)
def test_wrong_usage_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """A window of a second or less would make the claim empty."""
    answer = invoke(monkeypatch, run.Result(GOOD, CONTROL), *arguments)
    assert answer.exit_code == 2
    assert arguments[0] in answer.stderr
