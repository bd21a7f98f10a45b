"""The rotation of a managed secret: the four steps, done by the service that owns it.

It writes records in transactions of its own, past the door: nobody asks for it. The password is set
in the database first; AWSCURRENT moves a window later, as with AWS, where that takes about a minute
in which only AWSPENDING logs in.

A node that lost its lease meanwhile (paused, cut off) changes nothing: each step looks whether the
job is still its own, in the transaction that writes, and right before the database gets a password.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from smclient.errors import RotationStepError
from smclient.secret import AWSCURRENT
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.deps import Deps
from smclient_embedded.following import replicate_changes
from smclient_embedded.kms import encryption_context, open_version
from smclient_embedded.labels import attach
from smclient_embedded.managed.passwords import SetsPasswords
from smclient_embedded.operations.get_random_password import get_random_password
from smclient_embedded.rotation.machine import Lost, NotYet, is_held
from smclient_embedded.rotation.managed_kinds import KINDS, Kind
from smclient_embedded.store.ports import Keyring, Store, Transaction
from smclient_embedded.store.records import RotationJob, Scope, SecretRecord, VersionRecord

DepsFor = Callable[[Scope, Transaction], Deps]
KeysFor = Callable[[Scope, Transaction], Keyring]


@dataclass(frozen=True, slots=True)
class Attached:
    """Who sets the passwords of a secret, and how long its window is."""

    passwords: SetsPasswords
    window: timedelta


@dataclass(frozen=True, slots=True)
class ManagedRotation:
    """Does one step of a rotation for the scheduler."""

    store: Store
    deps_for: DepsFor
    keys_for: KeysFor
    attached: dict[str, Attached]

    def is_attached(self, arn: str) -> bool:
        """Whether somebody here sets the password of a secret."""
        return arn in self.attached

    def step(self, secret: SecretRecord, job: RotationJob, step: str) -> None:
        """Do a step; each may find its work done already.

        Raises:
            Lost: the job is no longer this node's.
            NotYet: the window between the database and AWSCURRENT is not over.
            RotationStepError: nobody here can set the password, or the database does not take it.
        """
        found = self.attached.get(secret.arn)
        if found is None:
            raise RotationStepError(
                "nobody in this process sets the password of this managed secret; name who does "
                "with service.managed.attach()"
            )
        if step == "createSecret":
            self._create(secret, job)
        elif step == "setSecret":
            username, password = self._pending(secret, job)
            if not found.passwords.takes(username, password):
                with self.store.transaction(write=False) as tx:
                    _expect_held(job, tx)
                found.passwords.set_password(username, password)
        elif step == "testSecret":
            username, password = self._pending(secret, job)
            if not found.passwords.takes(username, password):
                raise RotationStepError("the database does not take the pending password")
        else:
            self._finish(secret, job, found.window)

    def _create(self, secret: SecretRecord, job: RotationJob) -> None:
        with self.store.transaction(write=True) as tx:
            _expect_held(job, tx)
            version = tx.version(secret.arn, job.token)
            if version is None or version.sealed is not None:
                return
            current = tx.version(secret.arn, tx.labels(secret.arn)[AWSCURRENT])
            if current is None:
                raise RotationStepError("the managed secret has no current value")
            deps = self.deps_for(secret.scope, tx)
            keys = self.keys_for(secret.scope, tx)
            fields = json.loads(open_version(keys, current))
            fields["password"] = new_password(deps, secret)
            tx.put_version(sealed(keys, secret, version, fields))
            replicate_changes(deps, secret)

    def _finish(self, secret: SecretRecord, job: RotationJob, window: timedelta) -> None:
        with self.store.transaction(write=True) as tx:
            _expect_held(job, tx)
            if tx.labels(secret.arn).get(AWSCURRENT) == job.token:
                return
            deps = self.deps_for(secret.scope, tx)
            if deps.now < job.asked_at + window:
                raise NotYet(job.asked_at + window)
            attach(tx, secret.arn, [AWSCURRENT], job.token)

    def _pending(self, secret: SecretRecord, job: RotationJob) -> tuple[str, str]:
        with self.store.transaction(write=False) as tx:
            version = tx.version(secret.arn, job.token)
            if version is None or version.sealed is None:
                raise RotationStepError("createSecret has stored no value yet")
            fields = json.loads(open_version(self.keys_for(secret.scope, tx), version))
        return str(fields["username"]), str(fields["password"])


def _expect_held(job: RotationJob, tx: Transaction) -> None:
    if not is_held(job, tx):
        raise Lost


def new_password(deps: Deps, secret: SecretRecord) -> str:
    """A password that the database of a managed secret takes."""
    owner = Principal(f"{secret.owning_service}.amazonaws.com", secret.scope.account, "service")
    context = RequestContext(owner, secret.scope.region, request_id=deps.ids.uuid())
    request: dict[str, Any] = {"ExcludeCharacters": _kind(secret).excluded, "PasswordLength": 28}
    return str(get_random_password(context, deps, request)["RandomPassword"])


def sealed(
    keys: Keyring, secret: SecretRecord, version: VersionRecord, fields: dict[str, Any]
) -> VersionRecord:
    """The version with a value."""
    return replace(
        version,
        sealed=keys.seal(
            json.dumps(fields).encode(),
            key_id=secret.kms_key_id,
            context=encryption_context(secret.arn, version.version_id),
        ),
    )


def _kind(secret: SecretRecord) -> Kind:
    return next(kind for kind in KINDS.values() if kind.owner == secret.owning_service)
