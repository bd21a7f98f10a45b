"""Asking a running server for what is no operation of AWS's: functions and the control endpoint."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from smclient.errors import (
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    SmclientError,
    from_code,
)
from smclient_embedded.errors import NotAuthenticated

ANSWER_SECONDS = 960.0
"""How long an answer may take: an invocation is answered when it ends."""

_NOT_AUTHENTICATED = frozenset(kind.__name__ for kind in NotAuthenticated.__subclasses__())


def ask(
    endpoint: str,
    method: str,
    path: str,
    given: Mapping[str, Any] | None,
    *,
    region: str,
    headers: Mapping[str, str],
    must_sign: bool = True,
) -> dict[str, Any]:
    """The JSON that a server answers, asked with the AWS credentials of this environment.

    Args:
        given: the body; ``None`` for none.
        must_sign: whether credentials are needed; else a request without any goes unsigned.

    Raises:
        ConfigError: there are no credentials, or it is no endpoint.
        BackendError: the server refused, or cannot be reached.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigError(f"--endpoint {endpoint} is no http:// or https:// URL")
    body = b"" if given is None else json.dumps(given).encode()
    url = f"{endpoint.rstrip('/')}/{path.lstrip('/')}"
    request = urllib.request.Request(  # noqa: S310  http or https, checked above
        url,
        body or None,
        _signed(method, url, body, headers, region=region, must_sign=must_sign),
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise _refusal(error) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BackendUnavailableError(f"the server at {endpoint} cannot be reached") from error


def _signed(
    method: str, url: str, body: bytes, headers: Mapping[str, str], *, region: str, must_sign: bool
) -> dict[str, str]:
    import botocore.session
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        if not must_sign:
            return dict(headers)
        raise ConfigError(
            "there are no AWS credentials to sign with; the server prints where its own are "
            "(AWS_SHARED_CREDENTIALS_FILE)"
        )
    request = AWSRequest(method, url, data=body, headers=dict(headers))
    SigV4Auth(credentials, "secretsmanager", region).add_auth(request)
    return dict(request.prepare().headers.items())


def _refusal(error: urllib.error.HTTPError) -> SmclientError:
    try:
        shape = json.load(error)
        code, message = str(shape["__type"]), str(shape.get("Message") or shape.get("message"))
    except (ValueError, KeyError, TypeError):
        code, message = "InternalServiceError", f"the server answered {error.code}"
    if code in _NOT_AUTHENTICATED:
        return CredentialsError(message, code=code)
    return from_code(code, message)
