"""To whom the policies of a secret open it: everybody, or other accounts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from smclient_embedded.policy import accounts_by_condition, public_statements
from smclient_embedded.policy.grammar import as_list, statements_of

_ACCOUNT = re.compile(r"[0-9]{12}")
_ARN_ACCOUNT = re.compile(r"arn:[a-z-]+:(?:iam|sts)::([0-9]{12}):.*", re.DOTALL)


def public_reasons(policies: Mapping[str, str]) -> list[str]:
    """Why policies, by name, are open to everybody; one sentence for each statement that is."""
    return [
        f"Policy {name!r}: {statement}"
        for name, text in sorted(policies.items())
        for statement in public_statements(text)
    ]


def foreign_accounts(policies: Mapping[str, str], owner: str) -> set[str]:
    """The accounts other than the owner's that an Allow of a policy is for: those that it names as
    principals, and those that conditions limit it to where it is open. Deny statements are not
    weighed, nor further conditions, and who is everybody is another question."""
    named = {account for text in policies.values() for account in _allowed_accounts(text)}
    return named - {owner}


def _allowed_accounts(text: str) -> Iterator[str]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return  # it counts as public
    if not isinstance(document, Mapping):
        return
    for statement in statements_of(document):
        if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal")
        named = principal.get("AWS") if isinstance(principal, Mapping) else None
        yield from filter(None, map(_account_of, as_list(named)))
        yield from accounts_by_condition(statement)


def _account_of(principal: Any) -> str | None:
    if not isinstance(principal, str):
        return None
    if _ACCOUNT.fullmatch(principal):
        return principal
    found = _ARN_ACCOUNT.fullmatch(principal)
    return None if found is None else found[1]
