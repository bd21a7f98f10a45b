"""Reading one secret: what an error does to the value that is held, and to the next try."""

from __future__ import annotations

import itertools

import pytest

from smclient import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    DecryptionFailureError,
    InternalServiceError,
    InvalidRequestError,
    ResourceNotFoundError,
    SecretsClient,
    ThrottlingError,
    TransientError,
)
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.helpers_reads import MAX_STALE, TTL, password, put

TRANSIENT = [
    ThrottlingError("slow down"),
    InternalServiceError("a fault"),
    BackendUnavailableError("no answer"),
]
LASTING = [
    AccessDeniedError("no"),
    ResourceNotFoundError("gone"),
    InvalidRequestError("marked for deletion"),
    DecryptionFailureError("key disabled"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda e: type(e).__name__)
def test_a_transient_error_serves_the_old_value_within_max_stale(
    error: TransientError,
    client: SecretsClient,
    backend: FakeBackend,
    clock: FakeClock,
    worker: Queued,
) -> None:
    """After that it is raised, typed, with the secret named; when it is over, all is well."""
    client.get("db")
    backend.fail_with(error, times=None)
    while clock.monotonic() + 50 < MAX_STALE:
        clock.advance(50)
        assert password(client) == "first"
        worker.run()
    clock.advance(MAX_STALE - clock.monotonic())
    with pytest.raises(type(error), match=r"secret 'db', stage AWSCURRENT: "):
        client.get("db")
    backend.recover()
    clock.advance(60)
    put(backend, "second")
    assert password(client) == "second"


@pytest.mark.parametrize("error", LASTING, ids=lambda e: type(e).__name__)
def test_a_lasting_refusal_takes_effect(
    error: BackendError,
    client: SecretsClient,
    backend: FakeBackend,
    clock: FakeClock,
    worker: Queued,
) -> None:
    """The value is dropped when the refusal is seen, by a refresh or a reader; nothing of it is
    served after, under any name."""
    client.get("db")
    client.get("db", version_stage="AWSCURRENT")
    backend.fail_with(error, times=None)
    clock.advance(TTL)
    assert password(client) == "first"
    worker.run()
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        with pytest.raises(type(error), match="secret '"):
            client.get(secret_id)
    assert client.usage().secrets == 0
    backend.recover()
    clock.advance(60)  # a refusal is remembered for a moment
    assert password(client) == "first"


@pytest.mark.parametrize("error", LASTING, ids=lambda e: type(e).__name__)
def test_a_refused_refresh_drops_the_value_too(
    error: BackendError, client: SecretsClient, backend: FakeBackend
) -> None:
    """Asked by hand."""
    client.get("db")
    backend.fail_with(error, times=None)
    with pytest.raises(type(error)):
        client.refresh("db")
    with pytest.raises(type(error)):
        client.get("db")


def test_a_transient_error_of_a_refresh_leaves_the_value(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """It is raised to whoever asked for the refresh."""
    client.get("db")
    backend.fail_with(ThrottlingError("slow down"))
    with pytest.raises(ThrottlingError):
        client.refresh("db")
    assert password(client) == "first"
    assert len(backend.calls) == 2


def test_after_a_transient_error_the_next_tries_come_later_and_later(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """Each after one back-off, up to 30 s; readers never wait."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    tries: list[float] = []
    backend.before = lambda call: tries.append(clock.monotonic())
    while clock.monotonic() < TTL + 200:
        client.get("db")
        worker.run()
        clock.advance(0.25)
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    for gap, step in zip(gaps, [1, 2, 4, 8, 16, 30, 30, 30], strict=False):
        assert step / 2 <= gap <= step + 0.25
    assert len(gaps) >= 7


def test_a_recovery_resets_the_back_off(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """And the value is new for a whole TTL."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=3)
    clock.advance(TTL)
    for _ in range(40):
        client.get("db")
        worker.run()
        clock.advance(0.5)
    assert len(backend.calls) == 5
    clock.advance(TTL - 30)
    client.get("db")
    assert worker.waiting == []


def test_a_transient_error_of_a_cold_read_is_not_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The next reader asks again."""
    backend.fail_with(BackendUnavailableError("no answer"))
    with pytest.raises(BackendUnavailableError):
        client.get("db")
    assert password(client) == "first"


def test_the_cause_of_an_error_is_kept(client: SecretsClient, backend: FakeBackend) -> None:
    """A backend says what it came from."""
    error = BackendUnavailableError("no answer")
    error.__cause__ = OSError("connection reset")
    backend.fail_with(error)
    with pytest.raises(BackendUnavailableError) as caught:
        client.get("db")
    assert caught.value.__cause__ is error.__cause__
