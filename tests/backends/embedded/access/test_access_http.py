"""Over HTTP the verified key tells who asks: users by their access key, sessions by their token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.served import ServedService, served
from tests.backends.embedded.access.realm import Realm, allow, policy


@pytest.fixture
def realm() -> Iterator[Realm]:
    """Under a clock that begins now: signatures are compared with the machine's."""
    clock = FakeClock(datetime.now(UTC))
    with EmbeddedService(clock=clock) as service:
        yield Realm(service, clock)


@pytest.fixture
def server(realm: Realm) -> Iterator[ServedService]:
    realm.secret()
    with served(realm.service) as server:
        yield server


def client_of(server: ServedService, credentials: Any) -> Any:
    return server.client(
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )


def refused(client: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        client.get_secret_value(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_user_signs_with_an_access_key(realm: Realm, server: ServedService) -> None:
    user = realm.user("app", allow("GetSecretValue"))
    client = client_of(server, realm.service.create_access_key(user))
    assert client.get_secret_value(SecretId="prod/db")["SecretString"] == "the value"
    with pytest.raises(ClientError, match=f"User: {user} is not authorized to perform"):
        client.describe_secret(SecretId="prod/db")


def test_the_address_of_the_caller_counts(realm: Realm, server: ServedService) -> None:
    """And that HTTP without TLS is no secure transport."""
    here = {"IpAddress": {"aws:SourceIp": "127.0.0.1"}}
    user = realm.user("app", allow("GetSecretValue", Condition=here))
    client = client_of(server, realm.service.create_access_key(user))
    assert client.get_secret_value(SecretId="prod/db")
    secure = {"Bool": {"aws:SecureTransport": "true"}}
    realm.accounts.put_policy(user, "policy", policy(allow("GetSecretValue", Condition=secure)))
    assert refused(client, SecretId="prod/db")[0] == "AccessDeniedException"


def test_a_removed_key_is_let_in_no_longer(realm: Realm, server: ServedService) -> None:
    """Nor is one whose user was removed."""
    user = realm.user("app", allow("*"))
    first, second = (realm.service.create_access_key(user) for _ in range(2))
    for credentials in (first, second):
        assert client_of(server, credentials).get_secret_value(SecretId="prod/db")
    realm.accounts.remove_access_key(first.access_key_id)
    code, _ = refused(client_of(server, first), SecretId="prod/db")
    assert code == "UnrecognizedClientException"
    realm.accounts.remove(user)
    code, _ = refused(client_of(server, second), SecretId="prod/db")
    assert code == "UnrecognizedClientException"


def test_a_session_signs_with_its_token(realm: Realm, server: ServedService) -> None:
    """What it may do it may do by its role and its session policy."""
    role = realm.accounts.create_role("app", policies=policy(allow("*")))
    narrowed = policy(allow("GetSecretValue"))
    assumed = realm.service.assume_role(role, "s-1", policies=narrowed)
    client = client_of(server, assumed.credentials)
    assert client.get_secret_value(SecretId="prod/db")["SecretString"] == "the value"
    with pytest.raises(ClientError, match="because no session policy allows"):
        client.describe_secret(SecretId="prod/db")


@pytest.mark.parametrize("fault", ["no token", "another token", "another secret"])
def test_a_session_is_more_than_its_key(realm: Realm, server: ServedService, fault: str) -> None:
    role = realm.accounts.create_role("app", policies=policy(allow("*")))
    mine, other = (realm.service.assume_role(role, f"s-{n}").credentials for n in (1, 2))
    client = server.client(
        aws_access_key_id=mine.access_key_id,
        aws_secret_access_key=(
            other.secret_access_key if fault == "another secret" else mine.secret_access_key
        ),
        aws_session_token={"no token": None, "another token": other.session_token}.get(
            fault, mine.session_token
        ),
    )
    code, _ = refused(client, SecretId="prod/db")
    assert code == (
        "InvalidSignatureException" if fault == "another secret" else "UnrecognizedClientException"
    )


def test_a_session_ends(realm: Realm, server: ServedService) -> None:
    role = realm.accounts.create_role("app", policies=policy(allow("*")))
    client = client_of(server, realm.service.assume_role(role, "s-1", seconds=900).credentials)
    assert client.get_secret_value(SecretId="prod/db")
    realm.clock.advance(900)
    assert refused(client, SecretId="prod/db")[0] == "ExpiredTokenException"
