"""``smclient doctor`` and ``smclient ref explain``: what is wrong, without showing a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient import AccessDeniedError, BackendUnavailableError, SecretsClient
from smclient.cli.doctor import skew_check
from smclient.cli.root import root
from smclient.clock import SYSTEM_CLOCK

CANARY = "canary-value-c14"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on a store of its own; the canary is in no output."""
    monkeypatch.setenv("SMCLIENT_BACKEND", f"embedded://{tmp_path}/secrets.db")

    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(root, args)
        assert result.exit_code == code, (result.output, result.exception)
        assert CANARY not in result.output
        return result

    return run


@pytest.fixture
def client(run: Run) -> Iterator[SecretsClient]:
    """A client of the same store, with one secret."""
    with SecretsClient() as made:
        made.call("CreateSecret", Name="app", SecretString=json.dumps({"pw": CANARY}))
        yield made


def checks(run: Run, *args: str, code: int = 0) -> dict[str, tuple[str, str]]:
    """Each check's status and detail."""
    shown = json.loads(run("doctor", "--json", *args, code=code).stdout)
    assert shown["ok"] is (code == 0)
    return {row["check"]: (row["status"], row["detail"]) for row in shown["checks"]}


@pytest.mark.usefixtures("client")
def test_a_healthy_machine_is_told_so(run: Run, tmp_path: Path) -> None:
    """Backend, identity, endpoint, permissions."""
    found = checks(run, "--secret", "app")
    assert {status for status, _ in found.values()} == {"ok"}
    assert set(found) == {
        "backend",
        "identity",
        "endpoint",
        "ListSecrets",
        "GetSecretValue app",
        "DescribeSecret app",
        "BatchGetSecretValue app",
    }
    assert found["endpoint"][1] == f"embedded://{tmp_path}/secrets.db"
    assert "ok  GetSecretValue app" in run("doctor", "--secret", "app").stdout


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("error", "code"),
    [(AccessDeniedError("not allowed"), 0), (BackendUnavailableError("no answer"), 5)],
)
def test_what_fails_says_why_and_gives_the_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    """A denied ListSecrets or DescribeSecret is only noted: reads do without them."""
    real = SecretsClient.call

    def call(self: SecretsClient, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation in ("ListSecrets", "DescribeSecret"):
            raise error
        return real(self, operation, **parameters)

    monkeypatch.setattr(SecretsClient, "call", call)
    found = checks(run, "--secret", "app", code=code)
    for check in ("ListSecrets", "DescribeSecret app"):
        status, detail = found[check]
        assert status == ("fail" if code else "note")
        assert str(error) in detail
    assert found["GetSecretValue app"] == ("ok", "allowed")


def test_a_backend_that_cannot_be_opened_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason; a password in the URL is not repeated."""
    found = checks(run, "--backend", "nosuch://", code=2)
    assert list(found) == ["backend"]
    run("doctor", "--backend", f"nosuch://u:{CANARY}@h", code=2)
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    found = checks(run)
    assert found["endpoint"] == ("ok", "null://")
    assert found["ListSecrets"][0] == "note"


def test_an_endpoint_that_is_not_awss_is_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that names it; nobody there is 5."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = run("doctor", "--backend", "aws://eu-west-1", "--json", code=5)
    rows = [(r["check"], r["status"], r["detail"]) for r in json.loads(result.stdout)["checks"]]
    assert ("endpoint", "note", "http://127.0.0.1:9 is not AWS's own") in rows
    assert ("endpoint", "note", "AWS_ENDPOINT_URL is set") in rows


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (299, "ok"), (-299, "ok"), (300, "fail"), (-4000, "fail")]
)
def test_a_clock_that_is_off_is_told(seconds: int, status: str) -> None:
    """Five minutes either way is too much."""
    now = SYSTEM_CLOCK.now()
    assert skew_check(now - timedelta(seconds=seconds), now).status == status


@pytest.mark.usefixtures("client")
def test_the_references_of_a_file_are_resolved(run: Run, tmp_path: Path) -> None:
    """By line; what is absent, wrong or optional is told apart."""
    file = tmp_path / "config.env"
    file.write_text(
        'A="secret://app#pw"\nB=x {{resolve:secretsmanager:app:SecretString:pw}} y\n'
        "C=secret://app#none\nD=secret://app?optional=1#none\nE=secret://none#x\n"
        "F=secret://app?stag=X\nG={{resolve:secretsmanager:app\nH=plain\n"
        "I=aws-secretsmanager:app\n"
    )
    result = run("doctor", "--references", str(file), "--json", code=1)
    rows = json.loads(result.stdout)["checks"][4:]
    lines = [(row["check"].partition(":")[2].split()[0], row["status"]) for row in rows]
    assert lines == [
        ("1", "ok"),
        ("2", "ok"),
        ("3", "fail"),
        ("4", "note"),
        ("5", "fail"),
        ("6", "fail"),
        ("7", "fail"),
        ("9", "ok"),
    ]
    assert "its keys are 'pw'" in rows[2]["detail"]


# --- ref explain ----------------------------------------------------------------------------------


def part(secret: str, **more: Any) -> dict[str, Any]:
    """A reference as it is shown."""
    plain = {"stage": "AWSCURRENT", "version": None, "key": None, "optional": False}
    return {"secret": secret, **plain, **more}


@pytest.mark.parametrize(
    ("text", "form", "parts", "scanned"),
    [
        ("secret://a/b", "reference", [part("a/b")], True),
        (
            "secret://a?version=v&optional=1#k%23",
            "reference",
            [part("a", stage=None, version="v", optional=True, key="k#")],
            True,
        ),
        (
            "x{{resolve:secretsmanager:a:SecretString:k:AWSPREVIOUS}}",
            "template",
            [{"text": "x"}, part("a", key="k", stage="AWSPREVIOUS")],
            True,
        ),
        ("aws-secretsmanager:a;b", "merged", [part("a"), part("b")], True),
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf:k::",
            "reference",
            [part("arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf", key="k")],
            False,
        ),
    ],
)
def test_how_a_reference_is_read(
    run: Run, text: str, form: str, parts: list[dict[str, Any]], scanned: bool
) -> None:
    """Form, parts, and whether configuration is scanned for it. Nobody is asked."""
    shown = json.loads(run("ref", "explain", text, "--json").stdout)
    assert (shown["form"], shown["parts"], shown["in_configuration"]) == (form, parts, scanned)
    again = json.loads(run("ref", "explain", shown["canonical"], "--json").stdout)
    assert again["parts"] == parts
    assert f"form              {form}" in run("ref", "explain", text).stdout


def test_a_bad_reference_names_its_segment(run: Run) -> None:
    """Wrong usage."""
    assert "query option 'stag'" in run("ref", "explain", "secret://a?stag=x", code=2).stderr
    assert "it is none of" in run("ref", "explain", "nonsense", code=2).stderr
