"""pydantic-settings whose fields come from secrets, and follow them."""

from smclient_pydantic.aws import AWSSecretsManagerSettingsSource
from smclient_pydantic.clients import default_client, use_client
from smclient_pydantic.markers import FromSecret
from smclient_pydantic.settings import SecretsBaseSettings, SecretsConfigDict
from smclient_pydantic.source import ResolveReferences, SecretsSource
from smclient_pydantic.watching import Live, watch

__all__ = [
    "AWSSecretsManagerSettingsSource",
    "FromSecret",
    "Live",
    "ResolveReferences",
    "SecretsBaseSettings",
    "SecretsConfigDict",
    "SecretsSource",
    "default_client",
    "use_client",
    "watch",
]
