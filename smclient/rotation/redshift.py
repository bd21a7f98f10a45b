"""Redshift users: ``RedshiftSingleUser`` and ``RedshiftAlternatingUsers``.

Redshift speaks PostgreSQL's protocol and has no membership of one user in another, so the rights
on databases, schemas and tables, and the groups, are given one by one, as AWS's function does.
"""

from __future__ import annotations

from typing import ClassVar

from smclient.rotation import scram
from smclient.rotation.databases import Login
from smclient.rotation.postgres import PostgresEngine
from smclient.rotation.postgres_session import PostgresSession, identifier, literal
from smclient.rotation.users import AlternatingUsers, SingleUser

_OURS = "n.nspname NOT IN ('information_schema', 'pg_catalog') AND n.nspname NOT LIKE 'pg_%'"
_DATABASE = ("CREATE", "TEMPORARY")
_SCHEMA = ("CREATE", "USAGE")
_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES")


class RedshiftEngine(PostgresEngine):
    """Amazon Redshift. Drivers: psycopg, psycopg2, pg8000."""

    title: ClassVar[str] = "Redshift"
    engines: ClassVar[frozenset[str]] = frozenset({"redshift"})
    port: ClassVar[int] = 5439
    dbname: ClassVar[str] = "dev"

    def check_name(self, name: str) -> str | None:
        """Redshift takes 127 bytes."""
        return "it is longer than 127 bytes" if len(name.encode()) > 127 else None

    def clone(
        self, master: PostgresSession, current: PostgresSession, old: Login, new: Login
    ) -> None:
        """See ``Engine``. All in one transaction: a user that exists is whole."""
        master.run("BEGIN")
        role = literal(new.username)
        exists = master.run(f"SELECT 1 FROM pg_user WHERE usename = {role}")  # noqa: S608
        if exists:
            master.run(self._with_password("ALTER", master, new))
        else:
            master.run(self._with_password("CREATE", master, new))
            for statement in _rights(master, old.username, new.username):
                master.run(statement)
        master.run("COMMIT")

    def _verifier(self, session: PostgresSession, login: Login) -> str:
        """Redshift takes the digest of a password in place of it."""
        if "redshift" in str(session.run("SELECT version()")[0][0]).lower():
            return scram.md5(login.password, login.username)
        return super()._verifier(session, login)


class RedshiftSingleUser(SingleUser):
    """Rotates the password of one Redshift user. See ``SingleUser``."""

    engine = RedshiftEngine


class RedshiftAlternatingUsers(AlternatingUsers):
    """Rotates between two Redshift users. See ``AlternatingUsers``."""

    engine = RedshiftEngine


def _rights(master: PostgresSession, old: str, new: str) -> list[str]:
    """The statements that give ``new`` the rights that ``old`` has in this database."""
    who, to = literal(old), identifier(new)
    statements = [
        f"ALTER GROUP {identifier(str(group))} ADD USER {to}"
        for (group,) in master.run(
            "SELECT g.groname FROM pg_group g, pg_user u "  # noqa: S608
            f"WHERE u.usename = {who} AND u.usesysid = ANY(g.grolist) ORDER BY 1"
        )
    ]

    def grants(kind: str, rights: tuple[str, ...], test: str, rest: str, *names: str) -> None:
        columns = ", ".join((*names, *(test.format(who, literal(right)) for right in rights)))
        for row in master.run(f"SELECT {columns} FROM {rest} ORDER BY {names[0]}"):  # noqa: S608
            has = [
                r for r, yes in zip(rights, row[len(names) :], strict=True) if yes in (True, "t")
            ]
            if has:
                target = ".".join(identifier(str(name)) for name in row[: len(names)])
                statements.append(f"GRANT {', '.join(has)} ON {kind} {target} TO {to}")

    grants(
        "DATABASE",
        _DATABASE,
        "has_database_privilege({}, d.datname, {})",
        "pg_database d WHERE d.datname = current_database()",
        "d.datname",
    )
    grants(
        "SCHEMA",
        _SCHEMA,
        "has_schema_privilege({}, n.nspname, {})",
        f"pg_namespace n WHERE {_OURS}",
        "n.nspname",
    )
    grants(
        "TABLE",
        _TABLE,
        "has_table_privilege({}, c.oid, {})",
        f"pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.relkind IN ('r', 'v') AND {_OURS}",
        "n.nspname",
        "c.relname",
    )
    return statements
