"""``Transaction`` on one connection, in SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Executable,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from smclient_embedded.store.ports import StoreConflict
from smclient_embedded.store.records import (
    AuditPage,
    AuditQuery,
    AuditRecord,
    KeyRecord,
    RotationJob,
    Scope,
    SecretPage,
    SecretQuery,
    SecretRecord,
    VersionRecord,
)
from smclient_embedded.store.sql_audit import find_audit
from smclient_embedded.store.sql_errors import store_error
from smclient_embedded.store.sql_pages import find_page
from smclient_embedded.store.sql_reads import GENERATION, LARGEST_KEPT, Kept, new_generation
from smclient_embedded.store.sql_rows import (
    AUDIT_ROWS_AT_ONCE,
    SECRET,
    VERSION,
    SqlRow,
    append_audit_in_sqlite,
    fields_of,
    key_from,
    secret_from,
    secret_row,
    version_from,
    version_row,
)
from smclient_embedded.store.sql_schema import (
    RESERVED,
    audit,
    keys,
    labels,
    rotation_jobs,
    secrets,
    settings,
    versions,
)

R = TypeVar("R")


# --- statements -----------------------------------------------------------------------------------

_OF_ARN: Any = bindparam("arn")
_OF_SCOPE: dict[str, Any] = {"account": bindparam("account"), "region": bindparam("region")}
_NOW: Any = bindparam("now")
_LIMIT: Any = bindparam("limit")

_SECRETS = select(*SECRET)
_SECRET = _SECRETS.where(secrets.c.arn == _OF_ARN)
_SECRET_NAMED = _SECRETS.filter_by(**_OF_SCOPE, name=bindparam("name"))
_WITH_STEM = _SECRETS.where(secrets.c.stem == bindparam("stem")).order_by(secrets.c.sequence)
_TO_DELETE = (
    _SECRETS.where(secrets.c.delete_after <= _NOW)
    .order_by(secrets.c.delete_after, secrets.c.arn)
    .limit(_LIMIT)
)
_ROTATIONS_DUE = (
    _SECRETS.where(secrets.c.rotation_due_at <= _NOW)
    .where(~exists().where(rotation_jobs.c.arn == secrets.c.arn))
    .order_by(secrets.c.rotation_due_at, secrets.c.arn)
    .limit(_LIMIT)
)
_COUNT = select(func.count()).select_from(secrets).filter_by(**_OF_SCOPE)
_COUNT_LIVE = _COUNT.where(secrets.c.is_deleted == 0)
_LAST_SEQUENCE = select(func.max(secrets.c.sequence))
_SCOPES = union(*(select(table.c.account, table.c.region) for table in (secrets, keys, audit)))
_REMOVE_SECRET = delete(secrets).where(secrets.c.arn == _OF_ARN)

_VERSIONS = select(*VERSION).where(versions.c.arn == _OF_ARN)
_VERSION = _VERSIONS.where(versions.c.version_id == bindparam("version_id"))
_ALL_VERSIONS = _VERSIONS.order_by(versions.c.ordinal, versions.c.version_id)
_NEXT_ORDINAL = (
    select(func.coalesce(func.max(versions.c.ordinal), 0) + 1)
    .where(versions.c.arn == _OF_ARN)
    .scalar_subquery()
)
_REMOVE_VERSION = delete(versions).filter_by(arn=_OF_ARN, version_id=bindparam("version_id"))
_LABELS = (
    select(labels.c.label, labels.c.version_id)
    .where(labels.c.arn == _OF_ARN)
    .order_by(labels.c.label)
)
_REMOVE_LABEL = delete(labels).filter_by(arn=_OF_ARN, label=bindparam("label"))

_JOB = select(rotation_jobs).where(rotation_jobs.c.arn == _OF_ARN)
_REMOVE_JOB = delete(rotation_jobs).where(rotation_jobs.c.arn == _OF_ARN)
_FREE_JOBS = (
    select(rotation_jobs)
    .where(rotation_jobs.c.due_at <= _NOW)
    .where(or_(rotation_jobs.c.leased_until.is_(None), rotation_jobs.c.leased_until <= _NOW))
    .order_by(rotation_jobs.c.due_at, rotation_jobs.c.arn)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)  # says nothing on SQLite, where one writer is let in
)
_LEASE_JOB = (
    update(rotation_jobs)
    .where(rotation_jobs.c.arn == bindparam("of_arn"))
    .values(
        owner=bindparam("owner"), leased_until=bindparam("leased_until"), fence=bindparam("fence")
    )
)

_KEY = select(keys).where(keys.c.arn == _OF_ARN)
_KEYS = select(keys).filter_by(**_OF_SCOPE).order_by(keys.c.created_at, keys.c.arn)
_REMOVE_KEY = delete(keys).where(keys.c.arn == _OF_ARN)
_KEYS_TO_DELETE = (
    select(keys)
    .where(keys.c.delete_after <= _NOW)
    .order_by(keys.c.delete_after, keys.c.arn)
    .limit(_LIMIT)
)
_SETTINGS = select(settings.c.name, settings.c.value).where(
    ~settings.c.name.startswith(RESERVED, autoescape=True)
)
_SETTING = select(settings.c.value).where(settings.c.name == bindparam("name"))

_APPEND_AUDIT = insert(audit)
_TRIM_AUDIT = delete(audit).where(
    audit.c.sequence
    <= select(func.max(audit.c.sequence)).correlate(None).scalar_subquery() - bindparam("kept")
)
_OF_AUDIT = (_APPEND_AUDIT, _TRIM_AUDIT)
"""What changes no record that is read by its key."""


class Puts:
    """The statements that add a row or change the one with the same key, for one SQL dialect."""

    def __init__(self, dialect: str) -> None:
        self.secret = _put(dialect, secrets, "arn", by_database=("sequence",))
        self.version = _put(dialect, versions, "arn", "version_id", ordinal=_NEXT_ORDINAL)
        self.label = _put(dialect, labels, "arn", "label")
        self.rotation_job = _put(dialect, rotation_jobs, "arn")
        self.key = _put(dialect, keys, "arn")
        self.setting = _put(dialect, settings, "name")


@cache
def puts_of(dialect: str) -> Puts:
    """The statements of a dialect, ``sqlite`` or ``postgresql``."""
    return Puts(dialect)


def _put(
    dialect: str, table: Table, *key: str, by_database: Sequence[str] = (), **computed: Any
) -> Executable:
    insert_of: Any  # the two are alike, and have no common type
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as insert_of
    else:
        from sqlalchemy.dialects.postgresql import insert as insert_of
    given = [c.name for c in table.c if c.name not in by_database and c.name not in computed]
    statement = insert_of(table).values({**{name: bindparam(name) for name in given}, **computed})
    changes = {name: statement.excluded[name] for name in given if name not in key}
    put: Executable = statement.on_conflict_do_update(index_elements=list(key), set_=changes)
    return put


# --- the transaction ------------------------------------------------------------------------------


class SqlTransaction:
    """See ``Transaction``."""

    def __init__(
        self,
        connection: Connection,
        store: str,
        *,
        write: bool,
        trim_audit: Callable[[int], int],
        kept: Kept | None = None,
        let_in: Executable | None = None,
    ) -> None:
        self._connection = connection
        self._store = store
        self._write = write
        self._trim_audit = trim_audit
        self._puts = puts_of(connection.dialect.name)
        self._kept = kept
        self._let_in = let_in
        self._changed = False

    def begin_generation(self) -> None:
        """Let nobody take what was read before for what is there after this transaction."""
        if self._changed:
            self._change(self._puts.setting, {"name": GENERATION, "value": new_generation()})

    # secrets

    def secret(self, arn: str) -> SecretRecord | None:
        return self._point(_SECRET, {"arn": arn}, lambda rows: _one(secret_from, rows))

    def secret_named(self, scope: Scope, name: str) -> SecretRecord | None:
        named = {**_scope(scope), "name": name}
        return self._point(_SECRET_NAMED, named, lambda rows: _one(secret_from, rows))

    def secrets_with_stem(self, stem: str) -> Sequence[SecretRecord]:
        return [secret_from(row) for row in self._rows(_WITH_STEM, {"stem": stem})]

    def page(self, scope: Scope, query: SecretQuery) -> SecretPage:
        page = find_page(self._rows, scope, query)
        found = tuple(secret_from(row) for row in page.rows)
        return SecretPage(found, tuple(page.positions), page.more)

    def put_secret(self, record: SecretRecord) -> None:
        self._change(
            self._puts.secret,
            secret_row(record),
            refused=f"{record.name} is the name of another secret already",
        )

    def remove_secret(self, arn: str) -> None:
        self._change(_REMOVE_SECRET, {"arn": arn})

    def count_secrets(self, scope: Scope, *, include_deleted: bool = True) -> int:
        rows = self._rows(_COUNT if include_deleted else _COUNT_LIVE, _scope(scope))
        return int(rows[0][0])

    def has_secrets(self, scope: Scope, number: int) -> bool:
        last = self._rows(_LAST_SEQUENCE, {})[0][0] or 0  # no number is given out twice
        return last >= number and self.count_secrets(scope) >= number

    def secrets_to_delete(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        return [secret_from(row) for row in self._rows(_TO_DELETE, {"now": now, "limit": limit})]

    # versions and labels

    def version(self, arn: str, version_id: str) -> VersionRecord | None:
        named = {"arn": arn, "version_id": version_id}
        return self._point(_VERSION, named, lambda rows: _one(version_from, rows))

    def versions(self, arn: str) -> Sequence[VersionRecord]:
        return [version_from(row) for row in self._rows(_ALL_VERSIONS, {"arn": arn})]

    def put_version(self, record: VersionRecord) -> None:
        self._change(
            self._puts.version,
            version_row(record),
            refused=f"there is no secret {record.arn} to keep a version of",
        )

    def remove_version(self, arn: str, version_id: str) -> None:
        self._change(_REMOVE_VERSION, {"arn": arn, "version_id": version_id})

    def labels(self, arn: str) -> Mapping[str, str]:
        return self._point(_LABELS, {"arn": arn}, lambda rows: MappingProxyType(dict(rows)))

    def put_label(self, arn: str, label: str, version_id: str) -> None:
        self._change(
            self._puts.label,
            {"arn": arn, "label": label, "version_id": version_id},
            refused=f"there is no version {version_id} of {arn} to put a label on",
        )

    def remove_label(self, arn: str, label: str) -> None:
        self._change(_REMOVE_LABEL, {"arn": arn, "label": label})

    # rotations

    def rotation_job(self, arn: str) -> RotationJob | None:
        return _one(lambda row: RotationJob(*row), self._rows(_JOB, {"arn": arn}))

    def put_rotation_job(self, job: RotationJob) -> None:
        self._change(
            self._puts.rotation_job,
            fields_of(job),
            refused=f"there is no secret {job.arn} to rotate",
        )

    def remove_rotation_job(self, arn: str) -> None:
        self._change(_REMOVE_JOB, {"arn": arn})

    def claim_rotation_jobs(
        self, now: datetime, *, owner: str, leased_until: datetime, limit: int
    ) -> Sequence[RotationJob]:
        self._must_write()
        claimed = [
            replace(job, owner=owner, leased_until=leased_until, fence=job.fence + 1)
            for job in (
                RotationJob(*row) for row in self._rows(_FREE_JOBS, {"now": now, "limit": limit})
            )
        ]
        if claimed:
            lease = {"owner": owner, "leased_until": leased_until}
            self._change(
                _LEASE_JOB, [{"of_arn": job.arn, "fence": job.fence, **lease} for job in claimed]
            )
        return claimed

    def rotations_due(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        due = self._rows(_ROTATIONS_DUE, {"now": now, "limit": limit})
        return [secret_from(row) for row in due]

    # keys, audit, settings

    def key(self, arn: str) -> KeyRecord | None:
        return self._point(_KEY, {"arn": arn}, lambda rows: _one(key_from, rows))

    def keys(self, scope: Scope) -> Sequence[KeyRecord]:
        return [key_from(row) for row in self._rows(_KEYS, _scope(scope))]

    def put_key(self, record: KeyRecord) -> None:
        self._change(self._puts.key, fields_of(record))

    def remove_key(self, arn: str) -> None:
        self._change(_REMOVE_KEY, {"arn": arn})

    def keys_to_delete(self, now: datetime, limit: int) -> Sequence[KeyRecord]:
        return [key_from(row) for row in self._rows(_KEYS_TO_DELETE, {"now": now, "limit": limit})]

    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        self._must_write()
        if not records:
            return
        if self._connection.dialect.name == "sqlite":
            self._append_to_sqlite(records)
        else:
            self._change(_APPEND_AUDIT, [fields_of(record) for record in records])
        kept = self._trim_audit(len(records))
        if kept:
            self._change(_TRIM_AUDIT, {"kept": kept})

    def audit(
        self, scope: Scope, *, event_name: str | None = None, limit: int = 50
    ) -> Sequence[AuditRecord]:
        return list(self.audit_page(scope, AuditQuery(event_name, limit=limit)).records)

    def audit_page(self, scope: Scope, query: AuditQuery) -> AuditPage:
        return find_audit(self._rows, scope, query)

    def scopes(self) -> Sequence[Scope]:
        found = (Scope(account, region) for account, region in self._rows(_SCOPES, {}))
        return sorted(found, key=lambda scope: (scope.account, scope.region))

    def settings(self) -> Mapping[str, bytes]:
        return dict(self._rows(_SETTINGS, {}))

    def setting(self, name: str) -> bytes | None:
        return self._point(_SETTING, {"name": name}, lambda rows: _one(lambda row: row[0], rows))

    def put_setting(self, name: str, value: bytes) -> None:
        if name.startswith(RESERVED):
            raise ValueError(f"settings that begin with {RESERVED} belong to the store")
        self._change(self._puts.setting, {"name": name, "value": value})

    def keep(self, key: Hashable, finding: object) -> None:
        if self._kept is not None:
            self._kept[key] = finding

    # --- inside -----------------------------------------------------------------------------------

    def _must_write(self) -> None:
        if not self._write:
            raise RuntimeError("a transaction that was opened for reading was written to")

    def _append_to_sqlite(self, records: Sequence[AuditRecord]) -> None:
        """In the driver's own terms: every read ends up here, and SQLAlchemy would take as long
        for a row as SQLite does."""
        try:
            for first in range(0, len(records), AUDIT_ROWS_AT_ONCE):
                some = records[first : first + AUDIT_ROWS_AT_ONCE]
                self._connection.exec_driver_sql(*append_audit_in_sqlite(some))
        except (SQLAlchemyError, UnicodeEncodeError) as error:
            raise store_error(self._store, error) from None

    def _wait_for_turn(self) -> None:
        """Let no other writer in from here on. One that only adds to the audit trail need not."""
        if self._let_in is None:
            return
        let_in, self._let_in = self._let_in, None
        try:
            self._connection.execute(let_in)
        except SQLAlchemyError as error:
            raise store_error(self._store, error) from None

    def _rows(
        self,
        statement: Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]],
        parameters: Mapping[str, Any],
    ) -> Sequence[SqlRow]:
        self._wait_for_turn()
        try:
            return self._connection.execute(statement, parameters).all()
        except UnicodeEncodeError:  # text that no database holds is looked for: nothing is found
            return []
        except SQLAlchemyError as error:
            raise store_error(self._store, error) from None

    def _point(
        self,
        statement: Select[*tuple[Any, ...]],
        parameters: Mapping[str, Any],
        make: Callable[[Sequence[SqlRow]], R],
    ) -> R:
        """A record by its key, which may be kept from an earlier transaction."""
        if self._kept is None:
            return make(self._rows(statement, parameters))
        asked = (statement, *parameters.values())
        known: R | SqlTransaction = self._kept.get(asked, self)
        if not isinstance(known, SqlTransaction):
            return known
        found = make(self._rows(statement, parameters))
        if not (isinstance(found, VersionRecord) and _is_large(found)):
            self._kept[asked] = found
        return found

    def _change(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        refused: str | None = None,
    ) -> None:
        """Run a statement. ``refused`` is said where it would break a constraint.

        ``from None``: the driver's error holds the parameters, which may be ciphertext.
        """
        self._must_write()
        if statement is not _APPEND_AUDIT:
            self._wait_for_turn()
        self._changed = self._changed or not any(statement is of for of in _OF_AUDIT)
        try:
            self._connection.execute(statement, parameters)
        except IntegrityError as error:
            if refused is None:
                raise store_error(self._store, error) from None
            raise StoreConflict(refused) from None
        except (SQLAlchemyError, UnicodeEncodeError) as error:
            raise store_error(self._store, error) from None


def _one(make: Callable[[SqlRow], R], rows: Sequence[SqlRow]) -> R | None:
    return make(rows[0]) if rows else None


def _is_large(version: VersionRecord) -> bool:
    return version.sealed is not None and len(version.sealed.ciphertext) > LARGEST_KEPT


def _scope(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region}
