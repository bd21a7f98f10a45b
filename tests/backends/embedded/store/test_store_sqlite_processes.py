"""Several processes on one SQLite file, one of which dies."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.store.helpers_sqlite import HOME, posix, pragma

WRITER = """
import sys
from datetime import UTC, datetime
from smclient_embedded.store.records import Scope, Sealed, SecretRecord, VersionRecord
from smclient_embedded.store.sql import SqlStore

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
now = datetime(2026, 1, 1, tzinfo=UTC)
arn = f"arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf"
store = SqlStore.sqlite(path)
with store.transaction(write=True) as tx:
    tx.put_secret(SecretRecord(arn, Scope("111122223333", "eu-west-1"), name, now, now))
for number in range(count):
    sealed = Sealed("key", b"w", b"n", b"%d" % number * 1000, {})
    with store.transaction(write=True) as tx:
        current = tx.labels(arn).get("AWSCURRENT")
        tx.put_version(VersionRecord(arn, str(number), now, sealed=sealed))
        tx.put_label(arn, "AWSCURRENT", str(number))
        if current is not None:
            tx.put_label(arn, "AWSPREVIOUS", current)
        total = int(tx.setting("total") or b"0") + 1
        tx.put_setting("total", b"%d" % total)
    print(number, flush=True)
store.close()
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Another process that adds versions and prints each number once it is acknowledged."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def current_of(store: SqlStore, name: str) -> int:
    """The number of the current version, having seen that all before it are there."""
    with store.transaction(write=False) as tx:
        secret = tx.secret_named(HOME, name)
        assert secret is not None
        labels = tx.labels(secret.arn)
        versions = tx.versions(secret.arn)
    current = int(labels["AWSCURRENT"])
    assert [int(version.version_id) for version in versions] == list(range(current + 1))
    for number, version in enumerate(versions):
        assert version.sealed is not None
        assert version.sealed.ciphertext == b"%d" % number * 1000
    if current:
        assert labels["AWSPREVIOUS"] == str(current - 1)
    return current


def test_two_processes_make_and_write_one_store(path: Path) -> None:
    processes = [writer(path, name, 40) for name in ("one", "two")]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.split() == [str(number) for number in range(40)]
    with closing(SqlStore.sqlite(str(path))) as store:
        assert {current_of(store, name) for name in ("one", "two")} == {39}
        with store.transaction(write=False) as tx:
            assert tx.setting("total") == b"80"


@posix
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    for turn, acknowledgements in enumerate((1, 17, 40)):
        with writer(path, f"s{turn}", 100_000) as process:
            assert process.stdout is not None
            for _ in range(acknowledgements):
                acknowledged = int(process.stdout.readline())
            process.kill()  # in the middle of whatever it does next
            rest, _ = process.communicate()
            acknowledged = max([acknowledged, *map(int, rest.split("\n")[:-1])])
        with closing(SqlStore.sqlite(str(path))) as store:
            assert current_of(store, f"s{turn}") in (acknowledged, acknowledged + 1)
            assert pragma(store, "integrity_check") == "ok"
            assert pragma(store, "foreign_key_check") is None
