"""``smclient control`` against a server process: the same as the control endpoint, from a shell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from smclient.cli.root import root
from tests.backends.embedded.http.served import ACCESS_KEY, REGION, SECRET_KEY, Serve, Served, boto


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server that takes the administrator's signature."""
    return serve("--control", "--region", REGION)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator's, in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def control(served: Served, *args: str, code: int = 0) -> Any:
    """What the command prints."""
    where = ("--endpoint", served.endpoint, "--region", REGION)
    result: Result = CliRunner().invoke(root, ["control", *args, *where])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout) if code == 0 else result.output


def test_faults_are_added_listed_and_ended(served: Served) -> None:
    """A storm of two; then an outage of one secret, which is ended by its number."""
    client = boto(served.endpoint)
    client.create_secret(Name="a", SecretString="v")
    control(served, "faults", "add", "throttling", "--operation", "Get*", "--count", "1")
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.get_secret_value(SecretId="a")
    assert client.get_secret_value(SecretId="a")["SecretString"] == "v"
    error = ("--code", "InternalServiceError", "--status", "500", "--secret", "a")
    number = control(served, "faults", "add", "error", *error)["number"]
    shown = {fault["number"]: fault for fault in control(served, "faults", "list")["faults"]}
    assert shown[number]["kind"] == "error"
    assert control(served, "faults", "clear", str(number)) == {"ended": True}
    assert control(served, "faults", "clear") == {"faults": []}


def test_the_clock_is_shown_and_moved(served: Served) -> None:
    """Only onwards."""
    assert control(served, "clock")["moved_seconds"] == 0
    assert control(served, "clock", "--advance", "3600")["moved_seconds"] == 3600
    assert "never back" in control(served, "clock", "--advance", "-1", code=1)


def test_counts_what_is_due_and_a_new_beginning(served: Served) -> None:
    """As JSON."""
    client = boto(served.endpoint)
    client.create_secret(Name="a", SecretString="v")
    client.delete_secret(SecretId="a", RecoveryWindowInDays=7)
    control(served, "clock", "--advance", str(8 * 86400))
    assert len(control(served, "run-due")["deleted"]) <= 1  # the server runs it by itself, too
    assert control(served, "metrics")["metrics"]
    assert control(served, "usage")["bill"]["dollars"]["total"]
    client.create_secret(Name="b", SecretString="v")
    assert control(served, "reset")["removed"] == 1
    assert control(served, "clock")["moved_seconds"] == 0


def test_who_is_not_the_administrator_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, and nothing is done."""
    boto(served.endpoint).create_secret(Name="a", SecretString="v")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert "signature" in control(served, "reset", code=4)
    assert boto(served.endpoint).get_secret_value(SecretId="a")["SecretString"] == "v"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Exit code 5."""
    result = CliRunner().invoke(root, ["control", "metrics", "--endpoint", "http://127.0.0.1:9"])
    assert result.exit_code == 5
