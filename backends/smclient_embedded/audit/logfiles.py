"""The trail as CloudTrail's log files: gzipped JSON, named and laid out as CloudTrail does in S3.

    AWSLogs/<account>/CloudTrail/<region>/<yyyy>/<mm>/<dd>/
        <account>_CloudTrail_<region>_<yyyymmddThhmm>Z_<unique>.json.gz

The unique part is made from the records, so the same records come under the same name again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from smclient_embedded.audit.trail import AuditTrail
from smclient_embedded.store.records import AuditRecord, Scope

MOST_RECORDS = 5000
"""So many are in one file at most."""


def export(
    trail: AuditTrail,
    folder: Path,
    *,
    scopes: Sequence[Scope] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Path]:
    """Write the records of some scopes (all unless given) as log files, and return the files in
    the order of their names. Each is there as a whole or not at all, mode 0600.

    Raises:
        OSError: a file cannot be written.
        StoreError
    """
    written: list[Path] = []
    for scope in trail.scopes() if scopes is None else scopes:
        records = list(trail.newest_first(scope, since=since, until=until))[::-1]
        written += _write_all(folder, scope, records)
    return written


def log_path(scope: Scope, records: Sequence[AuditRecord]) -> Path:
    """Where CloudTrail would put a file of these records, under the bucket's root."""
    last = records[-1].at.astimezone(UTC)
    digest = hashlib.sha256("\0".join(record.event_id for record in records).encode())
    name = (
        f"{scope.account}_CloudTrail_{scope.region}_{last:%Y%m%dT%H%M}Z_"
        f"{digest.hexdigest()[:16]}.json.gz"
    )
    day = Path("AWSLogs", scope.account, "CloudTrail", scope.region, f"{last:%Y/%m/%d}")
    return day / name


def log_content(records: Iterable[AuditRecord]) -> bytes:
    """The content of a log file. The same records give the same bytes."""
    text = json.dumps({"Records": [record.document for record in records]}, separators=(",", ":"))
    return gzip.compress(text.encode(), mtime=0)


def _write_all(folder: Path, scope: Scope, records: list[AuditRecord]) -> Iterator[Path]:
    for _, of_day in groupby(records, key=lambda record: record.at.astimezone(UTC).date()):
        day = list(of_day)
        for first in range(0, len(day), MOST_RECORDS):
            part = day[first : first + MOST_RECORDS]
            path = folder / log_path(scope, part)
            _write(path, log_content(part))
            yield path


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
