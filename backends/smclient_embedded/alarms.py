"""Alarms on what should not happen: rotation errors, denied reads, reads of deleted secrets.

AWS has no native metric for these; there one filters the trail. So it is done here: each record of
the audit trail is a datapoint of the metrics that it fits, in the namespace ``SMClient``. An alarm
adds up the datapoints of its period, the last so many seconds, and compares the sum with its
threshold. A change of its state is an event, in the shape of CloudWatch's.

The states are CloudWatch's. An alarm has INSUFFICIENT_DATA until it watched for a whole period, or
the threshold was reached before; nothing happening is then a sum of 0, so it is OK.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from smclient.errors import ConfigError
from smclient.forking import survive_fork
from smclient_embedded.events import Subscription
from smclient_embedded.events.shapes import ALARM_CHANGED, Event, envelope
from smclient_embedded.store.records import AuditRecord, Scope

NAMESPACE = "SMClient"
SHORTEST, LONGEST = 1.0, 86_400.0
"""Seconds of a period."""
_DELETED = "secret because it was marked for deletion"
_READS = frozenset({"GetSecretValue", "BatchGetSecretValue"})
_FAILURES = frozenset({"RotationFailed", "TestRotationFailed"})

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Comparison = Literal["GreaterThanOrEqualToThreshold", "GreaterThanThreshold"]
Metric = Literal["RotationErrors", "DeniedReads", "DeletedSecretReads"]


def _is_rotation_error(document: Mapping[str, Any]) -> bool:
    return document.get("eventName") in _FAILURES


def _is_denied_read(document: Mapping[str, Any]) -> bool:
    return document.get("eventName") in _READS and document.get("errorCode") == "AccessDenied"


def _is_deleted_read(document: Mapping[str, Any]) -> bool:
    said = str(document.get("errorMessage", ""))
    return document.get("eventName") in _READS and _DELETED in said


METRICS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "RotationErrors": _is_rotation_error,
    "DeniedReads": _is_denied_read,
    "DeletedSecretReads": _is_deleted_read,
}
"""Metric to the filter of audit records that counts for it."""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What an alarm watches.

    Attributes:
        metric: one of ``METRICS``.
        threshold: how many within ``period`` seconds.
        comparison: CloudWatch's word for how the sum is compared with it.
    """

    name: str
    metric: Metric
    threshold: float = 1.0
    period: float = 300.0
    comparison: Comparison = "GreaterThanOrEqualToThreshold"

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` where a part of it makes no sense."""
        if self.metric not in METRICS:
            raise ConfigError(f"there is no metric {self.metric!r}, only {', '.join(METRICS)}")
        if not SHORTEST <= self.period <= LONGEST:
            raise ConfigError(f"a period has {SHORTEST:g} to {LONGEST:g} seconds")
        if not self.threshold >= 0:
            raise ConfigError("a threshold is 0 or more")
        if self.comparison not in _COMPARED:
            raise ConfigError(f"{self.comparison!r} is none of {', '.join(_COMPARED)}")

    def state(self, total: float, watched: float) -> State:
        """The state after a sum, when the alarm watched for so many seconds."""
        if _COMPARED[self.comparison](total, self.threshold):
            return "ALARM"
        return "OK" if watched >= self.period else "INSUFFICIENT_DATA"


_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda total, threshold: total >= threshold,
    "GreaterThanThreshold": lambda total, threshold: total > threshold,
}


@dataclass(slots=True)
class _Watched:
    """An alarm, and what it saw in its period: moments, oldest first."""

    rule: AlarmRule
    since: datetime
    moments: deque[datetime] = field(default_factory=deque)
    state: State = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    changed_at: datetime | None = None

    def total(self, now: datetime) -> int:
        while self.moments and (now - self.moments[0]).total_seconds() >= self.rule.period:
            self.moments.popleft()
        return len(self.moments)


class Alarm:
    """A handle on an alarm. ``subscription`` is that of its own target, if it has one."""

    def __init__(self, board: AlarmBoard, name: str) -> None:
        self._board = board
        self.name = name
        self.subscription: Subscription | None = None

    @property
    def state(self) -> State:
        """OK, ALARM or INSUFFICIENT_DATA, at this moment."""
        return self._board.state(self.name)

    @property
    def reason(self) -> str:
        """Why it is in that state."""
        return self._board.reason(self.name)

    def cancel(self) -> None:
        """Watch no more. Cancelling twice is fine."""
        self._board.remove(self.name)
        if self.subscription is not None:
            self.subscription.cancel()


class AlarmBoard:
    """The alarms of one service.

    Args:
        now: the time.
        home: the scope that alarms are in.
        publish: takes the events of changed states.
        new_id: ids for them.
    """

    MOST_MOMENTS = 100_000

    def __init__(
        self,
        now: Callable[[], datetime],
        home: Scope,
        publish: Callable[[Sequence[Event]], object],
        new_id: Callable[[], str],
    ) -> None:
        self._now = now
        self._home = home
        self._publish = publish
        self._new_id = new_id
        self._lock = threading.RLock()
        self._watched: dict[str, _Watched] = {}
        self._totals: Counter[tuple[Scope, str]] = Counter()
        survive_fork(self)

    def after_fork(self) -> None:
        """A new lock."""
        self._lock = threading.RLock()

    def add(self, rule: AlarmRule) -> Alarm:
        """Watch from now on. Raises ``ConfigError`` if there is an alarm of that name."""
        with self._lock:
            if rule.name in self._watched:
                raise ConfigError(f"there is an alarm {rule.name!r} already; cancel it first")
            self._watched[rule.name] = _Watched(rule, self._now())
        return Alarm(self, rule.name)

    def remove(self, name: str) -> None:
        """Watch no more."""
        with self._lock:
            self._watched.pop(name, None)

    def heard(self, records: Sequence[AuditRecord]) -> None:
        """Take records of the audit trail, and let alarms ring that reach their threshold."""
        counted = [
            (name, record)
            for record in records
            if _may_count(record)
            for name, fits in METRICS.items()
            if fits(record.document) and not _is_told_twice(record)
        ]
        if not counted:
            return
        with self._lock:
            for name, record in counted:
                self._totals[record.scope, name] += 1
                for watched in self._watched.values():
                    if watched.rule.metric == name:
                        watched.moments.append(record.at)
                        if len(watched.moments) > self.MOST_MOMENTS:
                            watched.moments.popleft()
        self.check()

    def check(self) -> None:
        """Look at the time: an alarm whose period is over may be OK again."""
        now = self._now()
        with self._lock:
            events = [event for w in self._watched.values() if (event := self._changed(w, now))]
        if events:
            self._publish(events)

    def state(self, name: str) -> State:
        """The state of an alarm at this moment. Raises ``ConfigError`` if it was cancelled."""
        self.check()
        return self._of(name).state

    def reason(self, name: str) -> str:
        """Why it is in that state. Raises ``ConfigError`` if it was cancelled."""
        self.check()
        return self._of(name).reason

    def metrics(self) -> list[dict[str, Any]]:
        """What was counted, in CloudWatch's shape."""
        with self._lock:
            totals = sorted(self._totals.items(), key=lambda t: (t[0][0].account, t[0][1]))
        return [
            {
                "Namespace": NAMESPACE,
                "MetricName": name,
                "Account": scope.account,
                "Region": scope.region,
                "Dimensions": {"Service": "Secrets Manager"},
                "Value": count,
            }
            for (scope, name), count in totals
        ]

    # --- inside -----------------------------------------------------------------------------------

    def _of(self, name: str) -> _Watched:
        with self._lock:
            if name not in self._watched:
                raise ConfigError(f"there is no alarm {name!r}: it was cancelled")
            return self._watched[name]

    def _changed(self, watched: _Watched, now: datetime) -> Event | None:
        rule, total = watched.rule, watched.total(now)
        state = rule.state(total, (now - watched.since).total_seconds())
        if state == watched.state:
            return None
        before = {
            "value": watched.state,
            "reason": watched.reason,
            "timestamp": _time(watched.changed_at or watched.since),
        }
        compared = "greater than" + (" or equal to" if "OrEqual" in rule.comparison else "")
        was = "was" if state == "ALARM" else "was not"
        watched.state, watched.changed_at = state, now
        watched.reason = (
            f"Threshold Crossed: the sum of {total} within {rule.period:g} seconds {was} "
            f"{compared} the threshold ({rule.threshold:g})."
        )
        detail = {
            "alarmName": rule.name,
            "state": {"value": state, "reason": watched.reason, "timestamp": _time(now)},
            "previousState": before,
            "configuration": {
                "metrics": [
                    {
                        "id": "m1",
                        "metricStat": {
                            "metric": {
                                "namespace": NAMESPACE,
                                "name": rule.metric,
                                "dimensions": {},
                            },
                            "period": rule.period,
                            "stat": "Sum",
                        },
                        "returnData": True,
                    }
                ],
            },
        }
        arn = f"arn:aws:cloudwatch:{self._home.region}:{self._home.account}:alarm:{rule.name}"
        return envelope(
            ALARM_CHANGED,
            "aws.cloudwatch",
            self._home,
            event_id=self._new_id(),
            at=now,
            detail=detail,
            resources=(arn,),
        )


def _may_count(record: AuditRecord) -> bool:
    """Whether any metric can count a record. None counts a call that went well, and almost all
    do."""
    return "errorCode" in record.document or record.event_name in _FAILURES


def _is_told_twice(record: AuditRecord) -> bool:
    """Whether it is the owner's copy of a call from another account."""
    identity: Any = record.document.get("userIdentity", {})
    caller = identity.get("accountId", record.scope.account)
    return "sharedEventID" in record.document and caller != record.scope.account


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"
