"""``agent://``: where the agent is, which is this machine only."""

from __future__ import annotations

import pytest

from smclient import load_backend
from smclient.errors import ConfigError, UnknownSettingError


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
