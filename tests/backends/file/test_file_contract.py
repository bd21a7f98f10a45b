"""The contracts that every store and every backend passes, passed by the encrypted file."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule

from smclient.backend import Backend, load_backend
from smclient.testing import BackendContract
from smclient_embedded.store import MemoryStore, Scope, Store
from smclient_file import Credentials, FileStore, Pins, create, first_slot, new_store_id
from smclient_file.unlock import make_key_file
from tests.backends.embedded.store.helpers_contract import a_secret as contract_secret
from tests.backends.embedded.store.helpers_contract import an_event, put
from tests.backends.embedded.store.test_store_contract_audit import AuditContract
from tests.backends.embedded.store.test_store_contract_keys_and_settings import (
    KeysAndSettingsContract,
)
from tests.backends.embedded.store.test_store_contract_pages import PagesContract
from tests.backends.embedded.store.test_store_contract_rotations import RotationsContract
from tests.backends.embedded.store.test_store_contract_secrets import SecretsContract
from tests.backends.embedded.store.test_store_contract_transactions import TransactionsContract
from tests.backends.embedded.store.test_store_contract_versions import VersionsContract
from tests.backends.embedded.store.test_store_model import StoresAgree


class WholeContract(
    TransactionsContract,
    SecretsContract,
    PagesContract,
    VersionsContract,
    RotationsContract,
    AuditContract,
    KeysAndSettingsContract,
):
    """Every part of the stores' contract."""


class TestFileStore(WholeContract):
    """All of it but two: the file has a keyring, and the audit trail is in memory."""

    @pytest.fixture
    def store(
        self, make_file: Callable[..., Path], open_file: Callable[..., FileStore]
    ) -> Iterator[Store]:
        store = open_file(make_file())
        yield store
        store.close()

    def test_no_keyring_of_its_own(self, store: Store) -> None:
        assert store.keyring() is not None

    def test_audit_keeps_a_bounded_number(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(store, FileStore)
        store._memory.audit = deque(maxlen=10)
        for first in range(0, 60, 3):
            with store.transaction(write=True) as tx:
                tx.append_audit([an_event(first + n) for n in range(3)])
        with store.transaction(write=False) as tx:
            kept = [record.document["number"] for record in tx.audit(_home(), limit=1000)]
        assert kept == list(range(59, 49, -1))


class TestFileStoreOpenedAnew(WholeContract):
    """The same with every transaction in a store that was opened for it alone, so that all goes
    through the file. What only the process remembers is handed on."""

    @pytest.fixture
    def store(
        self, make_file: Callable[..., Path], open_file: Callable[..., FileStore]
    ) -> Iterator[Store]:
        return Reopening(make_file(), open_file)  # type: ignore[misc]

    test_no_keyring_of_its_own = None  # type: ignore[assignment]
    test_audit_keeps_a_bounded_number = None  # type: ignore[assignment]


class Reopening:
    """Opens the file for each transaction."""

    def __init__(self, path: Path, open_file: Callable[..., FileStore]) -> None:
        self._open = lambda: open_file(path)
        self._memory = self._open()._memory

    def transaction(self, *, write: bool) -> object:
        store = self._open()
        store._memory = self._memory
        return store.transaction(write=write)


class FileAgrees(StoresAgree):
    """Random transactions on the file, next to the model and to memory."""

    def __init__(self) -> None:
        self.made: list[str] = []
        super().__init__()

    def opened(self) -> FileStore:  # type: ignore[override]
        given = Credentials(key_file=self.folder / "key")
        path, pins = self.folder / "secrets.sms", Pins(self.folder)
        if not self.made:
            make_key_file(self.folder / "key", even_in_git=True)
            self.made.append(
                create(
                    path,
                    lambda keys: [first_slot(str(path), keys, given)],
                    store_id=new_store_id(),
                    pins=pins,
                )
            )
        store = FileStore(path, given, pins=pins)
        if len(self.made) > 1:
            store._memory = self.memory
        self.made.append("again")
        self.memory = store._memory
        return store

    def teardown(self) -> None:
        raw = Path(self.made[0]).read_bytes()
        assert raw.startswith(b"SMSTORE 1\n")
        super().teardown()

    @rule()
    def open_again(self) -> None:
        """Closing and opening the file changes nothing."""
        self.stores[1].close()
        self.stores[1] = self.opened()
        assert isinstance(self.stores[0], MemoryStore)


FileAgrees.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestFileAgrees = FileAgrees.TestCase


class TestFileBackend(BackendContract):
    """``file:`` URLs as a backend."""

    @pytest.fixture(autouse=True)
    def place(self, key_file: Path) -> Iterator[None]:
        self.key_file = key_file
        self.folder = Path(tempfile.mkdtemp(dir=key_file.parent))
        yield
        shutil.rmtree(self.folder)

    def make_backend(self) -> Backend:
        return load_backend(
            f"file://{self.folder}/secrets.sms?create=true&key_file={self.key_file}"
        )


def _home() -> Scope:
    return contract_secret().scope


def test_put_is_the_contracts_own(
    open_file: Callable[..., FileStore], make_file: Callable[..., Path]
) -> None:
    """A record written by one opening is read by another."""
    path = make_file()
    put(open_file(path), contract_secret())
    with open_file(path).transaction(write=False) as tx:
        assert tx.secret(contract_secret().arn) == contract_secret()
