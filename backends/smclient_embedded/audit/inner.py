"""What one call makes the service do on its caller's behalf, and how that goes on record.

Each secret of a BatchGetSecretValue has a record of its own, and so has each use of a KMS key. Both
are invoked by the service: source and user agent are its name, and there is no access key. A call
that reaches a secret of another account is on record in both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from smclient_embedded.audit.records import (
    EVENT_VERSION,
    SOURCE,
    add_error,
    event_time,
    user_identity,
)
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.kms import KeyUse
from smclient_embedded.store.records import AuditRecord, Scope

KMS_SOURCE = "kms.amazonaws.com"
KMS_TYPE = "AWS::KMS::Key"

NewId = Callable[[], str]


def batch_events(
    context: RequestContext,
    parameters: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    at: datetime,
    new_id: NewId,
) -> list[AuditRecord]:
    """One GetSecretValue for each secret that a BatchGetSecretValue was asked for, or found."""
    refused = {e["SecretId"]: (e["ErrorCode"], e["Message"]) for e in answer["Errors"]}
    by_filter = [value["ARN"] for value in answer["SecretValues"]] + list(refused)
    asked = dict.fromkeys(parameters.get("secretIdList") or by_filter)
    records: list[AuditRecord] = []
    for secret_id in asked:
        document = _on_behalf(context, "GetSecretValue", SOURCE, at, new_id())
        document["requestParameters"] = {"secretId": secret_id}
        document["requestID"] = f"{context.request_id}:{secret_id}"
        if secret_id in refused:
            add_error(document, *refused[secret_id])
        records.append(_record(context, document, at))
    return records


def key_events(
    context: RequestContext, uses: Iterable[KeyUse], *, at: datetime, new_id: NewId
) -> Iterator[AuditRecord]:
    """One record for each use of a KMS key, refused ones too."""
    for use in uses:
        document = _on_behalf(context, use.action, KMS_SOURCE, at, new_id())
        document["requestID"] = new_id()
        document["resources"] = [
            {"accountId": use.key.scope.account, "type": KMS_TYPE, "ARN": use.key.arn}
        ]
        if use.refused is not None:
            add_error(document, *use.refused)
        if use.refused is None or use.refused[0] != "AccessDeniedException":
            document["requestParameters"] = _key_parameters(use)
        yield _record(context, document, at)


def shared_with_owner(record: AuditRecord, secret_arn: str, *, new_id: NewId) -> list[AuditRecord]:
    """A record, and its counterpart for the account of the secret if that is another one. The two
    have a sharedEventID."""
    owner = secret_arn.split(":")[4]
    if owner == record.scope.account:
        return [record]
    shared = {**record.document, "sharedEventID": new_id()}
    other = {**shared, "eventID": new_id(), "recipientAccountId": owner}
    return [
        replace(record, document=shared),
        AuditRecord(
            str(other["eventID"]),
            Scope(owner, record.scope.region),
            record.at,
            record.event_name,
            other,
        ),
    ]


def _on_behalf(
    context: RequestContext, name: str, source: str, at: datetime, event_id: str
) -> dict[str, Any]:
    return {
        **_kept_members(context.principal, context.region),
        "eventTime": event_time(at),
        "eventSource": source,
        "eventName": name,
        "eventID": event_id,
    }


@functools.lru_cache(maxsize=1024)
def _kept_members(principal: Principal, region: str) -> Mapping[str, Any]:
    """All members in their order, those that differ from call to call without a value."""
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {**user_identity(principal), "invokedBy": SOURCE},
        "eventTime": None,
        "eventSource": None,
        "eventName": None,
        "awsRegion": region,
        "sourceIPAddress": SOURCE,
        "userAgent": SOURCE,
        "requestParameters": None,
        "responseElements": None,
        "requestID": None,
        "eventID": None,
        "readOnly": True,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": principal.account,
    }


def _record(context: RequestContext, document: dict[str, Any], at: datetime) -> AuditRecord:
    return AuditRecord(document["eventID"], context.scope, at, document["eventName"], document)


def _key_parameters(use: KeyUse) -> dict[str, Any]:
    parameters: dict[str, Any] = {"encryptionContext": dict(use.context)}
    if use.action == "GenerateDataKey":
        return {"keyId": use.key.arn, "keySpec": "AES_256", **parameters}
    if use.action == "Encrypt":
        parameters["keyId"] = use.key.arn
    return {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", **parameters}
