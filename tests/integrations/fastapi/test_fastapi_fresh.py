"""No request of a FastAPI or Starlette app sees a value that is past its ttl, and no loop waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import itsdangerous
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from smclient import BackendUnavailableError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Queued
from smclient_fastapi import (
    FreshSecretsMiddleware,
    KeyRingSessionMiddleware,
    Secret,
    client_of,
    lifespan,
)

TTL = 60.0
Key = Annotated[str, Depends(Secret("prod/app", "key"))]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"prod/app": {"key": "one"}, "prod/web": {"key": "session one"}})


@pytest.fixture
def client(backend: FakeBackend, clock: FakeClock) -> SecretsClient:
    """Its refreshes behind the reader's back never come to pass."""
    return SecretsClient(backend, ttl=TTL, jitter=0, clock=clock, worker=Queued())


def by_dependency(app: FastAPI, client: SecretsClient) -> None:
    @app.get("/")
    async def key(key: Key) -> str:
        return key


def by_session(app: FastAPI, client: SecretsClient) -> None:
    app.add_middleware(KeyRingSessionMiddleware, secret_key="secret://prod/web#key")
    by_client(app, client)


def by_middleware(app: FastAPI, client: SecretsClient) -> None:
    app.add_middleware(FreshSecretsMiddleware)
    by_client(app, client)


def by_client(app: FastAPI, client: SecretsClient) -> None:
    @app.get("/")
    async def key(request: Request) -> Any:
        return await client_of(request).resolve("secret://prod/app#key")


@pytest.mark.parametrize("use", [by_dependency, by_session, by_middleware])
def test_a_worker_that_slept_serves_no_old_value(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, use: Callable[..., None]
) -> None:
    """Not even once."""
    app = FastAPI(lifespan=lifespan(client, warm=["secret://prod/app#key"]))
    use(app, client)
    with TestClient(app) as browser:
        assert browser.get("/").json() == "one"
        backend.put("prod/app", {"key": "two"})
        clock.advance(TTL - 1)
        assert browser.get("/").json() == "one"
        clock.advance(3000)
        assert browser.get("/").json() == "two"


def test_a_session_is_signed_with_a_key_within_its_ttl(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """And the old one verifies still."""
    app = FastAPI(lifespan=lifespan(client))
    app.add_middleware(KeyRingSessionMiddleware, secret_key="secret://prod/web#key")

    @app.get("/count")
    async def count(request: Request) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    with TestClient(app) as browser:
        browser.get("/count")
        backend.put("prod/web", {"key": "session two"})
        clock.advance(3000)
        assert browser.get("/count").json() == 2
        assert itsdangerous.TimestampSigner("session two").unsign(browser.cookies["session"])


async def get(app: FastAPI, state: dict[str, Any]) -> bytes:
    """The body of ``GET /`` on this loop, with the state that the lifespan made."""
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    body: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        body.append(message.get("body", b""))

    await app({**scope, "state": dict(state)}, receive, send)
    return b"".join(body)


def test_requests_at_the_same_time_wait_for_one_look_off_the_loop(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """However many there are; and within the ttl nobody is asked."""
    app = FastAPI()
    by_dependency(app, client)
    asked_on: list[int] = []
    backend.before = lambda call: asked_on.append(threading.get_ident())

    async def ask() -> list[bytes]:
        async with lifespan(client)(app) as state:
            answers = await asyncio.gather(*(get(app, state) for _ in range(40)))
            clock.advance(TTL)
            return answers + await asyncio.gather(*(get(app, state) for _ in range(40)))

    assert asyncio.run(ask()) == [b'"one"'] * 80
    assert len(asked_on) == 2
    assert threading.get_ident() not in asked_on


def test_an_outage_fails_no_request(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The old value is served as long as it may be."""
    app = FastAPI(lifespan=lifespan(client))
    by_dependency(app, client)
    with TestClient(app) as browser:
        browser.get("/")
        backend.fail_with(BackendUnavailableError("no answer"), times=None)
        clock.advance(TTL)
        calls = len(backend.calls)
        assert [browser.get("/").json() for _ in range(5)] == ["one"] * 5
        assert len(backend.calls) == calls + 1
