"""Rotation functions in this process: Python callables under a Lambda function's ARN."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smclient.backend import Backend
from smclient.errors import ConfigError

Handler = Callable[[dict[str, Any], Any], object]


@dataclass(frozen=True, slots=True)
class FunctionContext:
    """What a handler gets as ``context``: Lambda's names, and ``secrets``, a ``Backend`` that acts
    under the function's role."""

    function_name: str
    invoked_function_arn: str
    secrets: Backend


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    handler: Handler
    role: str


class InProcessFunctions:
    """A ``FunctionRunner`` over registered callables."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._functions: dict[str, _Function] = {}

    def register(self, arn: str, name: str, handler: Handler, role: str) -> None:
        """Put a callable under an ARN, in place of an earlier one. Raises ``ConfigError``."""
        if not callable(handler):
            raise ConfigError(f"function {name!r}: a {type(handler).__name__} cannot be called")
        with self._lock:
            self._functions[arn] = _Function(name, handler, role)

    def knows(self, function_arn: str) -> bool:
        """See ``FunctionRunner.knows``."""
        return function_arn in self._functions

    def invoke(
        self, function_arn: str, event: Mapping[str, Any], secrets: Callable[[str], Backend]
    ) -> None:
        """See ``FunctionRunner.invoke``."""
        function = self._functions[function_arn]
        backend = secrets(function.role)
        function.handler(dict(event), FunctionContext(function.name, function_arn, backend))
