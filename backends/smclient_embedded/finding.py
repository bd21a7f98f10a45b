"""From what a caller wrote to the secret that is meant: name, whole ARN, or ARN without suffix."""

from __future__ import annotations

import re

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps
from smclient_embedded.errors import (
    InvalidParameterException,
    ValidationException,
    marked_for_deletion,
    owned_by,
    replica_is_read_only,
    secret_not_found,
)
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import Scope, SecretRecord

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]+")
_ARN = re.compile(r"arn:[A-Za-z0-9/_+=.@!:-]+")
_NO_SUFFIX = "??????"
"""Six signs in the place of the random ones that a secret's ARN ends with."""


def check_name(name: str) -> None:
    """Refuse a name with other signs, in AWS's words. Raises ``ValidationException``."""
    if not _NAME.fullmatch(name):
        raise ValidationException(
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
            "following: -/_+=.@!"
        )


def secret_arn(context: RequestContext, name: str, suffix: str) -> str:
    """The ARN of a secret of that name with the caller, and where the caller asks."""
    place = f"{context.region}:{context.principal.account}"
    return f"arn:aws:secretsmanager:{place}:secret:{name}-{suffix}"


def would_be_arn(context: RequestContext, secret_id: str) -> str:
    """What policies are compared with where there is no secret (yet): an ARN in any case, of the
    length of a real one."""
    if secret_id.startswith("arn:") and secret_id.count(":") > 5:
        return secret_id
    return secret_arn(context, secret_id, _NO_SUFFIX)


def locate(tx: Transaction, scope: Scope, secret_id: str) -> SecretRecord | None:
    """The secret of an id, whatever its state. An ARN reaches other accounts too, not other
    regions."""
    if _NAME.fullmatch(secret_id):
        return tx.secret_named(scope, secret_id)
    if not _ARN.fullmatch(secret_id):
        return None  # no secret is called so; a store need not see it
    found = tx.secret(secret_id)
    if found is None:
        candidates = tx.secrets_with_stem(secret_id)
        found = candidates[0] if len(candidates) == 1 else None
    if found is not None and found.scope.region != scope.region:
        return None
    return found


def find_secret(context: RequestContext, deps: Deps, secret_id: str) -> SecretRecord:
    """The secret of an id, whatever its state.

    Raises:
        ValidationException: the id is neither a name nor an ARN.
        ResourceNotFoundException: there is none, or a partial ARN fits several.
    """
    if not secret_id.startswith("arn:"):
        check_name(secret_id)
    found = locate(deps.tx, context.scope, secret_id)
    if found is None:
        raise secret_not_found()
    return found


def find_live_secret(context: RequestContext, deps: Deps, secret_id: str) -> SecretRecord:
    """The secret of an id that is not marked for deletion.

    Raises:
        ValidationException, ResourceNotFoundException, InvalidRequestException
    """
    found = find_secret(context, deps, secret_id)
    if found.deleted_at is not None:
        raise marked_for_deletion()
    return found


def find_changeable_secret(context: RequestContext, deps: Deps, secret_id: str) -> SecretRecord:
    """The secret of an id that the caller may change as far as the secret is concerned: alive, no
    replica, and not another service's.

    Raises:
        ValidationException, ResourceNotFoundException, InvalidRequestException
        InvalidParameterException: it is a replica.
    """
    found = find_secret(context, deps, secret_id)
    check_changeable(context, found)
    if found.deleted_at is not None:
        raise marked_for_deletion()
    return found


def check_changeable(context: RequestContext, secret: SecretRecord) -> None:
    """Refuse a replica, which only its primary changes, and a secret that another service owns,
    unless that service asks.

    Raises:
        InvalidParameterException, InvalidRequestException
    """
    if secret.primary_region is not None:
        raise replica_is_read_only()
    owner = secret.owning_service
    if owner is not None and owner != owning_service(context):
        raise owned_by(owner)


def check_own_value(secret: SecretRecord) -> None:
    """Refuse to touch values and labels that come from a primary in another account.

    Raises:
        InvalidParameterException
    """
    primary = secret.cross_account_primary
    if primary is not None:
        raise InvalidParameterException(
            "Operation not permitted on a cross-account replica secret: its value comes from "
            f"{primary.arn}. Call StopReplicationToReplica first."
        )


def owning_service(context: RequestContext) -> str | None:
    """The short name of the AWS service that asks, ``events`` for ``events.amazonaws.com``, if one
    does."""
    is_service = context.principal.kind == "service"
    return context.principal.arn.partition(".")[0] if is_service else None
