"""``null://``: placeholders instead of secrets, for builds that import settings but use none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smclient.backend import Answer, BackendUrl, Identity
from smclient.clock import Clock
from smclient.errors import NotSupportedError, SmclientError
from smclient.secret import AWSCURRENT, SecretDescription, SecretRef, SecretValue

PLACEHOLDER = "smclient-null-placeholder"
VERSION_ID = "00000000-0000-0000-0000-000000000000"


class _AnyKey(dict[str, Any]):
    """A JSON object that has every key."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str)

    def __missing__(self, key: str) -> str:
        return PLACEHOLDER

    def get(self, key: str, default: Any = None) -> Any:
        """The placeholder."""
        return PLACEHOLDER


class PlaceholderValue(SecretValue):
    """A value whose text is JSON and which answers every key with the placeholder."""

    __slots__ = ()

    @property
    def fields(self) -> Mapping[str, Any]:
        """Every key there can be."""
        return _AnyKey()


class NullBackend:
    """Answers every read with a placeholder and refuses everything else. Asks nobody."""

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """A placeholder, whatever is asked."""
        return Answer(_placeholder(ref.secret_id), attempts=0)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """A placeholder for each id."""
        return Answer({i: _placeholder(i) for i in secret_ids}, attempts=0)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """A secret with one version, AWSCURRENT."""
        value = _placeholder(secret_id)
        stages = {VERSION_ID: frozenset({AWSCURRENT})}
        return Answer(SecretDescription(value.arn, value.name, stages), attempts=0)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """Always ``NotSupportedError``."""
        raise NotSupportedError(
            f"the null backend has no {operation}; it only gives placeholders for builds",
            attempts=0,
        )

    def identity(self) -> Identity:
        """Nobody."""
        return Identity("000000000000", "null", "null://", "null")

    def close(self) -> None:
        """Nothing to let go of."""


def _placeholder(secret_id: str) -> SecretValue:
    whole = f"arn:aws:secretsmanager:null:000000000000:secret:{secret_id}-000000"
    arn = secret_id if secret_id.startswith("arn:") else whole
    return PlaceholderValue(
        arn=arn,
        name=secret_id,
        version_id=VERSION_ID,
        version_stages={AWSCURRENT},
        text=json.dumps({"username": PLACEHOLDER, "password": PLACEHOLDER}),
    )


def open_backend(url: BackendUrl, *, clock: Clock) -> NullBackend:
    """Entry point of ``null://``. Raises ``UnknownSettingError`` for any option."""
    url.take()
    return NullBackend()
