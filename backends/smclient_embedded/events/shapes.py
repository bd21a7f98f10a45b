"""EventBridge's envelope around what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smclient.secret import AWSPENDING, AWSPREVIOUS
from smclient_embedded.audit.records import SOURCE, event_time
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import AuditRecord, Scope, SecretRecord

API_CALL = "AWS API Call via CloudTrail"
SERVICE_EVENT = "AWS Service Event via CloudTrail"
LABEL_UPDATED = "Secret Label Updated"
ALARM_CHANGED = "CloudWatch Alarm State Change"

_SERVICE = "aws.secretsmanager"
_NOT_TOLD = (AWSPENDING, AWSPREVIOUS)
"""Labels whose moves are no event."""

Event = dict[str, Any]


def event_of(record: AuditRecord) -> Event:
    """A record of the audit trail as an event. Its id is the record's."""
    document = record.document
    is_call = document["eventType"] == "AwsApiCall"
    service = str(document.get("eventSource", SOURCE)).partition(".")[0]
    return envelope(
        API_CALL if is_call else SERVICE_EVENT,
        f"aws.{service}",
        record.scope,
        event_id=record.event_id,
        at=record.at,
        detail=document,
    )


def envelope(
    detail_type: str,
    source: str,
    scope: Scope,
    *,
    event_id: str,
    at: datetime,
    detail: Mapping[str, Any],
    resources: tuple[str, ...] = (),
) -> Event:
    """An event in EventBridge's shape."""
    return {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": source,
        "account": scope.account,
        "time": event_time(at),
        "region": scope.region,
        "resources": list(resources),
        "detail": dict(detail),
    }


def is_read(event: Mapping[str, Any]) -> bool:
    """Whether an event tells of a call that changed nothing. EventBridge passes those on only to
    rules that ask for all management events."""
    return event["detail-type"] == API_CALL and bool(event["detail"].get("readOnly"))


@dataclass(frozen=True, slots=True)
class LabelWatch:
    """The labels of a secret and its replicas before a change, by ARN; ``arn`` is that of the
    secret, ``None`` if the change makes it."""

    arn: str | None
    before: Mapping[str, Mapping[str, str]]

    @classmethod
    def begin(cls, tx: Transaction, arn: str | None) -> LabelWatch:
        """Look at the labels before the change."""
        secret = None if arn is None else tx.secret(arn)
        watched = [] if secret is None else _with_replicas(tx, secret)
        return cls(arn, {one.arn: dict(tx.labels(one.arn)) for one in watched})

    def end(
        self,
        tx: Transaction,
        answer: Mapping[str, Any],
        *,
        at: datetime,
        new_id: Callable[[], str],
    ) -> list[Event]:
        """An event for each label that is on another version after the change, but AWSPENDING and
        AWSPREVIOUS: of the secret, then of its replicas."""
        arn = self.arn or answer.get("ARN")
        secret = None if arn is None else tx.secret(arn)
        return [
            envelope(
                LABEL_UPDATED,
                _SERVICE,
                changed.scope,
                event_id=new_id(),
                at=at,
                detail={"name": changed.name, "labelUpdated": label, "versionId": version_id},
                resources=(changed.arn,),
            )
            for changed in ([] if secret is None else _with_replicas(tx, secret))
            for label, version_id in sorted(tx.labels(changed.arn).items())
            if version_id != self.before.get(changed.arn, {}).get(label) and label not in _NOT_TOLD
        ]


def _with_replicas(tx: Transaction, secret: SecretRecord) -> list[SecretRecord]:
    replicas = (tx.secret(replica.arn) for replica in secret.replicas)
    return [secret, *(replica for replica in replicas if replica is not None)]
