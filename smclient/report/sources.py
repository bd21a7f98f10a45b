"""Usage from wherever a process left it: a folder of snapshots, a file, a metrics endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smclient.errors import ConfigError
from smclient.report import prometheus, snapshots
from smclient.report.snapshots import Snapshot

ENDPOINT = ("http://", "https://")


def read(source: str, *, now: datetime) -> list[Snapshot]:
    """The snapshots at a source.

    Args:
        source: a folder that ``SnapshotWriter`` writes to, the address of a metrics endpoint, or a
            file: a writer's, Prometheus text, or ``Usage.to_dict()`` as JSON (one, several in an
            array, or one a line).
        now: when the numbers of an endpoint were taken.

    Raises:
        BackendUnavailableError: the endpoint does not answer.
        ConfigError: there is nothing there, or no usage in it.
    """
    if source.startswith(ENDPOINT):
        return [Snapshot(source, now, prometheus.read(source))]
    path = Path(source)
    if path.is_dir():
        return snapshots.read(path)
    try:
        text = path.read_text(encoding="utf-8")
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{source} cannot be read: {told}") from None
    return read_text(text, source, taken=changed)


def read_text(text: str, source: str, *, taken: datetime) -> list[Snapshot]:
    """The snapshots in the text of a file. Raises ``ConfigError``, naming ``source``."""
    documents = _documents(text)
    if documents is None:
        try:
            return [Snapshot(source, taken, prometheus.parse(text))]
        except ConfigError as error:
            raise ConfigError(f"{source} is neither JSON nor usage as metrics: {error}") from None
    found = []
    for number, document in enumerate(documents, 1):
        found += snapshots.from_document(document, f"{source}:{number}", taken, source=source)
    if not found:
        raise ConfigError(f"{source} holds no snapshot of Usage.to_dict()")
    return found


def _documents(text: str) -> list[Any] | None:
    """The JSON documents of a text: one, those of an array, or one a line; ``None`` for no JSON."""
    try:
        return list(_flat([json.loads(text)]))
    except (ValueError, RecursionError):
        pass
    try:
        return list(_flat([json.loads(line) for line in text.splitlines() if line.strip()]))
    except (ValueError, RecursionError):
        return None


def _flat(documents: list[Any]) -> Iterator[Any]:
    for document in documents:
        yield from document if isinstance(document, list) else [document]
