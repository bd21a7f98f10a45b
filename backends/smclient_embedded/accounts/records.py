"""What is kept of accounts: users, groups, roles, access keys, key policies, the organisation.

Plain records that never change, and their form as JSON. A change is a new record in its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Policies = Mapping[str, str]
"""Policy documents as JSON text, by name."""

Tags = Mapping[str, str]
FULL_ACCESS_NAME = "FullAWSAccess"
FULL_ACCESS = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
ROOT = "root"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user or a role. ``trust`` is a role's: who may assume it; a user has none."""

    arn: str
    unique_id: str
    policies: Policies = field(default_factory=dict)
    boundary: str | None = None
    tags: Tags = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    trust: str | None = None

    @property
    def name(self) -> str:
        """The name without its path."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users: policies that count as theirs."""

    arn: str
    policies: Policies = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptAccessKey:
    """An access key of a user; its secret is sealed under a key of the account (``keys``)."""

    access_key_id: str
    principal: str
    sealed_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyGrantRecord:
    """A KMS grant as it is kept: constraints under AWS's own names."""

    grant_id: str
    grantee: str
    operations: tuple[str, ...]
    constraints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyRules:
    """Who may use a KMS key: its policy, KMS's default one if ``None``, and its grants."""

    policy: str | None = None
    grants: tuple[KeyGrantRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """All that an account holds. Users and roles by ARN, groups by name, keys by id or ARN."""

    account: str
    identities: Mapping[str, Identity] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    access_keys: Mapping[str, KeptAccessKey] = field(default_factory=dict)
    key_rules: Mapping[str, KeyRules] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Organisation:
    """Accounts under a tree of organisational units, and the policies attached to its nodes.

    A node is ``root``, a unit (``root/prod/web``) or an account. Every node begins with the service
    control policy FullAWSAccess, as in AWS; where another takes its place, only that allows.

    Attributes:
        management: the management account; its principals and resources are bound by no policy.
        members: account to the unit it is in.
        scps, rcps: node to the policies attached to it, by name.
    """

    organisation_id: str
    management: str
    members: Mapping[str, str] = field(default_factory=dict)
    scps: Mapping[str, Policies] = field(default_factory=dict)
    rcps: Mapping[str, Policies] = field(default_factory=dict)

    def nodes(self, account: str) -> list[str]:
        """The nodes from the root down to an account."""
        steps = self.members[account].split("/")
        return ["/".join(steps[: depth + 1]) for depth in range(len(steps))] + [account]

    def binds(self, account: str) -> bool:
        """Whether policies of the organisation bind an account."""
        return account in self.members and account != self.management

    def includes(self, account: str) -> bool:
        """Whether an account belongs to the organisation."""
        return account in self.members

    def levels(self, account: str) -> tuple[tuple[str, ...], ...] | None:
        """Service control policies of an account by level, root first; ``None`` if none bind it."""
        if not self.binds(account):
            return None
        default = {FULL_ACCESS_NAME: FULL_ACCESS}
        return tuple(tuple(self.scps.get(node, default).values()) for node in self.nodes(account))

    def resource_policies(self, account: str) -> tuple[str, ...]:
        """The resource control policies that bind the resources of an account."""
        if not self.binds(account):
            return ()
        return tuple(
            text for node in self.nodes(account) for text in self.rcps.get(node, {}).values()
        )

    def path(self, account: str) -> str:
        """``aws:PrincipalOrgPaths`` of an account."""
        units = "".join(f"ou-{unit}/" for unit in self.members[account].split("/")[1:])
        return f"{self.organisation_id}/r-root/{units}"


def account_to_json(account: Account) -> bytes:
    """An account as the store keeps it."""
    return json.dumps(asdict(account), separators=(",", ":")).encode()


def account_from_json(text: bytes) -> Account:
    """What ``account_to_json`` made."""
    fields = json.loads(text)
    return Account(
        account=fields["account"],
        identities={arn: _identity(each) for arn, each in fields["identities"].items()},
        groups={name: Group(**each) for name, each in fields["groups"].items()},
        access_keys={key: KeptAccessKey(**each) for key, each in fields["access_keys"].items()},
        key_rules={arn: _key_rules(each) for arn, each in fields["key_rules"].items()},
    )


def organisation_to_json(organisation: Organisation) -> bytes:
    """An organisation as the store keeps it."""
    return json.dumps(asdict(organisation), separators=(",", ":")).encode()


def organisation_from_json(text: bytes) -> Organisation:
    """What ``organisation_to_json`` made."""
    return Organisation(**json.loads(text))


def _identity(fields: dict[str, Any]) -> Identity:
    return Identity(**{**fields, "groups": tuple(fields["groups"])})


def _key_rules(fields: dict[str, Any]) -> KeyRules:
    grants = tuple(
        KeyGrantRecord(**{**each, "operations": tuple(each["operations"])})
        for each in fields["grants"]
    )
    return KeyRules(fields["policy"], grants)
