"""The Flask extension: references in ``app.config`` are read through a ``SecretsClient``."""

from __future__ import annotations

from typing import Any

from flask import Config, Flask, current_app

from smclient import ClientConfig, ConfigError, SecretsClient, SmclientError
from smclient.references import AnyReference, find, is_reference

EXTENSION = "smclient"
LAZY = "SMCLIENT_LAZY"
_PREFIX = "SMCLIENT_"


class SecretConfigError(ConfigError):
    """A reference in ``app.config`` cannot be resolved; names the setting and the reference."""


class LiveConfig(Config):
    """Config whose references are resolved when they are read. What it holds are the references,
    so ``dict(config)`` and ``repr(config)`` show no value."""

    secrets_client: SecretsClient

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        return self._live(key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The value, resolved; ``default`` if there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def get_namespace(
        self, namespace: str, lowercase: bool = True, trim_namespace: bool = True
    ) -> dict[str, Any]:
        """Flask's ``get_namespace`` with values resolved."""
        found: dict[str, Any] = {}
        for key in self:
            if key.startswith(namespace):
                short = key[len(namespace) :] if trim_namespace else key
                found[short.lower() if lowercase else short] = self[key]
        return found

    def references(self) -> dict[str, AnyReference]:
        """Setting to reference, for every setting that is one.

        Raises:
            SecretConfigError: a setting looks like a reference and is a bad one.
        """
        found: dict[str, AnyReference] = {}
        for key in self:
            value = super().__getitem__(key)
            if isinstance(value, str) and is_reference(value):
                reference = _parsed(key, value)
                if reference is not None:
                    found[key] = reference
        return found

    def _live(self, key: str, value: Any) -> Any:
        if not isinstance(value, str) or not is_reference(value):
            return value
        reference = _parsed(key, value)
        if reference is None:
            return value
        try:
            return self.secrets_client.resolve(reference)
        except SmclientError as error:
            raise SecretConfigError(f"app.config[{key!r}] = {value!r}: {error}") from error


def _parsed(key: str, value: str) -> AnyReference | None:
    try:
        return find(value)
    except SmclientError as error:
        raise SecretConfigError(f"app.config[{key!r}]: {error}") from error


class Secrets:
    """The extension: ``Secrets().init_app(app)`` or ``Secrets(app)``.

    Settings are the client's own with ``SMCLIENT_`` before them (``SMCLIENT_BACKEND``,
    ``SMCLIENT_TTL``, …), and ``SMCLIENT_LAZY``: read the secrets when they are used, not now.
    One ``Secrets`` serves many apps; each has its client in ``app.extensions["smclient"]``.
    """

    def __init__(self, app: Flask | None = None, *, client: SecretsClient | None = None) -> None:
        self._given = client
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make the config of an app live, and read what it refers to in one batch.

        Raises:
            UnknownSettingError, ConfigError: a setting with our prefix is wrong.
            SecretConfigError: a reference is bad, or, unless lazy, cannot be resolved.
        """
        ours = {k: v for k, v in app.config.items() if k.startswith(_PREFIX) and k != LAZY}
        settings = ClientConfig.from_mapping(ours)  # a typo is an error beside a given client too
        client = self._given or SecretsClient.from_config(settings)
        app.config.__class__ = LiveConfig
        config = app.config
        assert isinstance(config, LiveConfig)
        config.secrets_client = client
        app.extensions[EXTENSION] = client
        references = config.references()
        if references and not app.config.get(LAZY, False):
            wanted = [ref for reference in references.values() for ref in reference.refs()]
            client.preload([ref.secret_id for ref in wanted if ref.is_current])
            for key in references:
                config[key]

    @property
    def client(self) -> SecretsClient:
        """The client of the current app. Raises ``RuntimeError`` outside of one."""
        client: SecretsClient = current_app.extensions[EXTENSION]
        return client

    def get(self, reference: str) -> Any:
        """What a reference names, in the current app; see ``SecretsClient.resolve``."""
        return self.client.resolve(reference)
