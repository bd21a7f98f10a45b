"""What an entry of ``DATABASES`` says about its secret, and the secret about the entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smclient import (
    ConfigError,
    CredentialFieldError,
    InvalidReferenceError,
    SecretValue,
    SmclientError,
)
from smclient.references import Reference, parse
from smclient_django.clients import DEFAULT_ALIAS
from smclient_django.errors import told

SECRET = "SECRET"  # noqa: S105  names of settings
ALIAS = "SECRET_ALIAS"
FIELDS = "SECRET_FIELDS"

LOGIN = {"USER": "username", "PASSWORD": "password"}
ADDRESS = {"HOST": "host", "PORT": "port", "NAME": "dbname"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The secret that a database logs in with.

    Attributes:
        database: alias of the database, for errors.
        secret_id: name or ARN of the secret.
        alias: alias of ``SMCLIENT``.
        fields: Django's name of a setting to the field of the secret that has it.
    """

    database: str
    secret_id: str
    alias: str = DEFAULT_ALIAS
    fields: Mapping[str, str] = field(default_factory=lambda: {**LOGIN, **ADDRESS}, hash=False)

    @property
    def where(self) -> str:
        """How an error names it."""
        return f"settings.DATABASES[{self.database!r}]['{SECRET}'] = {self.secret_id!r}"

    @property
    def login_fields(self) -> tuple[str, ...]:
        """The fields of the secret that make up the credentials."""
        return tuple(self.fields[name] for name in LOGIN)

    def filled(self, entry: Mapping[str, Any], value: SecretValue) -> dict[str, Any]:
        """The entry as if someone had written into it what a version of the secret says: user and
        password, and host, port and database where the entry has none.

        Raises:
            SecretContentError: the secret is no JSON object, or lacks user or password.
        """
        filled = dict(entry)
        for setting, name in self.fields.items():
            content = value.fields.get(name)
            if setting in LOGIN:
                filled[setting] = self._login(value, name, content)
            elif entry.get(setting) == "" and content is not None:
                filled[setting] = str(content)  # plain: an address is no secret
        return filled

    def _login(self, value: SecretValue, name: str, content: Any) -> str:
        if not isinstance(content, str) or not content:
            raise CredentialFieldError(
                f"secret {value.name!r}, version {value.version_id}, has no {name!r} to log in "
                f"with; store it, or name the right field in {FIELDS}"
            )
        return content


def wanted_by(database: str, entry: Mapping[str, Any]) -> Wanted | None:
    """What an entry of ``DATABASES`` asks for; ``None`` without ``SECRET``.

    Raises:
        SecretConfigError: what it says does not fit together.
    """
    given = entry.get(SECRET)
    if not given:
        return None
    where = f"settings.DATABASES[{database!r}]"
    try:
        return _checked(database, str(given), entry)
    except SmclientError as error:
        raise told(where, error) from error


def _checked(database: str, given: str, entry: Mapping[str, Any]) -> Wanted:
    clash = [name for name in LOGIN if entry.get(name)]
    if clash:
        raise ConfigError(f"{' and '.join(clash)} come from {SECRET} = {given!r}; leave them out")
    fields = {**LOGIN, **ADDRESS, **(entry.get(FIELDS) or {})}
    unknown = fields.keys() - LOGIN.keys() - ADDRESS.keys()
    if unknown:
        known = ", ".join([*LOGIN, *ADDRESS])
        raise ConfigError(f"{FIELDS} has {', '.join(sorted(unknown))}; it knows {known}")
    return Wanted(database, _secret_id(given), entry.get(ALIAS) or DEFAULT_ALIAS, fields)


def _secret_id(given: str) -> str:
    """A name, an ARN, or a reference without a key."""
    text = given if "://" in given or given.startswith(("arn:", "{{")) else f"secret://{given}"
    parsed = parse(text)
    if not isinstance(parsed, Reference) or parsed.key is not None or not parsed.ref.is_current:
        raise InvalidReferenceError(
            f"bad {SECRET} {given!r}: a login reads the whole secret and picks the version itself; "
            "give its name or ARN, without a key, a stage or a version"
        )
    return parsed.ref.secret_id
