"""Staging labels and how they move: on one version at most, AWSPREVIOUS after AWSCURRENT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from smclient_embedded.store.ports import Transaction


def labels_of(labels: Mapping[str, str], version_id: str) -> list[str]:
    """The labels on one version, sorted."""
    return sorted(label for label, at in labels.items() if at == version_id)


def attach(tx: Transaction, arn: str, labels: Iterable[str], version_id: str) -> None:
    """Put labels on a version, taking them from others; AWSPREVIOUS goes where AWSCURRENT was."""
    for label in labels:
        left = tx.labels(arn).get(label)
        tx.put_label(arn, label, version_id)
        if label == AWSCURRENT and left is not None and left != version_id:
            tx.put_label(arn, AWSPREVIOUS, left)


def pending_elsewhere(labels: Mapping[str, str]) -> str | None:
    """The version of a rotation that is not complete: AWSPENDING on another than AWSCURRENT's."""
    pending = labels.get(AWSPENDING)
    return pending if pending is not None and pending != labels.get(AWSCURRENT) else None


def abandon_rotation(tx: Transaction, arn: str, *, by: str) -> bool:
    """Version ``by``, put by hand, ends a rotation to another version: AWSPENDING goes.

    Returns whether there was one.
    """
    if pending_elsewhere(tx.labels(arn)) in (None, by):
        return False
    tx.remove_label(arn, AWSPENDING)
    tx.remove_rotation_job(arn)
    return True
