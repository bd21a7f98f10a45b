"""The drop-in for pydantic-settings' own AWS source: the same arguments, our client underneath."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic.fields import FieldInfo
from pydantic_settings import AWSSecretsManagerSettingsSource as _Builtin
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.sources.utils import parse_env_vars

from smclient import SecretRef, SecretsClient, SmclientError
from smclient.references import Reference
from smclient.secret import hidden
from smclient_pydantic.clients import client_for, default_client
from smclient_pydantic.fields import is_complete
from smclient_pydantic.reading import Failure, Values, refuse


class AWSSecretsManagerSettingsSource(_Builtin):
    """``pydantic_settings.AWSSecretsManagerSettingsSource`` that reads through a ``SecretsClient``:
    cached, counted, over any backend, and only if a field is still missing. Nested JSON objects
    need no ``--`` in their keys.

    Args:
        settings_cls, secret_id, case_sensitive, env_prefix, env_nested_delimiter,
            env_parse_none_str, env_parse_enums, version_id: the built-in's.
        region_name, endpoint_url: of AWS; without them, what ``SMCLIENT_BACKEND`` says.
        client: read through this one.
        version_stage: AWSCURRENT unless given.
        ttl: seconds that a value is served without a look.

    Raises (when called):
        pydantic.ValidationError: the secret cannot be read.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        secret_id: str,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        case_sensitive: bool | None = True,
        env_prefix: str | None = None,
        env_nested_delimiter: str | None = "--",
        env_parse_none_str: str | None = None,
        env_parse_enums: bool | None = None,
        version_id: str | None = None,
        *,
        client: SecretsClient | Callable[[], SecretsClient] | None = None,
        version_stage: str | None = None,
        ttl: float | None = None,
        **builtin: Any,
    ) -> None:
        self._secret_id = secret_id
        self._version_id = version_id
        self._ref = SecretRef(secret_id, version_stage, version_id)
        self._ttl = ttl
        self._url = _aws_url(region_name, endpoint_url)
        self._given = client
        EnvSettingsSource.__init__(  # not the built-in's, which asks AWS here and now
            self,
            settings_cls,
            case_sensitive=case_sensitive,
            env_prefix=env_prefix,
            env_nested_delimiter=env_nested_delimiter,
            env_ignore_empty=False,
            env_parse_none_str=env_parse_none_str,
            env_parse_enums=env_parse_enums,
            **builtin,
        )

    def __call__(self) -> dict[str, Any]:
        """What the secret has of the fields; nothing is asked where none is missing."""
        if is_complete(self.settings_cls, self.current_state):
            return {}
        self.env_vars = self._fields()
        return super().__call__()

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A JSON object inside the secret is one already; text is parsed, as in the built-in."""
        if not isinstance(value, str | bytes | bytearray):
            return value
        return hidden(super().decode_complex_value(field_name, field, value))

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {}  # asked of by the constructor; ``__call__`` reads

    def _fields(self) -> Mapping[str, Any]:
        given = self._given
        if given is None and self._url is not None:
            given = default_client(backend=self._url, ttl=self._ttl)
        elif given is None and self._ttl is not None:
            given = default_client(backend=self.config.get("smclient_backend"), ttl=self._ttl)
        client = client_for(self.config, given)
        reference = Reference(self._ref)
        try:
            found = Values(client, [reference]).value(self._ref).fields
        except SmclientError as error:
            refuse(self.settings_cls.__name__, [Failure((), reference, error)])
            raise
        return parse_env_vars(
            {key: hidden(item) for key, item in found.items()},
            self.case_sensitive,
            self.env_ignore_empty,
            self.env_parse_none_str,
        )


def _aws_url(region_name: str | None, endpoint_url: str | None) -> str | None:
    if region_name is None and endpoint_url is None:
        return None
    query = f"?{urlencode({'endpoint_url': endpoint_url})}" if endpoint_url is not None else ""
    return f"aws://{region_name or ''}{query}"
