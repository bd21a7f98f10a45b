"""Retries and windows, labels put by hand, leases, and many workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.heartbeat import Heartbeat
from smclient_embedded.rotating import RotationTo
from smclient_embedded.rotation.machine import retry_at
from smclient_embedded.store.records import RotationJob, RotationSettings

START = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)


def token(name: str) -> str:
    return name.ljust(32, "0")


class Failing:
    """A rotation function that fails as long as it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.calls = 0
        self._works = RotationTo()

    def __call__(self, event: Any, context: Any) -> None:
        self.calls += 1
        if self.fails:
            raise RuntimeError
        self._works(event, context)


class Engine:
    """A service, its clock, and a function."""

    def __init__(self, url: str) -> None:
        self.clock = FakeClock(START)
        self.service = EmbeddedService(url, clock=self.clock)
        self.function = Failing()
        self.arn = self.service.register_function("rotate", self.function)

    def secret(self, name: str, **rules: Any) -> None:
        """A secret that was rotated once."""
        create = {"Name": name, "SecretString": "first", "ClientRequestToken": token("v0")}
        self.service.call("CreateSecret", create)
        rotate = {"SecretId": name, "RotationLambdaARN": self.arn, "ClientRequestToken": token("1")}
        self.service.call("RotateSecret", {**rotate, "RotationRules": rules})

    def describe(self, name: str) -> dict[str, Any]:
        return self.service.call("DescribeSecret", {"SecretId": name})

    def at(self, moment: str) -> Any:
        """What a pass does at that time."""
        when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        self.clock.advance((when - self.clock.now()).total_seconds())
        return self.service.run_due()


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: Any, tmp_path: Any) -> Iterator[Engine]:
    memory = request.param == "memory"
    made = Engine("embedded://" if memory else f"embedded://{tmp_path}/secrets.db")
    yield made
    made.service.close()


class TestRetries:
    def test_of_the_schedule_stay_inside_its_windows(self, engine: Engine) -> None:
        """Two hours on Sundays: after the window nothing runs until the next."""
        engine.secret("s", ScheduleExpression="cron(0 2 ? * SUN *)", Duration="2h")
        engine.service.run_due()
        engine.function.fails = True
        assert engine.at("2026-09-27 01:59").failed == ()
        assert len(engine.at("2026-09-27 02:00").failed) == 1
        tried = 1
        for minute in (*range(1, 150), *range(180, 7 * 24 * 60, 60)):
            moment = datetime(2026, 9, 27, 2, tzinfo=UTC) + timedelta(minutes=minute)
            if engine.at(f"{moment:%Y-%m-%d %H:%M}").failed:
                tried += 1
                assert datetime(2026, 9, 27, 2) <= moment.replace(tzinfo=None)
                assert moment.replace(tzinfo=None) < datetime(2026, 9, 27, 4)
        assert tried == 6  # after 2, 4, 8, 16, 32 minutes; an hour more would be past the end
        engine.function.fails = False
        assert len(engine.at("2026-10-04 02:00").rotated) == 1
        assert engine.describe("s")["NextRotationDate"] == datetime(
            2026, 10, 11, 3, 59, 59, tzinfo=UTC
        )

    def test_that_fail_leave_the_next_date_in_the_past(self, engine: Engine) -> None:
        """As AWS's reference says it may be."""
        engine.secret("s", AutomaticallyAfterDays=2)
        engine.service.run_due()
        engine.function.fails = True
        engine.at("2026-09-26 00:00")
        engine.at("2026-10-01 00:00")
        assert engine.describe("s")["NextRotationDate"] == datetime(
            2026, 9, 26, 23, 59, 59, tzinfo=UTC
        )

    def test_of_what_was_asked_for_by_hand_have_no_window(self, engine: Engine) -> None:
        engine.function.fails = True
        engine.secret("s", ScheduleExpression="cron(0 2 ? * SUN *)", Duration="2h")
        assert len(engine.service.run_due().failed) == 1
        engine.function.fails = False
        engine.clock.advance(120)
        assert len(engine.service.run_due().rotated) == 1

    @pytest.mark.parametrize("minutes", [2, 64])
    def test_are_never_planned_outside_of_a_window(self, minutes: int) -> None:
        """Whenever a failure is noticed."""
        opened = datetime(2026, 9, 27, 2, tzinfo=UTC)
        settings = RotationSettings(
            enabled=True,
            schedule_expression="cron(0 2 ? * SUN *)",
            duration="2h",
            next_rotation_at=opened,
            window_ends_at=opened + timedelta(hours=2),
        )
        job = RotationJob("arn", "token", asked_at=opened, due_at=opened)
        for hours in range(24 * 30):
            now = opened + timedelta(hours=hours, minutes=30)
            at = retry_at(job, settings, now + timedelta(minutes=minutes), now=now)
            assert at > now
            assert (at.isoweekday(), at.hour in (2, 3)) == (7, True)


class TestLabelsPutByHand:
    def test_leave_one_rotation_out_and_say_so(self, engine: Engine) -> None:
        """The label is its owner's to take away; the next window is planned."""
        engine.secret("s", AutomaticallyAfterDays=2)
        engine.service.run_due()
        put = {"SecretId": "s", "SecretString": "by hand", "VersionStages": ["AWSPENDING"]}
        engine.service.call("PutSecretValue", {**put, "ClientRequestToken": token("hand")})
        calls = engine.function.calls
        engine.at("2026-09-26 00:00")
        assert engine.function.calls == calls
        (failed,) = engine.service.audit.lookup(event_name="RotationFailed")
        assert "AWSPENDING is on a version that no rotation made" in str(failed)
        stages = engine.describe("s")["VersionIdsToStages"]
        assert stages[token("hand")] == ["AWSPENDING"]
        assert engine.describe("s")["NextRotationDate"] == datetime(
            2026, 9, 28, 23, 59, 59, tzinfo=UTC
        )

    def test_do_not_hold_up_the_secrets_behind_them(self, engine: Engine) -> None:
        """However many there are: a pass looks at a hundred at a time."""
        for number in range(120):
            name = f"a-{number:03}"
            engine.secret(name, AutomaticallyAfterDays=2)
        engine.service.run_due()
        engine.service.run_due()
        for number in range(110):
            put = {"SecretId": f"a-{number:03}", "SecretString": "x"}
            more = {"VersionStages": ["AWSPENDING"], "ClientRequestToken": token("hand")}
            engine.service.call("PutSecretValue", {**put, **more})
        rotated = [*engine.at("2026-09-26 00:00").rotated, *engine.service.run_due().rotated]
        assert len(rotated) == 10


class TestLeases:
    def test_a_function_that_deletes_its_job_is_not_called_again(self, engine: Engine) -> None:
        """Cancelled in the middle: the steps after it are left out."""
        steps: list[str] = []

        def cancelling(event: Any, context: Any) -> None:
            steps.append(event["Step"])
            engine.service.call("CancelRotateSecret", {"SecretId": "s"})

        engine.service.register_function("rotate", cancelling)
        engine.secret("s", AutomaticallyAfterDays=2)
        done = engine.service.run_due()
        assert (done.rotated, done.failed, steps) == ((), (), ["createSecret"])

    def test_a_sign_of_life_is_given_while_something_runs(self) -> None:
        """Again and again, until it says that it is of no use."""
        beats: list[int] = []
        enough = threading.Event()

        def beat() -> bool:
            beats.append(1)
            if len(beats) == 2:
                raise OSError("the store is busy")
            if len(beats) == 4:
                enough.set()
                return False
            return True

        with Heartbeat(beat, 0.001):
            assert enough.wait(20)
        assert len(beats) == 4

    def test_it_ends_with_the_block(self) -> None:
        beats: list[int] = []
        with Heartbeat(lambda: bool(beats.append(1)) or True, 600):
            pass
        assert beats == []


def test_many_workers_run_each_rotation_once(engine: Engine) -> None:
    """At the same time: each waits until all are there."""
    together = threading.Barrier(4, timeout=30)
    called: list[str] = []
    works = RotationTo("new")

    def function(event: Any, context: Any) -> None:
        if event["Step"] == "createSecret":
            called.append(event["SecretId"])
            together.wait()
        works(event, context)

    engine.service.register_function("rotate", function)
    for name in ("a", "b", "c", "d"):
        engine.secret(name, AutomaticallyAfterDays=2)
    done = engine.service.run_due(workers=4)
    assert len(done.rotated) == 4
    assert sorted(called) == sorted(done.rotated)
