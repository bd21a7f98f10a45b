"""The six fields of a `cron()` schedule: read, checked, and turned into days and hours. All UTC.

    minutes hours day-of-month month day-of-week year
       0      8        ?       1/3      SUN#1     *      08:00, first Sunday of each quarter

Minutes are 0 and the year is `*`, because windows start at a full hour and schedules more than a
year apart are not supported: days that do not come in every calendar year are refused. Exactly one
of the two day fields is `?`. Sources: the Secrets Manager user guide (Rotation schedules) and
tests/data/rotation/schedules.json, which also lists what AWS leaves open. There, this module takes
leading zeros, several spaces, and names in any case; it refuses reversed ranges, anything but a
number or increments in the hours field, and `nL` or a named last day (`SUNL`) in day-of-week.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime
from itertools import pairwise

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SATURDAY = 7
_MIN_STEP_HOURS = 4
_NUMBER = re.compile(r"[0-9]+")

# 28 years without a skipped leap day hold every kind of year (leap or not, by first weekday), and
# one more year holds every kind of turn of the year: what is true in these is true for ever.
_EVERY_KIND_OF_YEAR = range(2000, 2029)


class ScheduleError(ValueError):
    """A schedule that AWS refuses with InvalidParameterException.

    The message says which part is wrong and what is allowed there.
    """


@dataclass(frozen=True, slots=True)
class _Days:
    """The days on which a cron runs, of any month: those that fit at least one of the members.

    Weekdays are numbered as in the expression, 1 is Sunday. `numbered` holds (weekday, n): the n-th
    such weekday of the month.
    """

    monthdays: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    numbered: frozenset[tuple[int, int]] = frozenset()
    last_day: bool = False
    last_weekdays: frozenset[int] = frozenset()

    def of(self, year: int, month: int) -> Iterator[date]:
        """The days of one month, in order."""
        first_weekday, length = monthrange(year, month)  # here Monday is 0
        for day in range(1, length + 1):
            weekday = (first_weekday + day) % 7 + 1
            if (
                day in self.monthdays
                or weekday in self.weekdays
                or (weekday, (day + 6) // 7) in self.numbered
                or (self.last_day and day == length)
                or (weekday in self.last_weekdays and day + 7 > length)
            ):
                yield date(year, month, day)


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked cron expression, made by `parse_cron`: the same hours on some days of some months.

    `in_hours` is true if the hours field has increments; they start again each day.
    """

    hours: range
    in_hours: bool
    months: tuple[int, ...]
    days: _Days

    def next_start(self, after: datetime, _anchor: datetime | None = None) -> datetime:
        """The first start later than `after` (UTC), which lies in the same or the next year.

        Raises OverflowError if that is past the year 9999.
        """
        for year in range(after.year, MAXYEAR + 1):
            for day in self._days_of(year, from_month=after.month if year == after.year else 1):
                for hour in self.hours:
                    start = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
                    if start > after:
                        return start
        raise OverflowError("no start before the end of the calendar")

    def interval(self, limit: int) -> int:
        """The least number of hours between two starts, `limit` if that is less.

        The nominal step counts too, even where it leads past midnight and so is never taken.
        """
        limit = min(limit, self.hours.step)
        between = self.hours[0] - self.hours[-1]
        if limit <= 24 + between:
            return limit
        days = [day for year in _EVERY_KIND_OF_YEAR for day in self._days_of(year)]
        gap = min(later - day for day, later in pairwise(days))
        return min(limit, 24 * gap.days + between)

    def runs_every_year(self) -> bool:
        """Whether every calendar year has at least one start."""
        return all(any(self._days_of(year)) for year in _EVERY_KIND_OF_YEAR)

    def _days_of(self, year: int, from_month: int = 1) -> Iterator[date]:
        for month in self.months:
            if month >= from_month:
                yield from self.days.of(year, month)


def parse_cron(body: str) -> Cron:
    """Check and compile what stands between the brackets of `cron(...)`.

    Raises ScheduleError if there are not six fields, if one of them is not valid, or if its days do
    not come in every calendar year (29 FEB) or never (31 FEB).
    """
    fields = body.upper().split()
    if len(fields) != 6:
        raise ScheduleError(
            "cron() must have six fields: minutes hours day-of-month month day-of-week year;"
            f" this one has {len(fields)}."
        )
    minutes, hours, monthday, month, weekday, year = fields
    if not _NUMBER.fullmatch(minutes) or int(minutes) != 0:
        raise ScheduleError("cron(): minutes must be 0, because windows start at a full hour.")
    if year != "*":
        raise ScheduleError("cron(): year must be *.")
    if (monthday == "?") == (weekday == "?"):
        raise ScheduleError("cron(): exactly one of day-of-month and day-of-week must be ?.")
    cron = Cron(
        hours=_hours(hours),
        in_hours="/" in hours,
        months=_months(month),
        days=_days_of_week(weekday) if monthday == "?" else _days_of_month(monthday),
    )
    if not cron.runs_every_year():
        raise ScheduleError(
            f"cron(): the days {monthday} {month} {weekday} do not come in every year;"
            " schedules more than a year apart are not supported."
        )
    return cron


@dataclass(frozen=True, slots=True)
class _Field:
    """A field: its numbers `low` to `high`, their names, and what its messages call allowed."""

    title: str
    low: int
    high: int
    names: tuple[str, ...]
    allowed: str

    def error(self, item: str) -> ScheduleError:
        return ScheduleError(
            f"cron(): {self.title} cannot have {item!r}; allowed are {self.allowed}."
        )

    def number(self, text: str, item: str) -> int:
        """The value of `text`, a number or a name that is a part of `item`."""
        if text in self.names:
            return self.names.index(text) + self.low
        if _NUMBER.fullmatch(text) and self.low <= int(text) <= self.high:
            return int(text)
        raise self.error(item)

    def values(self, item: str) -> range:
        """One item of a list: `*`, `a`, `a-b`, or increments `/s`, `*/s`, `a/s`, `a-b/s`.

        `a/s` goes on from a to the end of the field, `/s` from its beginning.
        """
        base, slash, step_text = item.partition("/")
        step = int(step_text) if _NUMBER.fullmatch(step_text) else 0
        if slash and step == 0:
            raise self.error(item)
        first_text, dash, last_text = base.partition("-")
        if base == "*" or (slash and not base):
            first, last = self.low, self.high
        else:
            first = self.number(first_text, item)
            last = self.number(last_text, item) if dash else self.high if slash else first
        if first > last:
            raise self.error(item)
        return range(first, last + 1, step or 1)


_HOURS = _Field("hours", 0, 23, (), "0-23, or start/step or /step with a step of 4 or more")
_MONTHDAY = _Field("day-of-month", 1, 31, (), "1-31, L, SUNL to SATL, or ?, and * , - /")
_MONTH = _Field("month", 1, 12, _MONTHS, "1-12 or JAN-DEC, and * , - /")
_WEEKDAY = _Field(
    "day-of-week", 1, 7, _WEEKDAYS, "1-7 or SUN-SAT, L, SUN#1 to SAT#5, or ?, * , - /"
)


def _hours(text: str) -> range:
    values = _HOURS.values(text)
    if "*" in text or "-" in text or ("/" in text and values.step < _MIN_STEP_HOURS):
        raise _HOURS.error(text)
    return values


def _months(text: str) -> tuple[int, ...]:
    return tuple(sorted({month for item in text.split(",") for month in _MONTH.values(item)}))


def _days_of_month(text: str) -> _Days:
    monthdays: set[int] = set()
    last_weekdays: set[int] = set()
    items = text.split(",")
    for item in items:
        if item.endswith("L") and item[:-1] in _WEEKDAYS:
            last_weekdays.add(_WEEKDAYS.index(item[:-1]) + 1)
        elif item != "L":
            monthdays.update(_MONTHDAY.values(item))
    return _Days(
        monthdays=frozenset(monthdays),
        last_day="L" in items,
        last_weekdays=frozenset(last_weekdays),
    )


def _days_of_week(text: str) -> _Days:
    weekdays: set[int] = set()
    numbered: set[tuple[int, int]] = set()
    for item in text.split(","):
        day, sign, number = item.partition("#")
        if sign:
            if number not in {"1", "2", "3", "4", "5"}:
                raise _WEEKDAY.error(item)
            numbered.add((_WEEKDAY.number(day, item), int(number)))
        elif item == "L":
            weekdays.add(_SATURDAY)
        else:
            weekdays.update(_WEEKDAY.values(item))
    return _Days(weekdays=frozenset(weekdays), numbered=frozenset(numbered))
