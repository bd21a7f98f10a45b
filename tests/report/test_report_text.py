"""Usage as tables: everything in them, with rich and without, nothing that moves a cursor."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from smclient import SecretsClient, Usage
from smclient.report import text
from smclient.report.money import money, price, printable, secret_name, share, span
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient.usage import SecretUsage


@pytest.fixture
def usage() -> Usage:
    """Twenty reads of one secret, one of another, one refusal."""
    client = SecretsClient(
        FakeBackend({"web/db": "x", "api": "y"}), clock=FakeClock(), worker=Inline()
    )
    for _ in range(20):
        client.get("web/db")
    client.get_many(["api", "absent"])
    found = client.usage()
    client.close()
    return replace(found, seconds=7200.0, logins={"cached": 3})


@pytest.mark.parametrize("plain", [True, False])
def test_everything_is_in_the_tables(usage: Usage, plain: bool) -> None:
    """Reads, calls, the others, secrets, refusals, logins."""
    shown = text.render(usage, plain=plain)
    for words in (
        "from memory",
        "19 (86.4 %)",
        "GetSecretValue",
        "BatchGetSecretValue",
        "no cache",
        "aws-lambda-powertools",
        "eu-west-1",
        "ResourceNotFoundException",
        "cached",
        "web/db",
        "(unknown)",
        "2.0 hours",
    ):
        assert words in shown, words
    assert ("│" in shown or "┃" in shown) is not plain


def test_money_saved_is_told(usage: Usage) -> None:
    """22 reads for 2 calls: 20 calls of half a thousandth of a cent."""
    line = next(x for x in text.render(usage, plain=True).splitlines() if "no cache" in x)
    assert line.split()[-3:] == ["22", "$0.00011", "$0.00010"]


def test_the_rest_of_many_secrets_is_counted(usage: Usage) -> None:
    """In a last line, none left out."""
    many = {f"s{n:03}": SecretUsage(hits=1000 - n) for n in range(50)}
    lines = text.render(replace(usage, per_secret=many), plain=True, top=5).splitlines()
    rest = next(line for line in lines if line.strip().startswith("45 more"))
    assert rest.split()[2] == f"{sum(1000 - n for n in range(5, 50)):,}"
    assert sum("s00" in line for line in lines) == 5


@pytest.mark.parametrize("plain", [True, False])
def test_a_name_cannot_colour_the_terminal(usage: Usage, plain: bool) -> None:
    """Nor be read as rich's markup."""
    name = "\x1b[31mred[bold]x[/bold]\x07\nnext"
    shown = text.render(
        replace(usage, per_secret={name: SecretUsage(hits=1)}, errors={name: 1}),
        plain=plain,
        width=140,
    )
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]" in shown


def test_a_usage_of_nothing_is_shown() -> None:
    """Without dividing by it."""
    shown = text.render(Usage.none(), plain=True)
    assert "0 (\N{EN DASH})" in shown
    assert "By secret" not in shown


def test_without_rich_the_table_is_plain() -> None:
    """And rich is loaded only for the other kind."""
    code = (
        "import sys; sys.modules['rich'] = None; from smclient import Usage\n"
        "from smclient.report import text; print(text.render(Usage.none()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "from memory" in run.stdout
    assert "│" not in run.stdout


def test_import_smclient_loads_no_report() -> None:
    """Nor does reading usage."""
    code = (
        "import sys; import smclient; smclient.SecretsClient('null://').usage()\n"
        "print([m for m in sys.modules if m.startswith(('smclient.report', 'rich'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- numbers as people read them ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [
        ("0", "$0.00"),
        ("0.000005", "$0.0000050"),
        ("0.0012345", "$0.0012"),
        ("0.01", "$0.01"),
        ("5.8", "$5.80"),
        ("1234567.891", "$1,234,567.89"),
        ("-0.5", "-$0.50"),
    ],
)
def test_money(dollars: str, shown: str) -> None:
    """Small amounts keep two digits that say something."""
    from decimal import Decimal

    assert money(Decimal(dollars)) == shown


def test_prices_shares_and_durations() -> None:
    """Never rounded up to all."""
    from decimal import Decimal

    assert (price(Decimal("0.05") / 10_000), price(Decimal("0.40"))) == ("$0.000005", "$0.40")
    assert price(Decimal(1)) == "$1.00"
    assert (share(1, 3), share(0, 0), share(5, 5)) == ("33.3 %", "\N{EN DASH}", "100.0 %")
    assert share(999_999, 1_000_000) == "99.9 %"
    assert [span(s) for s in (5, 90, 5400, 129_600)] == [
        "5 seconds",
        "1.5 minutes",
        "1.5 hours",
        "1.5 days",
    ]


def test_names_of_secrets() -> None:
    """Without what AWS puts after them."""
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:web/my-db-AbCdEf"
    assert secret_name(arn) == "web/my-db"
    assert secret_name("(others)") == "(others)"
    assert printable("a\tb\u202ec") == "a\ufffdb\ufffdc"
