"""DeleteSecret."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    InvalidParameterException,
    marked_for_deletion,
    secret_not_found,
)
from smclient_embedded.finding import check_changeable, check_name, find_secret, locate, secret_arn
from smclient_embedded.replication import cross_account, regional, scope_of
from smclient_embedded.store.records import SecretRecord

SHORTEST, LONGEST = 7, 30


def delete_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Mark a secret for deletion, or delete it at once if forced. Forcing on an unknown name
    succeeds, as AWS does.

    Raises:
        InvalidParameterException: a window outside 7 to 30 days, or one together with forcing; the
            secret is a replica or has replicas.
        ResourceNotFoundException, InvalidRequestException
    """
    forced = request.get("ForceDeleteWithoutRecovery", False)
    window = request.get("RecoveryWindowInDays")
    if forced and window is not None:
        raise InvalidParameterException(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        )
    if window is not None and not SHORTEST <= window <= LONGEST:
        raise InvalidParameterException(
            "RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        )
    if forced:
        return _force(context, deps, request["SecretId"])
    secret = find_secret(context, deps, request["SecretId"])
    check_changeable(context, secret)
    _check_alone(secret)
    if secret.deleted_at is not None:
        raise marked_for_deletion()
    until = deps.now + timedelta(days=window or LONGEST)
    deps.tx.put_secret(
        replace(secret, deleted_at=deps.now, delete_after=until, changed_at=deps.now)
    )
    deps.emit(secret.scope, "StartSecretVersionDelete", ARN=secret.arn, Name=secret.name)
    return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": until}


def _check_alone(secret: SecretRecord) -> None:
    """Refuse to delete what another secret follows, or what follows another one."""
    regions = [scope_of(replica.arn).region for replica in regional(secret)]
    if regions:
        raise InvalidParameterException(
            f"You can't delete secret {secret.arn} that still has replica regions "
            f"[{', '.join(regions)}]."
        )
    if cross_account(secret):
        others = ", ".join(replica.arn for replica in cross_account(secret))
        raise InvalidParameterException(
            f"You can't delete secret {secret.arn} that still has cross-account replicas "
            f"[{others}]. Call DisassociateCrossAccountReplica first."
        )
    if secret.cross_account_primary is not None:
        raise InvalidParameterException(
            f"You can't delete secret {secret.arn} that is a cross-account replica. Call "
            "StopReplicationToReplica first."
        )


def _force(context: RequestContext, deps: Deps, secret_id: str) -> dict[str, Any]:
    named = not secret_id.startswith("arn:")
    if named:
        check_name(secret_id)
    secret = locate(deps.tx, context.scope, secret_id)
    if secret is not None:
        check_changeable(context, secret)
        _check_alone(secret)
        deps.tx.remove_secret(secret.arn)
        for name in ("StartSecretVersionDelete", "EndSecretVersionDelete"):
            deps.emit(secret.scope, name, ARN=secret.arn, Name=secret.name)
        return {"ARN": secret.arn, "Name": secret.name, "DeletionDate": deps.now}
    if not named:
        raise secret_not_found()
    arn = secret_arn(context, secret_id, deps.ids.suffix())
    return {"ARN": arn, "Name": secret_id, "DeletionDate": deps.now}
