"""Signals, and the extensions that apps use beside this one: Flask-SQLAlchemy and Flask-Session."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, session
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from smclient import BackendUnavailableError, SecretEvent, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_flask import Secrets, secret_rotated, secret_stale
from smclient_sqlalchemy import bind_engine


def test_a_rotation_is_sent_as_a_signal_of_the_app(
    make_app: Callable[..., Flask], backend: FakeBackend
) -> None:
    """In the app's context, with the event, which holds no value."""
    app = make_app(KEY="secret://prod/web#key")
    seen: list[tuple[Any, SecretEvent, str]] = []

    def note(sender: Flask, event: SecretEvent) -> None:
        seen.append((sender, event, current_app.config["KEY"]))

    with secret_rotated.connected_to(note, sender=app):
        backend.put("prod/web", {"key": "another"})
        app.extensions["smclient"].refresh("prod/web")
    ((sender, event, value),) = seen
    assert sender is app
    assert (event.kind, event.secret_id, value) == ("rotate", "prod/web", "another")


def test_a_value_past_its_time_is_sent_as_a_signal(
    make_app: Callable[..., Flask], backend: FakeBackend, clock: FakeClock
) -> None:
    """With the reason."""
    app = make_app(KEY="secret://prod/web#key")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    seen: list[SecretEvent] = []
    with secret_stale.connected_to(lambda sender, event: seen.append(event), sender=app):
        clock.advance(100)
        app.config["KEY"]
    assert "no answer" in str(seen[0].error)


def test_a_shared_client_keeps_no_app_alive(client: SecretsClient) -> None:
    """Tests make many apps."""
    app = Flask("tested")
    Secrets(app, client=client)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


@pytest.mark.server
def test_flask_sqlalchemy_logs_in_through_a_rotation(user: Any) -> None:
    """Its URL without a login, its engine bound to the secret; a second engine by a reference in
    ``SQLALCHEMY_BINDS``."""
    backend = FakeBackend({"prod/db": user.secret()})
    app = Flask("tested")
    app.config.update(
        SQLALCHEMY_DATABASE_URI=f"postgresql+psycopg://{user.server.host}:{user.server.port}/"
        f"{user.dbname}",
        SQLALCHEMY_BINDS={
            "written": "postgresql+psycopg://{{resolve:secretsmanager:prod/db:SecretString:username}}"
            ":{{resolve:secretsmanager:prod/db:SecretString:password}}"
            f"@{user.server.host}:{user.server.port}/{user.dbname}"
        },
    )
    Secrets(app, client=SecretsClient(backend))
    db = SQLAlchemy(app)
    with app.app_context():
        bind_engine(db.engine, "prod/db", app.extensions["smclient"])
        with db.engines["written"].connect() as connection:
            assert connection.execute(text("SELECT current_user")).scalar_one() == user.name
        assert db.session.execute(text("SELECT current_user")).scalar_one() == user.name
        user.set_password("rotated-password")
        backend.put("prod/db", user.secret(password="rotated-password"))
        db.session.remove()
        db.engine.dispose()
        assert db.session.execute(text("SELECT current_user")).scalar_one() == user.name
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


def test_flask_session_keeps_sessions_on_the_server(
    tmp_path: Path, client: SecretsClient, backend: FakeBackend
) -> None:
    """Its own interface stays, and reads its settings through the live config."""
    from cachelib import FileSystemCache

    app = Flask("tested")
    app.config.update(
        SECRET_KEY="secret://prod/web#key",
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=FileSystemCache(str(tmp_path)),
        SESSION_KEY_PREFIX="secret://prod/text",
    )
    Secrets(app, client=client)
    Session(app)

    @app.get("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    assert app.session_interface.key_prefix == "canary-plain-text"  # type: ignore[attr-defined]
    browser = app.test_client()
    assert browser.get("/count").text == "1"
    backend.put("prod/web", json.dumps({"key": "another"}))
    app.extensions["smclient"].refresh("prod/web")
    assert [browser.get("/count").text for _ in range(2)] == ["2", "3"]
