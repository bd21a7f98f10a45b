"""What the Secrets Manager agent answers, in core's words: a value or an error of the tree."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from smclient import boto_shapes
from smclient.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    InvalidParameterError,
    NotSupportedError,
    ThrottlingError,
    TransientError,
    from_code,
)
from smclient.secret import MASK, SecretValue

_STATUSES: Mapping[int, type[BackendError]] = {
    400: InvalidParameterError,
    401: CredentialsError,
    403: CredentialsError,
    405: NotSupportedError,
    429: ThrottlingError,
}
_CODE = re.compile(r'"(?:__type|code|Code)"\s*:\s*"(?:[^"#]*#)?([A-Za-z0-9.]{1,100})"')
_MESSAGE = re.compile(r'"[Mm]essage"\s*:\s*"(.*)"\s*\}', re.DOTALL)


def value_in(body: bytes) -> SecretValue | None:
    """The value in a good answer; ``None`` if it is none."""
    try:
        shape = json.loads(body)
        if isinstance(shape.get("SecretBinary"), str):
            import base64

            shape["SecretBinary"] = base64.b64decode(shape["SecretBinary"], validate=True)
        shape["CreatedDate"] = _date(shape.get("CreatedDate"))
        return boto_shapes.value_from_dict(shape)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError):
        return None  # the parser's own error holds the body


def _date(given: object) -> datetime | None:
    """Seconds as text from the agent, a number or ISO 8601 from the extension."""
    try:
        return datetime.fromtimestamp(float(str(given)), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None


def error_in(status: int, body: bytes, *, token: str, where: str) -> BackendError:
    """An answer that is no value, by AWS's code in it, else by its status. Bodies are read by
    pattern: the agent writes JSON without escaping."""
    text = body[:4000].decode("utf-8", "replace").replace(token, MASK)
    coded, told = _CODE.search(text), _MESSAGE.search(text)
    if coded is not None:
        code = coded[1].rpartition(".")[2]
        message = _plain(told[1] if told else "") or f"the agent answered {code}"
        error = from_code(code, message)
        if status >= 500 and not isinstance(error, TransientError):
            return BackendUnavailableError(f"{code}: {message}", code=code)
        return error
    if status >= 500:
        return BackendUnavailableError(f"the agent at {where} answered {status}: {_plain(text)}")
    kind = _STATUSES.get(status, BackendError)
    if kind is CredentialsError:
        return kind(
            f"the agent at {where} refused the token; it goes by the value that "
            "its own environment or token file had when it started"
        )
    hint = "; is that the agent?" if kind is BackendError else ""
    code = kind.default_code if kind is not BackendError else f"HTTP{status}"
    return kind(f"the agent at {where} answered {status}: {_plain(text)}{hint}", code=code)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()
