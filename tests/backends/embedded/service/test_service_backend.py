"""The service behind the client: the backend contract, URLs, and a session end to end."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smclient.backend import Backend, open_backend
from smclient.client import SecretsClient
from smclient.errors import (
    AccessDeniedError,
    ConfigError,
    NotSupportedError,
    ResourceNotFoundError,
    UnknownSettingError,
    ValidationError,
)
from smclient.secret import SecretRef
from smclient.testing import BackendContract, FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.store import StoreError


class TestTheServicesBackend(BackendContract):
    def make_backend(self) -> Backend:
        """Of a service in memory."""
        return EmbeddedService().backend()


class TestTheBackendOfAUrl(BackendContract):
    def make_backend(self) -> Backend:
        """A store in memory, new each time."""
        return open_backend("embedded://")


class TestTheBackendOfAFile(BackendContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"embedded://{tmp_path}/contract.db"

    def make_backend(self) -> Backend:
        """SQLite."""
        return open_backend(self.url)


class TestUrls:
    def test_account_and_region_are_options(self) -> None:
        """ARNs and identity follow."""
        backend = open_backend("embedded://?account=999900001111&region=eu-north-1")
        made = backend.call("CreateSecret", {"Name": "a", "SecretString": "x"}).value
        assert made["ARN"].startswith("arn:aws:secretsmanager:eu-north-1:999900001111:secret:a-")
        identity = backend.identity()
        assert (identity.account, identity.region) == ("999900001111", "eu-north-1")
        assert identity.principal == "arn:aws:iam::999900001111:root"
        backend.close()

    @pytest.mark.parametrize(
        "account",
        [
            "1",
            "1234567890123",
            "12345678901x",
            "",
            "\u0661\u0662\u0661\u0662\u0661\u0662\u0661\u0662\u0661\u0662\u0661\u0662",
        ],
    )
    def test_an_account_has_twelve_digits(self, account: str) -> None:
        """ASCII ones."""
        with pytest.raises(ConfigError, match="12 digits"):
            open_backend(f"embedded://?account={account}")

    @pytest.mark.parametrize("option", ["colour=red", "acount=123456789012", "Region=x"])
    def test_an_unknown_option_is_refused_with_those_there_are(self, option: str) -> None:
        """Rather than ignored."""
        with pytest.raises(UnknownSettingError, match="master_key_file"):
            open_backend(f"embedded://?{option}")

    def test_an_unknown_principal_is_refused(self, tmp_path: Path) -> None:
        """And the store is closed again: it can be opened by the next."""
        url = f"embedded://{tmp_path}/s.db"
        with pytest.raises(ConfigError, match="no principal"):
            open_backend(url + "?principal=arn:aws:iam::123456789012:user/x")
        open_backend(url).close()

    def test_the_root_of_the_account_is_a_principal(self) -> None:
        """The administrator by name."""
        backend = open_backend("embedded://?principal=arn:aws:iam::123456789012:root")
        assert backend.call("ListSecrets", {}).value == {"SecretList": []}
        backend.close()

    def test_memory_is_new_each_time(self) -> None:
        """Two backends do not share it."""
        first, second = open_backend("embedded://"), open_backend("embedded://")
        first.call("CreateSecret", {"Name": "a", "SecretString": "x"})
        with pytest.raises(ResourceNotFoundError):
            second.fetch(SecretRef("a"))

    def test_a_file_is_shared_and_kept(self, tmp_path: Path) -> None:
        """Two at a time, and the next process."""
        url = f"embedded://{tmp_path}/s.db"
        first, second = open_backend(url), open_backend(url)
        first.call("CreateSecret", {"Name": "a", "SecretString": "x"})
        assert second.fetch(SecretRef("a")).value.text == "x"
        first.close()
        second.close()
        assert open_backend(url).fetch(SecretRef("a")).value.text == "x"

    def test_a_file_that_cannot_be_made_is_one_clear_error(self, tmp_path: Path) -> None:
        """Naming the file."""
        with pytest.raises(StoreError, match="nowhere"):
            open_backend(f"embedded://{tmp_path}/nowhere/s.db")


class TestTheBackend:
    def test_sends_a_token_as_an_sdk_does(self) -> None:
        """For each operation that takes one, unless one is given."""
        backend = EmbeddedService().backend()
        made = backend.call("CreateSecret", {"Name": "a", "SecretString": "x"}).value
        assert len(made["VersionId"]) == 36
        token = "t" * 32
        request = {"SecretId": "a", "SecretString": "y", "ClientRequestToken": token}
        assert backend.call("PutSecretValue", request).value["VersionId"] == token

    def test_closing_it_leaves_the_service_open(self) -> None:
        """A service has many backends."""
        service = EmbeddedService()
        service.backend().close()
        assert service.call("ListSecrets", {}) == {"SecretList": []}

    def test_closing_that_of_a_url_closes_its_service(self, tmp_path: Path) -> None:
        """Twice is fine; the trail is written."""
        url = f"embedded://{tmp_path}/s.db"
        backend = open_backend(url)
        backend.call("ListSecrets", {})
        backend.close()
        backend.close()
        with EmbeddedService(url) as service:
            assert [e["eventName"] for e in service.audit.lookup()] == ["ListSecrets"]

    def test_speaks_for_one_principal_in_one_region(self) -> None:
        """As its identity says."""
        service = EmbeddedService()
        user = service.create_principal("nobody")
        backend = service.backend(user, region="eu-west-1")
        identity = backend.identity()
        assert (identity.region, identity.principal) == ("eu-west-1", user)
        with pytest.raises(AccessDeniedError, match=re.escape(user)):
            backend.fetch(SecretRef("a"))

    def test_says_what_it_does_not_have(self) -> None:
        """An operation that the model does not know."""
        with pytest.raises(NotSupportedError):
            EmbeddedService().backend().call("MakeCoffee", {"SecretId": "a"})

    def test_turns_aws_codes_into_the_clients_tree(self) -> None:
        """With the code kept."""
        with pytest.raises(ValidationError) as caught:
            EmbeddedService().backend().fetch(SecretRef("a b"))
        assert caught.value.code == "ValidationException"


class TestEndToEnd:
    def test_a_client_reads_writes_and_follows(self) -> None:
        """SecretsClient("embedded://"), as in the README."""
        with SecretsClient("embedded://") as client:
            client.call("CreateSecret", Name="prod/db", SecretString='{"user": "u", "port": 5432}')
            secret = client.get("prod/db")
            assert (secret["user"], secret.json()["port"]) == ("u", 5432)
            assert client.resolve("secret://prod/db#user") == "u"
            client.call("PutSecretValue", SecretId="prod/db", SecretString='{"user": "w"}')
            assert client.get("prod/db")["user"] == "w"
            previous = client.get("prod/db", version_stage="AWSPREVIOUS")
            assert previous["user"] == "u"
            many = client.get_many(["prod/db", "nope"])
            assert list(many.values) == ["prod/db"]
            assert isinstance(many.errors["nope"], ResourceNotFoundError)

    def test_a_client_follows_a_rotation(self) -> None:
        """RotateSecret, the steps, and the new value."""
        clock = FakeClock()
        service = EmbeddedService(clock=clock)

        def handler(event: dict[str, Any], context: Any) -> None:
            secrets, token = context.secrets, event["ClientRequestToken"]
            if event["Step"] == "createSecret":
                request = {
                    "SecretId": event["SecretId"],
                    "SecretString": "new",
                    "VersionStages": ["AWSPENDING"],
                    "ClientRequestToken": token,
                }
                secrets.call("PutSecretValue", request)
            if event["Step"] == "finishSecret":
                stages = secrets.describe(event["SecretId"]).value
                request = {
                    "SecretId": event["SecretId"],
                    "VersionStage": "AWSCURRENT",
                    "MoveToVersionId": token,
                    "RemoveFromVersionId": stages.version_at("AWSCURRENT"),
                }
                secrets.call("UpdateSecretVersionStage", request)

        arn = service.register_function("rotate", handler)
        with SecretsClient(service.backend(), clock=clock) as client:
            client.call("CreateSecret", Name="a", SecretString="old")
            client.call("RotateSecret", SecretId="a", RotationLambdaARN=arn)
            assert client.get("a").text == "old"
            assert len(service.run_due().rotated) == 1
            assert client.refresh("a").text == "new"

    def test_many_threads_share_a_service(self, make: Callable[..., Any], url: str) -> None:
        """Each put is a version; exactly one is current, and the one before it previous."""
        world = make(url)
        world.create()
        failures: list[BaseException] = []

        def work(number: int) -> None:
            backend = world.service.backend()
            try:
                for n in range(5):
                    value = f"{number}-{n}"
                    backend.call("PutSecretValue", {"SecretId": "s", "SecretString": value})
                    backend.fetch(SecretRef("s"))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        versions = world("ListSecretVersionIds", SecretId="s", IncludeDeprecated=True)["Versions"]
        assert len(versions) == 41
        labels = sorted(label for v in versions for label in v.get("VersionStages", ()))
        assert labels == ["AWSCURRENT", "AWSPREVIOUS"]
        assert len(world.events("PutSecretValue")) == 40
        assert len(world.events("GetSecretValue")) == 40
