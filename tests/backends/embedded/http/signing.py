"""Requests as botocore signs them, and how they are verified."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from smclient_embedded.context import Principal
from smclient_embedded.errors import NotAuthenticated
from smclient_embedded.http import sigv4
from smclient_embedded.http.sigv4 import AccessKey, verify

ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
OWNER = Principal.administrator("111122223333")
KEY = AccessKey(ID, SECRET, OWNER)
BODY = b'{"SecretId":"a"}'
MISMATCH = sigv4.MISMATCH

Headers = list[tuple[bytes, bytes]]


def signed(
    *,
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    url: str = "https://secretsmanager.eu-west-1.amazonaws.com/",
    method: str = "POST",
    secret: str = SECRET,
    token: str | None = None,
    region: str = "eu-west-1",
    service: str = "secretsmanager",
) -> Headers:
    """A request's headers as botocore signs them, in ASGI's form."""
    request = AWSRequest(method, url, data=body)
    request.headers["Host"] = url.split("/")[2]
    request.headers["Content-Type"] = "application/x-amz-json-1.1"
    request.headers["X-Amz-Target"] = "secretsmanager.GetSecretValue"
    for name, value in (headers or {}).items():
        request.headers[name] = value
    SigV4Auth(Credentials(ID, secret, token), service, region).add_auth(request)
    return [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]


def check(headers: Headers, *, key: AccessKey | None = KEY, **changes: Any) -> sigv4.Caller:
    """Verify, as of now, with one key known."""
    asked: dict[str, Any] = {
        "method": "POST",
        "path": b"/",
        "query": b"",
        "body": BODY,
        "now": datetime.now(UTC),
        "find_key": lambda i: key if key is not None and key.access_key_id == i else None,
        **changes,
    }
    return verify(headers=headers, **asked)


def put(headers: Headers, name: bytes, value: bytes | None) -> Headers:
    """The headers with one changed, or without it."""
    kept = [(n, v) for n, v in headers if n != name]
    return kept if value is None else [*kept, (name, value)]


def edit(headers: Headers, old: bytes, new: bytes) -> Headers:
    """The Authorization header with a part changed."""
    value = dict(headers)[b"authorization"]
    assert old in value
    return put(headers, b"authorization", value.replace(old, new))


def refused(headers: Headers, kind: type[NotAuthenticated], **more: Any) -> str:
    """The text of a refusal of exactly this kind."""
    with pytest.raises(NotAuthenticated) as caught:
        check(headers, **more)
    assert caught.value.code == kind.__name__
    assert caught.value.status == 400
    assert SECRET not in str(caught.value)
    return str(caught.value)
