"""What the tests of the served service share: server processes, raw requests, clients."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from botocore.config import Config

from smclient_embedded import EmbeddedService

ACCESS_KEY, SECRET_KEY = "AKIAHTTPTESTSHTTPTES", "http-tests/secret-key"
REGION = "eu-west-1"
BIN = Path(sys.executable).parent


class Output:
    """The lines of a stream as they come; asking for one has a deadline."""

    def __init__(self, stream: Any) -> None:
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.seen.append(line.rstrip("\n"))
            self._lines.put(self.seen[-1])
        self._lines.put(None)

    def line(self, seconds: float = 20.0) -> str | None:
        """The next line; ``None`` at the end."""
        return self._lines.get(timeout=seconds)

    def all(self) -> str:
        """Everything, once the stream has ended."""
        self._thread.join(20)
        return "\n".join(self.seen)


@dataclass
class Served:
    """A running server process."""

    process: subprocess.Popen[str]
    output: Output
    errors: Output
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return str(self.ready["endpoint"])

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.endpoint.rpartition(":")[2])

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(20)

    def everything_it_said(self) -> str:
        """Both streams, after its end."""
        return self.output.all() + "\n" + self.errors.all()


Serve = Callable[..., Served]


def clean_environment(**extra: str) -> dict[str, str]:
    """This environment without credentials and settings of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SMCLIENT_", "COV_"))
    }
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **extra}


def start_server(tmp_path: Path, *arguments: str, **environment: str) -> Served:
    """A server process, whose readiness nobody has waited for."""
    process = subprocess.Popen(
        [str(BIN / "smclient"), "serve", "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(XDG_STATE_HOME=str(tmp_path / "state"), **environment),
    )
    return Served(process, Output(process.stdout), Output(process.stderr))


def end(process: subprocess.Popen[str]) -> None:
    """Whatever state it is in."""
    if process.poll() is None:
        process.kill()
    process.wait(20)


def boto(endpoint: str, *, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, **more: Any):
    """An unmodified boto3 client."""
    session = boto3.session.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=more.pop("session_token", None),
        region_name=more.pop("region", REGION),
    )
    config = Config(
        retries={"total_max_attempts": more.pop("attempts", 1)}, **more.pop("config", {})
    )
    return session.client("secretsmanager", endpoint_url=endpoint, config=config, **more)


class ThreadServed:
    """A server in a thread of this process."""

    def __init__(self, endpoint: str, service: EmbeddedService) -> None:
        self.endpoint, self.service = endpoint, service
        self.port = int(endpoint.rpartition(":")[2])

    def connect(self, seconds: float = 10.0) -> socket.socket:
        """A raw connection with a deadline."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def exchange(self, sent: bytes, *, seconds: float = 10.0) -> bytes:
        """Send bytes, and read until the server closes. Says itself that it sends no more."""
        with self.connect(seconds) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was refused before everything was sent
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Until the end."""
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def read_answer(
    connection: socket.socket, stream: BinaryIO | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One answer of a keep-alive connection; of its ``stream`` where more may be behind it."""
    stream = stream or connection.makefile("rb")
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", "0")))


def request(
    body: bytes = b"{}",
    *,
    target: str = "secretsmanager.ListSecrets",
    headers: dict[str, str] | None = None,
    start: str = "POST / HTTP/1.1",
    content_length: int | None = None,
) -> bytes:
    """The bytes of an unsigned request."""
    lines = {
        "Host": "localhost",
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": target,
        "Content-Length": str(len(body) if content_length is None else content_length),
        **(headers or {}),
    }
    return "\r\n".join([start, *(f"{n}: {v}" for n, v in lines.items()), "", ""]).encode() + body


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold before a deadline."""
    waiting, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        waiting.wait(0.01)
    return True
