"""OAuth 2.0 client credentials (RFC 6749, section 4.4): ``OAuthClientCredentials``."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote_plus, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from smclient.errors import RotationStepError
from smclient.rotation.api_key import ApiKey, KeyProvider, KeyRefused

TIMEOUT = 10.0
_FIELDS = ("token_url", "client_id", "client_secret")
_REFUSED = (400, 401)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

Issue = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
Revoke = Callable[[Mapping[str, Any]], None]


class OAuthClientCredentials(ApiKey):
    """Rotates the secret of an OAuth client; tested by asking ``token_url`` for a token with it.

    Secret: ``token_url``, ``client_id``, ``client_secret``, and where wanted ``scope``,
    ``audience`` and ``auth_method`` (``basic``, which is the default, or ``post``).

    Args:
        issue: ``(fields of the current secret, token) -> fields that change``: asks the provider
            for another client secret.
        revoke: ``(fields of an old secret)``: ends that one.
    """

    def __init__(self, issue: Issue, revoke: Revoke, *, revoke_first: bool = False) -> None:
        super().__init__(_OAuthProvider(issue, revoke), revoke_first=revoke_first)


class _OAuthProvider(KeyProvider):
    def __init__(self, issue: Issue, revoke: Revoke) -> None:
        self._issue = issue
        self._revoke = revoke

    def issue(self, current: Mapping[str, Any], token: str) -> Mapping[str, Any]:
        _checked(current)
        return self._issue(current, token)

    def check(self, fields: Mapping[str, Any]) -> None:
        request_token(fields)

    def revoke(self, fields: Mapping[str, Any]) -> None:
        self._revoke(fields)


def request_token(fields: Mapping[str, Any]) -> None:
    """Ask for a token with the credentials, and let it go.

    Raises:
        KeyRefused: the server does not take them.
        RotationStepError: it could not be asked, or its answer is no token.
    """
    _checked(fields)
    url = str(fields["token_url"])
    try:
        with _OPENER.open(_request(fields), timeout=TIMEOUT) as answer:
            body = answer.read(1_000_000)
    except HTTPError as error:
        status = error.code
        error.close()
    except (URLError, OSError) as error:
        raise RotationStepError(f"no answer from {url} ({type(error).__name__})") from None
    else:
        return _expect_token(body, url)
    problem = KeyRefused if status in _REFUSED else RotationStepError
    raise problem(f"{url} gives no token with these client credentials: HTTP {status}")


class _NoRedirect(HTTPRedirectHandler):
    """Credentials go to the address of the secret, and nowhere it points to."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = build_opener(_NoRedirect)


def _request(fields: Mapping[str, Any]) -> Request:
    client, secret = str(fields["client_id"]), str(fields["client_secret"])
    form = {"grant_type": "client_credentials"}
    form |= {name: str(fields[name]) for name in ("scope", "audience") if fields.get(name)}
    headers = {"Accept": "application/json"}
    if fields.get("auth_method", "basic") == "post":
        form |= {"client_id": client, "client_secret": secret}
    else:
        pair = f"{quote_plus(client)}:{quote_plus(secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return Request(str(fields["token_url"]), urlencode(form).encode(), headers)  # noqa: S310


def _expect_token(body: bytes, url: str) -> None:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not answer.get("access_token"):
        raise RotationStepError(f"{url} answered without an access_token")


def _checked(fields: Mapping[str, Any]) -> None:
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        raise RotationStepError(f"the secret of the OAuth client has no {', '.join(missing)}")
    url = urlsplit(str(fields["token_url"]))
    plain = url.scheme == "http" and url.hostname in _LOOPBACK
    if url.scheme != "https" and not plain:
        raise RotationStepError(
            "token_url must be https: client credentials are not sent in clear text"
        )
