"""Pages of secrets: as many store pages as it takes to fill one, and the token for the next."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace

from smclient_embedded.errors import InvalidNextTokenException
from smclient_embedded.filters import Wanted
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import Scope, SecretQuery, SecretRecord

_LOOKED_AT = 50
"""So many secrets at least are fetched at once where few are wanted."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some secrets, and the token under which the rest continues."""

    secrets: list[SecretRecord]
    next_token: str | None


def page_of(
    tx: Transaction, scope: Scope, query: SecretQuery, *, token: str | None, wanted: Wanted
) -> Page:
    """The next ``query.limit`` secrets that are wanted.

    Raises:
        InvalidNextTokenException: the token was not given out for this order.
    """
    found: list[SecretRecord] = []
    last = ""
    query = replace(query, after=None if token is None else _read_token(token, query))
    want_more = query.limit
    query = replace(query, limit=want_more + 1)  # one more tells whether there is a next page
    while True:
        page = tx.page(scope, query)
        for secret, position in zip(page.secrets, page.positions, strict=True):
            if not wanted(secret):
                continue
            if len(found) == want_more:
                return Page(found, _token(last, query))
            found.append(secret)
            last = position
        if not page.more:
            return Page(found, None)
        query = replace(query, after=page.positions[-1], limit=max(query.limit, _LOOKED_AT))


def _token(position: str, query: SecretQuery) -> str:
    content = json.dumps([query.sort_by, query.descending, position])
    return base64.urlsafe_b64encode(content.encode()).decode()


def _read_token(token: str, query: SecretQuery) -> str:
    try:
        content = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        sort_by, descending, position = content
        position.encode()  # half of a surrogate pair would not reach a database
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise InvalidNextTokenException("The NextToken value is invalid.") from None
    if (sort_by, descending) != (query.sort_by, query.descending):
        raise InvalidNextTokenException("The NextToken value is invalid.")
    return str(position)
