"""Resource policies of a secret: what may be put, how AWS prints it, whom it locks out.

Pure. A secret has one policy that its owner changes, ``default``; others are put by the service
itself (``cross-account-replication`` on a replica of another account's secret) and can be read and
listed only. The rules of the grammar and of what is public are the policy engine's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from smclient_embedded.errors import (
    InvalidParameterException,
    MalformedPolicyDocumentException,
)
from smclient_embedded.policy import PolicyGrammarError, is_public, parse

DEFAULT = "default"
CROSS_ACCOUNT = "cross-account-replication"

SYNTAX_ERROR = "This resource policy contains a syntax error."
UNSUPPORTED_PRINCIPAL = "This resource policy contains an unsupported principal."
PUBLIC = "You can not attach a resource policy that grants Public access to your secret."
LOCKED_OUT = "This resource policy will not allow you to manage this secret in the future."

PUBLIC_CHECK = "BlockPublicPolicyCheck"
LOCK_OUT_CHECK = "LockOutCheck"


def policy_name(request: Mapping[str, Any], *, change: bool) -> str:
    """Which policy a request is about.

    Raises:
        InvalidParameterException: another one than ``default`` is to be changed.
    """
    name = str(request.get("PolicyName", DEFAULT))
    if change and name != DEFAULT:
        raise InvalidParameterException(
            f"You can only attach, change or delete the {DEFAULT} resource policy; {name} is not "
            "yours to change."
        )
    return name


def in_order(policies: Mapping[str, str]) -> list[str]:
    """The names of policies as they are listed: ``default``, then the others by the alphabet."""
    return sorted(policies, key=lambda name: (name != DEFAULT, name))


def accepted(text: str, may_exist: Callable[[str], bool] = lambda principal: True) -> str:
    """A policy as AWS keeps it: printed again, two blanks a level, the order of members kept.

    Raises:
        MalformedPolicyDocumentException: it is no policy, or names a principal that does not exist;
            the message says where and why.
    """
    try:
        document = json.loads(text, parse_int=_Number, parse_float=_Number)
        text.encode()
        printed = _printed(document, 0)
        printed.encode()  # "\\ud800" is half a character: no policy that anybody could keep
    except (ValueError, RecursionError):
        raise MalformedPolicyDocumentException(SYNTAX_ERROR) from None
    try:
        parse(text, "resource")
    except PolicyGrammarError as error:
        raise MalformedPolicyDocumentException(_said(error)) from None
    for principal in _principals(document):
        if not may_exist(principal):
            raise MalformedPolicyDocumentException(
                f"{UNSUPPORTED_PRINCIPAL} There is no {principal}."
            )
    return printed


def _principals(document: Any) -> Iterator[str]:
    """The AWS principals that a valid policy names."""
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        element = statement.get("Principal", statement.get("NotPrincipal"))
        named = element.get("AWS", []) if isinstance(element, dict) else []
        yield from named if isinstance(named, list) else [named]


def is_open_to_all(text: str) -> bool:
    """Whether BlockPublicPolicy refuses a policy."""
    return is_public(text)


def _said(error: PolicyGrammarError) -> str:
    """AWS's sentence, and ours with the place: AWS gives none."""
    only_principals = all(".Principal" in fault.where for fault in error.faults)
    sentence = UNSUPPORTED_PRINCIPAL if only_principals else SYNTAX_ERROR
    return f"{sentence} {error}"


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _printed(value: Any, level: int) -> str:
    if isinstance(value, dict):
        if not value:
            return "{ }"
        inner = "  " * (level + 1)
        members = [
            f"{inner}{_quoted(key)} : {_printed(member, level + 1)}"
            for key, member in value.items()
        ]
        return "{\n" + ",\n".join(members) + "\n" + "  " * level + "}"
    if isinstance(value, list):
        return f"[ {', '.join(_printed(item, level) for item in value)} ]" if value else "[ ]"
    if isinstance(value, _Number):
        return str(value)
    return _quoted(value)


def _quoted(value: str | bool | None) -> str:
    return json.dumps(value, ensure_ascii=False)
