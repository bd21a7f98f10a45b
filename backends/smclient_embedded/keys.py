"""What an administrator does to KMS keys, from Python: disable, enable, schedule deletion, cancel.

The rules are those of AWS KMS. A key that is not enabled neither seals nor opens, and says so in
AWS's words; one whose waiting period is over is removed for good by ``run_due``, and what is sealed
under it opens no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from smclient.errors import ConfigError
from smclient_embedded.deps import Deps
from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.kms import Kms, said_by_kms
from smclient_embedded.store.ports import Store, Transaction
from smclient_embedded.store.records import KeyRecord, Scope

SHORTEST, LONGEST = 7, 30


@dataclass(frozen=True, slots=True)
class KeyDescription:
    """A KMS key without its material.

    Attributes:
        state: ``Enabled``, ``Disabled`` or ``PendingDeletion``.
        delete_after: when it is deleted, if that is scheduled.
    """

    arn: str
    state: str
    managed: bool
    alias: str | None
    created_at: datetime
    delete_after: datetime | None

    @classmethod
    def of(cls, record: KeyRecord) -> KeyDescription:
        """What a record says."""
        return cls(
            record.arn,
            record.state,
            record.managed,
            record.alias,
            record.created_at,
            record.delete_after,
        )


class Keys:
    """The KMS keys of a service. A key is named by ARN (in any region), id or alias.

    Every method raises ``ConfigError`` where there is no such key, where the store brings its own
    keys, or where KMS would refuse: AWS's own keys cannot be changed, a key that waits for its
    deletion can only be cancelled.
    """

    def __init__(
        self, store: Store, deps_for: Callable[[Scope, Transaction], Deps], home: Scope
    ) -> None:
        self._store = store
        self._deps_for = deps_for
        self._home = home

    def list(self, *, region: str | None = None) -> tuple[KeyDescription, ...]:
        """The keys of a region, the service's own unless given, the oldest first."""
        scope = replace(self._home, region=region or self._home.region)
        with self._store.transaction(write=False) as tx:
            found = sorted(tx.keys(scope), key=lambda key: (key.created_at, key.arn))
        return tuple(KeyDescription.of(key) for key in found)

    def describe(self, key: str) -> KeyDescription:
        """One key."""
        return self._change(key, lambda record, _: record)

    def disable(self, key: str) -> KeyDescription:
        """From now on it neither seals nor opens."""
        return self._change(key, lambda record, _: replace(_settled(record), state="Disabled"))

    def enable(self, key: str) -> KeyDescription:
        """It is of use again."""
        return self._change(key, lambda record, _: replace(_settled(record), state="Enabled"))

    def schedule_deletion(self, key: str, *, days: int = LONGEST) -> KeyDescription:
        """Take it out of use now and delete it after 7 to 30 days."""
        if not SHORTEST <= days <= LONGEST:
            raise ConfigError(f"a key waits {SHORTEST} to {LONGEST} days, not {days}")

        def marked(record: KeyRecord, now: datetime) -> KeyRecord:
            until = now + timedelta(days=days)
            return replace(_settled(record), state="PendingDeletion", delete_after=until)

        return self._change(key, marked)

    def cancel_deletion(self, key: str) -> KeyDescription:
        """Keep it after all. As in AWS it is disabled then, until it is enabled."""

        def kept(record: KeyRecord, _: datetime) -> KeyRecord:
            if record.state != "PendingDeletion":
                raise ConfigError(f"{record.arn} does not wait for its deletion")
            return replace(record, state="Disabled", delete_after=None)

        return self._change(key, kept)

    def _change(
        self, key: str, changed: Callable[[KeyRecord, datetime], KeyRecord]
    ) -> KeyDescription:
        scope = self._scope_of(key)
        with self._store.transaction(write=True) as tx:
            deps = self._deps_for(scope, tx)
            record = _found(deps.kms, key)
            new = changed(record, deps.now)
            if new != record:
                if record.managed:
                    raise ConfigError(f"{record.alias} is AWS's own key; it cannot be changed")
                tx.put_key(new)
        return KeyDescription.of(new)

    def _scope_of(self, key: str) -> Scope:
        parts = key.split(":", 5)
        return Scope(parts[4], parts[3]) if len(parts) == 6 and parts[0] == "arn" else self._home


def _found(kms: Kms | None, key: str) -> KeyRecord:
    if kms is None:
        raise ConfigError("this store brings its own keys; it has no KMS key")
    try:
        return kms.resolve(key)
    except InvalidParameterException as error:
        raise ConfigError(f"there is no such KMS key: {said_by_kms(error)}") from None


def _settled(record: KeyRecord) -> KeyRecord:
    if record.state == "PendingDeletion":
        raise ConfigError(f"{record.arn} is pending deletion: cancel that first")
    return record
