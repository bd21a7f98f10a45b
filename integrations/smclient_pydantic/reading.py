"""Reading what a settings class refers to: one batch, an error a field, a log for ``watch``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from smclient import (
    ResourceNotFoundError,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.errors import BackendError, ConfigError, InvalidReferenceError
from smclient.fresh import note
from smclient.references import AnyReference, Reference, pick, shown
from smclient.remedies import with_remedy
from smclient_pydantic.fields import Path

UNREADABLE = "secret_unreadable"
"""The type of an error that lies not in a value: the backend refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Read:
    """One version of a secret that went into a settings instance."""

    client: SecretsClient
    ref: SecretRef
    version_id: str

    def version_now(self) -> str | None:
        """What a new instance would be made of; None: the secret or label is gone.

        Raises:
            What ``SecretsClient.get`` does.
        """
        ref = self.ref
        try:
            value = self.client.get(
                ref.secret_id, version_stage=ref.version_stage, version_id=ref.version_id
            )
        except ResourceNotFoundError:
            return None
        return value.version_id


_reads: ContextVar[list[Read] | None] = ContextVar("smclient_pydantic_reads", default=None)


@contextmanager
def noted() -> Iterator[list[Read]]:
    """Everything that is read meanwhile, in this context."""
    reads: list[Read] = []
    token = _reads.set(reads)
    try:
        yield reads
    finally:
        _reads.reset(token)


class Values:
    """What a client answered for many references: a value or an error for each secret."""

    def __init__(self, client: SecretsClient, references: Iterable[AnyReference]) -> None:
        self._found: dict[SecretRef, SecretValue] = {}
        self._errors: dict[SecretRef, SmclientError] = {}
        refs = list(dict.fromkeys(ref for reference in references for ref in reference.refs()))
        current = [ref for ref in refs if ref.is_current]
        if len(current) > 1:
            batch = client.get_many([ref.secret_id for ref in current])
            self._found = {SecretRef(name): value for name, value in batch.values.items()}
            self._errors = {SecretRef(name): error for name, error in batch.errors.items()}
        for ref in refs:
            if ref not in self._found and ref not in self._errors:
                self._get(client, ref)
        log = _reads.get()
        if log is not None:
            found = self._found
            note(client, found)
            log += [Read(client, ref, found[ref].version_id) for ref in refs if ref in found]

    def resolve(self, reference: AnyReference) -> Any:
        """What a reference says; None where it is optional and leads nowhere.

        Raises:
            SmclientError
        """
        return reference.render(self._read)

    def value(self, ref: SecretRef) -> SecretValue:
        """One secret. Raises its error."""
        if ref in self._errors:
            raise self._errors[ref]
        return self._found[ref]

    def _get(self, client: SecretsClient, ref: SecretRef) -> None:
        try:
            self._found[ref] = client.get(
                ref.secret_id, version_stage=ref.version_stage, version_id=ref.version_id
            )
        except SmclientError as error:
            self._errors[ref] = error

    def _read(self, reference: Reference) -> Any:
        try:
            value = self.value(reference.ref)
        except ResourceNotFoundError:
            if reference.optional:
                return None
            raise
        return pick(value, reference)


@dataclass(frozen=True, slots=True)
class Failure:
    """A field whose reference could not be resolved."""

    path: Path
    reference: AnyReference | str
    error: SmclientError

    def details(self) -> InitErrorDetails:
        """As pydantic wants it: the input is the reference, never a value."""
        text, told = shown(self.reference), with_remedy(self.error)
        if not isinstance(self.error, InvalidReferenceError):  # that says itself what is bad
            told = f"{text}: {told}"
        kind = PydanticCustomError(_kind(self.error), "{told}", {"told": told})
        return InitErrorDetails(type=kind, loc=self.path, input=text)


def refuse(title: str, failures: Sequence[Failure]) -> None:
    """Raise pydantic's ``ValidationError`` with one line for each failure, if there is any."""
    if failures:
        raise ValidationError.from_exception_data(title, [f.details() for f in failures])


def _kind(error: SmclientError) -> Any:
    if isinstance(error, InvalidReferenceError):
        return "secret_reference"
    if isinstance(error, ConfigError):
        return "secret_config"
    return UNREADABLE if isinstance(error, BackendError) else "secret_content"
