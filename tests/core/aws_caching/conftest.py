"""Caches by the names of AWS's caching library, on one backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from smclient.aws_caching import SecretCache, SecretCacheConfig
from smclient.testing import FakeBackend, FakeClock

CANARY = "canary-value-5d21"


@pytest.fixture
def backend() -> FakeBackend:
    """Text, JSON and bytes."""
    return FakeBackend({"text": "one", "json": {"user": "app", "pw": CANARY}, "bin": b"\x00\xff"})


@pytest.fixture
def make_cache(backend: FakeBackend, clock: FakeClock) -> Iterator[Any]:
    """Caches on the shared backend and clock, closed after."""
    made: list[SecretCache] = []

    def make(client: Any = None, **options: Any) -> SecretCache:
        config = SecretCacheConfig(**options)
        made.append(SecretCache(config, client or backend, clock=clock))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache: Any) -> SecretCache:
    """One with every option as it comes."""
    made: SecretCache = make_cache()
    return made
