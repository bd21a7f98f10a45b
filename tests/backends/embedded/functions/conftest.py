"""Functions with code of their own, written into a folder for one test."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import FunctionFailedError
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.functions import Invocation

TOKEN = "rotation-0-".ljust(32, "0")

ROTATES = """
    import os, boto3

    def lambda_handler(event, context):
        secrets = boto3.client(
            "secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"]
        )
        arn, token = event["SecretId"], event["ClientRequestToken"]
        if event["Step"] == "createSecret":
            secrets.put_secret_value(
                SecretId=arn, ClientRequestToken=token, SecretString="new",
                VersionStages=["AWSPENDING"],
            )
        elif event["Step"] == "finishSecret":
            stages = secrets.describe_secret(SecretId=arn)["VersionIdsToStages"]
            current = next(v for v, labels in stages.items() if "AWSCURRENT" in labels)
            secrets.update_secret_version_stage(
                SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token,
                RemoveFromVersionId=current,
            )
"""
"""The least that a rotation function does, written from the documentation of Lambda."""


class Workshop:
    """A service, and functions made from text."""

    def __init__(self, service: EmbeddedService, folder: Path, clock: FakeClock) -> None:
        self.service = service
        self.folder = folder
        self.clock = clock

    def code(self, text: str, name: str = "lambda_function.py") -> Path:
        """A file with this code."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def function(self, text: str, name: str = "f", **more: Any) -> str:
        """A function of this code; its ARN."""
        return self.service.register_function(name, file=self.code(text), **more)

    def run(self, event: Any = None, name: str = "f") -> Any:
        """Invoke it; what it returned."""
        import json

        return json.loads(self.invoke(event, name).result)

    def invoke(self, event: Any = None, name: str = "f") -> Invocation:
        """Invoke it."""
        return self.service.invoke_function(name, event or {})

    def failure(self, event: Any = None, name: str = "f") -> FunctionFailedError:
        """Why it failed; the test fails if it did not."""
        with pytest.raises(FunctionFailedError) as caught:
            self.invoke(event, name)
        return caught.value

    def secret(self, name: str = "s", value: str = "old") -> str:
        """A secret with a value; its ARN."""
        request = {"Name": name, "SecretString": value, "ClientRequestToken": "v0".ljust(32, "0")}
        return str(self.service.call("CreateSecret", request)["ARN"])

    def arn(self, name: str) -> str:
        """The ARN of a secret."""
        return str(self.service.call("DescribeSecret", {"SecretId": name})["ARN"])

    def rotate(self, function_arn: str, name: str = "s", token: str = TOKEN) -> Any:
        """RotateSecret, and what one pass did about it."""
        request = {
            "SecretId": name,
            "RotationLambdaARN": function_arn,
            "ClientRequestToken": token,
        }
        self.service.call("RotateSecret", request)
        return self.service.run_due()

    def value(self, name: str = "s") -> str:
        """The current value."""
        return str(self.service.call("GetSecretValue", {"SecretId": name})["SecretString"])

    def labels(self, name: str = "s") -> dict[str, str]:
        """Staging label to version id."""
        stages = self.service.call("DescribeSecret", {"SecretId": name})["VersionIdsToStages"]
        return {label: version for version, labels in stages.items() for label in labels}

    def reason(self) -> str:
        """Why the last rotation failed, as its event says."""
        (event, *_) = self.service.audit.lookup(event_name="RotationFailed")
        return str(event["additionalEventData"]["FailureReason"])


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A service in memory."""
    clock = FakeClock()
    with EmbeddedService(clock=clock) as service:
        yield Workshop(service, tmp_path, clock)


@pytest.fixture
def open_workshop(tmp_path: Path) -> Callable[[], Workshop]:
    """Opens the same SQLite store again and again; close ``.service`` between."""
    url = f"embedded://{tmp_path}/secrets.db"

    def opened() -> Workshop:
        clock = FakeClock()
        return Workshop(EmbeddedService(url, clock=clock), tmp_path, clock)

    return opened
