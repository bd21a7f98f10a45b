"""A Flask app whose session key, database login and message of the day are secrets that rotate.

Nothing here knows about rotation: the config names secrets, the engine is bound to one.
"""

from __future__ import annotations

import os

from flask import Flask, current_app, jsonify, session
from flask.typing import ResponseReturnValue
from sqlalchemy import create_engine, text

from smclient_flask import Secrets
from smclient_sqlalchemy import bind_engine


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="secret://example/sessions#secret",
        MESSAGE="secret://example/message",
        # SMCLIENT_BACKEND and SMCLIENT_TTL come from the environment
    )
    Secrets(app)
    # no host, no user, no password: the secret has them
    engine = create_engine("postgresql+psycopg://", pool_size=4)
    bind_engine(engine, "example/database", app.extensions["smclient"])

    @app.get("/")
    def index() -> ResponseReturnValue:
        session["visits"] = session.get("visits", 0) + 1
        with engine.connect() as connection:
            total = connection.execute(text("UPDATE visits SET n = n + 1 RETURNING n")).scalar_one()
            connection.commit()
            connection.invalidate()  # for the show: each request logs in anew
        return jsonify(
            message=current_app.config["MESSAGE"],
            your_visits=session["visits"],
            all_visits=total,
            worker=os.getpid(),
        )

    return app
