"""The decorators of ``smclient.aws_caching``: secrets as arguments, read at each call."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from smclient.errors import SecretContentError

if TYPE_CHECKING:
    from smclient.aws_caching import SecretCache

F = TypeVar("F", bound=Callable[..., Any])


class InjectedSecretError(SecretContentError, RuntimeError):
    """The secret of a decorator is no JSON object, or lacks a key. Also a ``RuntimeError``."""


class InjectSecretString:
    """Decorator: the text of a secret becomes the first argument, after ``self`` in methods."""

    def __init__(self, secret_id: str, cache: SecretCache) -> None:
        self.secret_id = secret_id
        self.cache = cache

    def __call__(self, func: F) -> F:
        """The function with the secret read at each call."""

        def arranged(
            wrapper: Callable[..., Any], secret: str, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            first = 1 if _is_method_call(func, wrapper, args) else 0
            return func(*args[:first], secret, *args[first:], **kwargs)

        return _injecting(func, self.secret_id, self.cache, arranged)


class InjectKeywordedSecretString:
    """Decorator: fields of a JSON secret become keyword arguments: ``password="db_password"``
    passes the field ``db_password`` as ``password``."""

    def __init__(self, secret_id: str, cache: SecretCache, **kwargs: str) -> None:
        self.secret_id = secret_id
        self.cache = cache
        self.kwarg_map = kwargs

    def __call__(self, func: F) -> F:
        """The function with the fields read at each call."""

        def arranged(
            wrapper: Callable[..., Any], secret: str, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            found = _fields(self.secret_id, secret, self.kwarg_map)
            return func(*args, **found, **kwargs)

        return _injecting(func, self.secret_id, self.cache, arranged)


def _fields(secret_id: str, secret: str, kwarg_map: dict[str, str]) -> dict[str, Any]:
    try:
        parsed = json.loads(secret)
    except (ValueError, RecursionError):
        parsed = None  # the parser's own error holds the whole text, so it is not chained
    if not isinstance(parsed, dict):
        parsed = secret = ""
        raise InjectedSecretError(f"secret {secret_id!r} is no JSON object; its fields are asked")
    absent = [key for key in kwarg_map.values() if key not in parsed]
    if absent:
        parsed, secret = {}, ""
        raise InjectedSecretError(f"secret {secret_id!r} has no key {', '.join(map(repr, absent))}")
    return {argument: parsed[key] for argument, key in kwarg_map.items()}


def _injecting(func: F, secret_id: str, cache: SecretCache, arranged: Callable[..., Any]) -> F:
    read = partial(cache.get_secret_string, secret_id)
    wrapper: Callable[..., Any]
    if inspect.iscoroutinefunction(func):

        @wraps(func)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            held = cache.is_held(secret_id)
            secret = read() if held else await asyncio.to_thread(read)
            return await arranged(wrapper, secret, args, kwargs)

        wrapper = awaiting
    else:

        @wraps(func)
        def calling(*args: Any, **kwargs: Any) -> Any:
            return arranged(wrapper, read(), args, kwargs)

        wrapper = calling
    return cast(F, wrapper)


def _is_method_call(
    func: Callable[..., Any], wrapper: Callable[..., Any], args: tuple[Any, ...]
) -> bool:
    """Whether the first argument is what ``func`` is a method of: its class, or a class derived
    from it, has the decorated function under its name, and not as a static method."""
    home = func.__qualname__.rpartition(".")[0]
    for owner in (type(args[0]), args[0]) if args else ():
        if not isinstance(owner, type):
            continue
        found = inspect.getattr_static(owner, func.__name__, None)
        if isinstance(found, staticmethod):
            return False
        inner = getattr(found, "__func__", found)
        while inner is not None and inner is not wrapper:
            inner = getattr(inner, "__wrapped__", None)
        if inner is wrapper or (
            found is not None and any(base.__qualname__ == home for base in owner.__mro__)
        ):
            return True
    return False
