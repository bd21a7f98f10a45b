"""Attempts, retries and broken answers, against a server that answers as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ClientClosedError,
    CredentialsError,
    InternalServiceError,
    LimitExceededError,
    NotSupportedError,
    ResourceNotFoundError,
    SecretRef,
    SecretValue,
    ThrottlingError,
    ValidationError,
    __version__,
)
from smclient_aws import AwsBackend

REF = SecretRef("prod/db")


def _entry(name: str) -> dict[str, Any]:
    arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf"
    return {"ARN": arn, "Name": name, "VersionId": "v1", "SecretString": name}


def test_an_answer_counts_the_attempts_before_it(double: Any, asking: AwsBackend) -> None:
    """Two faults, then a value: three."""
    fault = double.error("InternalServiceError", status=500)
    double.answers(fault, fault, double.value())
    answer = asking.fetch(REF)
    assert (answer.value.text, answer.attempts) == ("seen", 3)
    assert len(double.requests) == 3
    assert asking.fetch(REF).attempts == 1


@pytest.mark.parametrize(
    ("code", "status", "expected", "sent"),
    [
        ("InternalServiceError", 500, InternalServiceError, 3),
        ("InternalFailure", 500, InternalServiceError, 3),
        ("ServiceUnavailable", 503, BackendUnavailableError, 3),
        ("SomethingNew", 502, BackendUnavailableError, 3),
        ("ThrottlingException", 400, ThrottlingError, 3),
        ("Throttling", 400, ThrottlingError, 3),
        ("TooManyRequestsException", 429, ThrottlingError, 3),
        ("LimitExceededException", 400, LimitExceededError, 1),
        ("LimitExceededException", 429, LimitExceededError, 1),
        ("AccessDeniedException", 400, AccessDeniedError, 1),
        ("ResourceNotFoundException", 400, ResourceNotFoundError, 1),
        ("ExpiredTokenException", 400, CredentialsError, 1),
        ("SomethingNew", 400, BackendError, 1),
    ],
)
def test_an_error_has_its_class_its_code_and_its_attempts(
    double: Any,
    asking: AwsBackend,
    code: str,
    status: int,
    expected: type[BackendError],
    sent: int,
) -> None:
    """botocore repeats what may pass, three attempts in all, and nothing else."""
    double.answers(double.error(code, "AWS's own words", status))
    with pytest.raises(expected) as caught:
        asking.fetch(REF)
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.attempts, len(double.requests)) == (code, sent, sent)
    assert "AWS's own words" in str(error)
    assert "GetSecretValue of 'prod/db' (AWSCURRENT)" in str(error)


def test_a_used_up_quota_costs_no_retry_tokens(
    double: Any, asking: AwsBackend, slept: list[float]
) -> None:
    """botocore's retry quota has 500 tokens; 200 lasting refusals leave it whole."""
    double.answers(double.error("LimitExceededException"))
    for _ in range(200):
        with pytest.raises(LimitExceededError):
            asking.call("PutSecretValue", {"SecretId": "a", "SecretString": "x"})
    assert len(double.requests) == 200
    double.answers(double.error("ThrottlingException"), double.value())
    assert asking.fetch(REF).attempts == 2
    assert len(slept) == 1


def test_a_ready_client_is_not_changed_for_others(
    double: Any,
    opened: Callable[..., AwsBackend],
    client_of: Callable[..., Any],
    slept: list[float],
) -> None:
    """Through the backend LimitExceeded is final; the caller's own calls go on as they did."""
    ready = client_of(double.url)
    backend = opened("aws://", client=ready)
    double.answers(double.error("LimitExceededException"))
    with pytest.raises(LimitExceededError):
        backend.fetch(REF)
    assert len(double.requests) == 1
    with pytest.raises(ready.exceptions.LimitExceededException):
        ready.get_secret_value(SecretId="a")
    assert len(double.requests) == 1 + 3


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        ("hang_up", 3),
        ("short", 1),
        ("no json", 1),
        ("a list", 1),
        ("another shape", 1),
        ("not base64", 1),
        ("an error that is no object", 1),
        ("an empty error", 3),
    ],
)
def test_a_broken_answer_is_the_backend_not_being_there(
    double: Any, asking: AwsBackend, reply: str, sent: int
) -> None:
    """Nothing of botocore's comes through, and no text of the answer."""
    whole = {"ARN": "a" * 30, "Name": "n", "VersionId": "v", "SecretBinary": "canary!"}
    replies = {
        "hang_up": double.hang_up,
        "short": double.raw(b'{"ARN": "canary', promised=500),
        "no json": double.raw(b"<html>canary</html>"),
        "a list": double.raw(b'["canary"]'),
        "another shape": double.json({"SecretString": "canary"}),
        "not base64": double.json(whole),
        "an error that is no object": double.json(["canary"], 400),
        "an empty error": double.raw(b"", 500),
    }
    double.answers(replies[reply])
    with pytest.raises(BackendUnavailableError) as caught:
        asking.fetch(REF)
    assert caught.value.attempts == sent == len(double.requests)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__context__ is None


def test_an_empty_answer_to_a_write_is_broken_too(double: Any, asking: AwsBackend) -> None:
    """A proxy that says 200 and a page has not stored anything."""
    double.answers(double.raw(b"<html>welcome</html>"))
    with pytest.raises(BackendUnavailableError):
        asking.call("PutSecretValue", {"SecretId": "a", "SecretString": "x"})
    assert asking.call("TagResource", {"SecretId": "a", "Tags": []}).value == {}


def test_nobody_at_the_endpoint(
    double: Any, asking: AwsBackend, opened: Callable[..., AwsBackend]
) -> None:
    """The message names the endpoint; every attempt was made."""
    port = double.server.server_port
    double.close()
    with pytest.raises(
        BackendUnavailableError, match=rf"127\.0\.0\.1:{port}.*Check the network"
    ) as e:
        asking.fetch(REF)
    assert (e.value.attempts, e.value.code) == (3, "BackendUnavailable")
    assert e.value.__cause__ is None


def test_batches_follow_the_pages(double: Any, asking: AwsBackend) -> None:
    """Values and errors of all pages, under the ids as asked; every call is counted."""
    missing = {"SecretId": "c", "ErrorCode": "ResourceNotFoundException", "Message": "no"}
    double.answers(
        double.json({"SecretValues": [_entry("a")], "NextToken": "more"}),
        double.error("ThrottlingException"),
        double.json({"SecretValues": [_entry("b")], "Errors": [missing]}),
    )
    answer = asking.fetch_many(["b", "a", "c", "d", "a"])
    assert answer.attempts == 3
    values = {i: v.text for i, v in answer.value.items() if isinstance(v, SecretValue)}
    assert values == {"a": "a", "b": "b"}
    assert isinstance(answer.value["c"], ResourceNotFoundError)
    assert isinstance(answer.value["d"], ResourceNotFoundError)


def test_a_batch_that_fails_on_its_second_page_counts_the_first(
    double: Any, asking: AwsBackend
) -> None:
    """What was paid is counted."""
    first = double.json({"SecretValues": [_entry("a")], "NextToken": "more"})
    double.answers(first, double.error("AccessDeniedException"))
    with pytest.raises(AccessDeniedError) as caught:
        asking.fetch_many(["a", "b"])
    assert caught.value.attempts == 2


def test_pages_without_end_are_given_up(double: Any, asking: AwsBackend) -> None:
    """A server that always has more cannot hold a reader."""
    double.answers(double.json({"SecretValues": [], "NextToken": "more"}))
    with pytest.raises(BackendUnavailableError) as caught:
        asking.fetch_many(["a", "b"])
    assert caught.value.attempts == len(double.requests) == 3


def test_batches_of_none_and_of_too_many_ask_nobody(double: Any, asking: AwsBackend) -> None:
    """The service model's limit is 20."""
    assert asking.fetch_many([]).attempts == 0
    with pytest.raises(ValidationError, match="at most 20"):
        asking.fetch_many([f"s{i}" for i in range(21)])
    assert double.requests == []


@pytest.mark.parametrize("name", ["get_secret_value", "NoSuchThing", "GetPaginator", "Close", ""])
def test_an_unknown_operation_is_not_supported(double: Any, asking: AwsBackend, name: str) -> None:
    """Names are the API's; boto3's other methods are none."""
    with pytest.raises(NotSupportedError) as caught:
        asking.call(name, {})
    assert caught.value.attempts == 0
    assert double.requests == []


def test_requests_say_who_sends_them(double: Any, asking: AwsBackend) -> None:
    """CloudTrail shows the user agent."""
    double.answers(double.value())
    asking.fetch(REF)
    assert f"smclient/{__version__}" in double.requests[0]["User-Agent"]


def test_a_closed_backend_says_so(double: Any, asking: AwsBackend) -> None:
    """Rather than opening another client that nobody closes."""
    double.answers(double.value())
    asking.fetch(REF)
    asking.close()
    asking.close()
    with pytest.raises(ClientClosedError):
        asking.fetch(REF)
    assert len(double.requests) == 1


def test_a_stubbed_client_counts_as_one_attempt(
    opened: Callable[..., AwsBackend], client_of: Callable[..., Any]
) -> None:
    """botocore's Stubber sends nothing; the answer still cost its caller one call."""
    from botocore.stub import Stubber

    ready = client_of("http://127.0.0.1:1")
    with Stubber(ready) as stub:
        backend = opened("aws://", client=ready)
        stub.add_client_error("get_secret_value", "ResourceNotFoundException")
        with pytest.raises(ResourceNotFoundError) as caught:
            backend.fetch(REF)
    assert caught.value.attempts == 1
