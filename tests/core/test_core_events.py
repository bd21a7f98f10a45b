"""Events of EventBridge: what they say was changed is not served from memory any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import (
    AsyncSecretsClient,
    ConfigError,
    InvalidRequestError,
    SecretsClient,
)
from smclient.events import changed_secret
from smclient.testing import FakeBackend, Queued

Make = Callable[..., SecretsClient]
REGION, ACCOUNT = "eu-west-1", "123456789012"
ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-AbCdEf"


def event(kind: str, detail: dict[str, Any], **more: Any) -> dict[str, Any]:
    """AWS's envelope."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": kind,
        "source": "aws.secretsmanager",
        "account": ACCOUNT,
        "time": "2026-01-01T00:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
        **more,
    }


def label_updated(label: str = "AWSCURRENT", arn: str = ARN) -> dict[str, Any]:
    detail = {"name": "db", "labelUpdated": label, "versionId": "v2"}
    return event("Secret Label Updated", detail, resources=[arn])


def api_call(
    name: str, parameters: Any = None, response: Any = None, **more: Any
) -> dict[str, Any]:
    detail = {
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "requestParameters": parameters,
        "responseElements": response,
        **more,
    }
    return event("AWS API Call via CloudTrail", detail)


def service_event(name: str, extra: Any) -> dict[str, Any]:
    detail = {"eventName": name, "eventType": "AwsServiceEvent", "additionalEventData": extra}
    return event("AWS Service Event via CloudTrail", detail)


CHANGES = {
    "label": label_updated(),
    "put, by the answer": api_call("PutSecretValue", {"secretId": "db"}, {"arn": ARN}),
    "put, an older trail": api_call("PutSecretValue", {"secretId": "db"}, {"aRN": ARN}),
    "label moved, by name": api_call("UpdateSecretVersionStage", {"secretId": "db"}),
    "deleted, by ARN": api_call("DeleteSecret", {"secretId": ARN}),
    "policy": api_call("PutResourcePolicy", {"secretId": "db"}),
    "rotation ended": service_event("RotationSucceeded", {"SecretId": ARN}),
    "deletion begins": service_event("StartSecretVersionDelete", {"ARN": ARN, "Name": "db"}),
}
NOTHING = {
    "a read": api_call("GetSecretValue", {"secretId": "db"}),
    "what failed": api_call("PutSecretValue", {"secretId": "db"}, errorCode="AccessDenied"),
    "a tag": api_call("TagResource", {"secretId": "db"}),
    "a rotation that begins": service_event("RotationStarted", {"SecretId": ARN}),
    "another service": {**label_updated(), "source": "aws.s3"},
    "another kind": event("Something Else", {"eventName": "PutSecretValue"}),
    "no secret in it": api_call("PutSecretValue"),
    "no resource in it": event("Secret Label Updated", {"labelUpdated": "AWSCURRENT"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_read_anew(
    change: dict[str, Any], client: SecretsClient, backend: FakeBackend
) -> None:
    """Long before its time is over."""
    client.get("db")
    backend.put("db", {"password": "second"})
    assert client.handle_event(change) is not None
    assert client.get("db")["password"] == "second"


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_other_events_change_nothing(
    change: dict[str, Any], client: SecretsClient, backend: FakeBackend
) -> None:
    """A queue brings many."""
    client.get("db")
    assert client.handle_event(change) is None
    client.get("db")
    assert len(backend.calls) == 1


def test_what_was_held_is_fetched_before_somebody_asks(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """Off the reader's path; whoever listens for a rotation hears of it at once."""
    moves: list[Any] = []
    client.on_rotate(moves.append)
    client.get("db")
    backend.put("db", {"password": "second"})
    client.handle_event(label_updated())
    worker.run()
    assert len(moves) == 1
    backend.calls.clear()
    assert client.get("db")["password"] == "second"
    assert backend.calls == []


def test_a_secret_that_nobody_holds_costs_nothing(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """A fleet hears of every secret of the account."""
    assert client.handle_event(label_updated()) is None
    worker.run()
    assert backend.calls == []


def test_the_secret_of_another_region_is_another_one(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Of the same name."""
    client.get("db")
    assert client.handle_event(label_updated(arn=ARN.replace(REGION, "us-east-1"))) is None
    client.get("db")
    assert len(backend.calls) == 1


def test_a_deleted_secret_is_gone_for_the_next_reader(
    client: SecretsClient, backend: FakeBackend, worker: Queued
) -> None:
    """The fetch ahead fails without noise; the reader is told why."""
    client.get("db")
    backend.fail_with(InvalidRequestError("marked for deletion"), times=None)
    client.handle_event(api_call("DeleteSecret", {"secretId": "db"}))
    worker.run()
    with pytest.raises(InvalidRequestError):
        client.get("db")


def test_china_and_government_regions_have_partitions_of_their_own() -> None:
    """Where only the name was recorded."""
    for region, partition in (("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")):
        told = api_call("PutSecretValue", {"secretId": "a/b"}, awsRegion=region)
        assert (
            changed_secret(told) == f"arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:a/b"
        )


def test_the_async_client_takes_them_too(backend: FakeBackend) -> None:
    """Not awaited, so that a callback of a queue may call it."""

    async def main() -> str:
        async with AsyncSecretsClient(backend) as client:
            await client.get("db")
            backend.put("db", {"password": "second"})
            client.handle_event(label_updated())
            return str((await client.get("db"))["password"])

    assert asyncio.run(main()) == "second"


@pytest.mark.parametrize("wrong", [None, "text", [], {}, {"detail": "text"}, {"Records": []}])
def test_what_is_no_event_is_refused(wrong: Any, client: SecretsClient) -> None:
    """A message whose body was not taken out would else be passed over for ever."""
    with pytest.raises(ConfigError, match="EventBridge"):
        client.handle_event(wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.sampled_from(["Secret Label Updated", *(e["detail-type"] for e in CHANGES.values())]),
    st.fixed_dictionaries(
        {},
        optional={
            "eventName": st.sampled_from(["PutSecretValue", "RotationSucceeded"]) | json_values,
            "requestParameters": json_values,
            "responseElements": json_values,
            "additionalEventData": json_values,
            "awsRegion": json_values,
        },
    ),
    json_values,
)
def test_no_event_however_odd_breaks_its_handler(
    kind: str, detail: dict[str, Any], resources: Any
) -> None:
    """It names a secret or it names none."""
    found = changed_secret(event(kind, detail, resources=resources))
    assert found is None or isinstance(found, str)
