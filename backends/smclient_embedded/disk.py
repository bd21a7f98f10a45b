"""Files that are there as a whole, on the disk, or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read. Another process that was faster wins.

    Raises:
        OSError: it cannot be written, and nothing is left of it; or its name may not last.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write_all(descriptor, content)
        if not _named(draft, path):
            _write_under_name(path, content)
    finally:
        draft.unlink()
    flush_folder(path.parent)


def _named(draft: Path, path: Path) -> bool:
    """Give a file that is whole its name, unless that is taken; false where the file system has no
    hard links."""
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:
        return False
    return True


def _write_under_name(path: Path, content: bytes) -> None:
    """Take the name first; give it up if the rest fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        _write_all(descriptor, content)
    except BaseException:
        path.unlink()
        raise


def _write_all(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Have the names of new files on the disk, too. Raises ``OSError``."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
