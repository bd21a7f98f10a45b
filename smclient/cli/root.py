"""The root command. Errors of our tree become one line on standard error and an exit code."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

from smclient._version import __version__
from smclient.backend import missing_extra
from smclient.errors import (
    AccessDeniedError,
    ConfigError,
    CredentialsError,
    InvalidReferenceError,
    ResourceNotFoundError,
    SmclientError,
    TransientError,
)

COMMANDS = "smclient.commands"
"""Entry-point group: one click command each, loaded when it is called."""

FINE, FAILED, WRONG_USAGE, NOT_FOUND, DENIED, UNAVAILABLE = range(6)

_EXIT_CODES: tuple[tuple[type[SmclientError], int], ...] = (
    (ConfigError, WRONG_USAGE),
    (InvalidReferenceError, WRONG_USAGE),
    (ResourceNotFoundError, NOT_FOUND),
    (AccessDeniedError, DENIED),
    (CredentialsError, DENIED),
    (TransientError, UNAVAILABLE),
)


def exit_code(error: SmclientError) -> int:
    """The exit code that stands for an error."""
    for kind, code in _EXIT_CODES:
        if isinstance(error, kind):
            return code
    return FAILED


class Root(click.Group):
    """A group whose commands come from entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all installed commands."""
        return sorted(point.name for point in entry_points(group=COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command; a missing package is reported with the extra that brings it."""
        for point in entry_points(group=COMMANDS, name=cmd_name):
            try:
                command: click.Command = point.load()
            except ImportError as error:
                raise missing_extra(cmd_name, error) from error
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names only: loading every command to show its help would load every package."""
        with formatter.section("Commands"):
            formatter.write_text(", ".join(self.list_commands(ctx)))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of our tree ends it with one line and its exit code."""
        try:
            return super().invoke(ctx)
        except SmclientError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(exit_code(error))


@click.group(cls=Root)
@click.version_option(__version__, prog_name="smclient")
def root() -> None:
    """Secrets Manager from the command line: cached, embedded, or AWS's own.

    Exit codes: 0 fine, 1 refused or failed, 2 wrong usage, 3 not found, 4 denied, 5 unavailable.
    """
