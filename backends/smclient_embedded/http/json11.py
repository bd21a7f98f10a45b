"""AWS JSON 1.1 without a socket: target and body in, status and body out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.door import Door
from smclient_embedded.errors import (
    SerializationException,
    ServiceError,
    UnknownOperationException,
    ValidationException,
)
from smclient_embedded.model import TARGET_PREFIX, to_json

CONTENT_TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """An answer as it goes out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answer(door: Door, target: str, body: bytes, context: RequestContext) -> WireAnswer:
    """Answer one request. Refusals are answers too; nothing is raised for them."""
    headers = {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": context.request_id}
    try:
        operation = _operation(target)
        result = door.call_json(operation, _parsed(body), context)
    except ServiceError as error:
        headers["x-amzn-ErrorType"] = error.code
        return WireAnswer(error.status, headers, _dump(_envelope(error)))
    return WireAnswer(200, headers, _dump(to_json(result)))


def _operation(target: str) -> str:
    if not target.startswith(TARGET_PREFIX):
        raise UnknownOperationException(f"Unknown target {target!r}")
    return target.removeprefix(TARGET_PREFIX)


def _parsed(body: bytes) -> Any:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise SerializationException("The request body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise SerializationException("Start of structure expected.")
    return parsed


def _envelope(error: ServiceError) -> dict[str, str]:
    """AWS writes ``message`` for a broken limit of the model and ``Message`` for the rest."""
    text = "message" if isinstance(error, ValidationException) else "Message"
    return {"__type": error.code, text: str(error)}


def _dump(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
