"""Deeper counters: calls by region, by tag and by customer key, each bounded."""

from __future__ import annotations

import pytest

from smclient import BackendUnavailableError, ResourceNotFoundError, SecretsClient
from smclient.edge import region_of
from smclient.metering import Meter
from smclient.testing import FakeBackend, FakeClock
from smclient.usage import OTHERS, UNKNOWN, UNTAGGED, SecretUsage
from tests.core.helpers_usage import Described, MakeClient


@pytest.mark.parametrize(
    ("ids", "region"),
    [
        (["arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf"], "eu-west-1"),
        (["db", "arn:aws-cn:secretsmanager:cn-north-1:1:secret:a:b"], "cn-north-1"),
        (["db"], UNKNOWN),
        ([], UNKNOWN),
        (["arn:aws:short"], UNKNOWN),
        (["arn:aws:secretsmanager::1:secret:a"], UNKNOWN),
    ],
)
def test_a_region_is_that_of_an_arn(ids: list[str], region: str) -> None:
    """Of the first that has one."""
    assert region_of(ids) == region


def test_calls_are_counted_by_region(client: SecretsClient, backend: FakeBackend) -> None:
    """Of what was answered, else of what was asked, else unknown."""
    client.get("db")
    client.get_many([backend.arn("db"), "absent"])
    with pytest.raises(ResourceNotFoundError):
        client.get(backend.arn("absent").replace("eu-west-1", "us-east-1"))
    backend.fail_with(BackendUnavailableError("no answer", attempts=3))
    with pytest.raises(BackendUnavailableError):
        client.get("somewhere")
    usage = client.usage()
    assert usage.per_region == {
        UNKNOWN: {"BatchGetSecretValue": 1, "GetSecretValue": 3},
        "eu-west-1": {"GetSecretValue": 1},
        "us-east-1": {"GetSecretValue": 1},
    }


def test_tags_are_known_from_descriptions_only(make_client: MakeClient, clock: FakeClock) -> None:
    """A secret counts in each of its tags; the others are said to be unknown or without."""
    backend = Described(dict.fromkeys("abcd", "x"))
    backend.tags = {"a": {"team": "web", "env": "prod"}, "b": {"team": "web"}}
    client = make_client(backend, refresh="describe")
    for name in "aabcd":
        client.get(name)
    assert client.usage().per_tag == {UNKNOWN: SecretUsage(hits=1, misses=4, fetched=4, bytes=4)}
    clock.advance(300)
    client.get("a")
    client.call("DescribeSecret", SecretId="b")
    client.call("DescribeSecret", SecretId="c")
    tags = client.usage().per_tag
    assert set(tags) == {"team=web", "env=prod", UNTAGGED, UNKNOWN}
    assert (tags["team=web"].reads, tags["env=prod"].reads) == (4, 3)
    assert (tags[UNTAGGED].reads, tags[UNKNOWN].reads) == (1, 1)


def test_many_distinct_tags_are_counted_together(make_client: MakeClient) -> None:
    """Past the bound."""
    names = [f"s{n}" for n in range(300)]
    backend = Described(dict.fromkeys(names, "x"))
    backend.tags = {name: {"owner": name} for name in names}
    client = make_client(backend)
    for name in names:
        client.call("DescribeSecret", SecretId=name)
        client.get(name)
    tags = client.usage().per_tag
    assert len(tags) == 257
    assert tags[OTHERS].reads == 300 - 256


def test_kms_calls_are_counted_by_customer_key(make_client: MakeClient) -> None:
    """Those of AWS's own key and of unknown ones are not among them."""
    backend = Described(dict.fromkeys(("mine", "also", "aws", "unknown"), "x"))
    backend.keys = {"mine": "key/1", "also": "key/1", "aws": "alias/aws/secretsmanager"}
    client = make_client(backend)
    for name in ("mine", "also", "aws"):
        client.call("DescribeSecret", SecretId=name)
    client.get_many(["mine", "also", "aws", "unknown"])
    client.refresh("mine")
    usage = client.usage()
    assert usage.per_key == {"key/1": 3}
    assert (usage.kms_calls, usage.kms_billed, usage.kms_unknown) == (5, 3, 1)


def test_many_distinct_keys_are_counted_together() -> None:
    """Past the bound; all are still billed."""
    meter = Meter(0.0)
    for n in range(300):
        meter.described(f"arn{n}", f"key/{n}")
        meter.called("GetSecretValue", 1, values_of=[f"arn{n}"])
    usage = meter.usage(evicted=0, secrets=0, now=1.0)
    assert usage.kms_billed == 300
    assert len(usage.per_key) == 257
    assert usage.per_key[OTHERS] == 44
