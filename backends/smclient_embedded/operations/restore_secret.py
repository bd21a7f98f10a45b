"""RestoreSecret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import check_changeable, find_secret


def restore_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Take back a deletion that has not happened yet. On a live secret it changes nothing.

    Raises:
        ResourceNotFoundException
        InvalidParameterException: it is a replica.
    """
    secret = find_secret(context, deps, request["SecretId"])
    check_changeable(context, secret)
    if secret.deleted_at is not None:
        deps.tx.put_secret(replace(secret, deleted_at=None, delete_after=None, changed_at=deps.now))
        for version in deps.tx.versions(secret.arn):
            deps.emit(
                secret.scope,
                "CancelSecretVersionDelete",
                ARN=secret.arn,
                Name=secret.name,
                VersionId=version.version_id,
            )
    return {"ARN": secret.arn, "Name": secret.name}
