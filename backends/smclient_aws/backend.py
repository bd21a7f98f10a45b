"""AWS Secrets Manager as a backend: boto3 asked in core's words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from smclient.backend import Answer, Identity, missing_extra
from smclient.batch import PAGE
from smclient.boto_shapes import description_from_dict, matched, value_from_dict
from smclient.errors import (
    BackendError,
    BackendUnavailableError,
    ClientClosedError,
    ConfigError,
    NotSupportedError,
    SmclientError,
    ValidationError,
)
from smclient.forking import survive_fork
from smclient.secret import RedactedStr, SecretDescription, SecretRef, SecretValue
from smclient_aws.calls import watched
from smclient_aws.errors import translated, unreadable
from smclient_aws.settings import AwsSettings

T = TypeVar("T")

_SENSITIVE = ("SecretString", "SecretBinary", "RotationToken")


class AwsBackend:
    """Secrets Manager over boto3. Thread-safe; makes its client at the first call.

    Retries are botocore's own: at most three attempts, and none after LimitExceededException.
    A ready client keeps the retries it was made with, and stays open when the backend is closed.

    Every method raises only ``SmclientError``: what AWS or botocore says, translated by
    ``smclient_aws.errors``, or ``ClientClosedError`` after ``close``.

    Args:
        settings: how to reach the service; without them everything is boto3's default.
        client: a ready boto3 client of Secrets Manager, instead of settings.

    Raises:
        ConfigError: settings and a client were both given, or it is another service's client.
    """

    def __init__(self, settings: AwsSettings | None = None, *, client: Any = None) -> None:
        if client is not None:
            if settings is not None:
                raise ConfigError(
                    "a ready boto3 client has its own settings; give one or the other"
                )
            if client.meta.service_model.service_name != "secretsmanager":
                raise ConfigError("the boto3 client is not one of secretsmanager")
        self._settings = settings or AwsSettings()
        self._lock = threading.Lock()
        self._ready = client
        self._client: Any = None
        self._identity: Identity | None = None
        self._closed = False
        survive_fork(self)

    def after_fork(self) -> None:
        """In the child: a client of its own, as one before the fork would answer on the parent's
        sockets. A ready client cannot be made anew here; make it after the fork."""
        self._lock = threading.Lock()
        self._client = None

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """Read one version of one secret with GetSecretValue."""
        parameters = {"SecretId": ref.secret_id}
        if ref.version_stage is not None:
            parameters["VersionStage"] = ref.version_stage
        if ref.version_id is not None:
            parameters["VersionId"] = ref.version_id
        what = " ".join(filter(None, (ref.version_stage, ref.version_id)))
        asked = f"GetSecretValue of {ref.secret_id!r} ({what})"
        return self._ask(asked, _call("GetSecretValue", parameters), value_from_dict)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """Read AWSCURRENT of at most 20 secrets with BatchGetSecretValue, page after page."""
        ids = list(dict.fromkeys(secret_ids))
        if not ids:
            return Answer({}, attempts=0)
        asked = f"BatchGetSecretValue of {len(ids)} secrets"
        if len(ids) > PAGE:
            raise ValidationError(f"{asked}: at most {PAGE} go into one call", attempts=0)
        return self._ask(asked, _all_pages(asked, ids), lambda shape: matched(ids, shape))

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """Labels, rotation and key of a secret with DescribeSecret."""
        work = _call("DescribeSecret", {"SecretId": secret_id})
        return self._ask(f"DescribeSecret of {secret_id!r}", work, description_from_dict)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """Any operation by its API name, ``PutSecretValue`` for example; boto3's answer without
        ``ResponseMetadata``. Raises ``NotSupportedError`` where boto3 has no such operation."""
        secret_id = parameters.get("SecretId", parameters.get("Name"))
        asked = f"{operation} of {secret_id!r}" if isinstance(secret_id, str) else operation
        hidden = _values_in(parameters)
        work = _call(operation, parameters)
        del parameters  # not to be found in this frame when an error is shown with its locals
        return self._ask(asked, work, dict, hidden)

    def identity(self) -> Identity:
        """Who asks whom. Makes the client, asks nobody, and is the same each time.

        ``account`` is known from a role's ARN or from the credentials, else empty. ``principal`` is
        the role, the access key id, the profile, or the kind of credentials: never a secret.
        """
        known = self._identity
        if known is None:
            from smclient_aws.session import identity_of

            known = self._ask(
                "the identity of aws://",
                lambda client: identity_of(client, self._settings),
                lambda identity: identity,
            ).value
            self._identity = known
        return known

    def close(self) -> None:
        """Close the connections of the backend's own client. Closing twice is fine."""
        with self._lock:
            client, self._client, self._closed = self._client, None, True
        if client is not None and client is not self._ready:
            client.close()

    def __repr__(self) -> str:
        return f"AwsBackend({'ready client' if self._ready is not None else self._settings})"

    # --- inside ---------------------------------------------------------------------------------

    def _ask(
        self,
        asked: str,
        work: Callable[[Any], Any],
        build: Callable[[Any], T],
        hidden: Sequence[str] = (),
    ) -> Answer[T]:
        problem: SmclientError
        with watched() as wire:
            try:
                return Answer(_built(work(self._opened()), build), max(wire.sent, 1))
            except _Unreadable:
                problem = unreadable(asked, max(wire.sent, 1))
            except SmclientError as error:
                if isinstance(error, BackendError):
                    error.attempts = wire.sent
                error.__context__ = None
                problem = error.with_traceback(None)
            except Exception as error:  # noqa: BLE001  the port raises only SmclientError, and
                # botocore lets through what its parsers, providers and event handlers raise
                attempts = max(wire.sent, self._answered(error))
                problem = translated(error, asked=asked, attempts=attempts, hidden=hidden)
        raise problem  # outside the handler: neither a context nor frames that hold a value

    def _answered(self, error: Exception) -> int:
        """1 for an answer of Secrets Manager, also by a stubbed client; 0 for STS's and others'."""
        operation = getattr(error, "operation_name", None)
        return int(self._client is not None and operation in _operations(self._client))

    def _opened(self) -> Any:
        client = self._client
        if client is not None:
            return client
        with self._lock:  # boto3 sessions must not be used by two threads
            if self._closed:
                raise ClientClosedError("this aws:// backend was closed; open it again")
            if self._client is None:
                from smclient_aws.session import adopt, open_client

                try:
                    ready = self._ready
                    self._client = open_client(self._settings) if ready is None else adopt(ready)
                except ImportError as error:
                    raise missing_extra("aws", error) from None
            return self._client


class _Unreadable(Exception):
    """An answer came, and it is not what the service model promises."""


def _built(shape: Any, build: Callable[[Any], T]) -> T:
    try:
        return build(shape)
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError):
        raise _Unreadable from None


def _call(operation: str, parameters: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """The work of one operation: everything but ``ResponseMetadata``."""

    def work(client: Any) -> dict[str, Any]:
        method = _operations(client).get(operation)
        if method is None:
            raise NotSupportedError(
                f"boto3 has no operation {operation!r} of Secrets Manager; names are AWS's own, "
                "such as PutSecretValue, and a newer boto3 may have more",
                attempts=0,
            )
        answer: dict[str, Any] = getattr(client, method)(**parameters)
        answer.pop("ResponseMetadata", None)
        if not answer and _promises_something(client, operation):
            raise _Unreadable  # what botocore makes of a body that is not JSON
        return answer

    return work


def _operations(client: Any) -> Mapping[str, str]:
    """Name of each operation in the API to the client's method."""
    return {api: method for method, api in client.meta.method_to_api_mapping.items()}


def _promises_something(client: Any, operation: str) -> bool:
    shape = client.meta.service_model.operation_model(operation).output_shape
    return bool(shape is not None and shape.members)


def _all_pages(asked: str, ids: list[str]) -> Callable[[Any], dict[str, Any]]:
    def work(client: Any) -> dict[str, Any]:
        whole: dict[str, list[Any]] = {"SecretValues": [], "Errors": []}
        token: dict[str, str] = {}
        for _ in range(len(ids) + 1):  # a page has one secret at least
            page = _call("BatchGetSecretValue", {"SecretIdList": ids, **token})(client)
            for part, entries in whole.items():
                entries += page.get(part, ())
            if not page.get("NextToken"):
                return whole
            token = {"NextToken": page["NextToken"]}
        raise BackendUnavailableError(f"{asked}: the pages of the answer have no end")

    return work


def _values_in(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for name in _SENSITIVE:
        value = parameters.get(name)
        if isinstance(value, bytes | bytearray):
            value = value.decode("utf-8", "replace")
        if value is not None:
            found.append(RedactedStr(value))
    return tuple(found)
