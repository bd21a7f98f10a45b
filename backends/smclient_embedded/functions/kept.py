"""Functions in a store: sealed, since their variables and their logs may hold secrets.

One setting lists them (ARN to revision), so that asking whether there is a function opens no code;
each has a setting of its own for its code and one for its log.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smclient_embedded.functions.definition import ChildFunction
from smclient_embedded.functions.log import appended
from smclient_embedded.store.ports import Keyring, Store, Transaction
from smclient_embedded.store.records import Scope, Sealed

INDEX = "functions"
_BINARY = ("wrapped_key", "nonce", "ciphertext")

KeyringFor = Callable[[Scope, Transaction], Keyring]
"""The keys of a scope, in a transaction. What is sealed here is counted nowhere."""


@dataclass(frozen=True, slots=True)
class KeptFunctions:
    """The functions of one store."""

    store: Store
    keys_for: KeyringFor
    new_revision: Callable[[], str]

    def put(self, function: ChildFunction) -> None:
        """Keep a function, in place of an earlier one."""
        with self.store.transaction(write=True) as tx:
            _seal(tx, self.keys_for, function.arn, "code", function.to_bytes())
            _put_index(tx, {**index(tx), function.arn: self.new_revision()})

    def remove(self, arn: str) -> bool:
        """Forget a function, its code and its log; whether there was one."""
        with self.store.transaction(write=True) as tx:
            listed = index(tx)
            if listed.pop(arn, None) is None:
                return False
            _put_index(tx, listed)
            for part in ("code", "log"):
                tx.put_setting(_place(arn, part), b"")
        return True

    def find(self, arn: str) -> tuple[str, ChildFunction] | None:
        """A function and its revision."""
        with self.store.transaction(write=False) as tx:
            revision = index(tx).get(arn)
            content = _open(tx, self.keys_for, arn, "code")
        if revision is None or content is None:
            return None
        return revision, ChildFunction.from_bytes(content)

    def revision(self, arn: str) -> str | None:
        """The revision of a function, without opening it."""
        with self.store.transaction(write=False) as tx:
            return index(tx).get(arn)

    def arns(self) -> list[str]:
        """All of them, sorted."""
        with self.store.transaction(write=False) as tx:
            return sorted(index(tx))

    def add_to_log(self, arn: str, text: str) -> None:
        """Keep what an invocation wrote, unless the function is gone."""
        with self.store.transaction(write=True) as tx:
            if arn in index(tx):
                kept = (_open(tx, self.keys_for, arn, "log") or b"").decode()
                _seal(tx, self.keys_for, arn, "log", appended(kept, text).encode())

    def log(self, arn: str) -> str:
        """What is kept of its invocations, the oldest first."""
        with self.store.transaction(write=False) as tx:
            return (_open(tx, self.keys_for, arn, "log") or b"").decode()


def index(tx: Transaction) -> dict[str, str]:
    """ARN to revision of every function in a store."""
    content = tx.setting(INDEX)
    return dict(json.loads(content)) if content else {}


def _put_index(tx: Transaction, listed: Mapping[str, str]) -> None:
    tx.put_setting(INDEX, json.dumps(dict(listed)).encode())


def _place(arn: str, part: str) -> str:
    return f"function.{part}:{arn}"


def _scope(arn: str) -> Scope:
    parts = arn.split(":")
    return Scope(account=parts[4], region=parts[3])


def _context(arn: str, part: str) -> dict[str, str]:
    return {"FunctionARN": arn, "Part": part}


def _seal(tx: Transaction, keys_for: KeyringFor, arn: str, part: str, content: bytes) -> None:
    keys = keys_for(_scope(arn), tx)
    sealed = keys.seal(content, key_id=None, context=_context(arn, part))
    plain: dict[str, Any] = {"key_id": sealed.key_id}
    for name in _BINARY:
        plain[name] = base64.b64encode(getattr(sealed, name)).decode()
    tx.put_setting(_place(arn, part), json.dumps(plain).encode())


def _open(tx: Transaction, keys_for: KeyringFor, arn: str, part: str) -> bytes | None:
    content = tx.setting(_place(arn, part))
    if not content:
        return None
    plain = json.loads(content)
    wrapped, nonce, ciphertext = (base64.b64decode(plain[name]) for name in _BINARY)
    sealed = Sealed(plain["key_id"], wrapped, nonce, ciphertext, _context(arn, part))
    return keys_for(_scope(arn), tx).open(sealed)
