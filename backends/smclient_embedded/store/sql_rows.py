"""Records to rows and back."""

from __future__ import annotations

import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import orjson

from smclient_embedded.store.records import (
    AuditRecord,
    CrossAccountPrimary,
    KeyRecord,
    Replica,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretRecord,
    VersionRecord,
    stem_of,
)
from smclient_embedded.store.sql_schema import (
    audit,
    from_micros,
    json_text,
    secrets,
    to_micros,
    versions,
)

SqlRow: TypeAlias = Any
"""SQLAlchemy's ``Row``, whose type parameters differ between 2.0 and 2.1."""

DERIVED = ("stem", "is_deleted", "rotation_due_at")
SECRET = tuple(column for column in secrets.c if column.name not in DERIVED)
"""What is read of a secret: its sequence, then what its record is made of."""

VERSION = tuple(column for column in versions.c if column.name != "ordinal")
AUDIT = tuple(column for column in audit.c if column.name != "sequence")

_MOMENTS = ("last_rotated_at", "next_rotation_at", "window_ends_at")


def secret_row(record: SecretRecord) -> dict[str, Any]:
    """The columns of a secret, with those that are derived."""
    rotation = record.rotation
    is_due = rotation is not None and rotation.enabled and record.deleted_at is None
    return {
        "arn": record.arn,
        "account": record.scope.account,
        "region": record.scope.region,
        "name": record.name,
        "created_at": record.created_at,
        "changed_at": record.changed_at,
        "accessed_on": record.accessed_on,
        "deleted_at": record.deleted_at,
        "delete_after": record.delete_after,
        "description": record.description,
        "kms_key_id": record.kms_key_id,
        "owning_service": record.owning_service,
        "primary_region": record.primary_region,
        "tags": record.tags,
        "rotation": None if rotation is None else _rotation_json(rotation),
        "policies": dict(record.policies) or None,
        "secret_type": record.secret_type,
        "replication": _replication_json(record),
        "stem": stem_of(record.arn),
        "is_deleted": int(record.deleted_at is not None),
        "rotation_due_at": rotation.next_rotation_at if rotation and is_due else None,
    }


def secret_from(row: SqlRow) -> SecretRecord:
    """The record of a row of ``SECRET``."""
    (
        _,
        arn,
        account,
        region,
        name,
        created_at,
        changed_at,
        accessed_on,
        deleted_at,
        delete_after,
        description,
        kms_key_id,
        owning_service,
        primary_region,
        tags,
        rotation,
        policies,
        secret_type,
        replication,
    ) = row
    return SecretRecord(
        arn=arn,
        scope=Scope(account, region),
        name=name,
        created_at=created_at,
        changed_at=changed_at,
        description=description,
        kms_key_id=kms_key_id,
        accessed_on=accessed_on,
        deleted_at=deleted_at,
        delete_after=delete_after,
        tags=None if tags is None else tuple((key, value) for key, value in tags),
        rotation=None if rotation is None else _rotation_from(rotation),
        policies=policies or {},
        owning_service=owning_service,
        primary_region=primary_region,
        secret_type=secret_type,
        **({} if replication is None else _replication_from(replication)),
    )


def _replication_json(record: SecretRecord) -> dict[str, Any] | None:
    primary = record.cross_account_primary
    content: dict[str, Any] = {}
    if record.replicas:
        content["replicas"] = [asdict(replica) for replica in record.replicas]
    if primary is not None:
        content["primary"] = asdict(primary)
    return content or None


def _replication_from(content: Mapping[str, Any]) -> dict[str, Any]:
    primary = content.get("primary")
    return {
        "replicas": tuple(Replica(**replica) for replica in content.get("replicas", ())),
        "cross_account_primary": None if primary is None else CrossAccountPrimary(**primary),
    }


def _rotation_json(rotation: RotationSettings) -> dict[str, Any]:
    given = {name: value for name, value in asdict(rotation).items() if value is not None}
    return {name: to_micros(v) if name in _MOMENTS else v for name, v in given.items()}


def _rotation_from(content: Mapping[str, Any]) -> RotationSettings:
    fields: dict[str, Any] = {
        name: from_micros(value) if name in _MOMENTS else value for name, value in content.items()
    }
    return RotationSettings(**fields)


def version_row(record: VersionRecord) -> dict[str, Any]:
    """The columns of a version."""
    sealed = record.sealed
    return {
        "arn": record.arn,
        "version_id": record.version_id,
        "created_at": record.created_at,
        "accessed_on": record.accessed_on,
        "kind": record.kind,
        "key_id": sealed and sealed.key_id,
        "wrapped_key": sealed and sealed.wrapped_key,
        "nonce": sealed and sealed.nonce,
        "context": sealed and dict(sealed.context),
        "ciphertext": sealed and sealed.ciphertext,
        "also": None
        if sealed is None or not sealed.also
        else [[key_id, b64encode(wrapped).decode()] for key_id, wrapped in sealed.also],
    }


def version_from(row: SqlRow) -> VersionRecord:
    """The record of a row of ``versions``."""
    arn, version_id, created_at, accessed_on, kind, *rest = row
    return VersionRecord(arn, version_id, created_at, kind, _sealed_from(*rest), accessed_on)


def _sealed_from(
    key_id: str | None, wrapped: Any, nonce: Any, context: Any, ciphertext: Any, also: Any
) -> Sealed | None:
    if key_id is None:
        return None
    others = () if also is None else tuple((key, b64decode(held)) for key, held in also)
    return Sealed(key_id, wrapped, nonce, ciphertext, context, others)


def fields_of(record: RotationJob | KeyRecord | AuditRecord) -> dict[str, Any]:
    """The fields of a record whose columns have the same names."""
    names = type(record).__dataclass_fields__
    row = {name: getattr(record, name) for name in names if name != "scope"}
    if not isinstance(record, RotationJob):
        row |= {"account": record.scope.account, "region": record.scope.region}
    return row


def key_from(row: SqlRow) -> KeyRecord:
    """The record of a row of ``keys``."""
    arn, account, region, *rest = row
    return KeyRecord(arn, Scope(account, region), *rest)


def audit_from(row: SqlRow) -> AuditRecord:
    """The record of a row of ``AUDIT``."""
    event_id, account, region, at, event_name, document = row
    return AuditRecord(event_id, Scope(account, region), at, event_name, document)


_FEW_AUDIT_ROWS = 128
"""With six columns below the 999 parameters that every SQLite takes."""

AUDIT_ROWS_AT_ONCE = 640 if sqlite3.sqlite_version_info >= (3, 32) else _FEW_AUDIT_ROWS
"""How many records one statement adds: the reads that are written together, with some that came in
between. SQLite takes 32,766 parameters since 3.32."""


def append_audit_in_sqlite(records: Sequence[AuditRecord]) -> tuple[str, tuple[object, ...]]:
    """The statement that adds up to ``AUDIT_ROWS_AT_ONCE`` records, and its parameters.

    One statement, as the driver lets other threads run several times in each, and a thread that
    answers reads without a pause gives back its turn after a switch interval, 5 ms. Many records
    are filled up with rows that are left out, for the driver compiles a text that it does not know,
    and keeps it.
    """
    values = tuple(chain.from_iterable(map(audit_row, records)))
    rows = len(records)
    if rows <= _FEW_AUDIT_ROWS:
        return _add_audit(rows), values
    left_out = AUDIT_ROWS_AT_ONCE - rows
    return _add_audit_but_empty_ones(AUDIT_ROWS_AT_ONCE), values + (None,) * (left_out * len(AUDIT))


@cache
def _add_audit(rows: int) -> str:
    row = f"({', '.join('?' * len(AUDIT))})"
    return (
        f"INSERT INTO {audit.name} ({', '.join(column.name for column in AUDIT)}) "  # noqa: S608
        f"VALUES {', '.join([row] * rows)}"
    )


@cache
def _add_audit_but_empty_ones(rows: int) -> str:
    into, _, values = _add_audit(rows).partition("VALUES ")
    return f"{into}SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"  # noqa: S608


def audit_row(record: AuditRecord) -> tuple[str, str, str, int, str, str]:
    """The columns of ``AUDIT`` as SQLite's driver takes them."""
    scope = record.scope
    return (
        record.event_id,
        scope.account,
        scope.region,
        to_micros(record.at),
        record.event_name,
        document_text(record.document),
    )


_AS_JSON_MODULE = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def document_text(document: Mapping[str, object]) -> str:
    """A document, which has no NaN in it, as JSON: in a tenth of the time that ``json_text`` takes,
    which is left with half a surrogate and more than 64 bits. What is not ASCII stays as it is."""
    try:
        return orjson.dumps(document, option=_AS_JSON_MODULE).decode()
    except orjson.JSONEncodeError:
        return json_text(document)
