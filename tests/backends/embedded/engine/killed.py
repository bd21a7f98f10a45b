"""A service that is killed at a chosen point of a rotation; run as a program by the tests.

    killed.py STORE FOLDER POINT

The "database" is a file: setSecret writes the new password into it, testSecret compares.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smclient.secret import SecretRef
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.rotation import machine
from smclient_embedded.scheduler import Scheduler

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
START = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)
TOKEN = "rotation-".ljust(32, "0")
BETWEEN = {
    "claimed": (Scheduler, "_claim"),
    "begun": (machine, "attempt"),  # inside its transaction: as if it never was
    "checked": (Scheduler, "_check"),
    "all steps called": (Scheduler, "_call_steps"),
    "completed": (machine, "complete"),  # inside its transaction, too
    "ended": (Scheduler, "_end"),  # inside its transaction, too
    "ran": (Scheduler, "_run"),
}
POINTS = [
    *(f"{when} {step}" for step in STEPS for when in ("before", "inside", "after")),
    *BETWEEN,
    "RotateSecret",
]


def die() -> None:
    """As `kill -9` does it."""
    os.kill(os.getpid(), 9)


class Function:
    """A rotation function over a file; it dies at a point."""

    def __init__(self, database: Path, dies_at: str) -> None:
        self.database = database
        self.dies_at = dies_at

    def __call__(self, event: dict[str, Any], context: Any) -> None:
        step, arn, token = event["Step"], event["SecretId"], event["ClientRequestToken"]
        self._reached(f"before {step}")
        stages = context.secrets.describe(arn).value.version_stages
        if "AWSCURRENT" not in stages[token]:
            getattr(self, step)(context.secrets, arn, token)
        self._reached(f"after {step}")

    def _reached(self, point: str) -> None:
        if point == self.dies_at:
            die()

    def createSecret(self, secrets: Any, arn: str, token: str) -> None:
        self._reached("inside createSecret")
        pending = secrets.describe(arn).value.version_stages
        assert "AWSPENDING" in pending[token]
        try:
            secrets.fetch(SecretRef(arn, "AWSPENDING", token))
        except Exception:
            secrets.call(
                "PutSecretValue",
                {
                    "SecretId": arn,
                    "ClientRequestToken": token,
                    "SecretString": f"password-{os.getpid()}",
                    "VersionStages": ["AWSPENDING"],
                },
            )

    def setSecret(self, secrets: Any, arn: str, token: str) -> None:
        pending = secrets.fetch(SecretRef(arn, "AWSPENDING", token)).value.text
        draft = self.database.with_suffix(".draft")
        draft.write_text(pending)
        self._reached("inside setSecret")
        draft.replace(self.database)

    def testSecret(self, secrets: Any, arn: str, token: str) -> None:
        self._reached("inside testSecret")
        pending = secrets.fetch(SecretRef(arn, "AWSPENDING", token)).value.text
        assert self.database.read_text() == pending

    def finishSecret(self, secrets: Any, arn: str, token: str) -> None:
        current = secrets.describe(arn).value.version_at("AWSCURRENT")
        self._reached("inside finishSecret")
        secrets.call(
            "UpdateSecretVersionStage",
            {
                "SecretId": arn,
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": token,
                "RemoveFromVersionId": current,
            },
        )


def opened(store: str, folder: Path, clock: FakeClock, dies_at: str = "") -> tuple[Any, str]:
    """The service, and its function's ARN."""
    service = EmbeddedService(store, clock=clock)
    function = Function(folder / "database", dies_at)
    return service, service.register_function("rotate", function)


def main(store: str, folder: Path, point: str) -> None:
    """Begin a rotation and die."""
    service, function = opened(store, folder, FakeClock(START), point)
    (folder / "database").write_text("first")
    service.call(
        "CreateSecret",
        {"Name": "s", "SecretString": "first", "ClientRequestToken": "v0".ljust(32, "0")},
    )
    rotate = {"SecretId": "s", "RotationLambdaARN": function, "ClientRequestToken": TOKEN}
    rotate["RotationRules"] = {"AutomaticallyAfterDays": 30}
    service.call("RotateSecret", rotate)
    if point == "RotateSecret":
        die()
    if point in BETWEEN:
        home, name = BETWEEN[point]
        real = getattr(home, name)

        def then_die(*given: Any, **more: Any) -> None:
            real(*given, **more)
            die()

        setattr(home, name, then_die)
    service.run_due()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
