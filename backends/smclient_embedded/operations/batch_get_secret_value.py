"""BatchGetSecretValue."""

from __future__ import annotations

from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidParameterException, ServiceError
from smclient_embedded.filters import matches, name_prefixes
from smclient_embedded.finding import locate, would_be_arn
from smclient_embedded.operations.get_secret_value import get_secret_value
from smclient_embedded.paging import page_of
from smclient_embedded.permission import demand
from smclient_embedded.store.records import SecretQuery

PAGE = 20


def batch_get_secret_value(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Read AWSCURRENT of up to 20 secrets, by id or by filter. What cannot be read is an entry
    in ``Errors``.

    Raises:
        InvalidParameterException: ids and filters, or neither, or MaxResults without filters.
    """
    by_id, by_filter = "SecretIdList" in request, "Filters" in request
    if by_id and by_filter:
        raise InvalidParameterException(
            "Either 'SecretIdList' or 'Filters' must be provided, but not both."
        )
    if not by_id and not by_filter:
        raise InvalidParameterException("Either 'SecretIdList' or 'Filters' must be provided.")
    if "MaxResults" in request and not by_filter:
        raise InvalidParameterException(
            "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is "
            "provided."
        )
    if by_id:
        return _read(context, deps, request["SecretIdList"])
    page = page_of(
        deps.tx,
        context.scope,
        SecretQuery(
            prefixes=name_prefixes(request["Filters"]), limit=request.get("MaxResults", PAGE)
        ),
        token=request.get("NextToken"),
        wanted=matches(request["Filters"]),
    )
    answer = _read(context, deps, [secret.arn for secret in page.secrets])
    if page.next_token is not None:
        answer["NextToken"] = page.next_token
    return answer


def _read(context: RequestContext, deps: Deps, secret_ids: list[str]) -> dict[str, Any]:
    values: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for secret_id in dict.fromkeys(secret_ids):
        try:
            _check_access(context, deps, secret_id)
            values.append(get_secret_value(context, deps, {"SecretId": secret_id}))
        except ServiceError as error:
            errors.append({"SecretId": secret_id, "ErrorCode": error.code, "Message": str(error)})
    return {"SecretValues": values, "Errors": errors}


def _check_access(context: RequestContext, deps: Deps, secret_id: str) -> None:
    """Each secret of a batch needs GetSecretValue on itself."""
    secret = locate(deps.tx, context.scope, secret_id)
    resource = would_be_arn(context, secret_id) if secret is None else secret.arn
    demand(context, deps, "GetSecretValue", resource, named=secret_id)
