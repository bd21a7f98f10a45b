"""``smclient export``: secrets as environment text. Prints values; that is what it is for."""

from __future__ import annotations

import click

from smclient.cli.dotenv import write_dotenv, write_json, write_shell, write_yaml
from smclient.cli.environment import read_secrets
from smclient.cli.options import backend_option, print_or_save
from smclient.client import SecretsClient

WRITERS = {"env": write_shell, "dotenv": write_dotenv, "json": write_json, "yaml": write_yaml}


@click.command()
@click.argument("secrets", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(sorted(WRITERS)), default="env", show_default=True
)
@click.option(
    "--output", type=click.Path(dir_okay=False), help="A file, made readable to you only."
)
@click.option("--upper", is_flag=True, help="Variables in capitals.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@backend_option
def export(
    secrets: tuple[str, ...],
    form: str,
    output: str | None,
    upper: bool,
    as_json: bool,
    backend: str | None,
) -> None:
    """Print the values of SECRETS as variables: the keys of JSON secrets, later secrets win.

    SECRETS are names, ARNs, references, or NAME=reference. The format env is for eval in a shell.
    """
    with SecretsClient(backend) as client:
        found = read_secrets(client, secrets, upper=upper)
    print_or_save(WRITERS["json" if as_json else form](found.variables), output)
