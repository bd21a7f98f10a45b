"""A function with code of its own: what Lambda keeps of one, checked, and as bytes."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from smclient.errors import ConfigError

DEFAULT_TIMEOUT = 30.0
DEFAULT_MEMORY = 256
LONGEST_TIMEOUT = 900.0
LEAST_MEMORY, MOST_MEMORY = 64, 10_240
DEFAULT_HANDLER = "lambda_function.lambda_handler"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HANDLER = re.compile(r"[\w/]+(\.\w+)+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|DEFAULT_REGION|EXECUTION_ENV|"
    r"LAMBDA_.*|ENDPOINT_URL.*)|LAMBDA_.*|_HANDLER"
)
_ENVIRONMENT_BYTES = 4096 * 8


@dataclass(frozen=True, slots=True)
class ChildFunction:
    """Lambda code and how it is run.

    Attributes:
        package: its files, as one zip (``package.package_of``).
        handler: ``module.function`` in it.
        python: the interpreter, by its absolute path; its drivers are what the code may import.
        environment: variables of its own, beside those that Lambda sets. A
            ``SECRETS_MANAGER_ENDPOINT``, which AWS's templates are given, is replaced by ours.
        role: the ARN of the role it acts under, ``None`` for its default one.
        role_policy: what that default role may do instead, an IAM policy as JSON.
        timeout_seconds, memory_mb: its limits.
    """

    arn: str
    name: str
    package: bytes = field(repr=False)
    handler: str = DEFAULT_HANDLER
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    role: str | None = None
    role_policy: str | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT
    memory_mb: int = DEFAULT_MEMORY

    def to_bytes(self) -> bytes:
        """As it is sealed into a store."""
        plain: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["environment"] = dict(self.environment)
        plain["package"] = base64.b64encode(self.package).decode()
        return json.dumps(plain).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> ChildFunction:
        """Out of what ``to_bytes`` made."""
        plain = json.loads(content)
        return cls(**{**plain, "package": base64.b64decode(plain["package"])})

    def about(self) -> dict[str, Any]:
        """What may be shown of it: everything but its code and the values of its variables."""
        return {
            "name": self.name,
            "arn": self.arn,
            "handler": self.handler,
            "python": self.python,
            "role": self.role,
            "environment": sorted(self.environment),
            "timeout_seconds": self.timeout_seconds,
            "memory_mb": self.memory_mb,
            "code_bytes": len(self.package),
        }


def function_arn(account: str, region: str, name: str) -> str:
    """The ARN of a function. Raises ``ConfigError`` for a name that Lambda would not take."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of a function: 1 to 64 letters, digits, hyphens and underscores"
        )
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def checked(function: ChildFunction) -> ChildFunction:
    """The function, if it can be run at all; its interpreter by its absolute path.

    Links are not followed: a virtual environment's interpreter is a link, and its own place is what
    makes it one.

    Raises:
        ConfigError: names what is wrong.
    """
    from smclient_embedded.functions.package import has_module

    where = f"function {function.name!r}"
    if os.name != "posix":
        raise ConfigError(f"{where}: code of its own needs a POSIX system (process groups, limits)")
    if not _HANDLER.fullmatch(function.handler):
        raise ConfigError(f"{where}: the handler {function.handler!r} is not module.function")
    if not has_module(function.package, function.handler):
        module = function.handler.rpartition(".")[0]
        raise ConfigError(f"{where}: its code has no module {module!r} for {function.handler!r}")
    if not 0 < function.timeout_seconds <= LONGEST_TIMEOUT:
        raise ConfigError(f"{where}: a time limit is at most {LONGEST_TIMEOUT:.0f} seconds")
    if not LEAST_MEMORY <= function.memory_mb <= MOST_MEMORY:
        raise ConfigError(f"{where}: a memory limit is {LEAST_MEMORY} to {MOST_MEMORY} MB")
    _check_environment(where, function.environment)
    return replace(function, python=interpreter(function.python, where))


def interpreter(python: str, where: str) -> str:
    """The absolute path of an interpreter. Raises ``ConfigError`` if it cannot be run."""
    path = os.path.abspath(python)
    if not (Path(path).is_file() and os.access(path, os.X_OK)):
        raise ConfigError(f"{where}: there is no interpreter that can be run at {path}")
    return path


def _check_environment(where: str, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise ConfigError(f"{where}: {name!r} cannot be an environment variable")
        if _RESERVED.fullmatch(name):
            raise ConfigError(
                f"{where}: the environment variable {name} is set by the service, as Lambda does"
            )
    if sum(len(name) + len(value) for name, value in environment.items()) > _ENVIRONMENT_BYTES:
        raise ConfigError(f"{where}: its environment variables take more than 32 KB")
