"""``smclient rotation windows``: the shared cases, standard input, and input that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient.cli.root import root

FILE = Path(__file__).parents[1] / "data" / "rotation" / "schedules.json"
CASE = {"id": "a", "expression": "cron(0 10 * * ? *)", "now": "2026-03-04T09:15:00Z"}
WINDOW = {"start": "2026-03-04T10:00:00Z", "end": "2026-03-05T00:00:00Z"}


def run(source: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(root, ["rotation", "windows", source], input=given)


def test_the_shared_cases() -> None:
    """Every case of the file, in its order."""
    cases = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    expected = [{k: case[k] for k in ("start", "end", "error") if k in case} for case in cases]
    assert len(expected) > 50
    answer = run(str(FILE))
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout) == expected
    assert answer.stderr == ""


@pytest.mark.parametrize("shape", [[CASE, CASE], {"cases": [CASE, CASE], "more": 1}])
def test_standard_input(shape: Any) -> None:
    """An array, or an object with the cases."""
    answer = run("-", json.dumps(shape))
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout) == [WINDOW, WINDOW]


def test_no_cases_no_windows() -> None:
    """An empty array is answered with one."""
    assert json.loads(run("-", "[]").stdout) == []


def test_a_schedule_that_aws_would_refuse_is_an_answer() -> None:
    """Not a failure: it takes its place among the others."""
    refused = {**CASE, "expression": "rate(3 hours)", "anchor": "2026-03-04T08:20:00Z"}
    answer = run("-", json.dumps([CASE, refused, {**CASE, "expression": "nonsense"}, CASE]))
    assert answer.exit_code == 0
    error = {"error": "InvalidParameterException"}
    assert json.loads(answer.stdout) == [WINDOW, error, error, WINDOW]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "Expecting value"),
        ("no json", "Expecting value"),
        ("[1, 2", "delimiter"),
        ("7", "array of cases"),
        ("null", "array of cases"),
        ('"text"', "array of cases"),
        ("{}", "'cases'"),
        ('{"cases": {}}', "'cases'"),
        ("[1]", "case 0 is not an object"),
        (json.dumps([CASE, None]), "case 1 is not an object"),
        ('[{"id": "x7"}]', "'x7': now must be a time"),
        ('[{"id": "x7", "now": "yesterday"}]', "'x7': now must be a time"),
        ('[{"id": "x7", "now": "2026-03-04T09:15:00"}]', "'x7': now must be a time"),
        ('[{"id": "x7", "now": 5}]', "'x7': now must be a time"),
        (json.dumps([{**CASE, "id": "x7", "anchor": "then"}]), "'x7': anchor must be a time"),
        ("[" * 100_000, "too deeply"),
        (b"\xff\xfe[]", "utf-8"),
    ],
    ids=lambda given: repr(given)[:30],
)
def test_input_that_is_none_is_wrong_usage(given: str | bytes, said: str) -> None:
    """One message that names the place; no half answer, no traceback."""
    answer = run("-", given)
    assert answer.exit_code == 2, answer.exception
    assert said in answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.output


@pytest.mark.parametrize(
    "case",
    [
        {**CASE, "expression": 5},
        {**CASE, "expression": ["cron"]},
        {**CASE, "duration": 2},
        {**CASE, "duration": "two"},
        {**CASE, "expression": None, "days": "many", "anchor": CASE["now"]},
        {**CASE, "expression": None, "days": 1.5, "anchor": CASE["now"]},
        {**CASE, "expression": None},
    ],
    ids=str,
)
def test_a_case_with_odd_types_is_answered_or_refused(case: dict[str, Any]) -> None:
    """An error in its place, or exit 2 with the reason; never a crash."""
    answer = run("-", json.dumps([case]))
    assert answer.exit_code in (0, 2), answer.exception
    if answer.exit_code == 0:
        assert json.loads(answer.stdout) == [{"error": "InvalidParameterException"}]
    else:
        assert "Error: " in answer.stderr
    assert answer.exception is None or isinstance(answer.exception, SystemExit)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    """Click names it, exit 2."""
    answer = run(str(tmp_path / "none.json"))
    assert answer.exit_code == 2
    assert "none.json" in answer.stderr


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is what cannot be read."""
    answer = run(str(tmp_path))
    assert answer.exit_code == 2
    assert str(tmp_path) in answer.stderr
    assert "Traceback" not in answer.output


def test_the_group_lists_its_commands() -> None:
    """``smclient rotation --help``."""
    answer = CliRunner().invoke(root, ["rotation", "--help"])
    assert answer.exit_code == 0
    assert "windows" in answer.output
