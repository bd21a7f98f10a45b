"""One generation of the file in memory, and what the process remembers beside it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date

from smclient_embedded.store import AuditRecord, KeyRecord
from smclient_file.crypto import StoreKeys
from smclient_file.format import Header
from smclient_file.lines import Content
from smclient_file.slots import Slot
from smclient_file.tables import Tables
from smclient_file.write import Signature

KEPT_AUDIT = 10_000


@dataclass(frozen=True, slots=True)
class Generation:
    """The file as it was read or written, believed."""

    header: Header
    mac: str
    keys: StoreKeys = field(repr=False)
    slot: Slot = field(repr=False)
    tables: Tables = field(repr=False)
    signature: Signature = field(repr=False)


@dataclass(slots=True)
class Memory:
    """What this process remembers and the file does not keep: the audit trail, KMS keys (values
    are sealed by the file's own), and when something was last read. ``audit_seen`` counts all
    records of the trail that ever were."""

    audit: deque[AuditRecord] = field(default_factory=lambda: deque(maxlen=KEPT_AUDIT))
    audit_seen: int = 0
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    accessed: dict[tuple[str, str], date] = field(default_factory=dict)


def without_versions(content: Content, version_ids: set[str]) -> Content:
    """A secret without some versions and their labels."""
    return replace(
        content,
        versions={at: row for at, row in content.versions.items() if at not in version_ids},
        labels={label: at for label, at in content.labels.items() if at not in version_ids},
    )
