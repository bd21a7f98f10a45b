"""Policy documents on their way in: checked strictly, kept as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from smclient.errors import ConfigError
from smclient_embedded.policy import Kind, PolicyGrammarError, parse

Document = str | Mapping[str, Any]
"""JSON text, or the object it stands for."""

Documents = Document | Sequence[Document] | Mapping[str, Document]
"""One document, several, or several by name."""


def checked(document: Document, kind: Kind, where: str) -> str:
    """A document as text. Raises ``ConfigError`` that names the place of every fault."""
    try:
        return parse(document, kind).text
    except PolicyGrammarError as error:
        raise ConfigError(f"{where} is not a policy: {error}") from error


def named_documents(given: Documents | None, kind: Kind, where: str) -> dict[str, str]:
    """Documents by name; those without one are called ``policy``, ``policy-2``, …

    Raises:
        ConfigError: one of them is not a policy.
    """
    if given is None:
        return {}
    if isinstance(given, str) or (isinstance(given, Mapping) and "Statement" in given):
        given = [given]
    if not isinstance(given, Mapping):
        given = {
            "policy" if index == 0 else f"policy-{index + 1}": document
            for index, document in enumerate(given)
        }
    return {
        str(name): checked(document, kind, f"{where}, policy {name!r},")
        for name, document in given.items()
    }


def trust_policy(given: Document | None, account: str, where: str) -> str:
    """Who may assume a role; the role's own account, and so its policies, unless given.

    Trust policies have no Resource; the engine wants one, so it is kept with ``*``.

    Raises:
        ConfigError: it is not a policy.
    """
    if given is None:
        given = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
            },
        }
    try:
        document = json.loads(given) if isinstance(given, str) else dict(given)
    except ValueError as error:
        raise ConfigError(f"{where} is not a policy: {error}") from error
    if isinstance(document, dict):
        statements = document.get("Statement")
        listed = statements if isinstance(statements, list) else [statements]
        document["Statement"] = [
            {"Resource": "*", **each} if isinstance(each, Mapping) else each for each in listed
        ]
    return checked(document, "resource", where)
