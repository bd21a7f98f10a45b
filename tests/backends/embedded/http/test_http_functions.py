"""Functions at a running server: code from outside runs only where three things allow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded import EmbeddedService
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.errors import AccessDeniedException, InvalidParameterException
from smclient_embedded.function_desk import FunctionDesk
from tests.backends.embedded.http.served import ACCESS_KEY, BIN, SECRET_KEY

CODE = "import sys\ndef lambda_handler(event, context): return sys.orig_argv[0]\n"


def function(served: Any, *arguments: str, secret: str = SECRET_KEY, stdin: str = "") -> Any:
    """`smclient function … --endpoint`, signed."""
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": secret}
    return subprocess.run(
        [BIN / "smclient", "function", *arguments, "--endpoint", served.ready["endpoint"]],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        env={**os.environ, **keys},
    )


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "lambda_function.py"
    path.write_text(CODE)
    return str(path)


@pytest.fixture
def allowing(serve: Any) -> Any:
    return serve("--allow-function-upload")


def test_the_administrator_can_register_run_and_remove_one(allowing: Any, code: str) -> None:
    """Everything that --store can."""
    added = function(allowing, "add", "f", "--file", code)
    assert added.returncode == 0, added.stderr
    assert added.stdout.strip().endswith(":function:f")
    run_by = json.loads(function(allowing, "invoke", "f").stdout)
    assert Path(run_by).parent == Path(sys.executable).parent
    assert "START RequestId" in function(allowing, "logs", "f").stdout
    assert [f["name"] for f in json.loads(function(allowing, "list", "--json").stdout)] == ["f"]
    assert function(allowing, "remove", "f").returncode == 0
    assert function(allowing, "remove", "f").returncode == 3


def test_a_wrong_signature_registers_nothing(allowing: Any, code: str) -> None:
    refused = function(allowing, "add", "f", "--file", code, secret="another")
    assert refused.returncode == 4
    assert function(allowing, "list").stdout == ""


def test_a_server_that_was_not_told_to_takes_none(serve: Any, code: str) -> None:
    refused = function(serve(), "add", "f", "--file", code)
    assert refused.returncode == 4
    assert "--allow-function-upload" in refused.stderr


def test_an_interpreter_must_be_one_that_the_server_was_started_with(
    serve: Any, code: str, tmp_path: Path
) -> None:
    """The server's own is."""
    link = tmp_path / "given-python"
    link.symlink_to(sys.executable)
    other = tmp_path / "other-python"
    other.symlink_to(sys.executable)
    served = serve("--allow-function-upload", "--function-python", str(link))
    refused = function(served, "add", "f", "--file", code, "--python", str(other))
    assert refused.returncode != 0
    assert "--function-python" in refused.stderr
    assert function(served, "add", "f", "--file", code, "--python", str(link)).returncode == 0
    assert json.loads(function(served, "invoke", "f").stdout) == str(link)


@pytest.mark.parametrize(
    "arguments",
    [("--allow-function-upload", "--no-verify-signatures"), ("--function-python", sys.executable)],
    ids=str,
)
def test_options_that_would_open_the_door_are_refused(arguments: tuple[str, ...]) -> None:
    refused = subprocess.run(
        [BIN / "smclient", "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "--allow-function-upload" in refused.stderr


class TestTheDesk:
    @pytest.mark.parametrize("kind", ["user", "role"])
    @pytest.mark.parametrize("action", ["Add", "List", "Remove", "Invoke", "Logs"])
    def test_serves_the_administrator_alone(self, kind: Any, action: str) -> None:
        with EmbeddedService() as service:
            caller = Principal(f"arn:aws:iam::{service.account}:user/u", service.account, kind)
            context = RequestContext(caller, service.region, "id")
            with pytest.raises(AccessDeniedException, match="only the administrator"):
                FunctionDesk(service, pythons=[]).answer(action, {"name": "f"}, context)

    def test_serves_the_administrator_of_no_other_account(self) -> None:
        with EmbeddedService() as service:
            context = RequestContext(Principal.administrator("9" * 12), service.region, "id")
            with pytest.raises(AccessDeniedException, match="only the administrator"):
                FunctionDesk(service, pythons=[]).answer("List", {}, context)

    @pytest.mark.parametrize(
        ("action", "given"),
        [
            ("Nope", {}),
            ("Add", {}),
            ("Add", {"name": 5}),
            ("Add", {"name": "f"}),
            ("Add", {"name": "f", "package": "!"}),
            ("Add", {"name": "f", "package": "AAAA"}),
            ("Add", {"name": "f", "package": "", "timeout": "30"}),
            ("Add", {"name": "f", "package": "", "memory_mb": True}),
            ("Add", {"name": "f", "package": "", "environment": {"A": 5}}),
            ("Add", {"name": "f", "package": "", "environment": ["A"]}),
            ("Invoke", {"name": "f", "event": []}),
        ],
        ids=str,
    )
    def test_refuses_what_is_none(self, action: str, given: dict[str, Any]) -> None:
        """With AWS's error for a bad parameter."""
        with EmbeddedService() as service:
            context = RequestContext(service.principal(), service.region, "id")
            with pytest.raises(InvalidParameterException):
                FunctionDesk(service, pythons=[]).answer(action, given, context)
