"""``smclient cost``: a month's bill, or what caching would save by the account's own logs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from smclient.cli.cloudtrail import Tally, analyse, read_logs
from smclient.cli.options import json_option, print_fields, print_json, print_table
from smclient.pricing import PRICE_BOOK, PriceBook, exact, monthly_cost

_COUNT = click.IntRange(0)


class Dollars(click.ParamType[Decimal]):
    """An exact amount."""

    name = "dollars"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Text to ``Decimal``."""
        try:
            amount = Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount", param, ctx)
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is no amount", param, ctx)
        return amount


@click.command()
@click.option("--secrets", type=_COUNT, default=0, help="Secrets, replicas included.")
@click.option("--requests", type=_COUNT, default=0, help="API calls a month.")
@click.option("--cmks", type=_COUNT, default=0, help="Customer keys; AWS's own key is free.")
@click.option(
    "--kms-requests",
    type=_COUNT,
    help="KMS calls a month under customer keys. Default: one for each API call, if there is one.",
)
@click.option("--free-tier", is_flag=True, help="20,000 KMS calls a month for nothing.")
@click.option("--price-secret", type=Dollars(), help="Dollars for a secret a month.")
@click.option("--price-call", type=Dollars(), help="Dollars for 10,000 API calls.")
@click.option(
    "--from-cloudtrail",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read CloudTrail's logs (.json, .json.gz) below this folder.",
)
@click.option(
    "--ttl", type=click.FloatRange(0), default=300.0, show_default=True, metavar="SECONDS"
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@json_option
def cost(
    secrets: int,
    requests: int,
    cmks: int,
    kms_requests: int | None,
    free_tier: bool,
    price_secret: Decimal | None,
    price_call: Decimal | None,
    folder: Path | None,
    ttl: float,
    top: int,
    as_json: bool,
) -> None:
    """What Secrets Manager costs a month.

    With --from-cloudtrail: who calls it most, and what a cache of --ttl seconds would save.
    """
    book = PRICE_BOOK
    if price_secret is not None:
        book = replace(book, secret_month=price_secret)
    if price_call is not None:
        book = replace(book, api_call=price_call / 10_000)
    if folder is not None:
        if secrets or requests or cmks or kms_requests:
            raise click.UsageError("--from-cloudtrail counts by itself; leave the numbers out")
        _show_logs(folder, ttl, top, book, as_json)
        return
    if kms_requests is None:
        kms_requests = requests if cmks else 0
    bill = monthly_cost(
        secrets=secrets,
        api_calls=requests,
        customer_keys=cmks,
        kms_calls=kms_requests,
        free_tier=free_tier,
        price_book=book,
    )
    parts = {
        "secrets": bill.secrets,
        "api_calls": bill.api_calls,
        "customer_keys": bill.customer_keys,
        "kms_calls": bill.kms_calls,
        "total": bill.total,
    }
    if as_json:
        print_json(
            {"as_of": book.as_of.isoformat(), "dollars": {n: exact(d) for n, d in parts.items()}}
        )
    else:
        print_fields(
            {name.replace("_", " "): f"${dollars:,.2f}" for name, dollars in parts.items()}
        )
        click.echo(f"a month, prices as of {book.as_of.isoformat()}")


def _show_logs(folder: Path, ttl: float, top: int, book: PriceBook, as_json: bool) -> None:
    skipped: list[str] = []
    report = analyse(read_logs(folder, skipped), ttl=ttl)
    total = report.total
    month, saved_month = report.a_month(total.calls, book), report.a_month(total.saved, book)
    for name in skipped:
        click.echo(f"note: {name} is no CloudTrail log; it was left out", err=True)
    if as_json:
        print_json(
            {
                "calls": total.calls,
                "seconds": report.seconds,
                "ttl": ttl,
                "reads": total.reads,
                "reads_with_cache": total.cached,
                "saved_calls": total.saved,
                "dollars": exact(report.dollars(total.calls, book)),
                "saved_dollars": exact(report.dollars(total.saved, book)),
                "dollars_a_month": exact(month),
                "saved_dollars_a_month": exact(saved_month),
                "operations": dict(report.operations.most_common()),
                "errors": dict(report.errors.most_common()),
                "callers": [_row("caller", n, t) for n, t in _most(report.callers, top)],
                "secrets": [_row("secret", n, t) for n, t in _most(report.secrets, top)],
                "skipped_files": skipped,
            }
        )
        return
    print_fields(
        {
            "calls": f"{total.calls:,} in {report.seconds / 86400:.2f} days",
            "reads": f"{total.reads:,}; {total.cached:,} with a cache of {ttl:g} s in each process",
            "saved": f"{total.saved:,} calls, ${report.dollars(total.saved, book):,.2f}",
            "a month": _a_month(month, saved_month),
        }
    )
    for title, tallies in (("CALLER", report.callers), ("SECRET", report.secrets)):
        click.echo()
        rows = [(n, f"{t.calls:,}", f"{t.saved:,}") for n, t in _most(tallies, top)]
        print_table((title, "CALLS", "SAVED"), rows)


def _a_month(month: Decimal | None, saved: Decimal | None) -> str:
    if month is None or saved is None:
        return "less than an hour of logs says nothing of a month"
    return f"${month:,.2f} for calls, of which ${saved:,.2f} saved"


def _most(tallies: dict[str, Tally], top: int) -> list[tuple[str, Tally]]:
    return sorted(tallies.items(), key=lambda item: (-item[1].calls, item[0]))[:top]


def _row(kind: str, name: str, tally: Tally) -> dict[str, Any]:
    return {kind: name, "calls": tally.calls, "reads": tally.reads, "saved_calls": tally.saved}
