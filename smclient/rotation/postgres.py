"""PostgreSQL, single user: the user of the secret changes its own password.

Secret: ``{"engine": "postgres", "host", "username", "password", "dbname", "port", …}``, as AWS's
templates have it (facts: port 5432 and database ``postgres`` unless given; other keys are kept).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smclient.errors import RotationStepError
from smclient.rotation.databases import CONNECT_TIMEOUT, broke_off, load_driver, refused
from smclient.rotation.function import Rotation, RotationFunction
from smclient.rotation.passwords import PasswordRules
from smclient.secret import SecretValue

ENGINES = frozenset({"postgres", "postgresql", "aurora-postgresql"})
PORT = 5432
EXCLUDED = ":/@\"'\\"
_SAME_IN_ALL = ("host", "username")


class PostgresSingleUser(RotationFunction):
    """Rotates the password of one PostgreSQL user.

    From setSecret to finishSecret only the pending password logs in; ``SecretsClient.connect``
    finds it. The server is sent a SCRAM verifier, so the password is in none of its logs.
    """

    def __init__(self, rules: PasswordRules | None = None) -> None:
        super().__init__()
        self._rules = rules

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        """The current secret with another password."""
        current = _checked(rotation.current())
        rules = self._rules or PasswordRules.from_env(exclude_characters=EXCLUDED)
        return {**current.json(), "password": rotation.random_password(rules)}

    def set_value(self, rotation: Rotation) -> None:
        """Log in with what works (pending, current, previous) and set the pending password."""
        pending, current = _checked(rotation.the_pending()), _checked(rotation.current())
        _same_user(pending, current)
        if _close(_login(pending, "pending")):
            return
        connection = _login(current, "current")
        previous = rotation.previous() if connection is None else None
        if previous is not None:
            _same_user(pending, _checked(previous))
            connection = _login(previous, "previous")
        if connection is None:
            raise RotationStepError(
                f"secret {rotation.arn}: the database takes neither the pending nor the current "
                "nor the previous password; set the user's password to the one of AWSCURRENT"
            )
        try:
            _set_password(connection, pending)
        finally:
            connection.close()

    def test_value(self, rotation: Rotation) -> None:
        """Log in with the pending password and ask for the time."""
        pending = _checked(rotation.the_pending())
        connection = _login(pending, "pending")
        if connection is None:
            raise RotationStepError(
                f"secret {rotation.arn}: the database refuses the pending password"
            )
        try:
            connection.execute("SELECT now()")
        except load_driver("psycopg").Error as error:
            raise broke_off(error, pending, "answer a query") from error
        finally:
            connection.close()


def _checked(value: SecretValue) -> SecretValue:
    """Raises ``RotationStepError`` unless the secret is one of PostgreSQL credentials."""
    fields = value.fields
    if fields.get("engine", "postgres") not in ENGINES:
        raise RotationStepError(
            f"secret {value.arn}: its engine is not postgres or aurora-postgresql; another engine "
            "needs another rotation function"
        )
    missing = [name for name in ("host", "username", "password") if not fields.get(name)]
    if missing:
        raise RotationStepError(f"secret {value.arn}: it has no {', '.join(missing)}")
    if not str(fields.get("port") or PORT).isdecimal():
        raise RotationStepError(f"secret {value.arn}: its port is not a number")
    return value


def _same_user(pending: SecretValue, other: SecretValue) -> None:
    for name in _SAME_IN_ALL:
        if pending.fields.get(name) != other.fields.get(name):
            raise RotationStepError(
                f"secret {pending.arn}: {name} differs between versions {pending.version_id} and "
                f"{other.version_id}; a single-user rotation changes the password only"
            )


def _login(value: SecretValue, label: str) -> Any:
    """A connection, or ``None`` if the credentials are refused."""
    psycopg = load_driver("psycopg")
    fields = value.fields
    tls = {"true": "require", "false": "disable"}.get(str(fields.get("ssl", "")).lower(), "prefer")
    try:
        return psycopg.connect(
            host=fields["host"],
            port=int(fields.get("port") or PORT),
            dbname=fields.get("dbname") or "postgres",
            user=str(fields["username"]),
            password=str(fields["password"]),
            sslmode=tls,
            connect_timeout=CONNECT_TIMEOUT,
            autocommit=True,
        )
    except psycopg.Error as error:
        refused(error, value, label)
        return None


def _close(connection: Any) -> bool:
    if connection is None:
        return False
    connection.close()
    return True


def _set_password(connection: Any, pending: SecretValue) -> None:
    try:
        connection.execute(_alter_user(connection, pending))
    except load_driver("psycopg").Error as error:
        raise broke_off(error, pending, "change the password") from error


def _alter_user(connection: Any, pending: SecretValue) -> Any:
    """The statement, with a SCRAM verifier made on this side."""
    sql = load_driver("psycopg").sql
    user = str(pending.fields["username"])
    verifier = connection.pgconn.encrypt_password(
        str(pending.fields["password"]).encode(), user.encode(), b"scram-sha-256"
    )
    return sql.SQL("ALTER USER {} WITH PASSWORD {}").format(
        sql.Identifier(user), sql.Literal(verifier.decode())
    )
