"""Time as an argument: everything that knows the time takes a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic, sleep, time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. ``smclient.testing.FakeClock`` is one that tests move by hand."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...

    def time(self) -> float:
        """The time of day, in seconds since 1970."""
        ...

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait; a fake clock moves itself on instead."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(monotonic)
    time = staticmethod(time)
    sleep = staticmethod(sleep)

    @staticmethod
    def now() -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)


SYSTEM_CLOCK: Clock = SystemClock()
