"""The names of AWS's caching library: decorators that inject a value."""

from __future__ import annotations

import asyncio
import inspect
import threading
import traceback
from datetime import timedelta
from typing import Any

import pytest

from smclient.aws_caching import (
    InjectedSecretError,
    InjectKeywordedSecretString,
    InjectSecretString,
    SecretCache,
)
from smclient.testing import FakeBackend
from tests.core.aws_caching.conftest import CANARY


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
