"""The code of a function as one zip: read from a file, a folder or a zip, and unpacked again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from smclient.errors import ConfigError

MOST_BYTES = 32 * 2**20
MOST_FILES = 10_000
_PASSED_OVER = frozenset({"__pycache__", ".git", ".venv"})
_EPOCH = (1980, 1, 1, 0, 0, 0)


def package_of(path: Path) -> bytes:
    """The code at a path: one Python file, a folder with all that is in it, or a zip as Lambda
    takes it. The same code gives the same bytes.

    Raises:
        ConfigError: it cannot be read, is too large, or holds a name that leads out of it.
    """
    try:
        if path.is_dir():
            return _zipped(_walk(path))
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the code of a function cannot be read at {path}: {error.strerror}"
        ) from error
    if path.suffix != ".zip":
        return _zipped(iter([(path.name, content)]))
    return checked(content)


def checked(package: bytes) -> bytes:
    """The same code anew, if it can be unpacked safely. Raises ``ConfigError``."""
    return _zipped(_members(package))


def unpack(package: bytes, folder: Path) -> None:
    """Write the files into an empty folder. Raises ``ConfigError`` for names that lead out."""
    for name, content in _members(package):
        target = folder.joinpath(*PurePosixPath(name).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def has_module(package: bytes, handler: str) -> bool:
    """Whether the module of a handler (``module.function``) is among the files."""
    module = handler.rpartition(".")[0].replace(".", "/")
    with zipfile.ZipFile(io.BytesIO(package)) as files:
        names = set(files.namelist())
    return any(name in names for name in (f"{module}.py", f"{module}/__init__.py"))


def _walk(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and _PASSED_OVER.isdisjoint(inside.parts):
            yield inside.as_posix(), path.read_bytes()


def _members(package: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as files:
            total = 0
            for member in files.infolist():
                if member.is_dir():
                    continue
                name = PurePosixPath(member.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
                    raise ConfigError(
                        f"the zip of a function has a file {member.filename!r}, which would be "
                        "written outside its folder"
                    )
                with files.open(member) as file:  # the size it claims may be a lie
                    content = file.read(MOST_BYTES - total + 1)
                total += len(content)
                _check_size(total)
                yield name.as_posix(), content
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ConfigError("the code of a function is not a zip that can be read") from error


def _zipped(members: Iterator[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    total = 0
    names: set[str] = set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as files:
        for name, content in members:
            if name in names:
                raise ConfigError(f"the code of a function has two files of one name: {name!r}")
            names.add(name)
            total += len(content)
            _check_size(total, len(names))
            files.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    if not names:
        raise ConfigError("the code of a function has no files")
    return buffer.getvalue()


def _check_size(total: int, count: int = 0) -> None:
    if total > MOST_BYTES or count > MOST_FILES:
        raise ConfigError(
            f"the code of a function has more than {MOST_BYTES // 2**20} MB or {MOST_FILES} files; "
            "put drivers into a virtual environment and name its interpreter with --python"
        )
