"""The app: what happens when Django has loaded its settings. Nothing here asks a backend."""

from __future__ import annotations

import sys
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.signals import request_started, setting_changed

from smclient_django import debug, discover, signals
from smclient_django.clients import SETTING, clients
from smclient_django.errors import told
from smclient_django.fresh import before_request
from smclient_django.values import Secret, measurable

UID = "smclient_django"


class SmclientConfig(AppConfig):
    """``INSTALLED_APPS = ["smclient_django", …]``; early, so that other apps find it ready."""

    name = "smclient_django"
    verbose_name = "Secrets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Name the settings in the values, and follow their secrets from request to request.

        Raises:
            SecretConfigError: a setting holds a bad reference, or ``SMCLIENT`` or a database's
                ``SECRET`` is wrong. Not under ``manage.py check``, whose checks tell all of them.
        """
        from smclient_django import checks  # noqa: F401  registers them

        discover.name_the_settings()
        if not _checks_follow():
            _refuse_bad_references()
            for alias in clients.aliases():
                clients.config(alias)
            discover.databases()
        measure_the_key()
        debug.install()
        signals.connect()
        request_started.connect(before_request, dispatch_uid=UID)
        setting_changed.connect(_on_setting_changed, dispatch_uid=UID)


def measure_the_key() -> None:
    """Make a secret ``SECRET_KEY``, and secrets among its fallbacks, such that Django's own check
    can measure them, and that refuse to be empty."""
    key = discover.setting("SECRET_KEY")
    if key is not measurable(key):
        settings.SECRET_KEY = measurable(key)
    fallbacks = discover.setting("SECRET_KEY_FALLBACKS")
    if type(fallbacks) in (list, tuple) and any(isinstance(key, Secret) for key in fallbacks):
        settings.SECRET_KEY_FALLBACKS = [measurable(key) for key in fallbacks]


def _checks_follow() -> bool:
    """Whether this process was started to run the checks."""
    return sys.argv[1:2] == ["check"] or sys.argv[1:3] == ["smclient", "check"]


def _refuse_bad_references() -> None:
    for found in discover.found_in_settings():
        if found.value.problem is not None:
            raise told(f"settings.{found.setting}", found.value.problem) from found.value.problem


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    """``override_settings``, in tests."""
    if setting == SETTING:
        clients.close()
    elif setting in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        measure_the_key()
