"""Properties of all schedules, and an hour-by-hour oracle that knows nothing of the parser."""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from smclient_embedded.rotation.schedule import ScheduleError, Window, parse

HOUR = timedelta(hours=1)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

Test = Callable[[date], bool]
Item = tuple[str, Test]  # what is written, and the days that it means

some = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def month_of(day: date) -> int:
    return day.month


def monthday_of(day: date) -> int:
    return day.day


def weekday_of(day: date) -> int:
    return day.isoweekday() % 7 + 1


@st.composite
def plain_items(
    draw: st.DrawFn, of: Callable[[date], int], low: int, high: int, names: list[str]
) -> Item:
    """`a`, `a-b`, `*`, and increments of them, with numbers or names."""

    def written(number: int) -> str:
        spellings = [str(number)] + ([names[number - low]] if names else [])
        return draw(st.sampled_from(spellings))

    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, high + 2))
    texts = {
        "one": (written(first), {first}),
        "range": (f"{written(first)}-{written(last)}", set(range(first, last + 1))),
        "all": ("*", set(range(low, high + 1))),
        "from": (
            f"{written(first)}/{step}",
            {n for n in range(first, high + 1) if (n - first) % step == 0},
        ),
        "every": (f"/{step}", {n for n in range(low, high + 1) if (n - low) % step == 0}),
        "steps": (
            f"{written(first)}-{written(last)}/{step}",
            {n for n in range(first, last + 1) if (n - first) % step == 0},
        ),
    }
    text, numbers = texts[draw(st.sampled_from(sorted(texts)))]
    return text, lambda day: of(day) in numbers


def last_day() -> Item:
    return "L", lambda day: (day + timedelta(days=1)).month != day.month


def last_named(number: int) -> Item:
    return (
        f"{WEEKDAYS[number - 1]}L",
        lambda day: weekday_of(day) == number and (day + timedelta(days=7)).month != day.month,
    )


def numbered(number: int, nth: int, by_name: bool) -> Item:
    def fits(day: date) -> bool:
        same = [n for n in range(1, day.day + 1) if weekday_of(day.replace(day=n)) == number]
        return weekday_of(day) == number and len(same) == nth

    return f"{WEEKDAYS[number - 1] if by_name else number}#{nth}", fits


def saturday() -> Item:
    return "L", lambda day: day.strftime("%w") == "6"


weekday_numbers = st.integers(1, 7)
months = plain_items(month_of, 1, 12, MONTHS)
monthdays = st.one_of(
    plain_items(monthday_of, 1, 31, []), st.builds(last_day), st.builds(last_named, weekday_numbers)
)
weekdays = st.one_of(
    plain_items(weekday_of, 1, 7, WEEKDAYS),
    st.builds(saturday),
    st.builds(numbered, weekday_numbers, st.integers(1, 5), st.booleans()),
)


def lists(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    def joined(parts: list[Item]) -> Item:
        return ",".join(text for text, _ in parts), lambda day: any(fits(day) for _, fits in parts)

    return st.lists(items, min_size=1, max_size=3).map(joined)


@dataclass(frozen=True)
class RandomCron:
    """A cron as written, and what it means."""

    text: str
    hours: frozenset[int]
    step: int | None  # None: one hour, a schedule in days
    runs_on: Test

    def starts(self, first: datetime) -> Iterator[datetime]:
        """All starts from the hour of `first` on, found hour by hour."""
        moment = first.replace(minute=0, second=0, microsecond=0)
        while True:
            if moment.hour in self.hours and self.runs_on(moment.date()):
                yield moment
            moment += HOUR


@st.composite
def crons(draw: st.DrawFn, steps: st.SearchStrategy[int | None]) -> RandomCron:
    month, in_month = draw(lists(months))
    by_week = draw(st.booleans())
    days, on_day = draw(lists(weekdays if by_week else monthdays))
    first = draw(st.integers(0, 23))
    step = draw(steps)
    if step is None:
        hours, runs_at = str(first), {first}
    else:
        base = draw(st.sampled_from([str(first), ""]))
        runs_at = set(range(first if base else 0, 24, step))
        hours = f"{base}/{step}"
    fields = f"? {month} {days}" if by_week else f"{days} {month} ?"
    text = f"cron(0 {hours} {fields} *)"
    return RandomCron(text, frozenset(runs_at), step, lambda day: in_month(day) and on_day(day))


crons_in_hours = crons(st.integers(4, 120))
any_crons = crons(st.none()) | crons_in_hours
rates = st.one_of(
    st.integers(1, 999).map("rate({} days)".format),
    st.integers(4, 23976).map("rate({} hours)".format),
)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2110, 1, 1), timezones=st.just(UTC))
anchors = st.none() | st.timedeltas(timedelta(days=-400), timedelta(days=40))


def comes_every_year(runs_on: Test) -> bool:
    def days(year: int) -> Iterator[date]:
        for month in range(1, 13):
            for day in range(1, monthrange(year, month)[1] + 1):
                yield date(year, month, day)

    return all(any(map(runs_on, days(year))) for year in range(2000, 2028))


@some
@given(cron=any_crons, now=moments, offset=anchors, data=st.data())
def test_cron_windows_are_those_found_hour_by_hour(
    cron: RandomCron, now: datetime, offset: timedelta | None, data: st.DataObject
) -> None:
    """The next window is the first unused, open or future one that a walk over all hours meets."""
    if not comes_every_year(cron.runs_on):
        with pytest.raises(ScheduleError, match="do not come in every year"):
            parse(cron.text)
        return
    first = min(cron.hours)
    if cron.step is None:
        hours = data.draw(st.none() | st.integers(1, 24 - first))
        length = hours or 24 - first
    else:  # short enough never to reach the next day's first start
        overnight = 24 + first - max(cron.hours)
        hours = data.draw(st.none() | st.integers(1, min(cron.step, overnight)))
        length = hours or 1
    schedule = parse(cron.text, duration=None if hours is None else f"{hours}h")
    anchor = None if offset is None else now + offset

    found = next(
        start
        for start in cron.starts(now - length * HOUR)
        if start + length * HOUR > now and (anchor is None or start > anchor)
    )
    assert schedule.next_window(now, anchor) == Window(found, found + length * HOUR)


@settings(some, max_examples=30)
@given(cron=crons_in_hours, duration=st.integers(1, 99))
def test_duration_is_taken_just_when_no_two_windows_overlap(
    cron: RandomCron, duration: int
) -> None:
    """In hours: at most the step, and never past another start within 28 years of calendar."""
    assume(cron.step is not None and comes_every_year(cron.runs_on))
    days = (date(2000, 1, 1) + timedelta(days=n) for n in range(28 * 366))
    starts = [
        day.toordinal() * 24 + hour
        for day in days
        if cron.runs_on(day)
        for hour in sorted(cron.hours)
    ]
    closest = min(b - a for a, b in pairwise(starts))
    try:
        parse(cron.text, duration=f"{duration}h")
        taken = True
    except ScheduleError:
        taken = False
    assert taken == (duration <= min(cron.step or 0, closest))


@some
@given(expression=rates, now=moments, age=st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_rate_starts_a_multiple_of_the_interval_after_the_anchor(
    expression: str, now: datetime, age: timedelta
) -> None:
    """And it is the first such window that is not closed."""
    number, unit = expression[5:-1].split()
    in_days = unit == "days"
    interval = timedelta(**{unit: int(number)})
    length = timedelta(days=1) if in_days else HOUR
    anchor = now - age
    base = anchor.replace(minute=0, second=0, microsecond=0)
    base = base.replace(hour=0) if in_days else base

    window = parse(expression).next_window(now, anchor)

    assert window.end - window.start == length
    assert (window.start - base) % interval == timedelta(0)
    assert window.end > now
    assert window.start > anchor
    one_before = window.start - interval
    assert one_before <= anchor or one_before + length <= now


@some
@given(expression=rates | any_crons.map(lambda cron: cron.text), now=moments)
def test_successive_windows_increase_and_do_not_overlap(expression: str, now: datetime) -> None:
    """Whether the service rotates in each window, or misses it."""
    try:
        schedule = parse(expression)
    except ScheduleError:
        assume(False)
    anchor = now - timedelta(days=3)
    window = schedule.next_window(now, anchor)
    for rotated in (True, False, True):
        assert now < window.end
        assert window.start < window.end
        if rotated:
            anchor = window.start
        now = window.start if rotated else window.end
        later = schedule.next_window(now, anchor)
        assert window.end <= later.start
        window = later


alphabet = st.sampled_from("0123456789LW#?*-/, ()MONSUJAFEBraten hoursdaycron")
near_cron = st.lists(
    st.text("0123L#?*-/,MONSUFEB", min_size=1, max_size=5), min_size=5, max_size=7
).map(lambda fields: f"cron({' '.join(fields)})")
near_field = st.builds(
    lambda text, week: f"cron(0 8 {f'? * {text}' if week else f'{text} * ?'} *)",
    st.text("0123456789L#*-/,MONSUF", min_size=1, max_size=8),
    st.booleans(),
)
junk = st.one_of(
    st.text(),
    st.text(alphabet, max_size=300),
    st.text(alphabet, max_size=20).map("rate({})".format),
    near_cron,
    near_field,
)


@some
@given(expression=junk, duration=st.none() | st.text("0123456789h", max_size=4) | st.text())
def test_any_text_is_a_schedule_or_a_schedule_error(expression: str, duration: str | None) -> None:
    """Nothing else is raised, and what is taken has a next window."""
    try:
        schedule = parse(expression, duration=duration)
    except ScheduleError:
        return
    now = datetime(2026, 3, 4, 9, 15, tzinfo=UTC)
    assert schedule.next_window(now, now).start > now
