"""Databases of older schemas: everything in them is there after the migration, and can be used.

``tests/data/store/schema-N.sql`` are dumps of stores as that schema kept them; they are never made
anew. Each was made by a service with the master key below.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded import EmbeddedService
from smclient_embedded.kms import MasterKey
from smclient_embedded.store import sql_schema
from smclient_embedded.store.sql import SqlStore

DUMPS = Path(__file__).parents[3] / "data" / "store"
MASTER = MasterKey(b"k" * 32)
Ask = Callable[..., dict[str, Any]]


def version(name: str) -> str:
    return f"{name}-".ljust(32, "0")


@pytest.fixture(params=sorted(path.stem for path in DUMPS.glob("schema-*.sql")))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database of an older schema."""
    path = tmp_path / "secrets.db"
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as file:
        file.executescript((DUMPS / f"{request.param}.sql").read_text("utf-8"))
        file.execute("PRAGMA journal_mode=WAL")
    return path


@pytest.fixture
def ask(database: Path) -> Iterator[Ask]:
    """A service over it."""
    with EmbeddedService(f"embedded://{database}", master_key=MASTER) as service:
        yield lambda operation, **request: service.call(operation, request)


def test_there_is_a_dump_of_every_older_schema() -> None:
    """Whoever adds a migration leaves a dump of what it migrates from."""
    found = {path.stem for path in DUMPS.glob("schema-*.sql")}
    assert found == {f"schema-{number}" for number in range(1, sql_schema.schema_version())}


def test_every_secret_is_there_as_it_was(ask: Ask) -> None:
    """Names, tags, labels, rotation, and the one that waits for its deletion."""
    shown = {s["Name"]: s for s in ask("ListSecrets", IncludePlannedDeletion=True)["SecretList"]}
    assert list(shown) == ["plain", "keyed", "empty"]
    assert shown["plain"]["Tags"] == [{"Key": "k", "Value": "v"}]
    assert shown["plain"]["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert shown["plain"]["SecretVersionsToStages"] == {
        version("v0"): ["AWSPREVIOUS"],
        version("v1"): ["AWSCURRENT"],
        version("v2"): ["AWSPENDING"],
    }
    assert shown["keyed"]["KmsKeyId"] == "alias/mine"
    assert "DeletedDate" in shown["empty"]


def test_every_value_opens(ask: Ask) -> None:
    """Under AWS's key and under a customer's."""
    assert ask("GetSecretValue", SecretId="plain")["SecretString"] == "second"
    old = ask("GetSecretValue", SecretId="plain", VersionStage="AWSPREVIOUS")
    assert old["SecretString"] == "first"
    assert ask("GetSecretValue", SecretId="keyed")["SecretBinary"] == b"\0\1"


def test_it_has_all_that_a_new_one_has(ask: Ask, database: Path, tmp_path: Path) -> None:
    """The same columns in every table, and it takes new secrets."""
    ask("CreateSecret", Name="new", SecretString="x", ClientRequestToken=version("n"))
    SqlStore.sqlite(str(tmp_path / "new.db")).close()
    columns = [_columns(path) for path in (database, tmp_path / "new.db")]
    assert columns[0] == columns[1]


def _columns(path: Path) -> dict[str, set[tuple[str, str]]]:
    with closing(sqlite3.connect(path)) as file:
        tables = [
            name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {
            table: {(row[1], row[2]) for row in file.execute(f"PRAGMA table_info({table})")}
            for table in tables
        }
