"""AWS's quotas, and request rates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient.testing import FakeClock
from smclient_embedded import Quotas
from smclient_embedded.errors import (
    InvalidParameterException,
    LimitExceededException,
    ThrottlingException,
)
from smclient_embedded.model import service_model
from smclient_embedded.quotas import RATES, RateLimits, refill
from smclient_embedded.store import Scope, VersionRecord

NOW = datetime(2026, 1, 10, tzinfo=UTC)
HOME, AWAY = Scope("123456789012", "us-east-1"), Scope("123456789012", "eu-west-1")
FOREIGN = Scope("210987654321", "us-east-1")


def version(name: str, *, hours: float) -> VersionRecord:
    """A version that is so old."""
    return VersionRecord("arn", name, NOW - timedelta(hours=hours))


# --- pure checks ----------------------------------------------------------------------------------


def test_the_defaults_are_awss() -> None:
    """As the quota page has them."""
    quotas = Quotas()
    assert (quotas.secrets, quotas.versions, quotas.labels, quotas.tags) == (500_000, 100, 20, 50)
    assert quotas.fresh == timedelta(hours=24)


def test_the_oldest_unlabelled_version_goes_first() -> None:
    """By date, whatever the order they come in."""
    versions = [version("c", hours=30), version("a", hours=50), version("b", hours=40)]
    assert Quotas(versions=1).surplus(versions, {"c"}, NOW) == ["a", "b"]
    assert Quotas(versions=2).surplus(versions, {"a"}, NOW) == ["b"]
    assert Quotas(versions=3).surplus(versions, set(), NOW) == []


def test_a_version_of_today_is_never_removed() -> None:
    """24 hours to the moment."""
    old, fresh = version("old", hours=24), version("fresh", hours=23.999)
    assert Quotas(versions=1).surplus([old, fresh], set(), NOW) == ["old"]
    with pytest.raises(LimitExceededException, match="100|1 versions"):
        Quotas(versions=1).surplus([version("f", hours=1), fresh], set(), NOW)


@given(
    ages=st.lists(st.floats(0, 100), max_size=30),
    labelled=st.sets(st.integers(0, 29)),
    limit=st.integers(1, 12),
)
def test_what_is_removed_is_just_enough_and_allowed(
    ages: list[float], labelled: set[int], limit: int
) -> None:
    """Or nothing is, with a refusal."""
    versions = [version(str(n), hours=age) for n, age in enumerate(ages)]
    labels = {str(n) for n in labelled}
    safe = {v.version_id for v in versions if v.created_at > NOW - timedelta(hours=24)} | labels
    free = [v for v in versions if v.version_id not in safe]
    over = max(0, len(versions) - limit)
    try:
        gone = Quotas(versions=limit).surplus(versions, labels, NOW)
    except LimitExceededException:
        assert len(free) < over
        return
    assert len(gone) == len(set(gone)) == over
    assert not safe & set(gone)
    kept = [v.created_at for v in free if v.version_id not in gone]
    assert all(v.created_at <= min(kept, default=NOW) for v in free if v.version_id in gone)


def test_counts_at_the_limit_are_fine_and_over_it_refused() -> None:
    """Labels, tags, secrets."""
    quotas = Quotas(secrets=7, labels=2, tags=2)
    quotas.check_labels({"a", "b"})
    quotas.check_tags({"a": "1", "b": "2"})
    quotas.check_room(full=False)
    with pytest.raises(LimitExceededException, match="2 staging labels"):
        quotas.check_labels({"a", "b", "c"})
    with pytest.raises(InvalidParameterException, match="2 tags"):
        quotas.check_tags({"a": "1", "b": "2", "c": "3"})
    with pytest.raises(LimitExceededException, match="7 secrets"):
        quotas.check_room(full=True)


# --- enforced by the service, on each store -------------------------------------------------------


@pytest.fixture
def limited(open_service: Callable[..., Any], store_url: str) -> Any:
    """A service with small quotas over each store."""
    return open_service(store_url, quotas=Quotas(secrets=3, versions=4, labels=4, tags=3))


def test_a_full_account_takes_no_secret_and_others_do(limited: Any) -> None:
    """Per account and region; what is marked for deletion counts; a name in use says so first."""
    arns = [limited.create(name) for name in "abc"]
    assert limited.refused("CreateSecret", Name="d", SecretString="x") == "LimitExceededException"
    assert limited.refused("CreateSecret", Name="a", SecretString="x") == "ResourceExistsException"
    region = limited.service.context(region="eu-west-1")
    limited("CreateSecret", Name="d", SecretString="x", context=region)
    limited("DeleteSecret", SecretId=arns[0])
    assert limited.refused("CreateSecret", Name="d", SecretString="x") == "LimitExceededException"
    limited("DeleteSecret", SecretId="b", ForceDeleteWithoutRecovery=True)
    limited.clock.advance(days=8)
    limited.service.run_due()
    limited.create("d")


def test_old_versions_make_room_for_new_ones(limited: Any, clock: FakeClock) -> None:
    """The oldest without a label; those with one stay."""
    limited.create("db", "v0")
    versions = []
    for n in range(1, 9):
        clock.advance(days=2)
        versions.append(limited("PutSecretValue", SecretId="db", SecretString=f"v{n}")["VersionId"])
    listed = limited("ListSecretVersionIds", SecretId="db", IncludeDeprecated=True)["Versions"]
    assert {v["VersionId"] for v in listed} == set(versions[-4:])
    assert limited.value("db") == "v8"
    gone = limited.refused("GetSecretValue", SecretId="db", VersionId=versions[0])
    assert gone == "ResourceNotFoundException"


def test_too_many_fresh_versions_are_refused_and_nothing_changes(
    limited: Any, clock: FakeClock
) -> None:
    """Until the oldest is a day old."""
    limited.create("db", "v0")
    for n in range(1, 4):
        limited("PutSecretValue", SecretId="db", SecretString=f"v{n}")
    refused = limited.refused("PutSecretValue", SecretId="db", SecretString="v4")
    assert refused == "LimitExceededException"
    assert limited.refused("UpdateSecret", SecretId="db", SecretString="v4") == refused
    assert limited.value("db") == "v3"
    listed = limited("ListSecretVersionIds", SecretId="db", IncludeDeprecated=True)["Versions"]
    assert len(listed) == 4
    clock.advance(hours=24)
    limited("PutSecretValue", SecretId="db", SecretString="v4")
    assert limited.value("db") == "v4"


def test_labels_are_counted_over_all_versions(limited: Any) -> None:
    """AWS's own are some of them."""
    limited.create("db")
    limited("PutSecretValue", SecretId="db", SecretString="b", VersionStages=["blue", "green"])
    newest = limited("PutSecretValue", SecretId="db", SecretString="c")["VersionId"]
    labels = limited("DescribeSecret", SecretId="db")["VersionIdsToStages"]
    assert sum(map(len, labels.values())) == 4
    assert (
        limited.refused("PutSecretValue", SecretId="db", SecretString="d", VersionStages=["red"])
        == "LimitExceededException"
    )
    move = {"SecretId": "db", "VersionStage": "red", "MoveToVersionId": newest}
    assert limited.refused("UpdateSecretVersionStage", **move) == "LimitExceededException"
    assert limited("DescribeSecret", SecretId="db")["VersionIdsToStages"] == labels


def test_tags_are_counted_with_those_that_are_there(limited: Any) -> None:
    """A key that is there already is no new one."""
    three = [{"Key": key, "Value": "1"} for key in "abc"]
    four = [*three, {"Key": "d", "Value": "1"}]
    code = "InvalidParameterException"
    assert limited.refused("CreateSecret", Name="db", SecretString="x", Tags=four) == code
    limited.create("db", Tags=three)
    assert limited.refused("TagResource", SecretId="db", Tags=four[3:]) == code
    limited("TagResource", SecretId="db", Tags=[{"Key": "a", "Value": "2"}])
    assert len(limited("DescribeSecret", SecretId="db")["Tags"]) == 3


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("SecretString", "é" * 32_769),
        ("SecretString", "x" * 65_537),
        ("SecretBinary", bytes(65_537)),
    ],
)
def test_a_value_has_65536_bytes_at_most(extras: Any, member: str, value: Any) -> None:
    """Bytes, not characters."""
    request = {"SecretId": "db", member: value}
    assert extras.refused("PutSecretValue", **request) == "ValidationException"
    fits = value[:32_768] if member == "SecretString" and value[0] == "é" else value[:65_536]
    extras("PutSecretValue", SecretId="db", **{member: fits})


def test_a_policy_has_20480_characters_at_most() -> None:
    """By the model, whose texts AWS gives."""
    request = {"SecretId": "db", "ResourcePolicy": "x" * 20_480}
    service_model().check_values("PutResourcePolicy", request)
    with pytest.raises(Exception, match="less than or equal to 20480"):
        service_model().check_values(
            "PutResourcePolicy", {**request, "ResourcePolicy": "x" * 20_481}
        )


# --- request rates --------------------------------------------------------------------------------


def test_every_operation_of_the_model_has_a_rate_in_one_group() -> None:
    """So that none is forgotten when the model grows."""
    grouped = [operation for group in RATES for operation in group]
    assert sorted(grouped) == sorted(service_model().operations)


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 20))
def test_no_window_takes_more_than_its_share(gaps: list[float], rate: float) -> None:
    """A bucket's worth at once, then the rate."""
    bucket, now, taken = None, 0.0, 0
    for gap in gaps:
        now += gap
        at, tokens = refill(bucket, rate, now)
        assert 0 <= tokens <= max(1.0, rate)
        if tokens >= 1:
            tokens -= 1
            taken += 1
        bucket = (at, tokens)
    assert taken <= max(1.0, rate) + rate * now + 1e-6


@pytest.mark.parametrize("rate", [0.5, 2, 100])
def test_a_clock_that_was_set_back_throttles_nobody(rate: float) -> None:
    """As `control reset` does with the one that tests move."""
    _, tokens = refill((3600.0, 1.0), rate, 0.0)
    assert tokens == 1.0


def test_a_bucket_fills_with_time() -> None:
    """At its rate, up to one second's worth."""
    limits = RateLimits({"ListSecrets": 2})
    for _ in range(2):
        limits.check("ListSecrets", HOME, 10.0)
    with pytest.raises(ThrottlingException, match="^Rate exceeded$"):
        limits.check("ListSecrets", HOME, 10.4)
    limits.check("ListSecrets", HOME, 10.5)
    for _ in range(2):
        limits.check("ListSecrets", HOME, 99.0)
    with pytest.raises(ThrottlingException):
        limits.check("ListSecrets", HOME, 99.0)


def test_operations_of_a_group_share_and_scopes_do_not() -> None:
    """PutSecretValue and UpdateSecret; accounts and regions."""
    limits = RateLimits({"UpdateSecret": 1})
    limits.check("PutSecretValue", HOME, 0.0)
    with pytest.raises(ThrottlingException):
        limits.check("UpdateSecretVersionStage", HOME, 0.0)
    limits.check("UpdateSecret", AWAY, 0.0)
    limits.check("UpdateSecret", FOREIGN, 0.0)
    limits.check("TagResource", HOME, 0.0)
    limits.check("SomethingNewer", HOME, 0.0)


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full ones are forgotten first, and a scope that is throttled stays so."""
    monkeypatch.setattr(RateLimits, "MOST_BUCKETS", 10)
    limits = RateLimits({"ListSecrets": 1})
    for n in range(9):
        limits.check("ListSecrets", Scope(f"{n:012d}", "us-east-1"), 0.0)
    limits.check("ListSecrets", HOME, 100.0)
    for n in range(100, 200):
        limits.check("ListSecrets", Scope(f"{n:012d}", "us-east-1"), 100.0 if n < 109 else 102.0)
        assert len(limits._buckets) <= 10
    limits.check("ListSecrets", HOME, 102.0)


@pytest.mark.parametrize("rate", [0, -1, "5", True, float("nan")])
def test_a_rate_is_a_positive_number(rate: Any) -> None:
    """And of an operation that there is."""
    with pytest.raises(ConfigError, match="rate above 0"):
        RateLimits({"GetSecretValue": rate})
    with pytest.raises(ConfigError, match="no operation 'GetSecret'"):
        RateLimits({"GetSecret": 5})


def test_rates_are_off_by_default(extras: Any) -> None:
    """Ten times AWS's rate of ListSecrets in no time."""
    for _ in range(1000):
        extras("ListSecrets")


def test_awss_rates_when_asked_for(open_service: Callable[..., Any], clock: FakeClock) -> None:
    """A hundred ListSecrets a second."""
    service = open_service(rate_limits=True)
    for _ in range(100):
        service("ListSecrets")
    assert service.refused("ListSecrets") == "ThrottlingException"
    clock.advance(0.01)
    service("ListSecrets")
    assert service.service.usage()["errors"] == {"ThrottlingException": 1}


def test_the_callers_account_pays(open_service: Callable[..., Any]) -> None:
    """Another account's calls do not use up ours; over the wire it is a 400."""
    service = open_service(rate_limits={"GetSecretValue": 1})
    service.create("db")
    other = service.service.create_principal("other", account="210987654321")
    context = service.service.context(other)
    assert (
        service.refused("GetSecretValue", SecretId="db", context=context) != "ThrottlingException"
    )
    assert service.value() == "first"
    client = service.service.client()
    with pytest.raises(ClientError) as caught:
        client.get_secret_value(SecretId="db")
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_bucket_is_exact_under_many_threads() -> None:
    """Fifty tokens are fifty."""
    limits = RateLimits()
    passed: list[int] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        for _ in range(20):
            try:
                limits.check("CreateSecret", HOME, 0.0)
            except ThrottlingException:
                continue
            passed.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 50
