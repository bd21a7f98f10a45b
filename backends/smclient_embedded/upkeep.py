"""What keeps a service going and says what it costs: counts, bill, backup, master key.

The part of ``EmbeddedService`` that no request needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient.pricing import Cost, PriceBook
from smclient_embedded import metrics
from smclient_embedded.alarms import AlarmBoard
from smclient_embedded.backup import read_backup, write_backup
from smclient_embedded.door import Door
from smclient_embedded.master import MasterKey, named_master_key
from smclient_embedded.metrics import Resources
from smclient_embedded.store import Scope, Store, load_store


class Upkeep:
    """Needs an open door."""

    _door: Door
    alarms: AlarmBoard

    def metrics(self) -> list[dict[str, Any]]:
        """CloudWatch-shaped counts: CallCount of the calls so far, ResourceCount, and what alarms
        are set on."""
        return self._door.metrics.snapshot(self._resources()) + self.alarms.metrics()

    def usage(self, *, account: str | None = None) -> dict[str, Any]:
        """This month's counts as plain data; see ``Metrics.usage``."""
        return self._door.metrics.usage(self._resources(), account=account)

    def bill(self, price_book: PriceBook | None = None, *, account: str | None = None) -> Cost:
        """What AWS would bill for this month, by the same price book as the client's; see
        ``smclient_embedded.metrics.bill``."""
        return metrics.bill(self.usage(account=account), price_book)

    def backup(self, path: str | Path) -> int:
        """Write a consistent snapshot to a file, while the service runs; how many records it has.

        It needs the master key of now to be of use: keep that elsewhere.

        Raises:
            ConfigError, BackupError: see ``smclient_embedded.backup``.
        """
        self._door.audit.flush()
        return write_backup(self._door.store, Path(path), now=self._door.clock.now())

    @classmethod
    def restore(
        cls,
        path: str | Path,
        store: str | Store = "embedded://",
        *,
        master_key: MasterKey | None = None,
        **more: Any,
    ) -> Self:
        """A service over an empty store, filled from a backup. ``more`` is what the constructor
        takes. Without ``master_key`` it is found where the store's would be; a key file beside
        an SQLite store must be there before.

        Raises:
            ConfigError, MasterKeyError, BackupError: nothing was kept.
        """
        url = BackendUrl.parse(store if isinstance(store, str) else "embedded:")
        master = master_key or named_master_key(url, is_new=False)
        opened = store
        if isinstance(opened, str):
            opened = load_store(url, clock=more.get("clock", SYSTEM_CLOCK))
        try:
            read_backup(Path(path), opened, master)
        except BaseException:
            if isinstance(store, str):
                opened.close()
            raise
        if isinstance(store, str) and url.path:
            opened.close()
            opened = store
        named = {name: url.options[name] for name in ("account", "region") if name in url.options}
        make: Any = cls  # what is mixed in does not know the constructor
        service: Self = make(opened, master_key=master, **{**named, **more})
        return service

    def rotate_master_key(self, new: MasterKey) -> int:
        """Put the store under another master key, while the service runs; how many KMS keys were
        rewrapped. Keep the new key before: after this the store opens with no other.

        Other processes with this store have to be started again with the new key. A backup keeps
        the key that it was made under.

        Raises:
            ConfigError: the store brings its own keys.
            MasterKeyError, StoreError: nothing was changed.
        """
        return self._door.master.rotate(self._door.store, new)

    def _resources(self) -> dict[Scope, Resources]:
        with self._door.store.transaction(write=False) as tx:
            return {scope: Resources.of(tx, scope) for scope in tx.scopes()}
