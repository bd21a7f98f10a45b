"""Reading from a replica's Region while the primary's does not answer, and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    FailoverBackend,
    InternalServiceError,
    ResourceNotFoundError,
    SecretRef,
    SecretsClient,
    ThrottlingError,
)
from smclient.failover import RETRY_AFTER
from smclient.testing import FakeBackend, FakeClock, Queued

Make = Callable[..., SecretsClient]
OUTAGES = [BackendUnavailableError("no connection"), InternalServiceError("500")]
ANSWERS = [ThrottlingError("slow"), AccessDeniedError("no"), ResourceNotFoundError("gone")]


@pytest.fixture
def primary() -> FakeBackend:
    return FakeBackend({"db": {"password": "same"}, "other": "x"}, region="eu-west-1")


@pytest.fixture
def replica(primary: FakeBackend) -> FakeBackend:
    """The same secrets with the same version ids, as replication makes them."""
    backend = FakeBackend(region="us-east-1")
    for name in ("db", "other"):
        value = primary.fetch(SecretRef(name)).value
        backend.put(name, value.text, version_id=value.version_id)
    primary.calls.clear()
    return backend


@pytest.fixture
def client(
    make_client: Make, primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> SecretsClient:
    return make_client(FailoverBackend(primary, replica, clock=clock))


def test_a_primary_that_answers_is_the_only_one_asked(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """A replica costs calls only when it is needed."""
    assert client.get("db")["password"] == "same"
    assert (len(primary.calls), len(replica.calls)) == (1, 0)


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda error: type(error).__name__)
def test_a_primary_that_does_not_answer_is_stood_in_for(
    outage: BackendError, client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """Connection errors, time-outs and 5xx."""
    primary.fail_with(outage, times=None)
    assert client.get("db")["password"] == "same"
    assert replica.calls[0].secret_ids == ("db",)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda error: type(error).__name__)
def test_a_refusal_is_an_answer_and_is_not_taken_elsewhere(
    answer: BackendError, client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """Neither a 4xx nor a throttle: a revocation in the primary's Region has to take effect."""
    primary.fail_with(answer, times=None)
    with pytest.raises(type(answer)):
        client.get("db")
    assert replica.calls == []


def test_the_secret_keeps_the_identity_that_it_has_at_home(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """Asked by ARN, a replica is asked by its own; the answer bears the primary's."""
    primary.fail_with(OUTAGES[0], times=None)
    home = primary.arn("db")
    assert client.get("db").arn == home
    assert client.refresh(home).arn == home
    assert [call.secret_ids for call in replica.calls] == [("db",), (replica.arn("db"),)]
    assert client.usage().secrets == 1


def test_no_rotation_is_seen_where_only_the_region_changed(
    make_client: Make, primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> None:
    """Versions have the same ids everywhere."""
    moves: list[object] = []
    client = make_client(FailoverBackend(primary, replica, clock=clock))
    client.on_rotate(moves.append)
    client.get("db")
    primary.fail_with(OUTAGES[0], times=None)
    client.refresh("db")
    assert moves == []
    assert replica.count("GetSecretValue") == 1


def test_what_a_replica_refuses_the_primary_may_still_grant(
    make_client: Make,
    worker: Queued,
    primary: FakeBackend,
    replica: FakeBackend,
    clock: FakeClock,
) -> None:
    """A secret that is not replicated is not lost by asking for it there: its value lives on."""
    client = make_client(FailoverBackend(primary, replica, clock=clock), worker=worker)
    client.get("other")
    replica.remove("other")
    primary.fail_with(OUTAGES[0], times=None)
    with pytest.raises(BackendUnavailableError, match="us-east-1 said ResourceNotFoundException"):
        client.refresh("other")
    assert client.get("other").text == "x"


def test_a_batch_goes_to_the_replica_as_a_whole_and_comes_back_under_the_names_asked(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """By ARN and by name; what the replica refuses reads as no answer."""
    replica.remove("other")
    primary.fail_with(OUTAGES[0], times=None)
    home = primary.arn("db")
    batch = client.get_many([home, "other"])
    assert batch.values[home].arn == home
    assert isinstance(batch.errors["other"], BackendUnavailableError)
    assert "replica" in str(batch.errors["other"])


def test_descriptions_and_the_plain_calls_that_read_fail_over_too(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """DescribeSecret, by which refreshes look."""
    primary.fail_with(OUTAGES[0], times=None)
    backend = client._backend
    assert backend.describe(primary.arn("db")).value.arn == primary.arn("db")
    assert replica.count("DescribeSecret") == 1


def test_writes_stay_at_home(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """Replicas are read-only."""
    primary.fail_with(OUTAGES[0], times=None)
    with pytest.raises(BackendUnavailableError):
        client.call("PutSecretValue", SecretId="db", SecretString="new")
    assert replica.calls == []


def test_a_primary_that_failed_is_left_alone_for_a_while_and_then_tried_by_one(
    primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> None:
    """Else every read would wait for its time-outs."""
    backend = FailoverBackend(primary, replica, clock=clock)
    primary.fail_with(OUTAGES[0], times=None)
    for _ in range(5):
        backend.fetch(SecretRef("db"))
    assert (len(primary.calls), len(replica.calls)) == (1, 5)
    clock.advance(RETRY_AFTER)
    backend.fetch(SecretRef("db"))
    backend.fetch(SecretRef("db"))
    assert (len(primary.calls), len(replica.calls)) == (2, 7)
    clock.advance(RETRY_AFTER)
    primary.recover()
    backend.fetch(SecretRef("db"))
    backend.fetch(SecretRef("db"))
    assert (len(primary.calls), len(replica.calls)) == (4, 7)


def test_a_refusal_too_shows_that_the_primary_is_back(
    primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> None:
    """It is an answer."""
    backend = FailoverBackend(primary, replica, clock=clock)
    primary.fail_with(OUTAGES[0])
    backend.fetch(SecretRef("db"))
    clock.advance(RETRY_AFTER)
    primary.fail_with(AccessDeniedError("no"))
    with pytest.raises(AccessDeniedError):
        backend.fetch(SecretRef("db"))
    backend.fetch(SecretRef("db"))
    assert len(replica.calls) == 1


def test_a_primary_left_alone_is_asked_all_the_same_before_a_read_fails(
    primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> None:
    """It may be back, and no replica could help."""
    backend = FailoverBackend(primary, replica, clock=clock)
    primary.fail_with(OUTAGES[0])
    backend.fetch(SecretRef("db"))
    replica.fail_with(OUTAGES[0], times=None)
    assert backend.fetch(SecretRef("db")).value.text
    assert len(primary.calls) == 2


def test_calls_are_booked_in_the_region_that_was_asked(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """The failed one at home, the one that answered in the replica's."""
    primary.fail_with(BackendUnavailableError("no connection", attempts=3), times=None)
    client.get(primary.arn("db"))
    usage = client.usage()
    assert usage.api_calls == {"GetSecretValue": 4}
    assert usage.per_region == {
        "eu-west-1": {"GetSecretValue": 3},
        "us-east-1": {"GetSecretValue": 1},
    }
    assert usage.errors == {"BackendUnavailable": 1}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda error: type(error).__name__)
def test_calls_of_replicas_are_booked_though_the_primary_refuses_in_the_end(
    answer: BackendError, client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """The replica was asked first, and did not answer."""
    primary.fail_with(BackendUnavailableError("no answer"))
    client.get("db")
    replica.fail_with(BackendUnavailableError("no answer", attempts=3), times=None)
    primary.fail_with(answer, times=None)
    before = client.usage().calls
    for times in (1, 2):
        with pytest.raises(type(answer)) as caught:
            client.get("other", max_age=0)
        assert caught.value.code == answer.code
        assert client.usage().calls == before + (4 if times == 1 else 5)


def test_when_nobody_answers_the_error_says_what_each_region_said(
    client: SecretsClient, primary: FakeBackend, replica: FakeBackend
) -> None:
    """And counts what all of them cost."""
    primary.fail_with(BackendUnavailableError("no connection", attempts=3), times=None)
    replica.fail_with(ThrottlingError("slow", attempts=2), times=None)
    with pytest.raises(
        BackendUnavailableError, match=r"no connection \(replicas: us-east-1 said Throttling"
    ) as caught:
        client.get("db")
    assert caught.value.attempts == 5


def test_an_aws_endpoint_is_required_of_every_region() -> None:
    """A replica's would else be the way round it."""
    good = "aws://eu-west-1"
    bad = "aws://us-east-1?endpoint_url=https://elsewhere.example"
    SecretsClient(FailoverBackend(good, "aws://us-east-1"), require_aws_endpoint=True).close()
    with pytest.raises(ConfigError, match="elsewhere"):
        SecretsClient(FailoverBackend(good, bad), require_aws_endpoint=True)


def test_one_backend_alone_is_no_failover() -> None:
    """A forgotten replica is noticed at once."""
    with pytest.raises(ConfigError, match="at least one replica"):
        FailoverBackend("null://")


def test_closing_closes_every_member(
    primary: FakeBackend, replica: FakeBackend, clock: FakeClock
) -> None:
    """Their connections with them."""
    FailoverBackend(primary, replica, clock=clock).close()
    assert primary.closed
    assert replica.closed
