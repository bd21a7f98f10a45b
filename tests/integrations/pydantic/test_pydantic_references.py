"""References inside values of the environment and of dotenv files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from smclient.testing import FakeBackend
from smclient_pydantic import ResolveReferences, SecretsBaseSettings, SecretsConfigDict

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf"
DYNAMIC = "{{resolve:secretsmanager:prod/db:SecretString:%s}}"


class Db(BaseModel):
    user: str = "nobody"
    password: str = ""


class Settings(SecretsBaseSettings):
    model_config = SecretsConfigDict(env_nested_delimiter="__")
    url: str = ""
    key: SecretStr = SecretStr("")
    port: int = 0
    hosts: list[str] = []
    db: Db = Db()
    anything: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("URL", "secret://prod/text", "url", "canary-text"),
        ("URL", f"db://{DYNAMIC % 'username'}@h", "url", "db://us-canary-er@h"),
        ("URL", "aws-secretsmanager:prod/text", "url", "canary-text"),
        ("KEY", "secret://prod/app#api_key", "key", SecretStr("canary-key")),
        ("PORT", "secret://prod/db#port", "port", 5432),
        ("HOSTS", "secret://prod/app#hosts", "hosts", ["a", "b"]),
        ("HOSTS", '["x", "secret://prod/text"]', "hosts", ["x", "canary-text"]),
        ("DB__PASSWORD", "secret://prod/db#password", "db", Db(password="canary-pw")),
        ("DB", '{"user": "secret://prod/text"}', "db", Db(user="canary-text")),
        ("DB", "secret://prod/db", "db", Db(password="canary-pw")),
        ("ANYTHING", "secret://prod/app#deep", "anything", {"er": "canary-x"}),
        ("URL", "secret://prod/none?optional=1", "url", ""),
        ("URL", "https://x/secret://y", "url", "https://x/secret://y"),
        ("URL", ARN, "url", ARN),
    ],
)
def test_references_in_the_environment_are_resolved(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: Any
) -> None:
    """Also for fields that are read from JSON; ordinary text and bare ARNs stay what they are."""
    monkeypatch.setenv(variable, text)
    assert getattr(Settings(), field) == value


def test_references_in_a_dotenv_file_are_resolved(tmp_path: Path, backend: FakeBackend) -> None:
    """Together with those of the environment, in one batch."""
    (tmp_path / ".env").write_text("URL=secret://prod/text\nKEY=secret://prod/app#api_key\n")
    settings = Settings(_env_file=tmp_path / ".env")
    assert settings.url == "canary-text"
    assert settings.key.get_secret_value() == "canary-key"
    assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]


def test_what_is_overridden_is_not_fetched(
    tmp_path: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an argument, or by the environment over the file."""
    (tmp_path / ".env").write_text("URL=secret://prod/none\n")
    monkeypatch.setenv("URL", "from the environment")
    monkeypatch.setenv("KEY", "secret://prod/none#x")
    settings = Settings(_env_file=tmp_path / ".env", key=SecretStr("given"))
    assert (settings.url, settings.key.get_secret_value()) == ("from the environment", "given")
    assert backend.calls == []


def test_variables_that_are_no_field_are_not_fetched(
    tmp_path: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dotenv file may hold other programs' settings."""

    class Some(Settings):
        model_config = SecretsConfigDict(extra="ignore")

    (tmp_path / ".env").write_text("OTHERS=secret://prod/none\nURL=plain\n")
    monkeypatch.setenv("STRANGERS", "secret://prod/none")
    assert Some(_env_file=tmp_path / ".env").url == "plain"
    assert backend.calls == []


def test_a_bad_reference_is_an_error_of_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the segment, and before anything is asked."""
    monkeypatch.setenv("URL", "secret://prod/text?stag=x")
    monkeypatch.setenv("DB__USER", "secret://")
    with pytest.raises(ValidationError) as caught:
        Settings()
    errors = {error["loc"]: error for error in caught.value.errors()}
    assert errors["url",]["type"] == "secret_reference"
    assert "stag" in errors["url",]["msg"]
    assert ("db", "user") in errors


def test_text_where_json_was_expected_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the text."""
    monkeypatch.setenv("HOSTS", "secret://prod/text")
    with pytest.raises(ValidationError, match="is not JSON") as caught:
        Settings()
    assert "canary" not in str(caught.value)


def test_another_source_can_be_wrapped_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a settings class of the user's own."""

    class Plain(BaseSettings):
        url: str = ""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, ResolveReferences(env_settings), dotenv_settings

    monkeypatch.setenv("URL", "secret://prod/text")
    assert Plain().url == "canary-text"
