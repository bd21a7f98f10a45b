"""Counts of calls, by account, region, operation and outcome: what CloudWatch's CallCount shows."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from smclient_embedded.store.records import Scope


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[tuple[Scope, str, str]] = Counter()

    def called(self, scope: Scope, operation: str, outcome: str) -> None:
        """A call ended; ``outcome`` is ``ok`` or an error code."""
        with self._lock:
            self._calls[scope, operation, outcome] += 1

    def snapshot(self) -> list[dict[str, Any]]:
        """``AWS/Usage`` CallCount, one entry for each operation and outcome, sorted."""
        with self._lock:
            calls = sorted(self._calls.items(), key=lambda c: (c[0][0].account, *c[0][1:]))
        return [
            {
                "Namespace": "AWS/Usage",
                "MetricName": "CallCount",
                "Account": scope.account,
                "Region": scope.region,
                "Dimensions": {
                    "Service": "Secrets Manager",
                    "Type": "API",
                    "Resource": operation,
                    "Class": "None",
                },
                "Outcome": outcome,
                "Value": count,
            }
            for (scope, operation, outcome), count in calls
        ]
