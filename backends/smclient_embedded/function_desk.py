"""Functions managed from outside the process: at a running server, and by the command line.

To register code at a server is to run code on it. So a server takes it only if it was started with
``--allow-function-upload``, only from the account's administrator with a verified signature, and
only for interpreters that the server was started with.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from smclient.errors import (
    ConfigError,
    FunctionFailedError,
    ResourceNotFoundError,
)
from smclient_embedded.asking import ask
from smclient_embedded.context import RequestContext
from smclient_embedded.errors import (
    AccessDeniedException,
    InvalidParameterException,
    ResourceNotFoundException,
)
from smclient_embedded.functions.registry import decoded

if TYPE_CHECKING:
    from smclient_embedded.service import EmbeddedService

logger = logging.getLogger("smclient.embedded.functions")

TARGET_PREFIX = "smclient.Function"
"""The target of a request, followed by one of the actions."""
_ADD = frozenset(
    {
        "handler",
        "role",
        "python",
        "environment",
        "role_policy",
        "timeout",
        "memory_mb",
    }
)


class FunctionDesk:
    """Does what is asked of the functions of a service.

    Args:
        pythons: the interpreters that functions may name beside this one; ``None`` for any.
    """

    def __init__(self, service: EmbeddedService, *, pythons: Collection[str] | None) -> None:
        self._service = service
        self._pythons = pythons
        self._actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "Add": self._add,
            "List": lambda given: {"functions": self._service.functions()},
            "Remove": self._remove,
            "Invoke": self._invoke,
            "Logs": lambda given: {"log": self._service.function_log(given["name"])},
        }

    def do(self, action: str, given: dict[str, Any]) -> dict[str, Any]:
        """Do one action. Raises ``ConfigError``, ``ResourceNotFoundError``."""
        return self._actions[action](given)

    def answer(self, action: str, given: dict[str, Any], context: RequestContext) -> dict[str, Any]:
        """Do what a signed request asks.

        Raises:
            ServiceError: whoever asks may not, or asks for what cannot be.
        """
        caller = context.principal
        if caller.kind != "administrator" or caller.account != self._service.account:
            raise AccessDeniedException(
                f"User: {caller.arn} is not authorized to manage functions: only the administrator "
                f"of account {self._service.account} is"
            )
        if action not in self._actions:
            raise InvalidParameterException(f"unknown action; known are {', '.join(self._actions)}")
        if action != "List" and not isinstance(given.get("name"), str):
            raise InvalidParameterException("name the function, as text")
        logger.warning(
            "function %s: %s by %s from %s",
            given.get("name", ""),
            action,
            caller.arn,
            context.source_ip,
        )
        try:
            return self.do(action, given)
        except ConfigError as error:
            raise InvalidParameterException(str(error)) from error
        except ResourceNotFoundError as error:
            raise ResourceNotFoundException(str(error)) from error

    def _add(self, given: dict[str, Any]) -> dict[str, Any]:
        package = given.get("package")
        if isinstance(package, str):
            try:
                package = base64.b64decode(package, validate=True)
            except (ValueError, binascii.Error) as error:
                raise ConfigError("the package of a function is base64 of a zip") from error
        if not isinstance(package, bytes):
            raise ConfigError("the package of a function is missing")
        options = {name: given[name] for name in _ADD if given.get(name) is not None}
        _check_types(options)
        self._check_python(options.get("python"))
        return {"arn": self._service.register_function(given["name"], package=package, **options)}

    def _check_python(self, python: str | None) -> None:
        if python is None or self._pythons is None:
            return
        path = os.path.abspath(python)
        if path not in {sys.executable, *self._pythons}:
            raise ConfigError(
                f"this server runs no functions with {python}; it was started with "
                f"{', '.join(sorted({sys.executable, *self._pythons}))} (--function-python)"
            )

    def _remove(self, given: dict[str, Any]) -> dict[str, Any]:
        self._service.remove_function(given["name"])
        return {}

    def _invoke(self, given: dict[str, Any]) -> dict[str, Any]:
        name, event = given["name"], given.get("event", {})
        if not isinstance(event, dict):
            raise ConfigError("the event of a function is a JSON object")
        before = self._service.function_log(name)
        try:
            done = self._service.invoke_function(name, event)
        except FunctionFailedError as error:
            wrote = self._service.function_log(name).removeprefix(before)
            return {"result": None, "error": str(error), "log": wrote}
        return {"result": decoded(done), "error": None, "log": done.log}


_TYPES: dict[str, tuple[type, ...]] = {
    "handler": (str,),
    "role": (str,),
    "python": (str,),
    "environment": (dict,),
    "role_policy": (str, dict),
    "timeout": (int, float),
    "memory_mb": (int,),
}


def _check_types(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise ConfigError(f"{name} of a function has another type than it should")
    environment = options.get("environment", {})
    if not all(isinstance(item, str) for pair in environment.items() for item in pair):
        raise ConfigError("the environment of a function is a JSON object of text")


def ask_server(endpoint: str, action: str, given: dict[str, Any], *, region: str) -> dict[str, Any]:
    """Ask a running server, signed with the AWS credentials of this environment. Raises what
    ``asking.ask`` does."""
    target = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": TARGET_PREFIX + action,
    }
    return ask(endpoint, "POST", "/", given, region=region, headers=target)
