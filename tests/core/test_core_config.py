"""Settings: where they come from, and that each bad one is refused by name."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from smclient import (
    BackendUnavailableError,
    ClientConfig,
    ConfigError,
    SecretsClient,
    SmclientError,
    UnknownSettingError,
)
from smclient.testing import FakeBackend, FakeClock, Inline

NAN, INF = float("nan"), float("inf")
SOURCES = [Path(__file__).parents[2] / name for name in ("smclient", "backends", "integrations")]


def test_the_defaults_are_those_of_the_client() -> None:
    """Two ways to say nothing mean the same."""
    with SecretsClient(FakeBackend()) as client:
        assert client.config == ClientConfig()


def test_settings_are_read_from_the_environment() -> None:
    """Text is read as the kind of the setting; other names are left alone."""
    environ = {
        "PATH": "/bin",
        "SMCLIENT_BACKEND": "null://",
        "SMCLIENT_TTL": "60.5",
        "SMCLIENT_MAX_STALE": "120",
        "SMCLIENT_JITTER": "0",
        "SMCLIENT_MAX_SECRETS": "7",
        "SMCLIENT_MAX_BYTES": "4096",
        "SMCLIENT_REFRESH": "get",
        "SMCLIENT_LADDER": "AWSCURRENT, AWSPENDING",
        "SMCLIENT_LOGIN_WAIT": "1e1",
        "SMCLIENT_REQUIRE_AWS_ENDPOINT": "TRUE",
        "SMCLIENT_PER_SECRET": '{"prod/db": {"ttl": 5}}',
        "SMCLIENT_PASSPHRASE": "not a setting of the client",
        "SMCLIENT_MASTER_KEY_FILE": "/nor/this",
    }
    assert ClientConfig.from_env(environ) == ClientConfig(
        backend="null://",
        ttl=60.5,
        max_stale=120.0,
        jitter=0.0,
        max_secrets=7,
        max_bytes=4096,
        refresh="get",
        ladder=("AWSCURRENT", "AWSPENDING"),
        login_wait=10.0,
        require_aws_endpoint=True,
        per_secret={"prod/db": {"ttl": 5}},
    )
    assert len(environ) - 3 == len(fields(ClientConfig))


def test_an_empty_environment_gives_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the process's own is the default."""
    assert ClientConfig.from_env({}) == ClientConfig()
    monkeypatch.setenv("SMCLIENT_TTL", "5")
    assert ClientConfig.from_env().ttl == 5.0


def test_variables_of_our_other_parts_are_no_settings_of_the_client() -> None:
    """The file's key, the server's keys: set for somebody else, no mistake."""
    others = ("KEY_FILE", "PASSPHRASE", "ACCESS_KEY", "SECRET_KEY", "STATE_DIR")
    of_a_store = ("MASTER_KEY_FILE", "MASTER_KEY", "MASTER_PASSPHRASE")
    environ = {f"SMCLIENT_{name}": "x" for name in (*others, *of_a_store)}
    assert ClientConfig.from_env(environ) == ClientConfig()


def test_settings_are_read_from_a_mapping_of_a_framework() -> None:
    """Values of the right kind are taken as they are, under a prefix of choice."""
    given = {"SECRETS_TTL": 5, "SECRETS_LADDER": ["AWSCURRENT"], "SECRETS_JITTER": "0.5"}
    assert ClientConfig.from_mapping(given, prefix="SECRETS_") == ClientConfig(
        ttl=5, ladder=("AWSCURRENT",), jitter=0.5
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SMCLIENT_TLL", "did you mean SMCLIENT_TTL?"),
        ("SMCLIENT_MAXSTALE", "did you mean SMCLIENT_MAX_STALE?"),
        ("SMCLIENT_BACKENDS", "did you mean SMCLIENT_BACKEND?"),
        ("SMCLIENT_XYZZY", "the settings are SMCLIENT_BACKEND, SMCLIENT_TTL"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(name: str, hint: str) -> None:
    """A misspelt one is not ignored; its value is not repeated."""
    with pytest.raises(UnknownSettingError) as caught:
        ClientConfig.from_env({name: "canary"})
    assert repr(name) in str(caught.value)
    assert hint in str(caught.value)
    assert "canary" not in str(caught.value)


BAD: list[tuple[str, Any]] = [
    *((name, bad) for name in ("ttl", "max_stale", "login_wait") for bad in (-1, -0.001, NAN, INF)),
    *((name, bad) for name in ("ttl", "max_stale", "login_wait") for bad in ("5", None, True)),
    *(("jitter", bad) for bad in (-0.1, 0.91, 1, NAN, None, "0.1")),
    *((n, bad) for n in ("max_secrets", "max_bytes") for bad in (0, -1, 1.5, None, "9", True)),
    *(("refresh", bad) for bad in ("", "often", None)),
    *(("ladder", bad) for bad in ((), ("AWSPENDING",), ("AWSCURRENT", ""), "AWSCURRENT")),
    ("ladder", ("AWSCURRENT", "AWSPENDING", "AWSPENDING")),
]


@pytest.mark.parametrize(("name", "bad"), BAD)
def test_each_bad_value_is_refused_by_name(name: str, bad: Any) -> None:
    """By the settings and by the client alike, before a backend is opened."""
    with pytest.raises(ConfigError, match=f"setting {name} is "):
        ClientConfig(**{name: bad})
    with pytest.raises(ConfigError, match=f"setting {name} is "):
        SecretsClient("nobody://", **{name: bad})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TTL", "five"),
        ("TTL", ""),
        ("TTL", "-5"),
        ("TTL", "nan"),
        ("MAX_SECRETS", "1.5"),
        ("MAX_BYTES", "1k"),
        ("JITTER", "2"),
        ("REQUIRE_AWS_ENDPOINT", "yes"),
        ("REFRESH", "GET"),
        ("LADDER", ""),
        ("LADDER", "AWSPENDING,AWSCURRENT"),
    ],
)
def test_each_bad_text_is_refused_by_name(name: str, text: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match=r"it must be") as caught:
        ClientConfig.from_env({f"SMCLIENT_{name}": text})
    assert name.lower() in str(caught.value).lower()


@pytest.mark.parametrize(
    ("name", "good"),
    [("ttl", 0), ("max_stale", 0), ("jitter", 0.9), ("max_secrets", 1), ("max_bytes", 1)],
)
def test_bounds_belong_to_what_is_allowed(name: str, good: float) -> None:
    """Zero, one, the largest."""
    assert getattr(ClientConfig(**{name: good}), name) == good


def test_settings_do_not_change() -> None:
    """A client's configuration is what it was made with."""
    with pytest.raises(AttributeError):
        ClientConfig().ttl = 1.0  # type: ignore[misc]


def test_a_client_is_made_from_settings() -> None:
    """All of them arrive."""
    config = ClientConfig(backend="null://", ttl=1.0, max_secrets=3, ladder=("AWSCURRENT",))
    with SecretsClient.from_config(config, clock=FakeClock(), worker=Inline()) as client:
        assert client.identity().endpoint == "null://"
        assert (client.config.ttl, client.config.max_secrets) == (1.0, 3)
        assert client.config.ladder == ("AWSCURRENT",)


def test_a_bad_setting_is_an_error_of_our_tree() -> None:
    """One ``except`` catches all."""
    with pytest.raises(SmclientError):
        ClientConfig.from_env({"SMCLIENT_TTL": "soon"})


@pytest.mark.parametrize(
    "wrong",
    [
        "prod/db",
        {"prod/db": 5},
        {"prod/db": {"tll": 5}},
        {"prod/db": {"ttl": -1}},
        {"prod/db": {"ttl": True}},
        {"prod/db": {"max_stale": NAN}},
    ],
)
def test_settings_of_single_secrets_are_checked(wrong: Any) -> None:
    """When the client is made, and by name."""
    with pytest.raises(ConfigError, match="per_secret"):
        SecretsClient(FakeBackend(), per_secret=wrong)


def test_settings_of_single_secrets_in_the_environment_are_json() -> None:
    """Else the message says so."""
    with pytest.raises(ConfigError, match="SMCLIENT_PER_SECRET is .* it must be JSON"):
        ClientConfig.from_env({"SMCLIENT_PER_SECRET": "prod/db=5"})


@pytest.mark.parametrize("named", ["name", "arn", "partial"])
def test_a_secret_may_have_times_of_its_own(named: str) -> None:
    """Its value goes stale and expires by them, the others' by the general ones."""
    clock, backend = FakeClock(), FakeBackend({"quick": "a", "slow": "b"})
    arn = backend.arn("quick")
    own = {{"name": "quick", "arn": arn, "partial": arn[:-7]}[named]: {"ttl": 5, "max_stale": 20}}
    client = SecretsClient(
        backend, per_secret=own, jitter=0.0, refresh="get", clock=clock, worker=Inline()
    )
    client.get_many(["quick", "slow"])
    backend.calls.clear()
    clock.advance(6)
    assert [client.get(name).text for name in ("quick", "slow")] == ["a", "b"]
    assert [call.secret_ids for call in backend.calls] == [("quick",)]
    backend.fail_with(BackendUnavailableError("down"), times=None)
    clock.advance(21)
    with pytest.raises(BackendUnavailableError):
        client.get("quick")
    assert client.get("slow").text == "b"


def test_no_variable_of_this_project_is_taken_for_a_misspelt_setting() -> None:
    """Whoever sets the store of the server for all his processes has made no mistake."""
    names = {
        name
        for root in SOURCES
        for path in root.rglob("*.py")
        for name in re.findall(r"\bSMCLIENT_[A-Z_]*[A-Z]\b", path.read_text())
    }
    assert {"SMCLIENT_STORE", "SMCLIENT_INIT_FILE", "SMCLIENT_TTL"} <= names
    unknown = set()
    for name in names - {f"SMCLIENT_{field.name.upper()}" for field in fields(ClientConfig)}:
        try:
            ClientConfig.from_env({name: "x"})
        except UnknownSettingError:
            unknown.add(name)
    assert unknown == set()
