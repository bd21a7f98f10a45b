"""The tables of the SQL store, how records' fields sit in them, and the way from older schemas.

Whatever is searched or sorted has a typed column; what is only carried along is JSON text. Three
columns of ``secrets`` are derived from the record, so that an index can find them: ``stem``,
``is_deleted`` and ``rotation_due_at``. What must hold is said in constraints.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    bindparam,
    insert,
    inspect,
    select,
    text,
    update,
)

from smclient_embedded.store.ports import StoreError

MAGIC = b"smclient embedded store"
MAGIC_SETTING = "smclient.magic"
SCHEMA_SETTING = "smclient.schema"
RESERVED = "smclient."
"""Settings that begin so belong to the schema."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_decode = json.JSONDecoder().decode
json_text = json.JSONEncoder(separators=(",", ":")).encode
"""JSON as it is kept."""


# --- how fields sit in columns --------------------------------------------------------------------


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970, exact. A naive time is a ``TypeError``."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


class Moment(TypeDecorator[datetime]):
    """A moment, as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """See ``TypeDecorator``."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """See ``TypeDecorator``."""
        return None if value is None else from_micros(value)


class Day(TypeDecorator[date]):
    """A day by its number; no day is 0, not NULL, so that it sorts first everywhere."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> int:
        """See ``TypeDecorator``."""
        return 0 if value is None else value.toordinal()

    def process_result_value(self, value: int | None, dialect: Dialect) -> date | None:
        """See ``TypeDecorator``."""
        return date.fromordinal(value) if value else None


class JsonText(TypeDecorator[Any]):
    """JSON as ASCII text; ``None`` is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """See ``TypeDecorator``."""
        return None if value is None else json_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """See ``TypeDecorator``."""
        return None if value is None else _decode(value)


class EscapedText(TypeDecorator[str]):
    """Text for PostgreSQL, which keeps no NUL: U+0000 as U+0001 U+0001, U+0001 as U+0001 U+0002.
    Order and prefixes stay what they were."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See ``TypeDecorator``."""
        if value is None or ("\0" not in value and "\1" not in value):
            return value
        return value.replace("\1", "\1\2").replace("\0", "\1\1")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """See ``TypeDecorator``."""
        if value is None or "\1" not in value:
            return value
        return value.replace("\1\1", "\0").replace("\1\2", "\1")


Plain = Text().with_variant(EscapedText(), "postgresql")
"""Any text."""

Ordered = Text().with_variant(EscapedText(collation="C"), "postgresql")
"""Text that sorts by code point, as Python does and SQLite by itself."""

Sequence_ = BigInteger().with_variant(Integer, "sqlite")
"""A number the database gives out, growing, never twice."""


# --- the tables -----------------------------------------------------------------------------------

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("name", Plain, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("sequence", Sequence_, primary_key=True),
    Column("arn", Ordered, nullable=False, unique=True),
    Column("account", Ordered, nullable=False),
    Column("region", Ordered, nullable=False),
    Column("name", Ordered, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("accessed_on", Day, nullable=False),
    Column("deleted_at", Moment),
    Column("delete_after", Moment),
    Column("description", Plain),
    Column("kms_key_id", Plain),
    Column("owning_service", Plain),
    Column("primary_region", Plain),
    Column("tags", JsonText),
    Column("rotation", JsonText),
    Column("policies", JsonText),
    Column("secret_type", JsonText),  # any text, also what PostgreSQL keeps in no other column
    Column("replication", JsonText),
    Column("stem", Ordered, nullable=False, index=True),
    Column("is_deleted", SmallInteger, nullable=False),
    Column("rotation_due_at", Moment),
    UniqueConstraint("account", "region", "name"),
    Index("page_created", "account", "region", "is_deleted", "sequence"),
    Index("page_changed", "account", "region", "is_deleted", "changed_at", "sequence"),
    Index("page_accessed", "account", "region", "is_deleted", "accessed_on", "sequence"),
    Index("page_name", "account", "region", "is_deleted", "name"),
    sqlite_autoincrement=True,
)
DUE = {
    Index(f"due_{column.name}", column, secrets.c.arn, sqlite_where=column.is_not(None)): column
    for column in (secrets.c.delete_after, secrets.c.rotation_due_at)
}
"""Indexes of the rows that have a date. PostgreSQL is told of that condition in ``sql_postgres``:
said here it would load SQLAlchemy's dialect for it."""


def _arn_of_secret() -> Column[str]:
    secret = ForeignKey(secrets.c.arn, ondelete="CASCADE")
    return Column("arn", Ordered, secret, primary_key=True)


versions = Table(
    "versions",
    metadata,
    _arn_of_secret(),
    Column("version_id", Ordered, primary_key=True),
    Column("ordinal", BigInteger, nullable=False),  # in the order they came, for each secret
    Column("created_at", Moment, nullable=False),
    Column("accessed_on", Day, nullable=False),
    Column("kind", Plain, nullable=False),
    Column("key_id", Plain),  # NULL, as are the next four, while there is no value
    Column("wrapped_key", LargeBinary),
    Column("nonce", LargeBinary),
    Column("context", JsonText),
    Column("ciphertext", LargeBinary),
    Column("also", JsonText),  # later keys, each with the data key that it wrapped, in base64
)

labels = Table(
    "labels",
    metadata,
    Column("arn", Ordered, primary_key=True),
    Column("label", Ordered, primary_key=True),
    Column("version_id", Ordered, nullable=False),
    ForeignKeyConstraint(
        ["arn", "version_id"], [versions.c.arn, versions.c.version_id], ondelete="CASCADE"
    ),
)

rotation_jobs = Table(
    "rotation_jobs",
    metadata,
    _arn_of_secret(),
    Column("token", Plain, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("test_only", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Plain),
    Column("leased_until", Moment),
    Column("fence", BigInteger, nullable=False),
    Column("last_error", Plain),
    Index("due_jobs", "due_at", "arn"),
)

keys = Table(
    "keys",
    metadata,
    Column("arn", Ordered, primary_key=True),
    Column("account", Ordered, nullable=False),
    Column("region", Ordered, nullable=False),
    Column("key_id", Plain, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("wrapped_material", LargeBinary, nullable=False),
    Column("state", Plain, nullable=False),
    Column("alias", Plain),
    Column("delete_after", Moment),
    Index("keys_of_scope", "account", "region"),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Sequence_, primary_key=True),
    Column("event_id", Plain, nullable=False),
    Column("account", Ordered, nullable=False),
    Column("region", Ordered, nullable=False),
    Column("at", Moment, nullable=False),
    Column("event_name", Ordered, nullable=False),
    Column("document", JsonText, nullable=False),
    Index("audit_of_scope", "account", "region", "sequence"),
    Index("audit_of_event", "account", "region", "event_name", "sequence"),
    sqlite_autoincrement=True,
)


# --- versions of the schema -----------------------------------------------------------------------


def _add_replication(connection: Connection) -> None:
    """Replicas, types of external secrets, values under several keys, keys that are deleted."""
    added = (
        (secrets, "secret_type", "TEXT"),
        (secrets, "replication", "TEXT"),
        (versions, "also", "TEXT"),
        (keys, "delete_after", "BIGINT"),
    )
    for table, column, kind in added:
        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column} {kind}"))


MIGRATIONS: Sequence[Callable[[Connection], None]] = (_add_replication,)
"""The one at index n brings schema n + 1 to n + 2. They are only ever added to."""

_SETTING = select(settings.c.value).where(settings.c.name == bindparam("name"))


def schema_version() -> int:
    """The schema that this code reads and writes."""
    return len(MIGRATIONS) + 1


def is_current(connection: Connection, store: str) -> bool:
    """Whether the tables are there and of this version; ``False`` if ``bring_up`` must run.

    Raises:
        StoreError: the database is not a store, or of a version that this code cannot use.
    """
    return _version_of(connection, store) == schema_version()


def bring_up(connection: Connection, store: str) -> None:
    """Make the tables, or migrate older ones, within the transaction of the caller.

    Raises:
        StoreError: as ``is_current``.
    """
    found = _version_of(connection, store)
    if found == 0:
        metadata.create_all(connection, checkfirst=False)
        put = insert(settings)
        connection.execute(put, {"name": MAGIC_SETTING, "value": MAGIC})
        connection.execute(put, {"name": SCHEMA_SETTING, "value": b"%d" % schema_version()})
        return
    for migrate in MIGRATIONS[found - 1 :]:
        migrate(connection)
    connection.execute(
        update(settings).where(settings.c.name == SCHEMA_SETTING),
        {"value": b"%d" % schema_version()},
    )


def _version_of(connection: Connection, store: str) -> int:
    """The version of the schema that is there, 0 for an empty database."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return 0
    magic = version = None
    if settings.name in tables:
        columns = {column["name"] for column in inspect(connection).get_columns(settings.name)}
        if {"name", "value"} <= columns:
            magic = connection.scalar(_SETTING, {"name": MAGIC_SETTING})
            version = connection.scalar(_SETTING, {"name": SCHEMA_SETTING})
    if magic != MAGIC or not isinstance(version, bytes) or not version.isdigit():
        raise StoreError(
            f"{store} is a database, but not a store of smclient: it has tables of something else. "
            "Name another place."
        )
    if int(version) > schema_version():
        raise StoreError(
            f"{store} was made by a newer smclient: its schema is {int(version)}, this one reads "
            f"up to {schema_version()}. Upgrade smclient, or restore a backup made before."
        )
    return int(version)
