"""A moto server in a thread, a scripted HTTP double, and dummy credentials in the environment."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from smclient import SYSTEM_CLOCK, BackendUrl
from smclient_aws import AwsBackend, open_backend

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "canary-secret-access-key-3kd93"
TOKEN = "canary-session-token-8s7dh2"
NAME = "prod/db"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf"

Reply = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Dummy credentials and empty configuration files; nothing of the machine's own."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("config", "credentials"):
        (tmp_path / name).touch()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """botocore's waits between attempts, not waited for."""
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    return waits


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The address of a moto server on loopback."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def moto(moto_server: str) -> str:
    """The same, without any secret."""
    request = urllib.request.Request(f"{moto_server}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    return moto_server


class Double:
    """An HTTP server that answers as it was told, and notes what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[dict[str, str]] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # head and body in one packet

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                double.requests.append(dict(self.headers))
                replies = double.replies
                (replies.pop(0) if len(replies) > 1 else replies[0])(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def answers(self, *replies: Reply) -> None:
        """What comes next; the last reply is given again and again."""
        self.replies[:] = replies

    @staticmethod
    def json(body: Any, status: int = 200) -> Reply:
        """A JSON answer."""
        return Double.raw(json.dumps(body).encode(), status)

    @staticmethod
    def error(code: str, message: str = "as told", status: int = 400) -> Reply:
        """An AWS error."""
        return Double.json({"__type": code, "message": message}, status)

    @staticmethod
    def value(text: str = "seen") -> Reply:
        """GetSecretValue's answer."""
        return Double.json(
            {
                "ARN": ARN,
                "Name": NAME,
                "VersionId": "v1",
                "VersionStages": ["AWSCURRENT"],
                "SecretString": text,
            }
        )

    @staticmethod
    def raw(body: bytes, status: int = 200, promised: int | None = None) -> Reply:
        """Any body; ``promised`` bytes that do not come."""

        def reply(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Length", str(promised or len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            if promised:
                handler.close_connection = True

        return reply

    @staticmethod
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        """No answer at all."""
        handler.close_connection = True

    def close(self) -> None:
        """Stop, and let go of the socket."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def double() -> Iterator[Double]:
    """A scripted server."""
    server = Double()
    yield server
    server.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., AwsBackend]]:
    """Opens backends by URL, and closes them after the test."""
    backends: list[AwsBackend] = []

    def opens(url: str = "aws://us-east-1", **more: Any) -> AwsBackend:
        backends.append(open_backend(BackendUrl.parse(url), clock=SYSTEM_CLOCK, **more))
        return backends[-1]

    yield opens
    for backend in backends:
        backend.close()


@pytest.fixture
def asking(double: Double, opened: Callable[..., AwsBackend], slept: list[float]) -> AwsBackend:
    """A backend that asks the double, and does not wait between attempts."""
    return opened(f"aws://us-east-1?endpoint_url={double.url}")


@pytest.fixture
def client_of() -> Iterator[Callable[..., Any]]:
    """Makes boto3 clients of any service, and closes them after the test."""
    import boto3

    clients: list[Any] = []

    def makes(endpoint_url: str, service: str = "secretsmanager", **more: Any) -> Any:
        session = boto3.session.Session(region_name="us-east-1")
        clients.append(session.client(service, endpoint_url=endpoint_url, **more))
        return clients[-1]

    yield makes
    for client in clients:
        client.close()
