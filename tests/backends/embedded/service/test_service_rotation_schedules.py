"""When a rotation comes by itself, and which dates are shown until it does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.backends.embedded.service.helpers_rotation import STEPS, Function, rotate


class TestSchedules:
    def test_in_days_come_at_the_end_of_the_day(self, rotated: Any) -> None:
        """23:59:59 UTC of the day 30 days later, shown at once."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 30})
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)
        assert described["RotationRules"] == {"AutomaticallyAfterDays": 30}

    def test_of_cron_show_the_last_second_of_the_window_and_the_days_until_it(
        self, rotated: Any
    ) -> None:
        """7 on 24 September for 1 October, as recorded."""
        cron = {"ScheduleExpression": "cron(0 0 1 * ? *)", "Duration": "1h"}
        rotate(rotated, RotationRules=cron)
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 1, 0, 59, 59, tzinfo=UTC)
        assert described["RotationRules"] == {**cron, "AutomaticallyAfterDays": 7}

    def test_worked_out_days_are_not_taken_for_given_ones(self, rotated: Any) -> None:
        """The next rotation keeps the cron; other rules take its place."""
        rotate(rotated, RotationRules={"ScheduleExpression": "cron(0 8 1 * ? *)"})
        rotated.service.run_due()
        rotate(rotated, "v2")
        rotated.service.run_due()
        rules = rotated.describe()["RotationRules"]
        assert rules["ScheduleExpression"] == "cron(0 8 1 * ? *)"
        rotate(rotated, "v3", RotationRules={"AutomaticallyAfterDays": 9})
        assert rotated.describe()["RotationRules"] == {"AutomaticallyAfterDays": 9}

    def test_are_shown_in_a_list_too(self, rotated: Any) -> None:
        """The same members as DescribeSecret's."""
        rotate(rotated, RotationRules={"ScheduleExpression": "rate(10 days)"})
        described = rotated.describe()
        (entry,) = rotated("ListSecrets")["SecretList"]
        for member in ("RotationEnabled", "RotationLambdaARN", "RotationRules", "NextRotationDate"):
            assert entry[member] == described[member]

    @pytest.mark.parametrize(
        ("rules", "code", "text"),
        [
            (
                {"AutomaticallyAfterDays": 3, "ScheduleExpression": "rate(3 days)"},
                "InvalidParameterException",
                "You cannot specify both rotation frequency and schedule expression together.",
            ),
            ({"AutomaticallyAfterDays": 0}, "ValidationException", None),
            ({"AutomaticallyAfterDays": 1001}, "ValidationException", None),
            ({"ScheduleExpression": "rate(3 hours)"}, "InvalidParameterException", None),
            ({"ScheduleExpression": "every day"}, "InvalidParameterException", None),
            ({"ScheduleExpression": "cron(0 0 1 * ? *) # x\n"}, "ValidationException", None),
            ({"ScheduleExpression": ""}, "ValidationException", None),
            ({"AutomaticallyAfterDays": 3, "Duration": "25h"}, "InvalidParameterException", None),
            ({"AutomaticallyAfterDays": 3, "Duration": "2d"}, "ValidationException", None),
        ],
    )
    def test_that_are_none_are_refused_and_nothing_is_stored(
        self, rotated: Any, rules: dict[str, Any], code: str, text: str | None
    ) -> None:
        """Neither settings nor label."""
        before = rotated.describe()
        refused = rotated.refused(
            "RotateSecret",
            SecretId="s",
            RotationLambdaARN=rotated.function_arn,
            RotationRules=rules,
        )
        assert refused[0] == code
        assert text in (None, refused[1])
        assert rotated.describe() == before

    def test_run_when_due_and_not_before(self, rotated: Any, function: Function) -> None:
        """From the start of the window on, with a token of their own; then comes the next."""
        rotate(rotated, RotationRules={"ScheduleExpression": "rate(10 days)"})
        rotated.service.run_due()
        function.calls.clear()
        due = datetime(2026, 10, 4, tzinfo=UTC)
        rotated.clock.advance((due - rotated.clock.now()).total_seconds() - 1)
        assert rotated.service.run_due().rotated == ()
        rotated.clock.advance(1)
        assert len(rotated.service.run_due().rotated) == 1
        assert [step for step, _ in function.calls] == list(STEPS)
        assert function.calls[0][1] != rotated.token("v1")
        assert rotated.service.run_due().rotated == ()
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 14, 23, 59, 59, tzinfo=UTC)
        assert described["LastRotatedDate"] == due

    def test_a_value_changed_by_hand_counts_as_a_rotation_for_the_next_date(
        self, rotated: Any
    ) -> None:
        """And is not one: LastRotatedDate stays away."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 10}, RotateImmediately=False)
        rotated.service.run_due()
        rotated.clock.advance(days=5)
        rotated.put("hand")
        described = rotated.describe()
        assert described["NextRotationDate"] == datetime(2026, 10, 9, 23, 59, 59, tzinfo=UTC)
        assert "LastRotatedDate" not in described

    def test_a_pending_value_changes_no_date(self, rotated: Any) -> None:
        """Only what becomes current does."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 10})
        before = rotated.describe()["NextRotationDate"]
        rotated.clock.advance(days=5)
        rotated.put("hand", "BLUE")
        assert rotated.describe()["NextRotationDate"] == before

    def test_do_not_run_once_cancelled(self, rotated: Any, function: Function) -> None:
        """Whatever time passes."""
        rotate(rotated, RotationRules={"AutomaticallyAfterDays": 1})
        rotated.service.run_due()
        rotated("CancelRotateSecret", SecretId="s")
        rotated.clock.advance(days=30)
        assert rotated.service.run_due().rotated == ()
