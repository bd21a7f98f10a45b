"""The states of a rotation, as values: how it begins, what its steps are, how it ends.

    RotateSecret → AWSPENDING on an empty version, a job → createSecret, setSecret, testSecret,
    finishSecret → AWSCURRENT on that version → AWSPENDING goes, dates are set, the job is gone

A failed attempt changes nothing but the job: all four steps are tried again with the same token. A
test run (``RotateImmediately=false``) is made once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from smclient.secret import AWSCURRENT, AWSPENDING
from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.kms import encryption_context, open_version
from smclient_embedded.labels import pending_elsewhere
from smclient_embedded.rotation.managed_kinds import OWNERS
from smclient_embedded.rotation.schedule import Schedule, ScheduleError, Window, parse
from smclient_embedded.store.ports import Keyring, Transaction
from smclient_embedded.store.records import (
    RotationJob,
    RotationSettings,
    SecretRecord,
    VersionRecord,
)

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
TEST_STEPS = ("testSecret",)

_FIRST_RETRY = timedelta(minutes=2)
_LAST_RETRY = timedelta(hours=1)
_MOST_DOUBLINGS = 5  # 64 minutes: past the last retry
_LEFT_FOR = timedelta(seconds=2)
_ONE_DAY = timedelta(days=1)


class NotYet(Exception):
    """A step is to be done later, and no earlier; nothing has failed."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.at = at


class Lost(Exception):
    """The job is another's now, was cancelled, or went with its secret."""


def is_held(job: RotationJob, tx: Transaction) -> bool:
    """Whether a claim still holds. A later rotation of the secret has another token, a later claim
    another fence."""
    held = tx.rotation_job(job.arn)
    return held is not None and (held.token, held.fence) == (job.token, job.fence)


def is_managed(secret: SecretRecord) -> bool:
    """Whether the service that owns a secret rotates it itself."""
    return secret.owning_service in OWNERS


def plan_next(settings: RotationSettings, *, now: datetime, anchor: datetime) -> RotationSettings:
    """The same settings with the window of the next rotation.

    As AWS does, ``automatically_after_days`` of an expression is worked out from it, each time: the
    days until the window, rounded up.

    Raises:
        InvalidParameterException: rules that make no schedule.
    """
    schedule = _schedule(settings)
    if schedule is None:
        return replace(settings, next_rotation_at=None, window_ends_at=None)
    try:
        window = schedule.next_window(now, anchor)
    except ScheduleError as error:
        raise InvalidParameterException(str(error)) from error
    days = settings.automatically_after_days
    if settings.schedule_expression is not None:
        days = max(1, -((now - window.start) // _ONE_DAY))
    return replace(
        settings,
        automatically_after_days=days,
        next_rotation_at=window.start,
        window_ends_at=window.end,
    )


def _schedule(settings: RotationSettings) -> Schedule | None:
    if settings.schedule_expression is None and settings.automatically_after_days is None:
        return None
    try:
        return parse(
            settings.schedule_expression,
            duration=settings.duration,
            days=None if settings.schedule_expression else settings.automatically_after_days,
        )
    except ScheduleError as error:
        raise InvalidParameterException(str(error)) from error


def begin(
    tx: Transaction,
    keys: Keyring,
    secret: SecretRecord,
    token: str,
    *,
    now: datetime,
    test_only: bool = False,
) -> None:
    """Put AWSPENDING on version ``token`` and note the job.

    The version is empty until the function fills it. For a test run it is a copy of the current
    value, since testSecret alone is called.
    """
    version = VersionRecord(arn=secret.arn, version_id=token, created_at=now)
    if test_only:
        version = _copy_of_current(tx, keys, secret, version)
    if tx.version(secret.arn, token) is None:
        tx.put_version(version)
    tx.put_label(secret.arn, AWSPENDING, token)
    tx.put_rotation_job(
        RotationJob(secret.arn, token, asked_at=now, due_at=now, test_only=test_only)
    )


def _copy_of_current(
    tx: Transaction, keys: Keyring, secret: SecretRecord, version: VersionRecord
) -> VersionRecord:
    current = tx.version(secret.arn, tx.labels(secret.arn).get(AWSCURRENT, ""))
    if current is None or current.sealed is None:
        return version
    context = encryption_context(secret.arn, version.version_id)
    plaintext = open_version(keys, current)
    sealed = keys.seal(plaintext, key_id=secret.kms_key_id, context=context)
    return replace(version, kind=current.kind, sealed=sealed)


def event(job: RotationJob, step: str) -> dict[str, str]:
    """What the function is called with."""
    return {"Step": step, "SecretId": job.arn, "ClientRequestToken": job.token}


def steps(job: RotationJob) -> tuple[str, ...]:
    """What the function is called for, in order."""
    return TEST_STEPS if job.test_only else STEPS


def ended_well(job: RotationJob, tx: Transaction) -> bool:
    """Whether the function did what it is for: AWSCURRENT is on the version of the job."""
    return job.test_only or tx.labels(job.arn).get(AWSCURRENT) == job.token


def abandoned(job: RotationJob, tx: Transaction) -> bool:
    """Whether somebody took AWSPENDING off the version of the job, which was not to be current."""
    labels = tx.labels(job.arn)
    return job.token not in (labels.get(AWSPENDING), labels.get(AWSCURRENT))


def complete(job: RotationJob, tx: Transaction, secret: SecretRecord, *, now: datetime) -> None:
    """Take AWSPENDING away, set the dates, drop the job."""
    labels = tx.labels(job.arn)
    if labels.get(AWSPENDING) == job.token:
        tx.remove_label(job.arn, AWSPENDING)
    settings = secret.rotation
    if settings is not None and not job.test_only:
        settings = plan_next(replace(settings, last_rotated_at=now), now=now, anchor=now)
        tx.put_secret(replace(secret, rotation=settings, changed_at=now))
    tx.remove_rotation_job(job.arn)


def attempt(job: RotationJob, tx: Transaction) -> RotationJob:
    """An attempt begins: count it. The first one is told of by an event, whatever becomes of it."""
    begun = replace(job, attempts=job.attempts + 1)
    tx.put_rotation_job(begun)
    return begun


def end_test(job: RotationJob, tx: Transaction) -> None:
    """A test run is over, whatever came of it: its version is none to rotate to."""
    if tx.labels(job.arn).get(AWSPENDING) == job.token:
        tx.remove_label(job.arn, AWSPENDING)
    tx.remove_rotation_job(job.arn)


def put_off(job: RotationJob, tx: Transaction, reason: str, *, now: datetime) -> None:
    """An attempt failed: note why, let go of the lease, try again later."""
    secret = tx.secret(job.arn)
    doublings = min(max(job.attempts - 1, 0), _MOST_DOUBLINGS)
    at = now + min(_FIRST_RETRY * 2**doublings, _LAST_RETRY)
    if secret is not None and secret.rotation is not None:
        at = retry_at(job, secret.rotation, at, now=now)
    tx.put_rotation_job(replace(job, due_at=at, owner=None, leased_until=None, last_error=reason))


def retry_at(
    job: RotationJob, settings: RotationSettings, at: datetime, *, now: datetime
) -> datetime:
    """When an attempt that failed is made again: a rotation of the schedule inside its windows
    only, in the next one if ``at`` is past the end of this one. One asked for by RotateSecret is no
    window's."""
    opened, ends = settings.next_rotation_at, settings.window_ends_at
    schedule = _schedule(settings)
    if schedule is None or opened is None or ends is None or job.asked_at < opened:
        return at
    window = Window(opened, ends)
    if window.end <= now:  # an earlier window passed by without success
        window = schedule.next_window(now, window.start)
    if at < window.end:
        return max(at, window.start)
    return schedule.next_window(window.end, window.start).start


def pause(job: RotationJob, tx: Transaction, at: datetime) -> None:
    """The next step is not due before then; nobody need hold the job until it is."""
    tx.put_rotation_job(replace(job, due_at=at, owner=None, leased_until=None))


def leave(job: RotationJob, tx: Transaction, *, now: datetime) -> None:
    """Let another node have the job, which this one cannot run."""
    tx.put_rotation_job(replace(job, due_at=now + _LEFT_FOR, owner=None, leased_until=None))


def wait(job: RotationJob, tx: Transaction, *, now: datetime) -> None:
    """The secret cannot be rotated for now (it waits for its deletion): look again later."""
    tx.put_rotation_job(replace(job, due_at=now + _LAST_RETRY, owner=None, leased_until=None))


def in_progress(tx: Transaction, arn: str) -> bool:
    """Whether AWSPENDING is on a version other than AWSCURRENT's."""
    return pending_elsewhere(tx.labels(arn)) is not None
