"""``smclient get``: the one value that was asked for, as it is, and none in any error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smclient import SecretsClient
from smclient.cli.root import root

CANARY = "canary-get-5d20"
BYTES = bytes(range(256))
Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An SQLite store with a few secrets, by its URL."""
    url = f"embedded://{tmp_path / 'secrets.db'}"
    secrets = {
        "prod/web": json.dumps({"key": CANARY, "port": 8080, "hosts": ["a", "b"], "no": None}),
        "prod/text": f"{CANARY} é\nsecond line",
        "prod/empty-object": "{}",
    }
    with SecretsClient(url) as client:
        for name, text in secrets.items():
            client.call("CreateSecret", Name=name, SecretString=text)
        client.call("CreateSecret", Name="prod/binary", SecretBinary=BYTES)
        client.call("CreateSecret", Name="prod/moved", SecretString="older")
        client.call("PutSecretValue", SecretId="prod/moved", SecretString="newer")
    return url


@pytest.fixture
def run(store: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``smclient get`` on the store, which the environment names."""
    monkeypatch.setenv("SMCLIENT_BACKEND", store)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(root, ["get", *arguments])

    return invoke


@pytest.mark.parametrize(
    ("secret", "printed"),
    [
        ("prod/text", f"{CANARY} é\nsecond line\n"),
        ("secret://prod/text", f"{CANARY} é\nsecond line\n"),
        ("secret://prod/web#key", f"{CANARY}\n"),
        ("secret://prod/web#port", "8080\n"),
        ("secret://prod/web#hosts", '["a", "b"]\n'),
        ("secret://prod/web#hosts[0]", "a\n"),
        ("secret://prod/moved?stage=AWSPREVIOUS", "older\n"),
        ("secret://prod/none?optional=1", "null\n"),
        ("{{resolve:secretsmanager:prod/web:SecretString:key}}", f"{CANARY}\n"),
        ("x={{resolve:secretsmanager:prod/web:SecretString:key}};", f"x={CANARY};\n"),
        ("prod/empty-object", "{}\n"),
    ],
)
def test_the_value_is_printed_as_it_is(run: Run, secret: str, printed: str) -> None:
    """Text as text, anything else as JSON, and nothing beside it."""
    answer = run(secret)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout == printed
    assert answer.stderr == ""


def test_a_secret_by_arn(run: Run, store: str) -> None:
    """Whole, without its six characters, and with a key as ECS writes it."""
    with SecretsClient(store) as client:
        arn = client.get("prod/web").arn
    for secret_id in (arn, arn[:-7]):
        assert json.loads(run(secret_id).stdout)["key"] == CANARY
    answer = run(f"{arn}:key::")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout == f"{CANARY}\n"


def test_another_stage(run: Run) -> None:
    """``--stage`` for a name."""
    assert run("prod/moved").stdout == "newer\n"
    assert run("prod/moved", "--stage", "AWSPREVIOUS").stdout == "older\n"
    missing = run("prod/moved", "--stage", "AWSPENDING")
    assert (missing.exit_code, missing.stdout) == (3, "")
    assert "AWSPENDING" in missing.stderr


def test_a_stage_beside_a_reference_is_refused(run: Run) -> None:
    """A reference names its own; ignoring the option would print the wrong value."""
    answer = run("secret://prod/moved", "--stage", "AWSPREVIOUS")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "?stage=" in answer.stderr


def test_bytes_are_printed_as_they_are(run: Run) -> None:
    """Fit for redirection: no newline, nothing decoded."""
    assert run("prod/binary").stdout_bytes == BYTES
    assert run("secret://prod/binary").stdout_bytes == BYTES


def test_json_has_a_documented_shape(run: Run, store: str) -> None:
    """Name, ARN, version and value for a secret; the reference and the value for a reference."""
    with SecretsClient(store) as client:
        found = client.get("prod/text")
    assert json.loads(run("prod/text", "--json").stdout) == {
        "name": "prod/text",
        "arn": found.arn,
        "version_id": found.version_id,
        "value": f"{CANARY} é\nsecond line",
    }
    assert json.loads(run("secret://prod/web#hosts", "--json").stdout) == {
        "reference": "secret://prod/web#hosts",
        "value": ["a", "b"],
    }
    value = json.loads(run("prod/binary", "--json").stdout)["value"]
    assert base64.b64decode(value["base64"]) == BYTES


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("prod/none",), 3, "prod/none"),
        (("secret://prod/web#nokey",), 1, "'nokey'"),
        (("secret://prod/text#key",), 1, "not JSON"),
        (("secret://prod/binary#key",), 1, "binary"),
        (("secret://prod/web#",), 2, "key"),
        (("secret://prod/web?colour=red#key",), 2, "colour"),
        (("x {{resolve:secretsmanager:prod/binary}} y",), 1, "binary"),
        (("aws-secretsmanager:prod/web;prod/text",), 1, "prod/text"),
        (("prod/web", "--stage", "NONE"), 3, "NONE"),
        (("prod web!?",), 1, "prod web!?"),
        (("",), 2, "empty"),
        (("prod/web", "--colour"), 2, "--colour"),
        ((), 2, "SECRET"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_error_prints_a_value(
    run: Run, arguments: tuple[str, ...], code: int, said: str, as_json: bool
) -> None:
    """Each names what was wrong; nothing is on standard output, and no traceback anywhere."""
    answer = run(*arguments, *(["--json"] if as_json else []))
    assert (answer.exit_code, answer.stdout) == (code, ""), answer.stderr
    assert said in answer.stderr
    assert "canary" not in answer.output
    assert "Traceback" not in answer.output
    assert answer.exception is None or isinstance(answer.exception, SystemExit)


def test_an_option_wins_over_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--backend`` for one call."""
    answer = run("prod/text", "--backend", "null://")
    assert answer.exit_code == 0
    assert "smclient-null-placeholder" in answer.stdout
    monkeypatch.setenv("SMCLIENT_BACKEND", "bogus://")
    assert run("prod/text").exit_code == 2
