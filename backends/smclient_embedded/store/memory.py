"""A store in memory: dicts of records under one lock, with an undo list for failed transactions."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from smclient_embedded.store.audit_pages import page_of_trail
from smclient_embedded.store.ports import Keyring, StoreConflict, Transaction
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
    stem_of,
)

KEPT_AUDIT = 100_000
MOST_KEPT = 2048


class MemoryStore:
    """Keeps everything in this process. A transaction holds the lock from begin to end."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tables = _Tables()
        self._is_writing = False

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction]:
        """See ``Store.transaction``."""
        with self._lock:
            undo: list[Callable[[], object]] = []
            outer, self._is_writing = self._is_writing, self._is_writing or write
            try:
                yield _MemoryTransaction(self._tables, undo, write, can_keep=not self._is_writing)
            except BaseException:
                while undo:
                    undo.pop()()
                raise
            finally:
                self._is_writing = outer
            if len(self._tables.audit) > 2 * KEPT_AUDIT:
                self._tables.forgotten_audit += len(self._tables.audit) - KEPT_AUDIT
                del self._tables.audit[:-KEPT_AUDIT]

    def recall(self, key: Hashable) -> object | None:
        """See ``Store.recall``."""
        return self._tables.findings.get(key)

    def keyring(self) -> Keyring | None:
        """None of its own."""
        return None

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tables = _Tables()


class _Tables:
    def __init__(self) -> None:
        self.secrets: dict[str, SecretRecord] = {}
        self.sequence: dict[str, int] = {}
        self.by_name: dict[tuple[Scope, str], str] = {}
        self.by_stem: dict[str, dict[str, None]] = {}
        self.versions: dict[str, dict[str, VersionRecord]] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.jobs: dict[str, RotationJob] = {}
        self.keys: dict[str, KeyRecord] = {}
        self.audit: list[AuditRecord] = []
        self.forgotten_audit = 0
        self.settings: dict[str, bytes] = {}
        self.next_sequence = 1
        self.findings: dict[Hashable, object] = {}
        """Of this very state: the first thing that changes it puts an empty one in its place."""


class _MemoryTransaction:
    def __init__(
        self, tables: _Tables, undo: list[Callable[[], object]], write: bool, *, can_keep: bool
    ) -> None:
        self._t = tables
        self._undo = undo
        self._write = write
        self._can_keep = can_keep

    # --- secrets ----------------------------------------------------------------------------------

    def secret(self, arn: str) -> SecretRecord | None:
        return self._t.secrets.get(arn)

    def secret_named(self, scope: Scope, name: str) -> SecretRecord | None:
        arn = self._t.by_name.get((scope, name))
        return None if arn is None else self._t.secrets[arn]

    def secrets_with_stem(self, stem: str) -> Sequence[SecretRecord]:
        return [self._t.secrets[arn] for arn in self._t.by_stem.get(stem, ())]

    def page(self, scope: Scope, query: SecretQuery) -> SecretPage:
        found = [
            (self._position(record, query), record)
            for record in self._t.secrets.values()
            if record.scope == scope
            and (query.include_deleted or record.deleted_at is None)
            and (not query.prefixes or record.name.startswith(query.prefixes))
        ]
        found.sort(key=lambda pair: pair[0], reverse=query.descending)
        if query.after is not None:
            after = query.after
            found = [p for p in found if (p[0] < after if query.descending else p[0] > after)]
        page = found[: query.limit]
        return SecretPage(
            secrets=tuple(record for _, record in page),
            positions=tuple(position for position, _ in page),
            more=len(found) > len(page),
        )

    def _position(self, record: SecretRecord, query: SecretQuery) -> str:
        sequence = f"{self._t.sequence[record.arn]:020d}"
        return sort_key(record, query.sort_by) + "\0" + sequence

    def put_secret(self, record: SecretRecord) -> None:
        other = self._t.by_name.get((record.scope, record.name))
        if other is not None and other != record.arn:
            raise StoreConflict(f"{record.name} is the name of {other} already")
        before = self._t.secrets.get(record.arn)
        if before is not None and (before.scope, before.name) != (record.scope, record.name):
            self._drop(self._t.by_name, (before.scope, before.name))
        self._set(self._t.by_name, (record.scope, record.name), record.arn)
        if before is None:
            self._set(self._t.sequence, record.arn, self._t.next_sequence)
            self._t.next_sequence += 1
            stem = stem_of(record.arn)
            self._set(self._t.by_stem, stem, {**self._t.by_stem.get(stem, {}), record.arn: None})
        self._set(self._t.secrets, record.arn, record)

    def remove_secret(self, arn: str) -> None:
        record = self._t.secrets.get(arn)
        if record is None:
            return
        stem = stem_of(arn)
        rest = {a: None for a in self._t.by_stem[stem] if a != arn}
        self._drop(self._t.by_stem, stem)
        if rest:
            self._set(self._t.by_stem, stem, rest)
        self._drop(self._t.by_name, (record.scope, record.name))
        for table in (
            self._t.secrets,
            self._t.sequence,
            self._t.versions,
            self._t.labels,
            self._t.jobs,
        ):
            self._drop(table, arn)

    def count_secrets(self, scope: Scope, *, include_deleted: bool = True) -> int:
        found = (record for record in self._t.secrets.values() if record.scope == scope)
        return sum(include_deleted or record.deleted_at is None for record in found)

    def has_secrets(self, scope: Scope, number: int) -> bool:
        return len(self._t.secrets) >= number and self.count_secrets(scope) >= number

    def secrets_to_delete(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        over = [
            (record.delete_after, record.arn)
            for record in self._t.secrets.values()
            if record.delete_after is not None and record.delete_after <= now
        ]
        return [self._t.secrets[arn] for _, arn in heapq.nsmallest(limit, over)]

    # --- versions and labels ----------------------------------------------------------------------

    def version(self, arn: str, version_id: str) -> VersionRecord | None:
        return self._t.versions.get(arn, {}).get(version_id)

    def versions(self, arn: str) -> Sequence[VersionRecord]:
        return list(self._t.versions.get(arn, {}).values())

    def put_version(self, record: VersionRecord) -> None:
        if record.arn not in self._t.secrets:
            raise StoreConflict(f"there is no secret {record.arn} to keep a version of")
        kept = self._t.versions.get(record.arn, {})
        self._set(self._t.versions, record.arn, {**kept, record.version_id: record})

    def remove_version(self, arn: str, version_id: str) -> None:
        kept = self._t.versions.get(arn, {})
        self._set(self._t.versions, arn, {k: v for k, v in kept.items() if k != version_id})
        labels = self._t.labels.get(arn, {})
        self._set(self._t.labels, arn, {k: v for k, v in labels.items() if v != version_id})

    def labels(self, arn: str) -> Mapping[str, str]:
        return self._t.labels.get(arn, {})

    def put_label(self, arn: str, label: str, version_id: str) -> None:
        if version_id not in self._t.versions.get(arn, {}):
            raise StoreConflict(f"there is no version {version_id} of {arn} to put a label on")
        self._set(self._t.labels, arn, {**self._t.labels.get(arn, {}), label: version_id})

    def remove_label(self, arn: str, label: str) -> None:
        kept = self._t.labels.get(arn, {})
        self._set(self._t.labels, arn, {k: v for k, v in kept.items() if k != label})

    # --- rotations --------------------------------------------------------------------------------

    def rotation_job(self, arn: str) -> RotationJob | None:
        return self._t.jobs.get(arn)

    def put_rotation_job(self, job: RotationJob) -> None:
        if job.arn not in self._t.secrets:
            raise StoreConflict(f"there is no secret {job.arn} to rotate")
        self._set(self._t.jobs, job.arn, job)

    def remove_rotation_job(self, arn: str) -> None:
        self._drop(self._t.jobs, arn)

    def claim_rotation_jobs(
        self, now: datetime, *, owner: str, leased_until: datetime, limit: int
    ) -> Sequence[RotationJob]:
        self._must_write()
        due = sorted(
            (
                job
                for job in self._t.jobs.values()
                if job.due_at <= now and (job.leased_until is None or job.leased_until <= now)
            ),
            key=lambda job: (job.due_at, job.arn),
        )
        claimed = [
            replace(job, owner=owner, leased_until=leased_until, fence=job.fence + 1)
            for job in due[:limit]
        ]
        for job in claimed:
            self.put_rotation_job(job)
        return claimed

    def rotations_due(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        due = [
            (record.rotation.next_rotation_at, record.arn)
            for record in self._t.secrets.values()
            if record.rotation is not None
            and record.rotation.enabled
            and record.deleted_at is None
            and record.rotation.next_rotation_at is not None
            and record.rotation.next_rotation_at <= now
            and record.arn not in self._t.jobs
        ]
        return [self._t.secrets[arn] for _, arn in heapq.nsmallest(limit, due)]

    # --- keys, audit, settings --------------------------------------------------------------------

    def key(self, arn: str) -> KeyRecord | None:
        return self._t.keys.get(arn)

    def keys(self, scope: Scope) -> Sequence[KeyRecord]:
        return [key for key in self._t.keys.values() if key.scope == scope]

    def put_key(self, record: KeyRecord) -> None:
        self._set(self._t.keys, record.arn, record)

    def remove_key(self, arn: str) -> None:
        self._drop(self._t.keys, arn)

    def keys_to_delete(self, now: datetime, limit: int) -> Sequence[KeyRecord]:
        over = [
            (key.delete_after, key.arn)
            for key in self._t.keys.values()
            if key.delete_after is not None and key.delete_after <= now
        ]
        return [self._t.keys[arn] for _, arn in heapq.nsmallest(limit, over)]

    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        self._must_write()
        length = len(self._t.audit)
        self._undo.append(lambda: self._t.audit.__delitem__(slice(length, None)))
        self._t.audit.extend(records)

    def audit(
        self, scope: Scope, *, event_name: str | None = None, limit: int = 50
    ) -> Sequence[AuditRecord]:
        return list(self.audit_page(scope, AuditQuery(event_name, limit=limit)).records)

    def audit_page(self, scope: Scope, query: AuditQuery) -> AuditPage:
        return page_of_trail(self._t.audit, self._t.forgotten_audit, scope, query)

    def scopes(self) -> Sequence[Scope]:
        tables = (self._t.secrets.values(), self._t.keys.values(), self._t.audit)
        found = {record.scope for table in tables for record in table}
        return sorted(found, key=lambda scope: (scope.account, scope.region))

    def settings(self) -> Mapping[str, bytes]:
        return dict(self._t.settings)

    def setting(self, name: str) -> bytes | None:
        return self._t.settings.get(name)

    def put_setting(self, name: str, value: bytes) -> None:
        self._set(self._t.settings, name, value)

    def keep(self, key: Hashable, finding: object) -> None:
        if self._can_keep:
            if len(self._t.findings) >= MOST_KEPT:
                self._t.findings = {}
            self._t.findings[key] = finding

    # --- inside -----------------------------------------------------------------------------------

    def _must_write(self) -> None:
        if not self._write:
            raise RuntimeError("a transaction that was opened for reading was written to")

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._must_write()
        self._t.findings = {}
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.pop(key))
        table[key] = value

    def _drop(self, table: dict[Any, Any], key: Any) -> None:
        self._must_write()
        self._t.findings = {}
        if key in table:
            before = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, before))


def sort_key(record: SecretRecord, sort_by: str) -> str:
    """What a page is sorted by, as text that sorts the same everywhere. Empty for creation order,
    which the store's own sequence gives."""
    if sort_by == "name":
        return record.name
    if sort_by == "changed":
        return record.changed_at.isoformat()
    if sort_by == "accessed":
        return record.accessed_on.isoformat() if record.accessed_on else ""
    return ""
