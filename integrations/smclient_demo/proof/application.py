"""An ordinary application: threads, one pool, no retry and no pre-ping; and what of it failed."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import sqlalchemy
import sqlalchemy.dialects.mysql.pymysql  # both before threads ask for them: the import races
import sqlalchemy.dialects.postgresql.psycopg
from sqlalchemy.engine import URL, Engine

from smclient_demo.crew import Crew
from smclient_demo.mariadb_server import MariaDBServer
from smclient_demo.proof.scene import Server

POOL = 20
DROP_EVERY = 3
"""Every third request throws its connection away, so that logins happen all the time."""
SHOWN = 200

Bind = Callable[[Engine], object]


def make_engine(server: Server, dbname: str, bind: Bind) -> Engine:
    """An engine with a pool of 20; ``bind`` says where its logins come from."""
    maria = isinstance(server, MariaDBServer)
    url = URL.create(
        "mariadb+pymysql" if maria else "postgresql+psycopg",
        host=server.host,
        port=server.port,
        database=dbname,
    )
    options: dict[str, Any] = {"ssl_disabled": True} if maria else {"sslmode": "disable"}
    engine = sqlalchemy.create_engine(
        url, pool_size=POOL, max_overflow=0, pool_pre_ping=False, connect_args=options
    )
    bind(engine)
    return engine


class Application(Crew):
    """Threads that take a connection, ask something and give it back, until stopped."""

    def __init__(self, engine: Engine, *, threads: int, pause: float) -> None:
        super().__init__(threads=threads, pause=pause)
        self._engine = engine
        self._lock = threading.Lock()
        self._count = itertools.count(1)
        self.requests = 0
        self.slowest = 0.0
        self.failures: Counter[str] = Counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self._engine.dispose()

    @property
    def failed(self) -> int:
        """How many requests got an error."""
        return self.failures.total()

    def work(self, number: int) -> None:
        """One request."""
        began = time.monotonic()
        failure = self._request()
        taken = time.monotonic() - began
        with self._lock:
            self.requests += 1
            self.slowest = max(self.slowest, taken)
            if failure is not None:
                self.failures[failure] += 1

    def _request(self) -> str | None:
        try:
            with self._engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1")).one()
                if next(self._count) % DROP_EVERY == 0:
                    connection.invalidate()
        except Exception as error:  # noqa: BLE001  whatever an application would see
            cause = getattr(error, "orig", None) or error
            return f"{type(cause).__name__}: {cause}"[:SHOWN]
        return None
