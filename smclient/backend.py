"""The port every backend implements, and the registry that finds a backend by its URL."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable
from urllib.parse import parse_qsl, unquote, urlsplit

from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import (
    ConfigError,
    MissingExtraError,
    SmclientError,
    UnknownBackendError,
    UnknownSettingError,
)
from smclient.secret import SecretDescription, SecretRef, SecretValue

T_co = TypeVar("T_co", covariant=True)

DEFAULT_BACKEND = "aws://"
_AWS_HOST = re.compile(
    r"(vpce-[a-z0-9-]+\.)?"
    r"secretsmanager(?P<fips>-fips)?"
    r"\.[a-z]{2}(?:-[a-z]+)+-\d+"  # a Region, not s3-eu-west-1: under that, names are anybody's
    r"(?(1)\.vpce)"
    r"\.(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)"
)

BACKENDS = "smclient.backends"
"""Entry-point group: URL scheme to a callable ``(BackendUrl, clock=…) -> Backend``."""

_SHIPPED = {
    "agent": "smclient.agent:open_backend",
    "aws": "smclient_aws:open_backend",
    "embedded": "smclient_embedded:open_backend",
    "embedded+postgresql": "smclient_embedded:open_backend",
    "file": "smclient_embedded:open_backend",
    "null": "smclient.null:open_backend",
}
_EXTRAS = {
    "sqlalchemy": "embedded",
    "smclient_embedded": "embedded",
    "psycopg": "postgresql",
    "pymysql": "mysql",
    "pymongo": "mongodb",
    "redis": "redis",
    "boto3": "all",
    "click": "cli",
    "rich": "cli",
    "django": "django",
    "flask": "flask",
}


@dataclass(frozen=True, slots=True)
class Miss:
    """A call that failed on the way to an answer which came from elsewhere."""

    region: str
    attempts: int
    code: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What a backend answers, with the calls on the wire that it cost (repeats included).

    ``region`` is where it came from, if that is not where the secret is at home; ``missed`` are the
    calls to other Regions before, whose attempts are not among ``attempts``.
    """

    value: T_co
    attempts: int = 1
    region: str | None = None
    missed: tuple[Miss, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose eyes a backend sees with. Values are never shared between two identities."""

    account: str
    region: str
    endpoint: str
    principal: str


@runtime_checkable
class Backend(Protocol):
    """A place where secrets are. Thread-safe; never caches; raises only ``SmclientError``."""

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """Read one version of one secret."""
        ...

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """Read AWSCURRENT of at most 20 secrets in one call; an answer or an error for each id."""
        ...

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """Labels, rotation and key of a secret, without its value."""
        ...

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """Any operation of the API, as is. Raises ``NotSupportedError`` where there is none."""
        ...

    def identity(self) -> Identity:
        """Account, region, endpoint and principal."""
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...


def fetch_newest(backend: Backend) -> Callable[[SecretRef], Answer[SecretValue]]:
    """How to read past a cache that stands between a backend and the service: its own
    ``fetch_newest`` if it has one (the agent has), else ``fetch``."""
    found: Callable[[SecretRef], Answer[SecretValue]]
    found = getattr(backend, "fetch_newest", backend.fetch)
    return found


@dataclass(frozen=True, slots=True)
class BackendUrl:
    """A backend's URL, taken apart: ``scheme://host/path?option=value``. Its repr leaves out where
    a password may be."""

    text: str = field(repr=False)
    scheme: str
    host: str = field(default="", repr=False)
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> BackendUrl:
        """Take a URL apart. Raises ``ConfigError``; the message never repeats a password in it."""
        scheme, colon, _ = text.partition(":")
        if not colon or not scheme or not scheme.replace("+", "").replace("-", "").isalnum():
            raise ConfigError(
                f"{scheme!r} is not a backend URL; examples: aws://eu-west-1, "
                "embedded:///abs/secrets.db, null://"
            )
        try:
            parts = urlsplit(text)
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:  # its text may repeat user and password
            raise ConfigError(
                f"the {scheme}: backend URL cannot be read; it reads "
                "scheme://host/path?option=value, special characters percent-encoded"
            ) from None
        options = dict(pairs)
        if len(options) != len(pairs):
            raise ConfigError(f"the {scheme}: backend URL names an option twice")
        return cls(text, scheme.lower(), parts.netloc, unquote(parts.path), options)

    def take(self, *known: str) -> Mapping[str, str]:
        """The options, all of which must be among ``known``; else ``UnknownSettingError``."""
        for name in self.options:
            if name not in known:
                raise UnknownSettingError(
                    f"the {self.scheme}: backend has no option {name!r}; "
                    f"it knows {', '.join(sorted(known)) or 'none'}"
                )
        return self.options


def load_backend(url: str, *, clock: Clock = SYSTEM_CLOCK) -> Backend:
    """Open the backend that a URL names.

    Raises:
        UnknownBackendError: nothing installed answers to the scheme.
        MissingExtraError: it is known but a package it needs is not installed.
        ConfigError: the URL does not suit the backend.
    """
    parsed, opener = find_backend(url)
    return cast(Backend, opener(parsed, clock=clock))


def find_backend(url: str) -> tuple[BackendUrl, Callable[..., Any]]:
    """A URL taken apart and what opens it, without opening it. Raises what ``load_backend`` does,
    but for what only opening tells."""
    parsed = BackendUrl.parse(url)
    return parsed, load_plugin(BACKENDS, parsed.scheme, _SHIPPED)


def open_backend(given: Any = None, *, clock: Clock = SYSTEM_CLOCK) -> Backend:
    """A backend from whatever a user has: a URL, a boto3 client, a ``Backend``, or nothing (then
    ``SMCLIENT_BACKEND``, else ``aws://``).

    Raises:
        ConfigError: it is none of these, or its URL is wrong.
    """
    if given is None:
        given = os.environ.get("SMCLIENT_BACKEND") or DEFAULT_BACKEND
    if isinstance(given, str):
        return load_backend(given, clock=clock)
    if _is_boto_client(given):
        opener = load_plugin(BACKENDS, "aws", _SHIPPED)
        return cast(Backend, opener(BackendUrl.parse("aws://"), clock=clock, client=given))
    if isinstance(given, Backend):
        return given
    raise ConfigError(
        f"a {type(given).__name__} is no backend; give a URL such as aws://eu-west-1, a boto3 "
        "secretsmanager client, or an object with the methods of smclient.Backend"
    )


def _is_boto_client(given: object) -> bool:
    model = getattr(getattr(given, "meta", None), "service_model", None)
    return getattr(model, "service_name", None) == "secretsmanager"


def require_aws(backend: Backend) -> None:
    """Refuse a backend that does not speak to AWS's own endpoint over TLS.

    Raises:
        ConfigError: naming the endpoint and where it may come from.
    """
    members = getattr(backend, "members", None)
    if members is not None:  # one of several Regions
        for member in members:
            require_aws(member)
        return
    endpoint = backend.identity().endpoint
    if not is_aws_endpoint(endpoint):
        raise ConfigError(
            f"require_aws_endpoint is set, and the endpoint is {endpoint!r}; look for an "
            "endpoint_url, AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_SECRETS_MANAGER"
        )


def is_aws_endpoint(url: str, *, fips: bool = False) -> bool:
    """Whether a URL is AWS's own Secrets Manager, asked over TLS; VPC endpoints are. With ``fips``,
    whether it is a FIPS endpoint of it."""
    parts = urlsplit(url)
    found = _AWS_HOST.fullmatch(parts.hostname or "")
    return parts.scheme == "https" and found is not None and (not fips or bool(found["fips"]))


def load_plugin(group: str, name: str, shipped: Mapping[str, str]) -> Callable[..., Any]:
    """The object that an entry point of a group names.

    ``shipped`` stands in for what a source checkout without metadata cannot list.

    Raises:
        UnknownBackendError, MissingExtraError
    """
    from importlib.metadata import EntryPoint, entry_points  # 10 ms, only when one is opened

    found = {point.name: point for point in entry_points(group=group)}
    for shipped_name, target in shipped.items():
        found.setdefault(shipped_name, EntryPoint(shipped_name, target, group))
    if name not in found:
        raise UnknownBackendError(
            f"nothing installed answers to {name!r}; known: {', '.join(sorted(found))}"
        )
    try:
        return cast(Callable[..., Any], found[name].load())
    except ImportError as error:
        raise missing_extra(name, error) from error


def missing_extra(what: str, error: ImportError) -> MissingExtraError:
    """The error that says which extra brings a module that cannot be imported."""
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    remedy = f"pip install 'smclient[{extra}]'" if extra else f"install the package of {module!r}"
    return MissingExtraError(f"{what!r} needs the module {module!r}, which is absent: {remedy}")
