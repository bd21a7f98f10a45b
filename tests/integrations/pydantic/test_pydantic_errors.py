"""What is said when a secret cannot be read, what is never shown, and the command line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, CliApp

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigError,
    SecretsClient,
    UnknownSettingError,
)
from smclient.testing import FakeBackend
from smclient_pydantic import (
    FromSecret,
    SecretsBaseSettings,
    SecretsConfigDict,
    default_client,
    use_client,
)


class Db(BaseModel):
    password: Annotated[SecretStr, FromSecret("prod/db", "password")]


class Settings(SecretsBaseSettings):
    db: Db
    text: Annotated[str, FromSecret("prod/text")]


class Broken(SecretsBaseSettings):
    good: Annotated[str, FromSecret("prod/text")]
    absent: Annotated[str, FromSecret("prod/none", "key")]
    wrong_key: Annotated[str, FromSecret("prod/db", "nokey")]
    not_json: Annotated[str, FromSecret("prod/text", "key")]


def test_every_field_that_fails_is_named_with_reference_and_remedy() -> None:
    """In one ``ValidationError``, as pydantic's own; no value in it."""
    with pytest.raises(ValidationError) as caught:
        Broken()  # type: ignore[call-arg]
    errors = {error["loc"]: error for error in caught.value.errors()}
    assert set(errors) == {("absent",), ("wrong_key",), ("not_json",)}
    assert "secret://prod/none#key" in errors["absent",]["msg"]
    assert "create it" in errors["absent",]["msg"]
    assert errors["absent",]["type"] == "secret_unreadable"
    assert "its keys are 'password', 'port', 'username'" in errors["wrong_key",]["msg"]
    assert errors["not_json",]["type"] == "secret_content"
    assert "canary" not in str(caught.value) + caught.value.json()
    assert caught.value.title == "Broken"


def test_each_error_names_its_secret_once() -> None:
    """As the client says it, whether it was read alone or in a batch."""

    class Alone(SecretsBaseSettings):
        absent: Annotated[str, FromSecret("prod/none", "key")]

    for model in (Alone, Broken):
        with pytest.raises(ValidationError) as caught:
            model()
        (told,) = [e["msg"] for e in caught.value.errors() if e["loc"] == ("absent",)]
        assert told.count("secret 'prod/none', stage AWSCURRENT") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AccessDeniedError("not authorized"), "allow secretsmanager:GetSecretValue"),
        (BackendUnavailableError("no answer"), "SMCLIENT_BACKEND"),
    ],
)
def test_denials_and_outages_say_what_to_do(
    backend: FakeBackend, error: Exception, said: str
) -> None:
    """For each field, nested ones by their path, after as few calls as may be."""
    backend.fail_with(error, times=None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError) as caught:
        Settings()  # type: ignore[call-arg]
    errors = caught.value.errors()
    assert {e["loc"] for e in errors} == {("db", "password"), ("text",)}
    assert all(said in e["msg"] for e in errors)
    assert "prod/db" in str(caught.value)
    assert len(backend.calls) <= 3


def test_a_whole_secret_that_cannot_be_read_is_said(backend: FakeBackend) -> None:
    """It belongs to no single field."""

    class Whole(SecretsBaseSettings):
        model_config = SecretsConfigDict(smclient_secrets=["prod/none", "prod/text", "bad name"])
        field: str

    with pytest.raises(ValidationError) as caught:
        Whole()  # type: ignore[call-arg]
    told = str(caught.value)
    assert "prod/none" in told
    assert "not JSON" in told
    assert "bad name" in told
    assert "canary" not in told


# --- nothing is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "{{resolve:secretsmanager:prod/db:SecretStrin:host}}",
        "{{resolve:secretsmanager:prod/db:SecretString:host",
        "{{resolve:secretsmanager:prod/none:SecretString:host}}",
    ],
)
@pytest.mark.parametrize("hidden", [False, True])
def test_text_around_a_reference_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, reference: str, hidden: bool
) -> None:
    """Bad or absent, in the message and as the input: it may be a password written out."""

    class Urls(SecretsBaseSettings):
        model_config = SecretsConfigDict(hide_input_in_errors=hidden)
        url: str

    monkeypatch.setenv("URL", f"postgres://app:hunter2@{reference}/db")
    with pytest.raises(ValidationError, match="resolve|prod/none") as caught:
        Urls()  # type: ignore[call-arg]
    told = str(caught.value) + caught.value.json() + repr(caught.value.errors())
    assert "hunter2" not in told


def test_a_value_of_the_wrong_kind_is_not_shown() -> None:
    """Pydantic's own error shows inputs; here it does not."""

    class Typed(SecretsBaseSettings):
        number: Annotated[int, FromSecret("prod/text")]
        db: Annotated[dict[str, int], FromSecret("prod/db")]

    with pytest.raises(ValidationError) as caught:
        Typed()  # type: ignore[call-arg]
    told = str(caught.value) + repr(caught.value.errors())
    assert "number" in told
    assert "canary" not in told


@pytest.mark.skipif(
    not hasattr(BaseSettings, "_settings_log_debug"), reason="this version has no debug log"
)
def test_the_debug_log_of_pydantic_settings_shows_no_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It prints what every source gave."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    monkeypatch.setenv("TEXT", "secret://prod/text")
    caplog.set_level(logging.DEBUG)
    Settings()  # type: ignore[call-arg]
    assert "SecretsSource" in caplog.text
    assert "canary" not in caplog.text


# --- the command line -----------------------------------------------------------------------------


class Tool(SecretsBaseSettings):
    """A tool."""

    text: Annotated[str, FromSecret("prod/text")]
    times: int = 1

    def cli_cmd(self) -> None:
        print(len(self.text), self.times)


def test_help_asks_nothing_and_shows_no_value(
    backend: FakeBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is printed before any source is asked."""
    with pytest.raises(SystemExit):
        CliApp.run(Tool, cli_args=["--help"])
    shown = capsys.readouterr().out
    assert "--text" in shown
    assert "canary" not in shown
    assert backend.calls == []


def test_arguments_outrank_secrets(
    backend: FakeBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what they supply is not fetched."""
    CliApp.run(Tool, cli_args=["--text", "four", "--times", "2"])
    assert capsys.readouterr().out == "4 2\n"
    assert backend.calls == []
    CliApp.run(Tool, cli_args=[])
    assert capsys.readouterr().out == f"{len('canary-text')} 1\n"


# --- clients --------------------------------------------------------------------------------------


def without_override(work: Callable[[], Any]) -> Any:
    """Run outside of the fixture's ``use_client``."""
    import contextvars

    return contextvars.Context().run(work)


def test_a_class_reads_through_the_client_it_names(client: SecretsClient) -> None:
    """An object, or a callable so that nothing is made at import; what is neither is refused."""

    class Named(SecretsBaseSettings):
        text: Annotated[str, FromSecret("prod/text")]

    for given in (client, lambda: client):
        Named.model_config["smclient_client"] = given  # type: ignore[typeddict-unknown-key]
        assert without_override(Named).text == "canary-text"
    Named.model_config["smclient_client"] = lambda: "no client"  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ConfigError, match="it is a str"):
        without_override(Named)


def test_a_class_names_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the environment does; the same settings share one client."""

    class Null(SecretsBaseSettings):
        model_config = SecretsConfigDict(smclient_backend="null://", smclient_ttl=5)
        text: Annotated[str, FromSecret("prod/text", "any")]

    assert without_override(Null).text == "smclient-null-placeholder"
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    monkeypatch.setenv("SMCLIENT_TTL", "7")
    assert default_client() is default_client(backend="null://", ttl=7.0)
    assert default_client() is not default_client(ttl=8)
    assert default_client().config.ttl == 7.0
    monkeypatch.setenv("SMCLIENT_TLL", "7")
    with pytest.raises(UnknownSettingError, match="SMCLIENT_TTL"):
        default_client()


def test_tests_replace_the_client(client: SecretsClient) -> None:
    """The innermost wins, and the outer one comes back."""
    other = SecretsClient(FakeBackend({"prod/text": "other", "prod/db": {"password": ""}}))
    with use_client(other):
        assert Settings().text == "other"  # type: ignore[call-arg]
    assert Settings().text == "canary-text"  # type: ignore[call-arg]
