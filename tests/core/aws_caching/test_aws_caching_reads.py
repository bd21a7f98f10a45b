"""The names of AWS's caching library: reading, and reading anew at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from smclient import ConfigError, InternalServiceError, ResourceNotFoundError
from smclient.aws_caching import SecretCache
from smclient.testing import FakeBackend, FakeClock

# --- reading --------------------------------------------------------------------------------------


def test_text_and_bytes_are_read(cache: SecretCache) -> None:
    """Each by its own method."""
    assert cache.get_secret_string("text") == "one"
    assert cache.get_secret_binary("bin") == b"\x00\xff"


def test_ten_reads_are_one_fetch(cache: SecretCache, backend: FakeBackend) -> None:
    """One call in all; theirs takes two."""
    for _ in range(10):
        cache.get_secret_string("text")
        cache.get_secret_binary("bin")
    assert [call.operation for call in backend.calls] == ["GetSecretValue"] * 2


def test_many_threads_on_a_cold_secret_are_one_fetch(
    cache: SecretCache, backend: FakeBackend
) -> None:
    """Single flight."""
    entered, go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        assert go.wait(10)

    backend.before = hold
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(cache.get_secret_string, "text") for _ in range(8)]
        assert entered.wait(10)
        go.set()
        assert {read.result(10) for read in reads} == {"one"}
    assert len(backend.calls) == 1


def test_an_explicit_stage_is_read(cache: SecretCache, backend: FakeBackend) -> None:
    """AWSPREVIOUS beside AWSCURRENT, each its own value."""
    backend.put("text", "two")
    assert cache.get_secret_string("text", "AWSPREVIOUS") == "one"
    assert cache.get_secret_string("text") == "two"
    assert cache.get_secret_string("text", version_stage="AWSCURRENT") == "two"


def test_the_default_stage_is_an_option(make_cache: Any, backend: FakeBackend) -> None:
    """Read where no stage is asked."""
    backend.put("text", "two")
    cache = make_cache(default_version_stage="AWSPREVIOUS")
    assert cache.get_secret_string("text") == "one"
    assert cache.get_secret_string("text", "AWSCURRENT") == "two"


@pytest.mark.parametrize("interval", [3600, 60.5, 0.5])
def test_past_the_interval_the_value_is_new(
    make_cache: Any, backend: FakeBackend, clock: FakeClock, interval: float
) -> None:
    """Whole or fractional, short or long: never a value older than the interval."""
    cache = make_cache(secret_refresh_interval=interval)
    assert cache.get_secret_string("text") == "one"
    backend.put("text", "two")
    clock.advance(interval * 0.49)
    assert cache.get_secret_string("text") == "one"
    clock.advance(interval * 0.51)
    assert cache.get_secret_string("text") == "two"


def test_with_no_interval_each_read_asks(make_cache: Any, backend: FakeBackend) -> None:
    """Zero holds nothing."""
    cache = make_cache(secret_refresh_interval=0)
    cache.get_secret_string("text")
    backend.put("text", "two")
    assert cache.get_secret_string("text") == "two"


def test_the_cache_is_bounded(make_cache: Any, backend: FakeBackend) -> None:
    """The oldest goes, what was read meanwhile stays; a size of one works."""
    small = make_cache(max_cache_size=2)
    for name in ("text", "json", "text"):
        small.get_secret_string(name)
    small.get_secret_binary("bin")
    backend.calls.clear()
    small.get_secret_string("text")
    assert backend.calls == []
    small.get_secret_string("json")
    assert len(backend.calls) == 1
    one = make_cache(max_cache_size=1)
    one.get_secret_string("text")
    one.get_secret_string("json")
    backend.calls.clear()
    one.get_secret_string("json")
    one.get_secret_string("text")
    assert len(backend.calls) == 1
    with pytest.raises(ConfigError, match="max_secrets"):
        make_cache(max_cache_size=0)


# --- refresh now ----------------------------------------------------------------------------------


def test_refresh_now_is_one_call_and_no_sleep(
    cache: SecretCache, backend: FakeBackend, clock: FakeClock
) -> None:
    """Theirs sleeps 2.5 to 5 seconds; the next refresh counts from now."""
    cache.get_secret_string("text")
    backend.put("text", "two")
    clock.advance(1700)
    assert cache.refresh_secret_now("text") is True
    assert cache.get_secret_string("text") == "two"
    clock.advance(1700)
    assert cache.get_secret_string("text") == "two"
    assert len(backend.calls) == 2
    assert clock.slept == []


def test_refresh_now_says_when_it_failed_and_asks_each_time(
    cache: SecretCache, backend: FakeBackend
) -> None:
    """False; what is held is still served after a failure that may pass."""
    cache.get_secret_string("text")
    backend.fail_with(InternalServiceError("oops"), times=None)
    assert cache.refresh_secret_now("text") is False
    assert cache.refresh_secret_now("text") is False
    assert len(backend.calls) == 3
    assert cache.get_secret_string("text") == "one"


def test_refresh_now_clears_a_kept_error(cache: SecretCache, backend: FakeBackend) -> None:
    """At once."""
    with pytest.raises(ResourceNotFoundError):
        cache.get_secret_string("late")
    backend.put("late", "here")
    assert cache.refresh_secret_now("late") is True
    assert cache.get_secret_string("late") == "here"
