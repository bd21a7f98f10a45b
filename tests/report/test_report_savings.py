"""What was saved is told of reads: what was written or listed costs every client the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from smclient import SecretsClient, Usage
from smclient.cli.usage import usage as command
from smclient.report import html, text
from smclient.report.advice import Seen, caching
from smclient.report.snapshots import Snapshot
from smclient.testing import FakeBackend


@pytest.fixture
def used() -> Usage:
    """A hundred secrets made, one of them read fifty times: 49 calls saved."""
    with SecretsClient(FakeBackend()) as client:
        for n in range(100):
            client.call("CreateSecret", Name=f"s{n}", SecretString="x")
        for _ in range(50):
            client.get("s0")
        return client.usage()


def test_writes_are_calls_and_no_loss(used: Usage) -> None:
    """They count in what was called and what it costs."""
    assert used.calls == 101
    assert used.cost().api_calls == Decimal("0.000505")
    assert used.read_calls == {"GetSecretValue": 1}
    assert used.saved_calls("no cache") == 49


def test_each_report_says_the_same(used: Usage, tmp_path: Path) -> None:
    """Advice, page, table and JSON."""
    assert "50 calls without a cache - 1 calls made = 49 saved" in caching(Seen(used, 3600.0)).sums
    now = datetime.now(UTC)
    page = html.render([Snapshot("1", now, used)])
    assert "50 calls without a cache, 1 made" in page
    assert "-$" not in text.render(used, plain=True)
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(used.to_dict()))
    shown = json.loads(CliRunner().invoke(command, [str(path), "--json"]).stdout)
    assert shown["instead"]["no cache"]["saved_dollars"] == "0.000245"
