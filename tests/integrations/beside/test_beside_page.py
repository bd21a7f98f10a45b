"""``docs/beside.md``: the blocks that need a server, run against one through a rotation."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from smclient import AWSPENDING, AsyncSecretsClient, SecretsClient
from smclient.report import otel, prometheus
from smclient.testing import FakeBackend

PAGE = Path(__file__).parents[3] / "docs" / "beside.md"


def block(title: str) -> str:
    """The code of a block with a title."""
    found = re.search(rf'```python title="{title}"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert found is not None, f"{PAGE.name} has no block {title}"
    return found[1]


def run(title: str, **names: Any) -> dict[str, Any]:
    """What a block leaves behind."""
    space: dict[str, Any] = {"__name__": "page", **names}
    exec(compile(block(title), f"{PAGE}:{title}", "exec", dont_inherit=True), space)
    return space


def in_the_window(backend: FakeBackend, user: Any, password: str) -> None:
    """The database takes the pending password only."""
    backend.put("prod/db", user.secret(password=password), stages=(AWSPENDING,))
    user.set_password(password)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend) -> SecretsClient:
    return SecretsClient(backend)


def test_psycopgs_pool_logs_in_before_and_in_a_rotation(
    user: Any, backend: FakeBackend, client: SecretsClient
) -> None:
    """Its block as it stands, twice."""
    backend.put("prod/db", user.secret())
    assert run("psycopg", client=client)["user"] == (user.name,)
    in_the_window(backend, user, "second")
    assert run("psycopg", client=client)["user"] == (user.name,)


def test_psycopgs_pool_opens_connections_in_a_rotation(
    user: Any, backend: FakeBackend, client: SecretsClient
) -> None:
    """One that was open before goes on, and so do those it opens anew."""
    from psycopg_pool import ConnectionPool

    backend.put("prod/db", user.secret())
    connection_class = run("psycopg", client=client)["Connection"]
    with ConnectionPool(connection_class=connection_class, min_size=1, max_size=3) as pool:
        with pool.connection() as held:
            in_the_window(backend, user, "second")
            with pool.connection(timeout=20) as other:
                names = [c.execute("SELECT current_user").fetchone() for c in (held, other)]
    assert names == [(user.name,)] * 2


def test_asyncpgs_pool_logs_in_before_and_in_a_rotation(
    user: Any, backend: FakeBackend, client: SecretsClient
) -> None:
    """Its block as it stands, twice."""
    backend.put("prod/db", user.secret())
    main = run("asyncpg", secrets=AsyncSecretsClient(sync=client))["main"]
    assert asyncio.run(main()) == user.name
    in_the_window(backend, user, "second")
    assert asyncio.run(main()) == user.name


def test_pymongos_holder_logs_in_before_and_in_a_rotation(
    backend: FakeBackend, client: SecretsClient
) -> None:
    """Its block as it stands, twice; more in tests/integrations/pymongo."""
    script = pytest.importorskip("smclient_demo.scripted_mongo")  # no real one can be had
    with script.ScriptedMongo() as server:
        login = {"host": server.host, "port": server.port, "username": "app"}
        server.create_user("app", "first", "readWrite")
        backend.put("prod/mongo", {**login, "password": "first"})
        for _ in range(2):
            left = run("pymongo", client=client)
            assert left["answer"]["ok"] == 1
            left["mongo"].close()
            server.create_user("app", "second", "readWrite")
            backend.put("prod/mongo", {**login, "password": "second"}, stages=(AWSPENDING,))


def test_rediss_provider_logs_in(
    redis_server: Any, backend: FakeBackend, client: SecretsClient
) -> None:
    """Its block as it stands; more in tests/integrations/redis."""
    redis_server.create_user("beside", "first")
    where = {"host": redis_server.host, "port": redis_server.port}
    backend.put("prod/redis", {"username": "beside", "password": "first", **where})
    cache = run("redis", client=client, **where)["cache"]
    assert cache.get("a") == b"b"
    cache.close()


def test_prometheuss_own_parser_takes_our_text(backend: FakeBackend, client: SecretsClient) -> None:
    """With the numbers of the client."""
    backend.put("prod/db", "x")
    for _ in range(3):
        client.get("prod/db")
    text = prometheus.render(client.usage())
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert sum(sample.value for sample in found["smclient_hits"].samples) == 2
    assert found["smclient_api_calls"].samples[0].value == 1


def test_opentelemetrys_own_sdk_collects_our_instruments(
    backend: FakeBackend, client: SecretsClient
) -> None:
    """Through its reader, as an exporter would."""
    backend.put("prod/db", "x")
    for _ in range(3):
        client.get("prod/db")
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    otel.observe(client.usage, provider.get_meter("tested"))
    data: Any = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    found = {metric.name: sum(p.value for p in metric.data.data_points) for metric in metrics}
    assert found["smclient.hits"] == 2
    assert found["smclient.api_calls"] == 1
    provider.shutdown()
