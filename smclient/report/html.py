"""One HTML page about cost: no network, no script, readable on a phone, in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape

from smclient.errors import ConfigError
from smclient.pricing import PRICE_BOOK, PriceBook, calls_cost, per_month
from smclient.report import page, shapes
from smclient.report.advice import Advice, Holdings, advise
from smclient.report.money import money, printable, secret_name, share, span
from smclient.report.snapshots import Snapshot, latest, timeline, total
from smclient.usage import NO_CACHE, SecretUsage, Usage, added

TOP = 25
"""Secrets that are listed; the rest is counted in a last line."""
SHORT = 3600.0
"""Seconds below which the page warns that a month is hard to tell from so little."""

Timeline = Sequence[tuple[datetime, Usage]]


def render(
    snapshots: Iterable[Snapshot],
    *,
    price_book: PriceBook = PRICE_BOOK,
    holdings: Holdings | None = None,
    title: str = "What smclient saves",
) -> str:
    """The page, for snapshots of one process or many, of one moment or many.

    Args:
        holdings: what the account holds, for the advice on unused secrets.

    Raises:
        ConfigError: there is no snapshot.
    """
    known = list(snapshots)
    series = timeline(known)
    if not series:
        raise ConfigError("there is no snapshot to report on")
    usage = total(known)
    seconds = (series[-1][0] - series[0][0]).total_seconds()
    advice = advise(usage, price_book, seconds=seconds, holdings=holdings)
    parts = [
        _head(title, series, len(latest(known))),
        _numbers(usage, seconds, price_book),
        _over_time(series, price_book),
        _hit_rate(usage),
        _operations(usage, price_book),
        _instead(usage, price_book),
        _strategies(advice),
        _secrets(usage),
        _faults(usage),
        _foot(price_book),
    ]
    return page.page(title, "\n".join(part for part in parts if part))


def _head(title: str, series: Timeline, processes: int) -> str:
    first, last = series[0][0], series[-1][0]
    seconds = (last - first).total_seconds()
    some = "one process" if processes == 1 else f"{processes:,} processes"
    told = f"{_when(first)} to {_when(last)} ({span(seconds)}), {some}"
    warning = (
        "<p>Measured over less than an hour: what is said of a month is a bold extrapolation.</p>"
        if seconds < SHORT
        else ""
    )
    return f'<h1>{escape(title)}</h1><p class="soft">{escape(told)}</p>{warning}'


def _numbers(usage: Usage, seconds: float, book: PriceBook) -> str:
    saved = _saved(usage)
    from_memory = usage.hits + usage.stale_hits
    return page.numbers(
        [
            (money(saved * book.api_call), "saved so far on API calls"),
            (money(per_month(saved * book.api_call, seconds)), "a month at this rate"),
            (f"{saved:,}", "calls saved"),
            (f"{_made(usage):,}", "calls made"),
            (share(from_memory, usage.reads), "of reads from memory"),
            (f"{usage.reads:,}", "reads"),
        ]
    )


def _over_time(series: Timeline, book: PriceBook) -> str:
    moments = [moment.timestamp() for moment, _ in series]
    without = [(x, float(_without(u))) for x, (_, u) in zip(moments, series, strict=True)]
    made = [(x, float(_made(u))) for x, (_, u) in zip(moments, series, strict=True)]
    dollars = [
        (x, float(_saved(u) * book.api_call)) for x, (_, u) in zip(moments, series, strict=True)
    ]
    end = series[-1][1]
    left, right = _when(series[0][0]), _when(series[-1][0])
    calls_told = f"{_without(end):,} calls without a cache, {_made(end):,} made"
    money_told = f"{money(_saved(end) * book.api_call)} saved"
    return "".join(
        [
            "<h2>Saved over time</h2>",
            page.legend([("two", "calls without a cache"), ("one", "calls made")]),
            page.chart(
                shapes.lines([("two", without), ("one", made)], escape(calls_told)),
                f"{max(y for _, y in (*without, *made)):,.0f} calls",
                left,
                right,
                calls_told + ". The gap between the lines is what was saved.",
            ),
            page.chart(
                shapes.lines([("one", dollars)], escape(money_told)),
                money(max((_saved(u) * book.api_call for _, u in series), default=Decimal(0))),
                left,
                right,
                money_told + ", on API calls alone.",
            ),
        ]
    )


def _hit_rate(usage: Usage) -> str:
    kinds = [
        ("one", "from memory", usage.hits),
        ("three", "from memory, past their time", usage.stale_hits),
        ("two", "waited for a backend", usage.misses),
    ]
    told = [(name, f"{what}: {n:,} ({share(n, usage.reads)})") for name, what, n in kinds]
    picture = shapes.bar([(name, n) for name, _, n in kinds], usage.reads)
    mean = usage.refresh_latency
    behind = (
        f"<p>{usage.refreshes:,} looks for newer values behind the readers' backs, "
        f"{mean.mean * 1000:,.1f} ms each on average. Rotations seen: {usage.rotations:,}.</p>"
        if usage.refreshes
        else ""
    )
    return f"<h2>Cache hit rate</h2>{picture}{page.legend(told)}{behind}"


def _operations(usage: Usage, book: PriceBook) -> str:
    if not usage.calls:
        return ""
    ordered = sorted(usage.api_calls.items(), key=lambda item: (-item[1], item[0]))
    most = ordered[0][1]
    lines = [
        (
            printable(name),
            f"{n:,} calls, {money(n * book.api_call)}",
            shapes.bar([("one", n)], most),
        )
        for name, n in ordered
    ]
    return f"<h2>Calls by operation</h2>{page.rows(lines)}"


def _instead(usage: Usage, book: PriceBook) -> str:
    everyone = {"smclient": usage.read_calls, **usage.baselines}
    counts = {name: sum(calls.values()) for name, calls in everyone.items()}
    most = max(counts.values())
    lines = [
        (
            printable(name),
            f"{n:,} calls, {money(calls_cost(everyone[name], book))}",
            shapes.bar([("one" if name == "smclient" else "two", n)], most),
        )
        for name, n in counts.items()
    ]
    return f"<h2>The same reads with another client</h2>{page.rows(lines)}"


def _strategies(advice: Iterable[Advice]) -> str:
    cards = "".join(page.card(a.title, _amount(a), a.sums, a.note) for a in advice)
    return (
        "<h2>Six ways to pay less, and what each would save here</h2>"
        f'<p class="soft">Dollars a month.</p><div class="cards">{cards}</div>'
    )


def _amount(advice: Advice) -> str:
    if advice.saves is None:
        return "not known"
    return f"saves {money(advice.saves)} now" if advice.done else money(advice.saves)


def _secrets(usage: Usage) -> str:
    if not usage.per_secret:
        return ""
    ordered = sorted(usage.per_secret.items(), key=lambda item: (-item[1].reads, item[0]))
    most = max(1, ordered[0][1].reads)
    lines = [_secret(printable(secret_name(arn)), counts, most) for arn, counts in ordered[:TOP]]
    if ordered[TOP:]:
        rest: SecretUsage = added([counts for _, counts in ordered[TOP:]])
        lines.append(_secret(f"{len(ordered) - TOP:,} more", rest, max(most, rest.reads)))
    return f"<h2>By secret</h2>{page.rows(lines)}"


def _secret(name: str, usage: SecretUsage, most: int) -> tuple[str, str, str]:
    from_memory = usage.hits + usage.stale_hits
    told = (
        f"{usage.reads:,} reads, {share(from_memory, usage.reads)} from memory, "
        f"{usage.fetched:,} fetched"
    )
    return name, told, shapes.bar([("one", from_memory), ("two", usage.misses)], most)


def _faults(usage: Usage) -> str:
    told = [(printable(code), f"{n:,}", "") for code, n in sorted(usage.errors.items())]
    if usage.failed_logins:
        told.append(("logins refused on the way", f"{usage.failed_logins:,}", ""))
    return f"<h2>Refusals</h2>{page.rows(told)}" if told else ""


def _foot(book: PriceBook) -> str:
    told = (
        f"Prices of {book.as_of.isoformat()}, in US dollars, without tax and free tiers. Calls are "
        "counted, repeats and failures included; how AWS bills failed calls and batches it does "
        "not say. A month has 730 hours."
    )
    return f'<footer class="soft">{escape(told)}</footer>'


def _without(usage: Usage) -> int:
    return sum(usage.baselines.get(NO_CACHE, {}).values())


def _made(usage: Usage) -> int:
    return sum(usage.read_calls.values())


def _saved(usage: Usage) -> int:
    return usage.saved_calls(NO_CACHE)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
