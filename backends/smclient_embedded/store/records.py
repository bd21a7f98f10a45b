"""What a store keeps: plain records that never change. A change is a new record in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scope:
    """The account and region that a name is looked up in."""

    account: str
    region: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value as stores see it: ciphertext, and what a keyring needs to open it.

    ``context`` is the KMS encryption context, bound to the ciphertext: the ARN of the secret and
    the id of the version, so that a value moved elsewhere does not open. ``also`` holds the same
    data key wrapped by later KMS keys of the secret, each with its key's ARN.
    """

    key_id: str
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes
    context: Mapping[str, str]
    also: tuple[tuple[str, bytes], ...] = ()

    @property
    def key_ids(self) -> list[str]:
        """The keys any one of which opens it, the oldest first."""
        return [self.key_id, *(key_id for key_id, _ in self.also)]

    def __repr__(self) -> str:
        return f"Sealed(key_id={self.key_id!r}, {len(self.ciphertext)} bytes)"


@dataclass(frozen=True, slots=True)
class RotationSettings:
    """How a secret is rotated, as RotateSecret set it.

    The next rotation falls into a window: it is due from ``next_rotation_at`` on, and
    ``window_ends_at``, less a second, is what DescribeSecret calls NextRotationDate.
    """

    enabled: bool
    function_arn: str | None = None
    automatically_after_days: int | None = None
    duration: str | None = None
    schedule_expression: str | None = None
    last_rotated_at: datetime | None = None
    next_rotation_at: datetime | None = None
    window_ends_at: datetime | None = None


ReplicationStatus = Literal["InSync", "Failed", "InProgress", "Pending", "Detached"]
"""AWS's words for how far a replica is."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica, as its primary knows it: the same secret in another region, or, across accounts,
    another secret with the same values. ``role_arn`` and ``Detached`` are of the latter only."""

    arn: str
    kms_key_id: str | None = None
    status: ReplicationStatus = "InProgress"
    message: str | None = None
    role_arn: str | None = None


@dataclass(frozen=True, slots=True)
class CrossAccountPrimary:
    """The primary in another account, as its replica knows it."""

    arn: str
    status: ReplicationStatus = "Pending"
    message: str | None = None


def stem_of(arn: str) -> str:
    """A secret's ARN without the hyphen and the six characters that AWS adds to its name."""
    return arn[:-7]


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret without its values.

    ``tags`` is ``None`` until tags were first given. ``deleted_at`` is the moment DeleteSecret was
    called, ``delete_after`` the end of the recovery window. A replica has a ``primary_region``,
    a primary has ``replicas``. ``secret_type`` names the partner that holds an external secret.
    """

    arn: str
    scope: Scope
    name: str
    created_at: datetime
    changed_at: datetime
    description: str | None = None
    kms_key_id: str | None = None
    accessed_on: date | None = None
    deleted_at: datetime | None = None
    delete_after: datetime | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    rotation: RotationSettings | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    owning_service: str | None = None
    primary_region: str | None = None
    secret_type: str | None = None
    replicas: tuple[Replica, ...] = ()
    cross_account_primary: CrossAccountPrimary | None = None


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A version of a secret. A rotation makes one before it has a value: then ``sealed`` is
    ``None``."""

    arn: str
    version_id: str
    created_at: datetime
    kind: Literal["string", "binary"] = "string"
    sealed: Sealed | None = None
    accessed_on: date | None = None


@dataclass(frozen=True, slots=True)
class RotationJob:
    """A rotation that was asked for and has not ended. At most one for each secret.

    ``fence`` grows with each claim; who writes with an older one has lost the job.
    """

    arn: str
    token: str
    asked_at: datetime
    due_at: datetime
    test_only: bool = False
    attempts: int = 0
    owner: str | None = None
    leased_until: datetime | None = None
    fence: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A KMS key; its material is wrapped by the master key, which no store holds. One that waits
    for its deletion is deleted at ``delete_after``."""

    arn: str
    scope: Scope
    key_id: str
    managed: bool
    created_at: datetime
    wrapped_material: bytes
    state: Literal["Enabled", "Disabled", "PendingDeletion"] = "Enabled"
    alias: str | None = None
    delete_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the audit trail; ``document`` has CloudTrail's shape and no secret in it."""

    event_id: str
    scope: Scope
    at: datetime
    event_name: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SecretQuery:
    """A page of secrets: names that begin with one of ``prefixes``, sorted, after a position."""

    sort_by: Literal["created", "accessed", "changed", "name"] = "created"
    descending: bool = False
    include_deleted: bool = False
    prefixes: tuple[str, ...] = ()
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SecretPage:
    """Some secrets in order, each with the position that ``SecretQuery.after`` takes."""

    secrets: tuple[SecretRecord, ...]
    positions: tuple[str, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A page of a scope's audit trail, newest first: from ``since`` to ``until``, both included,
    after a position."""

    event_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some records, newest first, each with the position that ``AuditQuery.after`` takes."""

    records: tuple[AuditRecord, ...]
    positions: tuple[str, ...]
    more: bool
