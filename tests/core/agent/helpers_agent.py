"""A real HTTP server on loopback that speaks the agent's protocol, and its refusals."""

from __future__ import annotations

import base64
import json
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from smclient.backend import Backend
from smclient.errors import BackendError, SmclientError
from smclient.secret import SecretRef, SecretValue
from smclient.testing import FakeBackend

TOKEN = "canary-token-7f3a"
VALUE = "canary-value-91bc"


class Agent:
    """The agent's checks in its own order, over secrets in memory, with its cache."""

    def __init__(self) -> None:
        self.secrets = FakeBackend({"db": VALUE})
        self.token = TOKEN
        self.requests: list[dict[str, Any]] = []
        self.canned: list[tuple[int, bytes]] = []
        self.hold: threading.Event | None = None
        self.drop = False
        self.connections = 0
        self._cache: dict[tuple[str, ...], SecretValue] = {}
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                agent.connections += 1
                super().setup()

            def do_GET(self) -> None:
                status, body = agent.answer(self.path, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = agent.drop  # without saying so, as after 61 s

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # hung-up readers
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append({"path": parts.path, "query": query, "headers": headers})
        if self.hold is not None:
            self.hold.wait(10)
        if self.canned:
            return self.canned.pop(0)
        if "X-Forwarded-For" in headers:
            return 400, b"Forwarded"
        if headers.get("X-Aws-Parameters-Secrets-Token") != self.token:
            return 403, b"Bad Token"
        if parts.path != "/secretsmanager/get":
            return 404, b"Not found"
        if not query.keys() <= {"secretId", "versionId", "versionStage", "refreshNow"}:
            return 400, b"unknown parameter"
        if "secretId" not in query:
            return 400, b"missing parameter: secretId"
        stage, version = query.get("versionStage"), query.get("versionId")
        key = (query["secretId"], str(stage), str(version))
        if key not in self._cache or query.get("refreshNow") == "true":
            try:
                answer = self.secrets.fetch(SecretRef(query["secretId"], stage, version))
            except BackendError as error:
                body = f'"__type":"{error.code}","message":"{error}"'
                return 400, b"{" + body.encode() + b"}"
            self._cache[key] = answer.value
        value = self._cache[key]
        shape = {
            "ARN": value.arn,
            "Name": value.name,
            "VersionId": value.version_id,
            "VersionStages": sorted(value.version_stages),
            "CreatedDate": "1569534789.046",
        }
        if value.is_binary:
            shape["SecretBinary"] = base64.b64encode(value.binary).decode()
        else:
            shape["SecretString"] = str(value.text)
        return 200, json.dumps(shape).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def refusal(backend: Backend, ref: SecretRef | None = None) -> SmclientError:
    """The error of a fetch, nothing of which may show token or value, its frames included."""
    with pytest.raises(SmclientError) as caught:
        backend.fetch(ref or SecretRef("db"))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    assert TOKEN not in text
    assert VALUE not in text
    assert caught.value.__context__ is None
    return caught.value
