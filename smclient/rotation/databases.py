"""The one place where rotation loads database drivers, by name, when a step needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from smclient.backend import missing_extra
from smclient.drivers import Verdict, scrub, verdict
from smclient.errors import RotationStepError
from smclient.secret import SecretValue

CONNECT_TIMEOUT = 5


def load_driver(name: str) -> Any:
    """A driver module. Raises ``MissingExtraError`` naming the extra that brings it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_extra(f"rotation with {name}", error) from error


def refused(error: Exception, value: SecretValue, label: str) -> bool:
    """Whether a login failed for its credentials. The error is stripped of the password.

    Raises:
        RotationStepError: it failed for another reason, so that trying other credentials is no use.
    """
    scrub(error)
    if verdict(error) is not Verdict.NO:
        return True
    raise RotationStepError(
        f"secret {value.arn}: cannot reach the database with the {label} credentials "
        f"({type(error).__name__}); check host, port, database and network of the secret"
    ) from error


def broke_off(error: Exception, value: SecretValue, doing: str) -> RotationStepError:
    """The error for a statement that failed after the login. The cause is stripped of the
    statement, which may hold a password's verifier."""
    scrub(error)
    return RotationStepError(
        f"secret {value.arn}: the database let us in, but could not {doing} "
        f"({type(error).__name__}); see the cause, and what the user is allowed"
    )
