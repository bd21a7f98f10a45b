"""RotateSecret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import (
    AccessDeniedException,
    InvalidParameterException,
    InvalidRequestException,
    OperationNotSupported,
    token_missing,
)
from smclient_embedded.finding import (
    check_own_value,
    find_changeable_secret,
    find_live_secret,
)
from smclient_embedded.following import replicate_changes
from smclient_embedded.labels import pending_elsewhere
from smclient_embedded.rotation.machine import begin, is_managed, plan_next
from smclient_embedded.store.records import RotationSettings, SecretRecord


def rotate_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Configure rotation and begin one. The steps run in the background, not in this call.

    Raises:
        InvalidRequestException: no function, one where the owner rotates, or a rotation is not
            complete.
        InvalidParameterException: rules that contradict each other or are out of range.
        AccessDeniedException: the function does not exist or may not be invoked.
    """
    for member in ("ExternalSecretRotationMetadata", "ExternalSecretRotationRoleArn"):
        if member in request:
            raise OperationNotSupported(f"RotateSecret with {member} is not supported yet")
    if "ClientRequestToken" not in request:  # with another code than the operations on values
        raise InvalidParameterException(str(token_missing()))
    token = request["ClientRequestToken"]
    secret = _find(context, deps, request)
    check_own_value(secret)
    settings = _settings(secret, request)
    if is_managed(secret):
        pass  # its owner rotates it
    elif settings.function_arn is None:
        raise InvalidRequestException(
            "No Lambda rotation function ARN is associated with this secret."
        )
    elif not deps.functions.knows(settings.function_arn, deps.tx):
        raise AccessDeniedException(
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function "
            "policy grants access to the principal secretsmanager.amazonaws.com."
        )
    if pending_elsewhere(deps.tx.labels(secret.arn)) is not None:
        raise InvalidRequestException(
            "A previous rotation isn't complete. That rotation will be reattempted."
        )
    at_once = request.get("RotateImmediately", True)
    settings = plan_next(settings, now=deps.now, anchor=deps.now)
    secret = replace(secret, rotation=settings, changed_at=deps.now)
    deps.tx.put_secret(secret)
    begin(deps.tx, deps.keys, secret, token, now=deps.now, test_only=not at_once)
    replicate_changes(deps, secret)
    return {"ARN": secret.arn, "Name": secret.name, "VersionId": token}


def _find(context: RequestContext, deps: Deps, request: Request) -> SecretRecord:
    """The secret, if it may be rotated. One that its owner rotates may be by others, too, and is
    the only change of it that they can make."""
    secret = find_live_secret(context, deps, request["SecretId"])
    if not is_managed(secret) or secret.primary_region is not None:
        return find_changeable_secret(context, deps, request["SecretId"])
    if request.get("RotationLambdaARN"):
        raise InvalidRequestException(
            "Rotation Lambda ARN is not supported for a service-managed secret."
        )
    return secret


def _settings(secret: SecretRecord, request: Request) -> RotationSettings:
    """The settings that hold from now on: those given, else those kept."""
    kept = secret.rotation or RotationSettings(enabled=True)
    settings = replace(
        kept,
        enabled=True,
        function_arn=request.get("RotationLambdaARN") or kept.function_arn,
    )
    if "RotationRules" not in request:
        return settings
    rules = request["RotationRules"]
    days, expression = rules.get("AutomaticallyAfterDays"), rules.get("ScheduleExpression")
    if days is not None and expression is not None:
        raise InvalidParameterException(
            "You cannot specify both rotation frequency and schedule expression together."
        )
    return replace(
        settings,
        automatically_after_days=days,
        schedule_expression=expression,
        duration=rules.get("Duration"),
    )
