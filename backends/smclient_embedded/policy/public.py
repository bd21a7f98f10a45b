"""Is this secret policy public? The check of BlockPublicPolicy and ValidateResourcePolicy.

AWS asks a reasoning engine and publishes no rule for Secrets Manager beyond "must grant only to
fixed values"; Amazon S3 publishes the fuller rule for the same engine. This module follows that
rule: a policy is public if an Allow is open to principals that are not fixed and no condition
limits it. Deny statements are not weighed.

Sources: Secrets Manager API reference, PutResourcePolicy (BlockPublicPolicy); S3 user guide, "The
meaning of 'public'".
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .conditions import Qualifier, UnknownOperatorError, read_operator
from .grammar import as_list, statements_of
from .match import ARN_FIELDS

_WIDEST_PREFIX = {4: 8, 6: 32}
_FIXED_KEYS = frozenset(
    {
        "aws:principalorgid",
        "aws:principalaccount",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceaccount",
        "aws:sourceowner",
        "aws:userid",
    }
)
_ACCOUNT_KEYS = frozenset({"aws:principalaccount", "aws:sourceaccount", "aws:sourceowner"})
_ORG_PATHS = "aws:principalorgpaths"
_ARN_KEYS = frozenset({"aws:principalarn", "aws:sourcearn"})
_SOURCE_IP = "aws:sourceip"
_EXACT = frozenset({"stringequals", "stringequalsignorecase"})
_STRINGS = _EXACT | {"stringlike"}
_ARNS = frozenset({"arnequals", "arnlike", "stringequals", "stringlike"})


@dataclass(frozen=True, slots=True)
class PublicStatement:
    """An Allow that is open to anyone; ``why`` says how it is open."""

    statement: int
    sid: str | None
    why: str

    def __str__(self) -> str:
        """The finding in one sentence."""
        name = f" ({self.sid!r})" if self.sid else ""
        return f"Statement {self.statement + 1}{name} {self.why} and no condition limits it."


def is_public(policy: str | Mapping[str, Any]) -> bool:
    """Whether a resource policy grants to principals that are not fixed."""
    return bool(public_statements(policy))


def public_statements(policy: str | Mapping[str, Any]) -> tuple[PublicStatement, ...]:
    """The statements that make a policy public. What cannot be read counts as public."""
    try:
        document = json.loads(policy) if isinstance(policy, str) else policy
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):
        return (PublicStatement(0, None, "cannot be read, so it counts as open"),)
    return tuple(_open_statements(document))


def _open_statements(document: Mapping[str, Any]) -> Iterator[PublicStatement]:
    for index, statement in enumerate(statements_of(document)):
        if not isinstance(statement, Mapping):
            yield PublicStatement(index, None, "cannot be read, so it counts as open")
            continue
        if statement.get("Effect") == "Deny":
            continue
        why = _open_to(statement)
        if why is not None and not _is_limited(statement.get("Condition")):
            sid = statement.get("Sid")
            yield PublicStatement(index, sid if isinstance(sid, str) else None, why)


def _open_to(statement: Mapping[str, Any]) -> str | None:
    if "NotPrincipal" in statement:
        return "allows everyone that NotPrincipal does not list"
    principal = statement.get("Principal")
    if principal == "*":
        return "allows every principal"
    if not isinstance(principal, Mapping):
        return "has no readable Principal"
    if "Federated" in principal:
        return "allows whoever an identity provider admits"
    for entries in principal.values():
        for entry in as_list(entries):
            if not isinstance(entry, str) or "*" in entry or "?" in entry:
                return (
                    "allows every principal"
                    if entry == "*"
                    else "has a principal that is not fixed"
                )
    return None


def accounts_by_condition(statement: Mapping[str, Any]) -> frozenset[str]:
    """The accounts that conditions limit an Allow to that is open to anyone, or to a service that
    acts for somebody; empty where the Principal says by itself whom it is for."""
    principal = statement.get("Principal")
    is_service = isinstance(principal, Mapping) and "Service" in principal
    if not is_service and _open_to(statement) is None:
        return frozenset()
    limits = _limiting(statement.get("Condition"))
    return frozenset(
        value.split(":")[4] if key in _ARN_KEYS else value
        for key, wanted in limits
        if key in _ARN_KEYS or key in _ACCOUNT_KEYS
        for value in wanted
    ) - {""}


def _is_limited(condition: Any) -> bool:
    return next(_limiting(condition), None) is not None


def _limiting(condition: Any) -> Iterator[tuple[str, list[str]]]:
    """The keys, in small letters, and the values of the conditions that narrow the callers."""
    if not isinstance(condition, Mapping):
        return
    for operator, block in condition.items():
        for key, wanted in block.items() if isinstance(block, Mapping) else ():
            values = [str(value) for value in as_list(wanted)]
            if _limits(operator, key, values):
                yield key.lower(), values


def _limits(operator: str, key: str, wanted: list[str]) -> bool:
    """Whether one condition narrows the callers to fixed ones; every value must be fixed.

    Only positive operators do, without IfExists and ForAllValues, which let requests without the
    key through.
    """
    try:
        read = read_operator(operator)
    except UnknownOperatorError:
        return False
    if read.if_exists or read.qualifier is Qualifier.FOR_ALL:
        return False
    if not wanted or not all(wanted) or any("${" in value for value in wanted):
        return False
    lowered = key.lower()
    if lowered in _FIXED_KEYS and read.base in _STRINGS:
        return read.base in _EXACT or not any(_has_wildcard(value) for value in wanted)
    if lowered == _ORG_PATHS and read.base in _STRINGS:
        return not any(_has_wildcard(value.partition("/")[0]) for value in wanted)
    if lowered in _ARN_KEYS and read.base in _ARNS:
        return all(_names_an_account(value) for value in wanted)
    if lowered == _SOURCE_IP and read.base == "ipaddress":
        return all(_is_narrow(value) for value in wanted)
    return False


def _has_wildcard(value: str) -> bool:
    return "*" in value or "?" in value


def _names_an_account(arn: str) -> bool:
    """A fixed account field, or an ARN fixed in every field (that of a bucket has no account)."""
    fields = arn.split(":", ARN_FIELDS - 1)
    if len(fields) < ARN_FIELDS:
        return False
    account = fields[4]
    return not _has_wildcard(account if account else arn)


def _is_narrow(text: str) -> bool:
    try:
        parsed = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return parsed.prefixlen >= _WIDEST_PREFIX[parsed.version]
