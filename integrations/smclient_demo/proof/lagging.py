"""Reads that are behind: what AWS calls eventual consistency, made visible.

``History`` is told when something may have changed and keeps what could be read then; a
``LaggingBackend`` answers each read with what could be read a random time ago.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smclient import (
    Answer,
    Backend,
    Identity,
    ResourceNotFoundError,
    SecretDescription,
    SecretRef,
    SecretValue,
    SmclientError,
)


@dataclass(frozen=True, slots=True)
class _Moment:
    at: float
    described: SecretDescription
    versions: Mapping[str, SecretValue]


class History:
    """What could be read of one secret since when. Safe between threads."""

    def __init__(self, backend: Backend, secret_id: str) -> None:
        self._backend = backend
        self._secret_id = secret_id
        self._lock = threading.Lock()
        self._moments: list[_Moment] = []
        self.note()

    def note(self) -> None:
        """Keep what can be read now."""
        described = self._backend.describe(self._secret_id).value
        versions = {}
        for version_id in described.version_stages:
            try:
                ref = SecretRef(self._secret_id, None, version_id)
                versions[version_id] = self._backend.fetch(ref).value
            except ResourceNotFoundError:
                continue  # it has no value yet
        with self._lock:
            self._moments.append(_Moment(time.monotonic(), described, versions))
            del self._moments[:-100]

    def as_of(self, moment: float) -> _Moment:
        """The newest that could be read at a moment; the oldest kept if that is long ago."""
        with self._lock:
            known = [kept for kept in self._moments if kept.at <= moment]
            return known[-1] if known else self._moments[0]


class LaggingBackend:
    """A backend whose reads of one secret are behind, each by a random time up to ``lag``."""

    def __init__(self, inner: Backend, history: History, lag: float) -> None:
        self._inner = inner
        self._history = history
        self._lag = lag

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        return Answer(self._value(self._seen(), ref))

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """See ``Backend.fetch_many``."""
        seen = self._seen()
        return Answer({name: self._value(seen, SecretRef(name)) for name in secret_ids})

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        return Answer(self._seen().described)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """See ``Backend.call``; not behind."""
        return self._inner.call(operation, parameters)

    def identity(self) -> Identity:
        """See ``Backend.identity``."""
        return self._inner.identity()

    def close(self) -> None:
        """See ``Backend.close``."""
        self._inner.close()

    def _seen(self) -> _Moment:
        return self._history.as_of(time.monotonic() - random.uniform(0.0, self._lag))  # noqa: S311

    def _value(self, seen: _Moment, ref: SecretRef) -> SecretValue:
        version_id = ref.version_id
        if version_id is None:
            version_id = seen.described.version_at(ref.version_stage or "AWSCURRENT")
        value = seen.versions.get(version_id or "")
        if value is None:
            raise ResourceNotFoundError(
                f"Secrets Manager can't find {ref.version_stage or version_id} of the secret"
            )
        return SecretValue(
            arn=value.arn,
            name=value.name,
            version_id=value.version_id,
            version_stages=seen.described.version_stages.get(value.version_id, frozenset()),
            created_date=value.created_date,
            text=value.text,
        )
