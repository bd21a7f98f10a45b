"""Who may call a service, and how callers are recognised: the part of ``EmbeddedService`` that
hands out principals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from smclient.errors import ConfigError
from smclient_embedded.accounts.authority import PolicyAuthoriser
from smclient_embedded.accounts.directory import StoredDirectory
from smclient_embedded.accounts.naming import principal_arn, unknown
from smclient_embedded.context import Principal
from smclient_embedded.door import Door
from smclient_embedded.http.sigv4 import AccessKey
from smclient_embedded.kms import Kms
from smclient_embedded.store import Scope, Transaction
from smclient_embedded.store.ports import Keyring

if TYPE_CHECKING:
    from smclient_embedded.accounts import AccountsAdmin, AssumedRole, Credentials
    from smclient_embedded.accounts.documents import Document, Documents

R = TypeVar("R")
_KEPT = 4096


class Principals:
    """Needs an open door."""

    account: str
    region: str
    _door: Door
    _directory: StoredDirectory
    _policies: PolicyAuthoriser
    _opened: dict[tuple[str, str], AccessKey]

    @functools.cached_property
    def accounts(self) -> AccountsAdmin:
        """Users, groups, roles, access keys, key policies and the organisation; see
        ``smclient_embedded.accounts.AccountsAdmin``. Loaded when it is asked for."""
        from smclient_embedded.accounts import AccountsAdmin

        return AccountsAdmin(
            self._directory,
            self._policies,
            seal_with=self._with_keys,
            now=self._door.clock.now,
            home=self.account,
        )

    def principal(self, principal: Principal | str | None = None) -> Principal:
        """A caller by ARN; the administrator for ``None``.

        A user, the root user of any account, a role (then a session of it), a session, or an AWS
        service by its name.

        Raises:
            ConfigError: there is none.
        """
        if isinstance(principal, Principal):
            return principal
        if principal is None or principal == f"arn:aws:iam::{self.account}:root":
            return Principal.administrator(self.account)
        found = self.accounts.principal(principal)
        if found is None:
            raise unknown(principal)
        return found

    def create_principal(
        self,
        name: str,
        *,
        account: str | None = None,
        kind: Literal["user", "role"] = "user",
        policies: Documents | None = None,
        boundary: Document | None = None,
        tags: Mapping[str, str] | None = None,
        trust: Document | None = None,
    ) -> str:
        """Make sure that there is a user or a role, and return its ARN.

        It may do what ``policies`` allow, and without any, nothing. Of one that is there already
        what is given takes the place of what it had.

        Raises:
            ConfigError: no name, a policy that is none, or a store that keeps no principals.
        """
        arn = principal_arn(kind, name, account or self.account, "/")
        known = self.accounts.all().identity(arn)
        if known is None:
            if kind == "user":
                return self.accounts.create_user(
                    name, account=account, policies=policies, boundary=boundary, tags=tags
                )
            return self.accounts.create_role(
                name,
                account=account,
                policies=policies,
                boundary=boundary,
                tags=tags,
                trust=trust,
            )
        self.accounts.replace(arn, policies=policies, boundary=boundary, tags=tags, trust=trust)
        return arn

    def assume_role(
        self,
        role: str,
        session_name: str = "smclient",
        *,
        caller: Principal | str | None = None,
        policies: Documents | None = None,
        tags: Mapping[str, str] | None = None,
        seconds: float = 3600.0,
    ) -> AssumedRole:
        """Begin a session of a role: ``.principal`` for this process, ``.credentials`` for HTTP.

        See ``AccountsAdmin.assume_role``.
        """
        asking = None if caller is None else self.principal(caller)
        return self.accounts.assume_role(
            role, session_name, caller=asking, policies=policies, tags=tags, seconds=seconds
        )

    def create_access_key(self, user: str) -> Credentials:
        """An access key of a user, for HTTP; see ``AccountsAdmin.create_access_key``."""
        return self.accounts.create_access_key(user)

    def find_key(self, access_key_id: str) -> AccessKey | None:
        """The access key of an id, as a server verifies signatures with it."""
        kept = self._directory.current().access_key(access_key_id)
        if kept is None:
            return None
        from smclient_embedded.accounts.keys import open_secret

        principal = self.accounts.principal(kept.principal)
        if principal is None:
            return None
        place = (access_key_id, kept.sealed_secret)
        found = self._opened.get(place)
        if found is None:
            secret = self._with_keys(
                lambda keys: open_secret(keys, access_key_id, kept.sealed_secret),
                principal.account,
                write=False,
            )
            found = self._remember(place, AccessKey(access_key_id, secret, principal))
        return found

    def open_session(self, access_key_id: str, token: str) -> AccessKey | None:
        """The key of a session by its token; ``None`` for a token that was not made here, or whose
        role is gone."""
        place = (access_key_id, token)
        found = self._opened.get(place)
        if found is None:
            from smclient_embedded.accounts.keys import open_session

            opened = self._with_keys(
                lambda keys: open_session(keys, access_key_id, token), self.account, write=False
            )
            if opened is None:
                return None
            principal, secret = opened
            ends = None if principal.session is None else principal.session.expires_at
            found = self._remember(place, AccessKey(access_key_id, secret, principal, token, ends))
        return None if self._directory.current().is_gone(found.principal) else found

    # --- inside -----------------------------------------------------------------------------------

    def _remember(self, place: tuple[str, str], key: AccessKey) -> AccessKey:
        if len(self._opened) >= _KEPT:
            self._opened.clear()
        self._opened[place] = key
        return key

    def _with_keys(self, work: Callable[[Keyring], R], account: str, *, write: bool = True) -> R:
        door = self._door
        with door.store.transaction(write=write) as tx:
            return work(_keys(door, tx, Scope(account, self.region)))


def _keys(door: Door, tx: Transaction, scope: Scope) -> Keyring:
    """The account's own keys, for what nobody asked for: no rights are checked, no use counted."""
    if door.store.keyring() is not None:
        raise ConfigError("this store brings its own keys; it keeps no access keys and no sessions")
    return Kms(door.master.within(tx.setting), tx, scope, door.now(), door.ids.uuid)
