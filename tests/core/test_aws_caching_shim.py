"""The names of AWS's caching library over our client: what its tests fix, what we do better."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    ConfigError,
    InternalServiceError,
    NotBinaryError,
    NotTextError,
    ResourceNotFoundError,
    SecretsClient,
)
from smclient.aws_caching import (
    InjectedSecretError,
    InjectKeywordedSecretString,
    InjectSecretString,
    SecretCache,
    SecretCacheConfig,
)
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


# --- errors instead of None -----------------------------------------------------------------------


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


# --- config, client, hook -------------------------------------------------------------------------


def test_the_options_are_theirs() -> None:
    """Names and defaults; the longest retry is ours."""
    assert vars(SecretCacheConfig()) == {
        "max_cache_size": 1024,
        "exception_retry_delay_base": 1,
        "exception_retry_growth_factor": 2,
        "exception_retry_delay_max": 60,
        "default_version_stage": "AWSCURRENT",
        "secret_refresh_interval": 3600,
        "secret_cache_hook": None,
    }
    assert isinstance(SecretCacheConfig().secret_refresh_interval, int)


def test_an_unknown_option_is_a_type_error() -> None:
    """By name."""
    with pytest.raises(TypeError, match="secret_refresh_intervall"):
        SecretCacheConfig(secret_refresh_intervall=3)


def test_a_client_may_be_a_boto3_client_a_url_or_ours(backend: FakeBackend) -> None:
    """What theirs takes, and more; ours is used as it is."""
    ours = SecretsClient(backend)
    assert SecretCache(client=ours).get_secret_string("text") == "one"
    boto3 = pytest.importorskip("boto3")
    theirs = boto3.client(
        "secretsmanager",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    from botocore.stub import Stubber

    answer = {"ARN": backend.arn("x"), "Name": "x", "VersionId": "v" * 32, "SecretString": "stub"}
    with Stubber(theirs) as stub:
        stub.add_response(
            "get_secret_value", answer, {"SecretId": "x", "VersionStage": "AWSCURRENT"}
        )
        assert SecretCache(client=theirs).get_secret_string("x") == "stub"
    assert SecretCache(client="null://").get_secret_string("x")


class Marking:
    """A hook with a lock in it, which theirs cannot copy."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.puts = 0

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Mark it as stored."""
        self.puts += 1
        return self._marked(obj, "+put")

    def get(self, cached_obj: dict[str, Any]) -> dict[str, Any]:
        """Mark it as handed out."""
        return self._marked(cached_obj, "+get")

    @staticmethod
    def _marked(obj: dict[str, Any], mark: str) -> dict[str, Any]:
        marked = dict(obj)
        if "SecretString" in marked:
            marked["SecretString"] += mark
        else:
            marked["SecretBinary"] += mark.encode()
        return marked


def test_a_hook_wraps_text_and_bytes(make_cache: Any, backend: FakeBackend) -> None:
    """Put once for a version, get at each read."""
    hook = Marking()
    cache = make_cache(secret_cache_hook=hook)
    for _ in range(3):
        assert cache.get_secret_string("text") == "one+put+get"
        assert cache.get_secret_binary("bin") == b"\x00\xff+put+get"
    assert hook.puts == 2
    backend.put("text", "two")
    cache.refresh_secret_now("text")
    assert cache.get_secret_string("text") == "two+put+get"
    assert hook.puts == 3


def test_a_hook_that_leaves_nothing_is_told(make_cache: Any) -> None:
    """Not None in silence."""

    class Empty(Marking):
        def get(self, cached_obj: dict[str, Any]) -> dict[str, Any]:
            return {}

    cache = make_cache(secret_cache_hook=Empty())
    with pytest.raises(NotTextError, match="hook left no SecretString"):
        cache.get_secret_string("text")
    with pytest.raises(NotBinaryError, match="hook left no SecretBinary"):
        cache.get_secret_binary("bin")


def test_nothing_shows_a_value(cache: SecretCache) -> None:
    """Neither the cache nor what it gives."""
    text = cache.get_secret_string("json")
    assert CANARY in text
    assert CANARY not in repr(cache)
    assert CANARY not in repr([text])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_a_lock_is_held_reads_on(
    cache: SecretCache, backend: FakeBackend
) -> None:
    """Theirs stops for ever."""
    with pytest.raises(ResourceNotFoundError):
        cache.get_secret_string("none")  # so that the lock is needed
    ours, theirs = os.pipe()
    with cache._lock:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                os.write(theirs, cache.get_secret_string("text").encode())
            finally:
                os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        assert answer.read() == b"one"
    os.waitpid(child, 0)


# --- decorators -----------------------------------------------------------------------------------


def test_text_is_injected_first(cache: SecretCache) -> None:
    """Before other arguments, read at each call, not at import."""

    @InjectSecretString("text", cache)
    def function(secret: str, *args: Any, **kwargs: Any) -> Any:
        """Its own docstring."""
        return secret, args, kwargs

    assert function(1, k=2) == ("one", (1,), {"k": 2})
    assert function.__name__ == "function"
    assert function.__doc__ == "Its own docstring."


def test_nothing_is_read_before_the_first_call(cache: SecretCache, backend: FakeBackend) -> None:
    """And each call reads what holds then."""

    @InjectSecretString("text", cache)
    def function(secret: str) -> str:
        return secret

    assert backend.calls == []
    assert function() == "one"
    backend.put("text", "two")
    cache.refresh_secret_now("text")
    assert function() == "two"


def test_text_is_injected_after_self(cache: SecretCache) -> None:
    """In methods, of derived classes too, in class methods and not in static ones."""

    def plain(function: Any) -> Any:
        return lambda *args: function(*args)  # a decorator that does not say what it wraps

    class Base:
        @InjectSecretString("text", cache)
        def method(self, secret: str, more: int) -> Any:
            return self, secret, more

        @classmethod
        @InjectSecretString("text", cache)
        def of_class(cls, secret: str, more: int) -> Any:
            return cls, secret, more

        @staticmethod
        @InjectSecretString("text", cache)
        def static(secret: str, more: Any) -> Any:
            return secret, more

        @plain
        @InjectSecretString("text", cache)
        def covered(self, secret: str) -> Any:
            return self, secret

    class Derived(Base):
        pass

    for thing in (Base(), Derived()):
        assert thing.method(1) == (thing, "one", 1)
        assert thing.of_class(2) == (type(thing), "one", 2)
        assert thing.static(3) == ("one", 3)
        assert thing.static(thing) == ("one", thing)
        assert thing.covered() == (thing, "one")


def test_a_function_named_like_a_method_of_its_argument_is_a_function(cache: SecretCache) -> None:
    """Theirs swaps the arguments of a function called format."""

    @InjectSecretString("text", cache)
    def format(secret: str, template: str) -> Any:  # noqa: A001  the name is the point
        return secret, template

    assert format("{}") == ("one", "{}")


def test_a_function_put_into_a_class_later_is_a_method(cache: SecretCache) -> None:
    """By where it is."""

    class Thing:
        later: Any

    @InjectSecretString("text", cache)
    def later(self: Any, secret: str) -> Any:
        return self, secret

    Thing.later = later
    thing = Thing()
    assert thing.later() == (thing, "one")


def test_fields_are_injected_by_keyword(cache: SecretCache) -> None:
    """With positional arguments, and defaults left alone."""

    @InjectKeywordedSecretString("json", cache, name="user", password="pw")
    def function(
        first: int, name: str | None = None, password: str | None = None, other: str = "default"
    ) -> Any:
        return first, name, password, other

    assert function(7) == (7, "app", CANARY, "default")
    assert function(7, other="x") == (7, "app", CANARY, "x")

    class Thing:
        @InjectKeywordedSecretString("json", cache, name="user")
        def method(self, first: int, name: str = "") -> Any:
            return self, first, name

    thing = Thing()
    assert thing.method(1) == (thing, 1, "app")


BAD = {"text": CANARY, "array": f'["{CANARY}"]', "keyless": {"other": CANARY}}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text", "is no JSON object"),
        ("array", "is no JSON object"),
        ("keyless", "has no key 'user', 'pw'"),
    ],
)
def test_what_cannot_be_injected_is_a_runtime_error(
    cache: SecretCache, backend: FakeBackend, kind: str, told: str
) -> None:
    """One of our tree too, that shows no value, nor do its frames."""
    backend.put("json", BAD[kind])

    @InjectKeywordedSecretString("json", cache, a="user", b="pw")
    def function(a: str, b: str) -> None:
        raise AssertionError("called")

    with pytest.raises(RuntimeError, match=told) as caught:
        function()
    assert isinstance(caught.value, InjectedSecretError)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert CANARY not in "".join(shown.format())


def test_an_async_function_stays_one_and_its_loop_goes_on(
    cache: SecretCache, backend: FakeBackend
) -> None:
    """A cold read is waited for in a thread while the loop runs; a held one takes no thread."""
    release = threading.Event()
    asked_on: list[str] = []

    def hold(_: object) -> None:
        asked_on.append(threading.current_thread().name)
        assert release.wait(10)

    backend.before = hold

    @InjectSecretString("text", cache)
    async def plain(secret: str, more: int) -> Any:
        return secret, more

    @InjectKeywordedSecretString("json", cache, password="pw")
    async def keyed(password: str) -> str:
        await asyncio.sleep(0)
        return password

    assert inspect.iscoroutinefunction(plain)

    async def scene() -> None:
        cold = asyncio.create_task(plain(1))
        while not asked_on:  # runs only because the loop is not blocked
            await asyncio.sleep(0)
        release.set()
        assert await cold == ("one", 1)
        assert await keyed() == CANARY
        assert len(asked_on) == 2
        assert threading.main_thread().name not in asked_on
        warm = plain(2)
        with pytest.raises(StopIteration) as stopped:
            warm.send(None)  # done at the first step: nothing was awaited
        assert stopped.value.value == ("one", 2)

    asyncio.run(asyncio.wait_for(scene(), timedelta(seconds=20).total_seconds()))
