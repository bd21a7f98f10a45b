"""What goes on record, in CloudTrail's shape: pure functions from what happened to a document."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.store.records import AuditRecord, Scope

EVENT_VERSION = "1.11"
SOURCE = "secretsmanager.amazonaws.com"
SECRET_TYPE = "AWS::SecretsManager::Secret"  # noqa: S105  a type of resource
LONGEST_TEXT = 1024
LARGEST_PARAMETERS = 100_000
"""CloudTrail's bounds: characters of a user agent or message, bytes of parameters."""

NAMES_ITS_SECRET = frozenset({"DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecret"})
"""Operations whose records have a list of resources, as recorded."""
_ANSWERS_ON_FAILURE = frozenset({"PutSecretValue", "UpdateSecret"})
_NEVER_SHOWN = frozenset({"description"})


def api_event(
    context: RequestContext,
    operation: str,
    *,
    at: datetime,
    event_id: str,
    parameters: Mapping[str, Any],
    response: Mapping[str, Any] | None,
    read_only: bool,
    error: tuple[str, str] | None = None,
    secret_arn: str | None = None,
) -> AuditRecord:
    """The record of one call. ``parameters`` come without sensitive members; ``secret_arn`` is the
    secret that it was about, if there is one."""
    if error is not None and operation in _ANSWERS_ON_FAILURE and secret_arn is not None:
        response = {"ARN": secret_arn}
    shown = {name: value for name, value in parameters.items() if name not in _NEVER_SHOWN}
    if operation == "CreateSecret":
        shown.setdefault("forceOverwriteReplicaSecret", False)
    is_shown = shown and _is_within(shown, LARGEST_PARAMETERS)
    document: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": user_identity(context.principal, context.access_key_id),
        "eventTime": event_time(at),
        "eventSource": SOURCE,
        "eventName": operation,
        "awsRegion": context.region,
        "sourceIPAddress": context.source_ip,
        "userAgent": context.user_agent[:LONGEST_TEXT],
        "requestParameters": shown if is_shown else None,
        "responseElements": response_elements(operation, response),
        "requestID": context.request_id,
        "eventID": event_id,
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": context.principal.account,
    }
    if secret_arn is not None and operation in NAMES_ITS_SECRET:
        owner = secret_arn.split(":")[4]
        document["resources"] = [{"accountId": owner, "type": SECRET_TYPE, "ARN": secret_arn}]
    if error is not None:
        add_error(document, *error)
    return AuditRecord(event_id, context.scope, at, operation, document)


def service_event(
    scope: Scope, name: str, *, at: datetime, event_id: str, details: Mapping[str, Any]
) -> AuditRecord:
    """The record of something that the service did by itself, such as RotationSucceeded."""
    document = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": scope.account, "invokedBy": SOURCE},
        "eventTime": event_time(at),
        "eventSource": SOURCE,
        "eventName": name,
        "awsRegion": scope.region,
        "sourceIPAddress": SOURCE,
        "userAgent": SOURCE,
        "requestParameters": None,
        "responseElements": None,
        "additionalEventData": dict(details),
        "eventID": event_id,
        "readOnly": False,
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": scope.account,
    }
    return AuditRecord(event_id, scope, at, name, document)


def response_elements(operation: str, response: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What CloudTrail keeps of an answer: the ARN, for operations that changed something; of a
    deletion all of it."""
    if (
        response is None
        or "ARN" not in response
        or operation.startswith(("Get", "Describe", "List", "Validate", "Batch"))
    ):
        return None
    if operation == "DeleteSecret":
        until = event_time(response["DeletionDate"])
        return {"deletionDate": until, "name": response["Name"], "arn": response["ARN"]}
    return {"arn": response["ARN"]}


@functools.lru_cache(maxsize=1024)
def user_identity(principal: Principal, access_key_id: str | None = None) -> Mapping[str, Any]:
    """CloudTrail's account of a caller, the same object each time. The unique ids of users and
    roles are left out: they are IAM's, which is not here."""
    account, arn = principal.account, principal.arn
    if principal.kind == "service":
        return {"type": "AWSService", "invokedBy": SOURCE}
    identity: dict[str, Any] = {"type": "IAMUser", "arn": arn, "accountId": account}
    resource = arn.split(":", 5)[5] if arn.count(":") >= 5 else arn
    kind, _, rest = resource.partition("/")
    if principal.kind == "administrator":
        identity |= {"type": "Root", "principalId": account}
    elif kind == "user":
        identity["userName"] = rest.rpartition("/")[2]
    elif kind == "federated-user":
        identity["type"] = "FederatedUser"
    elif kind in ("assumed-role", "role"):
        role = rest.partition("/")[0] if kind == "assumed-role" else rest
        issuer = f"arn:{arn.split(':')[1]}:iam::{account}:role/{role}"
        attributes = {"mfaAuthenticated": "false"}
        if principal.session is not None:
            issuer = principal.session.source
            if principal.session.issued_at is not None:
                attributes["creationDate"] = event_time(principal.session.issued_at)
        identity |= {
            "type": "AssumedRole",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "arn": issuer,
                    "accountId": account,
                    "userName": role.rpartition("/")[2],
                },
                "attributes": attributes,
            },
        }
    if access_key_id is not None:
        identity["accessKeyId"] = access_key_id
    return identity


def add_error(document: dict[str, Any], code: str, message: str) -> None:
    """Put a refusal into a record: the log says AccessDenied where the answer says
    AccessDeniedException."""
    document["errorCode"] = "AccessDenied" if code == "AccessDeniedException" else code
    document["errorMessage"] = message[:LONGEST_TEXT]


@functools.lru_cache(maxsize=16)
def event_time(at: datetime) -> str:
    """A moment as CloudTrail writes it, in whole seconds."""
    return at.astimezone(UTC).isoformat()[:19] + "Z"  # a fifth of what strftime takes


def _is_within(value: Any, limit: int) -> bool:
    return _weight(value, limit) <= limit


def _weight(value: Any, limit: int) -> int:
    """About how many bytes a value takes; no further than to the limit."""
    if isinstance(value, str):
        return len(value) * (1 if value.isascii() else 4) + 2
    parts: Any = ()
    if isinstance(value, dict):
        parts = [part for pair in value.items() for part in pair]
    elif isinstance(value, list | tuple):
        parts = value
    total = 8
    for part in parts:
        total += _weight(part, limit)
        if total > limit:
            break
    return total
