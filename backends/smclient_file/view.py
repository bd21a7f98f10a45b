"""A view of one generation of the file: everything that a transaction can ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from smclient_embedded.store import (
    AuditPage,
    AuditQuery,
    AuditRecord,
    KeyRecord,
    RotationJob,
    Scope,
    SecretPage,
    SecretQuery,
    SecretRecord,
    StoreError,
    VersionRecord,
    stem_of,
)
from smclient_embedded.store.audit_pages import page_of_trail
from smclient_embedded.store.memory import sort_key
from smclient_file.generation import Generation, Memory
from smclient_file.lines import Content
from smclient_file.seals import opened_setting
from smclient_file.tables import Tables, name_in


class FileView:
    """See ``smclient_embedded.store.Transaction``.

    ``begin`` gives the generation, at the first look: a writing transaction takes the lock between
    processes only then, so that one that only appends to the audit trail never waits for it. It
    also gives the error that forbids writing, if there is one; reading goes on without the lock.
    """

    def __init__(
        self,
        store: str,
        begin: Callable[[], tuple[Generation, StoreError | None]],
        memory: Memory,
        *,
        write: bool,
    ) -> None:
        self._store = store
        self._begin = begin
        self._memory = memory
        self._write = write
        self._base: Generation | None = None
        self._refusal: StoreError | None = None
        self._changes: dict[str, Content | None] = {}
        self._names: dict[tuple[str, str, str], str | None] = {}
        self._settings: dict[str, bytes] = {}
        self._audit: list[AuditRecord] = []
        self._keys: dict[str, KeyRecord | None] = {}
        self._accessed: dict[tuple[str, str], date | None] = {}
        self._forgotten: set[str] = set()

    def secret(self, arn: str) -> SecretRecord | None:
        content = self._content(arn)
        return None if content is None else self._shown(content.record)

    def secret_named(self, scope: Scope, name: str) -> SecretRecord | None:
        key = name_in(scope, name)
        arn = self._names[key] if key in self._names else self._tables.names.get(key)
        return None if arn is None else self.secret(arn)

    def secrets_with_stem(self, stem: str) -> Sequence[SecretRecord]:
        arns = dict.fromkeys(self._tables.stems.get(stem, ()))
        arns.update((arn, None) for arn in self._changes if stem_of(arn) == stem)
        contents = [content for content in map(self._content, arns) if content is not None]
        contents.sort(key=lambda content: content.sequence)
        return [self._shown(content.record) for content in contents]

    def page(self, scope: Scope, query: SecretQuery) -> SecretPage:
        found: list[tuple[str, SecretRecord]] = []
        for content in self._contents(scope=scope, prefixes=query.prefixes):
            record = self._shown(content.record)
            if query.include_deleted or record.deleted_at is None:
                position = f"{content.sequence:020d}\0{record.arn}"
                found.append((sort_key(record, query.sort_by) + "\0" + position, record))
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

    def count_secrets(self, scope: Scope, *, include_deleted: bool = True) -> int:
        found = (content.record for content in self._contents(scope=scope))
        return sum(include_deleted or record.deleted_at is None for record in found)

    def has_secrets(self, scope: Scope, number: int) -> bool:
        most = len(self._tables.entries) + len(self._changes)
        return most >= number and self.count_secrets(scope) >= number

    def secrets_to_delete(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        over = [
            (content.record.delete_after, content.record.arn, content.record)
            for content in self._contents(b'"delete_after":')
            if content.record.delete_after is not None and content.record.delete_after <= now
        ]
        return [self._shown(record) for _, _, record in sorted(over, key=_first_two)[:limit]]

    def version(self, arn: str, version_id: str) -> VersionRecord | None:
        content = self._content(arn)
        row = None if content is None else content.versions.get(version_id)
        return None if row is None else self._shown_version(row.record)

    def versions(self, arn: str) -> Sequence[VersionRecord]:
        content = self._content(arn)
        rows = [] if content is None else content.versions.values()
        return [self._shown_version(row.record) for row in rows]

    def labels(self, arn: str) -> Mapping[str, str]:
        content = self._content(arn)
        return {} if content is None else content.labels

    def rotation_job(self, arn: str) -> RotationJob | None:
        content = self._content(arn)
        return None if content is None else content.job

    def rotations_due(self, now: datetime, limit: int) -> Sequence[SecretRecord]:
        due = [
            (at, content.record.arn, content.record)
            for content in self._contents(b'"rotation":')
            if content.job is None and (at := _rotation_due_at(content.record, now)) is not None
        ]
        return [self._shown(record) for _, _, record in sorted(due, key=_first_two)[:limit]]

    def key(self, arn: str) -> KeyRecord | None:
        return self._keys[arn] if arn in self._keys else self._memory.keys.get(arn)

    def keys(self, scope: Scope) -> Sequence[KeyRecord]:
        return [key for key in self._all_keys() if key.scope == scope]

    def keys_to_delete(self, now: datetime, limit: int) -> Sequence[KeyRecord]:
        over = [
            (key.delete_after, key.arn, key)
            for key in self._all_keys()
            if key.delete_after is not None and key.delete_after <= now
        ]
        return [key for _, _, key in sorted(over, key=lambda row: row[:2])[:limit]]

    def audit(
        self, scope: Scope, *, event_name: str | None = None, limit: int = 50
    ) -> Sequence[AuditRecord]:
        return list(self.audit_page(scope, AuditQuery(event_name, limit=limit)).records)

    def audit_page(self, scope: Scope, query: AuditQuery) -> AuditPage:
        kept = list(self._memory.audit)
        forgotten = self._memory.audit_seen - len(kept)
        return page_of_trail([*kept, *self._audit], forgotten, scope, query)

    def scopes(self) -> Sequence[Scope]:
        found = {Scope(*key[:2]) for key in self._tables.names if key not in self._names}
        found |= {Scope(*key[:2]) for key, arn in self._names.items() if arn is not None}
        found |= {key.scope for key in self._all_keys()}
        found |= {record.scope for record in [*list(self._memory.audit), *self._audit]}
        return sorted(found, key=lambda scope: (scope.account, scope.region))

    def settings(self) -> Mapping[str, bytes]:
        names = {**self._tables.settings, **self._settings}
        values = {name: self.setting(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def setting(self, name: str) -> bytes | None:
        line = self._settings.get(name) or self._tables.settings.get(name)
        if line is None:
            return None
        return opened_setting(self._store, self._generation().keys, name, line)

    # --- inside -----------------------------------------------------------------------------------

    def _all_keys(self) -> list[KeyRecord]:
        return [key for key in {**self._memory.keys, **self._keys}.values() if key is not None]

    def _generation(self) -> Generation:
        if self._base is None:
            self._base, self._refusal = self._begin()
        return self._base

    @property
    def _tables(self) -> Tables:
        return self._generation().tables

    def _content(self, arn: str) -> Content | None:
        if arn in self._changes:
            return self._changes[arn]
        entry = self._tables.entries.get(arn)
        return None if entry is None else entry.content()

    def _contents(
        self, marker: bytes = b"", *, scope: Scope | None = None, prefixes: tuple[str, ...] = ()
    ) -> Iterator[Content]:
        """All secrets whose lines have ``marker`` in them, in the order of lines. Lines that lack
        it are not even read."""
        for arn, entry in self._tables.entries.items():
            account, region, name = entry.name
            if (
                arn not in self._changes
                and (not marker or marker in entry.block)
                and (scope is None or (scope.account == account and scope.region == region))
                and (not prefixes or name.startswith(prefixes))
            ):
                yield entry.content()
        for content in list(self._changes.values()):
            if content is None:
                continue
            record = content.record
            if (scope is None or record.scope == scope) and (
                not prefixes or record.name.startswith(prefixes)
            ):
                yield content

    def _shown(self, record: SecretRecord) -> SecretRecord:
        accessed = self._last(record.arn, "")
        return record if accessed is None else replace(record, accessed_on=accessed)

    def _shown_version(self, record: VersionRecord) -> VersionRecord:
        accessed = self._last(record.arn, record.version_id)
        return record if accessed is None else replace(record, accessed_on=accessed)

    def _last(self, arn: str, version_id: str) -> date | None:
        key = (arn, version_id)
        if key in self._accessed:
            return self._accessed[key]
        return None if arn in self._forgotten else self._memory.accessed.get(key)


def _rotation_due_at(record: SecretRecord, now: datetime) -> datetime | None:
    settings = record.rotation
    if settings is None or not settings.enabled or record.deleted_at is not None:
        return None
    at = settings.next_rotation_at
    return at if at is not None and at <= now else None


def _first_two(row: tuple[datetime, str, SecretRecord]) -> tuple[datetime, str]:
    return row[:2]
