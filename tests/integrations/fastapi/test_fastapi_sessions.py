"""Cookie sessions of Starlette through a rotation of their key, and between workers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import itsdangerous
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from smclient import ConfigError, InvalidReferenceError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_fastapi import KeyRingSessionMiddleware, lifespan

KEY = "secret://prod/web#key"


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"prod/web": {"key": "canary-one"}})


@pytest.fixture
def make_worker(backend: FakeBackend) -> Callable[..., tuple[FastAPI, SecretsClient]]:
    """One more process of the same app: with a client and a cache of its own."""
    clock = FakeClock()

    def make(**options: Any) -> tuple[FastAPI, SecretsClient]:
        client = SecretsClient(backend, ttl=60, jitter=0, clock=clock, worker=Inline())
        app = FastAPI(lifespan=lifespan(client))
        app.add_middleware(KeyRingSessionMiddleware, secret_key=KEY, **options)
        return add_page(app), client

    return make


def add_page(app: FastAPI) -> FastAPI:
    @app.get("/count")
    async def count(request: Request) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    return app


def count(browser: TestClient) -> int:
    return int(browser.get("/count").json())


def test_sessions_go_on_after_a_rotation_of_their_key(
    make_worker: Callable[..., Any], backend: FakeBackend
) -> None:
    """The old key verifies, the new one signs."""
    app, client = make_worker()
    with TestClient(app) as browser:
        assert [count(browser) for _ in range(2)] == [1, 2]
        for number, key in enumerate(("two", "three"), 3):
            backend.put("prod/web", {"key": key})
            client.refresh("prod/web")
            assert count(browser) == number
        signer = itsdangerous.TimestampSigner("three")
        assert signer.unsign(browser.cookies["session"])


def test_sessions_of_the_key_before_the_last_end(
    make_worker: Callable[..., Any], backend: FakeBackend
) -> None:
    """Two rotations without a visit end a session."""
    app, client = make_worker()
    with TestClient(app) as browser, TestClient(app) as other:
        count(browser)
        for key in ("two", "three"):
            backend.put("prod/web", {"key": key})
            client.refresh("prod/web")
            count(other)
        assert count(browser) == 1
        assert count(other) == 3


def test_a_worker_that_lags_takes_the_cookies_of_one_that_does_not(
    make_worker: Callable[..., Any], backend: FakeBackend
) -> None:
    """It looks once when the signature fits none of its keys."""
    (ahead, client), (behind, _) = make_worker(), make_worker()
    with TestClient(ahead) as browser, TestClient(behind) as other:
        count(other)
        other.cookies.clear()
        backend.put("prod/web", {"key": "two"})
        client.refresh("prod/web")
        assert count(browser) == 1
        other.cookies.update(browser.cookies)
        assert count(other) == 2


def test_forged_cookies_are_refused_and_cause_few_calls(
    make_worker: Callable[..., Any], backend: FakeBackend
) -> None:
    """As often as an attacker likes."""
    app, _ = make_worker()
    forged = itsdangerous.TimestampSigner("e").sign(b64encode(json.dumps({"n": 9}).encode()))
    with TestClient(app) as browser:
        count(browser)
        calls = len(backend.calls)
        for _ in range(50):
            browser.cookies.clear()
            browser.cookies.set("session", forged.decode())
            assert count(browser) == 1
    assert len(backend.calls) - calls <= 6


def test_cookies_are_starlettes_own(make_worker: Callable[..., Any]) -> None:
    """An app can come from its middleware and go back."""
    plain = add_page(FastAPI())
    plain.add_middleware(SessionMiddleware, secret_key="canary-one")
    app, _ = make_worker(https_only=False, session_cookie="session")
    with TestClient(app) as browser, TestClient(plain) as other:
        assert count(other) == 1
        browser.cookies.update(other.cookies)
        assert count(browser) == 2
        other.cookies.clear()
        other.cookies.update(browser.cookies)
        assert count(other) == 3


def test_without_stages_a_rotation_ends_all_sessions(
    make_worker: Callable[..., Any], backend: FakeBackend
) -> None:
    """For a key that got out."""
    app, client = make_worker(stages=())
    with TestClient(app) as browser:
        count(browser)
        backend.put("prod/web", {"key": "two"})
        client.refresh("prod/web")
        assert count(browser) == 1


def test_a_given_client_needs_no_lifespan(backend: FakeBackend) -> None:
    """As in an app that has a lifespan of its own."""
    app = add_page(FastAPI())
    app.add_middleware(KeyRingSessionMiddleware, secret_key=KEY, client=SecretsClient(backend))
    assert [count(browser) for browser in [TestClient(app)] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("a plain key", InvalidReferenceError),
        ("secret://", InvalidReferenceError),
        ("secret://prod/web?stage=AWSPREVIOUS", ConfigError),
    ],
)
def test_what_no_ring_can_follow_is_refused(reference: str, error: type[Exception]) -> None:
    """When the middleware is built, which is at the start."""
    app = FastAPI()
    app.add_middleware(KeyRingSessionMiddleware, secret_key=reference)
    with pytest.raises(error), TestClient(app):
        pass


def test_a_key_that_cannot_be_read_names_its_reference(backend: FakeBackend) -> None:
    """With what to do, and no value."""
    app = add_page(FastAPI(lifespan=lifespan(SecretsClient(backend))))
    app.add_middleware(KeyRingSessionMiddleware, secret_key="secret://prod/web#nokey")
    with TestClient(app) as browser, pytest.raises(ConfigError, match="prod/web#nokey") as caught:
        count(browser)
    assert "correct the part after #" in str(caught.value)
    assert "canary" not in str(caught.value)
