"""Faults at the door of a service: what callers of each kind see of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from smclient import BackendUnavailableError, SecretsClient, ThrottlingError
from smclient.testing import FakeClock, Inline
from smclient_embedded.errors import (
    ConnectionDropped,
    DecryptionFailure,
    InternalServiceError,
    ServiceError,
    ThrottlingException,
)
from smclient_embedded.faults import Fault


def test_throttling_is_awss_and_goes_on_record(extras: Any) -> None:
    """``Rate exceeded``, with the secret that was asked for."""
    handle = extras.service.faults.add(Fault.throttling(operation="Get*", count=2))
    for _ in range(2):
        with pytest.raises(ThrottlingException, match="^Rate exceeded$"):
            extras.value()
    assert extras.value() == "first"
    assert handle.struck == 2
    records = extras.service.audit.lookup(event_name="GetSecretValue")
    assert [r.get("errorCode") for r in records] == [None] + ["ThrottlingException"] * 2
    assert records[1]["requestParameters"]["secretId"] == "db"
    assert extras.service.usage()["errors"] == {"ThrottlingException": 2}


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("DecryptionFailure", DecryptionFailure, 400),
        ("InternalServiceError", InternalServiceError, 500),
        ("KmsIsOnFire", ServiceError, 400),
    ],
)
def test_errors_have_the_code_and_the_class_of_the_service(
    extras: Any, code: str, kind: type[ServiceError], status: int
) -> None:
    """So that ``except`` finds it."""
    with extras.service.faults.add(Fault.error(code, "on purpose")):
        with pytest.raises(kind, match="on purpose") as caught:
            extras.value()
        assert (caught.value.code, caught.value.status) == (code, status)
    assert extras.value() == "first"


def test_a_fault_strikes_before_the_store_is_touched(extras: Any) -> None:
    """A secret that is not there is throttled all the same, and nothing is written."""
    with extras.service.faults.add(Fault.throttling()):
        assert extras.refused("GetSecretValue", SecretId="absent") == "ThrottlingException"
        assert extras.refused("CreateSecret", Name="new", SecretString="x") == (
            "ThrottlingException"
        )
    assert extras.refused("DescribeSecret", SecretId="new") == "ResourceNotFoundException"


def test_a_fault_comes_before_the_faults_of_a_request(extras: Any) -> None:
    """An outage does not read what it drops."""
    with extras.service.faults.add(Fault.outage()):
        assert extras.refused("GetSecretValue", SecretId=["no", "text"]) == "BackendUnavailable"
    assert extras.refused("GetSecretValue", SecretId=["no", "text"]) == "SerializationException"


def test_latency_passes_on_the_services_clock(extras: Any, clock: FakeClock) -> None:
    """Then the call is answered."""
    with (
        extras.service.faults.add(Fault.latency(2.5, secret="db")),
        extras.service.faults.add(Fault.latency(0.5)),
    ):
        assert extras.value() == "first"
    assert clock.slept == [3.0]


def test_a_duration_ends_by_the_clock(extras: Any, clock: FakeClock) -> None:
    """And the fault is gone from the list."""
    extras.service.faults.add(Fault.throttling(duration=60))
    clock.advance(59)
    assert extras.refused("GetSecretValue", SecretId="db") == "ThrottlingException"
    assert [row["kind"] for row in extras.service.faults] == ["throttling"]
    clock.advance(1)
    assert extras.value() == "first"
    assert list(extras.service.faults) == []
    assert not extras.service.faults.armed


def test_improbable_faults_can_be_repeated(extras: Any) -> None:
    """By the seed."""

    def storm() -> list[bool]:
        extras.service.faults.seed(7)
        with extras.service.faults.add(Fault.throttling(probability=0.5)):
            return [_is_throttled(extras) for _ in range(40)]

    first = storm()
    assert storm() == first
    assert 5 < sum(first) < 35


def _is_throttled(extras: Any) -> bool:
    try:
        extras.value()
    except ThrottlingException:
        return True
    return False


def test_handles_cancel_one_and_clear_cancels_all(extras: Any) -> None:
    """Also twice."""
    faults = extras.service.faults
    one, two = faults.add(Fault.outage()), faults.add(Fault.throttling())
    assert extras.refused("GetSecretValue", SecretId="db") == "BackendUnavailable"
    one.cancel()
    one.cancel()
    assert extras.refused("GetSecretValue", SecretId="db") == "ThrottlingException"
    assert list(faults) == [{"number": two.number, "kind": "throttling", "struck": 1}]
    assert faults.cancel(two.number)
    assert not faults.cancel(two.number)
    faults.add(Fault.outage())
    faults.clear()
    assert extras.value() == "first"
    assert (one.struck, two.struck) == (1, 1)


def test_a_fault_of_one_principal_leaves_others_alone(extras: Any) -> None:
    """By ARN."""
    app = extras.service.create_principal("app")
    with extras.service.faults.add(Fault.throttling(principal=app)):
        assert extras.value() == "first"
        context = extras.service.context(app)
        assert extras.refused("GetSecretValue", SecretId="db", context=context) == (
            "ThrottlingException"
        )


def test_an_outage_leaves_no_record(extras: Any) -> None:
    """Nothing arrived."""
    before = extras.service.metrics()
    with extras.service.faults.add(Fault.outage()) as outage, pytest.raises(ConnectionDropped):
        extras.value()
    assert outage.struck == 1
    assert extras.service.metrics() == before
    assert extras.service.audit.lookup(event_name="GetSecretValue") == []


def test_a_count_is_exact_under_many_threads(extras: Any) -> None:
    """Ten strikes are ten."""
    extras.service.faults.add(Fault.throttling(count=10))
    throttled: list[bool] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        throttled.extend(_is_throttled(extras) for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(throttled), len(throttled)) == (10, 80)


class TestSecretsClient:
    """What the caching client does about it."""

    @pytest.fixture
    def client(self, extras: Any, clock: FakeClock) -> Any:
        """A client on the same clock that works inline."""
        client = SecretsClient(
            extras.service.backend(),
            ttl=60,
            max_stale=600,
            jitter=0,
            refresh="get",
            clock=clock,
            worker=Inline(),
        )
        yield client
        client.close()

    def test_serves_stale_through_an_outage_and_recovers(
        self, extras: Any, client: SecretsClient, clock: FakeClock
    ) -> None:
        """Within ``max_stale``; past it the outage shows; after it the new value comes."""
        assert client.get("db").text == "first"
        outage = extras.service.faults.add(Fault.outage())
        for _ in range(5):
            clock.advance(100)
            assert client.get("db").text == "first"
        assert client.usage().stale_hits >= 5
        assert outage.struck >= 1
        clock.advance(101)
        with pytest.raises(BackendUnavailableError):
            client.get("db")
        outage.cancel()
        extras("PutSecretValue", SecretId="db", SecretString="second")
        clock.advance(600)
        assert client.get("db").text == "second"

    def test_an_outage_is_what_connections_are(self, extras: Any, client: SecretsClient) -> None:
        """Without anything held it surfaces as such, and is transient."""
        with extras.service.faults.add(Fault.outage()), pytest.raises(BackendUnavailableError):
            client.get("db")
        assert client.get("db").text == "first"

    def test_a_storm_costs_one_call_a_read(self, extras: Any, client: SecretsClient) -> None:
        """Our retries are not stacked on anything."""
        storm = extras.service.faults.add(Fault.throttling())
        with pytest.raises(ThrottlingError):
            client.get("db")
        assert storm.struck == 1


class TestWiredClient:
    """What botocore does about it."""

    @pytest.fixture(autouse=True)
    def no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """botocore's back-off passes at once."""
        waited: list[float] = []
        monkeypatch.setattr("botocore.endpoint.time.sleep", waited.append)
        return waited

    def test_a_throttling_storm_has_bounded_attempts(
        self, extras: Any, monkeypatch: pytest.MonkeyPatch, no_waiting: list[float]
    ) -> None:
        """A client that retries gives up after the attempts it was given."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "total_max_attempts": 4})
        with extras.service.patch_boto3():
            client = boto3.client("secretsmanager", config=config)
        storm = extras.service.faults.add(Fault.throttling())
        with pytest.raises(ClientError) as caught:
            client.get_secret_value(SecretId="db")
        assert caught.value.response["Error"] == {
            "Code": "ThrottlingException",
            "Message": "Rate exceeded",
        }
        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 3
        assert (storm.struck, len(no_waiting)) == (4, 3)

    def test_a_storm_that_ends_is_ridden_out(self, extras: Any) -> None:
        """The third attempt is answered."""
        import boto3

        with extras.service.patch_boto3():
            client = boto3.client("secretsmanager")
        extras.service.faults.add(Fault.throttling(count=2))
        answer = client.get_secret_value(SecretId="db")
        assert answer["SecretString"] == "first"
        assert answer["ResponseMetadata"]["RetryAttempts"] == 2

    def test_the_services_own_client_does_not_retry_twice(self, extras: Any) -> None:
        """One attempt and one retry at most."""
        client = extras.service.client()
        storm = extras.service.faults.add(Fault.throttling())
        with pytest.raises(ClientError):
            client.get_secret_value(SecretId="db")
        assert storm.struck <= 2

    def test_an_outage_is_a_closed_connection(self, extras: Any) -> None:
        """Not an answer of the service."""
        client = extras.service.client()
        with extras.service.faults.add(Fault.outage()), pytest.raises(ConnectionClosedError):
            client.get_secret_value(SecretId="db")
        assert client.get_secret_value(SecretId="db")["SecretString"] == "first"
