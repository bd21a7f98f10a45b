"""A running agent and ``agent://`` on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smclient import load_backend
from smclient.agent import TOKEN_VARIABLES
from smclient.backend import Backend
from tests.core.agent.helpers_agent import TOKEN, Agent


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
