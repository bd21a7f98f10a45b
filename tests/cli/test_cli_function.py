"""``smclient function``: Lambda code in a store, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SMCLIENT = Path(sys.executable).with_name("smclient")
CODE = """
import os
def lambda_handler(event, context):
    print("said by", context.function_name)
    if event.get("fail"):
        raise ValueError("canary-1")
    return {"event": event, "variable": os.environ.get("A")}
"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


class Command:
    """The command over one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"embedded://{folder}/secrets.db"
        self.code = folder / "lambda_function.py"
        self.code.write_text(CODE)

    def __call__(
        self, *arguments: str, stdin: str = "", store: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SMCLIENT, "function", *arguments, "--store", store or self.store],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SMCLIENT_PASSPHRASE": "passphrase of the test"},
        )

    def add(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self("add", "f", "--file", str(self.code), *more)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_add_prints_the_arn(command: Command) -> None:
    added = command.add("--handler", "lambda_function.lambda_handler")
    assert (added.returncode, added.stdout, added.stderr) == (0, f"{ARN}\n", "")
    shown = json.loads(command.add("--json").stdout)
    assert shown == {"name": "f", "arn": ARN}


def test_invoke_is_a_dry_run_and_logs_shows_what_it_said(command: Command) -> None:
    """The result is on standard output alone."""
    (command.folder / "value").write_text("from a file\n")
    command.add("--env", f"A=@{command.folder}/value")
    done = command("invoke", "f", "--event", "-", stdin='{"n": 1}')
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"event": {"n": 1}, "variable": "from a file"}
    assert "said by f" in done.stderr
    logs = command("logs", "f")
    assert "said by f" in logs.stdout
    assert command("logs", "f", "--lines", "1").stdout.startswith("REPORT ")


def test_invoke_of_what_fails_exits_with_1(command: Command) -> None:
    command.add()
    failed = command("invoke", "f", "--event", "-", stdin='{"fail": true}')
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.endswith("error: ValueError\n")
    shown = json.loads(command("invoke", "f", "--json", "--event", "-", stdin='{"fail": 1}').stdout)
    assert shown["error"] == "ValueError"


def test_list_shows_no_values(command: Command) -> None:
    command.add("--env", "A=canary-2", "--timeout", "5", "--memory", "300")
    (shown,) = json.loads(command("list", "--json").stdout)
    assert shown["arn"] == ARN
    assert shown["environment"] == ["A"]
    assert (shown["timeout_seconds"], shown["memory_mb"]) == (5.0, 300)
    text = command("list").stdout
    assert text.startswith("f  lambda_function.lambda_handler  ")
    assert "canary" not in text


def test_remove_forgets_it(command: Command) -> None:
    command.add()
    assert command("remove", "f").returncode == 0
    assert command("list").stdout == ""
    gone = command("remove", "f")
    assert gone.returncode == 3
    assert "there is no function 'f'" in gone.stderr


def test_a_role_policy_takes_the_place_of_the_default(command: Command) -> None:
    """If it is one."""
    policy: Any = command.folder / "policy.json"
    policy.write_text('{"Version": "2012-10-17", "Statement": []}')
    assert command.add("--role-policy", str(policy)).returncode in (0, 2)
    policy.write_text("no policy")
    refused = command.add("--role-policy", str(policy))
    assert refused.returncode == 2
    assert "its role policy is none" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--env", "A"), "K=V"),
        (("--env", "A=@/nowhere"), "cannot be read"),
        (("--handler", "nope.handler"), "no module 'nope'"),
        (("--python", "/nowhere/python"), "no interpreter"),
        (("--env", "AWS_REGION=x"), "is set by the service"),
    ],
    ids=str,
)
def test_wrong_usage_exits_with_2(command: Command, arguments: tuple[str, ...], says: str) -> None:
    refused = command.add(*arguments)
    assert refused.returncode == 2
    assert says in refused.stderr


def test_a_store_that_keeps_no_functions_is_refused(command: Command) -> None:
    """The encrypted file says so; a store in memory would end with the command."""
    path = command.folder / "secrets.sms"
    subprocess.run(
        [SMCLIENT, "file", "init", path],
        check=True,
        capture_output=True,
        env={**os.environ, "SMCLIENT_PASSPHRASE": "passphrase of the test"},
    )
    file = command("add", "f", "--file", str(command.code), store=f"file://{path}")
    assert file.returncode == 2
    assert "keeps secrets, not functions" in file.stderr
    memory = command("list", store="embedded://")
    assert memory.returncode == 2
    assert "ends with this command" in memory.stderr


def test_store_or_endpoint_must_be_named() -> None:
    wrong = subprocess.run(
        [SMCLIENT, "function", "list"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "--store URL or --endpoint URL" in wrong.stderr
