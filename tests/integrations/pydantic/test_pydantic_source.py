"""Fields from secrets: marks, nested models, whole secrets; one batch for what is missing."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from smclient import ConfigError, InvalidReferenceError
from smclient.testing import FakeBackend
from smclient_pydantic import FromSecret, SecretsBaseSettings, SecretsConfigDict, SecretsSource

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf"


class Db(BaseModel):
    user: Annotated[str, FromSecret("prod/db", "username")]
    password: Annotated[SecretStr, FromSecret("prod/db", "password")]
    port: Annotated[int, FromSecret("prod/db", "port")] = 1


class Settings(SecretsBaseSettings):
    name: str = "app"
    db: Db
    api_key: Annotated[SecretStr, FromSecret("prod/app", "api_key")]
    text: Annotated[str, FromSecret("prod/text")]


def test_fields_come_from_secrets_in_one_batch(backend: FakeBackend) -> None:
    """Nested models too; strings, numbers and hidden strings as the fields say."""
    settings = Settings()  # type: ignore[call-arg]
    assert settings.db.user == "us-canary-er"
    assert settings.db.password.get_secret_value() == "canary-pw"
    assert settings.db.port == 5432
    assert settings.api_key.get_secret_value() == "canary-key"
    assert settings.text == "canary-text"
    assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]
    assert sorted(backend.calls[0].secret_ids) == ["prod/app", "prod/db", "prod/text"]


def test_what_is_supplied_is_not_fetched(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By arguments, by the environment, also a field of a nested model."""
    monkeypatch.setenv("TEXT", "from the environment")

    class Nested(Settings):
        model_config = SecretsConfigDict(env_nested_delimiter="__")

    for name in ("USER", "PASSWORD", "PORT"):
        monkeypatch.setenv(f"DB__{name}", "7")
    settings = Nested(api_key=SecretStr("given"))  # type: ignore[call-arg]
    assert (settings.text, settings.db.port) == ("from the environment", 7)
    assert settings.api_key.get_secret_value() == "given"
    assert backend.calls == []


def test_one_secret_is_read_without_a_batch(backend: FakeBackend) -> None:
    """So that a role without BatchGetSecretValue needs nothing more."""

    class One(SecretsBaseSettings):
        text: Annotated[str, FromSecret("prod/text")]

    assert One().text == "canary-text"  # type: ignore[call-arg]
    assert [call.operation for call in backend.calls] == ["GetSecretValue"]


def test_nothing_is_asked_when_the_class_is_made(backend: FakeBackend) -> None:
    """Nor by its JSON schema."""
    schema = Settings.model_json_schema()
    assert backend.calls == []
    assert "canary" not in str(schema)
    assert "prod/db" not in str(schema)


@pytest.mark.parametrize(
    ("marker", "value"),
    [
        (FromSecret("secret://prod/app#api_key"), "canary-key"),
        (FromSecret(f"{ARN}:username::"), "us-canary-er"),
        (FromSecret(ARN, "username"), "us-canary-er"),
        (FromSecret("{{resolve:secretsmanager:prod/db:SecretString:username}}"), "us-canary-er"),
        (FromSecret("prod/app", "deep.er"), "canary-x"),
        (FromSecret("prod/db", "username", version_stage="AWSCURRENT"), "us-canary-er"),
        (FromSecret("prod/none", optional=True), "default"),
        (FromSecret("prod/app", "nokey", optional=True), "default"),
    ],
)
def test_marks_take_names_arns_and_references(marker: FromSecret, value: str) -> None:
    """A default stands where an optional one leads nowhere."""

    class One(SecretsBaseSettings):
        field: Annotated[str, marker] = "default"

    assert One().field == value


def test_a_stage_and_a_version_can_be_asked_for(backend: FakeBackend) -> None:
    """Beside the current one."""
    old = backend.put("prod/text", "older")
    backend.put("prod/text", "newest")

    class Three(SecretsBaseSettings):
        now: Annotated[str, FromSecret("prod/text")]
        before: Annotated[str, FromSecret("prod/text", version_stage="AWSPREVIOUS")]
        pinned: Annotated[str, FromSecret("prod/text", version_id=old)]

    settings = Three()  # type: ignore[call-arg]
    assert (settings.now, settings.before, settings.pinned) == ("newest", "older", "older")


def test_json_fills_models_lists_and_dicts() -> None:
    """A whole secret, or an object or a list inside one."""

    class Deep(BaseModel):
        er: str

    class Shapes(SecretsBaseSettings):
        db: Annotated[dict[str, Any], FromSecret("prod/db")]
        hosts: Annotated[list[str], FromSecret("prod/app", "hosts")]
        deep: Annotated[Deep | None, FromSecret("prod/app", "deep")] = None

    settings = Shapes()  # type: ignore[call-arg]
    assert settings.db["port"] == 5432
    assert settings.hosts == ["a", "b"]
    assert settings.deep == Deep(er="canary-x")


def test_aliases_are_respected(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value under any of them counts; ours goes under the one that pydantic takes."""

    class Named(SecretsBaseSettings):
        one: Annotated[str, FromSecret("prod/text")] = Field(validation_alias="ONE_ALIAS")
        two: Annotated[str, FromSecret("prod/text")] = Field(
            validation_alias=AliasChoices("first", "second")
        )

    settings = Named()  # type: ignore[call-arg]
    assert (settings.one, settings.two) == ("canary-text", "canary-text")
    calls = len(backend.calls)
    monkeypatch.setenv("second", "given")
    monkeypatch.setenv("ONE_ALIAS", "given")
    settings = Named()  # type: ignore[call-arg]
    assert (settings.one, settings.two) == ("given", "given")
    assert len(backend.calls) == calls


def test_a_model_that_holds_itself_is_no_trap() -> None:
    """Looking stops where it begins again."""

    class Node(BaseModel):
        value: Annotated[str, FromSecret("prod/text")]
        below: Node | None = None

    class Tree(SecretsBaseSettings):
        root: Node

    Node.model_rebuild(_types_namespace={"Node": Node})
    assert Tree().root.value == "canary-text"  # type: ignore[call-arg]


# --- whole secrets --------------------------------------------------------------------------------


class Whole(SecretsBaseSettings):
    model_config = SecretsConfigDict(smclient_secrets=["prod/all", "prod/under"])
    Token: str
    db: Db
    other: int = 0


def test_whole_secrets_fill_fields_by_their_names(backend: FakeBackend) -> None:
    """Whatever the case; the earlier over the later; marks over both; strange keys are left out."""
    backend.put("prod/all", {"token": "t", "stray": 1, "db": {"user": "from whole"}})
    backend.put("prod/under", {"other": 3, "token": "hidden by the first"})
    settings = Whole()  # type: ignore[call-arg]
    assert (settings.Token, settings.other) == ("t", 3)
    assert settings.db.user == "us-canary-er"


def test_whole_secrets_are_not_read_where_nothing_is_missing(backend: FakeBackend) -> None:
    """Every field was supplied."""
    db = {"user": "u", "password": "p", "port": 1}
    assert Whole(Token="x", db=db, other=1).Token == "x"  # type: ignore[arg-type]
    assert backend.calls == []


def test_keys_of_whole_secrets_may_be_flat(backend: FakeBackend) -> None:
    """With the delimiter of the environment."""

    class Inner(BaseModel):
        level: int

    class Flat(SecretsBaseSettings):
        model_config = SecretsConfigDict(smclient_secrets=["prod/flat"], env_nested_delimiter="__")
        inner: Inner

    backend.put("prod/flat", {"inner__level": 3})
    assert Flat().inner.level == 3  # type: ignore[call-arg]


# --- a class of the user's own --------------------------------------------------------------------


def test_the_source_works_in_any_settings_class(backend: FakeBackend) -> None:
    """Where the user puts it; a source above it wins."""

    class Plain(BaseSettings):
        model_config = SettingsConfigDict(extra="ignore")
        text: Annotated[str, FromSecret("prod/text")]

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, SecretsSource(settings_cls), env_settings

    assert Plain().text == "canary-text"  # type: ignore[call-arg]
    assert Plain(text="given").text == "given"
    assert len(backend.calls) == 1


# --- wrong marks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: FromSecret("secret://a?stag=b"), InvalidReferenceError, "stag"),
        (lambda: FromSecret("a b"), InvalidReferenceError, "secret name"),
        (lambda: FromSecret(""), InvalidReferenceError, "empty"),
        (lambda: FromSecret("secret://a#b", "c"), ConfigError, "leave the other"),
        (lambda: FromSecret("secret://a#b", optional=True), ConfigError, "leave the other"),
    ],
)
def test_a_bad_mark_fails_where_it_is_written(make: Any, error: type[Exception], said: str) -> None:
    """At import, not at the first start."""
    with pytest.raises(error, match=said):
        make()


def test_missing_fields_are_still_pydantics_error() -> None:
    """A field that nobody supplies is required, as ever."""

    class Missing(SecretsBaseSettings):
        text: Annotated[str, FromSecret("prod/text")]
        nobody: str

    with pytest.raises(ValidationError, match="nobody"):
        Missing()  # type: ignore[call-arg]
