"""What is due: rotations and deletions. One pass does all of it; who calls it how often is not its
business (``EmbeddedService.run_due``, later ``serve``)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from smclient.backend import Backend
from smclient_embedded.audit import service_event
from smclient_embedded.deps import Deps
from smclient_embedded.door import Door
from smclient_embedded.following import replicate_changes
from smclient_embedded.rotation import machine
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import RotationJob, Scope, SecretRecord

logger = logging.getLogger("smclient.embedded.rotation")

LEASE = timedelta(minutes=15)
BATCH = 100

DepsFor = Callable[[Scope, Transaction], Deps]


@dataclass(frozen=True, slots=True)
class Done:
    """What one pass did, by ARN."""

    deleted: tuple[str, ...] = ()
    rotated: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    keys_deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Runs what is due in one store. ``owner`` names this node in leases."""

    door: Door
    deps_for: DepsFor
    secrets_for: Callable[[Scope, str], Backend]
    owner: str

    def run_due(self) -> Done:
        """Delete what is to be deleted, begin the rotations that are due, run those begun.

        A function is called outside any transaction. Before its result is written the fence is
        compared, so that a node that lost its lease meanwhile writes nothing.
        """
        deleted, keys_deleted = self._delete_due()
        self._begin_due()
        rotated: list[str] = []
        failed: list[str] = []
        for job in self._claim():
            done = self._run(job)
            if done is not None:
                (rotated if done else failed).append(job.arn)
        return Done(tuple(deleted), tuple(rotated), tuple(failed), tuple(keys_deleted))

    def _delete_due(self) -> tuple[list[str], list[str]]:
        """Delete secrets and KMS keys whose time is over; the ARNs of both."""
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
        with self.door.store.transaction(write=True) as tx:
            for secret in tx.rotations_due(self.door.now(), BATCH):
                if not machine.in_progress(tx, secret.arn):
                    deps = self.deps_for(secret.scope, tx)
                    machine.begin(tx, deps.keys, secret, deps.ids.uuid(), now=deps.now)
                    replicate_changes(deps, secret)

    def _claim(self) -> list[RotationJob]:
        now = self.door.now()
        with self.door.store.transaction(write=True) as tx:
            return list(
                tx.claim_rotation_jobs(now, owner=self.owner, leased_until=now + LEASE, limit=BATCH)
            )

    def _run(self, job: RotationJob) -> bool | None:
        """Run one claimed job. ``None`` if it is not to be run (any more)."""
        with self.door.store.transaction(write=True) as tx:
            secret = tx.secret(job.arn)
            if not _is_held(job, tx) or secret is None:
                return None  # cancelled or taken over while others of this pass ran
            if secret.rotation is None or secret.rotation.function_arn is None:
                tx.remove_rotation_job(job.arn)
                return None
            if secret.deleted_at is not None:
                machine.wait(job, tx, now=self.door.now())
                return None
            if machine.abandoned(job, tx):
                tx.remove_rotation_job(job.arn)
                self._event(tx, secret.scope, "RotationAbandoned", SecretId=job.arn)
                return None
            tx.put_rotation_job(replace(job, leased_until=self.door.now() + LEASE))
            if job.attempts == 0:
                self._event(tx, secret.scope, _name(job, "Started"), SecretId=job.arn)
        reason = self._call_steps(job, secret, secret.rotation.function_arn)
        with self.door.store.transaction(write=True) as tx:
            return self._end(job, tx, reason)

    def _call_steps(self, job: RotationJob, secret: SecretRecord, function_arn: str) -> str | None:
        """Call the function for each step. Returns why it failed, without the function's own words,
        which may hold anything."""
        for step in machine.steps(job):
            try:
                self.door.functions.invoke(
                    function_arn,
                    machine.event(job, step),
                    lambda role: self.secrets_for(secret.scope, role),
                )
            except Exception as error:  # noqa: BLE001  users' code may raise whatever it likes
                logger.warning("rotation of %s: %s raised %s", job.arn, step, type(error).__name__)
                return f"{step}: {type(error).__name__}"
        return None

    def _end(self, job: RotationJob, tx: Transaction, reason: str | None) -> bool | None:
        secret = tx.secret(job.arn)
        if not _is_held(job, tx) or secret is None:
            return None  # cancelled, abandoned, deleted, or another node took it over
        now = self.door.now()
        if reason is None and not machine.ended_well(job, tx):
            reason = "finishSecret: AWSCURRENT was not moved"
        if reason is not None:
            machine.put_off(job, tx, reason, now=now)
            self._event(
                tx, secret.scope, _name(job, "Failed"), SecretId=job.arn, FailureReason=reason
            )
            return False
        machine.complete(job, tx, secret, now=now)
        replicate_changes(self.deps_for(secret.scope, tx), secret)
        self._event(tx, secret.scope, _name(job, "Succeeded"), SecretId=job.arn)
        return True

    def _event(self, tx: Transaction, scope: Scope, name: str, **details: str) -> None:
        event = service_event(
            scope, name, at=self.door.now(), event_id=self.door.ids.uuid(), details=details
        )
        self.door.audit.record(tx, [event])


def _is_held(job: RotationJob, tx: Transaction) -> bool:
    """Whether a claim still holds. A later rotation of the secret has another token, a later claim
    another fence."""
    held = tx.rotation_job(job.arn)
    return held is not None and (held.token, held.fence) == (job.token, job.fence)


def _name(job: RotationJob, outcome: str) -> str:
    return ("TestRotation" if job.test_only else "Rotation") + outcome
