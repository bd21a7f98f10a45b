"""When a secret is rotated: AWS Secrets Manager's schedules as a pure function of time.

A schedule is a `rate()` or `cron()` expression, or AutomaticallyAfterDays, which is a rate in days.
It opens windows, and the service rotates a secret once in each. All times are UTC. The rules:

1. A window starts at a full hour. `rate(N days)`: at 00:00, N days after the date of the anchor,
   and every N days from there; `rate(N hours)`: N hours after the hour of the anchor, and every N
   hours from there; `cron()`: whenever its fields say so. The anchor is the later of the last
   rotation and the last change of the value.
2. A window is open for Duration. Without one it is open for an hour if the schedule is in hours (a
   cron is, when its hours field has a `/`), and until 24:00 if it is in days. In days it must end
   by 24:00; in hours it may cross midnight, but must not reach past the start of the next one.
3. A window that started at or before the anchor has been used; one whose end is not after now is
   closed. The next window is the first that is neither, so it may be open already.

Sources: the Secrets Manager user guide (Rotation schedules), the API reference (RotationRulesType),
and tests/data/rotation/schedules.json, which also lists what AWS leaves open. There, this module
takes a singular or plural unit with any number, leading zeros and several spaces, and refuses RATE
and CRON in upper case; see `cron.py` for the fields.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from smclient_embedded.rotation.cron import Cron, ScheduleError, parse_cron

__all__ = ["Schedule", "ScheduleError", "Window", "parse", "windows"]

_EXPRESSION = re.compile(r"[0-9A-Za-z()#?*\-/, ]{1,256}")
_CALL = re.compile(r"(rate|cron)\(([^()]*)\)")
_RATE = re.compile(r" *([0-9]+) +(hour|hours|day|days) *")
_DURATION = re.compile(r"[0-9]{1,2}h")

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MIN_RATE_HOURS = 4
_MAX_RATE_DAYS = 999
_MAX_AFTER_DAYS = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which one rotation may happen: from `start` up to, not including, `end`. UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Rate:
    """Starts `interval` apart, counted from the anchor rounded down to `unit`, an hour or day."""

    interval: timedelta
    unit: timedelta

    def next_start(self, after: datetime, anchor: datetime | None) -> datetime:
        """The first start later than `after`, which must not be before the anchor."""
        if anchor is None:
            raise ScheduleError(
                "rate() and AutomaticallyAfterDays count from the last rotation or change of the"
                " value, and there is none; only cron() does without."
            )
        base = anchor.replace(minute=0, second=0, microsecond=0)
        if self.unit == _DAY:
            base = base.replace(hour=0)
        return base + ((after - base) // self.interval + 1) * self.interval


@dataclass(frozen=True, slots=True)
class Schedule:
    """A checked schedule, made by `parse`. Each of its windows is `length` long."""

    starts: _Rate | Cron
    length: timedelta

    def next_window(self, now: datetime, anchor: datetime | None) -> Window:
        """The first window that is neither closed at `now` nor used at `anchor`; it may be open.

        Args:
            now: The time asked about, with a time zone.
            anchor: The later of the last rotation and the last change of the value, with a time
                zone; None if neither has happened since the schedule was set (cron only).

        Raises:
            ScheduleError: A time has no time zone, a rate has no anchor, or the window would lie
                outside the years 1 to 9999.
        """
        try:
            now = _utc("now", now)
            after = now - self.length
            if anchor is not None:
                anchor = _utc("anchor", anchor)
                after = max(after, anchor)
            start = self.starts.next_start(after, anchor)
            return Window(start, start + self.length)
        except OverflowError as exc:
            raise ScheduleError("The next window lies outside the years 1 to 9999.") from exc

    def next_rotation_date(self, now: datetime, anchor: datetime | None) -> datetime:
        """The NextRotationDate of DescribeSecret: the last second of the next window.

        As recorded from AWS: 23:59:59 for a schedule in days without Duration, 00:59:59 for one
        that starts at 00:00 with a Duration of 1h. Arguments and errors are those of `next_window`.
        """
        return self.next_window(now, anchor).end - timedelta(seconds=1)


def parse(
    expression: str | None, *, duration: str | None = None, days: int | None = None
) -> Schedule:
    """Check and compile the RotationRules of a secret; None is a rule that was not given.

    Args:
        expression: ScheduleExpression, `rate(...)` or `cron(...)`, 1 to 256 characters.
        duration: Duration, the length of a window in hours, `1h` to `99h`.
        days: AutomaticallyAfterDays, 1 to 1000 days from one rotation to the next; it excludes
            `expression`, and one of them must be given.

    Raises:
        ScheduleError: A rule is not valid, or the rules do not fit together.
    """
    if expression is not None and days is not None:
        raise ScheduleError(
            "You cannot specify both rotation frequency and schedule expression together."
        )
    hours = None if duration is None else _duration(duration)
    if expression is None:
        return _after_days(days, hours)
    if not isinstance(expression, str) or not _EXPRESSION.fullmatch(expression):
        raise ScheduleError(
            "ScheduleExpression must have 1 to 256 characters; allowed are letters, digits, spaces"
            " and ( ) # ? * - / ,"
        )
    call = _CALL.fullmatch(expression)
    if call is None:
        raise ScheduleError("ScheduleExpression must be rate(...) or cron(...), in lower case.")
    return _rate(call[2], hours) if call[1] == "rate" else _cron(call[2], hours)


def windows(cases: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Answer schedule cases, in order.

    A case has `now`, and as needed `anchor`, `expression`, `days` and `duration`, which are absent
    or None when not given; other keys are ignored. The answer is `start` and `end` of the next
    window, or `error`, always InvalidParameterException, if AWS would refuse the schedule. Times
    are ISO 8601 with a time zone; those of the answer look like 2026-03-04T09:15:00Z.

    Raises:
        ValueError: A case has no readable `now`, or an unreadable `anchor`: not the schedule is
            wrong, but the case.
    """
    for case in cases:
        now = _case_time(case, "now")
        anchor = None if case.get("anchor") is None else _case_time(case, "anchor")
        try:
            schedule = parse(
                case.get("expression"), duration=case.get("duration"), days=case.get("days")
            )
            window = schedule.next_window(now, anchor)
        except ScheduleError:
            yield {"error": "InvalidParameterException"}
        else:
            yield {"start": _case_text(window.start), "end": _case_text(window.end)}


def _utc(name: str, moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ScheduleError(f"{name} must have a time zone.")
    return moment.astimezone(UTC)


def _case_time(case: Mapping[str, Any], name: str) -> datetime:
    try:
        return _utc(name, datetime.fromisoformat(case[name]))
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise ValueError(
            f"case {case.get('id')!r}: {name} must be a time such as 2026-03-04T09:15:00Z"
        ) from exc


def _case_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _duration(text: str) -> int:
    if not isinstance(text, str) or not _DURATION.fullmatch(text) or int(text[:-1]) == 0:
        raise ScheduleError("Duration must be a number of hours from 1h to 99h.")
    return int(text[:-1])


def _after_days(days: int | None, duration: int | None) -> Schedule:
    if days is None:
        raise ScheduleError("Give either ScheduleExpression or AutomaticallyAfterDays.")
    if type(days) is not int or not 1 <= days <= _MAX_AFTER_DAYS:
        raise ScheduleError(f"AutomaticallyAfterDays must be an integer, 1 to {_MAX_AFTER_DAYS}.")
    return Schedule(_Rate(days * _DAY, unit=_DAY), _length_in_days(0, duration))


def _rate(body: str, duration: int | None) -> Schedule:
    match = _RATE.fullmatch(body)
    if match is None:
        raise ScheduleError("rate() must have a number and a unit: hour, hours, day or days.")
    number = int(match[1])
    if match[2].startswith("day"):
        if not 1 <= number <= _MAX_RATE_DAYS:
            raise ScheduleError(f"rate() in days must be from 1 to {_MAX_RATE_DAYS}.")
        return Schedule(_Rate(number * _DAY, unit=_DAY), _length_in_days(0, duration))
    longest = 24 * _MAX_RATE_DAYS
    if not _MIN_RATE_HOURS <= number <= longest:
        raise ScheduleError(f"rate() in hours must be from {_MIN_RATE_HOURS} to {longest}.")
    return Schedule(_Rate(number * _HOUR, unit=_HOUR), _length_in_hours(number, duration))


def _cron(body: str, duration: int | None) -> Schedule:
    cron = parse_cron(body)
    if cron.in_hours:
        interval = cron.interval(limit=1 if duration is None else duration)
        return Schedule(cron, _length_in_hours(interval, duration))
    return Schedule(cron, _length_in_days(cron.hours[0], duration))


def _length_in_days(start_hour: int, duration: int | None) -> timedelta:
    rest = 24 - start_hour
    if duration is not None and duration > rest:
        raise ScheduleError(
            f"Duration is {duration}h, but a window that starts at {start_hour}:00 must end by"
            f" 24:00; {rest}h at most."
        )
    return (rest if duration is None else duration) * _HOUR


def _length_in_hours(interval: int, duration: int | None) -> timedelta:
    if duration is not None and duration > interval:
        raise ScheduleError(
            f"Duration is {duration}h, but the window must not reach past the start of the next"
            f" one; {interval}h at most."
        )
    return (1 if duration is None else duration) * _HOUR
