"""What docs/cli.md and docs/migrating.md say is so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from smclient.cli.root import root

DOCS = Path(__file__).parents[2] / "docs"
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
VERBS = (
    "get put list describe rotate rollback exec export import usage cost doctor".split()  # noqa: SIM905
)
BLOCKS = re.findall(
    r"(<!-- not run: [^\n]+ -->\n)?```python\n(.*?)```",
    (DOCS / "migrating.md").read_text(encoding="utf-8"),
    re.DOTALL,
)


def command(name: str) -> click.Command:
    """A verb, loaded as the command line loads it."""
    found = root.get_command(click.Context(root), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there_and_documented(name: str) -> None:
    """A section with an example, --backend where a backend is asked, --json where it prints."""
    assert re.search(rf"^## .*\b{name}\b", CLI, re.MULTILINE)
    assert re.search(rf"smclient {name} ", CLI)
    options = {o for p in command(name).params for o in p.opts}
    assert ("--backend" in options) == (name not in ("usage", "cost"))
    assert ("--json" in options) == (name != "exec")
    assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def examples() -> list[str]:
    """Every line of the shell examples that begins with the command itself."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", CLI, re.DOTALL))
    return [line for line in blocks.splitlines() if line.startswith("smclient ")]


@pytest.mark.parametrize("line", examples())
def test_every_option_of_an_example_is_there(line: str) -> None:
    """An example that a reader copies is taken."""
    words = shlex.split(line.partition("|")[0], comments=True)
    words = words[: words.index("--")] if "--" in words else words
    found = command(words[1])
    if isinstance(found, click.Group):
        found = found.commands[words[2]]
    known = {option for p in found.params for option in p.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_are_examples() -> None:
    """So that the tests above look at something."""
    assert len(examples()) > 20
    assert [bool(skipped) for skipped, _ in BLOCKS].count(False) == 5


@pytest.mark.parametrize("code", [code for skipped, code in BLOCKS if not skipped])
def test_an_example_of_the_migration_page_runs(code: str) -> None:
    """In a process of its own, on a store of its own."""
    if "pydantic_settings" in code:
        pytest.importorskip("pydantic_settings")
    environ = {**os.environ, "SMCLIENT_BACKEND": "embedded://"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
