"""How DescribeSecret and ListSecrets show a secret: members without a value are left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from smclient_embedded.labels import labels_of
from smclient_embedded.replication import primary_region
from smclient_embedded.store.records import RotationSettings, SecretRecord

_ONE_SECOND = timedelta(seconds=1)


def metadata(
    secret: SecretRecord, labels: Mapping[str, str], *, versions_as: str
) -> dict[str, Any]:
    """Everything but the value; ``versions_as`` is the operation's name for the version map."""
    shown: dict[str, Any] = {
        "ARN": secret.arn,
        "Name": secret.name,
        "Description": secret.description,
        "KmsKeyId": secret.kms_key_id,
        **_rotation(secret.rotation),
        "CreatedDate": secret.created_at,
        "LastChangedDate": secret.changed_at,
        "LastAccessedDate": midnight(secret.accessed_on) if secret.accessed_on else None,
        "DeletedDate": secret.deleted_at,
        "OwningService": secret.owning_service,
        "Type": secret.secret_type,
        "PrimaryRegion": primary_region(secret),
        versions_as: {v: labels_of(labels, v) for v in dict.fromkeys(labels.values())} or None,
    }
    if secret.tags is not None:
        shown["Tags"] = [{"Key": key, "Value": value} for key, value in secret.tags]
    return {name: value for name, value in shown.items() if value is not None}


def midnight(day: date) -> datetime:
    """The day as AWS shows it: its midnight in UTC."""
    return datetime.combine(day, time(), UTC)


def _rotation(settings: RotationSettings | None) -> dict[str, Any]:
    if settings is None:
        return {}
    rules = {
        "AutomaticallyAfterDays": settings.automatically_after_days,
        "Duration": settings.duration,
        "ScheduleExpression": settings.schedule_expression,
    }
    ends = settings.window_ends_at
    return {
        "RotationEnabled": settings.enabled,
        "RotationLambdaARN": settings.function_arn,
        "RotationRules": {k: v for k, v in rules.items() if v is not None} or None,
        "LastRotatedDate": settings.last_rotated_at,
        "NextRotationDate": None if ends is None else ends - _ONE_SECOND,
    }
