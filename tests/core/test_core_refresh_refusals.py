"""A refresh that is refused ends the value, in whichever mode it was asked; an outage does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import BackendUnavailableError, CredentialsError, SecretsClient
from smclient.errors import BackendError, InvalidRequestError, ResourceNotFoundError, SmclientError
from smclient.testing import FakeBackend, FakeClock

MakeClient = Callable[..., SecretsClient]


@pytest.mark.parametrize("mode", ["auto", "describe", "get", "batch"])
@pytest.mark.parametrize(
    "error",
    [
        ResourceNotFoundError("can't find the specified secret"),
        CredentialsError("the security token is invalid"),
        InvalidRequestError("marked for deletion"),
        BackendError("never heard of", code="Unheard"),
    ],
    ids=lambda error: error.code,
)
def test_a_refusal_of_a_refresh_ends_the_value(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, mode: str, error: BackendError
) -> None:
    """What notices it may be served still; who reads after it is told why there is none."""
    client = make_client(refresh=mode)
    client.get("db")
    clock.advance(301)
    backend.fail_with(error, times=None)
    client.get("db")
    clock.advance(1)
    with pytest.raises(type(error)):
        client.get("db")
    assert client.peek("db") is None


def test_a_secret_that_was_deleted_at_once_is_served_no_more(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """DescribeSecret says so first, and is not asked every second from then on."""
    client = make_client(refresh="auto")
    client.get("db")
    backend.remove("db")
    clock.advance(301)
    client.get("db")
    backend.calls.clear()
    with pytest.raises(ResourceNotFoundError, match="secret 'db'"):
        client.get("db")
    assert backend.calls == []  # the refusal of a moment ago


def test_a_refusal_of_the_description_alone_does_not_end_the_value(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """GetSecretValue has the last word, and what it gives is fresh."""
    client = make_client(refresh="describe")
    client.get("db")

    def before(call: object) -> None:
        if getattr(call, "operation", "") == "DescribeSecret":
            raise BackendError("never heard of", code="Unheard")

    backend.before = before
    backend.put("db", {"password": "second"})
    clock.advance(301)
    client.get("db")
    assert client.get("db")["password"] == "second"


@pytest.mark.parametrize("mode", ["auto", "describe", "get", "batch"])
def test_an_outage_of_a_refresh_does_not(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, mode: str
) -> None:
    """The value is served until max_stale."""
    client = make_client(refresh=mode)
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    for _ in range(10):
        clock.advance(301)
        assert client.get("db")["password"] == "first"
    clock.advance(3600 - 3010)
    with pytest.raises(SmclientError):
        client.get("db")
