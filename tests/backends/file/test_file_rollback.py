"""An older or another file put in the place of the one that was seen last."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from smclient_file import FileStore
from smclient_file.errors import StoreForked, StoreRolledBack, StoreWriteFailed
from tests.backends.file.helpers_file import CANARY, arn, fork, header, put, value, wait

Make = Callable[..., Path]
Open = Callable[..., FileStore]


def test_an_older_file_put_back_is_noticed(path: Path, open_file: Open) -> None:
    """At opening, and by a store that is open; accepted only where that is said."""
    store = open_file(path)
    old = path.read_bytes()
    put(store, "app/db", "third", "v3")
    path.write_bytes(old)
    with pytest.raises(StoreRolledBack, match="accept_rollback"):
        open_file(path)
    with pytest.raises(StoreRolledBack), store.transaction(write=False) as tx:
        tx.secret(arn("app/db"))
    with pytest.raises(StoreRolledBack):
        put(store, "app/db", "fourth", "v4")
    assert path.read_bytes() == old
    accepted = open_file(path, accept_rollback=True)
    assert value(accepted, "app/db") == b"second " + CANARY.encode()
    open_file(path)  # pinned now


def test_another_file_of_the_same_generation_is_a_fork(path: Path, open_file: Open) -> None:
    old = path.read_bytes()
    put(open_file(path), "app/db", "ours", "v3")
    ours = path.read_bytes()
    path.write_bytes(old)
    put(open_file(path, accept_rollback=True), "app/db", "theirs", "v3")
    open_file(path)
    path.write_bytes(ours)
    with pytest.raises(StoreForked, match="smclient file merge"):
        open_file(path)
    assert value(open_file(path, accept_rollback=True), "app/db") == b"ours"


def test_a_machine_without_a_pin_takes_what_it_finds_unless_told(
    path: Path, open_file: Open, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``expected_generation``, by argument and in the environment through the URL."""
    old, generation = path.read_bytes(), header(path)["generation"]
    put(open_file(path), "app/db", "third", "v3")
    path.write_bytes(old)
    shutil.rmtree(state)
    with pytest.raises(StoreRolledBack, match="expected"):
        open_file(path, expected_generation=generation + 1)
    with pytest.raises(StoreRolledBack, match="expected"):
        open_file(path, expected_generation=generation + 1, accept_rollback=True)
    open_file(path, expected_generation=generation)


def test_a_broken_pin_is_as_none_and_said(
    path: Path, open_file: Open, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pin = next((state / "pins").glob("*.json"))
    for content in (b"", b"{", b"[]", b'{"generation":"1","mac":"x"}', b'{"generation":1}'):
        pin.write_bytes(content)
        open_file(path)
    assert "no rollback can be noticed" in caplog.text
    assert json.loads(pin.read_bytes())["generation"] == header(path)["generation"]


def test_a_state_folder_that_takes_nothing_is_said_and_survived(
    path: Path, open_file: Open, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(state)
    state.write_text("a file where the folder should be")
    put(open_file(path), "app/db", "third", "v3")
    assert "cannot be written" in caplog.text
    assert value(open_file(path), "app/db") == b"third"


def test_accepting_a_rollback_is_for_the_opening_alone(path: Path, open_file: Open) -> None:
    """Neither a write that failed nor a fork makes a store open once more."""
    store = open_file(path, accept_rollback=True)
    old = path.read_bytes()
    put(store, "app/db", "third", "v3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", _refusing)
        with pytest.raises(StoreWriteFailed):
            put(store, "app/db", "fourth", "v4")
    path.write_bytes(old)
    with pytest.raises(StoreRolledBack):
        value(store, "app/db")

    def work() -> None:
        with pytest.raises(StoreRolledBack):
            value(store, "app/db")

    assert wait(fork(work)) == 0


def _refusing(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")
