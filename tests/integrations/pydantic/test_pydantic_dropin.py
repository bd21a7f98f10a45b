"""The drop-in for pydantic-settings' AWS source, beside the built-in over the same wire."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from pydantic import BaseModel, ValidationError
from pydantic_settings import AWSSecretsManagerSettingsSource as Builtin
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from pydantic_settings.sources.providers.aws import import_aws_secrets_manager

from smclient.testing import FakeBackend
from smclient_embedded import EmbeddedService
from smclient_pydantic import AWSSecretsManagerSettingsSource


def builtin_is_whole() -> bool:
    """Whether the installed version has the source that ours stands in for."""
    try:
        import_aws_secrets_manager()
    except ImportError:
        return False
    return "version_id" in inspect.signature(Builtin).parameters


class Inner(BaseModel):
    user: str = ""
    port: int = 0


def settings_with(source: type[Any], **arguments: Any) -> type[BaseSettings]:
    """A settings class as its users write it."""

    class Settings(BaseSettings):
        token: str = "default"
        db: Inner = Inner()
        hosts: list[str] = []
        flag: bool = False
        maybe: str | None = "default"

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            secret = source(settings_cls, "prod/one", **arguments)
            return init_settings, env_settings, secret

    return Settings


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedService]:
    """boto3 clients, whoever makes them, end at the embedded service."""
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    with EmbeddedService(region="eu-west-1") as service, service.patch_boto3():
        yield service


@pytest.mark.skipif(
    not builtin_is_whole(),
    reason="the built-in of this version takes other arguments, or needs packages for its types",
)
@pytest.mark.parametrize(
    ("arguments", "secret"),
    [
        ({}, {"token": "t", "db--user": "u", "db--port": "7"}),
        ({}, {"db": '{"user": "u"}', "hosts": '["a", "b"]', "flag": "true"}),
        ({}, {"TOKEN": "not this case"}),
        ({"case_sensitive": False}, {"TOKEN": "any case"}),
        ({"env_prefix": "app_"}, {"app_token": "t", "token": "not this"}),
        ({"env_nested_delimiter": "__"}, {"db__user": "u"}),
        ({"env_parse_none_str": "null"}, {"maybe": "null"}),
        ({}, {"stray": "left out"}),
        ({"region_name": "eu-west-1"}, {"token": "t"}),
    ],
)
def test_it_does_what_the_built_in_does(
    aws: EmbeddedService, arguments: dict[str, Any], secret: dict[str, Any]
) -> None:
    """Same arguments, same secret, same settings; over real boto3 clients both."""
    import json

    boto3.client("secretsmanager").create_secret(Name="prod/one", SecretString=json.dumps(secret))
    ours = settings_with(
        AWSSecretsManagerSettingsSource,
        **{"client": None if "region_name" in arguments else _client(aws), **arguments},
    )
    expected = settings_with(Builtin, **arguments)()
    assert _outside(ours).model_dump() == expected.model_dump()


def _client(service: EmbeddedService) -> Any:
    from smclient import SecretsClient

    return SecretsClient(service.backend())


def _outside(settings: type[BaseSettings]) -> BaseSettings:
    """Without the client that the other tests of this folder use."""
    import contextvars

    return contextvars.Context().run(settings)


def test_objects_in_the_json_need_no_delimiter(backend: FakeBackend) -> None:
    """Where the built-in takes text only."""
    backend.put("prod/one", {"db": {"user": "u", "port": 3}, "hosts": ["a"], "flag": True})
    settings = settings_with(AWSSecretsManagerSettingsSource)()
    assert settings.model_dump()["db"] == {"user": "u", "port": 3}
    assert settings.model_dump()["hosts"] == ["a"]
    assert settings.model_dump()["flag"] is True


def test_the_constructor_asks_nothing(backend: FakeBackend) -> None:
    """Nor does a call where every field is supplied."""
    backend.put("prod/one", {"token": "t"})
    settings = settings_with(AWSSecretsManagerSettingsSource)
    AWSSecretsManagerSettingsSource(settings, "prod/one")
    settings(token="t", db=Inner().model_dump(), hosts=[], flag=True, maybe=None)
    assert backend.calls == []


def test_many_instances_cost_one_call(backend: FakeBackend) -> None:
    """The built-in asks each time."""
    backend.put("prod/one", {"token": "t"})
    settings = settings_with(AWSSecretsManagerSettingsSource)
    assert {settings().model_dump()["token"] for _ in range(5)} == {"t"}
    assert len(backend.calls) == 1


def test_stage_and_version_can_be_asked_for(backend: FakeBackend) -> None:
    """The built-in knows versions only."""
    old = backend.put("prod/one", {"token": "old"})
    backend.put("prod/one", {"token": "new"})
    for arguments in ({"version_stage": "AWSPREVIOUS"}, {"version_id": old}):
        settings = settings_with(AWSSecretsManagerSettingsSource, **arguments)
        assert settings().model_dump()["token"] == "old"


@pytest.mark.parametrize(
    ("secret", "said"),
    [(None, "create it"), ("canary plain text", "not JSON"), (b"\xff", "binary")],
)
def test_a_secret_that_cannot_be_used_is_said(backend: FakeBackend, secret: Any, said: str) -> None:
    """As pydantic says things, with the reference; the built-in falls over a binary one."""
    if secret is not None:
        backend.put("prod/one", secret)
    with pytest.raises(ValidationError, match="prod/one") as caught:
        settings_with(AWSSecretsManagerSettingsSource)()
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
