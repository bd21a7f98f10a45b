"""The Flask extension: references in ``app.config`` are read through a ``SecretsClient``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, current_app
from flask.sessions import SecureCookieSessionInterface

from smclient import ClientConfig, ConfigError, SecretsClient, SmclientError, TransientError
from smclient.config import NOT_CLIENT_SETTINGS
from smclient.fresh import Freshness
from smclient.keyring import OTHER_STAGES
from smclient.references import AnyReference
from smclient_flask.config import LiveConfig, SecretConfigError, live_class, told
from smclient_flask.sessions import KeyRingSessionInterface
from smclient_flask.signals import send_for

EXTENSION = "smclient"
LAZY = "SMCLIENT_LAZY"
SESSION_STAGES = "SMCLIENT_SESSION_STAGES"
_PREFIX = "SMCLIENT_"
_ON = frozenset({"1", "true", "yes", "on"})
_OFF = frozenset({"", "0", "false", "no", "off"})


class Secrets:
    """The extension: ``Secrets().init_app(app)`` or ``Secrets(app)``.

    Settings are the client's own with ``SMCLIENT_`` before them (``SMCLIENT_BACKEND``,
    ``SMCLIENT_TTL``, …), from ``app.config``, else from the environment; and two more:
    ``SMCLIENT_LAZY``, read the secrets when they are used, not now; ``SMCLIENT_SESSION_STAGES``,
    the labels beside AWSCURRENT whose session keys verify (AWSPENDING and AWSPREVIOUS; none ends
    all sessions at a rotation). Before each request, what the config was asked for and is past its
    ttl is fetched anew, in one batch. One ``Secrets`` serves many apps; each has its client in
    ``app.extensions["smclient"]``.

    Args:
        app: what ``init_app`` is called with at once.
        client: read through this one, in every app, instead of one for each.
        cli_group: name of the group of ``flask`` commands; None for no commands.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        client: SecretsClient | None = None,
        cli_group: str | None = "secrets",
    ) -> None:
        self._given = client
        self._cli_group = cli_group
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make the config of an app live, and read what it refers to in one batch.

        Raises:
            UnknownSettingError, ConfigError: a setting with our prefix is wrong, or this app has
                the extension already.
            SecretConfigError: references are bad or, unless lazy, cannot be resolved; it names all.
        """
        if EXTENSION in app.extensions:
            raise ConfigError(f"app {app.name!r} has the Secrets extension already")
        settings = ClientConfig.from_mapping(_settings(app.config))  # also beside a given client
        stages = _stages(_ours(app.config, SESSION_STAGES, OTHER_STAGES))
        lazy = _is_on(_ours(app.config, LAZY, False))
        client = self._given or SecretsClient.from_config(settings)
        app.config.__class__ = live_class(type(app.config))
        config = app.config
        assert isinstance(config, LiveConfig)
        config.secrets_client = client
        config.secrets_freshness = Freshness()
        config.session_stages = stages
        app.before_request_funcs.setdefault(None, []).insert(0, config.freshen)
        app.extensions[EXTENSION] = client
        if type(app.session_interface) is SecureCookieSessionInterface:
            app.session_interface = KeyRingSessionInterface()
        send_for(app, client)
        if self._cli_group is not None:
            from smclient_flask.cli import make_group

            app.cli.add_command(make_group(self._cli_group))
        found = config.references()
        if found and not lazy:
            _read_all(config, found)

    @property
    def client(self) -> SecretsClient:
        """The client of the current app. Raises ``RuntimeError`` outside of one."""
        client: SecretsClient = current_app.extensions[EXTENSION]
        return client

    def get(self, reference: str) -> Any:
        """What a reference names, in the current app; see ``SecretsClient.resolve``."""
        return self.client.resolve(reference)


def failures(config: LiveConfig, found: Mapping[str, AnyReference]) -> dict[str, str]:
    """Setting to message, for every reference of a config that cannot be resolved now: one batch,
    and nothing more once a backend is away."""
    wanted = [ref for reference in found.values() for ref in reference.refs()]
    client = config.secrets_client
    errors = client.preload([ref.secret_id for ref in wanted if ref.is_current]).errors
    away = next((e for e in errors.values() if isinstance(e, TransientError)), None)
    messages: dict[str, str] = {}
    for where, reference in found.items():
        error = _known(reference, errors) or (away if _staged(reference) else None)
        if error is not None:
            messages[where] = told(where, reference, error)
            continue
        try:
            config.resolve(where, reference)
        except SecretConfigError as failed:
            messages[where] = str(failed)
    return messages


def _read_all(config: LiveConfig, found: Mapping[str, AnyReference]) -> None:
    messages = list(failures(config, found).values())
    if messages:
        hint = f"{LAZY} = True starts the app without them; their first use fails then"
        raise SecretConfigError("\n".join([*messages, f"({hint})"]))


def _known(reference: AnyReference, errors: Mapping[str, SmclientError]) -> SmclientError | None:
    """What the batch said of a reference's secrets, unless it may be absent."""
    if reference.optional:
        return None
    refused = (errors.get(ref.secret_id) for ref in reference.refs() if ref.is_current)
    return next((error for error in refused if error is not None), None)


def _staged(reference: AnyReference) -> bool:
    return not all(ref.is_current for ref in reference.refs())


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the client is made with: the environment's settings under the app's."""
    others = NOT_CLIENT_SETTINGS | {LAZY, SESSION_STAGES}
    found: dict[str, Any] = {k: v for k, v in os.environ.items() if k.startswith(_PREFIX)}
    found.update({k: v for k, v in config.items() if k.startswith(_PREFIX)})
    return {k: v for k, v in found.items() if k not in others}


def _stages(given: str | Iterable[str]) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    stages = tuple(part.strip() for part in parts if part.strip())
    if "AWSCURRENT" in stages:
        raise ConfigError(f"{SESSION_STAGES} names the labels beside AWSCURRENT; leave that out")
    return stages


def _ours(config: Mapping[str, Any], name: str, default: Any) -> Any:
    """A setting of the extension itself: the environment's under the app's."""
    return config.get(name, os.environ.get(name, default))


def _is_on(given: Any) -> bool:
    """A switch, also as an environment has it."""
    if not isinstance(given, str):
        return bool(given)
    if given.lower() not in _ON | _OFF:
        raise ConfigError(f"setting {LAZY} is {given!r}; it must be 1 or 0")
    return given.lower() in _ON
