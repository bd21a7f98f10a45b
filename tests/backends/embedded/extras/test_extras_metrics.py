"""Counts in CloudWatch's shapes, and the bill that they make."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from smclient.pricing import PRICE_BOOK
from smclient.testing import FakeClock
from smclient_embedded import metrics as metrics_module
from smclient_embedded.metrics import KEPT_MONTHS, OTHER, Metrics, Resources, bill
from smclient_embedded.store import KeyRecord, Scope

HOME = Scope("123456789012", "us-east-1")
KEY = KeyRecord("arn", HOME, "k", False, datetime(2026, 1, 1, tzinfo=UTC), b"")


@pytest.fixture
def counted(open_service: Callable[..., Any], store_url: str) -> Any:
    """A service over each store."""
    return open_service(store_url)


def resource_counts(extras: Any) -> dict[tuple[str, str], int]:
    """ResourceCount by account and region."""
    return {
        (m["Account"], m["Region"]): m["Value"]
        for m in extras.service.metrics()
        if m["MetricName"] == "ResourceCount"
    }


def test_resource_count_has_cloudwatchs_shape(counted: Any) -> None:
    """What is marked for deletion counts until it is gone; regions are told apart."""
    counted.create("a")
    counted.create("b")
    counted("CreateSecret", Name="a", context=counted.service.context(region="eu-west-1"))
    counted("DeleteSecret", SecretId="b", RecoveryWindowInDays=7)
    found = [m for m in counted.service.metrics() if m["MetricName"] == "ResourceCount"]
    assert found[1] == {
        "Namespace": "AWS/SecretsManager",
        "MetricName": "ResourceCount",
        "Account": "123456789012",
        "Region": "us-east-1",
        "Dimensions": {
            "Service": "Secrets Manager",
            "Type": "Resource",
            "Resource": "SecretCount",
            "Class": "None",
        },
        "Value": 2,
    }
    assert resource_counts(counted)["123456789012", "eu-west-1"] == 1
    counted.clock.advance(days=8)
    counted.service.run_due()
    assert resource_counts(counted)["123456789012", "us-east-1"] == 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (False, True, {"GenerateDataKey": 1}),
        (False, False, {}),
        (True, False, {"GenerateDataKey": 1, "Decrypt": 1}),
        (True, True, {"GenerateDataKey": 2, "Decrypt": 1}),
    ],
)
def test_what_create_secret_asks_of_kms(
    counted: Any, key: bool, value: bool, expected: dict[str, int]
) -> None:
    """As recorded: a customer key is tried with two calls first."""
    more: dict[str, Any] = {"KmsKeyId": counted.service.create_key()} if key else {}
    if value:
        more["SecretString"] = "x"
    counted("CreateSecret", Name="db", **more)
    usage = counted.service.usage()
    assert usage["kms_calls"] == dict(sorted(expected.items()))
    assert usage["kms_billed"] == (sum(expected.values()) if key else 0)


def test_what_other_operations_ask_of_kms(counted: Any) -> None:
    """A read decrypts, a write makes a data key, a replay decrypts to compare, the rest nothing."""
    counted.create("db", KmsKeyId=counted.service.create_key())

    def asked(operation: str, **request: Any) -> dict[str, int]:
        before = counted.service.usage()["kms_calls"]
        counted(operation, **request)
        after = counted.service.usage()["kms_calls"]
        return {
            name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)
        }

    assert asked("GetSecretValue", SecretId="db") == {"Decrypt": 1}
    assert asked("BatchGetSecretValue", SecretIdList=["db", "absent"]) == {"Decrypt": 1}
    token = "t" * 32
    put = {"SecretId": "db", "SecretString": "x", "ClientRequestToken": token}
    assert asked("PutSecretValue", **put) == {"GenerateDataKey": 1}
    assert asked("PutSecretValue", **put) == {"Decrypt": 1}
    assert asked("UpdateSecret", SecretId="db", SecretString="y") == {"GenerateDataKey": 1}
    for operation in ("DescribeSecret", "ListSecretVersionIds", "DeleteSecret", "RestoreSecret"):
        assert asked(operation, SecretId="db") == {}
    assert asked("ListSecrets") == asked("GetRandomPassword") == {}


def test_the_bill_is_by_the_clients_price_book(counted: Any) -> None:
    """Secrets that are not marked for deletion, every call, customer keys and their calls."""
    key = counted.service.create_key()
    counted.create("under-our-key", KmsKeyId=key)  # 1 call, 3 of KMS
    counted.create("under-awss")  # 1 call
    counted.create("deleted")  # 1 call
    counted("DeleteSecret", SecretId="deleted")  # 1 call
    counted.value("under-our-key")  # 1 call, 1 of KMS
    counted.value("under-awss")  # 1 call
    counted.refused("GetSecretValue", SecretId="absent")  # 1 call
    cost = counted.service.bill()
    assert cost.secrets == Decimal("0.80")
    assert cost.api_calls == 7 * PRICE_BOOK.api_call
    assert cost.customer_keys == Decimal("1.00")
    assert cost.kms_calls == 4 * PRICE_BOOK.kms_call
    assert cost.total == cost.secrets + cost.api_calls + cost.customer_keys + cost.kms_calls
    dearer = replace(PRICE_BOOK, secret_month=Decimal(5))
    assert counted.service.bill(dearer).secrets == Decimal(10)


def test_the_pricing_pages_example_comes_out() -> None:
    """10 secrets, 100,000 requests and their KMS calls, 1 customer key: $5.80."""
    usage = {
        "secrets_billed": 10,
        "api_calls": {"GetSecretValue": 100_000},
        "customer_keys": 1,
        "kms_billed": 100_000,
    }
    assert bill(usage).total == Decimal("5.80")


def test_accounts_are_billed_apart(open_service: Callable[..., Any]) -> None:
    """Or all together."""
    ours = open_service()
    ours.create("db")
    other = ours.service.context(type(ours.service.principal()).administrator("210987654321"))
    for name in "ab":
        ours("CreateSecret", Name=name, context=other)
    assert ours.service.usage(account="123456789012")["api_calls"] == {"CreateSecret": 1}
    assert ours.service.bill(account="210987654321").secrets == Decimal("0.80")
    assert ours.service.bill().secrets == Decimal("1.20")
    assert ours.service.usage(account="999999999999")["secrets"] == 0


def test_usage_is_plain_and_begins_anew_each_month(
    open_service: Callable[..., Any], clock: FakeClock
) -> None:
    """Like a bill; the metrics go on."""
    service = open_service()
    service.create("db")
    service.value()
    assert service.service.usage() == {
        "month": "2026-01",
        "api_calls": {"CreateSecret": 1, "GetSecretValue": 1},
        "errors": {},
        "kms_calls": {"Decrypt": 1, "GenerateDataKey": 1},
        "kms_billed": 0,
        "secrets": 1,
        "secrets_billed": 1,
        "customer_keys": 0,
    }
    clock.advance(days=31)
    assert service.service.usage()["month"] == "2026-02"
    assert service.service.usage()["api_calls"] == {}
    service.value()
    counts = {
        m["Dimensions"]["Resource"]: m["Value"]
        for m in service.service.metrics()
        if m["MetricName"] == "CallCount"
    }
    assert counts == {"CreateSecret": 1, "GetSecretValue": 2}


def test_months_are_kept_within_bounds() -> None:
    """The last fifteen."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    kept = Metrics(lambda: now[0])
    for month in range(40):
        now[0] = datetime(2026 + month // 12, 1 + month % 12, 1, tzinfo=UTC)
        kept.called(HOME, "ListSecrets", "ok")
    assert [m["Value"] for m in kept.snapshot()] == [KEPT_MONTHS]


def test_series_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after those is counted together, and no call is lost."""
    monkeypatch.setattr(metrics_module, "MOST_SERIES", 5)
    kept = Metrics()
    for n in range(100):
        scope = Scope(f"{n:012d}", "us-east-1")
        kept.called(scope, "ListSecrets", "ok")
        kept.kms_called("Decrypt", replace(KEY, scope=scope))
    kept.called(Scope("0" * 12, "us-east-1"), "ListSecrets", "ok")
    found = {m["Account"]: m["Value"] for m in kept.snapshot()}
    assert len(found) == 6
    assert (found["0" * 12], found[OTHER.account], sum(found.values())) == (2, 95, 101)
    assert kept.usage({})["kms_billed"] == 100


def test_counts_are_exact_under_many_threads() -> None:
    """No call is lost."""
    kept = Metrics()
    barrier = threading.Barrier(8)

    def count() -> None:
        barrier.wait()
        for _ in range(500):
            kept.called(HOME, "GetSecretValue", "ok")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.usage({HOME: Resources(1, 1, 0)})["api_calls"] == {"GetSecretValue": 4000}
