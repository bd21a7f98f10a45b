"""``smclient usage --holdings``: secrets that nobody reads, told by listing them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from smclient import SecretsClient
from smclient.cli.root import root


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with three secrets."""
    url = f"embedded://{tmp_path}/secrets.db"
    with SecretsClient(url) as client:
        for n in range(3):
            client.call("CreateSecret", Name=f"s{n}", SecretString="x")
        client.get("s0")
        (tmp_path / "usage.json").write_text(json.dumps(client.usage().to_dict()))
    return url


def test_the_page_tells_how_many_secrets_nobody_reads(store: str, tmp_path: Path) -> None:
    """Without it, it says that this is not known."""
    source, page = str(tmp_path / "usage.json"), tmp_path / "page.html"
    CliRunner().invoke(root, ["usage", "--html", str(page), source], catch_exceptions=False)
    assert "how many more exist is not known here" in page.read_text()
    told = ["usage", "--html", str(page), "--holdings", store, source]
    assert CliRunner().invoke(root, told, catch_exceptions=False).exit_code == 0
    assert "0 of 3 secrets were not read in 90 days" in page.read_text()


def test_it_is_for_the_page_only(store: str, tmp_path: Path) -> None:
    """Nothing else has the advice."""
    result = CliRunner().invoke(
        root, ["usage", "--holdings", store, str(tmp_path / "usage.json")], catch_exceptions=False
    )
    assert result.exit_code == 2
    assert "--html" in result.output


def test_a_backend_that_cannot_be_listed_is_told(tmp_path: Path, store: str) -> None:
    """And no page is written."""
    page = tmp_path / "none.html"
    told = ["usage", "--html", str(page), "--holdings", "nosuch://", str(tmp_path / "usage.json")]
    assert CliRunner().invoke(root, told).exit_code == 2
    assert not page.exists()
