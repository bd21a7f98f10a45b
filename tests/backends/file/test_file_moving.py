"""Secrets in from AWS, dotenv, JSON, sops and chamber, and out again, a plan first."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from smclient import SecretsClient
from smclient.cli.root import root
from smclient.errors import ResourceNotFoundError
from smclient_file import moving
from tests.backends.file.helpers_file import CANARY

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``smclient file …`` on a store, without a word ``s.sms``, which is there and empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMCLIENT_KEY_FILE", str(tmp_path / "k.key"))

    def run(
        verb: str, *arguments: str, stdin: str = "", code: int = 0, store: str = "s.sms"
    ) -> Result:
        command = ["file", verb, store, *arguments]
        result = CliRunner().invoke(root, command, input=stdin)
        assert result.exit_code == code, result.output + repr(result.exception)
        assert CANARY not in result.stderr
        return result

    run("init", "--force")
    return run


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """AWS's Secrets Manager, played by moto."""
    for name, text in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, text)
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        for number in range(23):
            client.create_secret(
                Name=f"app/{number:02}",
                SecretString=f"{CANARY} {number}",
                Description="from aws",
                Tags=[{"Key": "team", "Value": "a" if number % 2 else "b"}],
            )
        client.create_secret(Name="other", SecretBinary=b"\0\xff")
        yield client


def shape(result: Result) -> Any:
    return json.loads(result.stdout)


def test_from_aws_by_prefix_tag_and_name(run: Run, aws: Any) -> None:
    """More than a page of them; again it is unchanged."""
    plan = shape(run("import", "--from", "aws", "--prefix", "app/", "--yes", "--json"))
    assert [step["action"] for step in plan["plan"]] == ["create"] * 23
    assert plan["done"] is True
    assert run("get", "app/07").stdout == f"{CANARY} 7\n"
    again = shape(run("import", "--from", "aws", "--tag", "team=a", "--yes", "--json"))
    assert [step["action"] for step in again["plan"]] == ["unchanged"] * 11
    run("import", "--from", "aws", "--name", "other", "--yes")
    assert run("get", "other").stdout_bytes == b"\0\xff"
    listed = shape(run("list", "--json"))["secrets"]
    assert len(listed) == 24
    assert listed[3]["description"] == "from aws"
    aws.put_secret_value(SecretId="app/07", SecretString="newer")
    everything = run("import", "--from", "aws", "--yes").stdout
    assert "update     app/07" in everything
    assert everything.count("unchanged") == 23
    assert run("get", "app/07").stdout == "newer\n"
    assert run("get", "app/07", "--stage", "AWSPREVIOUS").stdout == f"{CANARY} 7\n"


def test_from_aws_with_arns(run: Run, aws: Any) -> None:
    """Account and region are AWS's then."""
    run("import", "--from", "aws", "--name", "app/01", "--keep-arns", "--yes")
    arn = aws.describe_secret(SecretId="app/01")["ARN"]
    there = ("--account", arn.split(":")[4], "--region", "eu-west-1")
    assert shape(run("get", "app/01", "--json", *there))["arn"] == arn
    run("get", "app/01", code=3)


def test_what_cannot_be_read_is_named_and_the_rest_imported(run: Run, aws: Any) -> None:
    result = run(
        "import", "--from", "aws", "--name", "none", "--name", "app/01", "--yes", "--json", code=1
    )
    assert list(shape(result)["errors"]) == ["none"]
    assert run("get", "app/01").stdout == f"{CANARY} 1\n"


def test_a_plan_changes_nothing(run: Run, aws: Any) -> None:
    before = Path("s.sms").read_bytes()
    shown = run("import", "--from", "aws", "--prefix", "app/", "--dry-run").stdout
    assert shown.count("create ") == 23
    run("import", "--from", "aws", "--prefix", "app/", code=2)  # nobody to ask
    assert Path("s.sms").read_bytes() == before


def test_back_to_aws_with_a_plan(run: Run, aws: Any) -> None:
    """New, changed and unchanged; twice is once."""
    run("import", "--from", "aws", "--prefix", "app/0", "--yes")
    run("put", "app/03", stdin="changed")
    run("put", "made/here", "--tag", "x=y", "--description", "d", stdin="new")
    aws.delete_secret(SecretId="app/05", ForceDeleteWithoutRecovery=True)
    plan = shape(run("export", "--to", "aws", "--dry-run", "--json"))["plan"]
    actions = {step["name"]: step["action"] for step in plan}
    assert (actions["app/03"], actions["app/05"]) == ("update", "create")
    assert (actions["made/here"], actions["app/01"]) == ("create", "unchanged")
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_secret_value(SecretId="made/here")
    run("export", "--to", "aws", "--yes")
    assert aws.get_secret_value(SecretId="app/03")["SecretString"] == "changed"
    assert aws.get_secret_value(SecretId="app/05")["SecretString"] == f"{CANARY} 5"
    assert aws.describe_secret(SecretId="made/here")["Tags"] == [{"Key": "x", "Value": "y"}]
    again = shape(run("export", "--to", "aws", "--yes", "--json"))["plan"]
    assert {step["action"] for step in again} == {"unchanged"}


def test_an_export_after_the_other_side_moved_on(run: Run) -> None:
    """The value of an older version there becomes current again: neither its id nor its token
    makes the write an empty one. Twice is once."""
    run("init", store="there.sms")
    there = ("--to", "aws", "--backend", "file:there.sms", "--yes")
    run("put", "app/db", stdin="ours")
    run("export", *there)
    run("put", "app/db", stdin="of theirs", store="there.sms")
    assert "update     app/db" in run("export", *there).stdout
    assert run("get", "app/db", store="there.sms").stdout == "ours\n"
    previous = run("get", "app/db", "--stage", "AWSPREVIOUS", store="there.sms").stdout
    assert previous == "of theirs\n"
    assert "unchanged  app/db" in run("export", *there).stdout


@pytest.mark.parametrize(("text", "versions"), [("kept", 1), ("other", 2)])
def test_what_is_marked_for_deletion_is_restored(run: Run, text: str, versions: int) -> None:
    """By an import of the same value too, which makes no version then."""
    run("put", "app/db", stdin="kept")
    with SecretsClient("file:s.sms") as client:
        client.call("DeleteSecret", SecretId="app/db", RecoveryWindowInDays=7)
    dump = json.dumps({"secrets": [{"name": "app/db", "value": text}]})
    into = ("-", "--from", "json", "--yes")
    assert "update     app/db" in run("import", *into, stdin=dump).stdout
    assert run("get", "app/db").stdout == text + "\n"
    assert shape(run("verify", "--json"))["versions"] == versions
    assert "unchanged  app/db" in run("import", *into, stdin=dump).stdout
    with SecretsClient("file:s.sms") as client:
        assert "DeletedDate" not in client.call("DescribeSecret", SecretId="app/db")


def test_json_out_and_in_again(run: Run, tmp_path: Path) -> None:
    """Text, bytes, tags, descriptions; the file is the user's alone."""
    run("put", "a", "--tag", "k=v", "--description", "d", stdin=CANARY)
    Path("raw").write_bytes(b"\0\xff")
    run("put", "b", "@raw", "--binary")
    run("export", "--to", "json", "--output", "out.json")
    assert stat.S_IMODE(Path("out.json").stat().st_mode) == 0o600
    os.remove("s.sms")
    run("init", "--force")
    run("import", "out.json", "--from", "json", "--yes")
    first = json.loads(run("export", "--to", "json").stdout)
    assert first == json.loads(Path("out.json").read_text())
    assert [s["name"] for s in first["secrets"]] == ["a", "b"]
    assert json.loads(run("export", "a", "--to", "json").stdout)["secrets"][0]["tags"] == {"k": "v"}
    run("export", "none", "--to", "json", code=2)


def test_dotenv_in_and_out(run: Run) -> None:
    Path(".env").write_text("A=1\nexport B='two words'\n")
    run("import", ".env", "--from", "dotenv", "--into", "app/env", "--yes")
    assert json.loads(run("get", "app/env").stdout) == {"A": "1", "B": "two words"}
    run("import", ".env", "--from", "dotenv", "--under", "app", "--yes")
    assert run("get", "app/B").stdout == "two words\n"
    assert run("export", "app/env", "--to", "dotenv").stdout == "A=1\nB='two words'\n"


def test_sops_and_chamber_exports(run: Run) -> None:
    """What ``sops -d`` and ``chamber export`` print; still encrypted is refused."""
    chamber = json.dumps({"db_password": CANARY, "key": "k"})
    run("import", "-", "--from", "chamber", "--under", "app", "--yes", stdin=chamber)
    assert run("get", "app/db_password").stdout == CANARY + "\n"
    sops = json.dumps({"db": {"user": "u"}, "key": CANARY, "sops": {"version": "3.9"}})
    run("import", "-", "--from", "sops", "--into", "app/sops", "--yes", stdin=sops)
    assert json.loads(run("get", "app/sops").stdout) == {"db": {"user": "u"}, "key": CANARY}
    locked = json.dumps({"key": "ENC[AES256_GCM,data:x]", "sops": {}})
    told = run("import", "-", "--from", "sops", "--into", "x", "--yes", stdin=locked, code=2)
    assert "still encrypted" in told.stderr


@pytest.mark.parametrize("text", ["", "[]", "{}", "x", '{"secrets":[{"name":"a"}]}', "\x00"])
@pytest.mark.parametrize("source", ["json", "chamber", "sops"])
def test_what_cannot_be_read_is_told_without_its_text(run: Run, text: str, source: str) -> None:
    where = () if source == "json" else ("--into", "x")
    result = run("import", "-", "--from", source, *where, "--yes", stdin=text + CANARY, code=2)
    assert CANARY not in result.output
    run("get", "x", code=3)


def test_wrong_usage(run: Run) -> None:
    run("import", "f", "--from", "aws", code=2)
    run("import", "--from", "dotenv", "--into", "x", code=2)
    run("import", "-", "--from", "chamber", code=2, stdin="{}")
    run("import", "none", "--from", "json", code=2)
    run("export", "--to", "dotenv", code=2)


def test_items_hide_their_values() -> None:
    item = moving.Item("a", CANARY.encode())
    assert CANARY not in repr(item) + repr(moving.Step("create", item))
    assert issubclass(ResourceNotFoundError, Exception)
