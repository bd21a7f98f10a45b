"""Counts, in CloudWatch's shapes, and the bill that they make.

``AWS/Usage`` CallCount: calls by account, region, operation and outcome. ``AWS/SecretsManager``
ResourceCount: the secrets there are. KMS calls are counted where the service's KMS does what AWS
would call KMS for. Calls are kept by calendar month, the last 15 of them, as CloudWatch keeps its
data; a month has at most 10,000 series, what comes after those is counted under account ``other``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from smclient.pricing import PRICE_BOOK, Cost, PriceBook, monthly_cost
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import KeyRecord, Scope

KEPT_MONTHS = 15
MOST_SERIES = 10_000
OTHER = Scope("other", "other")
OK = "ok"
"""The outcome of a call that was not refused."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a scope has."""

    secrets: int
    secrets_billed: int
    customer_keys: int

    @classmethod
    def of(cls, tx: Transaction, scope: Scope) -> Resources:
        """Counted in a store. Secrets marked for deletion cost nothing, nor do keys that are."""
        keys = [key for key in tx.keys(scope) if not key.managed and key.state != "PendingDeletion"]
        return cls(
            secrets=tx.count_secrets(scope),
            secrets_billed=tx.count_secrets(scope, include_deleted=False),
            customer_keys=len(keys),
        )


@dataclass(slots=True)
class _Month:
    calls: Counter[tuple[Scope, str, str]] = field(default_factory=Counter)
    kms: Counter[tuple[Scope, str, bool]] = field(default_factory=Counter)


class Metrics:
    """Counters of one service. ``now`` says which month it is."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._months: dict[str, _Month] = {}
        self._latest: _Month | None = None
        self._of_latest = (0, 0)

    def called(self, scope: Scope, operation: str, outcome: str) -> None:
        """A call ended; ``outcome`` is ``ok`` or an error code."""
        with self._lock:
            _count(self._month().calls, (scope, operation, outcome))

    def kms_called(self, action: str, key: KeyRecord) -> None:
        """KMS was needed once: ``GenerateDataKey`` or ``Decrypt``. AWS's own keys are free."""
        with self._lock:
            _count(self._month().kms, (key.scope, action, not key.managed))

    def read_again(self, scope: Scope, operation: str, key: KeyRecord) -> None:
        """A read was answered, for which KMS opened a data key: both at once."""
        with self._lock:
            month = self._month()
            _count(month.calls, (scope, operation, OK))
            _count(month.kms, (key.scope, "Decrypt", not key.managed))

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._months.clear()
            self._latest = None

    def snapshot(self, resources: Mapping[Scope, Resources] | None = None) -> list[dict[str, Any]]:
        """CallCount of all kept months, one entry for each operation and outcome, sorted; then the
        ResourceCount of each scope that is given."""
        with self._lock:
            total: Counter[tuple[Scope, str, str]] = Counter()
            for month in self._months.values():
                total.update(month.calls)
        calls = sorted(total.items(), key=lambda c: (c[0][0].account, *c[0][1:]))
        counts = [
            {
                **_entry("AWS/Usage", "CallCount", scope, "API", operation),
                "Outcome": outcome,
                "Value": count,
            }
            for (scope, operation, outcome), count in calls
        ]
        counts += [
            {
                **_entry("AWS/SecretsManager", "ResourceCount", scope, "Resource", "SecretCount"),
                "Value": there.secrets,
            }
            for scope, there in (resources or {}).items()
        ]
        return counts

    def usage(
        self, resources: Mapping[Scope, Resources], *, account: str | None = None
    ) -> dict[str, Any]:
        """This month's counts as plain data, of one account or of all.

        ``api_calls`` and ``kms_calls`` are by operation, ``errors`` by code; ``kms_billed`` is how
        many KMS calls were under customer keys; ``secrets_billed`` leaves out what is marked for
        deletion.
        """

        def wanted(scope: Scope) -> bool:
            return account in (None, scope.account)

        with self._lock:
            name, month = self._month_name(), self._month()
            calls = [(k, n) for k, n in month.calls.items() if wanted(k[0])]
            kms = [(k, n) for k, n in month.kms.items() if wanted(k[0])]
        there = [found for scope, found in resources.items() if wanted(scope)]
        return {
            "month": name,
            "api_calls": _sums((operation, n) for (_, operation, _), n in calls),
            "errors": _sums((outcome, n) for (_, _, outcome), n in calls if outcome != "ok"),
            "kms_calls": _sums((action, n) for (_, action, _), n in kms),
            "kms_billed": sum(n for (_, _, is_billed), n in kms if is_billed),
            "secrets": sum(found.secrets for found in there),
            "secrets_billed": sum(found.secrets_billed for found in there),
            "customer_keys": sum(found.customer_keys for found in there),
        }

    # --- inside -----------------------------------------------------------------------------------

    def _month_name(self) -> str:
        now = self._now()
        return f"{now.year:04d}-{now.month:02d}"

    def _month(self) -> _Month:
        now = self._now()
        if (now.year, now.month) == self._of_latest and self._latest is not None:
            return self._latest
        self._latest, self._of_latest = self._month_named(self._month_name()), (now.year, now.month)
        return self._latest

    def _month_named(self, name: str) -> _Month:
        if name not in self._months:
            self._months[name] = _Month()
            for old in sorted(self._months)[:-KEPT_MONTHS]:
                del self._months[old]
        return self._months[name]


def bill(usage: Mapping[str, Any], price_book: PriceBook | None = None) -> Cost:
    """A month's bill for what ``Metrics.usage`` counted, as if the secrets and customer keys of
    now had been there all month; without the free tier. Failed calls are billed like others: AWS
    says nothing of them."""
    return monthly_cost(
        secrets=usage["secrets_billed"],
        api_calls=sum(usage["api_calls"].values()),
        customer_keys=usage["customer_keys"],
        kms_calls=usage["kms_billed"],
        price_book=price_book or PRICE_BOOK,
    )


Series = TypeVar("Series", tuple[Scope, str, str], tuple[Scope, str, bool])


def _count(counts: Counter[Series], series: Series) -> None:
    found = counts.get(series)
    if found is None and len(counts) >= MOST_SERIES:
        series = cast(Series, (OTHER, *series[1:]))
        found = counts.get(series)
    counts[series] = 1 if found is None else found + 1


def _entry(namespace: str, metric: str, scope: Scope, kind: str, resource: str) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Account": scope.account,
        "Region": scope.region,
        "Dimensions": {
            "Service": "Secrets Manager",
            "Type": kind,
            "Resource": resource,
            "Class": "None",
        },
    }


def _sums(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for name, count in counts:
        total[name] += count
    return dict(sorted(total.items()))
