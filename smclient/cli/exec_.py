"""``smclient exec``: run a command with secrets in its environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence

import click

from smclient.cli.environment import build, read_secrets, references_in, refs_in
from smclient.cli.options import backend_option
from smclient.cli.supervise import NOT_FOUND, NOT_RUNNABLE, Supervisor, replace_process
from smclient.client import SecretsClient
from smclient.errors import ResourceNotFoundError, SmclientError

PLACEHOLDER = "smclientme"
_COMMAND = "smclient.exec.command"


class ExecCommand(click.Command):
    """Takes what stands after ``--`` as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split at the first ``--``."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


@click.command("exec", cls=ExecCommand, options_metavar="[OPTIONS]", add_help_option=True)
@click.argument("secrets", nargs=-1, metavar="[SECRETS]... -- COMMAND [ARGS]...")
@click.option("--pristine", is_flag=True, help="Nothing else of the environment is passed on.")
@click.option("--strict", is_flag=True, help="See below.")
@click.option("--strict-value", default=PLACEHOLDER, show_default=True, metavar="TEXT")
@click.option("--upper", is_flag=True, help="Variables in capitals.")
@click.option("--restart-on-rotate", is_flag=True, help="Start the command anew on a rotation.")
@click.option(
    "--check-every",
    type=click.FloatRange(0.05),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look for one.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Between SIGTERM and SIGKILL.",
)
@backend_option
@click.pass_context
def exec_(
    ctx: click.Context,
    secrets: tuple[str, ...],
    pristine: bool,
    strict: bool,
    strict_value: str,
    upper: bool,
    restart_on_rotate: bool,
    check_every: float,
    grace: float,
    backend: str | None,
) -> None:
    """Run COMMAND with SECRETS as its environment, and end with its exit code.

    SECRETS are names, ARNs, references, or NAME=reference. The keys of a JSON secret become
    variables; later secrets win. Variables of the environment that are references are resolved too.

    With --strict, every variable whose value is TEXT (smclientme) or a reference must be given by a
    secret, and no secret may replace another variable.
    """
    command: list[str] = ctx.meta[_COMMAND]
    if not command:
        raise click.UsageError("there is no command; it stands after --")
    environ = dict(os.environ)
    asked = [*references_in(environ), *secrets]
    path = shutil.which(command[0])
    if path is None:
        there = os.path.exists(command[0])
        click.echo(f"error: {command[0]}: {'cannot be run' if there else 'not found'}", err=True)
        ctx.exit(NOT_RUNNABLE if there else NOT_FOUND)

    def environment(client: SecretsClient) -> dict[str, str]:
        found = read_secrets(client, asked, upper=upper)
        return build(environ, found, pristine=pristine, strict=strict, placeholder=strict_value)

    with SecretsClient(backend) as client:
        first = environment(client)
        replaced = sorted(n for n in first if n in environ and environ[n] != first[n])
        quiet = {strict_value, *(text.partition("=")[0] for text in references_in(environ))}
        replaced = [n for n in replaced if n not in quiet and environ[n] != strict_value]
        if replaced:
            click.echo(f"note: secrets replace {', '.join(replaced)} of the environment", err=True)
        if restart_on_rotate:
            watch = Watch(client, refs_in(asked), lambda: environment(client), check_every)
            runner = Supervisor(
                [path, *command[1:]],
                changed=watch.look,
                interval=check_every,
                grace=grace,
                tell=_tell,
            )
            ctx.exit(runner.run(first))
    try:
        replace_process(path, command, first)
    except OSError as error:
        click.echo(f"error: {command[0]}: {error.strerror}", err=True)
        ctx.exit(NOT_RUNNABLE)


class Watch:
    """Looks whether any of some secrets has another version than before."""

    def __init__(
        self,
        client: SecretsClient,
        refs: Sequence[tuple[str, str | None, str | None]],
        environment: Callable[[], dict[str, str]],
        interval: float,
    ) -> None:
        self._client = client
        self._refs = refs
        self._environment = environment
        self._interval = interval
        self._told = ""
        self._known = self._versions(None)

    def look(self) -> dict[str, str] | None:
        """The new environment, once one has moved. What goes wrong is told once; the command goes
        on with what it has, and the next look tries again."""
        try:
            now = self._versions(self._interval / 2)
            if now == self._known:
                return None
            made = self._environment()
        except SmclientError as error:
            if str(error) != self._told:
                _tell(f"no new environment, the command goes on with what it has: {error}")
            self._told = str(error)
            return None
        self._known, self._told = now, ""
        return made

    def _versions(self, max_age: float | None) -> dict[tuple[str | None, ...], str]:
        return {ref: self._version(*ref, max_age) for ref in self._refs}

    def _version(
        self, secret_id: str, stage: str | None, version_id: str | None, max_age: float | None
    ) -> str:
        try:
            return self._client.get(
                secret_id, version_stage=stage, version_id=version_id, max_age=max_age
            ).version_id
        except ResourceNotFoundError:
            return ""  # an optional one, or one that went since


def _tell(text: str) -> None:
    sys.stderr.write(f"smclient: {text}\n")
    sys.stderr.flush()
