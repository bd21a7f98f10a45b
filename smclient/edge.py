"""A backend with every call entered in the books: attempts, time, region, values, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from smclient import boto_shapes
from smclient.backend import Answer, Backend, fetch_newest
from smclient.errors import BackendError, SmclientError, explain
from smclient.metering import VALUE_OPERATIONS, Meter
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient.usage import UNKNOWN

T = TypeVar("T")


class Edge:
    """Asks a backend and counts. Raises what the backend raises."""

    def __init__(self, backend: Backend, meter: Meter, monotonic: Callable[[], float]) -> None:
        self._backend = backend
        self._meter = meter
        self._now = monotonic

    def fetch(self, ref: SecretRef, *, newest: bool = False) -> SecretValue:
        """GetSecretValue; ``newest`` reads past a cache that stands in between."""
        ask = fetch_newest(self._backend) if newest else self._backend.fetch
        return self._called("GetSecretValue", lambda: ask(ref), ref.secret_id)

    def fetch_many(self, page: Sequence[str]) -> Mapping[str, SecretValue | SmclientError]:
        """BatchGetSecretValue."""
        return self._called(
            "BatchGetSecretValue", lambda: self._backend.fetch_many(page), *page[:1]
        )

    def describe(self, secret_id: str) -> SecretDescription:
        """DescribeSecret; tells the books which key a secret is under and its tags."""
        told = self._called("DescribeSecret", lambda: self._backend.describe(secret_id), secret_id)
        self._meter.described(told.arn, told.kms_key_id, told.tags.items())
        return told

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Any operation; a description is told to the books here too."""
        asked = parameters.get("SecretId") or parameters.get("Name") or ""
        ask = lambda: self._backend.call(operation, parameters)  # noqa: E731
        answer = self._called(operation, ask, str(asked))
        if operation == "DescribeSecret" and "ARN" in answer:
            tags = [(tag["Key"], tag["Value"]) for tag in answer.get("Tags", ())]
            self._meter.described(answer["ARN"], answer.get("KmsKeyId"), tags)
        return answer

    def pages(self, operation: str, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The answers of an operation that gives what passes filters, page by page."""
        return boto_shapes.pages(partial(self.call, operation), {"Filters": filters})

    def _called(self, operation: str, ask: Callable[[], Answer[T]], *asked: str) -> T:
        began = self._now()
        try:
            answer = ask()
        except BackendError as error:
            self._meter.failed(
                operation,
                error.attempts,
                error.code,
                region=region_of(asked),
                seconds=self._now() - began,
            )
            raise
        seconds = self._now() - began
        sizes = _values(operation, answer.value)
        arns = [arn for arn, _ in sizes]
        for miss in answer.missed:
            self._meter.failed(operation, miss.attempts, miss.code, region=miss.region)
        self._meter.called(
            operation,
            answer.attempts,
            values_of=arns,
            received=[(arn, size) for arn, size in sizes if size is not None],
            region=answer.region or region_of([*arns, *_arns(answer.value), *asked]),
            seconds=seconds,
        )
        if operation == "BatchGetSecretValue":
            self._meter.refused(_codes(answer.value))
        return answer.value


def explained(error: SmclientError, ref: SecretRef) -> SmclientError:
    """A backend's error that says which secret and stage it was about."""
    if not isinstance(error, BackendError):
        return error
    return explain(error, secret=ref.secret_id, stage=ref.version_stage)


def region_of(secret_ids: Iterable[str]) -> str:
    """The region of the first ARN among them."""
    for secret_id in secret_ids:
        parts = secret_id.split(":")
        if parts[0] == "arn" and len(parts) > 5 and parts[3]:
            return parts[3]
    return UNKNOWN


def _arns(value: Any) -> list[str]:
    found = value.get("ARN") if isinstance(value, dict) else getattr(value, "arn", None)
    return [found] if isinstance(found, str) else []


def _values(operation: str, value: Any) -> list[tuple[str, int | None]]:
    """The ARNs of the secrets whose values an answer shows to have been opened or sealed, with
    the size of those that came."""
    if isinstance(value, SecretValue):
        return [(value.arn, value.size())]
    if operation == "BatchGetSecretValue":
        if "SecretValues" in value:
            return [(entry["ARN"], _size(entry)) for entry in value["SecretValues"]]
        values = [entry for entry in value.values() if isinstance(entry, SecretValue)]
        return [(entry.arn, entry.size()) for entry in values]
    if operation in VALUE_OPERATIONS and value.get("VersionId"):
        return [(value["ARN"], _size(value))]
    return []


def _size(shape: Mapping[str, Any]) -> int | None:
    """The size of the value in boto3's shape of it, if there is one."""
    text, binary = shape.get("SecretString"), shape.get("SecretBinary")
    if text is not None:
        return len(text.encode())
    return None if binary is None else len(binary)


def _codes(value: Any) -> list[str]:
    """AWS's codes of the refusals inside a batch."""
    if "SecretValues" in value or "Errors" in value:
        return [entry["ErrorCode"] for entry in value.get("Errors", ())]
    return [entry.code for entry in value.values() if isinstance(entry, BackendError)]
