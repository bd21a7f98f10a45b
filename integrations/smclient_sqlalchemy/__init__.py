"""SQLAlchemy engines whose logins follow a secret through its rotation."""

from smclient_sqlalchemy.engine import bind_engine

__all__ = ["bind_engine"]
