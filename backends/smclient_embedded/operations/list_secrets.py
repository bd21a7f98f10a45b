"""ListSecrets."""

from __future__ import annotations

from typing import Any, Literal

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.filters import matches, name_prefixes
from smclient_embedded.paging import page_of
from smclient_embedded.showing import metadata
from smclient_embedded.store.records import SecretQuery

_ORDERS: dict[str, Literal["created", "accessed", "changed", "name"]] = {
    "created-date": "created",
    "last-accessed-date": "accessed",
    "last-changed-date": "changed",
    "name": "name",
}


def list_secrets(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """A page of the account's secrets in this region, filtered and sorted.

    Raises:
        InvalidParameterException: a filter without key or values.
        InvalidNextTokenException: a token that was not given out.
    """
    filters = request.get("Filters", [])
    wanted = matches(filters)
    page = page_of(
        deps.tx,
        context.scope,
        SecretQuery(
            sort_by=_ORDERS[request.get("SortBy", "created-date")],
            descending=request.get("SortOrder", "asc") == "desc",
            include_deleted=request.get("IncludePlannedDeletion", False),
            prefixes=name_prefixes(filters),
            limit=request.get("MaxResults", 100),
        ),
        token=request.get("NextToken"),
        wanted=wanted,
    )
    answer: dict[str, Any] = {
        "SecretList": [
            metadata(secret, deps.tx.labels(secret.arn), versions_as="SecretVersionsToStages")
            for secret in page.secrets
        ]
    }
    if page.next_token is not None:
        answer["NextToken"] = page.next_token
    return answer
