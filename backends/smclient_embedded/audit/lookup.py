"""Looking up records by CloudTrail's attributes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from smclient_embedded.audit.records import SECRET_TYPE, SOURCE
from smclient_embedded.errors import InvalidNextTokenException, ValidationException
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import AuditQuery, AuditRecord, Scope, stem_of

ATTRIBUTES = {
    "EventId": "event_id",
    "EventName": "event_name",
    "ReadOnly": "read_only",
    "Username": "username",
    "ResourceType": "resource_type",
    "ResourceName": "resource_name",
    "EventSource": "event_source",
    "AccessKeyId": "access_key_id",
}
"""CloudTrail's lookup attributes, and their names here."""

MOST_RESULTS = 50
_SCANNED = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What a record must have; ``None`` is anything.

    ``resource_name`` is an ARN or a name, of a secret or a key: what CloudTrail shows as the
    resource's name, or what the caller called it.
    """

    event_id: str | None = None
    event_name: str | None = None
    read_only: bool | None = None
    username: str | None = None
    resource_type: str | None = None
    resource_name: str | None = None
    event_source: str | None = None
    access_key_id: str | None = None

    @classmethod
    def of(cls, **attributes: str | bool | None) -> AuditFilter:
        """Of attributes by name. Raises ``ValidationException`` for one that there is not, or whose
        value is of another kind."""
        given: dict[str, Any] = {}
        for name, value in attributes.items():
            if name not in ATTRIBUTES.values():
                raise ValidationException(
                    f"{name} is no lookup attribute; there are {', '.join(ATTRIBUTES.values())}"
                )
            if value is None:
                continue
            if name == "read_only":
                value = _truth(value)
            elif not isinstance(value, str):
                raise ValidationException(f"the lookup attribute {name} is text")
            given[name] = value
        return cls(**given)

    @property
    def names_only(self) -> bool:
        """Whether the event's name is all that is asked for, which a store finds by itself."""
        return replace(self, event_name=None) == AuditFilter()

    def wants(self, document: Mapping[str, Any]) -> bool:
        """Whether a record has it all."""
        return (
            self.event_id in (None, document.get("eventID"))
            and self.event_name in (None, document.get("eventName"))
            and self.read_only in (None, document.get("readOnly"))
            and self.event_source in (None, document.get("eventSource"))
            and self.access_key_id in (None, _identity(document).get("accessKeyId"))
            and self.username in (None, username(document))
            and (self.resource_type is None or self._is_type(document))
            and (self.resource_name is None or self._is_named(document))
        )

    def _is_type(self, document: Mapping[str, Any]) -> bool:
        return any(kind == self.resource_type for kind, _ in resources(document))

    def _is_named(self, document: Mapping[str, Any]) -> bool:
        wanted = self.resource_name
        return any(
            name == wanted or (name.startswith("arn:") and _name_in(name) == wanted)
            for _, name in resources(document)
        )


def between(since: datetime | None, until: datetime | None) -> AuditQuery:
    """What happened from ``since`` to ``until``, both included: to the second, as records tell
    their time."""
    return AuditQuery(
        since=None if since is None else since.replace(microsecond=0),
        until=None if until is None else until.replace(microsecond=999_999),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Some records, newest first, and where to go on."""

    records: Sequence[AuditRecord]
    position: str | None


def find(tx: Transaction, scope: Scope, query: AuditQuery, wanted: AuditFilter) -> Found:
    """The next ``query.limit`` records that have what is wanted."""
    found: list[AuditRecord] = []
    last = query.after
    pages = replace(query, limit=query.limit if wanted.names_only else _SCANNED)
    while True:
        page = tx.audit_page(scope, pages)
        for record, position in zip(page.records, page.positions, strict=True):
            if not wanted.wants(record.document):
                continue
            if len(found) == query.limit:
                return Found(found, last)
            found.append(record)
            last = position
        if not page.more:
            return Found(found, None)
        if len(found) == query.limit and wanted.names_only:
            return Found(found, last)
        pages = replace(pages, after=page.positions[-1])


# --- CloudTrail's request and answer --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A LookupEvents, read. ``asked`` is what a NextToken belongs to."""

    query: AuditQuery
    wanted: AuditFilter
    asked: str


def read_request(request: Mapping[str, Any]) -> LookupRequest:
    """The parameters of LookupEvents.

    Raises:
        ValidationException, InvalidNextTokenException
    """
    known = ("LookupAttributes", "StartTime", "EndTime", "MaxResults", "NextToken")
    for name in request:
        if name not in known:
            raise ValidationException(f"there is no {name} here, only {', '.join(known)}")
    wanted = _filter_of(request.get("LookupAttributes") or [])
    limit = request.get("MaxResults", MOST_RESULTS)
    if not isinstance(limit, int) or not 1 <= limit <= MOST_RESULTS:
        raise ValidationException(f"MaxResults is a number from 1 to {MOST_RESULTS}")
    since, until = request.get("StartTime"), request.get("EndTime")
    for moment in (since, until):
        if moment is not None and not (isinstance(moment, datetime) and moment.tzinfo):
            raise ValidationException("StartTime and EndTime are datetimes with a time zone")
    if since is not None and until is not None and since > until:
        raise ValidationException("StartTime is after EndTime")
    asked = repr((wanted, since, until))
    token = request.get("NextToken")
    after = None if token is None else _read_token(token, asked)
    query = replace(between(since, until), event_name=wanted.event_name, after=after, limit=limit)
    return LookupRequest(query, wanted, asked)


def lookup_answer(found: Found, asked: str) -> dict[str, Any]:
    """LookupEvents' answer, as boto3 has it."""
    answer: dict[str, Any] = {"Events": [shown(record) for record in found.records]}
    if found.position is not None:
        content = json.dumps([_digest(asked), found.position])
        answer["NextToken"] = base64.urlsafe_b64encode(content.encode()).decode()
    return answer


def shown(record: AuditRecord) -> dict[str, Any]:
    """A record as LookupEvents shows it: some members, and the whole as text."""
    document = record.document
    event: dict[str, Any] = {
        "EventId": record.event_id,
        "EventName": record.event_name,
        "ReadOnly": "true" if document.get("readOnly") else "false",
        "AccessKeyId": _identity(document).get("accessKeyId"),
        "EventTime": record.at.astimezone(UTC).replace(microsecond=0),
        "EventSource": document.get("eventSource"),
        "Username": username(document),
        "Resources": [
            {"ResourceType": kind, "ResourceName": name} for kind, name in resources(document)
        ],
        "CloudTrailEvent": json.dumps(document),
    }
    return {name: value for name, value in event.items() if value is not None}


def _filter_of(attributes: Any) -> AuditFilter:
    if not isinstance(attributes, Sequence) or len(attributes) > 1:
        raise ValidationException("LookupAttributes is a list of one attribute at most")
    given: dict[str, Any] = {}
    for attribute in attributes:
        key = attribute.get("AttributeKey") if isinstance(attribute, Mapping) else None
        if key not in ATTRIBUTES:
            raise ValidationException(
                f"{key!r} is no lookup attribute; there are {', '.join(ATTRIBUTES)}"
            )
        given[ATTRIBUTES[key]] = attribute.get("AttributeValue")
    return AuditFilter.of(**given)


def _digest(asked: str) -> str:
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _read_token(token: Any, asked: str) -> str:
    try:
        content = base64.b64decode(str(token).encode(), altchars=b"-_", validate=True)
        digest, position = json.loads(content)
    except (ValueError, TypeError, binascii.Error):
        raise InvalidNextTokenException("The NextToken value is invalid.") from None
    if digest != _digest(asked) or not isinstance(position, str):
        raise InvalidNextTokenException("The NextToken belongs to another question.")
    return position


# --- what is in a record --------------------------------------------------------------------------


def username(document: Mapping[str, Any]) -> str | None:
    """Who a record is about, as LookupEvents names them: the user, the session, ``root``."""
    identity = _identity(document)
    kind = identity.get("type")
    if kind == "Root":
        return "root"
    if kind == "AssumedRole":
        return str(identity.get("arn", "")).rpartition("/")[2]
    named = identity.get("userName") or identity.get("invokedBy")
    return None if named is None else str(named)


def resources(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Type and name of what a record is about: its resources, the secret as the caller named it,
    and the ARN in the answer or in a service event."""
    found: dict[tuple[str, str], None] = {}
    for resource in document.get("resources") or ():
        found[resource["type"], resource["ARN"]] = None
    if document.get("eventSource") == SOURCE:
        parameters = document.get("requestParameters") or {}
        answer = document.get("responseElements") or {}
        details = document.get("additionalEventData") or {}
        names = [parameters.get("secretId"), parameters.get("name"), answer.get("arn")]
        names += [details.get("SecretId"), details.get("ARN"), details.get("Name")]
        names += parameters.get("secretIdList") or ()
        for name in names:
            if isinstance(name, str):
                found[SECRET_TYPE, name] = None
    return list(found)


def _identity(document: Mapping[str, Any]) -> Mapping[str, Any]:
    identity = document.get("userIdentity")
    return identity if isinstance(identity, Mapping) else {}


def _name_in(arn: str) -> str:
    """The name of the secret in an ARN, which ends in a hyphen and six characters."""
    return (stem_of(arn) if ":secret:" in arn else arn).split(":", 6)[-1]


def _truth(value: Any) -> bool:
    truths = {True: True, False: False, "true": True, "false": False}
    if not isinstance(value, bool | str) or value not in truths:
        raise ValidationException("the lookup attribute ReadOnly is true or false")
    return truths[value]
