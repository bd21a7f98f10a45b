"""Rotations that nodes leave to each other, and since when: one setting of the store, so that it
counts for all of them, and for one that is started anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import RotationJob

SETTING = "rotations-left"

_Left = Mapping[str, tuple[str, int, str]]
"""By ARN: the token of the rotation, the attempts made by then, the moment."""


def left_since(job: RotationJob, tx: Transaction) -> datetime | None:
    """When a node first left this rotation to others; ``None`` if none did since it was asked for,
    or since its last attempt."""
    entry = _read(tx).get(job.arn)
    if entry is None or not _is_of(entry, job):
        return None
    return datetime.fromisoformat(entry[2])


def note_left(job: RotationJob, tx: Transaction, *, now: datetime) -> None:
    """A node leaves this rotation to others, the first to do so. What was noted of rotations that
    went on or ended since is dropped."""
    kept = {
        arn: entry
        for arn, entry in _read(tx).items()
        if (other := tx.rotation_job(arn)) is not None and _is_of(entry, other)
    }
    kept[job.arn] = (job.token, job.attempts, now.isoformat())
    tx.put_setting(SETTING, json.dumps(kept).encode())


def _is_of(entry: tuple[str, int, str], job: RotationJob) -> bool:
    token, attempts, since = entry
    is_same = (token, attempts) == (job.token, job.attempts)
    return is_same and datetime.fromisoformat(since) >= job.asked_at


def _read(tx: Transaction) -> _Left:
    content = tx.setting(SETTING)
    if content is None:
        return {}
    return {arn: (token, n, since) for arn, (token, n, since) in json.loads(content).items()}
