"""Where settings refer to secrets: the values of ours in them, however deep, and the databases."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from smclient_django.db.wanted import Wanted, wanted_by
from smclient_django.values import Secret, SecretKeyFallbacks

Ours = Secret | SecretKeyFallbacks
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A value of ours in the settings: where, and what."""

    setting: str
    """As ``DATABASES['default']['PASSWORD']``."""
    path: tuple[str, ...]
    value: Ours


def found_in_settings() -> list[Found]:
    """Every value of ours in the settings. Reads no secret."""
    return [found for name, value in _all_settings() for found in _within(name, (name,), value)]


def databases() -> list[tuple[str, Wanted]]:
    """Alias and secret of every database that logs in with one. Raises ``SecretConfigError``."""
    configured: Mapping[str, Mapping[str, Any]] = settings.DATABASES
    found = [(alias, wanted_by(alias, entry)) for alias, entry in configured.items()]
    return [(alias, wanted) for alias, wanted in found if wanted is not None]


def name_the_settings() -> None:
    """Tell each value of ours the name of its setting, for its errors."""
    for found in found_in_settings():
        if found.value.setting is None:
            found.value.setting = found.setting


def setting(name: str) -> Any:
    """The value of a setting; ``None`` for one that Django refuses to give, as an empty
    ``SECRET_KEY``, which commands do without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings that Django is about to drop
        try:
            return getattr(settings, name)
        except ImproperlyConfigured:
            return None


def _all_settings() -> Iterator[tuple[str, Any]]:
    for name in sorted(set(dir(settings))):
        if name.isupper() and name != "SMCLIENT":
            yield name, setting(name)


def _within(setting: str, path: tuple[str, ...], value: Any) -> Iterator[Found]:
    if isinstance(value, Secret | SecretKeyFallbacks):
        yield Found(setting, path, value)
    elif len(path) > _DEEPEST:
        return
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _within(f"{setting}[{key!r}]", (*path, str(key)), item)
    elif type(value) in (list, tuple, set, frozenset):
        for number, item in enumerate(value):
            yield from _within(f"{setting}[{number}]", (*path, str(number)), item)
