"""GetSecretValue over HTTP: `smclient serve` beside moto's server, in one run.

Run it from the root of the repository, in the environment that `make test` makes:

    .venv/bin/python benchmarks/serve_vs_moto.py [--seconds 5] [--connections 16] [--store URL]

Both servers hold the same secrets and get the same load from the same client: keep-alive
connections, each with one request on its way, signed with botocore's signer (once per secret and
round, well within a signature's five minutes). `smclient serve` verifies every signature, decrypts,
audits and counts, over an SQLite store: in one process, and with `--workers` in as many as there
are cores. moto, which is one process in any case, verifies nothing, and closes each connection, so
the client connects again. Rounds alternate and the best of each counts, so that whatever else the
machine does falls on both; the longest wait is that of all rounds, and a request that was still
waiting at the end of one counts as well: a server that stalls cannot hide it. The client is a
process of its own that does little more than write prepared bytes; what it can do at most is
measured first, against a server in itself that answers without looking, and printed.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY, REGION = "AKIABENCHMARKBENCHMA", "benchmark-secret-key", "us-east-1"
SECRETS = 100
ROUNDS = 3
CORES = max(os.cpu_count() or 1, 2)
BIN = Path(sys.executable).parent


def main() -> None:
    """Print requests per second, waits and the ratio."""
    options = _options()
    if options.client:
        print(json.dumps(asyncio.run(load(json.loads(sys.stdin.read())))))
        return
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or f"embedded://{folder}/bench.db"
        servers = {
            "1 process": Server(smclient_command(store), smclient_endpoint),
            f"{CORES} processes": Server(smclient_command(store, CORES), smclient_endpoint),
            "moto": Server(moto_command(), None),
        }
        try:
            for name in ("1 process", "moto"):
                fill(servers[name].endpoint)
            ceiling = measure(None, options)["rate"]
            print(f"the client alone: {ceiling:,.0f} requests/s at most")
            rounds = [
                {name: measure(server, options) for name, server in servers.items()}
                for _ in range(ROUNDS)
            ]
        finally:
            for server in servers.values():
                server.stop()
    best = {name: max((r[name] for r in rounds), key=lambda r: r["rate"]) for name in servers}
    for name, result in best.items():
        print(
            f"{name:11} {result['rate']:9,.0f} requests/s   mean {result['mean']:6.2f} ms   "
            f"p50 {result['p50']:6.2f} ms   p99 {result['p99']:6.2f} ms   "
            f"longest {max(r[name]['longest'] for r in rounds):6.0f} ms   "
            f"cpu {result['cpu']:5.0f} us/request"
        )
    for name in servers:
        if name != "moto":
            print(f"{name:11} {best[name]['rate'] / best['moto']['rate']:9.1f} x moto")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--store", help="instead of an SQLite file")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(server: "Server | None", options: argparse.Namespace) -> dict[str, float]:
    """One round in a client process; against the client's own echo without a server."""
    endpoint = None if server is None else server.endpoint
    task = {
        "endpoint": endpoint,
        "requests": [request.decode("latin-1") for request in signed_requests(endpoint)],
        "seconds": options.seconds if server else 1.0,
        "connections": options.connections,
    }
    before = server.cpu_seconds() if server else 0.0
    done = subprocess.run(
        [sys.executable, __file__, "--client"],
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    spent = (server.cpu_seconds() if server else 0.0) - before
    return {**result, "cpu": spent / result["count"] * 1e6}


# --- servers --------------------------------------------------------------------------------------


class Server:
    """A server process, stopped by its own id."""

    def __init__(self, command: tuple[list[str], int], endpoint: Callable[[Any], str] | None):
        arguments, port = command
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "SMCLIENT_ACCESS_KEY": ACCESS_KEY,
                "SMCLIENT_SECRET_KEY": SECRET_KEY,
            },
        )
        self.endpoint = endpoint(self.process) if endpoint else f"http://127.0.0.1:{port}"
        wait_for(self.endpoint)

    def cpu_seconds(self) -> float:
        """What the process and its workers have used so far."""
        me = self.process.pid
        workers = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        return sum(map(_cpu_seconds, [str(me), *workers]))

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


def _cpu_seconds(process: str) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def smclient_command(store: str, workers: int = 1) -> tuple[list[str], int]:
    """`smclient serve` on a free port."""
    options = ["--port", "0", "--store", store, "--workers", str(workers)]
    return [str(BIN / "smclient"), "serve", *options], 0


def smclient_endpoint(process: Any) -> str:
    """The last line that it prints before it serves."""
    for line in process.stdout:
        if line.startswith("ready: "):
            return str(line.split()[1])
    raise SystemExit("smclient serve did not start")


def moto_command() -> tuple[list[str], int]:
    """moto's server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return [str(BIN / "moto_server"), "-p", str(port)], port


def wait_for(endpoint: str) -> None:
    """Until the endpoint accepts connections."""
    port = int(endpoint.rpartition(":")[2])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{endpoint} did not start")


def fill(endpoint: str) -> None:
    """The same secrets everywhere."""
    client = boto3.client(
        "secretsmanager",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    for index in range(SECRETS):
        value = json.dumps({"username": f"user{index}", "password": "p" * 32, "host": "db"})
        client.create_secret(Name=f"bench/secret-{index}", SecretString=value)


def signed_requests(endpoint: str | None) -> list[bytes]:
    """The bytes of one request per secret, signed now."""
    url = endpoint or "http://127.0.0.1:1"
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "secretsmanager", REGION)
    requests = []
    for index in range(SECRETS):
        body = json.dumps({"SecretId": f"bench/secret-{index}"}).encode()
        headers = {
            "Host": url.partition("//")[2],
            "X-Amz-Target": "secretsmanager.GetSecretValue",
            "Content-Type": "application/x-amz-json-1.1",
            "User-Agent": "benchmark",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
        }
        request = AWSRequest("POST", url + "/", headers=headers, data=body)
        signer.add_auth(request)
        lines = [
            "POST / HTTP/1.1",
            *(f"{name}: {value}" for name, value in request.headers.items()),
        ]
        requests.append("\r\n".join([*lines, "", ""]).encode() + body)
    return requests


# --- the client process ---------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request on its way. Connects anew if it is closed."""

    def __init__(
        self, port: int, requests: list[bytes], first: int, latencies: list[float]
    ) -> None:
        self.port, self.requests, self.index, self.latencies = port, requests, first, latencies
        self.buffer, self.expected, self.closes, self.stopped = b"", -1, False, False

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        self.transport = transport
        self.buffer, self.expected = b"", -1
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Servers that close after each answer are connected to again."""
        if not self.stopped:
            loop = asyncio.get_running_loop()
            self.again = loop.create_task(
                loop.create_connection(lambda: self, "127.0.0.1", self.port)
            )

    def ask(self) -> None:
        """Send the next request."""
        self.index = (self.index + 1) % len(self.requests)
        self.sent = time.perf_counter()
        self.transport.write(self.requests[self.index])

    def data_received(self, data: bytes) -> None:
        """Count a complete answer, and ask again."""
        self.buffer = self.buffer + data if self.buffer else data
        if self.expected < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            if not self.buffer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                raise SystemExit(f"refused: {self.buffer[:500]!r}")
            headers = self.buffer[:head].lower()
            at = headers.find(b"content-length:") + 15
            self.expected = head + 4 + int(headers[at : at + 12].split(b"\r")[0])
            self.closes = b"connection: close" in headers
        if len(self.buffer) >= self.expected:
            self.latencies.append(time.perf_counter() - self.sent)
            self.buffer, self.expected = b"", -1
            if self.closes:
                self.transport.close()
            elif not self.stopped:
                self.ask()


async def load(task: dict[str, Any]) -> dict[str, float]:
    """Ask for some seconds."""
    loop = asyncio.get_running_loop()
    requests = [request.encode("latin-1") for request in task["requests"]]
    latencies: list[float] = []
    echo = None if task["endpoint"] else await loop.create_server(Echo, "127.0.0.1", 0)
    port = echo.sockets[0].getsockname()[1] if echo else int(task["endpoint"].rpartition(":")[2])
    pairs = [
        await loop.create_connection(
            lambda first=number: Connection(port, requests, first, latencies), "127.0.0.1", port
        )
        for number in range(task["connections"])
    ]
    await asyncio.sleep(0.5)  # warm
    warm = len(latencies)
    latencies.clear()
    begun = time.perf_counter()
    await asyncio.sleep(task["seconds"])
    ended = time.perf_counter()
    seconds, measured = ended - begun, sorted(latencies)
    unanswered = [ended - connection.sent for _, connection in pairs]
    for _, connection in pairs:
        connection.stopped = True
        connection.transport.close()
    return {
        "count": len(measured) + warm,
        "rate": len(measured) / seconds,
        "p50": measured[len(measured) // 2] * 1e3,
        "p99": measured[len(measured) * 99 // 100] * 1e3,
        "mean": sum(measured) / len(measured) * 1e3,
        "longest": max(*measured[-1:], *unanswered) * 1e3,
    }


class Echo(asyncio.Protocol):
    """Answers anything at once: half of what the client alone can do, as it does both sides."""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n" + b"x" * 200)


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    main()
