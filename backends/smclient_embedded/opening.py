"""Which master key a store opens with: the one given, else the one that the URL names, else that of
the environment, else the default of the kind of store.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from smclient.backend import BackendUrl
from smclient.errors import ConfigError
from smclient_embedded.master import (
    CHECK,
    MasterKey,
    MasterKeyError,
    Passphrase,
    ReadSetting,
    derivation_of,
    new_key,
    remember,
)
from smclient_embedded.store.ports import Store

MASTER_KEY = "SMCLIENT_MASTER_KEY"
MASTER_KEY_FILE = "SMCLIENT_MASTER_KEY_FILE"
MASTER_PASSPHRASE = "SMCLIENT_MASTER_PASSPHRASE"  # noqa: S105  a name, not a passphrase

_UNDER_PASSPHRASE = f"this store is under a passphrase: give it in {MASTER_PASSPHRASE}"


class Named(NamedTuple):
    """A master key, and where it is from, as messages say it."""

    master: MasterKey | Passphrase
    source: str


def recognised(store: Store, url: BackendUrl, given: MasterKey | Passphrase | None) -> MasterKey:
    """The master key of a store, which is put under it if it is new. A key file is made only then,
    so a lost one is never papered over.

    Raises:
        ConfigError: the environment names more than one.
        MasterKeyError: it cannot be read, or is not the one that the store was made with.
    """
    if store.keyring() is not None:
        return given if isinstance(given, MasterKey) else MasterKey.random()
    with store.transaction(write=False) as tx:
        if tx.setting(CHECK) is not None:
            return opened_by(tx.setting, url, given)
    with store.transaction(write=True) as tx:
        if tx.setting(CHECK) is not None:  # somebody was faster
            return opened_by(tx.setting, url, given)
        named = _named(url, given)
        master = new_key((named or _default(url, is_new=True)).master)
        remember(tx, master)
        return master


def opened_by(
    setting: ReadSetting, url: BackendUrl, given: MasterKey | Passphrase | None
) -> MasterKey:
    """The master key of a store that is under one. Nothing is written.

    Raises:
        ConfigError: the environment names more than one.
        MasterKeyError: there is none, it cannot be read, or is not the one of this store.
    """
    check, derivation = setting(CHECK), derivation_of(setting)
    if check is None:
        raise MasterKeyError("the store does not say which master key it is under")
    named = _named(url, given)
    if named is None:
        if derivation is not None:
            raise MasterKeyError(f"{_UNDER_PASSPHRASE}; nothing was named")
        named = _default(url, is_new=False)
    master, source = named
    if isinstance(master, Passphrase):
        if derivation is None:
            raise MasterKeyError(
                f"{source} is a passphrase, but this store is under a key: name "
                f"its file with ?master_key_file= or {MASTER_KEY_FILE}, or give it in {MASTER_KEY}"
            )
        master = master.key(derivation)
    try:
        master.verify(check)
    except MasterKeyError as error:
        if master.derivation is not None:
            said = f"{source} is not the passphrase of this store, or the store is damaged"
        else:
            said = f"{error if derivation is None else _UNDER_PASSPHRASE}. Tried was {source}"
        raise MasterKeyError(said) from None
    return master


def _named(url: BackendUrl, given: MasterKey | Passphrase | None) -> Named | None:
    if given is not None:
        return Named(given, "what was passed")
    file = url.options.get("master_key_file")
    if file:
        return Named(MasterKey.from_file(Path(file), create=False), f"the file {file}")
    return _in_environment()


def _in_environment() -> Named | None:
    """What one of the three variables gives. One that is set and empty was meant to be something,
    but for the file's, which is unset by that."""
    known = (MASTER_KEY, MASTER_PASSPHRASE, MASTER_KEY_FILE)
    given = {name: os.environ[name] for name in known if name in os.environ}
    if not given.get(MASTER_KEY_FILE):
        given.pop(MASTER_KEY_FILE, None)
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} are set, but a store is under one master key: unset all but one"
        )
    for name, text in given.items():
        if not text.strip():
            raise MasterKeyError(f"{name} is set, and empty: unset it, or give what it should hold")
        if name == MASTER_KEY_FILE:
            return Named(MasterKey.from_file(Path(text), create=False), f"the file {text}")
        if name == MASTER_PASSPHRASE:
            return Named(Passphrase(text), name)
        return Named(_of_variable(text), name)
    return None


def _of_variable(text: str) -> MasterKey:
    try:
        return MasterKey.from_base64(text)
    except MasterKeyError as error:
        raise MasterKeyError(
            f"{MASTER_KEY} holds no master key: {error}. To make one: head -c 32 /dev/urandom | "
            "base64"
        ) from None


def _default(url: BackendUrl, *, is_new: bool) -> Named:
    """The file beside an SQLite store; for a store in memory a key that dies with the process.
    Others have no place of their own for a key file. Raises ``MasterKeyError``."""
    if url.scheme.startswith("embedded+"):
        raise MasterKeyError(
            f"an {url.scheme}: store needs its master key named, the same one on every node: with "
            f"?master_key_file= or {MASTER_KEY_FILE}, a file of 32 random bytes, mode 0600; or in "
            f"{MASTER_KEY} or {MASTER_PASSPHRASE}. To make a file: "
            "(umask 077; head -c 32 /dev/urandom > master.key)"
        )
    if not url.path:
        return Named(MasterKey.random(), "a new one, as none was named")
    file = url.path + ".key"
    return Named(MasterKey.from_file(Path(file), create=is_new), f"the file {file}")
