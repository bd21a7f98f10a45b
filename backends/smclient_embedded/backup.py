"""Backups of a store while it runs: one consistent snapshot, as lines of JSON.

Format ``smclient-backup``, version 1: one JSON object a line:

    {"format":"smclient-backup","version":1,"written_at":"2026-01-01T00:00:00+00:00"}
    {"setting":{"name":…,"value":base64}}   {"key":{…}}
    {"secret":{…}}  followed by its  {"version":{…}}  {"label":{…}}  {"job":{…}}
    {"audit":{…}}   oldest first
    {"end":{"records":N,"sha256":of all lines before}}

Fields are those of the records (``store.records``); what is ``null`` is left out. Values stay
sealed and keys stay wrapped: a backup opens only with the master key that its store had then.
Names, tags, descriptions and the audit trail are in clear, so the file is made 0600. It does not
depend on the kind of store. A file without its last line, with a line changed, or of another
version is refused, and nothing of it is kept.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import os
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Literal, Union, get_args, get_origin, get_type_hints

from smclient.errors import ConfigError
from smclient_embedded.disk import flush_folder
from smclient_embedded.master import CHECK, MasterKey, ReadSetting
from smclient_embedded.store.ports import Store, StoreConflict, StoreError, Transaction
from smclient_embedded.store.records import (
    AuditRecord,
    KeyRecord,
    RotationJob,
    SecretQuery,
    SecretRecord,
    VersionRecord,
)

FORMAT = "smclient-backup"
VERSION = 1
MOST_AUDIT = 1_000_000
_PAGE = 500


class BackupError(StoreError):
    """A backup cannot be written, read, or put where it was to go."""


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Label:
    arn: str
    label: str
    version_id: str


KINDS: dict[str, tuple[type[Any], Callable[[Transaction, Any], object]]] = {
    "setting": (_Setting, lambda tx, s: tx.put_setting(s.name, s.value)),
    "key": (KeyRecord, lambda tx, key: tx.put_key(key)),
    "secret": (SecretRecord, lambda tx, secret: tx.put_secret(secret)),
    "version": (VersionRecord, lambda tx, version: tx.put_version(version)),
    "label": (_Label, lambda tx, at: tx.put_label(at.arn, at.label, at.version_id)),
    "job": (RotationJob, lambda tx, job: tx.put_rotation_job(job)),
    "audit": (AuditRecord, lambda tx, record: tx.append_audit([record])),
}
"""What a line may hold: the record, and how a store takes it."""


# --- writing --------------------------------------------------------------------------------------


def write_backup(store: Store, path: Path, *, now: datetime) -> int:
    """Write a snapshot of a store and return how many records it has. The file is there as a whole,
    on the disk, or not at all; one that is there already is replaced.

    Raises:
        ConfigError: the store brings its own keys; its file is its own backup.
        BackupError: the file cannot be written.
    """
    _refuse_own_keys(store)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with store.transaction(write=False) as tx:
                    count = _write(file, tx, now)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
            flush_folder(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BackupError(f"the backup {path} cannot be written: {error.strerror}") from error
    return count


def _write(file: IO[bytes], tx: Transaction, now: datetime) -> int:
    digest, count = hashlib.sha256(), 0

    def write(line: Mapping[str, Any]) -> None:
        content = _dump(line)
        digest.update(content)
        file.write(content)

    write({"format": FORMAT, "version": VERSION, "written_at": now.astimezone(UTC).isoformat()})
    for kind, record in records(tx):
        write({kind: to_plain(record)})
        count += 1
    file.write(_dump({"end": {"records": count, "sha256": digest.hexdigest()}}))
    return count


def records(tx: Transaction) -> Iterator[tuple[str, Any]]:
    """Everything in a store, in an order in which another one takes it."""
    for name, value in sorted(tx.settings().items()):
        yield "setting", _Setting(name, value)
    scopes = tx.scopes()
    for scope in scopes:
        for key in sorted(tx.keys(scope), key=lambda key: key.arn):
            yield "key", key
        query = SecretQuery(include_deleted=True, limit=_PAGE)
        while True:
            page = tx.page(scope, query)
            for secret in page.secrets:
                yield from _of_secret(tx, secret)
            if not page.more:
                break
            query = dataclasses.replace(query, after=page.positions[-1])
    for scope in scopes:
        for record in reversed(tx.audit(scope, limit=MOST_AUDIT)):
            yield "audit", record


def _of_secret(tx: Transaction, secret: SecretRecord) -> Iterator[tuple[str, Any]]:
    yield "secret", secret
    for version in tx.versions(secret.arn):
        yield "version", version
    for label, version_id in sorted(tx.labels(secret.arn).items()):
        yield "label", _Label(secret.arn, label, version_id)
    job = tx.rotation_job(secret.arn)
    if job is not None:
        yield "job", job


# --- reading --------------------------------------------------------------------------------------


FindMaster = Callable[[ReadSetting], MasterKey]
"""Finds the master key of a store by its settings. Raises ``MasterKeyError``."""


def read_backup(path: Path, store: Store, find_master: FindMaster) -> MasterKey:
    """Put a backup into an empty store, all or nothing, and return the master key that it is under.

    Raises:
        ConfigError: the store brings its own keys.
        MasterKeyError: the backup was made under another master key.
        BackupError: the file cannot be read, is no backup, is of another version, damaged or
            incomplete; or the store is not empty.
    """
    _refuse_own_keys(store)
    try:
        with path.open("rb") as file, store.transaction(write=True) as tx:
            if tx.scopes() or tx.settings():
                raise BackupError("a backup is restored into an empty store only; this one is not")
            return _read(file, tx, find_master, f"the backup {path}")
    except OSError as error:
        raise BackupError(f"the backup {path} cannot be read: {error.strerror}") from error


def _read(file: IO[bytes], tx: Transaction, find_master: FindMaster, where: str) -> MasterKey:
    digest = hashlib.sha256()
    master: MasterKey | None = None
    first = file.readline()
    _check_header(first, where)
    digest.update(first)
    for count, line in enumerate(file):
        at = f"{where}, line {count + 2}"
        kind, content = _entry(line, at)
        if kind == "end":
            if content != {"records": count, "sha256": digest.hexdigest()} or file.read(1):
                raise BackupError(f"{where} is damaged: its last line does not fit the rest")
            return master or _find(find_master, tx, where)
        try:
            record_type, keep = KINDS[kind]
            record = from_plain(record_type, content)
            if not isinstance(record, _Setting):
                master = master or _find(find_master, tx, where)
            elif master is not None:
                raise ValueError("settings come first: by them the master key was found")
            keep(tx, record)
        except (KeyError, TypeError, ValueError, StoreConflict) as error:
            raise BackupError(f"{at}: no {kind!r} that this version of smclient knows") from error
        digest.update(line)
    raise BackupError(f"{where} is incomplete: its last line is missing")


def _find(find_master: FindMaster, tx: Transaction, where: str) -> MasterKey:
    if tx.setting(CHECK) is None:
        raise BackupError(f"{where} does not say which master key it is under")
    return find_master(tx.setting)


def _check_header(line: bytes, where: str) -> None:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BackupError(f"{where} is no backup of the embedded service")
    if header.get("version") != VERSION:
        raise BackupError(
            f"{where} has format version {header.get('version')!r}; this version of smclient reads "
            f"{VERSION}"
        )


def _entry(line: bytes, where: str) -> tuple[str, Any]:
    try:
        ((kind, content),) = json.loads(line).items()
    except (ValueError, AttributeError):
        raise BackupError(f"{where}: not a line of a backup") from None
    return str(kind), content


def _refuse_own_keys(store: Store) -> None:
    if store.keyring() is not None:
        raise ConfigError("this store brings its own keys: its file is its own backup")


# --- records and plain data -----------------------------------------------------------------------


def to_plain(value: Any) -> Any:
    """A record as JSON has it; what is ``None`` is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: to_plain(v) for name, v in fields.items() if v is not None}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: to_plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(hint: Any, value: Any) -> Any:
    """What ``to_plain`` gave, as the type that ``hint`` says.

    Raises:
        TypeError, ValueError: a field is unknown, missing, or not of its kind.
    """
    if dataclasses.is_dataclass(hint):
        hints: dict[str, Any] = _hints(hint)  # type: ignore[arg-type]  # a class can be hashed
        if not isinstance(value, dict) or not value.keys() <= hints.keys():
            raise ValueError(f"not a {hint}")
        read: Any = hint
        return read(**{name: from_plain(hints[name], member) for name, member in value.items()})
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return from_plain(options[0], value) if len(options) == 1 else value
    if hint is bytes:
        return base64.b64decode(value, validate=True)
    if hint in (datetime, date):
        return hint.fromisoformat(value)
    if get_origin(hint) is tuple:
        item, *rest = get_args(hint)
        kinds = [item] * len(value) if rest == [Ellipsis] else [item, *rest]
        return tuple(from_plain(kind, part) for kind, part in zip(kinds, value, strict=True))
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ValueError(f"none of {get_args(hint)}")
    if hint in (str, int, bool) and type(value) is not hint:
        raise TypeError(f"not a {hint.__name__}")
    return value


@functools.cache
def _hints(record: type[Any]) -> dict[str, Any]:
    return get_type_hints(record)


def _dump(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
