"""What CloudTrail's logs say of Secrets Manager: who calls most, what caching would save. Pure, but
for reading the files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from smclient.pricing import PRICE_BOOK, PriceBook, per_month
from smclient.report.money import secret_name

SOURCE = "secretsmanager.amazonaws.com"
READ = "GetSecretValue"

Event = Mapping[str, Any]


@dataclass
class Tally:
    """Counts of one caller, one secret, or all."""

    calls: int = 0
    reads: int = 0
    cached: int = 0
    """Reads that would still be calls with a cache."""

    @property
    def saved(self) -> int:
        """Calls that a cache would have made needless."""
        return self.reads - self.cached


@dataclass
class Report:
    """What some logs hold. ``seconds`` is from the first to the last call in them."""

    total: Tally = field(default_factory=Tally)
    operations: Counter[str] = field(default_factory=Counter)
    callers: dict[str, Tally] = field(default_factory=dict)
    secrets: dict[str, Tally] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    skipped: list[str] = field(default_factory=list)

    def dollars(self, calls: int, price_book: PriceBook = PRICE_BOOK) -> Decimal:
        """What so many calls cost."""
        return calls * price_book.api_call

    def a_month(self, calls: int, price_book: PriceBook = PRICE_BOOK) -> Decimal | None:
        """What they cost a month at this rate; ``None`` for less than an hour of logs."""
        if self.seconds < 3600:
            return None
        return per_month(self.dollars(calls, price_book), self.seconds)


def read_logs(folder: Path, skipped: list[str]) -> Iterator[Event]:
    """The records of every ``.json`` and ``.json.gz`` below a folder; names of files that are no
    CloudTrail logs go to ``skipped``."""
    for path in sorted(p for p in folder.rglob("*") if p.name.endswith((".json", ".json.gz"))):
        try:
            raw = path.read_bytes()
            if raw[:2] == b"\x1f\x8b":
                raw = gzip.decompress(raw)
            records = json.loads(raw)["Records"]
            events = [record for record in records if isinstance(record, Mapping)]
        except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError):
            skipped.append(str(path.relative_to(folder)))
            continue
        yield from events


def analyse(events: Iterable[Event], *, ttl: float = 300.0) -> Report:
    """Count the calls of Secrets Manager among events, and replay the reads through a cache.

    A session of a caller at one address stands for one process with a cache of its own. Within
    ``ttl`` of a successful read the same version asked again is no call; failures stay calls. What
    Secrets Manager calls on its own behalf, as for each secret of a batch, is no call of anybody.
    """
    report = Report()
    seen: set[str] = set()
    calls: list[tuple[datetime, Event]] = []
    for event in events:
        when = _when(event)
        event_id = event.get("eventID")
        if when is None or not _is_call(event) or (event_id and event_id in seen):
            continue
        seen.add(str(event_id))
        calls.append((when, event))
    calls.sort(key=lambda call: call[0])
    fresh_until: dict[tuple[str, ...], float] = {}
    for when, event in calls:
        _count(report, when.timestamp(), event, fresh_until, ttl)
    if calls:
        report.seconds = (calls[-1][0] - calls[0][0]).total_seconds()
    return report


def _count(
    report: Report, now: float, event: Event, fresh_until: dict[tuple[str, ...], float], ttl: float
) -> None:
    operation = str(event.get("eventName"))
    report.operations[operation] += 1
    if event.get("errorCode"):
        report.errors[str(event["errorCode"])] += 1
    asked = _mapping(event.get("requestParameters"))
    secret = _secret(event, asked)
    caller, session = _caller(event)
    tallies = [report.total, report.callers.setdefault(caller, Tally())]
    if secret:
        tallies.append(report.secrets.setdefault(secret, Tally()))
    is_call = True
    if operation == READ and not event.get("errorCode"):
        key = (session, secret, str(asked.get("versionStage")), str(asked.get("versionId")))
        is_call = now >= fresh_until.get(key, float("-inf"))
        if is_call:
            fresh_until[key] = now + ttl
    for tally in tallies:
        tally.calls += 1
        if operation == READ:
            tally.reads += 1
            tally.cached += is_call


def _is_call(event: Event) -> bool:
    return (
        event.get("eventSource") == SOURCE
        and event.get("eventType", "AwsApiCall") == "AwsApiCall"
        and _mapping(event.get("userIdentity")).get("invokedBy") != SOURCE
    )


def _when(event: Event) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event.get("eventTime")).replace("Z", "+00:00"))
    except ValueError:
        return None


def _caller(event: Event) -> tuple[str, str]:
    """Who it is, without the session's name, and the session at its address."""
    identity = _mapping(event.get("userIdentity"))
    arn = str(
        identity.get("arn") or identity.get("principalId") or identity.get("type") or "unknown"
    )
    who = arn.rpartition("/")[0] if ":assumed-role/" in arn else arn
    return who, f"{arn} {event.get('sourceIPAddress')}"


def _secret(event: Event, asked: Mapping[str, Any]) -> str:
    """The name of the secret a call was about, whether it was asked for by name or by ARN."""
    given = asked.get("secretId") or asked.get("name")
    if given is None:
        resources = event.get("resources")
        first = resources[0] if isinstance(resources, list) and resources else None
        given = _mapping(first).get("ARN")
    return secret_name(str(given or ""))


def _mapping(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}
