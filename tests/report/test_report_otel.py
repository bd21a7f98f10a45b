"""OpenTelemetry: instruments through its API, here a fake one with the same names."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from smclient import MissingExtraError, SecretsClient
from smclient.report import otel
from smclient.report.measures import families
from smclient.testing import FakeBackend, FakeClock, Inline


@dataclass
class Observation:
    """As in ``opentelemetry.metrics``."""

    value: float
    attributes: dict[str, str]


@dataclass
class Instrument:
    """What was registered."""

    kind: str
    name: str
    callbacks: list[Any]
    unit: str
    description: str


@dataclass
class FakeMeter:
    """Takes instruments and collects them."""

    instruments: list[Instrument] = field(default_factory=list)

    def create_observable_counter(
        self, name: str, callbacks: Any, unit: str, description: str
    ) -> Any:
        self.instruments.append(Instrument("counter", name, callbacks, unit, description))
        return self.instruments[-1]

    def create_observable_gauge(
        self, name: str, callbacks: Any, unit: str, description: str
    ) -> Any:
        self.instruments.append(Instrument("gauge", name, callbacks, unit, description))
        return self.instruments[-1]

    def collect(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        return {
            i.name: {
                tuple(o.attributes.items()): o.value for call in i.callbacks for o in call(None)
            }
            for i in self.instruments
        }


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeMeter:
    """The API with a global meter."""
    meter = FakeMeter()
    module = ModuleType("opentelemetry.metrics")
    module.Observation = Observation  # type: ignore[attr-defined]
    module.get_meter = lambda name, version: meter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry", ModuleType("opentelemetry"))
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", module)
    return meter


@pytest.fixture
def clock() -> FakeClock:
    """Time moved by hand."""
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> SecretsClient:
    """A client that read a little."""
    client = SecretsClient(FakeBackend({"db": "xyz"}), clock=clock, worker=Inline())
    for _ in range(3):
        client.get("db")
    return client


def test_what_is_counted_is_observed(
    api: FakeMeter, client: SecretsClient, clock: FakeClock
) -> None:
    """At each collection anew, with labels as attributes."""
    otel.observe(client.usage, clock=clock)
    found = api.collect()
    arn = next(iter(client.usage().per_secret))
    assert found["smclient.hits"] == {(): 2}
    assert found["smclient.api_calls"] == {(("operation", "GetSecretValue"),): 1}
    assert found["smclient.secret_received_bytes"] == {(("secret", arn),): 3}
    assert found["smclient.call_seconds_count"] == {(("operation", "GetSecretValue"),): 1}
    assert (
        found["smclient.call_seconds_bucket"][(("operation", "GetSecretValue"), ("le", "+Inf"))]
        == 1
    )
    client.get("db")
    clock.advance(otel.TOGETHER)
    assert api.collect()["smclient.hits"] == {(): 3}


def test_one_collection_is_one_look(
    api: FakeMeter, client: SecretsClient, clock: FakeClock
) -> None:
    """So that its numbers belong together and cost little."""
    looks: list[int] = []

    def usage() -> Any:
        looks.append(1)
        return client.usage()

    otel.observe(usage, clock=clock)
    assert not looks
    api.collect()
    assert len(looks) == 1
    clock.advance(otel.TOGETHER)
    api.collect()
    assert len(looks) == 2


def test_every_family_has_its_instruments(api: FakeMeter, client: SecretsClient) -> None:
    """Named, explained and with a unit; only what goes down too is a gauge."""
    made = otel.observe(client.usage)
    assert made == api.instruments
    named = {i.name for i in api.instruments}
    assert len(named) == len(api.instruments)
    for family in families(client.usage()):
        name = otel.PREFIX + family.name.removesuffix("_total")
        assert name in named or {name + s for s in ("_bucket", "_sum", "_count")} <= named
    units = {i.name: i.unit for i in api.instruments}
    assert units["smclient.received_bytes"] == "By"
    assert units["smclient.refresh_seconds_sum"] == units["smclient.lifetime_seconds"] == "s"
    assert units["smclient.refresh_seconds_count"] == units["smclient.hits"] == "1"
    assert {i.name for i in api.instruments if i.kind == "gauge"} == {
        "smclient.secrets",
        "smclient.processes",
    }
    assert all(i.description for i in api.instruments)


def test_a_meter_can_be_given(api: FakeMeter, client: SecretsClient) -> None:
    """Then the global one is left alone."""
    mine = FakeMeter()
    otel.observe(client.usage, mine)
    assert mine.instruments
    assert not api.instruments


def test_without_the_api_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, client: SecretsClient
) -> None:
    """Nothing else of smclient needs it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(MissingExtraError, match=r"smclient\[otel\]"):
        otel.observe(client.usage)
