"""Accounts, principals, keys, functions and secrets from a file: ``smclient serve --config FILE``.

The whole file is read and checked before anything of it is put into the store. What it names is
made, or brought to what the file says; secrets that are there already are left alone, and what the
file does not name stays. See docs/access.md for the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from smclient_embedded.accounts.documents import checked, named_documents, trust_policy
from smclient_embedded.accounts.naming import check_account, principal_arn
from smclient_embedded.config_reading import Table, read_file
from smclient_embedded.configured_functions import (
    ConfiguredFunction,
    put_function,
    read_function,
)
from smclient_embedded.seeding import Seed, seeds_of, sow

if TYPE_CHECKING:
    from smclient_embedded.service import EmbeddedService


@dataclass(frozen=True, slots=True)
class Person:
    """A user, group or role as the file has it; the policies are checked."""

    kind: Literal["user", "group", "role"]
    name: str
    account: str | None
    path: str
    policies: dict[str, str]
    boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    trust: str | None = None
    access_keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ConfiguredKey:
    """A KMS key as the file has it, recognised by its alias."""

    alias: str
    region: str | None
    policy: str | None
    grants: tuple[tuple[str, tuple[str, ...], Mapping[str, Mapping[str, str]]], ...] = ()


@dataclass(frozen=True, slots=True)
class ConfiguredOrganisation:
    """The organisation as the file has it. ``policies``: kind, node, name, text; ``detached``:
    kind, node, name."""

    organisation_id: str
    management: str
    accounts: Mapping[str, str]
    policies: tuple[tuple[Literal["scp", "rcp"], str, str, str], ...]
    detached: tuple[tuple[Literal["scp", "rcp"], str, str], ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file, checked."""

    path: Path
    people: tuple[Person, ...] = ()
    keys: tuple[ConfiguredKey, ...] = ()
    organisation: ConfiguredOrganisation | None = None
    secrets: tuple[Seed, ...] = field(default=(), repr=False)
    functions: tuple[ConfiguredFunction, ...] = ()


def read_config(path: Path) -> Configuration:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; names file and key.
    """
    top = read_file(path)
    people = [
        *(_person(each, "group") for each in top.tables("groups")),
        *(_person(each, "user") for each in top.tables("users")),
        *(_person(each, "role") for each in top.tables("roles")),
    ]
    keys = [_key(each) for each in top.tables("keys")]
    organisation = top.table("organisation")
    found = None if organisation is None else _organisation(organisation)
    _check_groups(top, people)
    secrets = list(seeds_of({"secrets": top.get("secrets")}, path)) if top.has("secrets") else []
    functions = tuple(read_function(each) for each in top.tables("functions"))
    top.done()
    return Configuration(path, tuple(people), tuple(keys), found, tuple(secrets), functions)


def apply_config(service: EmbeddedService, config: Configuration) -> None:
    """Bring a service to what a file says.

    Raises:
        ConfigError: the store keeps no accounts, or refuses something; says which.
    """
    accounts = service.accounts
    for person in config.people:
        _put_person(service, person)
    for key in config.keys:
        arn = _key_of(service, key)
        accounts.put_key_rules(arn, key.policy, key.grants)
    organisation = config.organisation
    if organisation is not None:
        if accounts.all().organisation is None:
            accounts.create_organisation(
                organisation.management, organisation_id=organisation.organisation_id
            )
        for account, unit in organisation.accounts.items():
            accounts.put_account(account, unit)
        for kind, node, name, text in organisation.policies:
            accounts.attach_policy(kind, node, name, text)
        for kind, node, name in organisation.detached:
            if accounts.is_attached(kind, node, name):
                accounts.detach_policy(kind, node, name)
    for function in config.functions:
        put_function(service, function)
    sow(service, config.secrets)


# --- reading --------------------------------------------------------------------------------------


def _person(table: Table, kind: Literal["user", "group", "role"]) -> Person:
    name, account = table.needed("name"), table.text("account")
    path = "/" if kind == "group" else table.text("path") or "/"
    policies = table.documents("policies")
    boundary = trust = None
    tags: Mapping[str, str] = {}
    groups: tuple[str, ...] = ()
    keys: list[tuple[str, str]] = []
    if kind != "group":
        boundary, tags = table.document("boundary"), table.pairs("tags") or {}
    if kind == "user":
        groups = table.texts("groups")
        keys = [_access_key(each) for each in table.tables("access_keys")]
    if kind == "role":
        trust = table.document("trust")
    table.done()
    with table.faults():
        principal_arn(kind, name, account or "0" * 12, path)
    with table.faults("policies"):
        texts = named_documents(policies, "identity", "it")
    with table.faults("boundary"):
        bounded = None if boundary is None else checked(boundary, "identity", "it")
    with table.faults("trust"):
        trusted = None if trust is None else trust_policy(trust, account or "0" * 12, "it")
    return Person(kind, name, account, path, texts, bounded, tags, groups, trusted, tuple(keys))


def _check_groups(top: Table, people: Sequence[Person]) -> None:
    known = {(each.account, each.name) for each in people if each.kind == "group"}
    for index, user in enumerate(each for each in people if each.kind == "user"):
        for group in user.groups:
            if (user.account, group) not in known:
                raise top.fault(f"names the group {group!r}, which is not here", f"users[{index}]")


def _access_key(table: Table) -> tuple[str, str]:
    pair = table.needed("id"), table.secret("secret")
    table.done()
    return pair


def _key(table: Table) -> ConfiguredKey:
    alias, region = table.needed("alias"), table.text("region")
    policy = table.document("policy")
    grants = []
    for each in table.tables("grants"):
        constraints = {}
        given = each.table("constraints")
        for name in given.content if given is not None else ():
            constraints[name] = (given and given.pairs(name)) or {}
        grants.append((each.needed("grantee"), each.texts("operations"), constraints))
        each.done()
    table.done()
    with table.faults("policy"):
        text = None if policy is None else checked(policy, "resource", "it")
    return ConfiguredKey(alias, region, text, tuple(grants))


def _organisation(table: Table) -> ConfiguredOrganisation:
    organisation_id = table.text("id") or "o-smclient01"
    management, members = table.needed("management"), table.pairs("accounts") or {}
    with table.faults():
        for account in (management, *members):
            check_account(account)
    policies, detached = [], []
    for each in table.tables("policies"):
        kind, node, name = _attachment(each)
        document = each.document("document")
        each.done()
        if document is None:
            raise each.fault("is missing", "document")
        with each.faults("document"):
            text = checked(document, kind, "it")
        policies.append((kind, node, name, text))
    for each in table.tables("detach"):
        detached.append(_attachment(each))
        each.done()
    table.done()
    return ConfiguredOrganisation(
        organisation_id, management, members, tuple(policies), tuple(detached)
    )


def _attachment(table: Table) -> tuple[Literal["scp", "rcp"], str, str]:
    kind = table.needed("kind")
    if kind not in ("scp", "rcp"):
        raise table.fault("is 'scp' or 'rcp'", "kind")
    return cast(Literal["scp", "rcp"], kind), table.needed("node"), table.needed("name")


# --- applying -------------------------------------------------------------------------------------


def _put_person(service: EmbeddedService, person: Person) -> None:
    accounts = service.accounts
    arn = principal_arn(person.kind, person.name, person.account or service.account, person.path)
    if person.kind == "group":
        accounts.put_group(person.name, account=person.account, policies=person.policies)
        return
    known = accounts.all().identity(arn)
    if known is None and person.kind == "user":
        accounts.create_user(
            person.name,
            account=person.account,
            path=person.path,
            policies=person.policies,
            boundary=person.boundary,
            tags=person.tags,
            groups=person.groups,
        )
    elif known is None:
        accounts.create_role(
            person.name,
            account=person.account,
            path=person.path,
            trust=person.trust,
            policies=person.policies,
            boundary=person.boundary,
            tags=person.tags,
        )
    else:
        accounts.replace(arn, policies=person.policies, tags=person.tags, trust=person.trust)
        accounts.put_boundary(arn, person.boundary)
        accounts.put_groups(arn, person.groups)
    for access_key_id, secret in person.access_keys:
        accounts.put_access_key(arn, access_key_id, secret)


def _key_of(service: EmbeddedService, key: ConfiguredKey) -> str:
    """The key of an alias in the home account, made if there is none."""
    alias = "alias/" + key.alias.removeprefix("alias/")
    region = key.region or service.region
    for known in _known_keys(service, region):
        if known[0] == alias:
            return known[1]
    return service.create_key(alias=alias, region=region)


def _known_keys(service: EmbeddedService, region: str) -> Iterator[tuple[str | None, str]]:
    from smclient_embedded.store import Scope

    with service.door.store.transaction(write=False) as tx:
        found: Sequence[Any] = tx.keys(Scope(service.account, region))
    return ((key.alias, key.arn) for key in found)
