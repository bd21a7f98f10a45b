"""The settings of a client: named, checked and documented in one place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

from smclient.backend import DEFAULT_BACKEND
from smclient.errors import ConfigError, UnknownSettingError
from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS

PREFIX = "SMCLIENT_"
REFRESH_MODES = ("auto", "batch", "describe", "get")

NOT_CLIENT_SETTINGS = frozenset(
    {
        "SMCLIENT_ACCESS_KEY",
        "SMCLIENT_EXPECTED_GENERATION",
        "SMCLIENT_INIT_FILE",
        "SMCLIENT_KEY_FILE",
        "SMCLIENT_LAZY",
        "SMCLIENT_MASTER_KEY",
        "SMCLIENT_MASTER_KEY_FILE",
        "SMCLIENT_MASTER_PASSPHRASE",
        "SMCLIENT_PASSPHRASE",
        "SMCLIENT_PG_BIN",
        "SMCLIENT_SECRET_KEY",
        "SMCLIENT_SESSION_STAGES",
        "SMCLIENT_STATE_DIR",
        "SMCLIENT_STORE",
    }
)
"""Names with our prefix that belong to somebody else and are no mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Settings of a ``SecretsClient``. Durations are seconds.

    Attributes:
        backend: URL of the backend; not in the repr, since a password may be in it.
        ttl: how long a value is served without looking whether it changed.
        max_stale: age, counted from the fetch, past which a value is never served.
        jitter: share of ``ttl`` by which it is shortened at random, so that a fleet spreads out.
        max_secrets: how many secrets are held at most.
        max_bytes: how many bytes of values are held at most.
        refresh: how due values are looked at: ``auto``, ``batch``, ``describe`` or ``get``.
        ladder: staging labels whose credentials a login tries, in order.
        login_wait: how long a login waits, while a rotation is under way, for its end to show.
        require_aws_endpoint: refuse endpoints that are not AWS's own.
        per_secret: ``ttl`` and ``max_stale`` of single secrets, by name or ARN:
            ``{"prod/db": {"ttl": 30}}``; in the environment as JSON.
    """

    backend: str = field(default=DEFAULT_BACKEND, repr=False)
    ttl: float = 300.0
    max_stale: float = 3600.0
    jitter: float = 0.1
    max_secrets: int = 1024
    max_bytes: int = 64 * 1024 * 1024
    refresh: str = "auto"
    ladder: tuple[str, ...] = (AWSCURRENT, AWSPENDING, AWSPREVIOUS)
    login_wait: float = 5.0
    require_aws_endpoint: bool = False
    per_secret: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("ttl", "max_stale", "login_wait"):
            value = getattr(self, name)
            _check(name, value, _is(value, int, float) and 0 <= value < float("inf"), "0 or more")
        good = _is(self.jitter, int, float) and 0 <= self.jitter <= 0.9
        _check("jitter", self.jitter, good, "between 0 and 0.9")
        for name in ("max_secrets", "max_bytes"):
            value = getattr(self, name)
            _check(name, value, _is(value, int) and value >= 1, "a whole number, 1 or more")
        _check("refresh", self.refresh, self.refresh in REFRESH_MODES, f"one of {REFRESH_MODES}")
        good = bool(self.ladder) and self.ladder[0] == AWSCURRENT and all(self.ladder)
        good = good and len(set(self.ladder)) == len(self.ladder)
        _check("ladder", self.ladder, good, "distinct staging labels, AWSCURRENT first")
        _check_per_secret(self.per_secret)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> ClientConfig:
        """Settings from ``SMCLIENT_TTL``, ``SMCLIENT_BACKEND`` and so on.

        Raises:
            UnknownSettingError: a ``SMCLIENT_…`` variable that is no setting.
            ConfigError: a value that does not fit.
        """
        names = {n for n in environ if n.startswith(PREFIX)} - NOT_CLIENT_SETTINGS
        return cls.from_mapping({n: environ[n] for n in names})

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], *, prefix: str = PREFIX) -> ClientConfig:
        """Settings from names such as ``SMCLIENT_TTL``; text is read as the setting's own kind.

        Raises:
            UnknownSettingError, ConfigError
        """
        kinds = {f.name: f.type for f in fields(cls)}
        given: dict[str, Any] = {}
        for name, value in settings.items():
            setting = name.removeprefix(prefix).lower()
            if setting not in kinds:
                raise UnknownSettingError(
                    f"there is no setting {name!r}{_hint(setting, prefix, kinds)}"
                )
            given[setting] = _read(name, value, str(kinds[setting]))
        return replace(cls(), **given)


def _check(name: str, value: object, good: bool, allowed: str) -> None:
    if not good:
        raise ConfigError(f"setting {name} is {value!r}; it must be {allowed}")


def _check_per_secret(given: object) -> None:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"setting per_secret is a {type(given).__name__}; it must be a mapping of names or "
            'ARNs to settings, such as {"prod/db": {"ttl": 30}}'
        )
    for secret_id, settings in given.items():
        named = f"per_secret[{secret_id!r}]"
        known = isinstance(settings, Mapping) and settings.keys() <= {"ttl", "max_stale"}
        _check(named, settings, known, "a mapping with ttl, max_stale or both")
        for name, value in settings.items():
            good = _is(value, int, float) and 0 <= value < float("inf")
            _check(f"{named}[{name!r}]", value, good, "0 or more")


def _is(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _hint(setting: str, prefix: str, kinds: Mapping[str, Any]) -> str:
    known = [prefix + kind.upper() for kind in kinds]
    close = get_close_matches(setting, kinds, n=1)
    if close:
        return f"; did you mean {prefix}{close[0].upper()}?"
    return f"; the settings are {', '.join(known)}"


def _read(name: str, value: Any, kind: str) -> Any:
    if not isinstance(value, str):
        return tuple(value) if kind.startswith("tuple") else value
    try:
        if kind == "float":
            return float(value)
        if kind == "int":
            return int(value)
        if kind == "bool":
            return {"1": True, "true": True, "0": False, "false": False}[value.lower()]
    except (ValueError, KeyError):
        raise ConfigError(f"setting {name} is {value!r}; it must be a {kind}") from None
    if kind.startswith("Mapping"):
        try:
            return json.loads(value)
        except ValueError:
            raise ConfigError(f"setting {name} is {value!r}; it must be JSON") from None
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
