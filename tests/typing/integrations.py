"""The integrations as a type checker sees them. Never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from flask import Flask
from starlette.requests import Request

from smclient import AsyncSecretsClient, SecretsClient
from smclient.keyring import KeyRing
from smclient.masking import Masker
from smclient.remedies import remedy, with_remedy
from smclient_fastapi import Secret, client_of, lifespan
from smclient_flask import LiveConfig, Secrets
from smclient_logging import RedactingFilter, redact
from smclient_pydantic import (
    FromSecret,
    Live,
    SecretsBaseSettings,
    SecretsConfigDict,
    default_client,
    use_client,
    watch,
)
from smclient_pymongo import AsyncMongoHolder, MongoHolder
from smclient_redis import SecretCredentials


class Settings(SecretsBaseSettings):
    """As users write it."""

    model_config = SecretsConfigDict(smclient_secrets=["prod/app"], smclient_ttl=60)
    name: str = "app"


def settings(client: SecretsClient) -> None:
    """pydantic-settings."""
    live = watch(Settings)
    assert_type(live, Live[Settings])
    assert_type(live.current, Settings)
    assert_type(live.on_change(lambda old, new: print(old.name, new.name)), Callable[[], None])
    assert_type(default_client(ttl=5), SecretsClient)
    assert_type(FromSecret("prod/db", "password").optional, bool)
    with use_client(client):
        assert_type(Settings().name, str)


def flask(app: Flask, client: SecretsClient) -> None:
    """Flask."""
    secrets = Secrets(client=client)
    secrets.init_app(app)
    assert_type(secrets.client, SecretsClient)
    if isinstance(app.config, LiveConfig):
        assert_type(app.config.key_ring(), KeyRing | None)


async def fastapi(request: Request, client: AsyncSecretsClient) -> None:
    """FastAPI and Starlette."""
    lifespan(client, warm=["prod/app"])
    assert_type(client_of(request), AsyncSecretsClient)
    assert_type(await Secret("prod/app", "key")(request), Any)


def beside(client: SecretsClient, error: Exception) -> None:
    """Redis, logs, rings."""
    assert_type(
        SecretCredentials(client, "prod/redis").get_credentials(), tuple[str] | tuple[str, str]
    )
    RedactingFilter(client, shortest=8)
    redact(client)
    assert_type(Masker(client)("text"), str)
    ring = KeyRing(client, "secret://prod/web#key")
    assert_type(ring.keys(), list[str | bytes])
    assert_type(ring.look_again(ring.keys()), bool)
    from smclient import SmclientError

    if isinstance(error, SmclientError):
        assert_type(remedy(error) + with_remedy(error), str)


def mongo_holder(holder: MongoHolder) -> None:
    """Work's result is the run's."""
    assert_type(holder.run(lambda client: len(client.list_database_names())), int)


async def async_mongo_holder(holder: AsyncMongoHolder) -> None:
    """Awaited."""

    async def work(client: object) -> str:
        return str(client)

    assert_type(await holder.run(work), str)
