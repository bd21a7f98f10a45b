"""The embedded service on the file: the same operations, through the client and botocore."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient import SecretsClient
from smclient.errors import (
    ConfigError,
    ResourceNotFoundError,
    SmclientError,
    UnknownSettingError,
)
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.quotas import Quotas
from smclient_file import Credentials, FileStore
from smclient_file.errors import StoreLocked, StoreMissing, StoreRolledBack
from smclient_file.unlock import PASSPHRASE_VARIABLE
from tests.backends.file.helpers_file import CANARY, header

Make = Callable[..., Path]


@pytest.fixture
def url(make_file: Make, key_file: Path) -> str:
    return f"file://{make_file()}?key_file={key_file}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(url: str, clock: FakeClock) -> Iterator[EmbeddedService]:
    with EmbeddedService(url, clock=clock) as service:
        yield service


def path_of(url: str) -> Path:
    return Path(url.removeprefix("file://").partition("?")[0])


def test_the_client_from_making_to_removing(url: str, clock: FakeClock) -> None:
    """Each step seen by a client of its own, so that all of it went through the file."""

    def ask(operation: str, **request: Any) -> dict[str, Any]:
        with SecretsClient(url, clock=clock) as client:
            return dict(client.call(operation, **request))

    ask("CreateSecret", Name="app/db", SecretString="first", Tags=[{"Key": "a", "Value": "b"}])
    second = ask("PutSecretValue", SecretId="app/db", SecretBinary=b"\0\xff")["VersionId"]
    described = ask("DescribeSecret", SecretId="app/db")
    assert described["VersionIdsToStages"][second] == ["AWSCURRENT"]
    assert described["Tags"] == [{"Key": "a", "Value": "b"}]
    with SecretsClient(url) as client:
        assert client.get("app/db").binary == b"\0\xff"
        assert client.get("app/db", version_stage="AWSPREVIOUS").text == "first"
    ask("DeleteSecret", SecretId="app/db", RecoveryWindowInDays=7)
    with SecretsClient(url) as client, pytest.raises(SmclientError, match="marked for deletion"):
        client.get("app/db")
    ask("RestoreSecret", SecretId="app/db")
    ask("DeleteSecret", SecretId="app/db", RecoveryWindowInDays=7)
    clock.advance(days=8)
    with EmbeddedService(url, clock=clock) as service:
        assert len(service.run_due().deleted) == 1
    with SecretsClient(url) as client, pytest.raises(ResourceNotFoundError):
        client.get("app/db")
    assert b"app/db" not in path_of(url).read_bytes()


def test_a_real_botocore_client(service: EmbeddedService) -> None:
    client = service.client()
    client.create_secret(Name="a", SecretString=CANARY)
    answer = client.get_secret_value(SecretId="a")
    assert answer["SecretString"] == CANARY
    assert client.list_secrets()["SecretList"][0]["Name"] == "a"


def test_reading_never_writes_the_file(url: str) -> None:
    """Neither the day of the last access nor the audit trail; so git sees nothing."""
    with SecretsClient(url) as client:
        client.call("CreateSecret", Name="a", SecretString="x")
    before = path_of(url).read_bytes()
    with EmbeddedService(url) as service:
        client = service.client()
        for _ in range(3):
            client.get_secret_value(SecretId="a")
        assert "LastAccessedDate" in client.describe_secret(SecretId="a")
        assert len(service.audit.lookup()) >= 4
    assert path_of(url).read_bytes() == before
    assert not Path(f"{path_of(url)}.lock").read_bytes()


def test_a_rotation_survives_the_end_of_the_process(url: str, clock: FakeClock) -> None:
    """Begun in one service, run to its end in another."""

    def rotate(event: dict[str, str], context: Any) -> None:
        secrets, token = context.secrets, event["ClientRequestToken"]
        if event["Step"] == "createSecret":
            request = {"SecretId": event["SecretId"], "ClientRequestToken": token}
            more = {"SecretString": "rotated", "VersionStages": ["AWSPENDING"]}
            secrets.call("PutSecretValue", {**request, **more})
        if event["Step"] == "finishSecret":
            stages = secrets.describe(event["SecretId"]).value.version_stages
            current = next(v for v, labels in stages.items() if "AWSCURRENT" in labels)
            move = {"MoveToVersionId": token, "RemoveFromVersionId": current}
            secrets.call(
                "UpdateSecretVersionStage",
                {"SecretId": event["SecretId"], "VersionStage": "AWSCURRENT", **move},
            )

    with EmbeddedService(url, clock=clock) as service:
        client = service.client()
        client.create_secret(Name="a", SecretString="first")
        arn = service.register_function("rotate", rotate)
        client.rotate_secret(
            SecretId="a", RotationLambdaARN=arn, RotationRules={"AutomaticallyAfterDays": 30}
        )
    assert b'"t":"job"' in path_of(url).read_bytes()
    with EmbeddedService(url, clock=clock) as service:
        service.register_function("rotate", rotate)
        assert len(service.run_due().rotated) == 1
        assert service.client().get_secret_value(SecretId="a")["SecretString"] == "rotated"
        clock.advance(timedelta(days=31).total_seconds())
        assert len(service.run_due().rotated) == 1
    assert b'"t":"job"' not in path_of(url).read_bytes()


def test_how_many_versions_are_kept_is_the_services_quota(
    url: str, key_file: Path, clock: FakeClock
) -> None:
    """No other number, and each that goes is on record."""
    with EmbeddedService(url, clock=clock, quotas=Quotas(versions=103)) as service:
        client = service.client()
        arn = client.create_secret(Name="a", SecretString="0")["ARN"]
        given = Credentials(key_file=key_file)

        def versions() -> set[str]:
            with FileStore(path_of(url), given).transaction(write=False) as tx:
                return {version.version_id for version in tx.versions(arn)}

        for number in range(102):
            clock.advance(hours=1)
            client.put_secret_value(SecretId="a", SecretString=f"{number}")
        before = versions()
        assert len(before) == 103
        last = client.put_secret_value(SecretId="a", SecretString="last")["VersionId"]
        (gone,) = before - versions()
        assert versions() == before - {gone} | {last}
        (event,) = service.audit.lookup(event_name="SecretVersionDeletion")
    assert gone in json.dumps(event)


def test_policies_and_replicas_are_in_the_file(url: str) -> None:
    """Metadata in clear, values sealed; primary and replica know each other when it is opened."""
    allow = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Resource": "*"}
    statement = {**allow, "Action": "secretsmanager:GetSecretValue"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with SecretsClient(url) as client:
        client.call("CreateSecret", Name="a", SecretString="x", KmsKeyId="alias/mine")
        client.call("PutResourcePolicy", SecretId="a", ResourcePolicy=document)
        client.call(
            "ReplicateSecretToRegions", SecretId="a", AddReplicaRegions=[{"Region": "eu-west-1"}]
        )
    assert b'"replicas":[{"arn":"arn:aws:secretsmanager:eu-west-1:' in path_of(url).read_bytes()
    with SecretsClient(url) as client:
        kept = client.call("GetResourcePolicy", SecretId="a")["ResourcePolicy"]
        assert json.loads(kept) == json.loads(document)
        client.call("PutSecretValue", SecretId="a", SecretString="y")
        (entry,) = client.call("DescribeSecret", SecretId="a")["ReplicationStatus"]
        assert entry["Status"] == "InSync"
    with SecretsClient(url + "&region=eu-west-1") as client:
        assert client.get("a").text == "y"
        assert client.call("GetResourcePolicy", SecretId="a")["ResourcePolicy"] == kept
        assert client.call("DescribeSecret", SecretId="a")["PrimaryRegion"] == "us-east-1"


def test_accounts_and_regions(url: str) -> None:
    """Options of the service go along in the URL."""
    there = url + "&account=444455556666&region=eu-west-1"
    with SecretsClient(there) as client:
        arn = client.call("CreateSecret", Name="a", SecretString="x")["ARN"]
    assert arn.startswith("arn:aws:secretsmanager:eu-west-1:444455556666:")
    with SecretsClient(url) as client, pytest.raises(ResourceNotFoundError):
        client.get("a")


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("file:", ConfigError),
        ("file://host/s.sms", ConfigError),
        ("file:///none/s.sms", StoreMissing),
        ("file:///none/s.sms?colour=red", UnknownSettingError),
        ("file:///none/s.sms?accept_rollback=1", ConfigError),
        ("file:///none/s.sms?expected_generation=x", ConfigError),
        ("file:///none/s.sms?expected_generation=0", ConfigError),
        ("file:///none/s.sms?lock_timeout=-1", ConfigError),
        ("file:///none/s.sms?lock_timeout=nan", ConfigError),
    ],
)
def test_urls_that_are_refused(bad: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        SecretsClient(bad)


def test_a_passphrase_from_the_environment_and_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreLocked, match=PASSPHRASE_VARIABLE):
        SecretsClient("file:made.sms?create=true")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "a passphrase")
    with SecretsClient("file:made.sms?create=true") as client:
        client.call("CreateSecret", Name="a", SecretString="x")
    with SecretsClient("file:made.sms") as client:
        assert client.get("a").text == "x"


def test_the_least_generation_in_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMCLIENT_EXPECTED_GENERATION", "7")
    with pytest.raises(StoreRolledBack):
        SecretsClient(url)
    assert header(path_of(url))["generation"] == 1
