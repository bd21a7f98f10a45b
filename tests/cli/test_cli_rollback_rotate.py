"""``smclient rollback`` and ``smclient rotate``: labels, shown before they move."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from smclient import SecretsClient
from tests.cli.canary import CANARY


@pytest.fixture
def versions(client: SecretsClient) -> list[str]:
    """The ids of three versions, oldest first."""
    made = client.call("CreateSecret", Name="a", SecretString=CANARY)["VersionId"]
    client.call("UpdateSecretVersionStage", SecretId="a", VersionStage="V0", MoveToVersionId=made)
    more = [client.call("PutSecretValue", SecretId="a", SecretString=t) for t in ("1", "2")]
    return [made, *(answer["VersionId"] for answer in more)]


def test_a_rollback_is_shown_and_done(
    run: Callable[..., Result], client: SecretsClient, versions: list[str]
) -> None:
    """AWSCURRENT and AWSPREVIOUS change places; a second one undoes it."""
    _, old, new = versions
    result = run("rollback", "a", "--yes")
    assert f"AWSCURRENT   {new}  ->  {old}" in result.stderr
    assert f"AWSPREVIOUS  {old}  ->  {new}" in result.stderr
    assert client.refresh("a").text == "1"
    assert client.get("a", version_stage="AWSPREVIOUS", max_age=0).text == "2"
    run("rollback", "a", "--yes")
    assert client.refresh("a").text == "2"


def test_a_rollback_may_go_to_any_version(
    run: Callable[..., Result], client: SecretsClient, versions: list[str]
) -> None:
    """By its id; the shape as documented, after the fact."""
    first, _, new = versions
    shown = json.loads(run("rollback", "a", "--to", first, "--yes", "--json").stdout)
    assert shown["before"]["AWSCURRENT"] == new
    assert shown["after"] == {"AWSCURRENT": first, "AWSPREVIOUS": new}
    assert shown["done"] is True
    assert client.refresh("a").version_id == first


def test_nothing_moves_unasked(
    run: Callable[..., Result], client: SecretsClient, versions: list[str]
) -> None:
    """Without a terminal and --yes, with --dry-run, or where there is nothing to go back to."""
    assert "add --yes" in run("rollback", "a", code=2).stderr
    shown = json.loads(run("rollback", "a", "--dry-run", "--json").stdout)
    assert (shown["done"], shown["after"]["AWSCURRENT"]) == (False, versions[1])
    assert "is AWSCURRENT already" in run("rollback", "a", "--to", versions[2], code=2).stderr
    run("rollback", "a", "--to", "nosuch", "--yes", code=3)
    client.call("CreateSecret", Name="young", SecretString=CANARY)
    assert "no version AWSPREVIOUS" in run("rollback", "young", "--yes", code=3).stderr
    run("rollback", "none", "--yes", code=3)
    assert client.refresh("a").text == "2"


@pytest.mark.parametrize(("answer", "code", "text"), [("y\n", 0, "1"), ("n\n", 1, "2")])
def test_it_asks_on_a_terminal(
    run: Callable[..., Result],
    client: SecretsClient,
    versions: list[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    text: str,
) -> None:
    """On standard error, so that --json stays JSON."""
    monkeypatch.setattr(
        "click.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False
    )
    result = run("rollback", "a", "--json", code=code, stdin=answer)
    assert "Move the labels?" in result.stderr
    assert (json.loads(result.stdout)["done"] if code == 0 else result.stdout) == (code == 0 or "")
    assert client.refresh("a").text == text


def test_a_rotation_under_way_is_noted(
    run: Callable[..., Result], client: SecretsClient, versions: list[str]
) -> None:
    """AWSPENDING elsewhere."""
    client.call(
        "UpdateSecretVersionStage",
        SecretId="a",
        VersionStage="AWSPENDING",
        MoveToVersionId=versions[0],
    )
    assert "a rotation is under way" in run("rollback", "a", "--dry-run").stderr


def rotated_by(monkeypatch: pytest.MonkeyPatch, finish: bool) -> list[dict[str, object]]:
    """Stand in for a service whose function does its work between two looks."""
    asked: list[dict[str, object]] = []
    real = SecretsClient.call

    def call(self: SecretsClient, operation: str, **parameters: object) -> dict[str, object]:
        if operation != "RotateSecret":
            return real(self, operation, **parameters)
        asked.append(parameters)
        labels = ["AWSCURRENT"] if finish else ["AWSPENDING"]
        return real(
            self,
            "PutSecretValue",
            SecretId=parameters["SecretId"],
            SecretString="new",
            VersionStages=labels,
        )

    monkeypatch.setattr(SecretsClient, "call", call)
    return asked


def test_a_rotation_is_begun_with_what_was_said(
    run: Callable[..., Result], versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Function, schedule, days, later: AWS's own names."""
    asked = rotated_by(monkeypatch, finish=False)
    shown = json.loads(run("rotate", "a", "--function", "arn:f", "--days", "3", "--json").stdout)
    assert (shown["name"], shown["done"]) == ("a", None)
    run("rotate", "a", "--schedule", "rate(4 hours)", "--later")
    assert asked == [
        {
            "SecretId": "a",
            "RotationLambdaARN": "arn:f",
            "RotationRules": {"AutomaticallyAfterDays": 3},
        },
        {
            "SecretId": "a",
            "RotationRules": {"ScheduleExpression": "rate(4 hours)"},
            "RotateImmediately": False,
        },
    ]


@pytest.mark.parametrize(("finish", "code"), [(True, 0), (False, 1)])
def test_waiting_tells_whether_it_was_done(
    run: Callable[..., Result],
    versions: list[str],
    monkeypatch: pytest.MonkeyPatch,
    finish: bool,
    code: int,
) -> None:
    """0 only if the new version became AWSCURRENT in time."""
    rotated_by(monkeypatch, finish=finish)
    shown = json.loads(run("rotate", "a", "--wait", "0.05", "--json", code=code).stdout)
    assert shown["done"] is finish


def test_a_rotation_without_a_function_is_refused(
    run: Callable[..., Result], versions: list[str]
) -> None:
    """By the service, with 1; contradictions are 2."""
    run("rotate", "a", code=1)
    run("rotate", "none", code=3)
    run("rotate", "a", "--days", "1", "--schedule", "rate(1 day)", code=2)
    run("rotate", "a", "--later", "--wait", "1", code=2)
