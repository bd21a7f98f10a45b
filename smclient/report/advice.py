"""What each of the six ways to pay less would save here, with the arithmetic. Pure.

The six: fewer secrets, AWS's own key, caching, a longer rotation interval, tags, no unused secrets.
Dollars are those of a month of 730 hours, carried on from the time that was measured. What the
counters cannot know (secrets that exist and nobody reads) comes in as ``Holdings``, else is said
to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from smclient.pricing import MONTH_SECONDS, PRICE_BOOK, PriceBook
from smclient.report.money import TIMES, money, price, printable, span
from smclient.usage import NO_CACHE, OTHERS, UNKNOWN, Usage

MOST_BYTES = 65_536
"""What one secret may hold."""

ROTATION_CALLS: Mapping[str, int] = {
    "DescribeSecret": 5,
    "GetSecretValue": 6,
    "GetRandomPassword": 1,
    "PutSecretValue": 1,
    "UpdateSecretVersionStage": 1,
}
"""Calls of AWS's sample function for one single-user rotation, counted in its source: four steps
that each describe the secret first."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an account holds, which no counter of reads can tell.

    Attributes:
        secrets: how many secrets there are.
        unused: how many of them nobody read in ``days``.
    """

    secrets: int
    unused: int
    days: int = 90

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]], now: datetime, *, days: int = 90) -> Holdings:
        """Counted in the ``SecretList`` of ListSecrets: unused is what was last read, or if never
        read made, more than ``days`` ago. Secrets marked for deletion cost nothing already."""
        live = [entry for entry in entries if entry.get("DeletedDate") is None]
        before = now - timedelta(days=days)
        last = [entry.get("LastAccessedDate") or entry.get("CreatedDate") for entry in live]
        return cls(len(live), sum(when is not None and when < before for when in last), days)


@dataclass(frozen=True, slots=True)
class Advice:
    """One strategy.

    Attributes:
        saves: dollars a month; ``None`` where that is not known here.
        done: whether these dollars are being saved already.
        sums: the arithmetic, line by line.
        note: what it takes, or what it costs otherwise.
    """

    key: str
    title: str
    saves: Decimal | None
    sums: tuple[str, ...]
    note: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the advice rests on: a usage, how long it took to arise, prices, holdings."""

    usage: Usage
    seconds: float
    book: PriceBook = PRICE_BOOK
    holdings: Holdings | None = None

    @property
    def months(self) -> Decimal:
        """By what to multiply to get a month."""
        return MONTH_SECONDS / Decimal(self.seconds) if self.seconds > 0 else Decimal(0)

    def monthly(self, what: str, dollars: Decimal) -> str:
        """The line that carries dollars on for a month."""
        return (
            f"{what} {money(dollars)} in {span(self.seconds)}, {TIMES} {self.months:,.2f} = "
            f"{money(dollars * self.months)} a month"
        )


def advise(
    usage: Usage,
    price_book: PriceBook = PRICE_BOOK,
    *,
    seconds: float | None = None,
    holdings: Holdings | None = None,
) -> list[Advice]:
    """All six. ``seconds`` is the time in which the usage arose; the mean lifetime of the processes
    unless given."""
    if seconds is None:
        seconds = usage.seconds / max(1, usage.processes)
    seen = Seen(usage, seconds, price_book, holdings)
    return [strategy(seen) for strategy in STRATEGIES]


def fewer_secrets(seen: Seen) -> Advice:
    """Secrets whose names differ only after the last slash could be fields of one."""
    groups: dict[str, list[int]] = {}
    for arn, usage in seen.usage.per_secret.items():
        if arn in (OTHERS, UNKNOWN):
            continue
        folder, slash, _ = arn.partition(":secret:")[2].rpartition("/")
        if slash:
            size = -(-usage.bytes // usage.fetched) if usage.fetched else 0
            groups.setdefault(arn.partition(":secret:")[0] + ":" + folder, []).append(size)
    together = {name: sizes for name, sizes in groups.items() if len(sizes) > 1}
    before = sum(map(len, together.values()))
    after = sum(_needed(sizes) for sizes in together.values())
    saves = (before - after) * seen.book.secret_month
    rate = price(seen.book.secret_month)
    return Advice(
        "fewer-secrets",
        "Fewer secrets",
        saves,
        (
            f"{before} secrets share the start of their name, in {len(together)} groups",
            f"one secret a group (65,536 bytes each): {after} would do",
            f"({before} - {after}) {TIMES} {rate} a month = {money(saves)} a month",
        ),
        "Fields of one secret share its policy, key and rotation. Keep apart what different people "
        "may read, and what rotates by itself.",
    )


def _needed(sizes: list[int]) -> int:
    """How many secrets hold values of these sizes, with their names and quotes."""
    return max(1, -(-sum(size + 64 for size in sizes) // MOST_BYTES))


def aws_key(seen: Seen) -> Advice:
    """AWS's own key is free, to keep and to use."""
    usage, book = seen.usage, seen.book
    keys = len([key for key in usage.per_key if key != OTHERS])
    calls = usage.kms_billed * book.kms_call
    saves = keys * book.customer_key_month + calls * seen.months
    sums = [
        f"{keys} customer keys {TIMES} {price(book.customer_key_month)} a month = "
        f"{money(keys * book.customer_key_month)}",
        seen.monthly(f"{usage.kms_billed:,} KMS calls {TIMES} {price(book.kms_call)} =", calls),
        f"together {money(saves)} a month",
    ]
    if usage.kms_unknown:
        more = money(usage.kms_unknown * book.kms_call * seen.months)
        sums.append(
            f"the key of {usage.kms_unknown:,} more calls is not known: {more} a month if it is a "
            "customer key"
        )
    return Advice(
        "aws-key",
        "AWS's own key (aws/secretsmanager)",
        saves,
        tuple(sums),
        "Only where nothing else uses the key, no other account reads the secret, and no rule asks "
        "for a key of your own. The free tier of KMS is not taken off.",
    )


def caching(seen: Seen) -> Advice:
    """What the cache saves already, compared with asking each time."""
    usage, book = seen.usage, seen.book
    saved, made = usage.saved_calls(NO_CACHE), sum(usage.read_calls.values())
    calls = saved * book.api_call
    billed = usage.kms_billed / Decimal(usage.kms_calls) if usage.kms_calls else Decimal(0)
    decrypts = max(Decimal(0), (usage.reads * billed - usage.kms_billed)) * book.kms_call
    sums = [
        f"{saved + made:,} calls without a cache - {made:,} calls made = {saved:,} saved",
        seen.monthly(f"{saved:,} {TIMES} {price(book.api_call)} =", calls),
    ]
    if decrypts:
        sums.append(
            seen.monthly(
                f"KMS calls that go with them, {billed:.1%} under customer keys:", decrypts
            )
        )
    by_secret = max(0, usage.batched - usage.api_calls.get("BatchGetSecretValue", 0))
    if by_secret:
        less = by_secret * book.api_call * seen.months
        sums.append(f"if AWS bills batches by secret (it does not say): {money(less)} a month less")
    return Advice(
        "caching",
        "Caching",
        (calls + decrypts) * seen.months,
        tuple(sums),
        "A longer ttl saves more and lets a rotated secret go unnoticed for longer.",
        done=True,
    )


def rotation_interval(seen: Seen) -> Advice:
    """Rotating half as often."""
    usage, book = seen.usage, seen.book
    processes = max(1, usage.processes)
    rotations = Decimal(usage.rotations) / processes
    each = sum(ROTATION_CALLS.values())
    calls = rotations * each + usage.rotations
    saves = calls / 2 * book.api_call * seen.months
    return Advice(
        "rotation-interval",
        "Rotate half as often",
        saves,
        (
            f"{usage.rotations:,} moves of AWSCURRENT seen by {processes:,} processes: about "
            f"{rotations:,.1f} rotations",
            f"{rotations:,.1f} {TIMES} {each} calls of a rotation function + {usage.rotations:,} "
            f"values fetched anew = {calls:,.1f} calls",
            seen.monthly(
                f"{calls:,.1f} / 2 {TIMES} {price(book.api_call)} =", calls / 2 * book.api_call
            ),
        ),
        "Cents. The function's own run time in Lambda comes on top. Rotate as often as your rules "
        "say; the interval is a question of safety, not of money.",
    )


def tags(seen: Seen) -> Advice:
    """Tags save nothing; they show who could."""
    usage, book = seen.usage, seen.book
    rows = sorted(usage.per_tag.items(), key=lambda item: (-item[1].fetched, item[0]))
    rate = f"{TIMES} {price(book.api_call)} {TIMES} {seen.months:,.2f}"
    sums = [
        f"{printable(tag)}: {u.fetched:,} values fetched {rate} = "
        f"{money(u.fetched * book.api_call * seen.months)} a month"
        for tag, u in rows[:6]
    ]
    return Advice(
        "tags",
        "Tags for cost allocation",
        Decimal(0),
        (*sums, "tags by themselves save $0.00"),
        "They tell the bill apart by team, so that whoever causes calls sees them. Known here as "
        "far as descriptions told: refresh='describe', or client.call('DescribeSecret', …).",
    )


def unused_secrets(seen: Seen) -> Advice:
    """What nobody reads costs as much as what everybody reads."""
    rate = price(seen.book.secret_month)
    note = "Mark them for deletion with a recovery window; from then on they are free."
    if seen.holdings is None:
        read = len([arn for arn in seen.usage.per_secret if arn not in (OTHERS, UNKNOWN)])
        sums = (
            f"{read} secrets were read here; how many more exist is not known here",
            f"each that goes saves {rate} a month",
        )
        return Advice("unused-secrets", "Delete unused secrets", None, sums, note)
    held = seen.holdings
    saves = held.unused * seen.book.secret_month
    sums = (
        f"{held.unused} of {held.secrets} secrets were not read in {held.days} days",
        f"{held.unused} {TIMES} {rate} a month = {money(saves)} a month",
    )
    return Advice("unused-secrets", "Delete unused secrets", saves, sums, note)


STRATEGIES = (fewer_secrets, aws_key, caching, rotation_interval, tags, unused_secrets)
