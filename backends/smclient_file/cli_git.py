"""diff and merge: the file in git."""

from __future__ import annotations

import os
from typing import Literal

import click

from smclient.cli.options import json_option, print_json
from smclient_file import merging
from smclient_file.cli_common import Given, opening, store_argument
from smclient_file.crypto import StoreKeys
from smclient_file.diffing import Difference, differences
from smclient_file.errors import MergeConflict
from smclient_file.format import Header
from smclient_file.generation import Generation
from smclient_file.store import FileStore
from smclient_file.tables import Tables
from smclient_file.unlock import Credentials

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_OF_GIT = ".merge_file_"


@click.command()
@store_argument("old")
@store_argument("new")
@click.option("--exit-code", is_flag=True, help="End with 1 if something differs.")
@opening
@json_option
def diff(given: Given, old: str, new: str, exit_code: bool, as_json: bool) -> None:
    """What differs between two files, in names and labels, without values.

    --json: {"differences":[{"name","arn","change","details"}]}; change is added, removed or
    changed.
    """
    credentials = given.credentials()
    before, after = (FileStore(path, credentials, private=True) for path in (old, new))
    found = differences(before.generation().tables, after.generation().tables)
    if as_json:
        print_json({"differences": [difference.shown() for difference in found]})
    else:
        for difference in found:
            _show(difference)
    if found and exit_code:
        raise click.exceptions.Exit(1)


@click.command()
@store_argument("base")
@store_argument("ours")
@store_argument("theirs")
@click.option(
    "--prefer", type=click.Choice(["ours", "theirs"]), help="Who wins where both changed the same."
)
@opening
@json_option
def merge(
    given: Given,
    base: str,
    ours: str,
    theirs: str,
    prefer: Literal["ours", "theirs"] | None,
    as_json: bool,
) -> None:
    """Merge THEIRS into OURS, both made from BASE, by secret, version and label.

    As a git merge driver: git config merge.smclient.driver 'smclient file merge %O %A %B'. On a
    conflict OURS stays as it is, the conflicts are printed, and the exit code is 1.
    --json: {"merged","conflicts"}.
    """
    credentials = given.credentials()
    known = _generation(base, credentials) if os.path.getsize(base) else None
    other = _generation(theirs, credentials)
    of_git = os.path.basename(ours).startswith(_OF_GIT)
    target = FileStore(ours, credentials, private=of_git, accept_rollback=given.accept_rollback)

    def change(mine: Generation) -> tuple[Header, StoreKeys, Tables]:
        return merging.merge(ours, known, mine, other, prefer=prefer)

    try:
        target.rewrite(change)
    except MergeConflict as error:
        if as_json:
            print_json({"merged": False, "conflicts": list(error.conflicts)})
        raise
    if as_json:
        print_json({"merged": True, "conflicts": []})


def _generation(path: str, credentials: Credentials) -> Generation:
    return FileStore(path, credentials, private=True).generation()


def _show(difference: Difference) -> None:
    click.echo(f"{_MARKS[difference.change]} {difference.name}")
    for detail in difference.details:
        click.echo(f"    {detail}")
