"""The public API as a type checker sees it. Never run: checked by mypy and basedpyright."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

from smclient import (
    AWSCURRENT,
    AccessDeniedError,
    Answer,
    Backend,
    BackendError,
    Batch,
    ClientConfig,
    Clock,
    Identity,
    LazySecret,
    RedactedStr,
    Reference,
    ResourceNotFoundError,
    SecretDescription,
    SecretEvent,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
    Subscription,
    Usage,
    load_backend,
    parse_reference,
)
from smclient.backend import BackendUrl
from smclient.pricing import Cost, PriceBook, monthly_cost
from smclient.references import Merged, Template
from smclient.testing import BackendContract, Call, FakeBackend, FakeClock, Inline, Queued


class Connection:
    """What a driver's factory makes."""

    def __init__(self, *, user: str, password: str, host: str = "") -> None: ...


def making(boto3_client: Any) -> None:
    """A URL, a boto3 client, a backend, settings."""
    assert_type(SecretsClient(), SecretsClient)
    assert_type(SecretsClient("aws://eu-west-1", ttl=60, max_stale=600.0), SecretsClient)
    assert_type(SecretsClient(boto3_client, ladder=[AWSCURRENT]), SecretsClient)
    assert_type(SecretsClient(FakeBackend(), clock=FakeClock(), worker=Inline()), SecretsClient)
    assert_type(SecretsClient.from_config(ClientConfig.from_env(), worker=Queued()), SecretsClient)
    assert_type(ClientConfig.from_mapping({"SMCLIENT_TTL": "5"}), ClientConfig)
    assert_type(ClientConfig().ladder, tuple[str, ...])
    with SecretsClient("null://") as client:
        assert_type(client, SecretsClient)
        assert_type(client.config, ClientConfig)


def reading(client: SecretsClient) -> None:
    """One, many, references, boto3's shapes."""
    value = client.get("db", version_stage="AWSPENDING", max_age=5)
    assert_type(value, SecretValue)
    assert_type(value.text, str)
    assert_type(value.binary, bytes)
    assert_type(value.is_binary, bool)
    assert_type(value.json(), Any)
    assert_type(value["password"], Any)
    assert_type(value.version_stages, frozenset[str])
    assert_type(value.created_date, datetime | None)
    assert_type(client.refresh("db"), SecretValue)
    batch = client.get_many(["a", "b"])
    assert_type(batch, Batch)
    assert_type(batch.values, dict[str, SecretValue])
    assert_type(batch.errors, dict[str, SmclientError])
    assert_type(batch.raise_for_errors(), Batch)
    assert_type(client.preload(prefix="web/", tags={"env": "prod"}), Batch)
    assert_type(client.resolve("secret://db#password"), Any)
    assert_type(client.lazy("secret://key"), LazySecret)
    assert_type(client.lazy("secret://key").encode(), bytes)
    assert_type(client.get_secret_value(SecretId="db"), dict[str, Any])
    assert_type(client.batch_get_secret_value(SecretIdList=["db"]), dict[str, Any])
    assert_type(client.call("PutSecretValue", SecretId="db", SecretString="x"), dict[str, Any])
    assert_type(client.identity(), Identity)


def refused_by_the_checker(client: SecretsClient) -> None:
    """Each of these is a mistake; the checker says so, or complains of a needless ignore."""
    client.get("db", "AWSPENDING")  # type: ignore[call-arg]
    client.get(5)  # type: ignore[arg-type]
    client.get_secret_value("db")  # type: ignore[call-arg]
    client.get_many([1])  # type: ignore[list-item]
    SecretsClient(ttl="5")  # type: ignore[arg-type]
    ClientConfig(tll=5)  # type: ignore[call-arg]
    client.on_rotate(lambda: None)  # type: ignore[arg-type, misc]
    client.config.ttl = 5  # type: ignore[misc]


def logging_in(client: SecretsClient) -> None:
    """What a factory makes is what comes back."""

    def connect(user: str, password: str) -> Connection:
        return Connection(user=user, password=password)

    def attempt(value: SecretValue) -> int:
        return len(value.text)

    assert_type(client.connect("db", connect), Connection)
    assert_type(client.connect("db", Connection, host="h", fields={"user": "login"}), Connection)
    assert_type(client.connector("db", connect), Callable[[], Connection])
    assert_type(client.login("db", attempt, fields=["token"]), int)


def listening(client: SecretsClient) -> None:
    """Any callable that takes an event."""

    def told(event: SecretEvent) -> None:
        assert_type(event.secret_id, str)
        assert_type(event.new_version_id, str | None)

    subscription = client.on_rotate(told)
    assert_type(subscription, Subscription)
    assert_type(client.on_fallback(lambda event: print(event.stage)), Subscription)
    events: list[SecretEvent] = []
    assert_type(client.on_stale(events.append), Subscription)
    subscription.cancel()


def counting(client: SecretsClient) -> None:
    """Counts are whole numbers, money is decimal."""
    usage = client.usage()
    assert_type(usage, Usage)
    assert_type(usage.api_calls, Mapping[str, int])
    assert_type(usage.reads, int)
    assert_type(usage.baselines, Mapping[str, Mapping[str, int]])
    assert_type(usage.cost(PriceBook(batch_per_secret=True)), Cost)
    assert_type(usage.cost().total, Decimal)
    assert_type(usage.to_dict(), dict[str, Any])
    assert_type(monthly_cost(secrets=10, api_calls=100_000).total, Decimal)


def referring() -> None:
    """A reference is one of three."""
    assert_type(parse_reference("secret://db"), Reference | Template | Merged)
    assert_type(SecretRef("db").version_stage, str | None)
    assert_type(str(RedactedStr("x")), str)


class MyBackend:
    """A third party's backend needs no base class."""

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        raise ResourceNotFoundError("none", attempts=2)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        return Answer({})

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        return Answer(SecretDescription("arn", "name"), attempts=1)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        return Answer({})

    def identity(self) -> Identity:
        return Identity("account", "region", "endpoint", "principal")

    def close(self) -> None: ...


def open_backend(url: BackendUrl, *, clock: Clock) -> Backend:
    """Its entry point."""
    assert_type(url.take("profile"), Mapping[str, str])
    return MyBackend()


class TestMyBackend(BackendContract):
    """Its tests."""

    def make_backend(self) -> Backend:
        return MyBackend()


def backends() -> None:
    """Loaded by URL, or doubles for tests."""
    assert_type(load_backend("null://"), Backend)
    backend: Backend = FakeBackend({"db": {"password": "x"}})
    assert_type(backend.fetch(SecretRef("db")), Answer[SecretValue])
    assert_type(backend.fetch(SecretRef("db")).value, SecretValue)
    assert_type(backend.describe("db").value.version_at(AWSCURRENT), str | None)
    assert_type(FakeBackend().calls, list[Call])


def errors(client: SecretsClient) -> None:
    """One tree; AWS's code on what a backend said."""
    try:
        client.get("db")
    except AccessDeniedError as denied:
        assert_type(denied.code, str)
    except BackendError as error:
        assert_type(error.attempts, int)
    except SmclientError as error:
        assert_type(error.args, tuple[Any, ...])
