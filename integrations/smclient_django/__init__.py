"""Django settings and databases that follow their secrets.

    INSTALLED_APPS = ["smclient_django", ...]
    SMCLIENT = {"default": {"BACKEND": "aws://eu-west-1", "TTL": 300}}
    SECRET_KEY = secret("secret://prod/web#django_key")
    SECRET_KEY_FALLBACKS = secret_fallbacks("secret://prod/web#django_key")
    DATABASES = {"default": {"ENGINE": "smclient_django.db.postgresql", "SECRET": "prod/db"}}

Importing this touches neither settings nor network, so that a settings module can begin with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smclient_django.clients import clients, configure
from smclient_django.errors import SecretConfigError
from smclient_django.values import Secret, secret, secret_fallbacks, secret_now

if TYPE_CHECKING:
    from smclient_django.db.login import RotatingCredentialsMixin
    from smclient_django.testing import override_secrets

_LATER = {
    "RotatingCredentialsMixin": "smclient_django.db.login",
    "override_secrets": "smclient_django.testing",
}

__all__ = [
    "RotatingCredentialsMixin",
    "Secret",
    "SecretConfigError",
    "clients",
    "configure",
    "override_secrets",
    "secret",
    "secret_fallbacks",
    "secret_now",
]


def __getattr__(name: str) -> Any:
    """What needs more of Django than a settings module may load."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
