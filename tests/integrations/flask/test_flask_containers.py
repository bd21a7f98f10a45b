"""References inside lists, tuples and dicts of the config, and what is said of several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Config, Flask

from smclient import AccessDeniedError, BackendUnavailableError, ConfigError, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_flask import LiveConfig, SecretConfigError, Secrets

CANARY = "canary-web-4f1d"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (["plain", "secret://prod/web#key"], ["plain", CANARY]),
        (("secret://prod/web#port",), (8080,)),
        ({"password": "secret://prod/web#key", "n": 1}, {"password": CANARY, "n": 1}),
        ({"a": [{"b": "secret://prod/web#key"}]}, {"a": [{"b": CANARY}]}),
        (["secret://prod/none?optional=1", "kept", None], ["kept", None]),
        ({"absent": "secret://prod/none?optional=1"}, {"absent": None}),
        (["arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/web-AbCdEf"],) * 2,
    ],
)
def test_references_inside_containers_are_resolved(
    make_app: Callable[..., Flask], setting: Any, value: Any
) -> None:
    """In place and in kind; what an optional one does not find is no item of a list."""
    assert make_app(SETTING=setting).config["SETTING"] == value


def test_a_container_without_references_is_the_one_that_was_set(
    make_app: Callable[..., Flask],
) -> None:
    """So that changing it changes the setting."""
    hosts = ["a"]
    app = make_app(HOSTS=hosts)
    assert app.config["HOSTS"] is hosts


def test_what_containers_hold_is_read_in_the_same_batch_and_hidden(
    make_app: Callable[..., Flask], backend: FakeBackend
) -> None:
    """One call; the config itself shows references."""
    app = make_app(A=["secret://prod/web#key"], B={"x": "secret://prod/text"})
    assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]
    assert sorted(backend.calls[0].secret_ids) == ["prod/text", "prod/web"]
    shown = repr([dict(app.config), app.config["A"], app.config["B"]])
    assert "secret://prod/text" in shown
    assert "canary" not in shown


def test_a_bad_reference_inside_names_its_place(make_app: Callable[..., Flask]) -> None:
    """As one would write it to read it."""
    with pytest.raises(SecretConfigError, match=r"app.config\['MAIL'\]\['hosts'\]\[1\]"):
        make_app(MAIL={"hosts": ["a", "secret://prod/none"]})
    with pytest.raises(SecretConfigError, match=r"app.config\['LIST'\]\[0\].*'stag'"):
        make_app(LIST=["secret://prod/web?stag=X"])


def test_a_list_that_holds_itself_is_no_trap(make_app: Callable[..., Flask]) -> None:
    """Looking stops at some depth."""
    hosts: list[Any] = ["a"]
    hosts.append(hosts)
    assert make_app(HOSTS=hosts).config["HOSTS"][0] == "a"


def test_setdefault_and_pop_answer_with_values(make_app: Callable[..., Flask]) -> None:
    """As extensions read their settings."""
    app = make_app(A="secret://prod/web#key")
    assert app.config.setdefault("A", "default") == CANARY
    assert app.config.setdefault("B", "secret://prod/web#port") == 8080
    assert app.config.pop("A") == CANARY
    assert app.config.pop("A", "gone") == "gone"
    with pytest.raises(KeyError):
        app.config.pop("A")
    assert isinstance(app.config, LiveConfig)
    assert app.config.raw("B") == "secret://prod/web#port"


def test_what_leads_nowhere_is_popped_as_none(make_app: Callable[..., Flask]) -> None:
    """Not as the reference; and a default is for what is not there."""
    app = make_app(A="secret://prod/none?optional=1", B=None)
    assert app.config.pop("A", "default") is None
    assert app.config.pop("B", "default") is None
    assert "A" not in app.config


def test_a_setting_that_cannot_be_read_is_not_taken_away(make_app: Callable[..., Flask]) -> None:
    """It fails as a read does."""
    app = make_app(SMCLIENT_LAZY=True, A="secret://prod/none")
    with pytest.raises(SecretConfigError):
        app.config.pop("A")
    assert app.config.raw("A") == "secret://prod/none"  # type: ignore[attr-defined]


def test_a_config_class_of_the_app_stays(client: SecretsClient) -> None:
    """Its methods and what it does with values; the config is live all the same."""

    class Own(Config):
        def __getitem__(self, key: str) -> Any:
            value = super().__getitem__(key)
            return f"secret://prod/web#{key.lower()}" if value == "mine" else value

        def twice(self, key: str) -> Any:
            return self[key] * 2

    class App(Flask):
        config_class = Own

    app = App("tested")
    app.config["KEY"] = "mine"
    Secrets(app, client=client)
    assert isinstance(app.config, Own)
    assert isinstance(app.config, LiveConfig)
    assert app.config["KEY"] == CANARY
    assert app.config.twice("KEY") == CANARY * 2


def test_every_setting_that_fails_is_named_at_once(make_app: Callable[..., Flask]) -> None:
    """With reference and remedy, so that one start shows all there is to do."""
    with pytest.raises(SecretConfigError) as caught:
        make_app(
            ONE="secret://prod/none#key", TWO="secret://prod/web#nokey", GOOD="secret://prod/text"
        )
    told = str(caught.value)
    assert "app.config['ONE'] = 'secret://prod/none#key'" in told
    assert "create it" in told
    assert "app.config['TWO'] = 'secret://prod/web#nokey'" in told
    assert "correct the part after #" in told
    assert "GOOD" not in told
    assert "SMCLIENT_LAZY" in told
    assert "canary" not in told


def test_an_optional_list_of_secrets_may_be_absent(
    make_app: Callable[..., Flask], backend: FakeBackend
) -> None:
    """As an optional secret may; one that is denied may not be used."""
    app = make_app(A="optional:aws-secretsmanager:prod/none;prod/web")
    assert app.config["A"]["port"] == 8080
    assert make_app(A="optional:aws-secretsmanager:prod/none;prod/no").config["A"] == {}
    backend.fail_with(AccessDeniedError("not allowed"), times=None)
    with pytest.raises(SecretConfigError, match="not allowed"):
        make_app(A="optional:aws-secretsmanager:prod/other;prod/no")


def test_a_backend_that_is_away_is_asked_once_at_the_start(
    make_app: Callable[..., Flask], backend: FakeBackend
) -> None:
    """However many settings there are: an app should not hang for each of them."""
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    with pytest.raises(SecretConfigError, match="SMCLIENT_BACKEND") as caught:
        make_app(
            A="secret://prod/web#key",
            B="secret://prod/text",
            C="secret://prod/web?stage=AWSPREVIOUS#key",
        )
    assert len(backend.calls) == 1
    assert str(caught.value).count("no answer") == 3


def test_text_around_a_reference_is_not_repeated(
    make_app: Callable[..., Flask],
) -> None:
    """It may be a password that somebody wrote out."""
    with pytest.raises(SecretConfigError, match="prod/none") as caught:
        make_app(URL="db://user:canary@{{resolve:secretsmanager:prod/none:SecretString:x}}/")
    assert "canary" not in str(caught.value)


def test_settings_come_from_the_environment_where_the_app_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The app's own win."""
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    monkeypatch.setenv("SMCLIENT_TTL", "12")
    app = Flask("tested")
    app.config.update(SMCLIENT_TTL=34, SMCLIENT_LAZY="false", KEY="secret://any#key")
    Secrets(app)
    assert app.config["KEY"] == "smclient-null-placeholder"
    assert app.extensions["smclient"].config.ttl == 34


def test_the_extension_comes_once(client: SecretsClient) -> None:
    """A second one would leave two clients at work."""
    app = Flask("tested")
    secrets = Secrets(app, client=client)
    with pytest.raises(ConfigError, match="already"):
        secrets.init_app(app)


def test_nothing_is_asked_by_reading_the_same_setting_again(
    make_app: Callable[..., Flask], backend: FakeBackend, clock: FakeClock
) -> None:
    """Within the ttl."""
    app = make_app(LIST=["secret://prod/web#key"] * 3)
    clock.advance(59)
    assert [app.config["LIST"] for _ in range(3)] == [[CANARY] * 3] * 3
    assert len(backend.calls) == 1
