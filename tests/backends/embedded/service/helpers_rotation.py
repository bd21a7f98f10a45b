"""A rotation function that can be told to fail, and ways to rotate with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
BUSY = (
    "InvalidRequestException",
    "A previous rotation isn't complete. That rotation will be reattempted.",
)


class Function:
    """A rotation function as AWS's template has it; it can be told to fail, or to leave out what it
    is for, and something can be done in the middle of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fails_at: str | None = None
        self.skips: set[str] = set()
        self.before: Callable[[str], object] = lambda step: None
        self.seen: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any], context: Any) -> object:
        step, secret_id, token = event["Step"], event["SecretId"], event["ClientRequestToken"]
        self.calls.append((step, token))
        self.seen.append(event)
        self.before(step)
        if step == self.fails_at:
            raise RuntimeError("the database says: password is canary-9d1")
        if step not in self.skips:
            getattr(self, step)(context.secrets, secret_id, token)
        return {"ignored": True}

    def createSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        stages = {"VersionStages": ["AWSPENDING"], "ClientRequestToken": token}
        request = {"SecretId": secret_id, "SecretString": f"made by {token[:8]}", **stages}
        secrets.call("PutSecretValue", request)

    def setSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        pass

    def testSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        secrets.call(
            "GetSecretValue",
            {"SecretId": secret_id, "VersionId": token, "VersionStage": "AWSPENDING"},
        )

    def finishSecret(self, secrets: Any, secret_id: str, token: str) -> None:
        stages = secrets.describe(secret_id).value.version_stages
        (current,) = (v for v, labels in stages.items() if "AWSCURRENT" in labels)
        secrets.call(
            "UpdateSecretVersionStage",
            {
                "SecretId": secret_id,
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": token,
                "RemoveFromVersionId": current,
            },
        )


def rotate(world: Any, name: str = "v1", **more: Any) -> dict[str, Any]:
    more.setdefault("RotationLambdaARN", world.function_arn)
    answer: dict[str, Any] = world(
        "RotateSecret", SecretId="s", ClientRequestToken=world.token(name), **more
    )
    return answer


def service_events(world: Any) -> list[str]:
    """What the service did by itself, in order."""
    return [e["eventName"] for e in world.events() if e["eventType"] == "AwsServiceEvent"]
