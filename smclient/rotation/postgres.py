"""PostgreSQL users: ``PostgresSingleUser`` and ``PostgresAlternatingUsers``.

Defaults as in AWS's templates: port 5432, database ``postgres``.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from smclient.rotation import postgres_session, scram
from smclient.rotation.databases import SUFFIX, Engine, Login
from smclient.rotation.postgres_session import PostgresSession, identifier, literal
from smclient.rotation.users import AlternatingUsers, SingleUser

logger = logging.getLogger("smclient.rotation")

_FLAGS = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
# Settings whose value is a list of names: only FROM CURRENT copies them as they are.
_LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries"})


class PostgresEngine(Engine):
    """PostgreSQL, RDS and Aurora PostgreSQL. Drivers: psycopg, psycopg2, pg8000."""

    title: ClassVar[str] = "PostgreSQL"
    engines: ClassVar[frozenset[str]] = frozenset({"postgres", "postgresql", "aurora-postgresql"})
    port: ClassVar[int] = 5432
    dbname: ClassVar[str] = "postgres"
    excluded: ClassVar[str] = ":/@\"'\\"

    def errors(self) -> tuple[type[Exception], ...]:
        """See ``Engine``."""
        return postgres_session.errors()

    def connect(self, login: Login) -> PostgresSession:
        """See ``Engine``."""
        return postgres_session.connect(login)

    def probe(self, session: PostgresSession) -> None:
        """See ``Engine``."""
        session.run("SELECT now()")

    def set_password(self, session: PostgresSession, login: Login) -> None:
        """See ``Engine``. The server is sent a verifier, so no log of its has the password."""
        session.run(self._with_password("ALTER", session, login))

    def check_name(self, name: str) -> str | None:
        """PostgreSQL cuts longer names off, without an error."""
        return "it is longer than 63 bytes" if len(name.encode()) > 63 else None

    def clone(self, master: PostgresSession, current: Any, old: Login, new: Login) -> None:
        """A new user is a member of the old one and has its attributes and settings. All in one
        transaction: a user that exists is whole."""
        master.run("BEGIN")
        role = literal(new.username)
        exists = master.run(f"SELECT 1 FROM pg_roles WHERE rolname = {role}")  # noqa: S608
        if not exists:
            master.run(f"CREATE ROLE {identifier(new.username)} WITH LOGIN")
        if not exists or new.username.endswith(SUFFIX):
            self._grant(master, old.username, new.username)
        if not exists:
            _copy_attributes(master, old.username, new.username)
            _copy_settings(master, old.username, new.username)
        master.run(self._with_password("ALTER", master, new))
        master.run("COMMIT")

    def _grant(self, master: PostgresSession, old: str, new: str) -> None:
        member = f"SELECT pg_has_role({literal(new)}, {literal(old)}, 'MEMBER')"
        if master.run(member)[0][0] not in (True, "t") and not _is_made_from(master, old, new):
            master.run(f"GRANT {identifier(old)} TO {identifier(new)}")

    def _with_password(self, verb: str, session: PostgresSession, login: Login) -> str:
        verifier = self._verifier(session, login)
        return f"{verb} USER {identifier(login.username)} WITH PASSWORD {literal(verifier)}"

    def _verifier(self, session: PostgresSession, login: Login) -> str:
        """By the method that the server is set to; before version 10 the setting is ``on``."""
        method = str(session.run("SHOW password_encryption")[0][0]).lower()
        if method == "scram-sha-256":
            return scram.scram_sha_256(login.password)
        return scram.md5(login.password, login.username)


class PostgresSingleUser(SingleUser):
    """Rotates the password of one PostgreSQL user. See ``SingleUser``."""

    engine = PostgresEngine


class PostgresAlternatingUsers(AlternatingUsers):
    """Rotates between two PostgreSQL users; the clone is a member of the first. See
    ``AlternatingUsers``."""

    engine = PostgresEngine


def _is_made_from(master: PostgresSession, name: str, other: str) -> bool:
    """Whether a user was granted the other: the first one, where only its clone was restored. The
    server takes no grant the other way round then, and none is needed."""
    rows = master.run(
        "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "  # noqa: S608
        "JOIN pg_roles o ON o.oid = m.roleid "
        f"WHERE r.rolname = {literal(name)} AND o.rolname = {literal(other)}"
    )
    return bool(rows)


def _copy_attributes(master: PostgresSession, old: str, new: str) -> None:
    """What membership does not pass on: the right to create, replicate, bypass; limits."""
    columns = ", ".join((*_FLAGS, "rolconnlimit", "rolvaliduntil::text"))
    row = master.run(f"SELECT {columns} FROM pg_roles WHERE rolname = {literal(old)}")[0]  # noqa: S608
    words = [word for word, has in zip(_FLAGS.values(), row, strict=False) if has in (True, "t")]
    limit, until = row[len(_FLAGS) :]
    if int(limit) != -1:
        words.append(f"CONNECTION LIMIT {int(limit)}")
    if until is not None:
        words.append(f"VALID UNTIL {literal(str(until))}")
    if words:
        master.run(f"ALTER ROLE {identifier(new)} WITH {' '.join(words)}")


def _copy_settings(master: PostgresSession, old: str, new: str) -> None:
    """``ALTER ROLE … SET`` of the old user, for the new one."""
    rows = master.run(
        "SELECT d.datname, unnest(s.setconfig) FROM pg_db_role_setting s "  # noqa: S608
        "JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase "
        f"WHERE r.rolname = {literal(old)} ORDER BY 1 NULLS FIRST, 2"
    )
    for database, setting in rows:
        name, _, value = str(setting).partition("=")
        where = f" IN DATABASE {identifier(database)}" if database else ""
        _copy_setting(master, f"ALTER ROLE {identifier(new)}{where} SET", name, value)


def _copy_setting(master: PostgresSession, alter: str, name: str, value: str) -> None:
    quoted = ".".join(map(identifier, name.split(".")))
    master.run("SAVEPOINT smclient_setting")
    try:
        if name in _LISTS:
            master.run(f"SELECT set_config({literal(name)}, {literal(value)}, true)")
            master.run(f"{alter} {quoted} FROM CURRENT")
        else:
            master.run(f"{alter} {quoted} TO {literal(value)}")
    except postgres_session.errors() as error:
        # A setting only a superuser may give, and the master is none: a user without it is of
        # more use than a rotation that never succeeds.
        logger.warning("the setting %s is not copied (%s)", name, type(error).__name__)
        master.run("ROLLBACK TO SAVEPOINT smclient_setting")
