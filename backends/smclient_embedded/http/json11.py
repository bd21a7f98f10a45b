"""AWS JSON 1.1 without a socket: target and body in, status and body out."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from smclient_embedded.audit import Later, at_once
from smclient_embedded.context import RequestContext
from smclient_embedded.door import Door
from smclient_embedded.errors import (
    ConnectionDropped,
    NotAuthenticated,
    SerializationException,
    ServiceError,
    UnknownOperationException,
    ValidationException,
)
from smclient_embedded.known_reads import GET_SECRET_VALUE
from smclient_embedded.model import TARGET_PREFIX, json_text

CONTENT_TYPE = "application/x-amz-json-1.1"
_SHOWN = 128


class WireAnswer(NamedTuple):
    """An answer as it goes out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    dropped: bool = False
    """Do not send it: an outage on purpose. Who holds the connection closes it."""


class Call(NamedTuple):
    """A request that names an operation of the model: its body as it came, and what it holds once
    that was looked at."""

    operation: str
    raw: bytes
    content: dict[str, Any] | None = None


def answer(door: Door, target: str, body: bytes, context: RequestContext) -> WireAnswer:
    """Answer one request. Refusals are answers too; nothing is raised for them."""
    try:
        call = Call(named(target, door.model.operations), body)
    except ServiceError as error:
        return refusal(error, context.request_id)
    return respond(door, call, context)


def read(target: str, body: bytes, known: Container[str]) -> Call:
    """What a request asks for, before anybody asks who sent it.

    Raises:
        SerializationException: the body is not a JSON object.
        UnknownOperationException: the target names none of the ``known`` operations.
    """
    content = parsed(body)
    return Call(named(target, known), body, content)


def named(target: str, known: Container[str]) -> str:
    """The operation that a target names.

    Raises:
        UnknownOperationException: it names none of the ``known`` ones.
    """
    operation = target.removeprefix(TARGET_PREFIX)
    if operation not in known or not target.startswith(TARGET_PREFIX):
        raise UnknownOperationException(f"Unknown target {target[:_SHOWN]!r}")
    return operation


def respond(door: Door, call: Call, context: RequestContext, later: Later = at_once) -> WireAnswer:
    """Answer a request whose caller is known. Refusals are answers too. ``later`` is given what
    has to be done before the answer goes out, and waits for a disk."""
    try:
        if call.operation == GET_SECRET_VALUE:
            known = door.read_again(call.raw, context, later)
            if known is not None:
                return WireAnswer(200, _headers(context.request_id), known)
        content = parsed(call.raw) if call.content is None else call.content
        result = door.call_json(call.operation, content, context, later, call.raw)
    except ServiceError as error:
        return refusal(error, context.request_id)
    return answered(result, context.request_id)


def answered(result: Any, request_id: str) -> WireAnswer:
    """An answer as it goes out."""
    return WireAnswer(200, _headers(request_id), _dump(result))


def refusal(error: ServiceError, request_id: str) -> WireAnswer:
    """A refusal as it goes out."""
    headers = {**_headers(request_id), "x-amzn-ErrorType": error.code}
    dropped = isinstance(error, ConnectionDropped)
    return WireAnswer(error.status, headers, _dump(_envelope(error)), dropped)


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": CONTENT_TYPE, "x-amzn-RequestId": request_id}


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises ``SerializationException``."""
    try:
        content = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise SerializationException("The request body is not JSON.") from None
    if not isinstance(content, dict):
        raise SerializationException("Start of structure expected.")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _envelope(error: ServiceError) -> dict[str, str]:
    """AWS writes ``message`` for a broken limit of the model and where it does not know the caller,
    and ``Message`` for the rest."""
    in_front = isinstance(error, ValidationException | NotAuthenticated)
    return {"__type": error.code, "message" if in_front else "Message": str(error)}


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _dump(content: Any) -> bytes:
    return json_text(content).encode()
