"""Not a MongoDB: a scripted server that speaks enough of its wire protocol for logins and users.

No registry that this project may use brings a real MongoDB server, so what the tests prove of
MongoDB is what PyMongo accepts from this script: SCRAM-SHA-256, ``usersInfo``, ``createUser``,
``updateUser``, with the error codes that MongoDB documents. No data, no TLS.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import bson

_MESSAGE, _QUERY, _REPLY = 2013, 2004, 1
_ITERATIONS = 4096
Document = dict[str, Any]


class _CommandError(Exception):
    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(text)
        self.document = {"ok": 0.0, "code": code, "codeName": name, "errmsg": text}


@dataclass
class _User:
    password: str
    roles: list[Any]
    salt: bytes = field(default_factory=lambda: os.urandom(28))


class ScriptedMongo:
    """The script, listening on 127.0.0.1 over a ``with`` block.

    Attributes:
        commands: the names of the commands it was asked, in order.
    """

    host = "127.0.0.1"
    admin = "admin"

    def __init__(self) -> None:
        self.admin_password = secrets.token_urlsafe(24)
        self.commands: list[str] = []
        self._users: dict[tuple[str, str], _User] = {}
        self._lock = threading.Lock()
        self._server = socketserver.ThreadingTCPServer((self.host, 0), _Connection, False)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.script = self  # type: ignore[attr-defined]
        self.create_user(self.admin, self.admin_password, "root")

    def __enter__(self) -> Self:
        self._server.server_bind()
        self._server.server_activate()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def create_user(self, name: str, password: str, *roles: str, db: str = "admin") -> None:
        """Put a user in."""
        self._users[db, name] = _User(password, [{"role": role, "db": db} for role in roles])

    def roles(self, name: str, db: str = "admin") -> list[str] | None:
        """The roles of a user; ``None`` if there is none."""
        user = self._users.get((db, name))
        return None if user is None else [role["role"] for role in user.roles]

    def admin_secret(self) -> Document:
        """The administrator's secret, as ``masterarn`` names one."""
        return {
            "engine": "mongo",
            "host": self.host,
            "port": self.port,
            "username": self.admin,
            "password": self.admin_password,
            "ssl": False,
        }

    def answer(self, command: Document, session: _Session) -> Document:
        """What the server says to a command."""
        name = next(iter(command))
        handler = _COMMANDS.get(name)
        with self._lock:
            if name.lower() not in ("hello", "ismaster"):
                self.commands.append(name)
            try:
                if handler is None:
                    raise _CommandError(59, "CommandNotFound", f"no such command: '{name}'")
                return {**handler(self, command, session), "ok": 1.0}
            except _CommandError as error:
                return error.document

    def find(self, db: str, name: str) -> _User | None:
        """A user, or none."""
        return self._users.get((db, name))

    def change(self, command: Document, session: _Session) -> Document:
        """``updateUser`` and ``createUser``."""
        verb = next(iter(command))
        key = (str(command["$db"]), str(command[verb]))
        _must(session.user is not None, 13, "Unauthorized", f"{verb} requires authentication")
        own = session.user == key and "roles" not in command
        is_admin = self._users[session.user].roles != [] if session.user else False
        _must(own or is_admin, 13, "Unauthorized", "not authorized on admin")
        user = self._users.get(key)
        if verb == "createUser":
            _must(user is None, 51003, "Location51003", f'User "{key[1]}" already exists')
            self._users[key] = _User(command["pwd"], list(command["roles"]))
            return {}
        if user is None:
            raise _CommandError(11, "UserNotFound", f"Could not find user {key[1]}")
        self._users[key] = _User(
            command.get("pwd", user.password), list(command.get("roles", user.roles))
        )
        return {}


@dataclass
class _Session:
    user: tuple[str, str] | None = None
    claimed: tuple[str, str] = ("", "")
    first: str = ""


def _must(condition: bool, code: int, name: str, text: str) -> None:
    if not condition:
        raise _CommandError(code, name, text)


def _hello(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    return {
        "ismaster": True,
        "isWritablePrimary": True,
        "maxBsonObjectSize": 16777216,
        "maxMessageSizeBytes": 48000000,
        "maxWriteBatchSize": 100000,
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "saslSupportedMechs": ["SCRAM-SHA-256"],
    }


def _sasl_start(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    bare = bytes(command["payload"]).decode().removeprefix("n,,")
    parts = dict(part.split("=", 1) for part in bare.split(","))
    name = parts["n"].replace("=2C", ",").replace("=3D", "=")
    session.claimed = (str(command["$db"]), name)
    user = script.find(*session.claimed)
    salt = user.salt if user else os.urandom(28)
    nonce = parts["r"] + base64.b64encode(os.urandom(18)).decode()
    answer = f"r={nonce},s={base64.b64encode(salt).decode()},i={_ITERATIONS}"
    session.first = f"{bare},{answer}"
    return {"conversationId": 1, "done": False, "payload": answer.encode()}


def _sasl_continue(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    final = bytes(command["payload"]).decode()
    bare, _, proof = final.rpartition(",p=")
    user = script.find(*session.claimed)
    signature = user and _verified(user, f"{session.first},{bare}", base64.b64decode(proof))
    if not signature:
        raise _CommandError(18, "AuthenticationFailed", "Authentication failed.")
    session.user = session.claimed
    payload = b"v=" + base64.b64encode(signature)
    return {"conversationId": 1, "done": True, "payload": payload}


def _verified(user: _User, message: str, proof: bytes) -> bytes | None:
    """The server's signature, if the proof is one of the user's password."""
    salted = hashlib.pbkdf2_hmac("sha256", user.password.encode(), user.salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    expected = bytes(
        a ^ b
        for a, b in zip(client_key, hmac.digest(stored, message.encode(), "sha256"), strict=True)
    )
    if not hmac.compare_digest(expected, proof):
        return None
    return hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message.encode(), "sha256")


def _users_info(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    _must(session.user is not None, 13, "Unauthorized", "usersInfo requires authentication")
    asked = command["usersInfo"]
    user = script.find(asked["db"], asked["user"])
    found = [{**asked, "roles": user.roles}] if user else []
    return {"users": found}


def _nothing(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    return {}


def _needs_login(script: ScriptedMongo, command: Document, session: _Session) -> Document:
    _must(session.user is not None, 13, "Unauthorized", "requires authentication")
    return {}


_COMMANDS: dict[str, Callable[[ScriptedMongo, Document, _Session], Document]] = {
    "hello": _hello,
    "ismaster": _hello,
    "isMaster": _hello,
    "saslStart": _sasl_start,
    "saslContinue": _sasl_continue,
    "usersInfo": _users_info,
    "createUser": ScriptedMongo.change,
    "updateUser": ScriptedMongo.change,
    "ping": _nothing,
    "endSessions": _nothing,
    "connectionStatus": _needs_login,
}


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        session = _Session()
        while header := self.rfile.read(16):
            if len(header) < 16:
                return
            length, request, _, opcode = struct.unpack("<iiii", header)
            if not 16 < length < 1_000_000:
                return  # TLS or noise: nothing that this script speaks
            body = self.rfile.read(length - 16)
            if opcode == _MESSAGE:
                command = bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])
            elif opcode == _QUERY:
                start = body.index(b"\0", 4) + 9
                command = bson.decode(
                    body[start : start + struct.unpack_from("<i", body, start)[0]]
                )
            else:
                return
            script: ScriptedMongo = self.server.script  # type: ignore[attr-defined]
            answer = bson.encode(script.answer(command, session))
            if opcode == _MESSAGE:
                payload, kind = struct.pack("<IB", 0, 0) + answer, _MESSAGE
            else:
                payload, kind = struct.pack("<iqii", 8, 0, 0, 1) + answer, _REPLY
            self.wfile.write(struct.pack("<iiii", 16 + len(payload), 1, request, kind) + payload)
