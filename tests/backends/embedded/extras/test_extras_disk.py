"""Private files: whole and on the disk, or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded import disk
from smclient_embedded.disk import write_private


@pytest.fixture(params=[True, False], ids=["links", "no-links"], autouse=True)
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the file system has hard links."""

    def refuse(*paths: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not request.param:
        monkeypatch.setattr(os, "link", refuse)


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"content")
    assert (tmp_path / "key").read_bytes() == b"content"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_whoever_was_faster_wins(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"first")
    write_private(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["key"]


def test_nothing_is_left_of_what_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        write_private(tmp_path / "key", b"content")
    with pytest.raises(OSError, match="space"):
        disk._write_under_name(tmp_path / "key", b"content")
    assert os.listdir(tmp_path) == []
