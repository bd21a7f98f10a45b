"""What keeps a service going and says what it costs: counts, bill, backup, master key.

The part of ``EmbeddedService`` that no request needs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient.errors import ConfigError
from smclient.pricing import Cost, PriceBook
from smclient_embedded import metrics
from smclient_embedded.alarms import AlarmBoard
from smclient_embedded.door import Door
from smclient_embedded.finding import locate
from smclient_embedded.master import MasterKey, Passphrase, new_key
from smclient_embedded.metrics import Resources
from smclient_embedded.opening import opened_by
from smclient_embedded.store import Scope, SecretQuery, Store, load_store

_REMOVED_AT_ONCE = 1000


class Upkeep:
    """Needs an open door."""

    _door: Door
    alarms: AlarmBoard
    _home: Scope

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

    def reset(self) -> int:
        """Remove every secret of every account and Region at once, end the faults and begin to
        count anew; how many secrets were removed. Keys, principals and the audit trail stay.

        For tests that share a service. There is no way back.
        """
        door = self._door
        door.faults.clear()
        removed = 0
        everything = SecretQuery(include_deleted=True, limit=_REMOVED_AT_ONCE)
        more = True
        while more:
            with door.store.transaction(write=True) as tx:
                pages = [tx.page(scope, everything) for scope in tx.scopes()]
                gone = [secret.arn for page in pages for secret in page.secrets]
                for arn in gone:
                    tx.remove_secret(arn)
            removed += len(gone)
            more = any(page.more for page in pages)
        door.metrics.clear()
        return removed

    def backup(self, path: str | Path) -> int:
        """Write a consistent snapshot to a file, while the service runs; how many records it has.

        It needs the master key of now to be of use: keep that elsewhere.

        Raises:
            ConfigError, BackupError: see ``smclient_embedded.backup``.
        """
        from smclient_embedded.backup import write_backup  # a server starts sooner without

        self._door.audit.flush()
        return write_backup(self._door.store, Path(path), now=self._door.clock.now())

    @classmethod
    def restore(
        cls,
        path: str | Path,
        store: str | Store = "embedded://",
        *,
        master_key: MasterKey | Passphrase | None = None,
        **more: Any,
    ) -> Self:
        """A service over an empty store, filled from a backup. ``more`` is what the constructor
        takes. Without ``master_key`` it is found where the store's would be; a key file beside
        an SQLite store must be there before.

        Raises:
            ConfigError, MasterKeyError, BackupError: nothing was kept.
        """
        from smclient_embedded.backup import read_backup

        url = BackendUrl.parse(store if isinstance(store, str) else "embedded:")
        opened = store
        if isinstance(opened, str):
            opened = load_store(url, clock=more.get("clock", SYSTEM_CLOCK))
        try:
            master = read_backup(
                Path(path), opened, lambda setting: opened_by(setting, url, master_key)
            )
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

    def rotate_master_key(self, new: MasterKey | Passphrase) -> int:
        """Put the store under another master key or passphrase, while the service runs; how many
        KMS keys were rewrapped. Keep the new one before: after this the store opens with no other.

        Other processes with this store have to be started again with the new key. A backup keeps
        the key that it was made under.

        Raises:
            ConfigError: the store brings its own keys.
            MasterKeyError, StoreError: nothing was changed.
        """
        return self._door.master.rotate(self._door.store, new_key(new))

    def set_owning_service(self, secret_id: str, service: str | None) -> None:
        """Say that a secret is another AWS service's (``rds``, ``events``): then nobody else may
        change or delete it, as in AWS. ``None`` gives it back.

        Raises:
            ConfigError: there is no such secret in the service's own account and region.
        """
        with self._door.store.transaction(write=True) as tx:
            secret = locate(tx, self._home, secret_id)
            if secret is None:
                raise ConfigError(f"there is no secret {secret_id!r} to be owned by a service")
            tx.put_secret(replace(secret, owning_service=service))

    def _resources(self) -> dict[Scope, Resources]:
        with self._door.store.transaction(write=False) as tx:
            return {scope: Resources.of(tx, scope) for scope in tx.scopes()}
