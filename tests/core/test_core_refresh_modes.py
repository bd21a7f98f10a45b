"""How values that are due are looked at: by get, by describe, in batches."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from smclient import AccessDeniedError, SecretsClient
from smclient.errors import ThrottlingError
from smclient.refresh import BATCH_FROM, choose_mode
from smclient.secret import SecretDescription
from smclient.testing import Call, FakeBackend, FakeClock, Queued

MakeClient = Callable[..., SecretsClient]


def asked(backend: FakeBackend) -> Counter[str]:
    """How often each operation was asked since the last look."""
    counts = Counter(call.operation for call in backend.calls)
    backend.calls.clear()
    return counts


def deny(operation: str) -> Callable[[Call], None]:
    """A hook that denies one operation."""

    def before(call: Call) -> None:
        if call.operation == operation:
            raise AccessDeniedError(f"not authorized to perform: {operation}")

    return before


@pytest.mark.parametrize(
    ("wanted", "due", "denied", "mode"),
    [
        ("auto", 1, set(), "describe"),
        ("auto", BATCH_FROM - 1, set(), "describe"),
        ("auto", BATCH_FROM, set(), "batch"),
        ("auto", BATCH_FROM, {"batch"}, "describe"),
        ("auto", 500, {"batch", "describe"}, "get"),
        ("auto", 1, {"describe"}, "get"),
        ("batch", 1, set(), "batch"),
        ("batch", 1, {"batch"}, "describe"),
        ("describe", 500, set(), "describe"),
        ("describe", 500, {"describe"}, "get"),
        ("get", 500, set(), "get"),
    ],
)
def test_the_mode_follows_what_is_due_and_what_is_denied(
    wanted: str, due: int, denied: set[str], mode: str
) -> None:
    """Batches for many, descriptions for few, and down from there."""
    assert choose_mode(wanted, due, denied) == mode


def test_a_value_that_did_not_move_costs_one_describe(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """And is fresh for a whole ttl again."""
    client = make_client(refresh="describe")
    client.get("db")
    asked(backend)
    clock.advance(301)
    client.get("db")
    assert asked(backend) == {"DescribeSecret": 1}
    clock.advance(299)
    client.get("db")
    assert asked(backend) == {}


def test_a_value_that_moved_is_fetched_after_the_describe(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The next reader gets the new one."""
    client = make_client(refresh="describe")
    client.get("db")
    backend.put("db", {"password": "second"})
    clock.advance(301)
    asked(backend)
    client.get("db")
    assert asked(backend) == {"DescribeSecret": 1, "GetSecretValue": 1}
    assert client.get("db")["password"] == "second"


def test_descriptions_do_not_stretch_max_stale(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """It counts from the fetch, so a denied GetSecretValue takes effect in the end."""
    client = make_client(refresh="describe", max_stale=900)
    client.get("db")
    backend.before = deny("GetSecretValue")
    for _ in range(2):
        clock.advance(301)
        client.get("db")
    clock.advance(297)
    with pytest.raises(AccessDeniedError):
        client.get("db")


def test_a_denied_describe_is_asked_once_and_warned_of_once(
    make_client: MakeClient,
    backend: FakeBackend,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Afterwards this client gets."""
    client = make_client(refresh="auto")
    client.get("db")
    backend.before = deny("DescribeSecret")
    asked(backend)
    with caplog.at_level(logging.WARNING, "smclient"):
        for _ in range(3):
            clock.advance(301)
            client.get("db")
    assert asked(backend) == {"DescribeSecret": 1, "GetSecretValue": 3}
    assert len([r for r in caplog.records if "describe" in r.getMessage()]) == 1


def test_the_next_rotation_date_shortens_the_ttl(make_client: MakeClient, clock: FakeClock) -> None:
    """Once a description told it."""
    rotation = clock.now().replace(minute=7)

    class Planned(FakeBackend):
        def describe(self, secret_id: str) -> Any:
            answer = super().describe(secret_id)
            old = answer.value
            planned = SecretDescription(
                old.arn, old.name, old.version_stages, next_rotation_date=rotation
            )
            return type(answer)(planned, answer.attempts)

    backend = Planned({"db": {"password": "first"}})
    client = make_client(backend, refresh="describe")
    client.get("db")
    clock.advance(301)
    client.get("db")  # described at 5:01, the rotation is at 7:00
    asked(backend)
    clock.advance(120)
    client.get("db")
    assert asked(backend) == {"DescribeSecret": 1}


@pytest.fixture
def many() -> FakeBackend:
    """A backend with 500 secrets."""
    return FakeBackend({f"app/{n}": str(n) for n in range(500)})


def test_500_secrets_start_cold_and_refresh_in_25_calls_each(
    make_client: MakeClient, many: FakeBackend, clock: FakeClock
) -> None:
    """Twenty to a call."""
    names = [f"app/{n}" for n in range(500)]
    worker = Queued()
    client = make_client(many, refresh="auto", worker=worker)
    assert not client.get_many(names).errors
    assert asked(many) == {"BatchGetSecretValue": 25}
    clock.advance(301)
    for name in names:
        assert client.get(name).text == name.removeprefix("app/")
    worker.run()
    assert asked(many) == {"BatchGetSecretValue": 25}
    usage = client.usage()
    assert (usage.misses, usage.stale_hits, usage.reads) == (500, 500, 1000)


def test_values_due_soon_ride_along_if_they_were_read(
    make_client: MakeClient, many: FakeBackend, clock: FakeClock
) -> None:
    """Those that nobody read since their fetch do not."""
    client = make_client(many, refresh="batch")
    client.get("app/0")
    clock.advance(20)
    for name in ("app/1", "app/2"):
        client.get(name)
    client.get("app/1")
    clock.advance(281)
    asked_before = asked(many)
    client.get("app/0")
    (batch,) = many.calls
    assert asked_before["GetSecretValue"] == 3
    assert set(batch.secret_ids) == {"app/0", "app/1"}


def test_a_denied_batch_falls_back_and_is_not_asked_again(
    make_client: MakeClient, many: FakeBackend, clock: FakeClock
) -> None:
    """Single gets for get_many, descriptions for refreshes."""
    many.before = deny("BatchGetSecretValue")
    names = [f"app/{n}" for n in range(30)]
    client = make_client(many, refresh="auto")
    assert not client.get_many(names).errors
    assert asked(many) == {"BatchGetSecretValue": 1, "GetSecretValue": 30}
    worker_calls = []
    for _ in range(2):
        clock.advance(301)
        for name in names:
            client.get(name)
        worker_calls.append(asked(many))
    assert worker_calls == [{"DescribeSecret": 30}] * 2


def test_a_throttled_batch_is_let_alone_for_a_minute(
    make_client: MakeClient, many: FakeBackend, clock: FakeClock
) -> None:
    """Values are served meanwhile; what is due then is described."""
    names = [f"app/{n}" for n in range(20)]
    worker = Queued()
    client = make_client(many, refresh="auto", worker=worker)
    client.get_many(names)
    clock.advance(301)
    many.fail_with(ThrottlingError("Rate exceeded"))
    for name in names:
        client.get(name)
    worker.run()
    asked(many)
    clock.advance(5)
    for name in names:
        client.get(name)
    worker.run()
    assert asked(many) == {"DescribeSecret": 20}
