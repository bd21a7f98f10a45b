"""UpdateSecretVersionStage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient.secret import AWSCURRENT
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidParameterException
from smclient_embedded.finding import check_own_value, find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.labels import attach
from smclient_embedded.store.records import SecretRecord


def update_secret_version_stage(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """Attach, move or remove one staging label.

    Raises:
        InvalidParameterException: AWSCURRENT without saying where it leaves; a version that is not
            there, has no value yet, or that the label is not on.
        InvalidRequestException: marked for deletion.
        LimitExceededException: more labels than a secret may have.
    """
    secret = find_changeable_secret(context, deps, request["SecretId"])
    check_own_value(secret)
    label = request["VersionStage"]
    source, target = request.get("RemoveFromVersionId"), request.get("MoveToVersionId")
    holder = deps.tx.labels(secret.arn).get(label)
    _check(deps, secret, label, source, target, holder)
    if target is not None:
        attach(deps.tx, secret.arn, [label], target)
        deps.quotas.check_labels(deps.tx.labels(secret.arn))
    elif source is not None:
        deps.tx.remove_label(secret.arn, label)
    deps.tx.put_secret(replace(secret, changed_at=deps.now))
    replicate_changes(deps, secret)
    return {"ARN": secret.arn, "Name": secret.name}


def _check(
    deps: Deps,
    secret: SecretRecord,
    label: str,
    source: str | None,
    target: str | None,
    holder: str | None,
) -> None:
    if target is None and source is None:
        raise InvalidParameterException(
            "You must specify MoveToVersionId, RemoveFromVersionId, or both."
        )
    for version_id in (source, target):
        if version_id is None:
            continue
        version = deps.tx.version(secret.arn, version_id)
        if version is None or (version.sealed is None and version_id == target):
            raise InvalidParameterException(
                f"The version {version_id} is not a version of secret {secret.name}."
            )
    if holder is not None and holder != target and source is None:
        raise InvalidParameterException(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently "
            f"attached to version {holder}, so you must explicitly reference that version in "
            "RemoveFromVersionId."
        )
    if source is not None and holder != source:
        raise InvalidParameterException(
            f"Staging label {label} is not currently attached to version {source}."
        )
    if label == AWSCURRENT and target is None:
        raise InvalidParameterException(
            "You can't remove the staging label AWSCURRENT; move it to another version instead."
        )
