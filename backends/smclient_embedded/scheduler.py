"""What is due: rotations and deletions. Who has it done how often is not its business: one pass of
``EmbeddedService.run_due``, or the threads of ``EmbeddedService.run_in_background``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event
from time import monotonic

from smclient.backend import Backend
from smclient.errors import FunctionFailedError, RotationStepError
from smclient_embedded.audit import service_event
from smclient_embedded.deps import Deps
from smclient_embedded.door import Door
from smclient_embedded.following import replicate_changes
from smclient_embedded.heartbeat import Heartbeat
from smclient_embedded.managed import ManagedRotation
from smclient_embedded.rotation import machine
from smclient_embedded.rotation.left import left_since, note_left
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import RotationJob, Scope, SecretRecord

logger = logging.getLogger("smclient.embedded.rotation")

LEASE = timedelta(seconds=60)
"""How long a job is held without a sign of life. While its function runs the lease is renewed, so a
node that was killed is replaced within that time."""
RENEWED_SECONDS = 15.0
LONGEST_STEP = 20 * 60.0
"""Seconds of the machine's clock after which a step is given up: more than a function in a process
of its own may take. A callable in this process cannot be ended, only left behind."""
GRACE = timedelta(minutes=10)
"""How long a job is left to other nodes by those that have not its function. Then nobody has it,
and its rotation fails."""
BATCH = 100

_SHOWN = 300

DepsFor = Callable[[Scope, Transaction], Deps]


@dataclass(frozen=True, slots=True)
class Done:
    """What one pass did, by ARN."""

    deleted: tuple[str, ...] = ()
    rotated: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    keys_deleted: tuple[str, ...] = ()


class _Strayed(Exception):
    """The function took AWSPENDING off the version that it was to make current."""


@dataclass(slots=True)
class _Attempt:
    """One attempt at a rotation, as its thread goes on: which step, and since when."""

    job: RotationJob
    secret: SecretRecord
    step: str = ""
    since: float = field(default_factory=monotonic)

    def begin(self, step: str) -> None:
        self.step, self.since = step, monotonic()


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Runs what is due in one store. ``owner`` names this node in leases."""

    door: Door
    deps_for: DepsFor
    secrets_for: Callable[[Scope, str], Backend]
    managed: ManagedRotation
    owner: str
    _hanging: set[str] = field(default_factory=set)
    """Secrets whose rotation was given up while a call of their function still runs here."""

    def run_due(self, *, workers: int = 1) -> Done:
        """Delete what is to be deleted, begin the rotations that are due, run those begun.

        A function is called outside any transaction. Before its result is written the fence is
        compared, so that a node that lost its lease meanwhile writes nothing. With more workers so
        many functions run at a time.
        """
        deleted, keys_deleted = self.tend()
        if workers == 1:
            outcomes = self.work()
        else:
            with ThreadPoolExecutor(workers, "smclient-rotation") as pool:
                passes = [pool.submit(self.work) for _ in range(workers)]
                outcomes = [outcome for each in passes for outcome in each.result()]
        return Done(
            tuple(deleted),
            tuple(arn for arn, is_done in outcomes if is_done),
            tuple(arn for arn, is_done in outcomes if not is_done),
            tuple(keys_deleted),
        )

    def tend(self) -> tuple[list[str], list[str]]:
        """What calls no function: delete what is to be deleted (the ARNs of secrets and of KMS
        keys), begin the rotations that are due."""
        deleted = self._delete_due()
        self._begin_due()
        return deleted

    def work(self, on_hang: Callable[[], object] | None = None) -> list[tuple[str, bool]]:
        """Run one job after the other, as long as there are any: which, and whether they ended
        well. ``on_hang`` is called, from another thread, when this one was given up: it sees to
        another in its place, and this one begins no further job."""
        outcomes: list[tuple[str, bool]] = []
        is_replaced = Event()

        def replace_this() -> None:
            if on_hang is not None:
                is_replaced.set()
                on_hang()

        for _ in range(BATCH):
            job = None if is_replaced.is_set() else self._claim()
            if job is None:
                break
            is_done = self._run(job, replace_this)
            if is_done is not None:
                outcomes.append((job.arn, is_done))
        return outcomes

    def _delete_due(self) -> tuple[list[str], list[str]]:
        """Delete secrets and KMS keys whose time is over; the ARNs of both."""
        now = self.door.now()
        with self.door.store.transaction(write=False) as tx:
            if not (tx.secrets_to_delete(now, 1) or tx.keys_to_delete(now, 1)):
                return [], []  # most passes: no reason to hold up writers
        with self.door.store.transaction(write=True) as tx:
            due = tx.secrets_to_delete(self.door.now(), BATCH)
            for secret in due:
                tx.remove_secret(secret.arn)
                self._event(
                    tx, secret.scope, "EndSecretVersionDelete", ARN=secret.arn, Name=secret.name
                )
            keys = tx.keys_to_delete(self.door.now(), BATCH)
            for key in keys:
                tx.remove_key(key.arn)
        return [secret.arn for secret in due], [key.arn for key in keys]

    def _begin_due(self) -> None:
        with self.door.store.transaction(write=False) as tx:
            if not tx.rotations_due(self.door.now(), 1):
                return
        with self.door.store.transaction(write=True) as tx:
            for secret in tx.rotations_due(self.door.now(), BATCH):
                if machine.in_progress(tx, secret.arn):
                    self._pass_over(tx, secret)
                else:
                    deps = self.deps_for(secret.scope, tx)
                    machine.begin(tx, deps.keys, secret, deps.ids.uuid(), now=deps.now)
                    replicate_changes(deps, secret)

    def _pass_over(self, tx: Transaction, secret: SecretRecord) -> None:
        """Somebody put AWSPENDING on a version by hand: it is not this service's to take away, so
        this rotation is left out, and said to be."""
        reason = "AWSPENDING is on a version that no rotation made; remove it to rotate again"
        self._event(tx, secret.scope, "RotationFailed", SecretId=secret.arn, FailureReason=reason)
        if secret.rotation is not None:
            now = self.door.now()
            due = secret.rotation.next_rotation_at or now
            settings = machine.plan_next(
                secret.rotation, now=max(now, secret.rotation.window_ends_at or now), anchor=due
            )
            tx.put_secret(replace(secret, rotation=settings))

    def _claim(self) -> RotationJob | None:
        now = self.door.now()
        with self.door.store.transaction(write=True) as tx:
            jobs = tx.claim_rotation_jobs(now, owner=self.owner, leased_until=now + LEASE, limit=1)
        return jobs[0] if jobs else None

    def _run(self, job: RotationJob, on_hang: Callable[[], object]) -> bool | None:
        """Run one claimed job. ``None`` if it is not to be run (any more)."""
        with self.door.store.transaction(write=True) as tx:
            secret = tx.secret(job.arn)
            if not machine.is_held(job, tx) or secret is None:
                return None
            if secret.rotation is None or not (
                secret.rotation.function_arn or machine.is_managed(secret)
            ):
                tx.remove_rotation_job(job.arn)
                return None
            if secret.deleted_at is not None:
                machine.wait(job, tx, now=self.door.now())
                return None
            if machine.abandoned(job, tx):
                tx.remove_rotation_job(job.arn)
                self._event(tx, secret.scope, "RotationAbandoned", SecretId=job.arn)
                return None
            if self._is_for_others(job, secret, tx):
                machine.leave(job, tx, now=self.door.now())
                return None
            job = machine.attempt(job, tx)
            if job.attempts == 1:
                self._event(tx, secret.scope, _name(job, "Started"), SecretId=job.arn)
            if job.arn in self._hanging:
                return self._end(job, tx, "an earlier call of its function still runs here")
        attempt = _Attempt(job, secret)
        try:
            with Heartbeat(lambda: self._keep(attempt, on_hang), RENEWED_SECONDS):
                reason = self._call_steps(attempt)
        except machine.Lost:
            return None
        except machine.NotYet as later:
            self._pause(job, later)
            return None
        finally:  # past the last beat, which may be the one that gives the attempt up
            self._hanging.discard(job.arn)
        with self.door.store.transaction(write=True) as tx:
            return self._end(job, tx, reason)

    def _is_for_others(self, job: RotationJob, secret: SecretRecord, tx: Transaction) -> bool:
        """Whether this node has neither the function nor, for a managed secret, who sets the
        password, and others may: until nobody began an attempt for a while."""
        function_arn = None if secret.rotation is None else secret.rotation.function_arn
        if function_arn is None:
            is_here = self.managed.is_attached(secret.arn)
        else:
            is_here = self.door.functions.knows(function_arn, tx)
        if is_here:
            return False
        now = self.door.now()
        since = left_since(job, tx)
        if since is not None:
            return now - since < GRACE
        note_left(job, tx, now=now)
        minutes = GRACE.total_seconds() / 60
        logger.warning(
            "rotation of %s is left to other nodes, since this one has not what it takes (its "
            "function, or who sets its password); it fails if none begins it in %g minutes",
            job.arn,
            minutes,
        )
        return True

    def _call_steps(self, attempt: _Attempt) -> str | None:
        """Have each step done. Returns why it failed.

        Raises:
            Lost: the job is no longer this node's.
            NotYet: the next step is for later.
        """
        job = attempt.job
        for step in machine.steps(job):
            attempt.begin(step)
            try:
                self._step(job, attempt.secret, step)
                self._check(job)
            except (machine.Lost, machine.NotYet):
                raise
            except _Strayed:
                return f"{step}: AWSPENDING was taken off the version of this rotation"
            except (Exception, SystemExit) as error:  # noqa: BLE001  users' code may raise anything
                reason = _reason(error)
                logger.warning("rotation of %s: %s raised %s", job.arn, step, reason)
                return f"{step}: {reason}"
        return None

    def _step(self, job: RotationJob, secret: SecretRecord, step: str) -> None:
        function_arn = None if secret.rotation is None else secret.rotation.function_arn
        if function_arn is None:
            self.managed.step(secret, job, step)
            return
        self.door.functions.invoke(
            function_arn,
            machine.event(job, step),
            lambda role: self.secrets_for(secret.scope, role),
        )

    def _pause(self, job: RotationJob, later: machine.NotYet) -> None:
        with self.door.store.transaction(write=True) as tx:
            if machine.is_held(job, tx):
                machine.pause(job, tx, later.at)

    def _keep(self, attempt: _Attempt, on_hang: Callable[[], object]) -> bool:
        """A sign of life of a job whose step runs, or the end of an attempt that hangs. Its fence
        is raised then, so that whatever comes back from it later writes nothing."""
        if monotonic() - attempt.since < LONGEST_STEP:
            return self._renew(attempt.job)
        job = attempt.job
        self._hanging.add(job.arn)
        reason = f"{attempt.step}: Sandbox.Timedout: it ran longer than {LONGEST_STEP:g} seconds"
        logger.error("rotation of %s is given up: %s", job.arn, reason)
        with self.door.store.transaction(write=True) as tx:
            if machine.is_held(job, tx):
                self._fail(replace(job, fence=job.fence + 1), tx, attempt.secret, reason)
        on_hang()
        return False

    def _renew(self, job: RotationJob) -> bool:
        """Hold the job for another while; whether it could be."""
        with self.door.store.transaction(write=True) as tx:
            held = tx.rotation_job(job.arn)
            if held is None or not machine.is_held(job, tx):
                return False
            tx.put_rotation_job(replace(held, leased_until=self.door.now() + LEASE))
        return True

    def _check(self, job: RotationJob) -> None:
        """Between two steps: is the job still ours, and is there still something to rotate to?"""
        with self.door.store.transaction(write=False) as tx:
            if not machine.is_held(job, tx):
                raise machine.Lost
            if machine.abandoned(job, tx):
                raise _Strayed
        if not self._renew(job):
            raise machine.Lost

    def _end(self, job: RotationJob, tx: Transaction, reason: str | None) -> bool | None:
        secret = tx.secret(job.arn)
        if not machine.is_held(job, tx) or secret is None:
            return None  # cancelled, abandoned, deleted, or another node took it over
        now = self.door.now()
        if reason is None and not machine.ended_well(job, tx):
            reason = "finishSecret: AWSCURRENT was not moved"
        if reason is not None:
            self._fail(job, tx, secret, reason)
            return False
        machine.complete(job, tx, secret, now=now)
        replicate_changes(self.deps_for(secret.scope, tx), secret)
        self._event(tx, secret.scope, _name(job, "Succeeded"), SecretId=job.arn)
        return True

    def _fail(self, job: RotationJob, tx: Transaction, secret: SecretRecord, reason: str) -> None:
        if job.test_only:
            machine.end_test(job, tx)
            replicate_changes(self.deps_for(secret.scope, tx), secret)
        else:
            machine.put_off(job, tx, reason, now=self.door.now())
        self._event(tx, secret.scope, _name(job, "Failed"), SecretId=job.arn, FailureReason=reason)

    def _event(self, tx: Transaction, scope: Scope, name: str, **details: str) -> None:
        event = service_event(
            scope, name, at=self.door.now(), event_id=self.door.ids.uuid(), details=details
        )
        self.door.audit.record(tx, [event])


def _reason(error: BaseException) -> str:
    """Why a function failed. Of its own words nothing: they may hold anything. Errors of our tree
    hold no values; those of functions in processes of their own say their kind first."""
    kind = type(error).__name__
    if isinstance(error, FunctionFailedError):
        return str(error)[:_SHOWN]
    if isinstance(error, RotationStepError):
        return f"{kind}: {error}"[:_SHOWN]
    return kind


def _name(job: RotationJob, outcome: str) -> str:
    return ("TestRotation" if job.test_only else "Rotation") + outcome
