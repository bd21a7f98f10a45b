"""200,000 bad requests: only errors with a name, no 500, no hang, and nothing that grows.

    .venv/bin/python benchmarks/soak/http_fuzz.py [--requests 200000] [--seed 7] [--clients 4]

Two servers (`smclient serve` over SQLite, one that verifies signatures and one that does not) get
requests that are generated from a seed: bodies that are not JSON or hold anything where something
else belongs, valid ones that were damaged, headers that are missing, doubled, wrong or malformed,
signatures of all kinds of wrong, and bytes that are no HTTP. What is complete must be answered
within five seconds, with 200, or 4xx (501 while an operation is not written) and the name of an
error that the service has. Memory and open files of the servers are compared after a quarter of the
requests and at the end. Ends with 1 if anything of this does not hold.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smclient_embedded.errors import ServiceError
from smclient_embedded.http import refusals
from smclient_embedded.model import service_model

BIN = Path(sys.executable).parent
SECONDS = 5.0
MOST_GROWTH_MB = 16.0
OPERATIONS = sorted(service_model().operations)
NAMES = ["a", "b/c", "d", "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"]
TOKEN = "t" * 32
KEY = "AKIAFUZZFUZZFUZZFUZZ"
CRLF = b"\r\n"


def main() -> int:
    """Ask, count, compare."""
    options = _options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        servers = [
            Server(folder, "open", "--no-verify-signatures"),
            Server(folder, "closed", "--access-key", KEY, "--secret-key", "secret"),
        ]
        try:
            first = run(servers, options, options.requests // 4, 0)
            before = [server.size() for server in servers]
            rest = run(servers, options, options.requests - options.requests // 4, 1)
            after = [server.size() for server in servers]
            alive = all(server.process.poll() is None for server in servers)
        finally:
            errors = [server.stop() for server in servers]
    answers, faults = first[0] + rest[0], first[1] + rest[1]
    faults += [f"a server logged: {line}" for text in errors for line in text.splitlines()[:5]]
    if not alive:
        faults.append("a server has ended")
    for (mb_before, files_before), (mb, files) in zip(before, after, strict=True):
        print(
            f"memory {mb_before:.1f} MB, then {mb:.1f} MB; open files {files_before}, then {files}"
        )
        if mb - mb_before > MOST_GROWTH_MB or files - files_before > 8:
            faults.append("a server grew")
    for (status, name), count in sorted(answers.items(), key=lambda item: -item[1]):
        print(f"{count:9,}  {status} {name}")
    for fault in faults[:20]:
        print(fault)
    seconds = time.monotonic() - began
    print(f"{sum(answers.values()):,} requests in {seconds:.0f} s, {len(faults)} faults")
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--clients", type=int, default=4)
    return parser.parse_args()


Answers = Counter[tuple[str, str]]


def run(
    servers: list["Server"], options: argparse.Namespace, requests: int, part: int
) -> tuple[Answers, list[str]]:
    """Ask with several clients; what was answered, and what is wrong with it."""
    clients = [
        Client(servers[n % len(servers)], random.Random(f"{options.seed}/{part}/{n}"))
        for n in range(options.clients)
    ]
    share = requests // len(clients)
    threads = [threading.Thread(target=client.run, args=(share,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers: Answers = Counter()
    for client in clients:
        answers += client.answers
    return answers, [fault for client in clients for fault in client.faults]


# --- the servers ----------------------------------------------------------------------------------


class Server:
    """A process of `smclient serve`."""

    def __init__(self, folder: str, name: str, *arguments: str) -> None:
        self._log = Path(folder) / f"{name}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(BIN / "smclient"), "serve", "--port", "0", "--json", *arguments,
                 "--store", f"embedded://{folder}/{name}.db"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["endpoint"].split(":")[-1])

    def size(self) -> tuple[float, int]:
        """Resident megabytes and open files, once the connections are closed."""
        time.sleep(1.5)
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        files = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files

    def stop(self) -> str:
        """End it; what it logged."""
        self.process.terminate()
        self.process.wait(20)
        return self._log.read_text()


# --- the clients ----------------------------------------------------------------------------------


def known_errors(base: type[ServiceError] = ServiceError) -> set[str]:
    """The names that a refusal may have."""
    names = set()
    for cls in base.__subclasses__():
        names |= {cls.__name__, getattr(cls, "aws_code", cls.__name__)} | known_errors(cls)
    return names


KNOWN = known_errors() - {"InternalServiceError"}
assert "TooLarge" in KNOWN, refusals


class Client:
    """One connection after the other, and what came back."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self._connection: socket.socket | None = None
        self.answers: Answers = Counter()
        self.faults: list[str] = []

    def run(self, requests: int) -> None:
        """Ask so many times."""
        for _ in range(requests):
            make = self._chance.choices(MAKERS, WEIGHTS)[0]
            sent = make(self._chance)
            try:
                status, name = self._ask(sent, is_raw=make is not_http)
            except TimeoutError:
                self.faults.append(f"no answer in {SECONDS:g} s: {sent[:300]!r}")
                self._close()
                continue
            self.answers[status, name] += 1
            if not self._is_fine(status, name, is_raw=make is not_http):
                self.faults.append(f"{status} {name}: {sent[:300]!r}")
        self._close()

    @staticmethod
    def _is_fine(status: str, name: str, *, is_raw: bool) -> bool:
        if status == "closed":
            return is_raw
        is_refusal = status[0] == "4" or status == "501"
        return status in ("100", "200") or (is_refusal and name in KNOWN)

    def _ask(self, sent: bytes, *, is_raw: bool) -> tuple[str, str]:
        for attempt in range(3):
            if self._connection is None:
                self._connection = socket.create_connection(
                    ("127.0.0.1", self._server.port), timeout=SECONDS
                )
            try:
                self._connection.sendall(sent)
                if is_raw:
                    self._connection.shutdown(socket.SHUT_WR)
                head, rest = self._head()
            except (ConnectionError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                head, rest = b"", b""
            if head:
                return self._answer(head, rest, is_raw=is_raw)
            self._close()
            if is_raw or attempt == 2:  # else an earlier answer closed the connection
                break
        return "closed", ""

    def _head(self) -> tuple[bytes, bytes]:
        assert self._connection is not None
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._connection.recv(65536)
            if not piece:
                return b"", b""
            got += piece
        head, _, rest = got.partition(b"\r\n\r\n")
        return head, rest

    def _answer(self, head: bytes, rest: bytes, *, is_raw: bool) -> tuple[str, str]:
        assert self._connection is not None
        status = head[9:12].decode()
        lines = [line.partition(b":") for line in head.lower().split(CRLF)[1:]]
        headers = {name: value.strip() for name, _, value in lines}
        length = int(headers.get(b"content-length", b"0"))
        while len(rest) < length:
            piece = self._connection.recv(65536)
            if not piece:
                break
            rest += piece
        if is_raw or headers.get(b"connection") == b"close" or status == "100":
            self._close()
        if status in ("100", "200"):
            return status, ""
        try:
            return status, str(json.loads(rest[:length])["__type"])
        except (ValueError, KeyError, TypeError):
            return status, repr(rest[:80])

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


# --- requests -------------------------------------------------------------------------------------


def http(body: bytes, *headers: tuple[str, str], operation: str = "ListSecrets") -> bytes:
    """A request as it should be, but for what is given."""
    lines = {
        "host": ("Host", "localhost"),
        "content-type": ("Content-Type", "application/x-amz-json-1.1"),
        "x-amz-target": ("X-Amz-Target", f"secretsmanager.{operation}"),
        "content-length": ("Content-Length", str(len(body))),
    }
    extra = []
    for name, value in headers:
        if name.lower() in lines:
            lines[name.lower()] = (name, value)
        else:
            extra.append((name, value))
    text = "".join(f"{name}: {value}\r\n" for name, value in [*lines.values(), *extra])
    return b"POST / HTTP/1.1\r\n" + text.encode("latin-1", "replace") + CRLF + body


def anything(chance: random.Random, depth: int = 3) -> Any:
    """Any JSON, seldom deep."""
    kind = chance.randrange(12 if depth else 8)
    if kind < 3:
        return chance.choice(
            [None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**40, "", "\0", "\ud800"]
        )
    if kind < 5:
        return text(chance)
    if kind < 7:
        return chance.choice(NAMES)
    if kind < 8:
        return chance.randint(-(2**33), 2**33)
    if kind < 10:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {text(chance): anything(chance, depth - 1) for _ in range(chance.randrange(4))}


def text(chance: random.Random) -> str:
    """Any text, of any sign."""
    return "".join(
        chr(chance.choice([chance.randrange(128), chance.randrange(0x110000)]))
        for _ in range(chance.randrange(12))
    )


def members(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """An operation, and a request whose members are its own or anybody's."""
    operation = chance.choice(OPERATIONS)
    shape = service_model().input_shape(operation)
    own = list(shape.members) if shape is not None else []
    request = {
        name: anything(chance) for name in chance.sample(own, chance.randrange(len(own) + 1))
    }
    if "SecretId" in own and chance.random() < 0.6:
        request["SecretId"] = chance.choice(NAMES)
    if "ClientRequestToken" in own and chance.random() < 0.5:
        request["ClientRequestToken"] = TOKEN
    if chance.random() < 0.1:
        request[text(chance)] = anything(chance)
    return operation, request


def wrong_members(chance: random.Random) -> bytes:
    """JSON of the right kind with anything in it."""
    operation, request = members(chance)
    return http(dumped(request), operation=operation)


def damaged(chance: random.Random) -> bytes:
    """A body with bytes changed, cut or doubled, or of another kind."""
    operation, request = members(chance)
    body = bytearray(dumped(request))
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                del body[at : at + chance.randrange(1, 9)]
            case 2:
                body[at:at] = body[: chance.randrange(20)]
            case 3:
                body[at:at] = chance.randbytes(3)
        if not body:
            body = bytearray(b"[" * chance.choice([1, 5000]))
    return http(bytes(body), operation=operation)


def wrong_headers(chance: random.Random) -> bytes:
    """A good body under headers that are not."""
    name = chance.choice(
        [
            "Host",
            "Content-Type",
            "X-Amz-Target",
            "Authorization",
            "X-Amz-Date",
            "Expect",
            "Origin",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "Connection",
            "Accept-Encoding",
            "User-Agent",
            "X-Amz-Security-Token",
            "X-Amz-Content-Sha256",
            "Forwarded",
            "Content-Encoding",
            "Cookie",
        ]
    )
    value = chance.choice(
        [
            "",
            "x",
            "localhost",
            "127.0.0.1:1",
            "[::1",
            "evil.example",
            "a" * 9000,
            "application/json",
            "secretsmanager.",
            "secretsmanager.Nothing",
            "identity",
            "127.0.0.1, ::1",
            "close",
            "AWS4-HMAC-SHA256",
            "\x80\xff",
            "secretsmanager.ListSecrets",
        ]
    )
    if name == "Transfer-Encoding":  # what is announced so is chunks
        return http(b"2\r\n{}\r\n0\r\n\r\n", (name, "chunked")).replace(
            b"Content-Length", b"X-Length"
        )
    if name == "Connection":
        value = "keep-alive"
    return http(b"{}", (name, value))


def wrong_signature(chance: random.Random) -> bytes:
    """Something like a signature."""
    day = chance.choice(["20260101", "2026010", "x", ""])
    scope = chance.choice(
        [
            f"{KEY}/{day}/us-east-1/secretsmanager/aws4_request",
            f"{KEY}/{day}/us-east-1/s3/aws4_request",
            f"{KEY}/{day}",
            "/////",
            text(chance).replace("\r", "").replace("\n", ""),
        ]
    )
    signed = chance.choice(
        ["host;x-amz-date", "host", "", "content-type;host;x-amz-date;x-amz-target"]
    )
    parts = [
        f"Credential={scope}",
        f"SignedHeaders={signed}",
        f"Signature={chance.randbytes(32).hex()}",
    ]
    chance.shuffle(parts)
    kept = parts[: chance.randrange(4)] + (parts[:1] if chance.random() < 0.1 else [])
    algorithm = chance.choice(["AWS4-HMAC-SHA256", "AWS3", "Bearer", ""])
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    date = chance.choice([now, "20200101T000000Z", "99999999T999999Z", "yesterday", ""])
    authorization = f"{algorithm} {', '.join(kept)}".replace("\0", "0")
    clean = "".join(sign if " " <= sign <= "~" else "?" for sign in authorization)
    return http(b"{}", ("Authorization", clean), ("X-Amz-Date", date))


def not_http(chance: random.Random) -> bytes:
    """Bytes, or a request that was damaged anywhere."""
    if chance.random() < 0.3:
        return chance.randbytes(chance.randrange(1, 400))
    whole = bytearray(http(b"{}"))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(whole))
        whole[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(whole)


def dumped(request: Any) -> bytes:
    """JSON, with half of surrogate pairs as escapes."""
    return json.dumps(request).encode()


MAKERS: list[Callable[[random.Random], bytes]] = [
    wrong_members, damaged, wrong_headers, wrong_signature, not_http
]  # fmt: skip
WEIGHTS = [40, 25, 15, 15, 5]


if __name__ == "__main__":
    sys.exit(main())
