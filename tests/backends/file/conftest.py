"""Files for tests: made quickly, with a key file; no pin of a test meets one of another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smclient.state_folder import STATE_DIR
from smclient_embedded.kdf import ARGON2ID, LOWEST, Kdf
from smclient_embedded.store import Scope
from smclient_file import Credentials, FileStore, create, first_slot, new_store_id
from smclient_file.unlock import (
    KEY_FILE_VARIABLE,
    PASSPHRASE_VARIABLE,
    make_key_file,
)
from tests.backends.file.helpers_file import sample

HOME = Scope("123456789012", "us-east-1")
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own; no key in the environment."""
    folder = tmp_path / "state"
    monkeypatch.setenv(STATE_DIR, str(folder))
    for name in (PASSPHRASE_VARIABLE, KEY_FILE_VARIABLE, "SMCLIENT_EXPECTED_GENERATION"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file."""
    path = tmp_path / "store.key"
    make_key_file(path, even_in_git=True)
    return path


@pytest.fixture
def cheap() -> Callable[[], Kdf]:
    """Makes the cheapest key derivation that is accepted."""
    return lambda: Kdf.choose(ARGON2ID, **LOWEST[ARGON2ID])


@pytest.fixture
def make_file(tmp_path: Path, key_file: Path) -> Callable[..., Path]:
    """Makes an empty store, opened by the key file, or by a passphrase if one is given."""

    def make(passphrase: str | None = None, **more: Any) -> Path:
        path = tmp_path / f"secrets-{next(_numbers)}.sms"
        given = (
            Credentials(passphrase=passphrase, environment=False)
            if passphrase
            else Credentials(key_file=key_file)
        )
        kdf = Kdf.choose(ARGON2ID, **LOWEST[ARGON2ID]) if passphrase else None
        create(
            path,
            lambda keys: [first_slot(str(path), keys, given, kdf=kdf)],
            store_id=new_store_id(),
            **more,
        )
        return path

    return make


@pytest.fixture
def open_file(key_file: Path) -> Callable[..., FileStore]:
    """Opens a store with the key file."""
    return lambda path, **more: FileStore(path, Credentials(key_file=key_file), **more)


@pytest.fixture
def path(make_file: Callable[..., Path], open_file: Callable[..., FileStore]) -> Path:
    """A file with the sample in it."""
    made = make_file()
    sample(open_file(made))
    return made
