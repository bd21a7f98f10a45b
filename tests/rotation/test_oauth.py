"""OAuth client credentials, tested against a token endpoint that answers over HTTP."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest

from smclient import RotationStepError
from smclient.rotation import KeyRefused, OAuthClientCredentials
from smclient.rotation.oauth import request_token

ODD = "s:3 %cr/et+ü&=?"


class Endpoint(BaseHTTPRequestHandler):
    """Gives a token to whoever knows a valid client secret."""

    server: Any

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        header = self.headers.get("Authorization", "")
        if header.startswith("Basic "):
            client, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
        else:
            client, secret = form["client_id"][0], form["client_secret"][0]
        good = form["grant_type"] == ["client_credentials"] and client == "app"
        good = good and secret in self.server.valid
        self.server.asked.append(form)
        status = self.server.status or (200 if good else 401)
        body = self.server.body or json.dumps({"access_token": "t"} if good else {"error": "x"})
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", "http://127.0.0.1:1/stolen")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A token endpoint and what it was asked."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        server.valid, server.asked, server.status, server.body = {"first"}, [], 0, ""  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def fields(endpoint: Any, **changes: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{endpoint.server_address[1]}/token"
    return {"token_url": url, "client_id": "app", "client_secret": "first", **changes}


def function(endpoint: Any) -> OAuthClientCredentials:
    def issue(current: Mapping[str, Any], token: str) -> Mapping[str, Any]:
        secret = f"{ODD}{token}"
        endpoint.valid.add(secret)
        return {"client_secret": secret}

    def revoke(old: Mapping[str, Any]) -> None:
        endpoint.valid.discard(old["client_secret"])

    return OAuthClientCredentials(issue, revoke)


@pytest.mark.parametrize("method", ["basic", "post"])
def test_rotations_in_a_row(bench: Any, endpoint: Any, method: str) -> None:
    """Each new secret gets a token; the one before stays valid until the next rotation."""
    bench.create(fields(endpoint, auth_method=method, scope="read write"))
    rotating = function(endpoint)
    for _ in range(3):
        bench.begin(rotating)
        assert bench.service.run_due().rotated == (bench.arn,)
        assert endpoint.valid == {
            bench.value()["client_secret"],
            bench.value("AWSPREVIOUS")["client_secret"],
        }
        assert endpoint.asked[-1]["scope"] == ["read write"]


def test_a_secret_that_the_endpoint_refuses(bench: Any, endpoint: Any, shown: Any) -> None:
    """Never becomes the current one, and is in no error."""
    bench.create(fields(endpoint))
    rotating = function(endpoint)
    token = bench.begin(rotating)
    bench.step(rotating, "createSecret", token)
    endpoint.valid = {"first"}
    with pytest.raises(KeyRefused, match="HTTP 401") as caught:
        bench.step(rotating, "testSecret", token)
    assert bench.value("AWSPENDING")["client_secret"] not in shown(caught.value)
    assert bench.value()["client_secret"] == "first"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, "", "HTTP 500"),
        (302, "", "HTTP 302"),
        (200, "<html>", "without an access_token"),
        (200, "[]", "without an access_token"),
    ],
)
def test_answers_that_are_no_token(endpoint: Any, status: int, body: str, said: str) -> None:
    """Not taken for a refusal of the credentials, and a redirect is not followed with them."""
    endpoint.status, endpoint.body = status, body
    with pytest.raises(RotationStepError, match=said) as caught:
        request_token(fields(endpoint))
    assert not isinstance(caught.value, KeyRefused)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client_secret": ""}, "has no client_secret"),
        ({"token_url": None, "client_id": None}, "has no token_url, client_id"),
        ({"token_url": "http://login.example.com/token"}, "must be https"),
        ({"token_url": "file:///etc/passwd"}, "must be https"),
        ({"token_url": "http://127.0.0.1:1/token"}, "no answer from"),
    ],
)
def test_secrets_that_are_no_client_credentials(
    endpoint: Any, changes: dict[str, Any], said: str
) -> None:
    """Said before anything is sent in clear text."""
    with pytest.raises(RotationStepError, match=said):
        request_token(fields(endpoint, **changes))
    assert endpoint.asked == []
