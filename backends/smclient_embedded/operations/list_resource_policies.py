"""ListResourcePolicies."""

from __future__ import annotations

from typing import Any

from smclient_embedded import resource_policies
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidNextTokenException
from smclient_embedded.finding import find_live_secret

MOST = 100
_TOKEN = "after:"  # noqa: S105  the prefix of a paging token


def list_resource_policies(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """The names of the policies: ``default`` first, then the others by the alphabet.

    Raises:
        ResourceNotFoundException, InvalidRequestException, InvalidNextTokenException
    """
    secret = find_live_secret(context, deps, request["SecretId"])
    names = resource_policies.in_order(secret.policies)
    start = _start(names, request.get("NextToken"))
    page = names[start : start + request.get("MaxResults", MOST)]
    answer: dict[str, Any] = {"ResourcePolicies": [{"PolicyName": name} for name in page]}
    if start + len(page) < len(names):
        answer["NextToken"] = _TOKEN + page[-1]
    return answer


def _start(names: list[str], token: str | None) -> int:
    if token is None:
        return 0
    tokens = [_TOKEN + name for name in names]
    if token not in tokens:
        raise InvalidNextTokenException("The NextToken value is invalid.")
    return tokens.index(token) + 1
