"""The rules of rotation schedules, one behaviour at a time."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from smclient_embedded.rotation.schedule import ScheduleError, Window, parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = at("2026-03-04 09:15")


def starts(expression: str, count: int, anchor: str) -> list[str]:
    """The starts of `count` windows after the anchor; a rotation happens as soon as each opens."""
    schedule = parse(expression)
    moment, found = at(anchor), []
    for _ in range(count):
        moment = schedule.next_window(moment, moment).start
        found.append(f"{moment:%Y-%m-%d %H}")
    return found


class TestRate:
    def test_in_days_starts_at_midnight_counted_from_the_date_of_the_anchor(self) -> None:
        found = starts("rate(10 days)", 3, anchor="2026-02-20 23:59:59")
        assert found == ["2026-03-02 00", "2026-03-12 00", "2026-03-22 00"]

    def test_in_hours_does_not_start_again_at_midnight(self) -> None:
        found = starts("rate(10 hours)", 4, anchor="2026-03-04 00:30")
        assert found == ["2026-03-04 10", "2026-03-04 20", "2026-03-05 06", "2026-03-05 16"]

    def test_in_hours_is_open_for_one_hour(self) -> None:
        window = parse("rate(24 hours)").next_window(NOW, NOW)
        assert window == Window(at("2026-03-05 09:00"), at("2026-03-05 10:00"))

    def test_in_hours_may_cross_midnight(self) -> None:
        schedule = parse("rate(12 hours)", duration="6h")
        window = schedule.next_window(at("2026-03-05 01:00"), at("2026-03-04 08:30"))
        assert window == Window(at("2026-03-04 20:00"), at("2026-03-05 02:00"))

    def test_long_missed_windows_are_passed_over_at_once(self) -> None:
        window = parse("rate(4 hours)").next_window(at("2926-03-04 09:15"), at("0101-01-01 00:00"))
        assert window.start == at("2926-03-04 12:00")

    def test_longest_rates(self) -> None:
        assert parse("rate(999 days)").next_window(NOW, NOW).start == at("2028-11-27")
        assert parse("rate(23976 hours)").next_window(NOW, NOW).start == at("2028-11-27 09:00")
        assert parse(None, days=1000).next_window(NOW, NOW).start == at("2028-11-28")

    @pytest.mark.parametrize("expression", ["rate(1 days)", "rate(02 day)", "rate( 2  days )"])
    def test_spelling_that_aws_leaves_open_is_taken(self, expression: str) -> None:
        assert parse(expression).next_window(NOW, NOW).start > NOW

    @pytest.mark.parametrize(
        "expression",
        [
            "rate()",
            "rate(days)",
            "rate(10)",
            "rate(10days)",
            "rate(1 2 days)",
            "rate(-1 days)",
            "rate(1,5 days)",
            "rate(1 week)",
            "rate(1000 days)",
            "rate(3 hours)",
            "rate(23977 hours)",
            "rate(" + "9" * 240 + " days)",
        ],
    )
    def test_refused(self, expression: str) -> None:
        with pytest.raises(ScheduleError, match=r"rate\(\)"):
            parse(expression)

    def test_needs_an_anchor(self) -> None:
        with pytest.raises(ScheduleError, match="count from the last rotation"):
            parse("rate(10 days)").next_window(NOW, None)


class TestAutomaticallyAfterDays:
    def test_is_a_rate_in_days(self) -> None:
        assert parse(None, days=30) == parse("rate(30 days)")

    def test_takes_a_duration(self) -> None:
        window = parse(None, days=1, duration="3h").next_window(NOW, NOW)
        assert window == Window(at("2026-03-05 00:00"), at("2026-03-05 03:00"))

    @pytest.mark.parametrize("days", [0, -1, 1001, 10**30])
    def test_refused(self, days: int) -> None:
        with pytest.raises(ScheduleError, match="1 to 1000"):
            parse(None, days=days)

    def test_excludes_an_expression(self) -> None:
        message = "^You cannot specify both rotation frequency and schedule expression together.$"
        with pytest.raises(ScheduleError, match=message):
            parse("rate(1 day)", days=1)

    def test_one_of_the_two_is_needed(self) -> None:
        with pytest.raises(ScheduleError, match="ScheduleExpression or AutomaticallyAfterDays"):
            parse(None, duration="3h")


class TestWindow:
    def test_open_and_unused_is_the_answer_up_to_its_last_instant(self) -> None:
        schedule = parse("cron(0 10 * * ? *)", duration="2h")
        today = Window(at("2026-03-04 10:00"), at("2026-03-04 12:00"))
        last_instant = today.end - timedelta(microseconds=1)
        assert schedule.next_window(today.start, None) == today
        assert schedule.next_window(last_instant, today.start - timedelta(seconds=1)) == today
        assert schedule.next_window(today.end, None).start == at("2026-03-05 10:00")

    def test_used_from_the_instant_of_its_start(self) -> None:
        schedule = parse("cron(0 10 * * ? *)")
        start = at("2026-03-04 10:00")
        assert schedule.next_window(start, start).start == at("2026-03-05 10:00")

    def test_an_anchor_later_than_now_uses_the_windows_before_it(self) -> None:
        window = parse("cron(0 10 * * ? *)").next_window(NOW, at("2026-03-07 11:00"))
        assert window.start == at("2026-03-08 10:00")

    def test_next_rotation_date_is_its_last_second(self) -> None:
        first_of_month = "cron(0 0 1 * ? *)"
        assert parse(first_of_month).next_rotation_date(NOW, None) == at("2026-04-01 23:59:59")
        hour = parse(first_of_month, duration="1h")
        assert hour.next_rotation_date(NOW, None) == at("2026-04-01 00:59:59")

    def test_is_in_utc_whatever_the_zone_of_the_question(self) -> None:
        zone = timezone(timedelta(hours=-11))
        schedule = parse("rate(1 day)")
        asked = schedule.next_window(NOW.astimezone(zone), NOW.astimezone(zone))
        assert asked == schedule.next_window(NOW, NOW)
        assert asked.start.tzinfo is UTC

    def test_times_need_a_zone(self) -> None:
        schedule = parse("rate(1 day)")
        with pytest.raises(ScheduleError, match="now must have a time zone"):
            schedule.next_window(NOW.replace(tzinfo=None), NOW)
        with pytest.raises(ScheduleError, match="anchor must have a time zone"):
            schedule.next_window(NOW, NOW.replace(tzinfo=None))

    @pytest.mark.parametrize("expression", ["rate(999 days)", "cron(0 0 1 1 ? *)"])
    @pytest.mark.parametrize("edge", [datetime.min, datetime.max])
    def test_outside_the_calendar_is_an_error(self, expression: str, edge: datetime) -> None:
        edge = edge.replace(tzinfo=UTC)
        with pytest.raises(ScheduleError, match="years 1 to 9999"):
            parse(expression).next_window(edge, edge)

    def test_cannot_be_changed(self) -> None:
        window = parse("rate(1 day)").next_window(NOW, NOW)
        with pytest.raises(dataclasses.FrozenInstanceError):
            window.start = NOW  # type: ignore[misc]


class TestDuration:
    @pytest.mark.parametrize(
        "text", ["", "h", "3", "0h", "00h", "100h", "3H", "3 h", "-1h", "\u0663h"]
    )
    def test_is_one_hour_or_more_in_two_digits_at_most(self, text: str) -> None:
        with pytest.raises(ScheduleError, match="1h to 99h"):
            parse("rate(10 days)", duration=text)

    @pytest.mark.parametrize(
        ("expression", "longest"),
        [
            ("rate(1 day)", 24),
            ("cron(0 0 * * ? *)", 24),
            ("cron(0 20 * * ? *)", 4),
            ("cron(0 23 L * ? *)", 1),
            ("rate(4 hours)", 4),
            ("rate(999 hours)", 99),
            ("cron(0 /4 * * ? *)", 4),
            ("cron(0 8/8 * * ? *)", 8),  # 8:00 and 16:00; the nominal step counts
            ("cron(0 20/8 * * ? *)", 8),  # 20:00 only, to 4:00
            ("cron(0 2/10 * * ? *)", 4),  # 22:00 to 2:00
            ("cron(0 2/10 1/2 * ? *)", 4),  # the 31st is followed by the 1st
            ("cron(0 2/10 2/2 * ? *)", 10),  # even days never follow each other
            ("cron(0 2/10 1,L * ? *)", 4),
            ("cron(0 2/10 1,L JAN,DEC ? *)", 4),  # over the new year
            ("cron(0 2/10 1,SUNL JAN,DEC ? *)", 4),  # when 31 December is a Sunday
            ("cron(0 2/10 1,29 FEB,MAR ? *)", 4),  # in leap years
            ("cron(0 2/10 ? * MON,WED *)", 10),
            ("cron(0 2/10 ? * SAT,SUN *)", 4),
            ("cron(0 /72 ? * MON,WED *)", 48),
            ("cron(0 /99 ? * MON *)", 99),
        ],
    )
    def test_longest_that_does_not_reach_the_next_window_or_day(
        self, expression: str, longest: int
    ) -> None:
        assert parse(expression, duration=f"{longest}h").length == timedelta(hours=longest)
        if longest < 99:
            with pytest.raises(ScheduleError, match=f"; {longest}h at most"):
                parse(expression, duration=f"{longest + 1}h")


@pytest.mark.parametrize(
    "expression",
    [
        "at(2026-04-01)",
        "1 day",
        "RATE(1 day)",
        "CRON(0 8 * * ? *)",
        " rate(1 day)",
        "rate(1 day) ",
        "rate (1 day)",
        "rate(1 day",
        "rate(1 day))",
        "rate((1 day))",
        "rate(1 day)rate(1 day)",
    ],
)
def test_an_expression_is_one_rate_or_cron(expression: str) -> None:
    with pytest.raises(ScheduleError, match=r"must be rate\(\.\.\.\) or cron\(\.\.\.\)"):
        parse(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(1 day)\n",
        "rate(1\tday)",
        "rate(1\xa0day)",
        "rate(\u0661 day)",
        "rate(1" + " " * 256,
        "at(2026-04-01T00:00)",
        "cron(0 8 * * ? *)\0",
    ],
)
def test_an_expression_has_1_to_256_of_the_allowed_characters(expression: str) -> None:
    with pytest.raises(ScheduleError, match="1 to 256 characters"):
        parse(expression)
