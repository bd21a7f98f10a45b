"""Snapshots: one file a process, whole or not at all, for its owner only; many added up."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient import ConfigError, SecretsClient, Usage
from smclient.report.snapshots import (
    KEPT,
    SUFFIX,
    Snapshot,
    SnapshotWriter,
    latest,
    read,
    read_file,
    thin,
    timeline,
    total,
)
from smclient.testing import FakeBackend, FakeClock, Inline

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    """Time moved by hand, from 2026 on."""
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> SecretsClient:
    """A client of one secret."""
    return SecretsClient(FakeBackend({"db": "x"}), clock=clock, worker=Inline())


def snapshot(process: str, minutes: int, hits: int, lived: int | None = None) -> Snapshot:
    """What a process had done so many minutes after the start."""
    seconds = 60.0 * (minutes if lived is None else lived)
    usage = replace(Usage.none(), hits=hits, seconds=seconds, processes=1)
    return Snapshot(process, START + timedelta(minutes=minutes), usage)


# --- writing --------------------------------------------------------------------------------------


def test_a_process_writes_what_it_counted(
    client: SecretsClient, clock: FakeClock, tmp_path: Path
) -> None:
    """In full, with the moment, and reads it back."""
    client.get("db")
    clock.advance(60)
    writer = SnapshotWriter(client.usage, tmp_path / "usage", clock=clock)
    path = writer.write()
    (found,) = read(tmp_path / "usage")
    assert found == Snapshot(writer.process, clock.now(), client.usage())
    assert found.usage.per_secret
    assert found.began == START
    assert path.name == f"{writer.process}{SUFFIX}"


def test_files_are_for_their_owner_only(client: SecretsClient, tmp_path: Path) -> None:
    """Names of secrets are in them. The folder too, if it was made here."""
    previous = os.umask(0)
    try:
        path = SnapshotWriter(client.usage, tmp_path / "usage").write()
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_failed_write_leaves_the_old_file_and_no_other(
    client: SecretsClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or not at all."""
    writer = SnapshotWriter(client.usage, tmp_path)
    path = writer.write()
    before = path.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full)
    client.get("db")
    with pytest.raises(OSError, match="no space"):
        writer.write()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_file_remembers_older_totals_up_to_a_bound(
    client: SecretsClient, clock: FakeClock, tmp_path: Path
) -> None:
    """From the first on; only the newest has its details."""
    writer = SnapshotWriter(client.usage, tmp_path, clock=clock)
    for _ in range(500):
        client.get("db")
        clock.advance(60)
        writer.write()
    found = read(tmp_path)
    assert KEPT // 2 <= len(found) <= KEPT + 1
    assert found[0].taken == START + timedelta(minutes=1)
    assert found[-1].taken == clock.now()
    assert [bool(s.usage.per_secret) for s in found] == [False] * (len(found) - 1) + [True]
    reads = [s.usage.reads for s in found]
    assert reads == sorted(reads)
    assert reads[-1] == 500


def test_a_started_writer_writes_by_itself_and_once_more_at_the_end(
    client: SecretsClient, tmp_path: Path
) -> None:
    """On a daemon thread; starting twice is one thread."""
    asked = threading.Semaphore(0)

    def usage() -> Usage:
        asked.release()
        return client.usage()

    with SnapshotWriter(usage, tmp_path, every=0.001).start().start():
        assert asked.acquire(timeout=10)
        assert asked.acquire(timeout=10)
        client.get("db")
    assert read(tmp_path)[-1].usage.reads == 1
    assert not [t for t in threading.enumerate() if t.name == "smclient-usage"]


def test_a_write_that_fails_on_the_thread_is_logged_and_tried_again(
    client: SecretsClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its text: it may hold anything."""
    again = threading.Event()
    times: list[int] = []

    def usage() -> Usage:
        times.append(1)
        if len(times) == 1:
            raise RuntimeError("canary-text")
        again.set()
        return client.usage()

    with caplog.at_level(logging.ERROR), SnapshotWriter(usage, tmp_path, every=0.001).start():
        assert again.wait(10)
    assert "RuntimeError" in caplog.text
    assert "canary-text" not in caplog.text


def test_a_child_writes_a_file_of_its_own(client: SecretsClient, tmp_path: Path) -> None:
    """Without the history of its parent."""
    writer = SnapshotWriter(client.usage, tmp_path)
    writer.write()
    parent = writer.process
    writer.after_fork()
    writer.write()
    assert writer.process != parent
    assert {s.process for s in read(tmp_path)} == {parent, writer.process}
    assert len(read_file(writer.path)) == 1


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(
    every: float, client: SecretsClient, tmp_path: Path
) -> None:
    """When it is made."""
    with pytest.raises(ConfigError, match="every"):
        SnapshotWriter(client.usage, tmp_path, every=every)


# --- reading --------------------------------------------------------------------------------------


def test_plain_usage_in_a_file_is_a_snapshot_of_when_it_was_changed(
    client: SecretsClient, tmp_path: Path
) -> None:
    """As ``json.dumps(client.usage().to_dict())`` leaves it."""
    client.get("db")
    path = tmp_path / f"web{SUFFIX}"
    path.write_text(json.dumps(client.usage().to_dict()))
    os.utime(path, (START.timestamp(), START.timestamp()))
    assert read(tmp_path) == [Snapshot("web", START, client.usage())]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text",
        "3",
        "[]",
        "{}",
        '{"history": 3}',
        '{"format": 9, "process": "p", "history": []}',
        '{"format": 1, "history": []}',
        '{"format": 1, "process": "p", "history": [{"taken": "never", "usage": {}}]}',
        '{"format": 1, "process": "p", "history": [{"taken": "2026-01-01T00:00:00"}]}',
        '{"format": 1, "process": "p", "history": [{"taken": "2026-01-01T00:00:00Z", "usage": 1}]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_none_is_an_error_or_left_out(content: str, tmp_path: Path) -> None:
    """As the caller likes; the others are read."""
    (tmp_path / f"bad{SUFFIX}").write_text(content)
    (tmp_path / f"good{SUFFIX}").write_text(json.dumps(Usage.none().to_dict()))
    (tmp_path / "other.json").write_text("not ours")
    with pytest.raises(ConfigError, match="bad"):
        read(tmp_path)
    skipped: list[str] = []
    assert [s.process for s in read(tmp_path, skipped)] == ["good"]
    assert skipped == [f"bad{SUFFIX}"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    """Rather than an empty report."""
    with pytest.raises(ConfigError, match="no folder"):
        read(tmp_path / "absent")


# --- adding up ------------------------------------------------------------------------------------


def test_the_newest_of_each_process_is_added_up() -> None:
    """Older ones are contained in it."""
    all_of_them = [snapshot("a", 1, 10), snapshot("b", 2, 5), snapshot("a", 3, 30)]
    assert {s.process: s.usage.hits for s in latest(all_of_them)} == {"a": 30, "b": 5}
    assert {s.process: s.usage.hits for s in latest(all_of_them[::-1])} == {"a": 30, "b": 5}
    until = START + timedelta(minutes=2)
    assert {s.process: s.usage.hits for s in latest(all_of_them, until)} == {"a": 10, "b": 5}
    both = total(all_of_them)
    assert (both.hits, both.processes, both.seconds) == (35, 2, 300.0)
    assert total([]) == Usage.none()


def test_a_timeline_begins_with_nothing_and_ends_with_all() -> None:
    """What a process did stays when it is gone."""
    series = timeline([snapshot("a", 1, 10), snapshot("b", 9, 5, lived=4), snapshot("a", 3, 30)])
    minutes = [(moment - START).total_seconds() / 60 for moment, _ in series]
    assert minutes == [0, 1, 3, 9]
    assert [usage.hits for _, usage in series] == [0, 10, 30, 35]
    assert timeline([]) == []


@pytest.mark.parametrize("points", [1, 2, 7, 60])
def test_a_timeline_has_at_most_so_many_moments(points: int) -> None:
    """The last one always among them."""
    series = timeline([snapshot("a", n, n) for n in range(1, 200)], points)
    assert len(series) <= points + 1
    assert series[-1][1].hits == 199
    hits = [usage.hits for _, usage in series]
    assert hits == sorted(hits)


def test_thin_keeps_the_totals(client: SecretsClient) -> None:
    """And nothing by name."""
    client.get("db")
    usage = client.usage()
    left: dict[str, Any] = thin(usage).to_dict()
    assert "db" not in json.dumps(left)
    assert thin(usage).reads == usage.reads
    assert thin(usage).baselines == usage.baselines
