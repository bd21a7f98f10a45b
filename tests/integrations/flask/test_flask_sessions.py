"""Sessions through a rotation of their key, within one worker and between workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import Client

from smclient import BackendUnavailableError, ConfigError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_flask import KeyRingSessionInterface, SecretConfigError, Secrets

CANARY = "canary-web-4f1d"
KEY = "secret://prod/web#key"


def add_page(app: Flask) -> Flask:
    @app.get("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    return app


@pytest.fixture
def make_worker(backend: FakeBackend, clock: FakeClock) -> Callable[..., Flask]:
    """One more process of the same app: with a client and a cache of its own."""

    def make(**settings: Any) -> Flask:
        app = Flask("tested")
        app.config.update(SECRET_KEY=KEY, **settings)
        Secrets(app, client=SecretsClient(backend, ttl=60, jitter=0, clock=clock, worker=Inline()))
        return add_page(app)

    return make


def rotate(backend: FakeBackend, key: str) -> None:
    backend.put("prod/web", {"key": key})


def see(worker: Flask) -> None:
    """Have a worker notice what its secret is now."""
    worker.extensions["smclient"].refresh("prod/web")


def test_sessions_are_signed_with_the_secret(make_worker: Callable[..., Flask]) -> None:
    """They work from request to request, and the signature is made with the whole value."""
    browser = make_worker().test_client()
    assert [browser.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    plain = Flask("tested")
    plain.secret_key = CANARY
    signer = SecureCookieSessionInterface().get_signing_serializer(plain)
    cookie = browser.get_cookie("session")
    assert signer is not None
    assert cookie is not None
    assert signer.loads(cookie.value) == {"n": 3}


def test_sessions_go_on_after_a_rotation_of_their_key(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """The old key verifies, the new one signs."""
    app = make_worker()
    browser = app.test_client()
    assert browser.get("/count").text == "1"
    rotate(backend, "another key")
    see(app)
    assert app.secret_key == "another key"
    assert app.config["SECRET_KEY_FALLBACKS"] == [CANARY]
    assert [browser.get("/count").text for _ in range(2)] == ["2", "3"]
    rotate(backend, "a third key")
    see(app)
    assert browser.get("/count").text == "4"


def test_sessions_of_the_key_before_the_last_end(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """Two rotations without a visit end a session."""
    app = make_worker()
    browser = app.test_client()
    browser.get("/count")
    for key in ("second", "third"):
        rotate(backend, key)
        see(app)
        app.config["SECRET_KEY_FALLBACKS"]
    assert browser.get("/count").text == "1"


def test_a_worker_that_lags_takes_the_cookies_of_one_that_does_not(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """It looks once when the signature fits none of its keys, the other way round needs none."""
    ahead, behind = make_worker(), make_worker()
    browser = ahead.test_client()
    behind.test_client().get("/count")
    rotate(backend, "another key")
    see(ahead)
    assert browser.get("/count").text == "1"
    assert behind.secret_key == CANARY
    assert pass_on(browser, behind).get("/count").text == "2"
    assert behind.secret_key == "another key"


def pass_on(browser: Any, worker: Flask) -> Client:
    """The same browser, served by another worker."""
    other = worker.test_client()
    cookie = browser.get_cookie("session")
    assert cookie is not None
    other.set_cookie("session", cookie.value)
    return other


def test_a_pending_key_verifies_before_it_is_current(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """With a rotation function that waits, no worker needs to look twice."""
    ahead, behind = make_worker(), make_worker()
    version = backend.put("prod/web", {"key": "next"}, stages=("AWSPENDING",))
    behind.config["SECRET_KEY_FALLBACKS"]
    backend.move("prod/web", "AWSCURRENT", version)
    backend.move("prod/web", "AWSPENDING", None)
    browser = ahead.test_client()
    see(ahead)
    browser.get("/count")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    assert pass_on(browser, behind).get("/count").text == "2"


def test_forged_cookies_are_refused_and_cause_few_calls(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """As often as an attacker likes."""
    app = make_worker()
    app.test_client().get("/count")
    calls = len(backend.calls)
    for number in range(50):
        browser = app.test_client()
        browser.set_cookie("session", f"eyJuIjo5OX0.aaaaaa.forged{number}")
        assert browser.get("/count").text == "1"
    assert len(backend.calls) - calls <= 6


def test_a_single_character_is_no_key(make_worker: Callable[..., Flask]) -> None:
    """A reference for the fallbacks is one key, not a list of characters."""
    app = make_worker(SECRET_KEY_FALLBACKS="secret://prod/text")
    assert app.config["SECRET_KEY_FALLBACKS"] == ["canary-plain-text"]
    forger = Flask("tested")
    forger.secret_key = "t"
    signer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert signer is not None
    browser = app.test_client()
    browser.set_cookie("session", str(signer.dumps({"n": 98})))
    assert browser.get("/count").text == "1"


def test_fallbacks_of_the_app_verify_beside_the_ring(
    make_worker: Callable[..., Flask], backend: FakeBackend
) -> None:
    """References among them, also optional ones that lead nowhere yet."""
    fallbacks = ["old one", "secret://prod/text", "secret://prod/none?optional=1"]
    app = make_worker(SECRET_KEY_FALLBACKS=fallbacks)
    rotate(backend, "another key")
    see(app)
    assert app.config["SECRET_KEY_FALLBACKS"] == ["old one", "canary-plain-text", CANARY]
    plain = Flask("tested")
    plain.secret_key = "old one"
    signer = SecureCookieSessionInterface().get_signing_serializer(plain)
    assert signer is not None
    browser = app.test_client()
    browser.set_cookie("session", str(signer.dumps({"n": 7})))
    assert browser.get("/count").text == "8"


@pytest.mark.parametrize("none", [(), "", []])
def test_without_stages_a_rotation_ends_all_sessions(
    make_worker: Callable[..., Flask], backend: FakeBackend, none: Any
) -> None:
    """For a key that got out."""
    app = make_worker(SMCLIENT_SESSION_STAGES=none)
    browser = app.test_client()
    assert [browser.get("/count").text for _ in range(2)] == ["1", "2"]
    rotate(backend, "another key")
    see(app)
    assert [browser.get("/count").text for _ in range(2)] == ["1", "2"]
    assert not app.config.get("SECRET_KEY_FALLBACKS")


@pytest.mark.parametrize(
    ("environment", "settings", "old"),
    [
        ("", {}, []),
        ("AWSPREVIOUS", {}, [CANARY]),
        ("AWSPREVIOUS", {"SMCLIENT_SESSION_STAGES": ()}, []),
        ("", {"SMCLIENT_SESSION_STAGES": "AWSPREVIOUS"}, [CANARY]),
    ],
)
def test_the_environment_names_the_stages_under_the_app(
    make_worker: Callable[..., Flask],
    backend: FakeBackend,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    settings: dict[str, Any],
    old: list[str],
) -> None:
    """``SMCLIENT_SESSION_STAGES=`` for a key that got out needs no change of the app."""
    monkeypatch.setenv("SMCLIENT_SESSION_STAGES", environment)
    app = make_worker(**settings)
    rotate(backend, "another key")
    see(app)
    assert app.config.session_keys() == [*old, "another key"]  # type: ignore[attr-defined]


def test_the_current_stage_is_no_stage_beside_it(make_worker: Callable[..., Flask]) -> None:
    """It is always there."""
    with pytest.raises(ConfigError, match="leave that out"):
        make_worker(SMCLIENT_SESSION_STAGES="AWSCURRENT,AWSPREVIOUS")


def test_a_key_that_is_no_reference_works_as_in_flask(make_app: Callable[..., Flask]) -> None:
    """The ring is for references only."""
    app = add_page(make_app(SECRET_KEY="plain", SECRET_KEY_FALLBACKS=["older"]))
    browser = app.test_client()
    assert [browser.get("/count").text for _ in range(2)] == ["1", "2"]
    assert app.config["SECRET_KEY_FALLBACKS"] == ["older"]


def test_a_pinned_key_has_no_ring(make_app: Callable[..., Flask], backend: FakeBackend) -> None:
    """Whoever names a version means that one."""
    rotate(backend, "another key")
    app = add_page(make_app(SECRET_KEY="secret://prod/web?stage=AWSPREVIOUS#key"))
    assert [app.test_client().get("/count").text for _ in range(2)] == ["1", "1"]
    assert app.secret_key == CANARY
    assert not app.config.get("SECRET_KEY_FALLBACKS")


def test_a_session_interface_of_the_app_is_left_alone(client: SecretsClient) -> None:
    """Only Flask's own is replaced."""

    class Mine(SecureCookieSessionInterface):
        pass

    app, other = Flask("tested"), Flask("tested")
    app.session_interface = mine = Mine()
    Secrets(app, client=client)
    Secrets(other, client=client)
    assert app.session_interface is mine
    assert isinstance(other.session_interface, KeyRingSessionInterface)


def test_a_key_that_cannot_be_read_names_the_setting(backend: FakeBackend) -> None:
    """At the first request of a lazy app."""
    app = Flask("tested")
    app.testing = True
    app.config.update(SECRET_KEY="secret://prod/none#key", SMCLIENT_LAZY=True)
    Secrets(app, client=SecretsClient(backend))
    with pytest.raises(
        SecretConfigError, match=r"app.config\['SECRET_KEY'\] = 'secret://prod/none"
    ):
        add_page(app).test_client().get("/count")


@pytest.mark.parametrize("key", ["", None])
def test_an_empty_key_is_an_error_and_signs_no_session(
    make_worker: Callable[..., Flask], backend: FakeBackend, key: str | None
) -> None:
    """Everybody knows it."""
    app = make_worker()
    app.testing = True
    backend.put("prod/web", {"key": key})
    see(app)
    with pytest.raises(SecretConfigError, match="empty"):
        app.test_client().get("/count")


@pytest.mark.parametrize("fallbacks", [["secret://prod/web#old"], "secret://prod/web#old", [""]])
def test_an_empty_fallback_verifies_nothing(
    make_worker: Callable[..., Flask], backend: FakeBackend, fallbacks: Any
) -> None:
    """Anybody could have signed with it."""
    backend.put("prod/web", {"key": CANARY, "old": ""})
    app = make_worker(SECRET_KEY_FALLBACKS=fallbacks)
    assert "" not in app.config["SECRET_KEY_FALLBACKS"]
    assert "" not in app.config.session_keys()  # type: ignore[attr-defined]
