"""``agent://``: where the token comes from, and that it is never shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from smclient import load_backend
from smclient.agent import TOKEN_VARIABLES, AgentBackend
from smclient.backend import Backend
from smclient.errors import CredentialsError
from smclient.secret import SecretRef
from tests.core.agent.helpers_agent import TOKEN, VALUE, Agent, refusal


@pytest.mark.parametrize("name", TOKEN_VARIABLES)
@pytest.mark.parametrize("from_file", [False, True])
def test_the_token_comes_from_any_of_the_variables(
    agent: Agent,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    from_file: bool,
) -> None:
    """As a value or as file://path, trimmed."""
    monkeypatch.delenv("AWS_TOKEN")
    (tmp_path / "token").write_text(f"  {TOKEN}\n")
    monkeypatch.setenv(name, f"file://{tmp_path / 'token'}" if from_file else f" {TOKEN}\n")
    assert backend.fetch(SecretRef("db")).value.text == VALUE


def test_the_first_variable_wins(
    agent: Agent, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the agent's own order."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    assert backend.fetch(SecretRef("db")).value.text == VALUE


def test_a_token_file_is_read_again_when_it_changes(agent: Agent, tmp_path: Path) -> None:
    """The agent was restarted with a new token; nothing is restarted here."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    backend = load_backend(f"agent://localhost:{agent.port}?token_file={file}")
    backend.fetch(SecretRef("db"))
    agent.token = "another-token"
    assert type(refusal(backend)) is CredentialsError
    file.write_text("another-token")
    assert backend.fetch(SecretRef("db")).value.text == VALUE


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"two\nlines", b"caf\xc3\xa9"])
def test_a_bad_token_file_is_named_and_not_shown(
    agent: Agent, tmp_path: Path, content: bytes | None
) -> None:
    """Missing, empty, no text, or what would break out of the header; nobody is asked."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    error = refusal(AgentBackend("localhost", agent.port, token_file=str(file)))
    assert type(error) is CredentialsError
    assert error.attempts == 0
    assert str(file) in str(error)
    assert "lines" not in str(error).replace("line breaks", "")
    assert agent.requests == []


def test_no_token_names_the_variables(
    agent: Agent, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And asks nobody."""
    monkeypatch.delenv("AWS_TOKEN")
    error = refusal(backend)
    assert isinstance(error, CredentialsError)
    assert all(name in str(error) for name in (*TOKEN_VARIABLES, "token_file"))
    assert agent.requests == []


def test_nothing_is_logged_or_shown(
    backend: Backend, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, and in the repr."""
    with caplog.at_level(logging.DEBUG):
        backend.fetch(SecretRef("db"))
        refusal(backend, SecretRef("none"))
    assert TOKEN not in caplog.text
    assert VALUE not in caplog.text
    assert repr(backend) == f"AgentBackend(localhost:{agent.port})"
    assert TOKEN not in repr(vars(backend))
