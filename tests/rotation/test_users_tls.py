"""``ssl`` in a secret, as AWS's templates read it: true, false, or not said.

MariaDB does its own TLS. The PostgreSQL of the wheel has none, so a door in front of it does: it
answers the driver's request for TLS as a server would, and hands on what comes through."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import ssl
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smclient import RotationStepError
from smclient_demo.mariadb_server import MariaDBServer

SSL_REQUEST = struct.pack(">ii", 8, 80877103)
DRIVERS = {
    "postgres": ("psycopg", "psycopg2", "pg8000.native"),
    "mariadb": ("pymysql", "mysql.connector"),
}


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([address, x509.DNSName("127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = folder / f"{name}.crt", folder / f"{name}.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return crt, pem


@pytest.fixture(scope="module")
def certificates() -> Iterator[tuple[Path, Path, Path]]:
    """Ours, its key, and the certificate of somebody else; where a server's account may read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        ours, key = certificate(folder, "ours")
        yield ours, key, certificate(folder, "theirs")[0]


class Door(socketserver.ThreadingTCPServer):
    """Ends TLS in front of a PostgreSQL without it, and counts."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, server: Any, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Through)
        self.server = server
        self.context = context
        self.encrypted = 0


class Through(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        door: Any = self.server
        with (
            contextlib.suppress(OSError),
            socket.create_connection((door.server.host, door.server.port)) as behind,
        ):
            front = self.request
            first = front.recv(8, socket.MSG_WAITALL)
            if first == SSL_REQUEST:
                front.sendall(b"S")
                front = door.context.wrap_socket(front, server_side=True)
                door.encrypted += 1
            else:
                behind.sendall(first)
            back = threading.Thread(target=pump, args=(behind, front), daemon=True)
            back.start()
            pump(front, behind)
            back.join(5)


def pump(source: Any, target: Any) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class Postgres:
    """PostgreSQL behind the door."""

    def __init__(self, kind: Any, door: Door) -> None:
        self.kind = kind
        self._door = door
        self._before = 0
        self.port = door.server_address[1]

    def was_encrypted(self) -> bool:
        """Whether TLS was spoken since the last question."""
        before, self._before = self._before, self._door.encrypted
        return self._before > before


class MariaDB:
    """MariaDB with TLS of its own."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.port = kind.server.port
        self._before = self._accepted()

    def was_encrypted(self) -> bool:
        """Whether TLS was spoken since the last question."""
        before, self._before = self._before, self._accepted()
        return self._before > before

    def _accepted(self) -> int:
        return int(self.kind.server.execute("SHOW GLOBAL STATUS LIKE 'Ssl_finished_accepts'")[0][1])


@pytest.fixture(scope="module")
def door(postgres: Any, certificates: tuple[Path, Path, Path]) -> Iterator[Door]:
    """The door in front of PostgreSQL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates[:2])
    with Door(postgres, context) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def tls_mariadb(mariadb: Any, certificates: tuple[Path, Path, Path]) -> Iterator[MariaDBServer]:
    """A MariaDB with the certificate."""
    ours, key, _ = certificates
    key.chmod(0o644)
    with MariaDBServer(settings={"ssl-cert": str(ours), "ssl-key": str(key)}) as server:
        yield server


@pytest.fixture(params=[(name, driver) for name, ds in DRIVERS.items() for driver in ds], ids=str)
def place(request: pytest.FixtureRequest, kind_named: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each database with TLS, through each driver."""
    name, driver = request.param
    for other in (*DRIVERS[name], "MySQLdb"):
        if other != driver:
            monkeypatch.setitem(sys.modules, other, None)
    if name == "postgres":
        return Postgres(kind_named(name), request.getfixturevalue("door"))
    return MariaDB(type(kind_named(name))(request.getfixturevalue("tls_mariadb")))


def test_tls_as_the_secret_says(
    place: Any,
    certificates: tuple[Path, Path, Path],
    bench: Any,
    store: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``true``: only where the certificate is trusted; ``false``: never; not said: encrypted where
    the server can, trusted or not."""
    kind = place.kind
    ours, _, theirs = certificates

    def rotate() -> bool:
        bench.begin(kind.single())
        assert bench.service.run_due().rotated == (bench.arn,)
        encrypted: bool = place.was_encrypted()
        assert kind.takes(bench.value())
        place.was_encrypted()
        return encrypted

    store(kind, {**kind.make(), "port": place.port, "ssl": True}, master=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(ours))
    assert rotate()
    bench.put({k: v for k, v in bench.value().items() if k != "ssl"})
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
    assert rotate()
    bench.put({**bench.value(), "ssl": "false"})
    assert not rotate()
    bench.put({**bench.value(), "ssl": "TRUE"})
    function = kind.single()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="cannot reach the database"):
        bench.step(function, "setSecret", token)
    assert kind.takes(bench.value())
