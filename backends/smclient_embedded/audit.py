"""The audit trail: one CloudTrail-shaped record for each call.

A change is recorded in its own transaction. Reads and refusals are kept back and written together:
at the latest with the 256th, a second after the first, on ``flush`` (``lookup`` and closing do
that), so a crash loses at most these.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.store.ports import Store, Transaction
from smclient_embedded.store.records import AuditRecord, Scope

logger = logging.getLogger("smclient.embedded.audit")

HELD_BACK = 256
HELD_SECONDS = 1.0
EVENT_VERSION = "1.11"
SOURCE = "secretsmanager.amazonaws.com"

NAMES_ITS_SECRET = frozenset({"DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecret"})
"""Operations whose records have a list of resources, as recorded."""
_ANSWERS_ON_FAILURE = frozenset({"PutSecretValue", "UpdateSecret"})
_TO_SECONDS = len("2026-01-01T00:00:00")
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
    document: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": _identity(context),
        "eventTime": at.isoformat("T", "seconds")[:_TO_SECONDS] + "Z",
        "eventSource": SOURCE,
        "eventName": operation,
        "awsRegion": context.region,
        "sourceIPAddress": context.source_ip,
        "userAgent": context.user_agent[:1024],
        "requestParameters": shown,
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
        document["resources"] = [
            {"accountId": owner, "type": "AWS::SecretsManager::Secret", "ARN": secret_arn}
        ]
    if error is not None:
        code, message = error
        document["errorCode"] = "AccessDenied" if code == "AccessDeniedException" else code
        document["errorMessage"] = message[:1024]
    return AuditRecord(event_id, context.scope, at, operation, document)


def service_event(
    scope: Scope, name: str, *, at: datetime, event_id: str, details: Mapping[str, Any]
) -> AuditRecord:
    """The record of something that the service did by itself, such as RotationSucceeded."""
    document = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": scope.account, "invokedBy": SOURCE},
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": SOURCE,
        "eventName": name,
        "awsRegion": scope.region,
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
        or operation.startswith(("Get", "Describe", "List"))
    ):
        return None
    if operation == "DeleteSecret":
        until = f"{response['DeletionDate']:%Y-%m-%dT%H:%M:%SZ}"
        return {"deletionDate": until, "name": response["Name"], "arn": response["ARN"]}
    return {"arn": response["ARN"]}


def _identity(context: RequestContext) -> dict[str, Any]:
    kinds = {"administrator": "Root", "user": "IAMUser", "role": "AssumedRole"}
    principal = context.principal
    return {
        "type": kinds.get(principal.kind, "AWSService"),
        "arn": principal.arn,
        "accountId": principal.account,
    }


Later = Callable[[Callable[[], object]], object]
"""Takes work that waits for a disk, to be done before the caller is answered."""


def at_once(work: Callable[[], object]) -> None:
    """Do it now."""
    work()


class AuditTrail:
    """Writes the trail of one store and looks things up in it."""

    def __init__(self, store: Store, monotonic: Callable[[], float], home: Scope) -> None:
        self._store = store
        self._home = home
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: list[AuditRecord] = []
        self._since = 0.0
        self._is_asked_for = False
        self._listeners: tuple[Callable[[AuditRecord], object], ...] = ()

    def listen(self, listener: Callable[[AuditRecord], object]) -> None:
        """Have ``listener`` called with each record as it comes about, in that order. It is called
        inside the transaction of a change, so it must be quick and ask nothing of the store."""
        self._listeners += (listener,)

    def record(self, tx: Transaction, records: Sequence[AuditRecord]) -> None:
        """Write records as part of a change."""
        tx.append_audit(records)
        for record in records if self._listeners else ():
            self._tell(record)

    def hold(self, record: AuditRecord, later: Later = at_once) -> None:
        """Write a record soon, together with others. ``later`` is given the writing when it is
        due; it is done at once unless told otherwise."""
        self._tell(record)
        with self._lock:
            if not self._held:
                self._since = self._monotonic()
            self._held.append(record)
            full = len(self._held) >= HELD_BACK or self._monotonic() - self._since >= HELD_SECONDS
            is_first = full and not self._is_asked_for
            self._is_asked_for = full
        if is_first:  # who comes while it is about to be written need not write it too
            later(self.flush)

    def _tell(self, record: AuditRecord) -> None:
        for listener in self._listeners:
            listener(record)

    def flush(self) -> None:
        """Write what is kept back. If that fails it stays kept and is tried again."""
        with self._lock:
            held, self._held = self._held, []
            self._is_asked_for = False
        if not held:
            return
        try:
            with self._store.transaction(write=True) as tx:
                tx.append_audit(held)
        except BaseException:
            with self._lock:
                self._held = held + self._held
            raise

    def lookup(
        self, scope: Scope | None = None, *, event_name: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """The newest records of a scope (the administrator's unless given), newest first, in
        CloudTrail's shape."""
        self.flush()
        with self._store.transaction(write=False) as tx:
            found = tx.audit(scope or self._home, event_name=event_name, limit=limit)
        return [dict(record.document) for record in found]
