"""What several verbs are tested with: the command on a store of its own, and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smclient import SecretsClient
from smclient.cli.root import root
from tests.cli.canary import CANARY


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on a store of its own; the canary is in no output."""
    monkeypatch.setenv("SMCLIENT_BACKEND", f"embedded://{tmp_path}/secrets.db")

    def run(*args: str, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(root, args, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert CANARY not in result.output
        return result

    return run


@pytest.fixture
def client(run: object) -> Iterator[SecretsClient]:
    """A client of the same store."""
    with SecretsClient() as made:
        yield made
