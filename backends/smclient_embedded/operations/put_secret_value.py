"""PutSecretValue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient.secret import AWSCURRENT
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidRequestException
from smclient_embedded.finding import find_live_secret
from smclient_embedded.labels import abandon_rotation, attach, labels_of
from smclient_embedded.store.records import SecretRecord
from smclient_embedded.values import check_replay, has_value, need_token, new_version


def put_secret_value(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Add a version, or fill the empty one that a rotation made under the same token.

    Raises:
        InvalidRequestException: no token, no value, or marked for deletion.
        ResourceExistsException: the token is in use with another value.
    """
    token = need_token(request)
    secret = find_live_secret(context, deps, request["SecretId"])
    if not has_value(request):
        raise InvalidRequestException("You must provide either SecretString or SecretBinary.")
    stages = request.get("VersionStages", [AWSCURRENT])
    if not deps.tx.labels(secret.arn).get(AWSCURRENT) and "VersionStages" not in request:
        stages = [AWSCURRENT]
    write_version(deps, secret, token, stages, request)
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": token,
        "VersionStages": labels_of(deps.tx.labels(secret.arn), token),
    }


def write_version(
    deps: Deps, secret: SecretRecord, token: str, stages: list[str], request: Request
) -> None:
    """Keep the value of a request as version ``token`` under these labels; the same once more
    changes nothing but adds its labels."""
    version = deps.tx.version(secret.arn, token)
    if version is not None and version.sealed is not None:
        check_replay(deps, version, request)
    else:
        made = new_version(deps, secret, token, request)
        created_at = made.created_at if version is None else version.created_at
        deps.tx.put_version(replace(made, created_at=created_at))
    if AWSCURRENT in stages and deps.tx.labels(secret.arn).get(AWSCURRENT) != token:
        abandon_rotation(deps.tx, secret.arn)
    attach(deps.tx, secret.arn, stages, token)
    deps.tx.put_secret(replace(secret, changed_at=deps.now))
