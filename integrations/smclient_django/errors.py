"""What is raised in Django's own way."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from smclient import SmclientError
from smclient.remedies import with_remedy


class SecretConfigError(ImproperlyConfigured):
    """A secret that settings refer to cannot be had. Names the setting, the reference and the
    remedy, never a value; ``__cause__`` is smclient's own error."""


def told(where: str, error: SmclientError) -> SecretConfigError:
    """The error for whoever reads the setting ``where``; to be raised ``from`` the other."""
    return SecretConfigError(f"{where}: {with_remedy(error)}")
