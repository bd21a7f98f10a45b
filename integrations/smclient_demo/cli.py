"""``smclient demo``."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console

from smclient_demo import report
from smclient_demo.postgres_server import PostgresStartError, PostgresUnavailableError
from smclient_demo.run import run


@click.command()
@click.option("--rotations", default=4, show_default=True, type=click.IntRange(1, 50))
@click.option(
    "--hold",
    default=1.5,
    show_default=True,
    type=click.FloatRange(1.05, 30),
    help="Seconds between setSecret and finishSecret.",
)
@click.option("--threads", default=8, show_default=True, type=click.IntRange(1, 64))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def demo(rotations: int, hold: float, threads: int, as_json: bool) -> None:
    """Rotate a database password under load and lose no login.

    A real PostgreSQL, a Flask app with a SQLAlchemy pool, requests from several threads, and
    single-user rotations meanwhile; then the same with the ladder off. Exits with 0 only if no
    request failed in the first run and some did in the second.
    """
    console = Console(stderr=as_json, highlight=False)
    try:
        result = run(rotations=rotations, hold=hold, threads=threads, tell=console.print)
    except (PostgresUnavailableError, PostgresStartError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(5)
    if as_json:
        click.echo(json.dumps(report.to_dict(result), indent=1))
    else:
        report.show(result, console)
    for claim in result.broken():
        click.echo(f"NOT TRUE: {claim}", err=True)
    sys.exit(1 if result.broken() else 0)
