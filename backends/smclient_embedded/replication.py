"""What replication decides, as pure functions over records: who follows whom, and what that shows.

A primary knows its replicas, a replica knows its primary:

- **in another region**: the same secret once more, with its ARN but for the region, its metadata,
  policies, versions and labels. It is read-only. Only its KMS key and its dates are its own.
- **in another account**: a secret of its own, made beforehand, that takes over versions and labels.
  Only these are read-only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.store.records import (
    CrossAccountPrimary,
    Replica,
    RotationSettings,
    Scope,
    SecretRecord,
)

DEFAULT_KEY = "alias/aws/secretsmanager"
"""What a replica shows as its key where none was named."""

SUCCEEDED = "Replication succeeded"
_FAILED = "Replication failed: "


# --- ARNs -----------------------------------------------------------------------------------------


def scope_of(arn: str) -> Scope:
    """The account and region of a secret's ARN."""
    parts = arn.split(":")
    return Scope(parts[4], parts[3])


def arn_in(region: str, arn: str) -> str:
    """The ARN that a secret's replica has in another region."""
    parts = arn.split(":")
    return ":".join([*parts[:3], region, *parts[4:]])


# --- a primary's list -----------------------------------------------------------------------------


def regional(secret: SecretRecord) -> tuple[Replica, ...]:
    """The replicas in other regions."""
    return tuple(r for r in secret.replicas if scope_of(r.arn).account == secret.scope.account)


def cross_account(secret: SecretRecord) -> tuple[Replica, ...]:
    """The replicas in other accounts."""
    return tuple(r for r in secret.replicas if scope_of(r.arn).account != secret.scope.account)


def asked_for(secret_region: str, shapes: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """The regions of AddReplicaRegions, each with the key that is named for it.

    Raises:
        InvalidParameterException: the secret's own region, or none.
    """
    asked: dict[str, str | None] = {}
    for shape in shapes:
        region = shape.get("Region")
        if region is None or region == secret_region:
            raise InvalidParameterException("Invalid replica region.")
        asked[region] = shape.get("KmsKeyId") or None
    return asked


def begun(secret: SecretRecord, asked: Mapping[str, str | None]) -> tuple[Replica, ...]:
    """The list once replication to these regions has begun. A region that is there already keeps
    its place, and its key unless another one is named."""
    known = {replica.arn: replica for replica in secret.replicas}
    for region, key in asked.items():
        arn = arn_in(region, secret.arn)
        kept = known.get(arn)
        named = key or (kept.kms_key_id if kept is not None else None) or DEFAULT_KEY
        known[arn] = Replica(arn, named)
    return tuple(known.values())


def without(replicas: Iterable[Replica], regions: Collection[str]) -> tuple[Replica, ...]:
    """The list without the replicas in some regions."""
    return tuple(replica for replica in replicas if scope_of(replica.arn).region not in regions)


def in_sync(replica: Replica, message: str | None = SUCCEEDED) -> Replica:
    """It is as its primary is."""
    return replace(replica, status="InSync", message=message)


def failed(replica: Replica, why: str) -> Replica:
    """It is not as its primary is; it stays as it was, or was not made."""
    return replace(replica, status="Failed", message=_FAILED + why)


def name_taken(name: str, region: str) -> str:
    """Why there can be no replica, in AWS's words."""
    return f"Secret name {name} already exists in region {region}."


# --- a replica's record ---------------------------------------------------------------------------


def follows(record: SecretRecord | None, primary: SecretRecord) -> bool:
    """Whether this is the replica in another region of that primary."""
    return record is not None and record.primary_region == primary.scope.region


def may_be_overwritten(other: SecretRecord) -> bool:
    """Whether ForceOverwriteReplicaSecret reaches a secret: not one that takes part in another
    replication, whose other side would be left dangling."""
    return not (
        other.replicas
        or other.primary_region is not None
        or other.cross_account_primary is not None
    )


def follower(
    primary: SecretRecord, replica: Replica, before: SecretRecord | None, now: datetime
) -> SecretRecord:
    """The record of a replica in another region. ``before`` is what was there: the replica, or the
    secret that it replaces, whose date of creation it keeps as AWS does."""
    was_replica = follows(before, primary)
    return SecretRecord(
        arn=replica.arn,
        scope=scope_of(replica.arn),
        name=primary.name,
        created_at=now if before is None else before.created_at,
        changed_at=primary.changed_at,
        description=primary.description,
        kms_key_id=replica.kms_key_id or DEFAULT_KEY,
        accessed_on=before.accessed_on if before is not None and was_replica else None,
        tags=primary.tags,
        rotation=_shown_only(primary.rotation),
        policies=primary.policies,
        owning_service=primary.owning_service,
        primary_region=primary.scope.region,
        secret_type=primary.secret_type,
    )


def standalone(secret: SecretRecord, now: datetime) -> SecretRecord:
    """A replica that was promoted. Its key stays; rotation is to be turned on anew."""
    off = secret.rotation and replace(
        secret.rotation, enabled=False, next_rotation_at=None, window_ends_at=None
    )
    return replace(
        secret,
        primary_region=None,
        cross_account_primary=None,
        rotation=off,
        changed_at=now,
    )


def _shown_only(rotation: RotationSettings | None) -> RotationSettings | None:
    """Rotation as a replica shows it; it is never due there."""
    return rotation and replace(rotation, next_rotation_at=None)


# --- what is shown --------------------------------------------------------------------------------


def primary_region(secret: SecretRecord) -> str | None:
    """What is shown as PrimaryRegion: of a replica its primary's, of a primary with replicas its
    own."""
    if secret.primary_region is not None:
        return secret.primary_region
    return secret.scope.region if regional(secret) else None


def status_list(
    replicas: Sequence[Replica],
    *,
    asked: Collection[str] = (),
    accessed: Mapping[str, datetime] | None = None,
) -> list[dict[str, Any]]:
    """ReplicationStatus of replicas in other regions. Those that are ``asked`` for in this very
    call are in progress, whatever came of it since; ``accessed`` has LastAccessedDate by ARN."""
    shown: list[dict[str, Any]] = []
    for replica in replicas:
        entry = _status(replica, is_asked=scope_of(replica.arn).region in asked)
        if accessed and replica.arn in accessed:
            entry["LastAccessedDate"] = accessed[replica.arn]
        shown.append(entry)
    return shown


def _status(replica: Replica, *, is_asked: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Region": scope_of(replica.arn).region,
        "KmsKeyId": replica.kms_key_id or DEFAULT_KEY,
    }
    if is_asked:
        return {**shown, "Status": "InProgress"}
    shown["Status"] = replica.status
    return shown if replica.message is None else {**shown, "StatusMessage": replica.message}


def cross_account_list(secret: SecretRecord) -> list[dict[str, Any]] | None:
    """CrossAccountReplicas; ``None`` where there are none."""
    entries = [
        {
            "ReplicaSecretARN": replica.arn,
            "ReplicationRoleARN": replica.role_arn,
            "ReplicationStatus": replica.status,
            "StatusMessage": replica.message,
        }
        for replica in cross_account(secret)
    ]
    return [{k: v for k, v in entry.items() if v is not None} for entry in entries] or None


def cross_account_primary(primary: CrossAccountPrimary | None) -> dict[str, Any] | None:
    """CrossAccountPrimary; ``None`` where there is none."""
    if primary is None:
        return None
    shown = {
        "PrimarySecretARN": primary.arn,
        "ReplicationStatus": primary.status,
        "StatusMessage": primary.message,
    }
    return {name: value for name, value in shown.items() if value is not None}
