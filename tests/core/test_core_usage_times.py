"""Deeper counters: how long calls and refreshes took."""

from __future__ import annotations

import pytest

from smclient import BackendUnavailableError, ResourceNotFoundError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.helpers_usage import MakeClient


def test_how_long_calls_took_is_counted_by_operation(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Answered or refused."""
    backend.before = lambda call: clock.advance(0.2)
    client.get("db")
    with pytest.raises(ResourceNotFoundError):
        client.get("absent")
    client.get_many(["one", "two"])
    latency = client.usage().latency
    assert (latency["GetSecretValue"].count, latency["GetSecretValue"].microseconds) == (2, 400_000)
    assert latency["BatchGetSecretValue"].mean == pytest.approx(0.2)
    assert client.usage().refresh_latency.count == 0


@pytest.mark.parametrize("refresh", ["get", "describe", "batch"])
def test_how_long_a_refresh_took_is_counted(
    refresh: str, make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Once for each secret that was looked at, whatever came of it."""
    worker = Queued()
    client = make_client(refresh=refresh, worker=worker)
    client.get("db")
    for fault in (None, BackendUnavailableError("no answer")):
        clock.advance(400)
        client.get("db")
        if fault is not None:
            backend.fail_with(fault)
        backend.before = lambda call: clock.advance(0.03)
        worker.run()
        backend.before = lambda call: None
    usage = client.usage()
    assert usage.refreshes == usage.refresh_latency.count == 2
    assert usage.per_secret[backend.arn("db")].refreshes == 2
    assert usage.refresh_latency.microseconds == 60_000
