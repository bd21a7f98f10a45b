"""The changes of one transaction, which become the next generation of the file."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import date, datetime

from smclient_embedded.store import (
    AuditRecord,
    KeyRecord,
    RotationJob,
    SecretRecord,
    StoreConflict,
    VersionRecord,
)
from smclient_file.crypto import Place
from smclient_file.errors import FileStoreError, StoreLimitExceeded
from smclient_file.generation import Generation, without_versions
from smclient_file.lines import Content, VersionRow, setting_line, setting_place
from smclient_file.seals import filed
from smclient_file.tables import Entry, name_key
from smclient_file.view import FileView

MAX_NAME = 512


class FileTransaction(FileView):
    """See ``smclient_embedded.store.Transaction``. To put what is there already changes nothing."""

    def put_secret(self, record: SecretRecord) -> None:
        self._remember(record.arn, "", record.accessed_on)
        kept = self._content(record.arn)
        plain = replace(record, accessed_on=None)
        if kept is not None and kept.record == plain:
            return
        if len(record.name) > MAX_NAME:
            raise StoreLimitExceeded(self._store, f"a name has more than {MAX_NAME} characters")
        key = name_key(record)
        owner = self.secret_named(record.scope, record.name)
        if owner is not None and owner.arn != record.arn:
            raise StoreConflict(f"{record.name} is the name of {owner.arn} already")
        if kept is None:
            self._change(record.arn, Content(plain, self._next_sequence()))
        else:
            if name_key(kept.record) != key:
                self._names[name_key(kept.record)] = None
            self._change(record.arn, replace(kept, record=plain))
        self._names[key] = record.arn

    def remove_secret(self, arn: str) -> None:
        self._must_write()
        content = self._content(arn)
        if content is not None:
            self._change(arn, None)
            self._forgotten.add(arn)
            self._accessed = {key: day for key, day in self._accessed.items() if key[0] != arn}
            self._names[name_key(content.record)] = None

    def put_version(self, record: VersionRecord) -> None:
        self._must_write()
        content = self._needed(record.arn, "a version")
        row = content.versions.get(record.version_id)
        self._remember(record.arn, record.version_id, record.accessed_on)
        plain = replace(record, accessed_on=None)
        if row is not None and row.record == plain:
            return
        if record.sealed is not None:
            base = self._generation()
            place = Place(record.arn, record.version_id, record.kind)
            sealed = filed(self._store, base.keys, base.header.epoch, record.sealed, place)
            plain = replace(plain, sealed=sealed)
        if row is None:
            last = max((row.sequence for row in content.versions.values()), default=0)
            row = VersionRow(plain, last + 1)
        else:
            row = replace(row, record=plain)
        versions = {**content.versions, record.version_id: row}
        self._change(record.arn, replace(content, versions=versions))

    def remove_version(self, arn: str, version_id: str) -> None:
        content = self._content(arn)
        self._must_write()
        if content is not None and version_id in content.versions:
            self._remember(arn, version_id, None)
            self._change(arn, without_versions(content, {version_id}))

    def put_label(self, arn: str, label: str, version_id: str) -> None:
        self._must_write()
        content = self._needed(arn, "a label")
        if version_id not in content.versions:
            raise StoreConflict(f"{arn} has no version {version_id} to put a label on")
        if content.labels.get(label) != version_id:
            self._change(arn, replace(content, labels={**content.labels, label: version_id}))

    def remove_label(self, arn: str, label: str) -> None:
        self._must_write()
        content = self._content(arn)
        if content is not None and label in content.labels:
            kept = {name: at for name, at in content.labels.items() if name != label}
            self._change(arn, replace(content, labels=kept))

    def put_rotation_job(self, job: RotationJob) -> None:
        self._must_write()
        content = self._needed(job.arn, "a rotation")
        if content.job != job:
            self._change(job.arn, replace(content, job=job))

    def remove_rotation_job(self, arn: str) -> None:
        self._must_write()
        content = self._content(arn)
        if content is not None and content.job is not None:
            self._change(arn, replace(content, job=None))

    def claim_rotation_jobs(
        self, now: datetime, *, owner: str, leased_until: datetime, limit: int
    ) -> Sequence[RotationJob]:
        jobs = [c.job for c in self._contents(b'\n{"t":"job",') if c.job is not None]
        due = [
            job
            for job in jobs
            if job.due_at <= now and (job.leased_until is None or job.leased_until <= now)
        ]
        due.sort(key=lambda job: (job.due_at, job.arn))
        claimed = [
            replace(job, owner=owner, leased_until=leased_until, fence=job.fence + 1)
            for job in due[:limit]
        ]
        for job in claimed:
            self.put_rotation_job(job)
        return claimed

    def put_key(self, record: KeyRecord) -> None:
        self._must_write()
        self._keys[record.arn] = record

    def remove_key(self, arn: str) -> None:
        self._must_write()
        self._keys[arn] = None

    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        self._must_write()
        self._audit.extend(records)

    def put_setting(self, name: str, value: bytes) -> None:
        self._must_write()
        if self.setting(name) != value:
            self._must_change()
            base = self._generation()
            sealed = base.keys.seal(value, setting_place(name), base.header.epoch)
            self._settings[name] = setting_line(name, base.header.epoch, sealed)

    def keep(self, key: Hashable, finding: object) -> None:
        """Nothing is kept here."""

    # --- for the store ----------------------------------------------------------------------------

    @property
    def base(self) -> Generation | None:
        """What it was begun on, if anything was looked at."""
        return self._base

    def changes(self) -> tuple[dict[str, Entry | None], dict[str, bytes]]:
        """What became different: entries by ARN (``None``: gone) and lines of settings."""
        if self._base is None:
            return {}, {}
        entries: dict[str, Entry | None] = {}
        for arn, content in self._changes.items():
            before = self._base.tables.entries.get(arn)
            if content is None:
                if before is not None:
                    entries[arn] = None
                continue
            try:
                entry = Entry.of(self._store, self._base.header.store_id, content)
            except ValueError as error:
                raise FileStoreError(
                    self._store, f"{arn} cannot be kept: {error}", part=f"secret {arn}"
                ) from None
            if before is None or before.block != entry.block:
                entries[arn] = entry
        return entries, self._settings

    def publish(self) -> None:
        """Let the process remember what the file does not keep."""
        self._memory.audit.extend(self._audit)
        self._memory.audit_seen += len(self._audit)
        for arn, record in self._keys.items():
            if record is None:
                self._memory.keys.pop(arn, None)
            else:
                self._memory.keys[arn] = record
        accessed = self._memory.accessed
        for key in [key for key in accessed if key[0] in self._forgotten]:
            del accessed[key]
        for key, day in self._accessed.items():
            if day is None:
                accessed.pop(key, None)
            else:
                accessed[key] = day

    # --- inside -----------------------------------------------------------------------------------

    def _needed(self, arn: str, what: str) -> Content:
        content = self._content(arn)
        if content is None:
            raise StoreConflict(f"there is no secret {arn} to keep {what} of")
        return content

    def _next_sequence(self) -> int:
        ahead = [c.sequence + 1 for c in self._changes.values() if c is not None]
        return max(self._tables.next_sequence, *ahead) if ahead else self._tables.next_sequence

    def _remember(self, arn: str, version_id: str, day: date | None) -> None:
        self._must_write()
        if self._last(arn, version_id) != day:
            self._accessed[arn, version_id] = day

    def _change(self, arn: str, content: Content | None) -> None:
        self._must_change()
        self._changes[arn] = content

    def _must_write(self) -> None:
        if not self._write:
            raise RuntimeError("a transaction that was opened for reading was written to")

    def _must_change(self) -> None:
        self._must_write()
        self._generation()
        if self._refusal is not None:
            raise self._refusal
