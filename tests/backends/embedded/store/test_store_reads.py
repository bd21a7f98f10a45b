"""Point reads that are kept between transactions, and what ends that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from smclient_embedded.store import AuditRecord, Scope, Sealed, SecretRecord, VersionRecord
from smclient_embedded.store.sql import SqlStore
from smclient_embedded.store.sql_reads import LARGEST_KEPT, MOST_KEPT

SCOPE = Scope("123456789012", "eu-west-1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf"
SECRET = SecretRecord(ARN, SCOPE, "a", NOW, NOW, description="first")


class Statements:
    """How many statements SQLAlchemy was asked for."""

    def __init__(self, store: SqlStore) -> None:
        self.count = 0
        event.listen(store._engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: object) -> None:
        self.count += 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = SqlStore.sqlite(str(tmp_path / "s.db"))
    with opened.transaction(write=True) as tx:
        tx.put_secret(SECRET)
    yield opened
    opened.close()


def described(store: SqlStore) -> str | None:
    with store.transaction(write=False) as tx:
        found = tx.secret_named(SCOPE, "a")
        return None if found is None else found.description


def describe(store: SqlStore, text: str) -> None:
    with store.transaction(write=True) as tx:
        tx.put_secret(replace(SECRET, description=text))


def test_a_read_is_asked_once_while_nothing_changes(store: SqlStore) -> None:
    statements = Statements(store)
    assert [described(store) for _ in range(5)] == ["first"] * 5
    assert statements.count == 1


def test_what_is_not_there_is_kept_too_and_then_comes(store: SqlStore) -> None:
    statements = Statements(store)
    other = replace(SECRET, arn=ARN[:-1] + "g", name="b")
    for _ in range(3):
        with store.transaction(write=False) as tx:
            assert tx.secret(other.arn) is None
    assert statements.count == 1
    with store.transaction(write=True) as tx:
        tx.put_secret(other)
    with store.transaction(write=False) as tx:
        assert tx.secret(other.arn) == other


def test_a_change_is_seen_at_once(store: SqlStore) -> None:
    for text in ("second", "third"):
        described(store)
        describe(store, text)
        assert described(store) == text


def test_a_change_by_another_store_on_the_file_is_seen_at_once(
    store: SqlStore, tmp_path: Path
) -> None:
    """Two stores share nothing but the file, as two processes do."""
    other = SqlStore.sqlite(str(tmp_path / "s.db"))
    for number in range(5):
        assert described(store) == described(other)
        describe(other if number % 2 else store, str(number))
        assert described(store) == described(other) == str(number)
    other.close()


def test_a_change_that_was_undone_is_not_seen(store: SqlStore) -> None:
    described(store)

    def give_up() -> None:
        with store.transaction(write=True) as tx:
            tx.put_secret(replace(SECRET, description="never"))
            raise KeyError

    with pytest.raises(KeyError):
        give_up()
    assert described(store) == "first"


def test_the_audit_trail_ends_nothing(store: SqlStore) -> None:
    described(store)
    statements = Statements(store)
    with store.transaction(write=True) as tx:
        tx.append_audit([AuditRecord("e", SCOPE, NOW, "GetSecretValue", {})])
    written = statements.count
    assert described(store) == "first"
    assert statements.count == written


def test_a_transaction_sees_one_state_whatever_is_written_meanwhile(store: SqlStore) -> None:
    described(store)
    with store.transaction(write=False) as tx:
        assert tx.setting("other") is None
        writer = threading.Thread(target=describe, args=(store, "second"))
        writer.start()
        writer.join(10)
        assert described(store) == "second"
        named, by_arn = tx.secret_named(SCOPE, "a"), tx.secret(ARN)
        assert named is not None
        assert by_arn is not None
        assert (named.description, by_arn.description) == ("first", "first")
    assert described(store) == "second"


def test_readers_and_writers_at_once_see_only_what_was_acknowledged(store: SqlStore) -> None:
    """No reader goes back: what it sees is at least what was acknowledged before it began."""
    acknowledged, wrong, over = [0], [], threading.Event()

    def read() -> None:
        while not over.is_set():
            least = acknowledged[0]
            seen = int(described(store) or 0)
            if seen < least:
                wrong.append((least, seen))

    describe(store, "0")
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 100):
        describe(store, str(number))
        acknowledged[0] = number
    over.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []


def test_how_much_is_kept_is_bounded(store: SqlStore) -> None:
    sealed = Sealed("k", b"w", b"n", b"x" * (LARGEST_KEPT + 1), {})
    with store.transaction(write=True) as tx:
        tx.put_version(VersionRecord(ARN, "large", NOW, sealed=sealed))
    statements = Statements(store)
    for _ in range(3):
        with store.transaction(write=False) as tx:
            assert tx.version(ARN, "large") is not None
    assert statements.count == 3
    for number in range(MOST_KEPT + 500):
        with store.transaction(write=False) as tx:
            tx.setting(f"absent-{number}")
    assert store._reads is not None
    assert len(store._reads._kept[1]) <= MOST_KEPT + 1


def test_labels_that_are_kept_cannot_be_changed_by_who_reads_them(store: SqlStore) -> None:
    with store.transaction(write=False) as tx:
        labels = tx.labels(ARN)
    with pytest.raises(TypeError):
        labels["AWSCURRENT"] = "x"  # type: ignore[index]
