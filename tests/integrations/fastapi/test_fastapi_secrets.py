"""FastAPI and Starlette: the client's life, and secrets as dependencies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from smclient import (
    AsyncSecretsClient,
    BackendUnavailableError,
    ClientClosedError,
    ConfigError,
    InvalidReferenceError,
    SecretsClient,
)
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_fastapi import Secret, SecretStartError, client_of, lifespan

CANARY = "canary-api-77"
URL = "pg://u:hunter2@{{resolve:secretsmanager:prod/none:SecretString:host}}/db"
Key = Annotated[str, Depends(Secret("secret://prod/app#api_key"))]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"prod/app": {"api_key": CANARY, "port": 1}, "prod/web": {"key": "one"}})


@pytest.fixture
def make_client(backend: FakeBackend, clock: FakeClock) -> Callable[[], SecretsClient]:
    """One for each worker."""
    return lambda: SecretsClient(backend, ttl=60, jitter=0, clock=clock, worker=Inline())


@pytest.fixture
def app(make_client: Callable[[], SecretsClient]) -> FastAPI:
    made = FastAPI(lifespan=lifespan(make_client()))

    @made.get("/key")
    async def key(key: Key) -> dict[str, int]:
        return {"length": len(key)}

    @made.get("/port")
    async def port(port: Annotated[int, Depends(Secret("prod/app", "port"))]) -> int:
        return port

    @made.get("/none")
    async def none(key: Annotated[str, Depends(Secret("prod/none", "key"))]) -> str:
        return key

    @made.websocket("/ws")
    async def ws(socket: WebSocket, key: Key) -> None:
        await socket.accept()
        await socket.send_json({"length": len(key)})
        await socket.close()

    return made


# --- dependencies ---------------------------------------------------------------------------------


def test_a_secret_is_a_dependency_of_requests_and_websockets(app: FastAPI) -> None:
    """With the type that JSON has."""
    with TestClient(app) as browser:
        assert browser.get("/key").json() == {"length": len(CANARY)}
        assert browser.get("/port").json() == 1
        with browser.websocket_connect("/ws") as socket:
            assert socket.receive_json() == {"length": len(CANARY)}


def test_a_secret_follows_its_rotation(
    app: FastAPI, backend: FakeBackend, clock: FakeClock
) -> None:
    """In the running app, at the price of the client's refresh."""
    with TestClient(app) as browser:
        browser.get("/key")
        backend.put("prod/app", {"api_key": "four", "port": 1})
        clock.advance(61)
        browser.get("/key")
        assert browser.get("/key").json() == {"length": 4}


def test_nothing_of_a_secret_is_in_the_openapi_document(app: FastAPI, backend: FakeBackend) -> None:
    """No parameter, no name; and making it asks nothing."""
    document = str(app.openapi())
    assert "prod/app" not in document
    assert "parameters" not in document
    assert backend.calls == []


def test_a_secret_that_cannot_be_read_is_503(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer names nothing; the log has the reference and the remedy."""
    with TestClient(app) as browser:
        answer = browser.get("/none")
    assert (answer.status_code, answer.json()) == (
        503,
        {"detail": "a secret that this needs cannot be read"},
    )
    assert "secret://prod/none#key" in caplog.text
    assert "create it" in caplog.text


@pytest.mark.parametrize(
    "reference",
    [
        "secret://prod/none",
        "secret://prod/none?stage=AWSPENDING",
        "{{resolve:secretsmanager:prod/web:SecretString:key}}{{resolve:secretsmanager:prod/none}}",
        "aws-secretsmanager:prod/web;prod/none",
    ],
)
def test_what_is_absent_at_the_start_is_named_once(
    make_client: Callable[[], SecretsClient], reference: str
) -> None:
    """The one that it is, also among others."""
    app = FastAPI(lifespan=lifespan(make_client(), warm=[reference, "prod/app"]))
    with pytest.raises(SecretStartError) as caught, TestClient(app):
        pass
    assert str(caught.value).count("secret 'prod/none', stage ") == 1
    assert "secret 'prod/web'" not in str(caught.value)


def test_an_optional_list_of_secrets_may_be_absent(
    make_client: Callable[[], SecretsClient],
) -> None:
    """As an optional secret may."""
    warm = ["optional:aws-secretsmanager:prod/none;prod/web", "secret://prod/none?optional=1"]
    with TestClient(FastAPI(lifespan=lifespan(make_client(), warm=warm))):
        pass


def test_text_around_a_reference_is_not_shown(
    make_client: Callable[[], SecretsClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log of a request, nor at the start: it may be a password written out."""
    made = FastAPI(lifespan=lifespan(make_client()))

    @made.get("/url")
    async def answer(url: Annotated[str, Depends(Secret(URL))]) -> str:
        return url

    with TestClient(made) as browser:
        assert browser.get("/url").status_code == 503
    with (
        pytest.raises(SecretStartError, match="secret://prod/none#host") as caught,
        TestClient(FastAPI(lifespan=lifespan(make_client(), warm=[URL]))),
    ):
        pass
    assert "secret://prod/none#host" in caplog.text
    assert "hunter2" not in caplog.text + str(caught.value) + repr(Secret(URL))


def test_a_bad_reference_fails_where_it_is_written() -> None:
    """At import."""
    with pytest.raises(InvalidReferenceError):
        Secret("secret://prod/app?stag=x")
    assert repr(Secret("prod/app", "a#b")) == "Secret('secret://prod/app#a%23b')"


def test_an_app_without_our_lifespan_says_so() -> None:
    """Also the usual mistake in tests: a client that was not entered."""
    made = FastAPI()

    @made.get("/key")
    async def key(key: Key) -> str:
        return key

    with TestClient(made) as browser, pytest.raises(ConfigError, match="lifespan"):
        browser.get("/key")


def test_it_works_in_plain_starlette(make_client: Callable[[], SecretsClient]) -> None:
    """By a call."""
    secret = Secret("secret://prod/app#api_key")

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await secret(request))))

    made = Starlette(routes=[Route("/", page)], lifespan=lifespan(make_client()))
    with TestClient(made) as browser:
        assert browser.get("/").text == str(len(CANARY))


# --- the lifespan ---------------------------------------------------------------------------------


def test_warm_secrets_are_read_in_one_batch_before_the_first_request(
    make_client: Callable[[], SecretsClient], backend: FakeBackend
) -> None:
    """By name or by reference."""
    made = FastAPI(lifespan=lifespan(make_client(), warm=["prod/web", "secret://prod/app#api_key"]))
    with TestClient(made):
        assert [call.operation for call in backend.calls] == ["BatchGetSecretValue"]


def test_an_app_whose_warm_secrets_cannot_be_read_does_not_start(
    make_client: Callable[[], SecretsClient], backend: FakeBackend
) -> None:
    """All are named, with what to do, and no value."""
    warm = ["prod/none", "secret://prod/app#nokey", "secret://prod/x?optional=1", "prod/web"]
    made = FastAPI(lifespan=lifespan(make_client(), warm=warm))
    with pytest.raises(SecretStartError) as caught, TestClient(made):
        pass
    told = str(caught.value)
    assert told.count("\n") == 1
    assert "secret://prod/none" in told
    assert "create it" in told
    assert "secret://prod/app#nokey" in told
    assert "canary" not in told


def test_a_backend_that_is_away_at_the_start_is_asked_once(
    make_client: Callable[[], SecretsClient], backend: FakeBackend
) -> None:
    """And named by its setting."""
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    made = FastAPI(lifespan=lifespan(make_client(), warm=["prod/web", "prod/app"]))
    with pytest.raises(SecretStartError, match="SMCLIENT_BACKEND"), TestClient(made):
        pass
    assert len(backend.calls) == 1


def test_a_client_of_the_apps_own_is_closed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made from the environment, in each worker, and is there for another lifespan inside."""
    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    seen: list[Any] = []

    @asynccontextmanager
    async def inner(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {"mine": 1}

    made = FastAPI(lifespan=lifespan(inner=inner))

    @made.get("/key")
    async def key(request: Request, key: Key) -> str:
        seen.extend([client_of(request), request.state.mine])
        return key

    with TestClient(made) as browser:
        assert browser.get("/key").json() == "smclient-null-placeholder"
    assert seen[1] == 1
    with pytest.raises(ClientClosedError):
        seen[0].sync.get("any")


def test_a_given_client_is_left_open(
    make_client: Callable[[], SecretsClient], backend: FakeBackend
) -> None:
    """Sync or async: both have one cache."""
    client = make_client()
    for given in (client, AsyncSecretsClient(sync=client)):
        with TestClient(FastAPI(lifespan=lifespan(given, warm=["prod/web"]))):
            pass
    assert client.get("prod/web")["key"] == "one"
    assert len(backend.calls) == 1
