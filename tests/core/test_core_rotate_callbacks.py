"""A callback that is told of a rotation may use the client, whatever brought the news."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from smclient import SecretEvent, SecretsClient, SecretValue
from smclient.testing import Call, FakeBackend, FakeClock

MakeClient = Callable[..., SecretsClient]
WAIT = 20


class WrongPassword(Exception):
    """What asyncpg raises."""

    sqlstate = "28P01"


WrongPassword.__module__ = "asyncpg.exceptions"


def log_in(client: SecretsClient) -> None:
    """A login whose first try is refused."""
    tried: list[str] = []

    def attempt(value: SecretValue) -> None:
        tried.append(value.version_id)
        if len(tried) == 1:
            raise WrongPassword

    client.login("db", attempt)


USES: dict[str, Callable[[SecretsClient], object]] = {
    "a forced refresh": lambda client: client.refresh("db"),
    "a read past the cache": lambda client: client.get("db", max_age=0),
    "a login": log_in,
}
NEWS: dict[str, Callable[[SecretsClient], object]] = {
    "a refresh behind a reader": lambda client: client.get("db"),
    "a read past the cache": lambda client: client.get("db", max_age=0),
    "a forced refresh": lambda client: client.refresh("db"),
    "many at once": lambda client: client.get_many(["db", "other"]),
    "a preload": lambda client: client.preload(["db"], max_age=0),
}


def in_time(act: Callable[[], object]) -> None:
    """Do it on a thread that is not waited for if it hangs."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(WAIT)
    assert not thread.is_alive()


@pytest.fixture
def backend() -> FakeBackend:
    """A secret that logs in with user and password, and another."""
    return FakeBackend({"db": {"username": "u", "password": "first"}, "other": "x"})


@pytest.mark.parametrize("mode", ["get", "describe", "batch"])
@pytest.mark.parametrize("news", NEWS)
@pytest.mark.parametrize("use", USES)
def test_a_callback_may_ask_for_the_secret_it_is_told_of(
    make_client: MakeClient,
    backend: FakeBackend,
    clock: FakeClock,
    mode: str,
    news: str,
    use: str,
) -> None:
    """Also where work is done inline: nobody waits for what he holds up himself."""
    client = make_client(refresh=mode)
    client.get("db")
    backend.put("db", {"username": "u", "password": "second"})
    told: list[SecretEvent] = []

    def use_it(event: SecretEvent) -> None:
        told.append(event)
        USES[use](client)

    client.on_rotate(use_it)
    clock.advance(301)
    in_time(lambda: NEWS[news](client))
    assert [event.kind for event in told] == ["rotate"]
    assert client.get("db")["password"] == "second"


def test_a_callback_may_ask_for_what_a_gathered_batch_brought(
    make_client: MakeClient, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever led the batch holds up everybody who rode along until it has landed."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", WAIT)
    client = make_client(refresh="batch")
    client.get("db")
    client.invalidate()
    backend.put("db", {"username": "u", "password": "second"})
    client.on_rotate(lambda event: client.refresh("db"))
    waiting, seen = client._reader._gatherer, threading.Event()

    def until_two_wait(call: Call) -> None:
        if call.secret_ids == ("first",):
            while len(waiting._waiting) < 2:
                assert not seen.wait(0.001)

    backend.put("first", "x")
    backend.before = until_two_wait
    threads = [
        threading.Thread(target=client.get, args=(name,), daemon=True) for name in ("first",)
    ]
    threads[0].start()
    while not waiting._under_way:
        assert not seen.wait(0.001)
    threads += [
        threading.Thread(target=client.get, args=(name,), daemon=True) for name in ("other", "db")
    ]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()
    assert backend.count("BatchGetSecretValue") == 1
    assert client.get("db")["password"] == "second"
