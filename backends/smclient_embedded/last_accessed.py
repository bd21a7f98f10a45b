"""LastAccessedDate: the day on which a version, and its secret, was read last.

It is a day, so it is written once a day for each version. Those who read at once write together: a
write ends what is kept of all reads, and at midnight everything is read for the first time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from smclient_embedded.store.ports import Store, StoreError
from smclient_embedded.store.records import VersionRecord
from smclient_embedded.together import Together

logger = logging.getLogger("smclient.embedded")

_Read = tuple[str, str, date]
"""ARN and version id of what was read, and when."""


class LastAccessed:
    """Writes it into one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads: Together[_Read] = Together(self._write)

    def on(self, day: date, versions: Sequence[VersionRecord]) -> None:
        """Say that versions were read on a day. Comes back when that is written. A store that
        cannot take it is no reason to refuse a read: that is logged."""
        for version in versions:
            self._reads.hold((version.arn, version.version_id, day))
        self._reads.flush()

    def _write(self, reads: Sequence[_Read]) -> None:
        try:
            with self._store.transaction(write=True) as tx:
                for arn, version_id, day in dict.fromkeys(reads):
                    secret, version = tx.secret(arn), tx.version(arn, version_id)
                    if secret is not None and version is not None:
                        tx.put_secret(replace(secret, accessed_on=day))
                        tx.put_version(replace(version, accessed_on=day))
        except StoreError as error:
            logger.error("LastAccessedDate cannot be written: %s", error)
