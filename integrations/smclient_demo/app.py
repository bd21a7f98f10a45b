"""The application: ordinary Flask and SQLAlchemy. No retry, no pre-ping, nothing about rotation."""

from __future__ import annotations

import itertools

from flask import Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from smclient import SecretsClient
from smclient_flask import Secrets
from smclient_sqlalchemy import bind_engine

DATABASE_SECRET = "demo/database"  # noqa: S105  the name of a secret
APP_SECRET = "demo/app"  # noqa: S105
POOL = 8
DROP_EVERY = 3


def make_engine(host: str, port: int, client: SecretsClient) -> Engine:
    """A pool whose logins follow the secret; user and password are not in the URL."""
    engine = create_engine(
        f"postgresql+psycopg://{host}:{port}/app",
        pool_size=POOL,
        max_overflow=POOL,
        pool_pre_ping=False,
        connect_args={"connect_timeout": 5},
    )
    return bind_engine(engine, DATABASE_SECRET, client)


def make_app(engine: Engine, client: SecretsClient) -> Flask:
    """A page that reads the database, with its session key in a secret.

    Every third request throws its connection away, so that logins happen all the time.
    """
    app = Flask("smclient_demo")
    app.config["SECRET_KEY"] = f"secret://{APP_SECRET}#session_key"
    app.config["API_KEY"] = f"{{{{resolve:secretsmanager:{APP_SECRET}:SecretString:api_key}}}}"
    Secrets(app, client=client)
    requests = itertools.count(1)

    @app.get("/")
    def index() -> ResponseReturnValue:
        with engine.connect() as connection:
            user, visits = connection.execute(
                text("UPDATE visits SET n = n + 1 RETURNING current_user, n")
            ).one()
            connection.commit()
            if next(requests) % DROP_EVERY == 0:
                connection.invalidate()
        return jsonify(user=user, visits=visits, api_key_length=len(current_app.config["API_KEY"]))

    return app
