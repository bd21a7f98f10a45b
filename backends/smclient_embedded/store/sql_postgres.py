"""A store in PostgreSQL, which many nodes may share.

A reader has a transaction of its own (REPEATABLE READ, read-only), so it sees one state and waits
for nobody. Writers take turns, as ``Store.transaction`` promises: each takes one advisory lock of
the database until its end, and whatever it reads after that is what the one before it left. Only
what just adds to the audit trail does without. ADR 13 says why, and what it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, BigInteger, Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql import literal

from smclient.backend import BackendUrl
from smclient.errors import ConfigError
from smclient_embedded.store.ports import StoreError
from smclient_embedded.store.sql import WAIT_SECONDS, SqlStore
from smclient_embedded.store.sql_errors import translated
from smclient_embedded.store.sql_reads import FIND_GENERATION
from smclient_embedded.store.sql_schema import DUE

SCHEME = "embedded+postgresql"
CONNECTIONS = 20
CONNECT_SECONDS = 10
IDLE_SECONDS = 60
"""After so long without a statement the server ends a transaction: a node that hangs in one would
keep the others from writing."""

LIBPQ_OPTIONS = ("passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "host")
"""Options of the URL that are handed to libpq; ``host`` is for a folder with a Unix socket."""

OPTIONS = (*LIBPQ_OPTIONS, "connections")

_WRITERS = int.from_bytes(b"smclient", "big") & (2**63 - 1)
_LET_IN = select(func.pg_advisory_xact_lock(literal(_WRITERS, BigInteger)))
_FIND_GENERATION = text(FIND_GENERATION)
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

for _index, _column in DUE.items():
    _index.dialect_options["postgresql"]["where"] = _column.is_not(None)


def postgres_store(url: BackendUrl, *, wait: float = WAIT_SECONDS) -> SqlStore:
    """Open the database that a URL names: ``embedded+postgresql://user@host:port/database``.

    libpq's own variables (``PGPASSWORD``, ``PGPASSFILE``, ``PGHOST``, …) fill in what is missing.

    Args:
        wait: how many seconds a writer waits for others, of this process or of other nodes.

    Raises:
        ConfigError: a password in the URL, or an option that cannot be.
        StoreError: it cannot be reached or used, is something else, or is of a newer schema.
    """
    target, most = _target(url)
    shown = URL.create("postgresql", target.username, None, target.host, target.port)
    where = f"the PostgreSQL store {target.database or ''} at {shown.render_as_string()}"
    engine = _engine(target, most, wait)
    store = SqlStore(engine, where, _begin, reader=PostgresReader, let_in=_LET_IN, wait=wait)
    try:
        with translated(where):
            _check_encoding(engine, where)
            store.bring_up()
    except BaseException:
        store.close()
        raise
    return store


class PostgresReader:
    """See ``Reader``."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self) -> bytes | None:
        """See ``Reader``."""
        _begin(self.connection, write=False)
        found: bytes | None = self.connection.scalar(_FIND_GENERATION)
        return found

    def end(self) -> None:
        """See ``Reader``."""
        self.connection.rollback()

    def glance(self) -> bytes | None:
        """See ``Reader``."""
        found: bytes | None = self.connection.scalar(_FIND_GENERATION)
        self.connection.rollback()  # SQLAlchemy's own transaction; the server is told nothing
        return found


def _begin(connection: Connection, write: bool) -> None:
    """Begin in words of our own: the driver is told of no transaction, so it sends none."""
    connection.exec_driver_sql(_BEGIN_WRITING if write else _BEGIN_READING)


def _target(url: BackendUrl) -> tuple[URL, int]:
    """Where to connect, and how many connections there may be."""
    parts = urlsplit(url.text)
    if parts.password is not None:
        raise ConfigError(
            f"the {SCHEME}: URL has a password in it, which process lists and logs would show. "
            "Give it in PGPASSWORD, or in a file named by PGPASSFILE or ?passfile="
        )
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"the port in the {SCHEME}: URL is no number up to 65535") from None
    query: dict[str, str] = {
        name: value for name, value in url.options.items() if name in LIBPQ_OPTIONS
    }
    database = url.path.removeprefix("/")
    if "\0" in url.text or "/" in database:
        raise ConfigError(f"the {SCHEME}: URL reads {SCHEME}://user@host:port/database")
    user = None if parts.username is None else unquote(parts.username)
    target = URL.create(
        "postgresql+psycopg", user, None, parts.hostname, port, database or None, query
    )
    return target, _connections(url.options)


def _connections(options: Mapping[str, str]) -> int:
    given = options.get("connections", str(CONNECTIONS))
    if not (given.isascii() and given.isdigit() and 2 <= int(given) <= 1000):
        raise ConfigError(
            f"?connections={given} of the {SCHEME}: URL is no number between 2 and 1000"
        )
    return int(given)


def _engine(target: URL, most: int, wait: float) -> Engine:
    engine = create_engine(
        target,
        isolation_level="AUTOCOMMIT",  # transactions are begun as _begin says
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "smclient",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
        hide_parameters=True,
        pool_size=most,
        max_overflow=0,
        pool_timeout=wait,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(
            f"SET lock_timeout = {round(wait * 1000)}; "
            f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}; "
            "SET synchronous_commit = on; SET timezone = 'UTC'"
        )
        cursor.close()

    return engine


def _check_encoding(engine: Engine, where: str) -> None:
    with engine.connect() as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StoreError(
            f"{where} has the encoding {encoding}, which cannot hold all text. Make a database "
            "with UTF8: createdb -E UTF8 -T template0"
        )
