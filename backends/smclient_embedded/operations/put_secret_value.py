"""PutSecretValue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from smclient.secret import AWSCURRENT, AWSPENDING
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidRequestException
from smclient_embedded.finding import check_own_value, find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.labels import abandon_rotation, attach, labels_of
from smclient_embedded.rotation.machine import plan_next
from smclient_embedded.store.records import SecretRecord
from smclient_embedded.values import (
    check_replay,
    has_value,
    need_token,
    new_version,
    refuse_foreign_default_key,
)


def put_secret_value(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Add a version, or fill the empty one that a rotation made under the same token.

    Raises:
        InvalidRequestException: no token, no value, or marked for deletion.
        ResourceExistsException: the token is in use with another value.
        LimitExceededException: too many versions or labels.
    """
    token = need_token(request)
    secret = find_changeable_secret(context, deps, request["SecretId"])
    check_own_value(secret)
    if not has_value(request):
        raise InvalidRequestException("You must provide either SecretString or SecretBinary.")
    refuse_foreign_default_key(context, secret)
    write_version(deps, secret, token, request.get("VersionStages"), request)
    replicate_changes(deps, secret)
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": token,
        "VersionStages": labels_of(deps.tx.labels(secret.arn), token),
    }


def write_version(
    deps: Deps, secret: SecretRecord, token: str, stages: Sequence[str] | None, request: Request
) -> None:
    """Keep the value of a request as version ``token`` under these labels, AWSCURRENT unless given.

    The first value of a secret is AWSCURRENT in any case, unless it fills the version that a
    rotation made: that one becomes current when the rotation finishes. The same call once more
    changes nothing; with labels that the version does not have it adds those.
    """
    version = deps.tx.version(secret.arn, token)
    if version is not None and version.sealed is not None:
        check_replay(deps, version, request)
        had = labels_of(deps.tx.labels(secret.arn), token)
        wanted = [stage for stage in stages or () if stage not in had]
        if not wanted:
            return
    else:
        wanted = list(stages or [AWSCURRENT])
        valued = any(kept.sealed is not None for kept in deps.tx.versions(secret.arn))
        if AWSCURRENT not in wanted and version is None and not valued:
            wanted.append(AWSCURRENT)
        made = new_version(deps, secret, token, request)
        created_at = made.created_at if version is None else version.created_at
        deps.tx.put_version(replace(made, created_at=created_at))
    if AWSCURRENT in wanted or AWSPENDING in wanted:
        _abandon_other_rotation(deps, secret, token)
    attach(deps.tx, secret.arn, wanted, token)
    _keep_quotas(deps, secret)
    deps.tx.put_secret(_changed(deps, secret, is_current=AWSCURRENT in wanted))


def _keep_quotas(deps: Deps, secret: SecretRecord) -> None:
    """Remove old versions over the quota. Raises ``LimitExceededException``."""
    labels = deps.tx.labels(secret.arn)
    deps.quotas.check_labels(labels)
    versions = deps.tx.versions(secret.arn)
    for version_id in deps.quotas.surplus(versions, set(labels.values()), deps.now):
        deps.tx.remove_version(secret.arn, version_id)
        deps.emit(
            secret.scope,
            "SecretVersionDeletion",
            ARN=secret.arn,
            Name=secret.name,
            VersionId=version_id,
        )


def _abandon_other_rotation(deps: Deps, secret: SecretRecord, token: str) -> None:
    if abandon_rotation(deps.tx, secret.arn, by=token):
        deps.emit(secret.scope, "RotationAbandoned", SecretId=secret.arn)


def _changed(deps: Deps, secret: SecretRecord, *, is_current: bool) -> SecretRecord:
    """The record after a new value. A new current one counts as a rotation for the next date."""
    rotation = secret.rotation
    if is_current and rotation is not None and rotation.enabled:
        rotation = plan_next(rotation, now=deps.now, anchor=deps.now)
    return replace(secret, rotation=rotation, changed_at=deps.now)
