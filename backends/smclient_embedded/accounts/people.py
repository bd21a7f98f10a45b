"""Users, groups and roles, and the policies attached to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from smclient.errors import ConfigError
from smclient_embedded.accounts.directory import Accounts, StoredDirectory
from smclient_embedded.accounts.documents import (
    Document,
    Documents,
    checked,
    named_documents,
    trust_policy,
)
from smclient_embedded.accounts.keys import random_id
from smclient_embedded.accounts.naming import account_of, principal_arn, unknown
from smclient_embedded.accounts.records import Group, Identity


class PeopleAdmin:
    """The part of ``AccountsAdmin`` that is about who there is.

    Args:
        home: the account that names without one belong to.
    """

    def __init__(self, directory: StoredDirectory, home: str) -> None:
        self._directory = directory
        self._home = home

    def create_user(
        self,
        name: str,
        *,
        account: str | None = None,
        path: str = "/",
        policies: Documents | None = None,
        boundary: Document | None = None,
        tags: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
    ) -> str:
        """Make a user and return its ARN.

        Raises:
            ConfigError: the name is taken or no name, a policy is none, there is no such group, or
                the store keeps no accounts.
        """
        account, arn = self._placed("user", name, account, path)
        made = Identity(
            arn=arn,
            unique_id="AIDA" + random_id(17),
            policies=named_documents(policies, "identity", arn),
            boundary=None if boundary is None else checked(boundary, "identity", f"{arn} boundary"),
            tags=dict(tags or {}),
            groups=tuple(groups),
        )
        self._add(account, made)
        return arn

    def create_role(
        self,
        name: str,
        *,
        account: str | None = None,
        path: str = "/",
        trust: Document | None = None,
        policies: Documents | None = None,
        boundary: Document | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Make a role and return its ARN. ``trust`` says who may assume it; without it those of the
        account whom their own policies allow to.

        Raises:
            ConfigError: as for ``create_user``.
        """
        account, arn = self._placed("role", name, account, path)
        made = Identity(
            arn=arn,
            unique_id="AROA" + random_id(17),
            policies=named_documents(policies, "identity", arn),
            boundary=None if boundary is None else checked(boundary, "identity", f"{arn} boundary"),
            tags=dict(tags or {}),
            trust=trust_policy(trust, account, f"{arn} trust"),
        )
        self._add(account, made)
        return arn

    def create_group(
        self, name: str, *, account: str | None = None, policies: Documents | None = None
    ) -> str:
        """Make a group of users and return its ARN. Raises ``ConfigError`` as ``create_user``."""
        return self._put_group(name, account, policies, is_new=True)

    def put_group(
        self, name: str, *, account: str | None = None, policies: Documents | None = None
    ) -> str:
        """Make a group or give it these policies and no others. Raises ``ConfigError``."""
        return self._put_group(name, account, policies, is_new=False)

    def put_policy(self, arn: str, name: str, document: Document) -> None:
        """Give a user, group or role a policy, in place of its earlier one of that name.

        Raises:
            ConfigError: there is no such principal, or it is not a policy.
        """
        text = checked(document, "identity", f"{arn}, policy {name!r},")
        self._change_policies(arn, lambda policies: {**policies, name: text})

    def remove_policy(self, arn: str, name: str) -> None:
        """Take a policy away. Raises ``ConfigError`` if there is no such principal or policy."""

        def remove(policies: Mapping[str, str]) -> dict[str, str]:
            if name not in policies:
                raise ConfigError(f"{arn} has no policy {name!r}")
            return {kept: text for kept, text in policies.items() if kept != name}

        self._change_policies(arn, remove)

    def replace(
        self,
        arn: str,
        *,
        policies: Documents | None = None,
        boundary: Document | None = None,
        tags: Mapping[str, str] | None = None,
        trust: Document | None = None,
    ) -> None:
        """Give a user or role all of what is given in place of what it had, and leave the rest.

        Raises:
            ConfigError: there is no such user or role, or a policy is none.
        """
        texts = None if policies is None else named_documents(policies, "identity", arn)
        limit = None if boundary is None else checked(boundary, "identity", f"{arn} boundary")
        trusted = None if trust is None else trust_policy(trust, account_of(arn), f"{arn} trust")

        def changed(kept: Identity) -> Identity:
            return replace(
                kept,
                policies=kept.policies if texts is None else texts,
                boundary=limit or kept.boundary,
                tags=kept.tags if tags is None else dict(tags),
                trust=trusted or kept.trust,
            )

        self._change_identity(arn, changed)

    def put_boundary(self, arn: str, document: Document | None) -> None:
        """Limit a user or role by a permissions boundary; ``None`` takes it away.

        Raises:
            ConfigError: there is no such user or role, or it is not a policy.
        """
        text = None if document is None else checked(document, "identity", f"{arn} boundary")
        self._change_identity(arn, lambda kept: replace(kept, boundary=text))

    def put_groups(self, user: str, groups: Sequence[str]) -> None:
        """Put a user into these groups and no others. Raises ``ConfigError``."""
        self._change_identity(user, lambda kept: replace(kept, groups=tuple(groups)))

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Give a user or role these tags and no others. Raises ``ConfigError``."""
        self._change_identity(arn, lambda kept: replace(kept, tags=dict(tags)))

    def remove(self, arn: str) -> None:
        """Remove a user with its access keys, a group, or a role with its sessions.

        Raises:
            ConfigError: there is none.
        """
        account = account_of(arn)

        def remove(accounts: Accounts) -> Accounts:
            kept = accounts.account(account)
            groups = {name: group for name, group in kept.groups.items() if group.arn != arn}
            identities = {known: each for known, each in kept.identities.items() if known != arn}
            if (len(groups), len(identities)) == (len(kept.groups), len(kept.identities)):
                raise unknown(arn)
            keys = {key: each for key, each in kept.access_keys.items() if each.principal != arn}
            return accounts.with_account(
                replace(kept, groups=groups, identities=identities, access_keys=keys)
            )

        self._directory.change(remove)

    # --- inside -----------------------------------------------------------------------------------

    def _put_group(
        self, name: str, account: str | None, policies: Documents | None, *, is_new: bool
    ) -> str:
        account, arn = self._placed("group", name, account, "/")
        group = Group(arn, named_documents(policies, "identity", arn))

        def put(accounts: Accounts) -> Accounts:
            kept = accounts.account(account)
            if is_new and name in kept.groups:
                raise ConfigError(f"{arn} is there already")
            return accounts.with_account(replace(kept, groups={**kept.groups, name: group}))

        self._directory.change(put)
        return arn

    def _placed(self, kind: str, name: str, account: str | None, path: str) -> tuple[str, str]:
        account = account or self._home
        return account, principal_arn(kind, name, account, path)

    def _identity(self, arn: str, kind: Literal["user", "role"]) -> Identity:
        identity = self._directory.current().identity(arn)
        if identity is None or identity.arn != arn or f":{kind}/" not in arn:
            raise ConfigError(f"there is no {kind} {arn!r}; make it with create_{kind}()")
        return identity

    def _add(self, account: str, made: Identity) -> None:
        def add(accounts: Accounts) -> Accounts:
            kept = accounts.account(account)
            kind = made.arn.split(":")[5].partition("/")[0]
            for each in kept.identities.values():
                if each.name == made.name and f":{kind}/" in each.arn:
                    raise ConfigError(f"{each.arn} is there already")
            _check_groups(made, set(kept.groups))
            return accounts.with_account(
                replace(kept, identities={**kept.identities, made.arn: made})
            )

        self._directory.change(add)

    def _change_identity(self, arn: str, change: Callable[[Identity], Identity]) -> None:
        def changed(accounts: Accounts) -> Accounts:
            kept = accounts.account(account_of(arn))
            if arn not in kept.identities:
                raise unknown(arn)
            after = change(kept.identities[arn])
            _check_groups(after, set(kept.groups))
            return accounts.with_account(replace(kept, identities={**kept.identities, arn: after}))

        self._directory.change(changed)

    def _change_policies(
        self, arn: str, change: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> None:
        if ":group/" not in arn:
            self._change_identity(arn, lambda kept: replace(kept, policies=change(kept.policies)))
            return
        name = arn.rpartition("/")[2]

        def changed(accounts: Accounts) -> Accounts:
            kept = accounts.account(account_of(arn))
            if name not in kept.groups:
                raise unknown(arn)
            group = replace(kept.groups[name], policies=change(kept.groups[name].policies))
            return accounts.with_account(replace(kept, groups={**kept.groups, name: group}))

        self._directory.change(changed)


def _check_groups(identity: Identity, known: set[str]) -> None:
    for group in identity.groups:
        if group not in known:
            raise ConfigError(f"{identity.arn}: there is no group {group!r} in its account")
