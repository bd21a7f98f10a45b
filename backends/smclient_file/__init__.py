"""A Secrets Manager in one encrypted file that can live in git.

``file:///abs/secrets.sms`` opens the embedded service on it; ``FileStore`` is the store alone. What
is protected, and what is clear text by choice, is in docs/file.md.
"""

from __future__ import annotations

import os
import uuid
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from smclient.backend import BackendUrl
from smclient.clock import Clock
from smclient.errors import ConfigError
from smclient_embedded.store import Store
from smclient_file.crypto import StoreKeys
from smclient_file.errors import StoreLocked
from smclient_file.kdf import Kdf
from smclient_file.pin import Pins
from smclient_file.slots import KEY_FILE, Slot, head, passphrase_head
from smclient_file.store import FileStore, create
from smclient_file.unlock import PASSPHRASE_VARIABLE, Credentials, read_key_file

given_now: ContextVar[Credentials | None] = ContextVar("given_now", default=None)
"""Credentials for the stores that are opened by URL in this context, instead of the environment."""

EXPECTED_GENERATION = "SMCLIENT_EXPECTED_GENERATION"

OF_THE_SERVICE = ("account", "region", "principal")
"""Options of the URL that the embedded service reads."""

OPTIONS = ("key_file", "accept_rollback", "expected_generation", "create", "lock_timeout")


def open_store(url: BackendUrl, *, clock: Clock) -> Store:
    """Entry point of ``file:``: ``file:///abs/secrets.sms?key_file=…`` or ``file:rel/path``.

    Options: ``key_file``; ``accept_rollback=true``; ``expected_generation`` (also
    ``SMCLIENT_EXPECTED_GENERATION``): the least that is accepted; ``lock_timeout`` in seconds;
    ``create=true``: make the file, locked with what was given, if there is none.

    Raises:
        ConfigError: a URL that names no file, an option with another value.
        FileStoreError: the file cannot be opened.
    """
    options = url.take(*OPTIONS, *OF_THE_SERVICE)
    if url.host or not url.path:
        raise ConfigError(
            "a file: URL names a file of this machine: file:///abs/secrets.sms or file:rel/path"
        )
    key_file = options.get("key_file")
    given = given_now.get() or Credentials()
    if key_file:
        given = replace(given, key_file=Path(key_file))
    if _flag(options.get("create"), "create") and not os.path.lexists(url.path):
        create(url.path, lambda keys: [first_slot(url.path, keys, given)], store_id=new_store_id())
    expected = options.get("expected_generation") or os.environ.get(EXPECTED_GENERATION)
    return FileStore(
        url.path,
        given,
        accept_rollback=_flag(options.get("accept_rollback"), "accept_rollback"),
        expected_generation=None if expected is None else int(_number(expected, 1)),
        lock_timeout=_number(options.get("lock_timeout", "10"), 0),
    )


def first_slot(
    store: str, keys: StoreKeys, given: Credentials, *, label: str = "", kdf: Kdf | None = None
) -> Slot:
    """The key slot of a new store for a key file or a passphrase that was given.

    Raises:
        StoreLocked: neither was.
    """
    key_file, passphrase = given.get_key_file(), given.get_passphrase()
    if key_file is not None:
        return head(KEY_FILE, label).wrap(read_key_file(key_file), keys.root(), keys.store_id)
    if passphrase is not None:
        kdf = kdf or Kdf.choose()
        material = kdf.derive(passphrase)
        return passphrase_head(kdf, label).wrap(material, keys.root(), keys.store_id)
    raise StoreLocked(
        store,
        "a new store needs a key",
        part="key slots",
        remedy=f"set {PASSPHRASE_VARIABLE} or name a key file",
    )


def new_store_id() -> str:
    """The id of a new store."""
    return str(uuid.uuid4())


def _flag(text: str | None, name: str) -> bool:
    if text not in (None, "true", "false"):
        raise ConfigError(f"the file: backend's option {name!r} is true or false")
    return text == "true"


def _number(text: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = least - 1
    if not least <= number <= 1e15:
        raise ConfigError(f"{text!r} is no number that the file: backend takes here")
    return number


__all__ = ["Credentials", "FileStore", "Pins", "create", "open_store"]
