"""The root command and ``get``: exit codes, one line for an error, a value only when asked for."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from smclient.cli import root as root_module
from smclient.cli.root import exit_code, root
from smclient.errors import (
    AccessDeniedError,
    ConfigError,
    CredentialsError,
    InvalidReferenceError,
    ResourceNotFoundError,
    SecretKeyError,
    SmclientError,
    ThrottlingError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (InvalidReferenceError("x"), 2),
        (ResourceNotFoundError("x"), 3),
        (AccessDeniedError("x"), 4),
        (CredentialsError("x"), 4),
        (ThrottlingError("x"), 5),
        (SecretKeyError("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: SmclientError, code: int) -> None:
    """As documented in the help."""
    assert exit_code(error) == code


def test_help_names_the_commands_without_loading_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command whose package is missing must not break the others."""
    monkeypatch.setattr(root_module.Root, "get_command", lambda *_: pytest.fail("loaded"))
    shown = CliRunner().invoke(root, ["--help"]).output
    assert "get" in shown
    assert "demo" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["get", "absent", "--backend", "embedded://"], 3, "absent"),
        (["get", "secret://a?b=1", "--backend", "null://"], 2, "query option 'b'"),
        (["get", "a", "--backend", "nobody://"], 2, "nobody"),
        (["get"], 2, "SECRET"),
    ],
)
def test_an_error_is_one_line_and_a_code(arguments: list[str], code: int, words: str) -> None:
    """Without a traceback."""
    done = CliRunner().invoke(root, arguments)
    assert done.exit_code == code
    assert words in done.output
    assert "Traceback" not in done.output


def test_get_prints_the_value_plain_or_as_json() -> None:
    """Of a reference, or of a whole secret."""
    plain = CliRunner().invoke(root, ["get", "secret://a#b", "--backend", "null://"])
    assert plain.output == "smclient-null-placeholder\n"
    shown = CliRunner().invoke(root, ["get", "a", "--backend", "null://", "--json"])
    assert json.loads(shown.output)["name"] == "a"
