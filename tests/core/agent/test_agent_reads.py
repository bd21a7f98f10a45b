"""``agent://``: what is read, one by one, in number and past the agent's cache."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from smclient import SecretsClient
from smclient.agent import AgentBackend
from smclient.backend import Backend
from smclient.errors import BackendUnavailableError, ResourceNotFoundError
from smclient.secret import SecretRef, SecretValue
from tests.core.agent.helpers_agent import VALUE, Agent


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
