"""The public API for Django as a type checker sees it. Never run, like ``api.py``."""

from __future__ import annotations

from typing import Any, assert_type

from smclient import LazySecret, SecretsClient
from smclient.testing import FakeBackend
from smclient_django import (
    Secret,
    clients,
    configure,
    override_secrets,
    secret,
    secret_fallbacks,
    secret_now,
)
from smclient_django.values import SecretKeyFallbacks


async def settings() -> None:
    """What a settings module and a view write."""
    value = secret("secret://prod/web#key", alias="default")
    assert_type(value, Secret)
    lazy: LazySecret = value
    assert_type(str(lazy), str)
    assert_type(await value.aget(), str)
    fallbacks = secret_fallbacks("secret://prod/web#key", stages=["AWSPREVIOUS"], more=[b"old"])
    assert_type(fallbacks, SecretKeyFallbacks)
    keys: list[Any] = fallbacks
    assert_type(len(keys), int)
    assert_type(secret_now("secret://prod/web"), Any)
    assert_type(clients["default"], SecretsClient)
    aliases: dict[str, dict[str, Any]] = {"default": {"BACKEND": "null://", "TTL": 5}}
    assert_type(configure(aliases), dict[str, dict[str, Any]])


def tests() -> None:
    """What a test writes."""
    assert_type(override_secrets({"prod/web": {"key": "x"}}).enable(), FakeBackend)
