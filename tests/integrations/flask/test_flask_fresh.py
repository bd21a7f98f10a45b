"""No request of a Flask app sees a value that is past its ttl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, session

from smclient import BackendUnavailableError, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_flask import Secrets

TTL = 60.0


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """With a hook of its own that was there before the extension."""
    made = Flask("tested")
    seen: list[Any] = made.extensions.setdefault("seen", [])
    made.before_request(lambda: seen.append(made.config["TEXT"]))
    return made


@pytest.fixture
def served(app: Flask, client: SecretsClient) -> Flask:
    app.config.update(SECRET_KEY="secret://prod/web#key", TEXT="secret://prod/text")
    Secrets(app, client=client)

    @app.get("/")
    def show() -> str:
        session["n"] = session.get("n", 0) + 1
        return f"{app.config['TEXT']} {session['n']}"

    return app


def test_a_worker_that_slept_serves_no_old_value(
    served: Flask, backend: FakeBackend, clock: FakeClock
) -> None:
    """Not even once, nor to what runs before its views; the key signs from then on, too."""
    browser = served.test_client()
    assert browser.get("/").text == "canary-plain-text 1"
    backend.put("prod/text", "new text")
    backend.put("prod/web", {"key": "new key"})
    clock.advance(TTL - 1)
    assert browser.get("/").text == "canary-plain-text 2"
    clock.advance(3000)
    assert browser.get("/").text == "new text 3"
    assert served.extensions["seen"][-1] == "new text"
    forger = Flask("tested")
    forger.secret_key = "new key"
    signer = forger.session_interface.get_signing_serializer(forger)  # type: ignore[attr-defined]
    cookie = browser.get_cookie("session")
    assert cookie is not None
    assert signer.loads(cookie.value) == {"n": 3}


def test_requests_within_the_ttl_ask_nobody(served: Flask, backend: FakeBackend) -> None:
    """However many there are."""
    browser = served.test_client()
    browser.get("/")
    calls = len(backend.calls)
    for _ in range(20):
        browser.get("/")
    assert len(backend.calls) == calls


def test_what_is_past_its_ttl_comes_in_one_batch(
    served: Flask, backend: FakeBackend, clock: FakeClock
) -> None:
    """Beside the labels of the key, which its ring looks at."""
    browser = served.test_client()
    browser.get("/")
    before = len(backend.calls)
    clock.advance(TTL)
    browser.get("/")
    asked = [call.operation for call in backend.calls[before:] if call.stage is None]
    assert asked == ["BatchGetSecretValue"]


def test_an_outage_fails_no_request(served: Flask, backend: FakeBackend, clock: FakeClock) -> None:
    """The old values are served as long as they may be."""
    browser = served.test_client()
    browser.get("/")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    assert [browser.get("/").text for _ in range(3)] == [
        "canary-plain-text 2",
        "canary-plain-text 3",
        "canary-plain-text 4",
    ]
