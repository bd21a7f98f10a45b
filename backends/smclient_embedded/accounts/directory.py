"""The accounts of a store, as this process sees them, and how they are changed.

They are kept as settings of the store: ``accounts`` (a stamp and the names), ``account/<id>``,
``organisation``. A change reads and writes them in one transaction, so two nodes lose nothing of
each other's. What another process changed is seen within ``SEEN_WITHIN`` seconds: a decision looks
at the stamp no more often than that.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from smclient.errors import ConfigError
from smclient_embedded.access import ReadSetting
from smclient_embedded.accounts.records import (
    Account,
    Identity,
    KeptAccessKey,
    KeyRules,
    Organisation,
    account_from_json,
    account_to_json,
    organisation_from_json,
    organisation_to_json,
)
from smclient_embedded.context import Principal
from smclient_embedded.store.ports import Store, StoreError, Transaction

SEEN_WITHIN = 1.0
"""Seconds until a change by another process is seen."""

INDEX = "accounts"
ORGANISATION = "organisation"
_FORMAT = 1
_NO_RULES = KeyRules()
_HAVE_IDENTITY = frozenset({"user", "role", "federated"})
"""Kinds of callers that are a user or role of an account, or act for one."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everything at one moment. ``stamp`` is another after each change."""

    stamp: str = ""
    accounts: Mapping[str, Account] = field(default_factory=dict)
    organisation: Organisation | None = None

    def account(self, account: str) -> Account:
        """An account; an empty one if nothing was ever put into it."""
        return self.accounts.get(account) or Account(account)

    def identity(self, arn: str) -> Identity | None:
        """A user or role by ARN; a role also by the ARN of a session of it."""
        account = self.accounts.get(arn.split(":")[4]) if arn.count(":") > 4 else None
        if account is None:
            return None
        found = account.identities.get(arn)
        place, _, rest = arn.split(":", 5)[5].partition("/")
        if found is None and place == "assumed-role":
            role = rest.partition("/")[0]
            roles = (each for each in account.identities.values() if ":role/" in each.arn)
            found = next((each for each in roles if each.name == role), None)
        return found

    def acts_as(self, principal: Principal) -> Identity | None:
        """The user or role by whose policies a caller acts, if it has one and it is there still. A
        namesake of a session's own role, made later, is another."""
        session = principal.session
        if principal.kind not in _HAVE_IDENTITY:
            return None
        found = self.identity(session.source if session else principal.arn)
        made_by = session.source_id if session else ""
        return None if found is None or made_by not in ("", found.unique_id) else found

    def is_gone(self, principal: Principal) -> bool:
        """Whether a caller is nobody any more: the Denies and the boundary that kept it within
        bounds went with its user or role, so nothing may be granted to it. A session that brings
        its own policies needs no role."""
        if principal.kind not in _HAVE_IDENTITY:
            return False
        if principal.session is not None and principal.session.grants:
            return False
        return self.acts_as(principal) is None

    def may_exist(self, principal: str) -> bool:
        """Whether a policy may name a principal. AWS refuses a user or role that is not there; here
        those of an account of which nobody is kept are taken on trust."""
        parts = principal.split(":", 5)
        if len(parts) != 6 or parts[2] not in ("iam", "sts"):
            return True  # an account, a service, everybody
        account = self.accounts.get(parts[4])
        if account is None or not account.identities or parts[5] == "root":
            return True
        if parts[5].startswith("federated-user/"):
            return True
        return self.identity(principal) is not None

    def access_key(self, access_key_id: str) -> KeptAccessKey | None:
        """An access key, whosever it is."""
        for account in self.accounts.values():
            if access_key_id in account.access_keys:
                return account.access_keys[access_key_id]
        return None

    def key_rules(self, key_arn: str, account: str) -> KeyRules:
        """Who may use a KMS key."""
        kept = self.accounts.get(account)
        return _NO_RULES if kept is None else kept.key_rules.get(key_arn, _NO_RULES)

    def is_bound(self, account: str) -> bool:
        """Whether policies of an organisation bind an account."""
        return self.organisation is not None and self.organisation.binds(account)

    def resource_policies(self, account: str) -> tuple[str, ...]:
        """The resource control policies that bind the resources of an account."""
        if self.organisation is None:
            return ()
        return self.organisation.resource_policies(account)

    def with_account(self, account: Account) -> Accounts:
        """The same with another state of one account."""
        return replace(self, accounts={**self.accounts, account.account: account})


Change = Callable[[Accounts], Accounts]


class Directory(Protocol):
    """What the authoriser asks of the accounts."""

    def current(self, setting: ReadSetting | None = None) -> Accounts:
        """All accounts, not older than ``SEEN_WITHIN``; ``setting`` reads inside a transaction."""
        ...


class StoredDirectory:
    """The accounts of one store. Safe to use from many threads.

    Args:
        new_stamp: makes the stamps.
        monotonic: the clock that says when to look for changes of others.
    """

    def __init__(
        self, store: Store, new_stamp: Callable[[], str], monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._new_stamp = new_stamp
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known = Accounts()
        self._looked = float("-inf")
        self._changes = 0

    def current(self, setting: ReadSetting | None = None) -> Accounts:
        """See ``Directory.current``. Raises ``StoreError`` if the store cannot be read."""
        now = self._monotonic()
        if 0 <= now - self._looked < SEEN_WITHIN:
            return self._known
        if setting is None:
            with self._store.transaction(write=False) as tx:
                return self._look(tx.setting, now)
        return self._look(setting, now)

    def change(self, change: Change) -> Accounts:
        """Put a change into the store, whole or not at all, and return what there is after it.

        Raises:
            ConfigError: the store keeps no accounts, or what ``change`` raised.
        """
        if self._store.keyring() is not None:
            raise ConfigError(
                "the encrypted file keeps no users, roles or policies, only secrets: use "
                "embedded:///…/secrets.db or a PostgreSQL store for them"
            )
        with self._store.transaction(write=True) as tx:
            before = read_accounts(tx.setting)
            after = replace(change(before), stamp=self._new_stamp())
            _write(tx, before, after)
        with self._lock:
            self._changes += 1
            self._known, self._looked = after, self._monotonic()
        return after

    def _look(self, setting: ReadSetting, now: float) -> Accounts:
        changes, known = self._changes, self._known
        index = setting(INDEX)
        stamp = "" if index is None else _index(index)[0]
        found = known if stamp == known.stamp else read_accounts(setting)
        with self._lock:
            if self._changes == changes:  # else this transaction began before a change of ours
                self._known, self._looked = found, now
            return self._known


def read_accounts(setting: ReadSetting) -> Accounts:
    """The accounts of a store. Raises ``StoreError`` if they cannot be read."""
    index = setting(INDEX)
    if index is None:
        return Accounts()
    stamp, names = _index(index)
    organisation = setting(ORGANISATION)
    try:
        accounts = {}
        for name in names:
            kept = setting(f"account/{name}")
            if kept is not None:
                accounts[name] = account_from_json(kept)
        found = None if organisation is None else organisation_from_json(organisation)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the accounts of this store cannot be read: {error}") from error
    return Accounts(stamp, accounts, found)


def _index(text: bytes) -> tuple[str, list[str]]:
    try:
        fields = json.loads(text)
        version, stamp, names = fields["format"], fields["stamp"], fields["accounts"]
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"the accounts of this store cannot be read: {error}") from error
    if version != _FORMAT:
        raise StoreError(
            f"the accounts of this store are in format {version}; this version of smclient reads "
            f"format {_FORMAT}: use a newer one"
        )
    return stamp, names


def _write(tx: Transaction, before: Accounts, after: Accounts) -> None:
    for name, account in after.accounts.items():
        if account != before.accounts.get(name):
            tx.put_setting(f"account/{name}", account_to_json(account))
    if after.organisation is not None and after.organisation != before.organisation:
        tx.put_setting(ORGANISATION, organisation_to_json(after.organisation))
    index = {"format": _FORMAT, "stamp": after.stamp, "accounts": sorted(after.accounts)}
    tx.put_setting(INDEX, json.dumps(index, separators=(",", ":")).encode())
