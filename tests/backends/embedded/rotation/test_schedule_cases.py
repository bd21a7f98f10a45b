"""The shared schedule cases, each by its id, one at a time and as `rotation windows` runs them."""

import json
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.rotation.schedule import windows

_FILE = Path(__file__).parents[3] / "data" / "rotation" / "schedules.json"
_CASES: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["cases"]


def _expected(case: dict[str, Any]) -> dict[str, str]:
    return {key: case[key] for key in ("start", "end", "error") if key in case}


@pytest.mark.parametrize("case", _CASES, ids=[case["id"] for case in _CASES])
def test_case(case: dict[str, Any]) -> None:
    """The next window, or the refusal, is the one that the case states."""
    assert list(windows([case])) == [_expected(case)]


def test_answers_come_in_the_order_of_the_cases() -> None:
    """A refused case takes its place among the others."""
    assert list(windows(_CASES)) == [_expected(case) for case in _CASES]


def test_keys_of_a_case_may_be_absent() -> None:
    """What is absent was not given, and other keys do not matter."""
    case = {"expression": "cron(0 10 * * ? *)", "now": "2026-03-04T09:15:00Z", "colour": "red"}
    assert list(windows([case])) == [
        {"start": "2026-03-04T10:00:00Z", "end": "2026-03-05T00:00:00Z"}
    ]


def test_times_of_other_zones_are_answered_in_utc() -> None:
    """12:00 in Tokyo is 03:00 UTC of the same day."""
    case = {
        "days": 1,
        "now": "2026-03-04T12:00:00+09:00",
        "anchor": "2026-03-04T11:00:00+09:00",
    }
    assert list(windows([case])) == [
        {"start": "2026-03-05T00:00:00Z", "end": "2026-03-06T00:00:00Z"}
    ]


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"now": None},
        {"now": 5},
        {"now": "soon"},
        {"now": "2026-03-04T09:15:00"},
        {"now": "0001-01-01T00:00:00+09:00"},
        {"now": "2026-03-04T09:15:00Z", "anchor": "before"},
    ],
    ids=str,
)
def test_a_case_without_readable_times_is_not_answered(times: dict[str, Any]) -> None:
    """The case is wrong then, not the schedule, and the message names it."""
    with pytest.raises(ValueError, match=r"'x1'.*must be a time") as caught:
        list(windows([{"id": "x1", "days": 30, **times}]))
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(
    "rules",
    [
        {"expression": 5},
        {"expression": ["rate(1 day)"]},
        {"expression": "rate(1 day)", "duration": 3},
        {"days": "30"},
        {"days": 30.0},
        {"days": True},
        {},
    ],
    ids=str,
)
def test_rules_of_another_type_are_refused(rules: dict[str, Any]) -> None:
    """Whatever JSON holds gets an answer."""
    case = {"now": "2026-03-04T09:15:00Z", "anchor": "2026-03-04T08:20:00Z", **rules}
    assert list(windows([case])) == [{"error": "InvalidParameterException"}]
