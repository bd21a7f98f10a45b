"""``agent://`` against a real HTTP server on loopback that speaks the agent's protocol."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from smclient import SecretsClient, load_backend
from smclient.agent import TOKEN_VARIABLES, AgentBackend
from smclient.backend import Backend
from smclient.errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    InternalServiceError,
    InvalidParameterError,
    NotSupportedError,
    ResourceNotFoundError,
    SmclientError,
    ThrottlingError,
    TransientError,
    UnknownSettingError,
)
from smclient.secret import SecretRef, SecretValue
from smclient.testing import FakeBackend

TOKEN = "canary-token-7f3a"
VALUE = "canary-value-91bc"


class Agent:
    """The agent's checks in its own order, over secrets in memory, with its cache."""

    def __init__(self) -> None:
        self.secrets = FakeBackend({"db": VALUE})
        self.token = TOKEN
        self.requests: list[dict[str, Any]] = []
        self.canned: list[tuple[int, bytes]] = []
        self.hold: threading.Event | None = None
        self.drop = False
        self.connections = 0
        self._cache: dict[tuple[str, ...], SecretValue] = {}
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                agent.connections += 1
                super().setup()

            def do_GET(self) -> None:
                status, body = agent.answer(self.path, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = agent.drop  # without saying so, as after 61 s

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # hung-up readers
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append({"path": parts.path, "query": query, "headers": headers})
        if self.hold is not None:
            self.hold.wait(10)
        if self.canned:
            return self.canned.pop(0)
        if "X-Forwarded-For" in headers:
            return 400, b"Forwarded"
        if headers.get("X-Aws-Parameters-Secrets-Token") != self.token:
            return 403, b"Bad Token"
        if parts.path != "/secretsmanager/get":
            return 404, b"Not found"
        if not query.keys() <= {"secretId", "versionId", "versionStage", "refreshNow"}:
            return 400, b"unknown parameter"
        if "secretId" not in query:
            return 400, b"missing parameter: secretId"
        stage, version = query.get("versionStage"), query.get("versionId")
        key = (query["secretId"], str(stage), str(version))
        if key not in self._cache or query.get("refreshNow") == "true":
            try:
                answer = self.secrets.fetch(SecretRef(query["secretId"], stage, version))
            except BackendError as error:
                body = f'"__type":"{error.code}","message":"{error}"'
                return 400, b"{" + body.encode() + b"}"
            self._cache[key] = answer.value
        value = self._cache[key]
        shape = {
            "ARN": value.arn,
            "Name": value.name,
            "VersionId": value.version_id,
            "VersionStages": sorted(value.version_stages),
            "CreatedDate": "1569534789.046",
        }
        if value.is_binary:
            shape["SecretBinary"] = base64.b64encode(value.binary).decode()
        else:
            shape["SecretString"] = str(value.text)
        return 200, json.dumps(shape).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """A running agent, its token in the environment and nowhere else."""
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_TOKEN", TOKEN)
    made = Agent()
    yield made
    made.close()


@pytest.fixture
def backend(agent: Agent) -> Iterator[Backend]:
    """The backend, opened by its URL."""
    made = load_backend(f"agent://localhost:{agent.port}")
    yield made
    made.close()


def refusal(backend: Backend, ref: SecretRef | None = None) -> SmclientError:
    """The error of a fetch, nothing of which may show token or value, its frames included."""
    with pytest.raises(SmclientError) as caught:
        backend.fetch(ref or SecretRef("db"))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    assert TOKEN not in text
    assert VALUE not in text
    assert caught.value.__context__ is None
    return caught.value


# --- what is read ---------------------------------------------------------------------------------


def test_a_value_is_read_with_what_the_agent_says_of_it(backend: Backend, agent: Agent) -> None:
    """Basic: text, ARN, name, version, stages, date; one call."""
    answer = backend.fetch(SecretRef("db"))
    assert (answer.value.text, answer.attempts) == (VALUE, 1)
    assert (answer.value.arn, answer.value.name) == (agent.secrets.arn("db"), "db")
    assert answer.value.version_stages == {"AWSCURRENT"}
    assert answer.value.created_date == datetime(2019, 9, 26, 21, 53, 9, 46000, tzinfo=UTC)
    assert agent.requests[0]["query"] == {"secretId": "db"}
    headers = agent.requests[0]["headers"]
    assert headers["Host"] == f"localhost:{agent.port}"
    assert set(headers) == {"Host", "Accept-Encoding", "X-Aws-Parameters-Secrets-Token"}


def test_binary_comes_as_bytes(backend: Backend, agent: Agent) -> None:
    """Every byte survives."""
    content = bytes(range(256))
    agent.secrets.put("bin", content)
    assert backend.fetch(SecretRef("bin")).value.binary == content


def test_a_long_json_value_and_an_odd_name_survive(backend: Backend, agent: Agent) -> None:
    """60,000 characters, each escaped in JSON; a name with all that names may hold."""
    text = json.dumps({"k": "\u00e4\n" * 30_000})
    agent.secrets.put("odd/_+=.@!-%20&x", text)
    assert backend.fetch(SecretRef("odd/_+=.@!-%20&x")).value.text == text


def test_by_arn_stage_version_and_both(backend: Backend, agent: Agent) -> None:
    """Pending, version and all arguments go over as the agent names them."""
    old = backend.fetch(SecretRef("db")).value.version_id
    new = agent.secrets.put("db", "next", stages=("AWSPENDING",))
    assert backend.fetch(SecretRef(agent.secrets.arn("db"))).value.text == VALUE
    assert backend.fetch(SecretRef("db", "AWSPENDING")).value.text == "next"
    assert backend.fetch(SecretRef("db", version_id=old)).value.text == VALUE
    assert backend.fetch(SecretRef("db", "AWSPENDING", new)).value.text == "next"
    assert agent.requests[-1]["query"] == {
        "secretId": "db",
        "versionStage": "AWSPENDING",
        "versionId": new,
    }


def test_many_are_single_gets_with_an_error_for_what_is_absent(
    backend: Backend, agent: Agent
) -> None:
    """A value or an error for each id, and the calls it cost."""
    answer = backend.fetch_many(["db", "none", "db"])
    value, error = answer.value["db"], answer.value["none"]
    assert isinstance(value, SecretValue)
    assert value.text == VALUE
    assert isinstance(error, ResourceNotFoundError)
    assert answer.attempts == len(agent.requests) == 2


def test_many_stop_asking_once_the_agent_is_gone(agent: Agent) -> None:
    """The first id finds out; the others are told without a call."""
    agent.close()
    gone = AgentBackend("127.0.0.1", agent.port)
    answer = gone.fetch_many(["a", "b", "c"])
    assert {type(e) for e in answer.value.values()} == {BackendUnavailableError}
    assert answer.attempts == 1


def test_refresh_now_passes_the_agents_cache(agent: Agent) -> None:
    """A plain read may be old; ``refresh()`` and ``max_age=0`` make the agent ask AWS."""
    with SecretsClient(f"agent://localhost:{agent.port}") as client:
        assert client.get("db").text == VALUE
        agent.secrets.put("db", "second")
        client.invalidate()
        assert client.get("db").text == VALUE  # from the agent's memory
        assert client.refresh("db").text == "second"
        agent.secrets.put("db", "third")
        assert client.get("db", max_age=0).text == "third"
    asked = [request["query"].get("refreshNow") for request in agent.requests]
    assert asked == [None, None, "true", "true"]


def test_a_login_sees_a_rotation_through_the_agents_cache(agent: Agent) -> None:
    """The ladder's fresh AWSCURRENT is fresh."""
    agent.secrets.put("login", {"username": "app", "password": "old"})

    class Denied(Exception):
        sqlstate = "28P01"

    Denied.__module__ = "asyncpg.exceptions"

    def open_one(value: SecretValue) -> str:
        if value["password"] == "old":
            raise Denied("password authentication failed")
        return str(value["password"])

    with SecretsClient(f"agent://localhost:{agent.port}") as client:
        client.get("login")
        agent.secrets.put("login", {"username": "app", "password": "new"})
        assert client.login("login", open_one) == "new"


# --- what is refused ------------------------------------------------------------------------------


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


# --- the token ------------------------------------------------------------------------------------


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


# --- where it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "agent://example.com",
        "agent://10.0.0.1:2773",
        "agent://169.254.169.254",
        "agent://0.0.0.0",
        "agent://[fe80::1]",
        "agent://localhost.example.com",
        "agent://localhost:port",
        "agent://localhost:99999",
        "agent://user@localhost",
        "agent://localhost/v1",
        "agent://localhost?timeout=soon",
        "agent://localhost?timeout=0",
        "agent://localhost?timeout=nan",
    ],
)
def test_only_this_machine_is_spoken_to(url: str) -> None:
    """Plain HTTP goes nowhere else, and a URL that makes no sense is refused when it is opened."""
    with pytest.raises(ConfigError, match="agent: "):
        load_backend(url)


def test_an_unknown_option_is_refused() -> None:
    """By name."""
    with pytest.raises(UnknownSettingError, match="'ttl'"):
        load_backend("agent://localhost?ttl=3")


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("agent://localhost", "http://localhost:2773"),
        ("agent://", "http://localhost:2773"),
        ("agent://127.0.0.1:1", "http://127.0.0.1:1"),
        ("agent://[::1]:9", "http://[::1]:9"),
        ("agent://LOCALHOST:9", "http://localhost:9"),
    ],
)
def test_its_identity_is_the_agent(
    url: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking nobody."""
    monkeypatch.delenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", raising=False)
    identity = load_backend(url).identity()
    assert (identity.endpoint, identity.principal) == (endpoint, "agent")


def test_the_lambda_extensions_port_counts_where_the_url_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The URL wins."""
    monkeypatch.setenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "4000")
    assert load_backend("agent://localhost").identity().endpoint == "http://localhost:4000"
    assert load_backend("agent://localhost:5").identity().endpoint == "http://localhost:5"


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept(backend: Backend, agent: Agent) -> None:
    """Requests one after the other share one."""
    for _ in range(5):
        backend.fetch(SecretRef("db"))
    assert agent.connections == 1


def test_a_connection_that_was_dropped_meanwhile_is_replaced(
    backend: Backend, agent: Agent
) -> None:
    """The agent ends each after 61 seconds; no reader notices."""
    agent.drop = True
    for _ in range(3):
        assert backend.fetch(SecretRef("db")).value.text == VALUE
    assert agent.connections == 3


def test_threads_share_the_backend(backend: Backend, agent: Agent) -> None:
    """Each gets its own answer; few connections are left open."""
    for number in range(16):
        agent.secrets.put(f"s{number}", str(number))

    def read(number: int) -> bool:
        return backend.fetch(SecretRef(f"s{number % 16}")).value.text == str(number % 16)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))
    assert isinstance(backend, AgentBackend)
    assert 1 <= len(backend._connections._idle) <= 4


def test_closing_twice_is_fine(backend: Backend) -> None:
    """And lets the connections go."""
    backend.fetch(SecretRef("db"))
    backend.close()
    backend.close()
    assert isinstance(backend, AgentBackend)
    assert backend._connections._idle == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_send_on_its_parents_connection(backend: Backend, agent: Agent) -> None:
    """After a fork, also while another thread holds the pool's lock, it opens its own."""
    backend.fetch(SecretRef("db"))
    assert isinstance(backend, AgentBackend)
    ours, theirs = os.pipe()
    with backend._connections._lock:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                os.write(theirs, backend.fetch(SecretRef("db")).value.text.encode())
            finally:
                os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        assert answer.read().decode() == VALUE
    os.waitpid(child, 0)
    assert backend.fetch(SecretRef("db")).value.text == VALUE
    assert agent.connections == 2
