"""What the ``file`` commands share: which store, which key, which exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from smclient.backend import BackendUrl
from smclient.cli.root import DENIED, FAILED, NOT_FOUND, UNAVAILABLE
from smclient_file import given_now
from smclient_file.errors import FileStoreError, StoreBusy, StoreLocked, StoreMissing
from smclient_file.store import FileStore
from smclient_file.unlock import PASSPHRASE_VARIABLE, Credentials

F = TypeVar("F", bound=Callable[..., Any])

_CODES = ((StoreMissing, NOT_FOUND), (StoreLocked, DENIED), (StoreBusy, UNAVAILABLE))


class FileGroup(click.Group):
    """A group that gives the file's own errors their exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of the file is one line on standard error."""
        try:
            return super().invoke(ctx)
        except FileStoreError as error:
            click.echo(f"error: {error}", err=True)
            found = [code for kind, code in _CODES if isinstance(error, kind)]
            ctx.exit(found[0] if found else FAILED)


@dataclass(frozen=True, slots=True)
class Given:
    """What the options of a command say about opening a store."""

    key_file: str | None
    passphrase: str | None
    accept_rollback: bool
    expected_generation: int | None
    account: str | None
    region: str | None

    def credentials(self, *, ask: bool = True) -> Credentials:
        """The key. A passphrase is asked for where one is needed and somebody is there."""
        passphrase = None if self.passphrase is None else secret_from(self.passphrase)
        found = Credentials(
            passphrase=passphrase, key_file=Path(self.key_file) if self.key_file else None
        )
        nothing = found.get_key_file() is None and found.get_passphrase() is None
        if nothing and ask and sys.stdin.isatty():
            asked: str = click.prompt("Passphrase", hide_input=True, default="", err=True)
            return Credentials(passphrase=asked or None)
        return found

    def open(self, path: str, credentials: Credentials, **more: Any) -> FileStore:
        """The store itself."""
        return FileStore(
            path,
            credentials,
            accept_rollback=self.accept_rollback,
            expected_generation=self.expected_generation,
            **more,
        )

    @contextmanager
    def store(self, path: str) -> Iterator[FileStore]:
        """The store itself, closed afterwards."""
        store = self.open(path, self.credentials())
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def service(self, path: str) -> Iterator[str]:
        """The URL of the embedded service on the store; the key is at hand while this lasts."""
        options: dict[str, object] = {
            "key_file": self.key_file,
            "accept_rollback": "true" if self.accept_rollback else None,
            "expected_generation": self.expected_generation,
            "account": self.account,
            "region": self.region,
        }
        said = urlencode({name: value for name, value in options.items() if value is not None})
        token = given_now.set(self.credentials())
        try:
            yield f"file://{quote(os.path.abspath(path))}" + (f"?{said}" if said else "")
        finally:
            given_now.reset(token)


def opening(command: F) -> F:
    """The options that say how to open a store; the command gets them as ``given``."""

    def with_given(**arguments: Any) -> Any:
        names = Given.__slots__
        given = Given(**{name: arguments.pop(name) for name in names})
        return command(given=given, **arguments)

    with_given.__name__ = command.__name__
    with_given.__doc__ = command.__doc__
    with_given.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Any = with_given
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    found: F = wrapped
    return found


_OPTIONS = (
    click.option("--key-file", metavar="PATH", help="The key file. Else SMCLIENT_KEY_FILE."),
    click.option(
        "--passphrase",
        metavar="SOURCE",
        help=f"@FILE, - or env:NAME. Else {PASSPHRASE_VARIABLE}, else you are asked.",
    ),
    click.option(
        "--accept-rollback", is_flag=True, help="Take an older or another file than was seen last."
    ),
    click.option(
        "--expected-generation", type=click.IntRange(1), help="Refuse a file older than that."
    ),
    click.option("--account", metavar="DIGITS", help="The account that names belong to."),
    click.option("--region", help="The region that names belong to."),
)


def store_argument(name: str = "store") -> Callable[[F], F]:
    """A path, or a ``file:`` URL without options."""
    argument: Callable[[F], F] = click.argument(name, callback=lambda c, p, value: path_of(value))
    return argument


def path_of(value: str | None) -> str | None:
    """The path of a path or a ``file:`` URL."""
    if value is None or not value.startswith("file:"):
        return value
    url = BackendUrl.parse(value)
    if url.options or url.host or not url.path:
        raise click.UsageError("give a path, or a URL such as file:///abs/secrets.sms")
    return url.path


def secret_from(source: str) -> str:
    """Text that must not be an argument: from ``@FILE``, ``-`` or ``env:NAME``. One line break at
    the end is taken off."""
    if source == "-":
        if sys.stdin.isatty():
            asked: str = click.prompt("Passphrase", hide_input=True, err=True)
            return asked
        content: str | None = text_or_none(sys.stdin.buffer.read())
    elif source.startswith("env:"):
        content = os.environ.get(source[4:])
        if content is None:
            raise click.UsageError(f"there is no variable {source[4:]}")
    elif source.startswith("@"):
        try:
            content = text_or_none(Path(source[1:]).read_bytes())
        except OSError as error:
            raise click.UsageError(f"{source[1:]} cannot be read: {error.strerror}") from None
    else:  # not repeated: it may well be the passphrase
        raise click.UsageError("a passphrase is never an argument; give @FILE, - or env:NAME")
    content = (content or "").removesuffix("\n").removesuffix("\r")
    if not content:
        raise click.UsageError("the passphrase is empty, or no UTF-8 text")
    return content


def text_or_none(raw: bytes) -> str | None:
    """Bytes as text; ``None`` where they are no UTF-8. The decoder's own error would hold them."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
