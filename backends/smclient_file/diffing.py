"""What differs between two files, in names and labels. No value, no text that a user wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smclient_file.lines import Content, VersionRow
from smclient_file.tables import Tables


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one secret: ``added``, ``removed``, or ``changed`` with the details."""

    name: str
    arn: str
    change: str
    details: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "arn": self.arn,
            "change": self.change,
            "details": list(self.details),
        }


_FIELDS = {
    "description": "description",
    "kms_key_id": "KMS key",
    "rotation": "rotation",
    "policies": "policy",
    "owning_service": "owning service",
    "secret_type": "type",
    "primary_region": "primary region",
    "replicas": "replicas",
    "cross_account_primary": "cross-account primary",
}
"""Fields of a secret that a change is told of, and what they are called."""


def differences(old: Tables, new: Tables) -> list[Difference]:
    """What differs, by name. Secrets whose lines are the same are not even read."""
    found: list[Difference] = []
    for arn in old.entries.keys() | new.entries.keys():
        before, after = old.entries.get(arn), new.entries.get(arn)
        if before is None or after is None:
            entry = before or after
            assert entry is not None
            change = "added" if before is None else "removed"
            found.append(Difference(entry.name[2], arn, change))
        elif before.block != after.block:
            details = tuple(_details(before.content(), after.content()))
            found.append(Difference(after.name[2], arn, "changed", details))
    return sorted(found, key=lambda difference: (difference.name, difference.arn))


def _details(old: Content, new: Content) -> Iterator[str]:
    if old.record.name != new.record.name:
        yield f"name was {old.record.name}"
    for field, called in _FIELDS.items():
        if getattr(old.record, field) != getattr(new.record, field):
            yield called
    yield from _keys("tag", dict(old.record.tags or ()), dict(new.record.tags or ()))
    if old.record.deleted_at != new.record.deleted_at:
        yield "marked for deletion" if new.record.deleted_at else "restored"
    for version_id in sorted(old.versions.keys() | new.versions.keys()):
        detail = _version(version_id, old.versions.get(version_id), new.versions.get(version_id))
        if detail:
            yield detail
    for label in sorted(old.labels.keys() | new.labels.keys()):
        before, after = old.labels.get(label, "none"), new.labels.get(label, "none")
        if before != after:
            yield f"label {label}: {before} -> {after}"
    if old.job != new.job:
        yield "rotation under way" if new.job else "rotation ended"


def _keys(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield f"{what} {key} added"
        elif key not in new:
            yield f"{what} {key} removed"
        elif old[key] != new[key]:
            yield f"{what} {key} changed"


def _version(version_id: str, old: VersionRow | None, new: VersionRow | None) -> str | None:
    if old is None:
        return f"version {version_id} added"
    if new is None:
        return f"version {version_id} removed"
    before, after = old.record.sealed, new.record.sealed
    if before is None or after is None:
        return None if before is after else f"version {version_id} got its value"
    if before.ciphertext != after.ciphertext:
        return f"version {version_id} sealed anew"
    return None if before == after else f"version {version_id} under another key"
