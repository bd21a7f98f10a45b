"""Records as lines of the file, and back. A line has one form only: what does not encode to the
very same bytes again is refused, so no member is unknown, doubled or out of order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from smclient_embedded.store import (
    CrossAccountPrimary,
    Replica,
    ReplicationStatus,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretRecord,
    VersionRecord,
)
from smclient_file.crypto import Place, Value
from smclient_file.format import parse_object
from smclient_file.members import (
    count_of,
    list_of,
    moment_of,
    optional_moment,
    optional_text,
    pairs_of,
    text_of,
    texts_of,
    time_text,
)
from smclient_file.slots import canonical, packed, unpacked

_KEY_ID = "smstore"
_STATUSES: tuple[ReplicationStatus, ...] = get_args(ReplicationStatus)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """What ``Sealed.key_id`` says of a value that the file's own keys sealed. A value that is on
    its way into the file has no kind yet: ``Keyring.seal`` is not told."""

    store_id: str
    epoch: int
    kind: str = ""

    def text(self) -> str:
        """As ``Sealed.key_id``."""
        return f"{_KEY_ID}:{self.store_id}:{self.epoch}:{self.kind}"

    @classmethod
    def parse(cls, key_id: str) -> OwnKey | None:
        """From ``Sealed.key_id``; ``None`` for a key of somebody else."""
        parts = key_id.split(":")
        if len(parts) != 4 or parts[0] != _KEY_ID or not parts[2].isdecimal():
            return None
        return cls(parts[1], int(parts[2]), parts[3])


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version and its place in the order of creation."""

    record: VersionRecord
    sequence: int

    @property
    def place(self) -> Place:
        """Where its value belongs."""
        return Place(self.record.arn, self.record.version_id, self.record.kind)


@dataclass(frozen=True, slots=True)
class Content:
    """All that the file says about one secret."""

    record: SecretRecord
    sequence: int
    versions: Mapping[str, VersionRow] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    job: RotationJob | None = None

    def block(self) -> bytes:
        """Its lines, each with its LF: the secret, its versions by id, its rotation under way."""
        stages: dict[str, list[str]] = {}
        for label, version_id in self.labels.items():
            stages.setdefault(version_id, []).append(label)
        lines = [secret_line(self.record, self.sequence)]
        for version_id in sorted(self.versions):
            row = self.versions[version_id]
            lines.append(version_line(row, sorted(stages.get(version_id, ()))))
        if self.job is not None:
            lines.append(job_line(self.job))
        return b"".join(lines)


def content_of(block: bytes, store_id: str) -> Content:
    """What a block of lines says. Raises ``ValueError`` where it does not follow the format."""
    first, *rest = block.split(b"\n")[:-1]
    record, sequence = _secret(_object(first, "secret"))
    versions: dict[str, VersionRow] = {}
    labels: dict[str, str] = {}
    job = None
    for line in rest:
        fields = parse_object(line)
        if fields.get("arn") != record.arn or job is not None:
            raise ValueError("a line is out of order")
        if fields.get("t") == "job":
            job = _job(fields)
            continue
        row, stages = _version(fields, store_id)
        versions[row.record.version_id] = row
        for stage in stages:
            if stage in labels:
                raise ValueError(f"the label {stage!r} is on two versions")
            labels[stage] = row.record.version_id
    ordered = dict(sorted(versions.items(), key=lambda pair: (pair[1].sequence, pair[0])))
    content = Content(record, sequence, ordered, labels, job)
    if content.block() != block:
        raise ValueError("its lines are not in the one form that the format has")
    return content


# --- lines ----------------------------------------------------------------------------------------


def secret_line(record: SecretRecord, sequence: int) -> bytes:
    """The line of a secret. ``accessed_on`` is not in it: reading a secret writes nothing."""
    rotation, primary = record.rotation, record.cross_account_primary
    return _line(
        t="secret",
        arn=record.arn,
        account=record.scope.account,
        region=record.scope.region,
        name=record.name,
        seq=sequence,
        created=time_text(record.created_at),
        changed=time_text(record.changed_at),
        description=record.description,
        kms_key_id=record.kms_key_id,
        deleted=time_text(record.deleted_at),
        delete_after=time_text(record.delete_after),
        tags=None if record.tags is None else [list(tag) for tag in record.tags],
        rotation=None if rotation is None else _rotation_fields(rotation),
        policies=dict(record.policies) or None,
        owning_service=record.owning_service,
        primary_region=record.primary_region,
        type=record.secret_type,
        replicas=[_replica_fields(replica) for replica in record.replicas] or None,
        primary=None if primary is None else _primary_fields(primary),
    )


def version_line(row: VersionRow, stages: Sequence[str]) -> bytes:
    """The line of a version with its labels."""
    record, sealed = row.record, row.record.sealed
    own = None if sealed is None else OwnKey.parse(sealed.key_id)
    return _line(
        t="version",
        arn=record.arn,
        id=record.version_id,
        seq=row.sequence,
        created=time_text(record.created_at),
        stages=list(stages),
        kind=record.kind,
        epoch=None if own is None else own.epoch,
        key=None if own is not None or sealed is None else sealed.key_id,
        context=None if own is not None or sealed is None else dict(sealed.context),
        wdk=None if sealed is None else packed(sealed.wrapped_key),
        n=None if sealed is None else packed(sealed.nonce),
        ct=None if sealed is None else packed(sealed.ciphertext),
        also=None
        if sealed is None or not sealed.also
        else [[key, packed(wrapped)] for key, wrapped in sealed.also],
    )


def job_line(job: RotationJob) -> bytes:
    """The line of a rotation under way."""
    return _line(
        t="job",
        arn=job.arn,
        token=job.token,
        asked=time_text(job.asked_at),
        due=time_text(job.due_at),
        test_only=job.test_only,
        attempts=job.attempts,
        owner=job.owner,
        leased_until=time_text(job.leased_until),
        fence=job.fence,
        last_error=job.last_error,
    )


def setting_line(name: str, epoch: int, value: Value) -> bytes:
    """The line of a setting, whose value is sealed too."""
    return _line(
        t="setting",
        name=name,
        epoch=epoch,
        wdk=packed(value.wrapped_key),
        n=packed(value.nonce),
        ct=packed(value.ciphertext),
    )


def setting_of(line: bytes) -> tuple[str, int, Value]:
    """Name, epoch and sealed value of a setting. Raises ``ValueError``."""
    fields = _object(line.removesuffix(b"\n"), "setting")
    name, epoch = text_of(fields, "name"), count_of(fields, "epoch")
    value = Value(*(unpacked(text_of(fields, part)) for part in ("wdk", "n", "ct")))
    if setting_line(name, epoch, value) != line:
        raise ValueError("a setting is not in the one form that the format has")
    return name, epoch, value


def setting_place(name: str) -> Place:
    """Where a setting's value belongs. No ARN looks like it."""
    return Place("setting", name, "setting")


def own_sealed(place: Place, key: OwnKey, value: Value) -> Sealed:
    """A value of the file as stores show it."""
    context = {"SecretARN": place.arn, "SecretVersionId": place.version_id}
    return Sealed(key.text(), value.wrapped_key, value.nonce, value.ciphertext, context)


def value_of(sealed: Sealed) -> Value:
    """The sealed bytes alone."""
    return Value(sealed.wrapped_key, sealed.nonce, sealed.ciphertext)


# --- members --------------------------------------------------------------------------------------


def _line(**members: Any) -> bytes:
    present = {name: value for name, value in members.items() if value is not None}
    return canonical(present).encode() + b"\n"


def _object(line: bytes, kind: str) -> dict[str, Any]:
    fields = parse_object(line)
    if fields.get("t") != kind:
        raise ValueError(f"a {kind} line was expected")
    return fields


def _secret(fields: dict[str, Any]) -> tuple[SecretRecord, int]:
    tags, rotation = fields.get("tags"), fields.get("rotation")
    record = SecretRecord(
        arn=text_of(fields, "arn"),
        scope=Scope(text_of(fields, "account"), text_of(fields, "region")),
        name=text_of(fields, "name"),
        created_at=moment_of(fields, "created"),
        changed_at=moment_of(fields, "changed"),
        description=optional_text(fields, "description"),
        kms_key_id=optional_text(fields, "kms_key_id"),
        deleted_at=optional_moment(fields, "deleted"),
        delete_after=optional_moment(fields, "delete_after"),
        tags=None if tags is None else pairs_of(tags),
        rotation=None if rotation is None else _rotation(rotation),
        policies=texts_of(fields.get("policies", {})),
        owning_service=optional_text(fields, "owning_service"),
        primary_region=optional_text(fields, "primary_region"),
        secret_type=optional_text(fields, "type"),
        replicas=tuple(_replica(replica) for replica in list_of(fields, "replicas")),
        cross_account_primary=_primary(fields["primary"]) if "primary" in fields else None,
    )
    return record, count_of(fields, "seq")


def _version(fields: dict[str, Any], store_id: str) -> tuple[VersionRow, list[str]]:
    if fields.get("t") != "version" or fields.get("kind") not in ("string", "binary"):
        raise ValueError("a version line was expected")
    arn, version_id, stages = text_of(fields, "arn"), text_of(fields, "id"), fields.get("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        raise ValueError("a version's labels are no list of texts")
    sealed = None
    if "wdk" in fields:
        value = Value(*(unpacked(text_of(fields, part)) for part in ("wdk", "n", "ct")))
        if "epoch" in fields:
            own = OwnKey(store_id, count_of(fields, "epoch"), fields["kind"])
            sealed = own_sealed(Place(arn, version_id, fields["kind"]), own, value)
        else:
            context = texts_of(fields.get("context"))
            key = text_of(fields, "key")
            also = tuple((of, unpacked(held)) for of, held in pairs_of(fields.get("also", [])))
            sealed = Sealed(key, value.wrapped_key, value.nonce, value.ciphertext, context, also)
    record = VersionRecord(arn, version_id, moment_of(fields, "created"), fields["kind"], sealed)
    return VersionRow(record, count_of(fields, "seq")), stages


def _job(fields: dict[str, Any]) -> RotationJob:
    test_only = fields.get("test_only")
    if not isinstance(test_only, bool):
        raise ValueError("a job's 'test_only' is neither true nor false")
    return RotationJob(
        arn=text_of(fields, "arn"),
        token=text_of(fields, "token"),
        asked_at=moment_of(fields, "asked"),
        due_at=moment_of(fields, "due"),
        test_only=test_only,
        attempts=count_of(fields, "attempts"),
        owner=optional_text(fields, "owner"),
        leased_until=optional_moment(fields, "leased_until"),
        fence=count_of(fields, "fence"),
        last_error=optional_text(fields, "last_error"),
    )


def _rotation_fields(settings: RotationSettings) -> dict[str, Any]:
    members = {
        "enabled": settings.enabled,
        "function": settings.function_arn,
        "days": settings.automatically_after_days,
        "duration": settings.duration,
        "schedule": settings.schedule_expression,
        "last": time_text(settings.last_rotated_at),
        "next": time_text(settings.next_rotation_at),
        "window_ends": time_text(settings.window_ends_at),
    }
    return {name: value for name, value in members.items() if value is not None}


def _rotation(fields: Any) -> RotationSettings:
    if not isinstance(fields, dict) or not isinstance(fields.get("enabled"), bool):
        raise ValueError("the rotation settings are not what they should be")
    return RotationSettings(
        enabled=fields["enabled"],
        function_arn=optional_text(fields, "function"),
        automatically_after_days=count_of(fields, "days") if "days" in fields else None,
        duration=optional_text(fields, "duration"),
        schedule_expression=optional_text(fields, "schedule"),
        last_rotated_at=optional_moment(fields, "last"),
        next_rotation_at=optional_moment(fields, "next"),
        window_ends_at=optional_moment(fields, "window_ends"),
    )


def _replica_fields(replica: Replica) -> dict[str, str]:
    members = {
        "arn": replica.arn,
        "kms_key_id": replica.kms_key_id,
        "status": replica.status,
        "message": replica.message,
        "role": replica.role_arn,
    }
    return {name: value for name, value in members.items() if value is not None}


def _replica(fields: Any) -> Replica:
    given = texts_of(fields)
    return Replica(
        arn=text_of(given, "arn"),
        kms_key_id=given.get("kms_key_id"),
        status=_status(given),
        message=given.get("message"),
        role_arn=given.get("role"),
    )


def _primary_fields(primary: CrossAccountPrimary) -> dict[str, str]:
    members = {"arn": primary.arn, "status": primary.status, "message": primary.message}
    return {name: value for name, value in members.items() if value is not None}


def _primary(fields: Any) -> CrossAccountPrimary:
    given = texts_of(fields)
    return CrossAccountPrimary(text_of(given, "arn"), _status(given), given.get("message"))


def _status(fields: Mapping[str, Any]) -> ReplicationStatus:
    for status in _STATUSES:
        if fields.get("status") == status:
            return status
    raise ValueError("a replica has a status that there is not")
