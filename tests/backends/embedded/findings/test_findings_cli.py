"""``smclient findings``: tables, JSON, frameworks, what others found, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient.cli.root import root
from smclient_embedded import EmbeddedService


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with two secrets in two accounts, neither rotated nor tagged."""
    url = f"embedded://{tmp_path}/secrets.db"
    for account in ("111111111111", "222222222222"):
        with EmbeddedService(url, account=account) as service:
            request = {
                "Name": "web/db",
                "SecretString": "canary-1f",
                "ClientRequestToken": "t" * 32,
            }
            service.call("CreateSecret", request)
    return url


@pytest.fixture
def run(url: str) -> Callable[..., Result]:
    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(root, ["findings", "--store", url, *args])
        assert result.exit_code == code, (result.output, result.exception)
        assert "canary-1f" not in result.output
        return result

    return run


def of(result: Result) -> Any:
    return json.loads(result.output)


def test_prints_what_is_open_over_all_accounts(run: Callable[..., Result]) -> None:
    """With the reason; what passed only if asked."""
    lines = run().output.splitlines()
    assert lines[0].split()[:4] == ["SEVERITY", "STATUS", "CONTROL", "ACCOUNT"]
    assert sum("SecretsManager.1" in line for line in lines) == 2
    assert not any("PASSED" in line for line in lines)
    assert any("PASSED" in line for line in run("--all").output.splitlines())


def test_prints_asff_as_json(run: Callable[..., Result]) -> None:
    """Those that are open, or all."""
    opened, every = of(run("--json")), of(run("--json", "--all"))
    assert {one["Compliance"]["Status"] for one in opened} == {"FAILED"}
    assert len(every) > len(opened)
    assert {one["AwsAccountId"] for one in of(run("--json", "--account", "222222222222"))} == {
        "222222222222"
    }


def test_stops_a_pipeline_if_told(run: Callable[..., Result]) -> None:
    """Exit code 1 while something is open."""
    run("--fail", code=1)
    ids = [one["Id"] for one in of(run("--json"))]
    run("--fail", *(part for one in ids for part in ("--suppress", one)))


def test_shows_a_framework(run: Callable[..., Result]) -> None:
    """Requirement, controls, numbers, what is evidenced."""
    assert "PCI DSS v4.0.1/8.6.3" in run("--framework", "pci").output
    told = of(run("--framework", "gdpr", "--json"))
    assert told[0].keys() >= {"requirement", "evidences", "controls", "passed", "failed", "open"}
    run("--framework", "none", code=2)


def test_counts(run: Callable[..., Result]) -> None:
    """By account, among others."""
    counted = of(run("--summary", "--json"))
    assert counted["by_account"]["111111111111"] == counted["by_account"]["222222222222"]
    assert "SEVERITY" in run("--summary").output


@pytest.mark.parametrize(
    ("name", "text"),
    [("p.toml", "maximumAllowedRotationFrequency = 7\n"), ("p.json", '{"unusedForDays": 1}')],
)
def test_takes_parameters_from_a_file(
    run: Callable[..., Result], tmp_path: Path, name: str, text: str
) -> None:
    """TOML or JSON."""
    path = tmp_path / name
    path.write_text(text)
    found = of(run("--json", "--all", "--parameters", str(path)))
    shown = [p for one in found for p in one["Compliance"].get("SecurityControlParameters", [])]
    assert any(parameter["Value"] in (["7"], ["1"]) for parameter in shown)


@pytest.mark.parametrize("text", ["not = ", "unusedForDays = 0", "color = 1"])
def test_refuses_parameters_that_are_none(
    run: Callable[..., Result], tmp_path: Path, text: str
) -> None:
    """As wrong usage."""
    path = tmp_path / "p.toml"
    path.write_text(text)
    run("--parameters", str(path), code=2)


def test_takes_in_what_others_found(run: Callable[..., Result], tmp_path: Path) -> None:
    """An array, or what get-findings printed; from then on it is there."""
    finding = {
        "SchemaVersion": "2018-10-08",
        "Id": "macie-1",
        "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/macie",
        "GeneratorId": "aws/macie",
        "AwsAccountId": "111111111111",
        "Types": ["Sensitive Data Identifications/Passwords"],
        "CreatedAt": "2026-09-24T09:00:00Z",
        "UpdatedAt": "2026-09-24T09:00:00Z",
        "Severity": {"Label": "HIGH"},
        "Title": "A password in a bucket",
        "Description": "It looks like one of ours.",
        "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b"}],
    }
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"Findings": [finding]}))
    assert "A password in a bucket" in run("--take-in", str(path)).output
    assert "A password in a bucket" in run().output
    path.write_text("[3]")
    assert "finding 0 is not an object" in run("--take-in", str(path), code=2).output
    path.write_text("{}")
    run("--take-in", str(path), code=2)
    path.write_text("{")
    run("--take-in", str(path), code=2)


def test_refuses_to_suppress_what_is_not_there(run: Callable[..., Result]) -> None:
    """A slip of the pen is not a settled finding."""
    run("--suppress", "none", code=2)
