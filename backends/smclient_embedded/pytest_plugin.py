"""Fixtures for tests of code that reads secrets: a service of its own for each test, in memory.

    @pytest.mark.secrets({"prod/db": {"username": "app", "password": "first"}})
    def test_survives_a_rotation(secrets, rotate):
        before = secrets.get("prod/db")["password"]
        rotate("prod/db")
        assert secrets.refresh("prod/db")["password"] != before

Fixtures (``pytest --fixtures`` tells the same):

``secrets``            a ``SecretsClient`` over the test's service
``secrets_service``    that ``EmbeddedService``: faults, keys, principals, time
``secrets_boto3``      a real botocore client that the service answers, without a socket
``smclient_server``    the service over HTTP on a free port: ``.endpoint``, ``.client()``
``rotate``             rotate a secret now
``secrets_calls``      what was asked of the service, in order
``secrets_clock``      the clock of all of these; override it to travel in time

Nothing is loaded before a fixture is used: this module is imported in every test run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import pytest

if TYPE_CHECKING:
    from smclient import Clock, SecretsClient
    from smclient_embedded.served import ServedService
    from smclient_embedded.service import EmbeddedService
    from smclient_embedded.store import AuditRecord

MARKER = "secrets"
_LOOKS = 250
_LOOK_SECONDS = 0.02


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for ``--strict-markers``."""
    config.addinivalue_line(
        "markers",
        "secrets(values): secrets that are there when the test begins, by name; text and bytes as "
        "they are, anything else as JSON. The closest of several markers wins, name by name.",
    )


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def secrets_clock() -> Clock:
    """The machine's clock. Override it with a ``smclient.testing.FakeClock`` to travel in time."""
    from smclient.clock import SYSTEM_CLOCK

    return SYSTEM_CLOCK


@pytest.fixture
def secrets_service(request: pytest.FixtureRequest, secrets_clock: Clock) -> Iterator[Any]:
    """A fresh ``EmbeddedService`` in memory, with the secrets of ``@pytest.mark.secrets``."""
    from smclient_embedded.service import EmbeddedService

    with EmbeddedService(clock=secrets_clock) as service:
        for name, value in seeds(request.node).items():
            token = service.context().request_id
            made = {"Name": name, "ClientRequestToken": token, **_member(value)}
            service.call("CreateSecret", made)
        yield service


@pytest.fixture
def secrets(secrets_service: EmbeddedService, secrets_clock: Clock) -> Iterator[SecretsClient]:
    """A ``SecretsClient`` over the service of this test."""
    from smclient import SecretsClient

    client = SecretsClient(secrets_service.backend(), clock=secrets_clock)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def secrets_boto3(secrets_service: EmbeddedService) -> Any:
    """A real botocore client for Secrets Manager that the service answers, without a socket."""
    return secrets_service.client()


@pytest.fixture
def secrets_calls(secrets_service: EmbeddedService) -> CallLog:
    """What was asked of the service since this fixture was made, in order; see ``CallLog``."""
    log = CallLog()
    secrets_service.audit.listen(log.heard)
    return log


@pytest.fixture
def smclient_server(secrets_service: EmbeddedService) -> Iterator[ServedService]:
    """The service of this test over HTTP on a free port of this machine, signatures verified.

    ``.endpoint`` is its URL, ``.access_key`` and ``.secret_key`` are the key pair it takes,
    ``.environment`` has all of them under AWS's names, ``.client()`` is a boto3 client. Needs the
    extra ``server``.
    """
    try:
        from smclient_embedded.served import served
    except ImportError as error:
        raise pytest.UsageError(
            f"the fixture smclient_server needs the module {error.name!r}, which is absent: "
            "pip install 'smclient[server]'"
        ) from error
    with served(secrets_service) as server:
        yield server


@pytest.fixture
def rotate(secrets_service: EmbeddedService) -> Rotate:
    """Rotate a secret now: ``rotate("prod/db")``; see ``Rotate``."""
    return Rotate(secrets_service)


# --- what the fixtures give -----------------------------------------------------------------------


class Rotate:
    """Rotates a secret through all four steps, as the service does it, before it returns."""

    def __init__(self, service: EmbeddedService) -> None:
        self._service = service
        self._ours: set[str] = set()

    def __call__(self, secret_id: str, to: Any = None) -> str:
        """Rotate, and return the id of the new version.

        Args:
            to: the next value (text, bytes, or what becomes JSON), or a callable that makes it from
                the current ``SecretValue``. By default the secret's own rotation function runs, if
                the test gave it one; else the ``password`` of a JSON object becomes another, and
                of anything else the whole text.

        Raises:
            AssertionError: the rotation failed.
            ServiceError: it could not begin.
        """
        service, token = self._service, self._service.context().request_id
        described = service.call("DescribeSecret", {"SecretId": secret_id})
        request = {"SecretId": described["ARN"], "ClientRequestToken": token}
        own = described.get("RotationLambdaARN")
        if to is not None or own is None or own in self._ours:
            request["RotationLambdaARN"] = self._function(to)
        service.call("RotateSecret", request)
        self._finish(described["ARN"], token)
        if not described.get("RotationEnabled"):
            service.call("CancelRotateSecret", {"SecretId": described["ARN"]})
        return token

    def _function(self, to: Any) -> str:
        from smclient_embedded.rotating import RotationTo

        name = f"smclient-rotate-{len(self._ours) + 1}"
        arn = self._service.register_function(name, RotationTo(to))
        self._ours.add(arn)
        return arn

    def _finish(self, arn: str, token: str) -> None:
        """A server of this test may be at the same rotation: then wait for it."""
        for _ in range(_LOOKS):
            done = self._service.run_due()
            described = self._service.call("DescribeSecret", {"SecretId": arn})
            if described.get("VersionIdsToStages", {}).get(token) == ["AWSCURRENT"]:
                return
            if arn in done.failed:
                break
            threading.Event().wait(_LOOK_SECONDS)
        raise AssertionError(f"the rotation of {arn} failed; the log says in which step")


class LoggedCall:
    """One call: ``operation``, ``secret_ids`` as they were asked for, ``principal`` (an ARN), and
    the code of its ``error`` or ``None``."""

    __slots__ = ("error", "operation", "principal", "secret_ids")

    def __init__(self, record: AuditRecord) -> None:
        document: Mapping[str, Any] = record.document
        asked: Mapping[str, Any] = document["requestParameters"] or {}
        one = asked.get("secretId", asked.get("name"))
        self.operation = record.event_name
        self.secret_ids: tuple[str, ...] = tuple(asked.get("secretIdList") or ())
        if one is not None:
            self.secret_ids = (one, *self.secret_ids)
        self.principal = str(document["userIdentity"].get("arn", ""))
        self.error: str | None = document.get("errorCode")

    def __repr__(self) -> str:
        outcome = f" -> {self.error}" if self.error else ""
        return f"<{self.operation} {', '.join(self.secret_ids)}{outcome}>"


class CallLog(Sequence[LoggedCall]):
    """The calls of a service, oldest first. An outage on purpose leaves no call here."""

    def __init__(self) -> None:
        self._calls: list[LoggedCall] = []

    def heard(self, records: Sequence[AuditRecord]) -> None:
        """Take records of the audit trail. What the service did by itself or on its caller's behalf
        is no call, and one that is on record in two accounts is one."""
        for record in records:
            document: Mapping[str, Any] = record.document
            caller = document["userIdentity"]
            is_told_twice = document["recipientAccountId"] != caller.get("accountId")
            if "invokedBy" not in caller and not is_told_twice:
                self._calls.append(LoggedCall(record))

    @property
    def operations(self) -> list[str]:
        """The operations in order."""
        return [call.operation for call in self._calls]

    def of(self, operation: str) -> list[LoggedCall]:
        """The calls of one operation."""
        return [call for call in self._calls if call.operation == operation]

    def clear(self) -> None:
        """Begin anew."""
        self._calls.clear()

    @overload
    def __getitem__(self, index: int) -> LoggedCall: ...
    @overload
    def __getitem__(self, index: slice) -> list[LoggedCall]: ...
    def __getitem__(self, index: int | slice) -> LoggedCall | list[LoggedCall]:
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        return repr(self._calls)


def seeds(node: pytest.Item) -> dict[str, Any]:
    """The values of a test's markers; the closest wins.

    Raises:
        pytest.UsageError: a marker without a mapping.
    """
    values: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers(MARKER))):
        given = marker.args[0] if len(marker.args) == 1 else None
        if not isinstance(given, Mapping) or marker.kwargs:
            raise pytest.UsageError(
                f"@pytest.mark.{MARKER} takes one mapping of names to values, as in "
                f"@pytest.mark.{MARKER}({{'prod/db': {{'password': 'x'}}}})"
            )
        values.update(given)
    return values


def _member(value: Any) -> dict[str, Any]:
    import json

    if isinstance(value, bytes):
        return {"SecretBinary": value}
    return {"SecretString": value if isinstance(value, str) else json.dumps(value)}
