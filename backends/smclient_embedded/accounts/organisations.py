"""Organisations: which accounts belong together, and what binds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from smclient.errors import ConfigError
from smclient_embedded.accounts.directory import Accounts, StoredDirectory
from smclient_embedded.accounts.documents import Document, checked
from smclient_embedded.accounts.naming import check_account
from smclient_embedded.accounts.records import (
    FULL_ACCESS,
    FULL_ACCESS_NAME,
    ROOT,
    Organisation,
)

_UNIT = re.compile(r"root(?:/[\w.-]+)*", re.ASCII)
_ID = re.compile(r"o-[a-z0-9]{10,32}")


class OrganisationAdmin:
    """The part of ``AccountsAdmin`` that is about the organisation. A store has one at most."""

    _directory: StoredDirectory

    def create_organisation(self, management: str, *, organisation_id: str = "o-smclient01") -> str:
        """Make the organisation of this store, with its management account, and return its id.

        Raises:
            ConfigError: there is one already, or a bad account or id.
        """
        check_account(management)
        if not _ID.fullmatch(organisation_id):
            raise ConfigError(f"{organisation_id!r} is no organisation's id: o- and 10 to 32 signs")

        def create(accounts: Accounts) -> Accounts:
            if accounts.organisation is not None:
                known = accounts.organisation.organisation_id
                raise ConfigError(f"this store has the organisation {known} already")
            made = Organisation(organisation_id, management, {management: ROOT})
            return replace(accounts, organisation=made)

        self._directory.change(create)
        return organisation_id

    def put_account(self, account: str, unit: str = ROOT) -> None:
        """Put an account into a unit, ``root`` or ``root/prod/web``; it leaves its earlier one.

        Raises:
            ConfigError: there is no organisation, or a bad account or unit.
        """
        check_account(account)
        if not _UNIT.fullmatch(unit):
            raise ConfigError(f"{unit!r} is no unit; one is written root/prod/web")
        self._change(lambda o: replace(o, members={**o.members, account: unit}))

    def attach_policy(
        self, kind: Literal["scp", "rcp"], node: str, name: str, document: Document
    ) -> None:
        """Attach a service or resource control policy to ``root``, a unit or an account.

        FullAWSAccess stays attached beside it: take it away with ``detach_policy`` to allow only
        what other policies list.

        Raises:
            ConfigError: there is no organisation or node, or it is not a policy of that kind.
        """
        text = checked(document, kind, f"the {kind} {name!r} of {node}")

        def attach(organisation: Organisation) -> Organisation:
            _check_node(organisation, node)
            attached = _attached(organisation, kind)
            here = {**attached.get(node, _default(kind)), name: text}
            return _with(organisation, kind, {**attached, node: here})

        self._change(attach)

    def is_attached(self, kind: Literal["scp", "rcp"], node: str, name: str) -> bool:
        """Whether a node has a policy of that name."""
        organisation = self._directory.current().organisation
        if organisation is None:
            return False
        return name in _attached(organisation, kind).get(node, _default(kind))

    def detach_policy(self, kind: Literal["scp", "rcp"], node: str, name: str) -> None:
        """Take a policy away from a node; also ``FullAWSAccess``. Raises ``ConfigError``."""

        def detach(organisation: Organisation) -> Organisation:
            attached = _attached(organisation, kind)
            here = dict(attached.get(node, _default(kind)))
            if here.pop(name, None) is None:
                raise ConfigError(f"{node} has no {kind} {name!r}")
            return _with(organisation, kind, {**attached, node: here})

        self._change(detach)

    def _change(self, change: Callable[[Organisation], Organisation]) -> None:
        def changed(accounts: Accounts) -> Accounts:
            if accounts.organisation is None:
                raise ConfigError("this store has no organisation; make it: create_organisation()")
            return replace(accounts, organisation=change(accounts.organisation))

        self._directory.change(changed)


def _attached(organisation: Organisation, kind: str) -> Mapping[str, Mapping[str, str]]:
    return organisation.scps if kind == "scp" else organisation.rcps


def _default(kind: str) -> dict[str, str]:
    return {FULL_ACCESS_NAME: FULL_ACCESS} if kind == "scp" else {}


def _with(
    organisation: Organisation, kind: str, attached: Mapping[str, Mapping[str, str]]
) -> Organisation:
    if kind == "scp":
        return replace(organisation, scps=attached)
    return replace(organisation, rcps=attached)


def _check_node(organisation: Organisation, node: str) -> None:
    units: set[str] = set()
    for unit in organisation.members.values():
        steps = unit.split("/")
        units.update("/".join(steps[: depth + 1]) for depth in range(len(steps)))
    if node not in units and node not in organisation.members:
        raise ConfigError(
            f"the organisation has no {node!r}; put_account() makes units and members"
        )
