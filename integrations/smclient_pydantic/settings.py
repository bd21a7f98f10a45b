"""``SecretsBaseSettings``: a ``BaseSettings`` whose fields may come from secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from smclient import SecretsClient
from smclient_pydantic.source import SecretsSource


class SecretsConfigDict(SettingsConfigDict, total=False):
    """``SettingsConfigDict`` and four keys more."""

    smclient_secrets: Sequence[str]
    """Names of JSON secrets whose keys are fields, under everything else."""
    smclient_backend: str
    """URL of the backend; default: ``SMCLIENT_BACKEND``, else ``aws://``."""
    smclient_ttl: float
    """Seconds that a value is served without a look; default: ``SMCLIENT_TTL``."""
    smclient_client: SecretsClient | Callable[[], SecretsClient]
    """Read through this client instead of the process's."""


class SecretsBaseSettings(BaseSettings):
    """Sources, highest first: arguments, environment, dotenv, secret files (each with references
    resolved), fields marked ``FromSecret``, the secrets of ``smclient_secrets``, defaults.

    ``hide_input_in_errors`` is on, so that an error of pydantic's shows no value.

    Raises (when made):
        pydantic.ValidationError: fields are missing or wrong, or their secrets cannot be read.
    """

    model_config: ClassVar[SettingsConfigDict] = SecretsConfigDict(hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Two sources: the arguments, and one that has the others within."""
        within = (env_settings, dotenv_settings, file_secret_settings)
        return init_settings, SecretsSource(settings_cls, within=within)
