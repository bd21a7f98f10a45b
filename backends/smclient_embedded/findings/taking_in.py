"""Findings of others in ASFF: checked, kept, updated. They are kept as they came."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from smclient.errors import ConfigError
from smclient_embedded.findings.asff import SCHEMA_VERSION
from smclient_embedded.store.ports import StoreError

LARGEST = 240 * 1024
"""Bytes of a finding, as Security Hub has it."""
MOST_KEPT = 1000
"""The newest are kept."""

REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "SchemaVersion": str,
    "Id": str,
    "ProductArn": str,
    "GeneratorId": str,
    "AwsAccountId": str,
    "Types": list,
    "CreatedAt": str,
    "UpdatedAt": str,
    "Severity": dict,
    "Title": str,
    "Description": str,
    "Resources": list,
}
"""What a finding must have. Types may be missing where FindingProviderFields has them."""

OPTIONAL: Mapping[str, type] = {
    "ProductName": str,
    "Region": str,
    "RecordState": str,
    "FindingProviderFields": dict,
    "Compliance": dict,
    "Compliance.Status": str,
    "Compliance.SecurityControlId": str,
    "Compliance.StatusReasons": list,
    "Workflow": dict,
    "Workflow.Status": str,
}
"""What a finding may have that is looked at here; ``null`` is none of it."""

ONE_OF: Mapping[str, Sequence[str]] = {
    "RecordState": ("ACTIVE", "ARCHIVED"),
    "Compliance.Status": ("PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"),
    "Workflow.Status": ("NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"),
}

_LABELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")


class InvalidFindingError(ConfigError):
    """What was to be taken in is no finding in ASFF; the message says which, where and why."""


def checked(finding: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A copy of a finding that has what ASFF requires.

    Raises:
        InvalidFindingError
    """
    where = f"finding {number}"
    if not isinstance(finding, Mapping):
        raise InvalidFindingError(f"{where} is not an object")
    where += f" ({finding['Id']})" if isinstance(finding.get("Id"), str) else ""
    provider = finding.get("FindingProviderFields")
    given = {**(provider if isinstance(provider, Mapping) else {}), **finding}
    for name, kind in REQUIRED.items():
        if name not in given:
            raise InvalidFindingError(f"{where} has no {name}")
        if not isinstance(given[name], kind) or not given[name]:
            raise InvalidFindingError(f"{where}: {name} is not what ASFF has there")
    if given["SchemaVersion"] != SCHEMA_VERSION:
        raise InvalidFindingError(f"{where}: SchemaVersion is not {SCHEMA_VERSION}")
    if given["Severity"].get("Label", "LOW") not in _LABELS:
        raise InvalidFindingError(f"{where}: Severity.Label is none of {', '.join(_LABELS)}")
    for name in ("CreatedAt", "UpdatedAt"):
        _moment(given[name], f"{where}: {name}")
    for resource in given["Resources"]:
        texts = [resource.get(n) for n in ("Type", "Id")] if isinstance(resource, Mapping) else []
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise InvalidFindingError(f"{where}: a resource has a Type and an Id")
    _check_optional(finding, where)
    try:
        text = json.dumps(finding)
    except (TypeError, ValueError, RecursionError):
        raise InvalidFindingError(f"{where} is more than JSON can say") from None
    if len(text.encode()) > LARGEST:
        raise InvalidFindingError(f"{where} is larger than {LARGEST} bytes")
    taken: dict[str, Any] = json.loads(text)
    taken.setdefault("Types", given["Types"])
    taken.setdefault("Severity", given["Severity"])
    taken["Severity"].setdefault("Label", _label(taken["Severity"]))
    taken.setdefault("RecordState", "ACTIVE")
    taken.setdefault("Workflow", {}).setdefault("Status", "NEW")
    return taken


def _check_optional(finding: Mapping[str, Any], where: str) -> None:
    for name, kind in OPTIONAL.items():
        outer, _, inner = name.partition(".")
        holder = finding.get(outer, {}) if inner else finding
        if (inner or outer) not in holder:
            continue
        value = holder[inner or outer]
        if not isinstance(value, kind) or (name in ONE_OF and value not in ONE_OF[name]):
            raise InvalidFindingError(f"{where}: {name} is not what ASFF has there")
    for reason in finding.get("Compliance", {}).get("StatusReasons", []):
        if not isinstance(reason, Mapping) or not isinstance(reason.get("Description", ""), str):
            raise InvalidFindingError(f"{where}: a reason of Compliance is an object")


def merged(
    kept: Sequence[Mapping[str, Any]], taken: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """What is to be kept, the newest first, and how many of those taken in are new or newer."""
    by_id = {_key(one): dict(one) for one in kept}
    changed = 0
    for one in taken:
        before = by_id.get(_key(one))
        if before is not None:
            if _moment(one["UpdatedAt"], "") <= _moment(before["UpdatedAt"], ""):
                continue
            one = {**one, "Workflow": before["Workflow"], "CreatedAt": before["CreatedAt"]}
        by_id[_key(one)] = dict(one)
        changed += 1
    newest = sorted(by_id.values(), key=lambda o: _moment(o["UpdatedAt"], ""), reverse=True)
    return copy.deepcopy(newest[:MOST_KEPT]), changed


def read(content: bytes | None) -> list[dict[str, Any]]:
    """What ``written`` made.

    Raises:
        StoreError
    """
    if content is None:
        return []
    try:
        found: list[dict[str, Any]] = json.loads(zlib.decompress(content))
    except (ValueError, zlib.error) as error:
        raise StoreError("the findings that were taken in cannot be read: damaged") from error
    return found


def written(findings: Sequence[Mapping[str, Any]]) -> bytes:
    """Findings as a store keeps them."""
    return zlib.compress(json.dumps(findings).encode())


def _key(finding: Mapping[str, Any]) -> tuple[str, str]:
    return finding["ProductArn"], finding["Id"]


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidFindingError(f"{where} is no time such as 2026-09-24T10:20:30Z")
    return moment


def _label(severity: Mapping[str, Any]) -> str:
    """Security Hub's label of a normalized severity."""
    normalized = severity.get("Normalized", 1)
    if not isinstance(normalized, int | float) or normalized <= 0:
        return "INFORMATIONAL"
    for most, label in ((39, "LOW"), (69, "MEDIUM"), (89, "HIGH")):
        if normalized <= most:
            return label
    return "CRITICAL"
