"""The backend contract and the client, against a moto server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smclient import Backend, SecretRef, SecretsClient
from smclient.testing import BackendContract
from smclient_aws import AwsBackend


class TestAwsBackendByUrl(BackendContract):
    """``aws://`` with an endpoint."""

    @pytest.fixture(autouse=True)
    def _server(self, moto: str, opened: Callable[..., AwsBackend]) -> None:
        self.open = lambda: opened(f"aws://us-east-1?endpoint_url={moto}")

    def make_backend(self) -> Backend:
        """A backend on an empty server."""
        return self.open()


class TestAwsBackendOverAReadyClient(BackendContract):
    """A boto3 client that the caller made."""

    @pytest.fixture(autouse=True)
    def _server(
        self,
        moto: str,
        opened: Callable[..., AwsBackend],
        client_of: Callable[..., Any],
    ) -> None:
        self.open = lambda: opened("aws://", client=client_of(moto))

    def make_backend(self) -> Backend:
        """A backend on an empty server."""
        return self.open()


def test_the_client_works_from_a_url_to_a_rotated_value(moto: str) -> None:
    """Get, hit, write through, read the new value, batch, describe by the cache's own means."""
    with SecretsClient(f"aws://us-east-1?endpoint_url={moto}") as client:
        client.call("CreateSecret", Name="prod/db", SecretString='{"password": "one"}')
        assert client.get("prod/db")["password"] == "one"
        assert client.get("prod/db")["password"] == "one"
        client.call("PutSecretValue", SecretId="prod/db", SecretString='{"password": "two"}')
        assert client.get("prod/db")["password"] == "two"
        assert client.resolve("secret://prod/db?stage=AWSPREVIOUS#password") == "one"
        assert list(client.get_many(["prod/db", "prod/none"]).errors) == ["prod/none"]
        usage = client.usage()
        assert usage.api_calls["GetSecretValue"] == 3
        assert usage.hits >= 1


def test_a_ready_client_stays_open_when_the_backend_closes(
    moto: str, opened: Callable[..., AwsBackend], client_of: Callable[..., Any]
) -> None:
    """It is the caller's."""
    ready = client_of(moto)
    backend = opened("aws://", client=ready)
    backend.call("CreateSecret", {"Name": "a", "SecretString": "kept"})
    backend.close()
    assert ready.get_secret_value(SecretId="a")["SecretString"] == "kept"


def test_the_client_takes_a_ready_boto3_client(moto: str, client_of: Callable[..., Any]) -> None:
    """As the registry hands it over."""
    ready = client_of(moto)
    ready.create_secret(Name="a", SecretString="mine")
    with SecretsClient(ready) as client:
        assert client.get("a").text == "mine"


def test_every_operation_answers_without_response_metadata(
    moto: str, opened: Callable[..., AwsBackend]
) -> None:
    """By its API name, with boto3's shapes."""
    backend = opened(f"aws://us-east-1?endpoint_url={moto}")
    answer = backend.call("CreateSecret", {"Name": "a", "SecretString": "x"})
    assert sorted(answer.value) == ["ARN", "Name", "VersionId"]
    assert answer.attempts == 1
    listed = backend.call("ListSecrets", {}).value
    assert [entry["Name"] for entry in listed["SecretList"]] == ["a"]
    assert backend.call("TagResource", {"SecretId": "a", "Tags": []}).value == {}
    assert backend.describe("a").value.name == "a"
    assert backend.fetch(SecretRef("a")).value.text == "x"


def test_the_stage_is_sent_even_when_it_is_awscurrent(
    moto: str, opened: Callable[..., AwsBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy with a condition on VersionStage sees nothing where nothing is sent."""
    asked: list[dict[str, Any]] = []
    backend = opened(f"aws://us-east-1?endpoint_url={moto}")
    backend.call("CreateSecret", {"Name": "a", "SecretString": "x"})
    events = backend._client.meta.events
    events.register(
        "provide-client-params.secrets-manager", lambda params, **_: asked.append(params)
    )
    backend.fetch(SecretRef("a"))
    assert asked == [{"SecretId": "a", "VersionStage": "AWSCURRENT"}]
