"""``watch``: whole instances that follow their secrets."""

from __future__ import annotations

import logging
import os
import threading
from typing import Annotated

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from smclient import AccessDeniedError, BackendError, BackendUnavailableError, SecretsClient
from smclient.fresh import Freshness
from smclient.keyring import RETRY
from smclient.testing import FakeBackend, FakeClock, Inline, Queued
from smclient_pydantic import FromSecret, SecretsBaseSettings, use_client, watch


class Db(BaseModel):
    user: Annotated[str, FromSecret("prod/db", "username")]
    password: Annotated[SecretStr, FromSecret("prod/db", "password")]


class Settings(SecretsBaseSettings):
    db: Db
    number: Annotated[int, FromSecret("prod/db", "port")]
    maybe: Annotated[str, FromSecret("prod/maybe", optional=True)] = "absent"


def rotate(backend: FakeBackend, **changes: object) -> None:
    backend.put("prod/db", {"username": "u2", "password": "p2", "port": 2, **changes})


def test_the_current_instance_follows_its_secrets(backend: FakeBackend, clock: FakeClock) -> None:
    """All fields from one version; instances that somebody holds stay as they are."""
    live = watch(Settings)
    before = live.current
    assert live.current is before
    rotate(backend)
    clock.advance(61)
    live.current  # noqa: B018  served once more while the new one is fetched
    after = live.current
    assert after is not before
    assert (after.db.user, after.db.password.get_secret_value(), after.number) == ("u2", "p2", 2)
    assert (before.db.user, before.number) == ("us-canary-er", 5432)


def test_web_frameworks_keep_it_within_its_ttl(backend: FakeBackend, clock: FakeClock) -> None:
    """Theirs is a ``Freshness``, which knows what an instance was made of."""
    client = SecretsClient(backend, ttl=60, jitter=0, clock=clock, worker=Queued())
    with use_client(client):
        live = watch(Settings)
    rotate(backend)
    clock.advance(61)
    assert live.current.number == 5432
    Freshness().look(client)
    assert live.current.number == 2


def test_reading_it_asks_nobody(backend: FakeBackend, clock: FakeClock) -> None:
    """Within the ttl; and past it the refresh is the client's."""
    live = watch(Settings)
    calls = len(backend.calls)
    clock.advance(59)
    assert {id(live.current) for _ in range(100)} == {id(live.current)}
    assert len(backend.calls) == calls


def test_arguments_are_kept(backend: FakeBackend, client: SecretsClient) -> None:
    """For each new instance."""
    live = watch(Settings, number=9)
    rotate(backend)
    client.refresh("prod/db")
    assert (live.current.db.user, live.current.number) == ("u2", 9)


def test_listeners_are_told_of_both_instances(backend: FakeBackend, client: SecretsClient) -> None:
    """Until they cancel; one that fails harms nobody."""
    live = watch(Settings)
    seen: list[tuple[str, str]] = []

    def fail(old: Settings, new: Settings) -> None:
        raise RuntimeError("canary")

    live.on_change(fail)
    cancel = live.on_change(lambda old, new: seen.append((old.db.user, new.db.user)))
    rotate(backend)
    client.refresh("prod/db")
    assert live.current.db.user == "u2"
    cancel()
    rotate(backend, username="u3")
    client.refresh("prod/db")
    assert live.current.db.user == "u3"
    assert seen == [("us-canary-er", "u2")]


def test_values_that_do_not_fit_leave_the_old_instance(
    backend: FakeBackend, client: SecretsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, with the field and no value; the next version is tried again."""
    live = watch(Settings)
    rotate(backend, port="canary-no-number")
    client.refresh("prod/db")
    with caplog.at_level(logging.ERROR):
        assert {live.current.number for _ in range(5)} == {5432}
    assert caplog.text.count("the old one stays") == 1
    assert "number" in caplog.text
    assert "canary" not in caplog.text
    rotate(backend, port=3)
    client.refresh("prod/db")
    assert live.current.number == 3


@pytest.mark.parametrize(
    "failure", [BackendUnavailableError("no answer"), AccessDeniedError("not now")]
)
def test_a_secret_that_cannot_be_read_is_tried_again_soon(
    backend: FakeBackend,
    clock: FakeClock,
    client: SecretsClient,
    caplog: pytest.LogCaptureFixture,
    failure: BackendError,
) -> None:
    """Not at the next rotation only, and not at each read."""
    live = watch(Settings)
    rotate(backend)
    client.refresh("prod/db")
    backend.before = lambda call: "prod/maybe" in call.secret_ids and backend.fail_with(failure)
    clock.advance(30)  # a refusal is remembered for a moment
    assert {live.current.number for _ in range(5)} == {5432}
    assert caplog.text.count("the old one stays") == 1
    backend.before = lambda call: None
    clock.advance(RETRY - 1)
    assert live.current.number == 5432
    clock.advance(30)
    assert live.current.number == 2


def test_an_outage_does_not_reach_its_readers(backend: FakeBackend, clock: FakeClock) -> None:
    """As long as the client may serve what it has; then it is said."""
    live = watch(Settings)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(1000)
    assert live.current.number == 5432
    clock.advance(3600)
    with pytest.raises(BackendUnavailableError):
        live.current  # noqa: B018


def test_a_denial_takes_effect(backend: FakeBackend, client: SecretsClient) -> None:
    """A secret that was taken away is served no more."""
    live = watch(Settings)
    client.invalidate()
    backend.fail_with(AccessDeniedError("no more"), times=None)
    with pytest.raises(AccessDeniedError):
        live.current  # noqa: B018


def test_the_first_instance_has_to_be_good(backend: FakeBackend) -> None:
    """There is nothing to serve instead."""
    backend.remove("prod/db")
    with pytest.raises(ValidationError, match="prod/db"):
        watch(Settings)


def test_new_instances_read_through_the_client_of_the_first(
    backend: FakeBackend, clock: FakeClock
) -> None:
    """Whoever reads, on whatever thread."""
    other = SecretsClient(backend, ttl=60, jitter=0, clock=clock, worker=Inline())
    with use_client(other):
        live = watch(Settings)
    rotate(backend)
    other.refresh("prod/db")
    users: list[str] = []
    thread = threading.Thread(target=lambda: users.append(live.current.db.user))
    thread.start()
    thread.join()
    assert users == ["u2"]


def test_readers_do_not_wait_for_a_new_instance(
    backend: FakeBackend, client: SecretsClient
) -> None:
    """While one thread makes it, the others have the old one."""
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Settings):
        def model_post_init(self, context: object) -> None:
            if self.number == 2:
                inside.set()
                go_on.wait(10)

    live = watch(Slow)
    rotate(backend)
    client.refresh("prod/db")
    maker = threading.Thread(target=lambda: live.current)
    maker.start()
    assert inside.wait(10)
    assert live.current.number == 5432
    go_on.set()
    maker.join()
    assert live.current.number == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_it_survives_a_fork(backend: FakeBackend, client: SecretsClient) -> None:
    """Also one that happens while a thread makes a new instance."""
    live = watch(Settings)
    rotate(backend)
    client.refresh("prod/db")
    with live._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if live.current.number == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_shows_no_value() -> None:
    """Only what it follows."""
    assert repr(watch(Settings)) == "Live(Settings, 1 secrets)"
