"""Which secret an event of EventBridge says was changed. Pure: an event in, a secret out.

Three kinds tell (AWS's own shapes): the native ``Secret Label Updated``, an API call and a service
event that CloudTrail recorded. What failed changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smclient.errors import ConfigError

CHANGES_VALUE = frozenset(
    {
        "CreateSecret",
        "DeleteSecret",
        "PutSecretValue",
        "RestoreSecret",
        "RotateSecret",
        "CancelRotateSecret",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    }
)
"""Operations after which what is held of their secret is dropped."""

_CHANGES_ACCESS = frozenset({"PutResourcePolicy", "DeleteResourcePolicy"})
_SERVICE_EVENTS = frozenset({"RotationSucceeded", "StartSecretVersionDelete"})
_LABEL_UPDATED = "Secret Label Updated"
_API_CALL = "AWS API Call via CloudTrail"
_SERVICE_EVENT = "AWS Service Event via CloudTrail"
_SOURCE = "aws.secretsmanager"


def changed_secret(event: Mapping[str, Any]) -> str | None:
    """The ARN, whole or without its suffix, of the secret whose value, labels or policy an event
    says were changed; ``None`` where it says nothing of the kind.

    Raises:
        ConfigError: it is no event of EventBridge.
    """
    if not isinstance(event, Mapping) or not isinstance(event.get("detail"), Mapping):
        raise ConfigError(
            "handle_event takes an event of EventBridge as a dict with 'source', 'detail-type' and "
            "'detail'; a message of SQS or SNS has it as JSON in its body"
        )
    if event.get("source") != _SOURCE:
        return None
    kind, detail = event.get("detail-type"), event["detail"]
    if kind == _LABEL_UPDATED:
        return _first_arn(event.get("resources"))
    name = _text(detail.get("eventName"))
    if detail.get("errorCode") is not None:
        return None
    if kind == _API_CALL and name in CHANGES_VALUE | _CHANGES_ACCESS:
        return _arn_of_call(event, detail)
    if kind == _SERVICE_EVENT and name in _SERVICE_EVENTS:
        extra = _mapping(detail.get("additionalEventData"))
        return _text(extra.get("SecretId") or extra.get("ARN"))
    return None


def _arn_of_call(event: Mapping[str, Any], detail: Mapping[str, Any]) -> str | None:
    answer = _mapping(detail.get("responseElements"))
    named = _text(answer.get("arn") or answer.get("aRN"))  # the latter before February 2024
    if named is not None:
        return named
    asked = _text(_mapping(detail.get("requestParameters")).get("secretId"))
    if asked is None or asked.startswith("arn:"):
        return asked
    region = _text(detail.get("awsRegion")) or _text(event.get("region")) or ""
    account = _text(detail.get("recipientAccountId")) or _text(event.get("account")) or ""
    return f"arn:{_partition(region)}:secretsmanager:{region}:{account}:secret:{asked}"


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _first_arn(resources: Any) -> str | None:
    return _text(resources[0]) if isinstance(resources, list) and resources else None


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None
