"""``agent://``: what is refused, by AWS, by the agent, or because nobody answers."""

from __future__ import annotations

import socket
import threading

import pytest

from smclient import load_backend
from smclient.agent import AgentBackend
from smclient.backend import Backend
from smclient.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    CredentialsError,
    InternalServiceError,
    InvalidParameterError,
    NotSupportedError,
    ResourceNotFoundError,
    ThrottlingError,
    TransientError,
)
from smclient.secret import SecretRef
from tests.core.agent.helpers_agent import TOKEN, VALUE, Agent, refusal


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", ResourceNotFoundError),
        ("AccessDeniedException", AccessDeniedError),
        ("com.amazonaws.secretsmanager#AccessDeniedException", AccessDeniedError),
        ("InvalidSignatureException", CredentialsError),
        ("ThrottlingException", ThrottlingError),
        ("Throttling", ThrottlingError),
    ],
)
def test_awss_own_refusals_pass_through(
    backend: Backend, agent: Agent, code: str, kind: type[BackendError]
) -> None:
    """With code and text, also where the agent's JSON is none because it does not escape."""
    agent.canned.append((400, b'{"__type":"%s","message":"not "you" again"}' % code.encode()))
    error = refusal(backend)
    assert type(error) is kind
    assert error.code == code.rpartition("#")[2]
    assert 'not "you" again' in str(error)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (504, b'{"__type":"TimeoutError","message":"Timeout"}', BackendUnavailableError),
        (502, b'{"__type":"ConnectionError","message":"Read Error"}', BackendUnavailableError),
        (500, b'{"__type":"InternalFailure","message":""}', InternalServiceError),
        (503, b"Serving not enabled.", BackendUnavailableError),
        (429, b"Connection limit exceeded", ThrottlingError),
    ],
)
def test_what_may_pass_is_transient(
    backend: Backend, agent: Agent, status: int, body: bytes, kind: type[BackendError]
) -> None:
    """So that a held value is served meanwhile; the next request may be answered again."""
    agent.canned.append((status, body))
    error = refusal(backend)
    assert type(error) is kind
    assert isinstance(error, TransientError)
    assert backend.fetch(SecretRef("db")).value.text == VALUE


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidParameterError), (405, NotSupportedError), (404, BackendError)],
)
def test_other_refusals_say_the_status(
    backend: Backend, agent: Agent, status: int, kind: type[BackendError]
) -> None:
    """Unknown path, parameter or method: an older agent, or something else on the port."""
    agent.canned.append((status, b"Not found\r\nX: y"))
    error = refusal(backend)
    assert type(error) is kind
    assert f"answered {status}: Not found  X: y" in str(error)


def test_a_wrong_token_is_refused_with_what_to_do(
    backend: Backend, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """403: the message names the agent's own environment and shows neither token."""
    monkeypatch.setenv("AWS_TOKEN", "canary-other-token")
    error = refusal(backend)
    assert type(error) is CredentialsError
    assert "refused the token" in str(error)
    assert "canary" not in str(error)


def test_a_body_that_repeats_the_token_is_masked(backend: Backend, agent: Agent) -> None:
    """Whatever answers on the port, the token stays out of the message."""
    agent.canned.append((400, b"you sent " + TOKEN.encode()))
    assert "you sent ***" in str(refusal(backend))


@pytest.mark.parametrize(
    "body",
    [
        b"healthy",
        b"[]",
        b"{}",
        b'{"ARN":"a","Name":"n","VersionId":"v"}',
        b'{"ARN":"a","Name":"n","VersionId":"v","SecretBinary":"?"}',
        b'{"ARN":"a","Name":"n","VersionId":"v","SecretString":"canary-value-91bc"',
        b"[" * 100_000,
    ],
)
def test_an_answer_that_is_none_is_unavailable(backend: Backend, agent: Agent, body: bytes) -> None:
    """Something else listens there, or the answer broke off."""
    agent.canned.append((200, body))
    assert type(refusal(backend)) is BackendUnavailableError


def test_an_endless_answer_is_cut_off(backend: Backend, agent: Agent) -> None:
    """A secret has an end."""
    agent.canned.append((200, b" " * (3 * 1024 * 1024)))
    assert "too long" in str(refusal(backend))


def test_nobody_there_names_how_to_start_it(agent: Agent) -> None:
    """Connection refused."""
    agent.close()
    error = refusal(AgentBackend("localhost", agent.port))
    assert type(error) is BackendUnavailableError
    assert "systemctl start aws-secretsmanager-agent" in str(error)
    assert f"localhost:{agent.port}" in str(error)


def test_an_agent_that_hangs_is_given_up(agent: Agent) -> None:
    """After the timeout, and transiently."""
    agent.hold = threading.Event()
    slow = load_backend(f"agent://localhost:{agent.port}?timeout=0.1")
    error = refusal(slow)
    agent.hold.set()
    assert type(error) is BackendUnavailableError
    assert "within 0.1 s" in str(error)


def test_whoever_closes_at_once_is_unavailable(agent: Agent) -> None:
    """A port that accepts and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hung_up = threading.Thread(target=lambda: listener.accept()[0].close())
        hung_up.start()
        error = refusal(AgentBackend("127.0.0.1", listener.getsockname()[1]))
        hung_up.join()
    assert type(error) is BackendUnavailableError


def test_it_only_reads(backend: Backend, agent: Agent) -> None:
    """Everything else is not supported, says so, and asks nobody."""
    with pytest.raises(NotSupportedError, match=r"DescribeSecret.*Use aws://"):
        backend.describe("db")
    with pytest.raises(NotSupportedError, match="PutSecretValue") as caught:
        backend.call("PutSecretValue", {"SecretString": VALUE})
    assert caught.value.attempts == 0
    assert agent.requests == []
