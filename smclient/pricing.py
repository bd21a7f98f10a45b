"""From counts to dollars. Prices are dated data; money is ``Decimal``.

Source: AWS's Secrets Manager and KMS pricing pages as of September 2026. How BatchGetSecretValue is
billed is stated nowhere, so it is a setting of the price book, and a cost gives both readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smclient.usage import Usage

MONTH_SECONDS = Decimal(730 * 3600)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices in US dollars, with the day they were read.

    Attributes:
        secret_month: one secret for one month; each replica counts.
        api_call: one call of the API.
        customer_key_month: one customer KMS key for one month; AWS's own key is free.
        kms_call: one call under a customer key.
        kms_free_calls: calls a month that KMS gives for nothing where the free tier applies.
        batch_per_secret: bill BatchGetSecretValue by secret (upper bound) instead of by call.
    """

    as_of: date = date(2026, 9, 1)
    secret_month: Decimal = Decimal("0.40")
    api_call: Decimal = Decimal("0.05") / 10_000
    customer_key_month: Decimal = Decimal("1.00")
    kms_call: Decimal = Decimal("0.03") / 10_000
    kms_free_calls: int = 20_000
    batch_per_secret: bool = False


PRICE_BOOK = PriceBook()


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars, by what they are paid for."""

    secrets: Decimal = Decimal(0)
    api_calls: Decimal = Decimal(0)
    customer_keys: Decimal = Decimal(0)
    kms_calls: Decimal = Decimal(0)
    kms_unknown: Decimal = Decimal(0)
    """What the calls under unknown keys would add if those were customer keys. Not in ``total``."""
    batch_unknown: Decimal = Decimal(0)
    """What BatchGetSecretValue would add if it were billed by secret. Not in ``total``."""

    @property
    def total(self) -> Decimal:
        """The sum."""
        return self.secrets + self.api_calls + self.customer_keys + self.kms_calls


def monthly_cost(
    *,
    secrets: int = 0,
    api_calls: int = 0,
    customer_keys: int = 0,
    kms_calls: int = 0,
    free_tier: bool = False,
    price_book: PriceBook = PRICE_BOOK,
) -> Cost:
    """A month's bill.

    >>> bill = monthly_cost(secrets=10, api_calls=100_000, customer_keys=1, kms_calls=100_000)
    >>> bill.total == Decimal("5.80")
    True
    """
    billed_kms = max(0, kms_calls - price_book.kms_free_calls) if free_tier else kms_calls
    return Cost(
        secrets=secrets * price_book.secret_month,
        api_calls=api_calls * price_book.api_call,
        customer_keys=customer_keys * price_book.customer_key_month,
        kms_calls=billed_kms * price_book.kms_call,
    )


def usage_cost(usage: Usage, price_book: PriceBook = PRICE_BOOK) -> Cost:
    """What the calls of a usage cost: API calls, and KMS calls under known customer keys."""
    batch_calls = usage.api_calls.get("BatchGetSecretValue", 0)
    by_secret = max(0, usage.batched - batch_calls) * price_book.api_call
    by_call = calls_cost(usage.api_calls, price_book)
    return Cost(
        api_calls=by_call + by_secret if price_book.batch_per_secret else by_call,
        batch_unknown=Decimal(0) if price_book.batch_per_secret else by_secret,
        kms_calls=usage.kms_billed * price_book.kms_call,
        kms_unknown=usage.kms_unknown * price_book.kms_call,
    )


def calls_cost(calls: Mapping[str, int], price_book: PriceBook = PRICE_BOOK) -> Decimal:
    """What API calls cost, all operations alike."""
    return sum(calls.values()) * price_book.api_call


def per_month(cost: Decimal, seconds: float) -> Decimal:
    """A cost that arose in ``seconds``, carried on for a month of 730 hours."""
    return cost * MONTH_SECONDS / Decimal(seconds) if seconds else Decimal(0)


def exact(dollars: Decimal | None) -> str | None:
    """As a plain decimal number, at least to the cent."""
    if dollars is None:
        return None
    rounded = dollars.quantize(Decimal("0.000001"))
    text = f"{rounded:f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"{whole}.{cents:0<2}"
