"""A store in an SQLite file, for the tests of what is particular to it. The other tests of stores
bring a ``store`` of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smclient_embedded.store.sql import SqlStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore.sqlite(str(path), wait=5.0)
    yield store
    store.close()
