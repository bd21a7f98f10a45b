"""The six fields of a cron schedule, one behaviour at a time."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from smclient_embedded.rotation.schedule import ScheduleError, Window, parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = at("2026-03-04 09:15")


def starts(expression: str, count: int, now: str) -> list[str]:
    """The starts of `count` windows from now on; a rotation happens as soon as each opens."""
    schedule = parse(expression)
    moment, anchor, found = at(now), None, []
    for _ in range(count):
        moment = anchor = schedule.next_window(moment, anchor).start
        found.append(f"{moment:%Y-%m-%d %H}")
    return found


def dates(expression: str, count: int, now: str) -> list[str]:
    return [start[:10] for start in starts(expression, count, now)]


class TestCronHours:
    def test_increments_start_again_each_day(self) -> None:
        found = starts("cron(0 2/10 * * ? *)", 4, "2026-03-04 03:00")
        assert found == ["2026-03-04 12", "2026-03-04 22", "2026-03-05 02", "2026-03-05 12"]

    def test_increments_without_a_base_start_at_midnight(self) -> None:
        assert parse("cron(0 /6 * * ? *)") == parse("cron(0 0/6 * * ? *)")

    def test_a_number_is_in_days_and_increments_are_in_hours_even_if_there_is_one_start(
        self,
    ) -> None:
        assert parse("cron(0 20 * * ? *)").length == timedelta(hours=4)
        assert parse("cron(0 20/4 * * ? *)").length == timedelta(hours=1)

    def test_a_window_that_crosses_into_a_day_without_starts_is_still_open(self) -> None:
        schedule = parse("cron(0 20/8 ? * SAT *)", duration="8h")
        window = schedule.next_window(at("2026-03-08 03:59"), None)  # Sunday
        assert window == Window(at("2026-03-07 20:00"), at("2026-03-08 04:00"))

    @pytest.mark.parametrize(
        "hours",
        ["24", "*", "?", "L", "8,20", "8-20", "/3", "0/3", "/0", "8/", "/", "*/8", "0-20/4"],
    )
    def test_refused(self, hours: str) -> None:
        with pytest.raises(ScheduleError, match="hours cannot have"):
            parse(f"cron(0 {hours} * * ? *)")


class TestCronDaysOfMonth:
    def test_a_day_that_a_month_lacks_is_passed_over(self) -> None:
        found = dates("cron(0 6 31 * ? *)", 4, "2026-01-31 06:00")
        assert found == ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]
        assert dates("cron(0 6 29 * ? *)", 2, "2026-01-30") == ["2026-03-29", "2026-04-29"]
        assert dates("cron(0 6 29 * ? *)", 2, "2028-01-30") == ["2028-02-29", "2028-03-29"]

    def test_last_day(self) -> None:
        found = dates("cron(0 6 L * ? *)", 4, "2028-01-15")
        assert found == ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]

    def test_last_day_of_february_comes_every_year(self) -> None:
        assert dates("cron(0 6 L FEB ? *)", 2, "2027-01-01") == ["2027-02-28", "2028-02-29"]

    def test_last_named_day(self) -> None:
        assert dates("cron(0 6 SUNL * ? *)", 3, "2026-02-01") == [
            "2026-02-22",
            "2026-03-29",
            "2026-04-26",
        ]
        assert dates("cron(0 6 SATL * ? *)", 1, "2026-02-01") == ["2026-02-28"]

    def test_increments_start_again_each_month(self) -> None:
        found = dates("cron(0 6 5/15 * ? *)", 3, "2026-01-01")
        assert found == ["2026-01-05", "2026-01-20", "2026-02-05"]
        assert dates("cron(0 6 1/30 * ? *)", 3, "2026-01-31") == [
            "2026-01-31",
            "2026-02-01",
            "2026-03-01",
        ]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("/5", "1/5"),
            ("*/5", "1/5"),
            ("1/5", "1,6,11,16,21,26,31"),
            ("1-11/5", "1,6,11"),
            ("*", "1-31"),
            ("7-7", "7"),
            ("15,1,15", "1,15"),
            ("7/40", "7"),
            ("05", "5"),
        ],
    )
    def test_equal_spellings(self, one: str, other: str) -> None:
        assert parse(f"cron(0 6 {one} * ? *)") == parse(f"cron(0 6 {other} * ? *)")

    def test_a_list_may_mix_kinds(self) -> None:
        found = dates("cron(0 6 1-2,15,SUNL,L * ? *)", 5, "2026-03-02 07:00")
        assert found == ["2026-03-02", "2026-03-15", "2026-03-29", "2026-03-31", "2026-04-01"]

    @pytest.mark.parametrize(
        "field",
        [
            "0",
            "32",
            "15-1",
            "1-",
            "-1",
            "1--2",
            "1-2-3",
            "1,,2",
            "1,",
            ",1",
            "1/0",
            "1/",
            "/",
            "1/2/3",
            "1/L",
            "1-L",
            "?,1",
            "*1",
            "**",
            "15W",
            "LW",
            "1L",
            "L-3",
            "MON",
            "2#1",
            "XXXL",
        ],
    )
    def test_refused(self, field: str) -> None:
        with pytest.raises(ScheduleError, match="day-of-month cannot have"):
            parse(f"cron(0 6 {field} * ? *)")


class TestCronMonths:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("JAN,APR,JUL,OCT", "1/3"),
            ("JAN/3", "1,4,7,10"),
            ("/3", "1/3"),
            ("2/3", "FEB,MAY,AUG,NOV"),
            ("MAR-MAY", "3-5"),
            ("3-MAY", "3,4,5"),
            ("JAN-DEC", "*"),
            ("1/11", "1,12"),
            ("JUN-NOV/5", "6,11"),
            ("jan", "1"),
        ],
    )
    def test_equal_spellings(self, one: str, other: str) -> None:
        assert parse(f"cron(0 6 1 {one} ? *)") == parse(f"cron(0 6 1 {other} ? *)")

    def test_once_a_year(self) -> None:
        found = dates("cron(0 6 15 6 ? *)", 3, "2026-06-15 07:00")
        assert found == ["2026-06-15", "2027-06-15", "2028-06-15"]

    @pytest.mark.parametrize(
        "field", ["0", "13", "?", "L", "JANUARY", "JA", "NOV-FEB", "1/0", "MON", "1#1", "1,"]
    )
    def test_refused(self, field: str) -> None:
        with pytest.raises(ScheduleError, match="month cannot have"):
            parse(f"cron(0 6 1 {field} ? *)")


class TestCronDaysOfWeek:
    def test_one_is_sunday(self) -> None:
        assert dates("cron(0 6 ? * 1 *)", 1, "2026-03-04") == ["2026-03-08"]

    def test_last_day_of_the_week_is_saturday(self) -> None:
        assert parse("cron(0 6 ? * L *)") == parse("cron(0 6 ? * SAT *)")

    def test_numbered_day_of_the_month(self) -> None:
        assert dates("cron(0 6 ? * TUE#3 *)", 2, "2026-03-01") == ["2026-03-17", "2026-04-21"]
        assert dates("cron(0 6 ? * SUN#1,7#5 *)", 3, "2026-05-01") == [
            "2026-05-03",
            "2026-05-30",
            "2026-06-07",
        ]

    def test_fifth_day_comes_in_some_months_only(self) -> None:
        found = dates("cron(0 6 ? * MON#5 *)", 3, "2026-01-01")
        assert found == ["2026-03-30", "2026-06-29", "2026-08-31"]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("MON-FRI", "2-6"),
            ("MON-6", "2,3,4,5,6"),
            ("1/2", "SUN,TUE,THU,SAT"),
            ("/2", "1/2"),
            ("MON/2", "MON,WED,FRI"),
            ("2-4/2", "2,4"),
            ("*", "1-7"),
            ("TUE#3", "3#3"),
            ("mon", "MON"),
        ],
    )
    def test_equal_spellings(self, one: str, other: str) -> None:
        assert parse(f"cron(0 6 ? * {one} *)") == parse(f"cron(0 6 ? * {other} *)")

    @pytest.mark.parametrize(
        "field",
        [
            "0",
            "8",
            "MONDAY",
            "FRI-MON",
            "1/0",
            "MON#0",
            "MON#6",
            "MON#",
            "#1",
            "8#1",
            "MON-FRI#1",
            "L#1",
            "*#1",
            "MON#1/2",
            "2L",
            "SUNL",
            "?,1",
            "MON,",
        ],
    )
    def test_refused(self, field: str) -> None:
        with pytest.raises(ScheduleError, match="day-of-week cannot have"):
            parse(f"cron(0 6 ? * {field} *)")


class TestCronAsAWhole:
    def test_spelling_that_aws_leaves_open_is_taken(self) -> None:
        assert parse("cron( 00  08 * jan-mar ? * )") == parse("cron(0 8 * JAN-MAR ? *)")

    @pytest.mark.parametrize(
        "days",
        [
            "31 FEB ?",
            "30 2 ?",
            "31 APR,JUN,SEP,NOV ?",
            "29 FEB ?",
            "? FEB MON#5",
            "? JUN MON#5",
            "? JAN,FEB,MAR SUN#5",
            "? JAN,MAR,APR MON#5",  # missing only in leap years that begin on a Friday: 2016, 2044
        ],
    )
    def test_days_that_do_not_come_in_every_year_are_refused(self, days: str) -> None:
        before = time.perf_counter()
        with pytest.raises(ScheduleError, match="do not come in every year"):
            parse(f"cron(0 6 {days} *)")
        assert time.perf_counter() - before < 1

    @pytest.mark.parametrize("days", ["28 FEB ?", "29 FEB,MAR ?", "? JAN-MAY MON#5", "? FEB MON#4"])
    def test_days_that_come_in_every_year_are_taken(self, days: str) -> None:
        assert parse(f"cron(0 6 {days} *)").next_window(NOW, None).start > NOW

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("cron()", "six fields"),
            ("cron(0 10 * * ?)", "has 5"),
            ("cron(0 10 * * ? * *)", "has 7"),
            ("cron(30 10 * * ? *)", "minutes must be 0"),
            ("cron(* 10 * * ? *)", "minutes must be 0"),
            ("cron(0/5 10 * * ? *)", "minutes must be 0"),
            ("cron(0 10 * * ? 2026)", "year must be"),
            ("cron(0 10 * * ? ?)", "year must be"),
            ("cron(0 10 * * * *)", "exactly one"),
            ("cron(0 10 ? * ? *)", "exactly one"),
        ],
    )
    def test_refused(self, expression: str, message: str) -> None:
        with pytest.raises(ScheduleError, match=message):
            parse(expression)
