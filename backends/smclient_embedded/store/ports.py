"""The ports between the service and whatever keeps its secrets: ``Store`` and ``Keyring``.

Semantics (labels, tokens, deletion windows) live in ``operations/``; a store only keeps records,
finds them, and makes a transaction all or nothing. Values reach it ``Sealed``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from smclient.errors import SmclientError
from smclient_embedded.store.records import (
    AuditPage,
    AuditQuery,
    AuditRecord,
    KeyRecord,
    RotationJob,
    Scope,
    Sealed,
    SecretPage,
    SecretQuery,
    SecretRecord,
    VersionRecord,
)


class StoreError(SmclientError):
    """A store cannot be opened or used; the message says which, why and what to do."""


class Transaction(Protocol):
    """One view of the store. What it wrote is there as a whole after it ends well, or not at all.

    ``put_…`` adds a record or takes the place of the one with the same key; one whose secret or
    version is not there is a ``StoreConflict``. Removing what is not there is no error. After an
    error of the store let the transaction fail: not every store can go on with it.
    """

    # secrets, by ARN
    def secret(self, arn: str) -> SecretRecord | None:
        """The secret of a whole ARN."""
        ...

    def secret_named(self, scope: Scope, name: str) -> SecretRecord | None:
        """The secret of that name, also one marked for deletion."""
        ...

    def secrets_with_stem(self, stem: str) -> Sequence[SecretRecord]:
        """Secrets whose ARN is ``stem``, a hyphen and six characters."""
        ...

    def page(self, scope: Scope, query: SecretQuery) -> SecretPage:
        """A page of the secrets of a scope. Positions are this store's own; one that was never
        given out gives some page or an empty one, not an error."""
        ...

    def put_secret(self, record: SecretRecord) -> None:
        """Keep a secret. Another one of the same scope and name is a ``StoreConflict``."""
        ...

    def remove_secret(self, arn: str) -> None:
        """Remove a secret with its versions, labels and rotation."""
        ...

    def count_secrets(self, scope: Scope, *, include_deleted: bool = True) -> int:
        """How many secrets a scope has, those marked for deletion included unless told."""
        ...

    def has_secrets(self, scope: Scope, number: int) -> bool:
        """Whether a scope has that many secrets or more. Cheap while the store never had as many:
        every CreateSecret asks."""
        ...

    def secrets_to_delete(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        """Secrets whose recovery window is over, the longest first."""
        ...

    # versions and labels, by ARN and version id
    def version(self, arn: str, version_id: str) -> VersionRecord | None:
        """One version."""
        ...

    def versions(self, arn: str) -> Sequence[VersionRecord]:
        """All versions, in the order they were first put."""
        ...

    def put_version(self, record: VersionRecord) -> None:
        """Keep a version."""
        ...

    def remove_version(self, arn: str, version_id: str) -> None:
        """Remove a version and its labels."""
        ...

    def labels(self, arn: str) -> Mapping[str, str]:
        """Staging label to version id. A label is on one version at most."""
        ...

    def put_label(self, arn: str, label: str, version_id: str) -> None:
        """Put a label on a version, taking it from wherever it was."""
        ...

    def remove_label(self, arn: str, label: str) -> None:
        """Take a label away."""
        ...

    # rotations under way
    def rotation_job(self, arn: str) -> RotationJob | None:
        """The unfinished rotation of a secret."""
        ...

    def put_rotation_job(self, job: RotationJob) -> None:
        """Keep an unfinished rotation."""
        ...

    def remove_rotation_job(self, arn: str) -> None:
        """The rotation ended."""
        ...

    def claim_rotation_jobs(
        self, now: datetime, *, owner: str, leased_until: datetime, limit: int
    ) -> Sequence[RotationJob]:
        """Take jobs that are due and that nobody holds, the longest due first. No two claims give
        the same job; each raises its fence by one."""
        ...

    def rotations_due(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        """Secrets with rotation on whose next rotation date has come and that have no job, the
        longest due first."""
        ...

    # keys
    def key(self, arn: str) -> KeyRecord | None:
        """A KMS key by ARN."""
        ...

    def keys(self, scope: Scope) -> Sequence[KeyRecord]:
        """The KMS keys of a scope."""
        ...

    def put_key(self, record: KeyRecord) -> None:
        """Keep a KMS key."""
        ...

    def remove_key(self, arn: str) -> None:
        """Remove a KMS key. What is sealed under it stays, and opens no more."""
        ...

    def keys_to_delete(self, now: datetime, limit: int) -> Sequence[KeyRecord]:
        """KMS keys whose waiting period is over, the longest first."""
        ...

    # audit
    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        """Add to the audit trail."""
        ...

    def audit(
        self, scope: Scope, *, event_name: str | None = None, limit: int = 50
    ) -> Sequence[AuditRecord]:
        """The newest records of the audit trail, newest first."""
        ...

    def audit_page(self, scope: Scope, query: AuditQuery) -> AuditPage:
        """A page of the audit trail. Positions are this store's own; one that was never given out
        gives some page or an empty one, not an error."""
        ...

    # about the store
    def scopes(self) -> Sequence[Scope]:
        """Every scope of which there is a secret, a key or a record of the audit trail, sorted."""
        ...

    def settings(self) -> Mapping[str, bytes]:
        """All settings that ``put_setting`` kept."""
        ...

    def setting(self, name: str) -> bytes | None:
        """A setting of the store itself."""
        ...

    def put_setting(self, name: str, value: bytes) -> None:
        """Keep a setting of the store itself. Names that begin with ``smclient.`` are taken."""
        ...

    # in memory only
    def keep(self, key: Hashable, finding: object) -> None:
        """Offer what was found out from this very state of the store, for ``Store.recall``. A store
        may forget it at any time, and takes it from reading transactions only."""
        ...


class StoreConflict(StoreError):
    """A record would break a constraint: two secrets of one name in one scope, or a version, label
    or rotation of what is not there."""


class Store(Protocol):
    """Where records are kept. Safe to use from many threads."""

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """A transaction. With ``write`` no other writer is let in until it ends; so it must not be
        begun inside another one of the same thread."""
        ...

    def recall(self, key: Hashable) -> object | None:
        """What ``Transaction.keep`` was given under a key, if nothing but the audit trail has been
        written to the store since, by whomever; else ``None``, as where it was forgotten."""
        ...

    def keyring(self) -> Keyring | None:
        """The store's own keys, if it brings them; else the service's KMS seals and opens."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Keyring(Protocol):
    """Seals and opens values. Nothing is encrypted twice."""

    def seal(self, plaintext: bytes, *, key_id: str | None, context: Mapping[str, str]) -> Sealed:
        """Seal under a key, ``None`` for the default one, with a data key of its own.

        Raises ``EncryptionFailure`` of ``smclient_embedded.errors`` where the key is unusable.
        """
        ...

    def open(self, sealed: Sealed) -> bytes:
        """Open a value. Raises ``DecryptionFailure`` where key or seal is not good."""
        ...
