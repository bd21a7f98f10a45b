"""The names of AWS's caching library: errors instead of None."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    InternalServiceError,
    NotBinaryError,
    NotTextError,
    ResourceNotFoundError,
)
from smclient.aws_caching import SecretCache, SecretCacheConfig
from smclient.testing import FakeBackend, FakeClock


def test_what_is_absent_is_an_error(cache: SecretCache, backend: FakeBackend) -> None:
    """Secret, stage, current version: theirs gives None for an hour."""
    backend.move("json", "AWSCURRENT", None)
    for name, stage in (("none", None), ("text", "AWSPENDING"), ("json", None)):
        with pytest.raises(ResourceNotFoundError):
            cache.get_secret_string(name, stage)


def test_the_wrong_kind_is_an_error(cache: SecretCache) -> None:
    """Text of bytes, bytes of text."""
    with pytest.raises(NotTextError):
        cache.get_secret_string("bin")
    with pytest.raises(NotBinaryError):
        cache.get_secret_binary("text")


def test_an_absent_value_is_asked_for_once(cache: SecretCache, backend: FakeBackend) -> None:
    """100 reads, one call, an error each: new every time, its traceback does not grow."""
    errors = []
    for _ in range(100):
        with pytest.raises(ResourceNotFoundError) as caught:
            cache.get_secret_string("none")
        errors.append(caught.value)
    assert len(backend.calls) == 1
    assert len({id(error) for error in errors}) == 100
    assert len(traceback.extract_tb(errors[-1].__traceback__)) <= 4


def test_a_kept_error_is_tried_again_later_and_later(
    cache: SecretCache, backend: FakeBackend, clock: FakeClock
) -> None:
    """After 1, 2, 4 … seconds, at most 60; a read that works starts anew."""
    backend.fail_with(AccessDeniedError("no"), times=None)
    waits = []
    for _ in range(8):
        with pytest.raises(AccessDeniedError):
            cache.get_secret_string("text")
        asked, waited = len(backend.calls), 0
        while len(backend.calls) == asked:
            clock.advance(1)
            waited += 1
            with pytest.raises(AccessDeniedError):
                cache.get_secret_string("text")
        waits.append(waited)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    backend.recover()
    clock.advance(60)
    assert cache.get_secret_string("text") == "one"
    clock.advance(3600)
    backend.fail_with(AccessDeniedError("no"), times=None)
    with pytest.raises(AccessDeniedError):
        cache.get_secret_string("text")
    backend.recover()
    clock.advance(1)
    assert cache.get_secret_string("text") == "one"


def test_the_retry_times_are_options(
    make_cache: Any, backend: FakeBackend, clock: FakeClock
) -> None:
    """Base, factor and bound."""
    config = SecretCacheConfig(
        exception_retry_delay_base=3, exception_retry_growth_factor=3, exception_retry_delay_max=20
    )
    assert [config.retry_delay(n) for n in (0, 1, 2, 5000)] == [3, 9, 20, 20]
    cache = make_cache(exception_retry_delay_base=5)
    backend.fail_with(InternalServiceError("oops"))
    with pytest.raises(InternalServiceError):
        cache.get_secret_string("text")
    clock.advance(4.9)
    with pytest.raises(InternalServiceError):
        cache.get_secret_string("text")
    clock.advance(0.2)
    assert cache.get_secret_string("text") == "one"
