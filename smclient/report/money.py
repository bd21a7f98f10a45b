"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"


def money(dollars: Decimal) -> str:
    """Dollars: to the cent from a cent on, to the first two digits below it."""
    amount = abs(dollars)
    if amount == 0:
        text = "0.00"
    elif amount >= Decimal("0.01"):
        text = f"{amount:,.2f}"
    else:
        places = max(4, 1 - amount.adjusted())
        text = f"{amount:.{min(places, 12)}f}"
    return f"-${text}" if dollars < 0 else f"${text}"


def price(dollars: Decimal) -> str:
    """A price in full: ``$0.000005``."""
    text = f"{dollars.normalize():f}"
    whole, _, cents = text.partition(".")
    return f"${int(whole):,}.{cents:0<2}"


def share(part: int, whole: int) -> str:
    """A percentage; of nothing a dash."""
    if not whole:
        return DASH
    percent = 100 * part / whole
    if part < whole and percent > 99.9:
        return "99.9 %"  # never round up to all
    return f"{percent:.1f} %"


def span(seconds: float) -> str:
    """A duration in its largest fitting unit."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def secret_name(arn: str) -> str:
    """The name in a secret's ARN; anything else as it is."""
    _, marker, name = arn.partition(":secret:")
    if not marker:
        return arn
    stem, hyphen, suffix = name.rpartition("-")
    return stem if hyphen and len(suffix) == 6 and suffix.isalnum() else name


def printable(text: str) -> str:
    """Text that cannot move a terminal's cursor or colour it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
