"""When values are looked at again: by which clock, how long before they end, how long after a
rotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import Answer, BackendUnavailableError, SecretsClient
from smclient.refresh import RefreshPolicy
from smclient.secret import SecretDescription
from smclient.testing import FakeBackend, FakeClock

MakeClient = Callable[..., SecretsClient]

SHIFT = 600
"""More than the ttl, less than max_stale: values are due by the time of day, and not expired."""


def asked(backend: FakeBackend) -> Counter[str]:
    """How often each operation was asked since the last look."""
    counts = Counter(call.operation for call in backend.calls)
    backend.calls.clear()
    return counts


@pytest.mark.parametrize("mode", ["describe", "get", "batch"])
def test_a_clock_that_was_set_ahead_costs_one_look(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, mode: str
) -> None:
    """As after a frozen machine woke up; the next look is a ttl later, as ever."""
    client = make_client(refresh=mode)
    client.get("db")
    clock.set_ahead(SHIFT)
    asked(backend)
    for _ in range(100):
        client.get("db")
        clock.advance(0.5)
    assert sum(asked(backend).values()) == 1
    clock.advance(249)
    client.get("db")
    assert asked(backend) == {}
    clock.advance(2)
    client.get("db")
    assert sum(asked(backend).values()) == 1


@pytest.mark.parametrize("mode", ["describe", "get", "batch"])
def test_back_off_holds_after_the_clock_was_set_ahead(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, mode: str
) -> None:
    """1 s doubling to 30 s, the later half at random: an outage is asked at most 8 times in 50 s,
    and not at every read."""
    client = make_client(refresh=mode)
    client.get("db")
    clock.set_ahead(SHIFT)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    asked(backend)
    for _ in range(100):
        client.get("db")
        clock.advance(0.5)
    assert 4 <= sum(asked(backend).values()) <= 8


def test_described_values_are_fetched_before_they_end(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Behind the readers' backs: for a day none of them waits, and an outage finds a value that is
    good for most of max_stale."""
    client = make_client(refresh="describe")
    client.get("db")
    asked(backend)
    for _ in range(24 * 60):
        clock.advance(minutes=1)
        assert client.peek("db") is not None
    counts = asked(backend)
    assert counts["GetSecretValue"] in range(24, 28)  # one for each max_stale
    assert counts["DescribeSecret"] > 10 * counts["GetSecretValue"]
    assert client.usage().misses == 1


def test_an_outage_at_the_end_of_max_stale_is_outlived(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The value was fetched anew a little before."""
    client = make_client(refresh="describe")
    client.get("db")
    for _ in range(59):
        clock.advance(minutes=1)
        client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    for _ in range(50):
        clock.advance(minutes=1)
        assert client.get("db")["password"] == "first"


class Planned(FakeBackend):
    """A backend whose secret is rotated at a moment that everybody is told."""

    def __init__(self, rotation: datetime) -> None:
        super().__init__({"db": "x"})
        self.rotation = rotation

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        old = super().describe(secret_id).value
        return Answer(
            SecretDescription(
                old.arn, old.name, old.version_stages, next_rotation_date=self.rotation
            )
        )


def test_a_fleet_does_not_look_all_at_once_after_a_rotation(
    make_client: MakeClient, clock: FakeClock
) -> None:
    """Each client is later by some of its jitter."""
    backend = Planned(clock.now() + timedelta(minutes=6))
    clients = [make_client(backend, refresh="describe", jitter=0.5) for _ in range(20)]
    for client in clients:
        client.get("db")
    clock.advance(minutes=5)
    for client in clients:
        client.get("db")
    asked(backend)
    clock.advance(minutes=1)
    for client in clients:
        client.get("db")
    assert asked(backend) == {}
    clock.advance(0.5 * 300)
    for client in clients:
        client.get("db")
    assert asked(backend)["DescribeSecret"] == 20


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_rotation_is_looked_for_soon_after_it(at: float, jitter: float, spread: float) -> None:
    """Never before, and never by more than the jitter later."""
    policy = RefreshPolicy(ttl=300.0, max_stale=3600.0, jitter=jitter)
    assert at <= policy.past(at, spread) <= at + 300.0 * jitter
