"""What is counted, what others would have called, and what it costs."""

from __future__ import annotations

import doctest
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smclient.pricing
from smclient import (
    AccessDeniedError,
    Answer,
    BackendUnavailableError,
    SecretsClient,
    ThrottlingError,
    Usage,
)
from smclient.metering import (
    AWS_CACHING,
    AWS_CACHING_REFRESH,
    BASELINES,
    NO_CACHE,
    POWERTOOLS,
    POWERTOOLS_REFRESH,
    Baseline,
    Meter,
    Tally,
)
from smclient.pricing import PRICE_BOOK, PriceBook, calls_cost, monthly_cost, per_month, usage_cost
from smclient.testing import Call, FakeBackend, FakeClock, Queued

MakeClient = Callable[..., SecretsClient]
DAY = 86_400.0

# --- hits, misses, calls --------------------------------------------------------------------------


def test_hits_are_exact_under_threads(client: SecretsClient) -> None:
    """Eight of them, without a lock, while one keeps looking at the count."""
    client.get("db")
    start = threading.Barrier(9)
    looks: list[int] = []

    def read() -> None:
        start.wait()
        for _ in range(5000):
            client.get("db")

    def look() -> None:
        start.wait()
        looks.extend(client.usage().hits for _ in range(200))

    threads = [threading.Thread(target=read) for _ in range(8)] + [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    usage = client.usage()
    assert (usage.hits, usage.misses, usage.stale_hits) == (40_000, 1, 0)
    assert looks == sorted(looks)


def test_a_tally_counts_ticks_and_not_looks() -> None:
    """Looking leaves the count as it is."""
    tally = Tally()
    for n in range(100):
        assert tally.value() == tally.value() == n
        tally.tick()


def test_hits_outlive_what_was_hit(make_client: MakeClient, backend: FakeBackend) -> None:
    """An evicted or invalidated secret was read all the same."""
    backend.put("other", "x")
    client = make_client(max_secrets=1)
    for secret_id in ("db", "db", "other", "other", "db", "db"):
        client.get(secret_id)
    client.invalidate()
    client.get("db")
    usage = client.usage()
    assert (usage.hits, usage.misses, usage.reads) == (3, 4, 7)


def test_each_kind_of_read_is_counted_as_what_it_was(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """Served in time, served late, waited for, refused."""
    client.get("db")
    client.get("db")
    client.get("db", max_age=10)
    clock.advance(300)
    client.get("db")
    worker.run()
    client.get("db")
    backend.fail_with(AccessDeniedError("no"))
    with pytest.raises(AccessDeniedError):
        client.get("db", max_age=0)
    usage = client.usage()
    assert (usage.hits, usage.stale_hits, usage.misses) == (3, 1, 2)
    assert usage.reads == 6
    assert usage.errors == {"AccessDeniedException": 1}
    assert usage.api_calls == {"GetSecretValue": 3}


def test_attempts_are_counted_not_questions(client: SecretsClient, backend: FakeBackend) -> None:
    """Repeats cost money too, whether they end well or not."""
    fetch = backend.fetch
    backend.fetch = lambda ref: replace(fetch(ref), attempts=3)  # type: ignore[method-assign]
    client.get("db")
    assert client.usage().api_calls == {"GetSecretValue": 3}
    backend.fail_with(ThrottlingError("slow", attempts=5))
    with pytest.raises(ThrottlingError):
        client.refresh("db")
    assert client.usage().api_calls == {"GetSecretValue": 8}
    assert client.usage().kms_calls == 1


def test_other_operations_are_counted_by_name(client: SecretsClient, backend: FakeBackend) -> None:
    """A refused one too."""
    client.call("PutSecretValue", SecretId="db", SecretString="x")
    backend.fail_with(BackendUnavailableError("no answer", attempts=2))
    with pytest.raises(BackendUnavailableError):
        client.call("DeleteSecret", SecretId="db")
    usage = client.usage()
    assert usage.api_calls == {"DeleteSecret": 2, "PutSecretValue": 1}
    assert usage.errors == {"BackendUnavailable": 1}
    assert usage.reads == 0


def test_usage_is_plain_data(client: SecretsClient, clock: FakeClock) -> None:
    """Fit for JSON, with how long it took to arise."""
    client.get("db")
    clock.advance(12.5)
    plain = client.usage().to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["seconds"] == 12.5
    assert plain["api_calls"] == {"GetSecretValue": 1}
    assert set(plain["baselines"]) == set(BASELINES)
    assert set(plain) == set(Usage.__slots__)


# --- KMS ------------------------------------------------------------------------------------------


class WithKeys(FakeBackend):
    """Tells the key of each secret when it is described."""

    keys: dict[str, str] = {}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        if operation != "DescribeSecret":
            return super().call(operation, parameters)
        name = self._name(str(parameters["SecretId"]))
        self._asked(Call(operation, (name,)))
        shape = {"ARN": self.arn(name), "Name": name}
        return Answer(shape | ({"KmsKeyId": self.keys[name]} if name in self.keys else {}))


def test_kms_calls_are_implied_by_values_opened_and_sealed(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """One for each; none for a description or an error; unknown as long as the key is."""
    backend.put("other", "x")
    client.get("db")
    client.get("db")
    client.get_many(["db", "other", "missing"])
    client.call("PutSecretValue", SecretId="db", SecretString="x")
    client.call("DeleteSecret", SecretId="other")
    usage = client.usage()
    assert (usage.kms_calls, usage.kms_unknown, usage.kms_billed) == (3, 3, 0)
    assert usage.cost().kms_calls == 0
    assert usage.cost().kms_unknown == Decimal("0.000009")


def test_a_description_tells_which_kms_calls_cost_money(make_client: MakeClient) -> None:
    """Those under a customer key do, from then on; AWS's own key is free."""
    backend = WithKeys({"mine": "x", "aws": "x", "alias": "x", "unknown": "x"})
    backend.keys = {
        "mine": "arn:aws:kms:eu-west-1:1:key/1",
        "alias": "arn:aws:kms:eu-west-1:1:alias/aws/secretsmanager",
    }
    client = make_client(backend)
    for name in ("mine", "aws", "alias"):
        client.call("DescribeSecret", SecretId=name)
    client.get_many(["mine", "aws", "alias", "unknown"])
    client.refresh("mine")
    usage = client.usage()
    assert (usage.kms_calls, usage.kms_billed, usage.kms_unknown) == (5, 2, 1)
    assert usage.cost().kms_calls == 2 * PRICE_BOOK.kms_call


# --- baselines ------------------------------------------------------------------------------------


def test_baselines_of_a_history_worked_out_by_hand(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """A read a minute for two hours, a rotation after one.

    Without a cache: 121 reads, 121 calls. AWS's client looks at 0, 2700, 5400 s (its mean) with
    DescribeSecret, and gets the value at 0 and, since it changed at 3600, at 5400. Powertools gets
    it every 300 s: at 0, 300, … 7200, 25 times.
    """
    for minute in range(121):
        if minute == 60:
            backend.put("db", "rotated")
        client.get("db")
        worker.run()
        clock.advance(60)
    usage = client.usage()
    assert usage.reads == 121
    assert usage.baselines == {
        NO_CACHE: {"GetSecretValue": 121},
        AWS_CACHING: {"DescribeSecret": 3, "GetSecretValue": 2},
        POWERTOOLS: {"GetSecretValue": 25},
    }
    assert usage.api_calls == {"GetSecretValue": 25}


def test_a_secret_that_nobody_reads_costs_the_others_nothing(
    client: SecretsClient, clock: FakeClock
) -> None:
    """They too look only when they are asked."""
    client.get("db")
    clock.advance(DAY)
    client.get("db")
    assert client.usage().baselines == {
        NO_CACHE: {"GetSecretValue": 2},
        AWS_CACHING: {"DescribeSecret": 2, "GetSecretValue": 1},
        POWERTOOLS: {"GetSecretValue": 2},
    }


def test_many_at_once_are_many_reads_for_the_others(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Each secret counts; the names by which one is asked for do not."""
    for n in range(25):
        backend.put(f"s{n}", "x")
    client.get_many([f"s{n}" for n in range(25)])
    client.get_many([backend.arn(f"s{n}") for n in range(25)])
    usage = client.usage()
    assert usage.api_calls == {"BatchGetSecretValue": 2}
    assert usage.baselines == {
        NO_CACHE: {"GetSecretValue": 50},
        AWS_CACHING: {"DescribeSecret": 25, "GetSecretValue": 25},
        POWERTOOLS: {"GetSecretValue": 25},
    }


@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans()), max_size=60))
def test_a_baseline_is_what_those_clients_do(steps: list[tuple[int, bool]]) -> None:
    """Simulated call by call beside it: Describe when due, Get when the version is new."""
    baseline, now, version = Baseline(), 0.0, 0
    counted = {
        name: {"DescribeSecret": 0, "GetSecretValue": 0} for name in (AWS_CACHING, POWERTOOLS)
    }
    expected = {name: dict(calls) for name, calls in counted.items()}
    aws_until = powertools_until = -1.0
    aws_version: int | None = None
    for seconds, rotates in steps:
        now += seconds
        version += rotates
        for name, calls in baseline.read(now, str(version)).items():
            for operation, n in calls.items():
                counted[name][operation] += n
        assert baseline.next_due == min(baseline.aws_due, baseline.powertools_due) > now
        if now >= aws_until:
            expected[AWS_CACHING]["DescribeSecret"] += 1
            aws_until = now + AWS_CACHING_REFRESH
            if aws_version != version:
                expected[AWS_CACHING]["GetSecretValue"] += 1
                aws_version = version
        if now >= powertools_until:
            expected[POWERTOOLS]["GetSecretValue"] += 1
            powertools_until = now + POWERTOOLS_REFRESH
    assert counted == expected


def test_the_periods_of_the_others_are_those_that_were_measured() -> None:
    """AWS's client draws from half an hour to an hour; powertools holds for five minutes."""
    assert (AWS_CACHING_REFRESH, POWERTOOLS_REFRESH) == ((1800 + 3600) / 2, 300)


# --- money ----------------------------------------------------------------------------------------


def test_the_pricing_page_s_example_comes_out_exactly() -> None:
    """10 secrets, 100,000 requests, one customer key, no free tier: 4.00 + 0.50 + 1.00 + 0.30."""
    bill = monthly_cost(secrets=10, api_calls=100_000, customer_keys=1, kms_calls=100_000)
    assert bill.total == Decimal("5.80")
    assert (bill.secrets, bill.api_calls) == (Decimal("4.00"), Decimal("0.50"))
    assert (bill.customer_keys, bill.kms_calls) == (Decimal("1.00"), Decimal("0.30"))


def test_the_examples_in_the_module_run() -> None:
    """They are what a reader sees first."""
    result = doctest.testmod(smclient.pricing, extraglobs={"Decimal": Decimal})
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("kms_calls", "cost"), [(0, "0"), (20_000, "0"), (20_001, "0.000003"), (100_000, "0.24")]
)
def test_the_free_tier_of_kms_is_taken_off_where_it_applies(kms_calls: int, cost: str) -> None:
    """And never turns into a credit."""
    assert monthly_cost(kms_calls=kms_calls, free_tier=True).total == Decimal(cost)


def test_prices_can_be_replaced() -> None:
    """They are dated data."""
    dearer = PriceBook(api_call=Decimal("0.001"), secret_month=Decimal(1))
    assert monthly_cost(secrets=2, api_calls=3, price_book=dearer).total == Decimal("2.003")
    assert calls_cost({"GetSecretValue": 2, "DescribeSecret": 1}, dearer) == Decimal("0.003")
    assert PRICE_BOOK.as_of.year == 2026


def test_money_is_exact() -> None:
    """A tenth of a cent, ten million times."""
    assert monthly_cost(api_calls=10_000_000).total == Decimal("50.00")
    assert calls_cost({"GetSecretValue": 1}) == Decimal("0.000005")
    assert calls_cost({}) == 0


def test_a_cost_is_carried_on_for_a_month() -> None:
    """Of 730 hours; of no time at all it is nothing."""
    assert per_month(Decimal(1), 730 * 3600) == 1
    assert per_month(Decimal("0.01"), 3600) == Decimal("7.30")
    assert per_month(Decimal(1), 0) == 0


def test_the_cost_of_a_usage_is_that_of_its_calls(client: SecretsClient) -> None:
    """KMS calls under unknown keys are told beside it."""
    client.get("db")
    client.refresh("db")
    cost = client.usage().cost()
    assert cost.total == cost.api_calls == Decimal("0.00001")
    assert cost.kms_unknown == 2 * PRICE_BOOK.kms_call
    assert client.usage().cost(PriceBook(api_call=Decimal(1))).total == 2


def test_how_a_batch_is_billed_is_a_setting(client: SecretsClient, backend: FakeBackend) -> None:
    """By call, and the difference told beside it; or by secret."""
    for n in range(25):
        backend.put(f"s{n}", "x")
    client.get_many([f"s{n}" for n in range(25)])
    client.get("db")
    usage = client.usage()
    assert usage.batched == 25
    by_call = usage_cost(usage)
    by_secret = usage_cost(usage, PriceBook(batch_per_secret=True))
    assert by_call.api_calls == 3 * PRICE_BOOK.api_call
    assert by_call.batch_unknown == 23 * PRICE_BOOK.api_call
    assert by_secret.api_calls == 26 * PRICE_BOOK.api_call
    assert by_secret.batch_unknown == 0
    assert by_call.total + by_call.batch_unknown == by_secret.total


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.booleans())
def test_more_never_costs_less(calls: int, kms: int, secrets: int, free: bool) -> None:
    """And a total is the sum of its parts."""
    bill = monthly_cost(secrets=secrets, api_calls=calls, kms_calls=kms, free_tier=free)
    more = monthly_cost(secrets=secrets, api_calls=calls + 1, kms_calls=kms + 1, free_tier=free)
    assert bill.total <= more.total
    assert bill.total == bill.secrets + bill.api_calls + bill.customer_keys + bill.kms_calls


def test_a_meter_is_exact_under_threads() -> None:
    """Whatever is counted through its lock."""
    meter = Meter()

    def count() -> None:
        for _ in range(1000):
            meter.count("misses")
            meter.called("GetSecretValue", 2, values_of=["arn"])
            meter.failed("GetSecretValue", 1, "ThrottlingException")
            meter.login("cached")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    usage = meter.usage(hits=0, evicted=0, secrets=0, now=1.0)
    assert usage.misses == usage.kms_calls == usage.logins["cached"] == 8000
    assert usage.api_calls == {"GetSecretValue": 24_000}
    assert usage.errors == {"ThrottlingException": 8000}
