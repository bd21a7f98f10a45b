"""From request to request: freshness, signals, overrides in tests, forks."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, SimpleTestCase, override_settings

from smclient import BackendUnavailableError, ResourceNotFoundError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_django import clients, override_secrets, secret, secret_now
from smclient_django.fresh import RETRY, Freshness
from smclient_django.signals import fallback_used, secret_changed, secret_refresh_failed, send_for

CANARY = "canary-" + "k7Q2x9Zp" * 7
KEY = "secret://prod/web#django_key"


def shows_key(request: HttpRequest) -> HttpResponse:
    """What the view sees of the key."""
    return HttpResponse(str(settings.SECRET_KEY))


async def shows_key_async(request: HttpRequest) -> HttpResponse:
    """The same on the event loop, without an await."""
    return HttpResponse(str(settings.SECRET_KEY))


@pytest.fixture
def fresh() -> Any:
    """The receiver of ``request_started``, with nothing held back from tests before."""
    from smclient_django.fresh import before_request

    before_request._states.clear()
    yield before_request
    before_request._states.clear()


# --- freshness ------------------------------------------------------------------------------------


def test_no_request_sees_a_value_older_than_the_ttl(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, views: Any, fresh: Any
) -> None:
    """Also the first one after a long sleep, which a cache alone would serve an old value."""
    views(shows_key)
    browser = Client()
    assert browser.get("/tested/").content.decode() == CANARY
    backend.put("prod/web", {"django_key": "rotated"})
    clock.advance(59)
    assert browser.get("/tested/").content.decode() == CANARY
    clock.advance(2)
    assert browser.get("/tested/").content.decode() == "rotated"


def test_an_async_view_never_reads_on_the_loop(
    client: SecretsClient, backend: FakeBackend, views: Any, fresh: Any
) -> None:
    """What its request needs is read before, on another thread."""
    import threading

    views(shows_key_async)
    asked_on: list[int] = []
    backend.before = lambda call: asked_on.append(threading.get_ident())

    async def ask() -> tuple[int, str]:
        answer = await AsyncClient().get("/tested/")
        return threading.get_ident(), answer.content.decode()

    loop, shown = asyncio.run(ask())
    assert shown == CANARY
    assert asked_on
    assert loop not in asked_on


def test_everything_is_read_in_one_batch_and_counts_as_no_read(
    client: SecretsClient, backend: FakeBackend, fresh: Any
) -> None:
    """Nobody asked for it yet, so nothing is saved yet."""
    request_started.send(sender=None)
    assert backend.count("BatchGetSecretValue") == 1
    before = len(backend.calls)
    for _ in range(50):
        request_started.send(sender=None)
    assert len(backend.calls) == before
    assert client.usage().reads == 0


def test_an_outage_does_not_hold_up_requests(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, fresh: Any
) -> None:
    """One request in ten seconds waits for what cannot be read; none fails for it."""
    now = [0.0]
    receiver = Freshness(now=lambda: now[0])
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    for _ in range(20):
        receiver()
    asked = len(backend.calls)
    assert asked <= 2
    now[0] = RETRY + 1
    receiver()
    assert len(backend.calls) > asked


def test_an_absent_secret_does_not_hold_up_requests(
    client: SecretsClient, backend: FakeBackend, fresh: Any
) -> None:
    """It is asked for again after ten seconds, and the others are read meanwhile."""
    backend.remove("prod/mail")
    receiver = Freshness(now=lambda: 0.0)
    for _ in range(20):
        receiver()
    assert len(backend.calls) <= 2
    assert client.get("prod/web")["django_key"] == CANARY


def test_an_optional_secret_that_is_absent_costs_a_call_a_ttl(
    backend: FakeBackend, clock: FakeClock, fresh: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """And no line in the log."""
    absent = secret("secret://prod/absent-optional?optional=1", alias="other")
    client = SecretsClient(backend, ttl=60.0, jitter=0.0, clock=clock, worker=Inline())
    with clients.replaced("other", client):
        for _ in range(60):
            fresh()
            clock.advance(1)
        assert len(backend.calls) == 1
        assert str(absent) == ""
    assert "prod/absent-optional" not in caplog.text


def test_wrong_settings_do_not_break_requests(fresh: Any) -> None:
    """Whoever uses the value is told; a page that uses none works."""
    with override_settings(SMCLIENT={"default": {"BACKEND": "nothing://"}}):
        fresh()


# --- signals --------------------------------------------------------------------------------------


def test_a_rotation_is_a_signal(client: SecretsClient, backend: FakeBackend) -> None:
    """With alias, secret and versions, and no value."""
    heard: list[dict[str, Any]] = []

    def receiver(**told: Any) -> None:
        heard.append(told)

    send_for("default", client)
    secret_changed.connect(receiver)
    try:
        old = client.get("prod/web").version_id
        new = backend.put("prod/web", {"django_key": "next"})
        client.refresh("prod/web")
    finally:
        secret_changed.disconnect(receiver)
    (told,) = heard
    assert (told["alias"], told["secret_id"]) == ("default", "prod/web")
    assert (told["old_version_id"], told["new_version_id"]) == (old, new)
    assert "canary" not in repr(told)


def test_a_failed_refresh_and_a_fallback_are_signals(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A receiver that raises disturbs nobody."""
    heard: list[str] = []

    def receiver(signal: Any, **told: Any) -> None:
        heard.append(f"{told['secret_id']} {told['stage']} {told['error']}")
        raise RuntimeError("a receiver's own trouble")

    send_for("default", client)
    for signal in (secret_refresh_failed, fallback_used):
        signal.connect(receiver)
    try:
        client.get("prod/web")
        backend.fail_with(BackendUnavailableError("no answer"), times=None)
        clock.advance(100)
        client.get("prod/web")
        backend.recover()
        backend.put("prod/db", {"username": "app", "password": "next"}, stages=["AWSPENDING"])

        class Refused(Exception):
            errno = 1045

        Refused.__module__ = "pymysql.err"

        def attempt(value: Any) -> str:
            if value["password"] != "next":
                raise Refused("denied")
            return "in"

        assert client.login("prod/db", attempt) == "in"
    finally:
        for signal in (secret_refresh_failed, fallback_used):
            signal.disconnect(receiver)
    assert len(heard) == 2
    assert heard[0].startswith("prod/web AWSCURRENT no answer")
    assert heard[1].startswith("prod/db AWSPENDING")


def test_every_client_of_the_settings_sends_them_once() -> None:
    """However often Django is set up, as tests do."""
    from smclient_django.signals import connect

    connect()
    connect()
    heard: list[Any] = []

    def receiver(**told: Any) -> None:
        heard.append(told["secret_id"])

    backend = FakeBackend({"prod/x": "a"})
    secret_changed.connect(receiver)
    try:
        with override_settings(SMCLIENT={"default": {"BACKEND": backend}}):
            client = clients["default"]
            client._worker = client._reader._worker = Inline()
            client.get("prod/x")
            backend.put("prod/x", "b")
            client.refresh("prod/x")
    finally:
        secret_changed.disconnect(receiver)
    assert heard == ["prod/x"]


# --- tests of users -------------------------------------------------------------------------------


def test_secrets_are_overridden_for_a_while(client: SecretsClient) -> None:
    """Names that are given; what was before holds again afterwards, cached values included."""
    assert str(secret(KEY)) == CANARY
    with override_secrets({"prod/web": {"django_key": "another"}}) as backend:
        assert str(secret(KEY)) == "another"
        assert str(settings.SECRET_KEY) == "another"
        backend.put("prod/web", {"django_key": "rotated"})
        clients["default"].refresh("prod/web")
        assert str(secret(KEY)) == "rotated"
    assert str(secret(KEY)) == CANARY


def test_other_secrets_come_from_the_backend_of_the_settings() -> None:
    """As ``override_settings`` leaves other settings."""
    backend = FakeBackend({"prod/other": "real", "prod/web": {"django_key": "real"}})
    with (
        override_settings(SMCLIENT={"default": {"BACKEND": backend}}),
        override_secrets({"prod/web": {"django_key": "mine"}}),
    ):
        assert secret_now("secret://prod/other") == "real"
        assert secret_now(KEY) == "mine"
        many = clients["default"].get_many(["prod/other", "prod/web", "prod/none"])
        assert many.values["prod/web"]["django_key"] == "mine"
        assert isinstance(many.errors["prod/none"], ResourceNotFoundError)
    assert backend.closed or backend.calls


@override_secrets({"prod/web": {"django_key": "decorated"}})
def test_a_function_is_decorated() -> None:
    """The usual form."""
    assert str(secret(KEY)) == "decorated"


def test_a_test_case_is_decorated() -> None:
    """Around each of its tests."""

    @override_secrets({"prod/web": {"django_key": "of the class"}})
    class Case(SimpleTestCase):
        def test_it(self) -> None:
            assert str(secret(KEY)) == "of the class"

    result = Case("test_it").run()
    assert result is not None
    assert result.wasSuccessful(), result.errors


# --- processes ----------------------------------------------------------------------------------


def test_a_forked_worker_reads_what_its_parent_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """gunicorn --preload: a client that was used before the fork goes on in the child."""
    signed = signing.dumps("x")
    assert str(settings.SECRET_KEY) == CANARY
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child
        try:
            backend.put("prod/web", {"django_key": "in the child"})
            client.refresh("prod/web")
            seen = f"{settings.SECRET_KEY} {signing.loads(signed)}"
            os.write(writing, seen.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert os.read(reading, 100).decode() == "in the child x"
    os.close(reading)
    assert str(settings.SECRET_KEY) == CANARY
