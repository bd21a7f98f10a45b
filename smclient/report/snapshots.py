"""Usage in files: a process writes its own now and then, anybody reads many and adds them up.

One file a process, replaced as a whole, readable by its owner only. It holds the newest usage in
full and a few dozen older ones without their details, so that a report can show time passing.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from smclient.background import do_quietly
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import ConfigError
from smclient.forking import survive_fork
from smclient.usage import Usage

SUFFIX = ".usage.json"
FILE_FORMAT = 1
KEPT = 48
"""Older snapshots in a file at most; past that every other one goes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one process had done by a moment."""

    process: str
    taken: datetime
    usage: Usage

    @property
    def began(self) -> datetime:
        """When the process began to count."""
        return self.taken - timedelta(seconds=self.usage.seconds)


class SnapshotWriter:
    """Writes what ``usage`` gives to a folder: at each ``write``, and every so often once started.

        with SnapshotWriter(client.usage, "/var/lib/app/usage").start():
            …

    A child process writes a file of its own; it calls ``start`` itself.
    """

    def __init__(
        self,
        usage: Callable[[], Usage],
        folder: str | os.PathLike[str],
        *,
        every: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not every > 0:
            raise ConfigError(f"every is {every!r}; it must be more than 0 seconds")
        self._usage = usage
        self._folder = Path(folder)
        self._every = every
        self._clock = clock
        self.after_fork()
        survive_fork(self)

    def after_fork(self) -> None:
        """The child has a name and a history of its own, and no thread yet."""
        self.process = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._older: list[Snapshot] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        """The file of this process."""
        return self._folder / f"{self.process}{SUFFIX}"

    def write(self) -> Path:
        """Write the usage of now. Raises ``OSError``."""
        with self._lock:
            newest = Snapshot(self.process, self._clock.now(), self._usage())
            history = [*self._older, newest]
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.path, json.dumps(_file_dict(history)).encode())
            self._older.append(replace(newest, usage=thin(newest.usage)))
            if len(self._older) > KEPT:
                self._older = self._older[::2]
            return self.path

    def start(self) -> Self:
        """Write every so often, on a daemon thread. A failure is logged and tried again."""
        with self._lock:
            if self._thread is None:
                run = threading.Thread(target=self._run, name="smclient-usage", daemon=True)
                self._thread = run
                run.start()
        return self

    def close(self) -> None:
        """End the thread and write once more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            do_quietly(self.write)


def thin(usage: Usage) -> Usage:
    """The totals without the details."""
    return replace(usage, per_secret={}, per_tag={}, per_key={}, per_region={}, latency={})


def read(folder: str | os.PathLike[str], skipped: list[str] | None = None) -> list[Snapshot]:
    """All snapshots in the files of a folder, oldest first.

    Args:
        skipped: takes the names of files that cannot be read; without it they are an error.

    Raises:
        ConfigError: there is no such folder, or a file in it holds no snapshots.
    """
    where = Path(folder)
    if not where.is_dir():
        raise ConfigError(f"there is no folder {where}")
    found: list[Snapshot] = []
    for path in sorted(where.glob(f"*{SUFFIX}")):
        try:
            found += read_file(path)
        except ConfigError:
            if skipped is None:
                raise
            skipped.append(path.name)
    return sorted(found, key=lambda snapshot: (snapshot.taken, snapshot.process))


def read_file(path: Path) -> list[Snapshot]:
    """The snapshots of a file: of a writer, or plain ``Usage.to_dict()``, taken when it was
    changed. Raises ``ConfigError``."""
    try:
        plain = json.loads(path.read_bytes())
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    return from_document(plain, path.name.removesuffix(SUFFIX), changed, source=str(path))


def from_document(plain: Any, process: str, taken: datetime, *, source: str) -> list[Snapshot]:
    """The snapshots in a JSON document: a writer's, or plain ``Usage.to_dict()`` of ``process``.
    Raises ``ConfigError``, naming ``source``."""
    try:
        if isinstance(plain, dict) and "history" not in plain:
            return [Snapshot(process, taken, Usage.from_dict(plain))]
        return from_file(plain)
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        told = str(error) if isinstance(error, ConfigError) else "its shape is not as it should be"
        raise ConfigError(f"{source} holds no usage: {told}") from None


def latest(snapshots: Iterable[Snapshot], until: datetime | None = None) -> list[Snapshot]:
    """The newest of each process, taken by then."""
    newest: dict[str, Snapshot] = {}
    for snapshot in snapshots:
        before = newest.get(snapshot.process)
        if until is not None and snapshot.taken > until:
            continue
        if before is None or before.taken <= snapshot.taken:
            newest[snapshot.process] = snapshot
    return list(newest.values())


def total(snapshots: Iterable[Snapshot]) -> Usage:
    """What all processes did together: the newest of each, added up."""
    return Usage.none().merge(snapshot.usage for snapshot in latest(snapshots))


def timeline(snapshots: Iterable[Snapshot], points: int = 60) -> list[tuple[datetime, Usage]]:
    """Totals over time, from nothing on: at most so many moments, the last one among them."""
    known = sorted(snapshots, key=lambda snapshot: snapshot.taken)
    if not known:
        return []
    moments = sorted({snapshot.taken for snapshot in known})
    step = -(-len(moments) // points)
    chosen = moments[::-1][::step][::-1]
    series = [(min(snapshot.began for snapshot in known), Usage.none())]
    newest: dict[str, Usage] = {}
    rest = iter(known)
    snapshot: Snapshot | None = next(rest)
    for moment in chosen:
        while snapshot is not None and snapshot.taken <= moment:
            newest[snapshot.process] = thin(snapshot.usage)
            snapshot = next(rest, None)
        series.append((moment, Usage.none().merge(newest.values())))
    return series


def _file_dict(history: list[Snapshot]) -> dict[str, Any]:
    return {
        "format": FILE_FORMAT,
        "process": history[-1].process,
        "history": [{"taken": s.taken.isoformat(), "usage": s.usage.to_dict()} for s in history],
    }


def from_file(plain: dict[str, Any]) -> list[Snapshot]:
    """The snapshots of a writer's file. Raises ``ConfigError``, or what an odd shape raises."""
    if plain["format"] != FILE_FORMAT:
        raise ConfigError(f"its format is {plain['format']!r}; this smclient reads {FILE_FORMAT}")
    process = str(plain["process"])
    found = []
    for entry in plain["history"]:
        taken = datetime.fromisoformat(entry["taken"])
        if taken.tzinfo is None:
            raise ConfigError("a time in it has no time zone")
        found.append(Snapshot(process, taken, Usage.from_dict(entry["usage"])))
    return found


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, for its owner only."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
