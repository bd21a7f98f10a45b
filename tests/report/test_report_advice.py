"""The six strategies: each worked out by hand once, each line of arithmetic true."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient import Usage
from smclient.pricing import PRICE_BOOK, PriceBook
from smclient.report.advice import (
    ROTATION_CALLS,
    STRATEGIES,
    Advice,
    Holdings,
    Seen,
    advise,
    aws_key,
    caching,
    fewer_secrets,
    rotation_interval,
    tags,
    unused_secrets,
)
from smclient.usage import OTHERS, UNKNOWN, SecretUsage

MONTH = 730 * 3600.0
ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:"
NOTHING = replace(Usage.none(), processes=1, seconds=MONTH)


def seen(usage: Usage = NOTHING, seconds: float = MONTH, **more: object) -> Seen:
    """A month of a usage."""
    return Seen(usage, seconds, **more)  # type: ignore[arg-type]


def secrets(*names: str, size: int = 100) -> dict[str, SecretUsage]:
    """Secrets that were fetched once."""
    return {f"{ARN}{name}-AbCdEf": SecretUsage(misses=1, fetched=1, bytes=size) for name in names}


# --- fewer secrets --------------------------------------------------------------------------------


def test_secrets_of_one_folder_could_be_one() -> None:
    """Three of web and two of db: five become two. One alone, one without a folder stay."""
    usage = replace(
        NOTHING,
        per_secret={
            **secrets("web/a", "web/b", "web/c", "db/a", "db/b", "solo/a", "flat"),
            OTHERS: SecretUsage(hits=9),
            UNKNOWN: SecretUsage(misses=9),
        },
    )
    advice = fewer_secrets(seen(usage))
    assert advice.saves == Decimal("1.20")
    assert "(5 - 2) \N{MULTIPLICATION SIGN} $0.40 a month = $1.20 a month" in advice.sums


def test_what_does_not_fit_into_one_secret_is_not_promised() -> None:
    """Three of 40 KiB need two."""
    usage = replace(NOTHING, per_secret=secrets("web/a", "web/b", "web/c", size=40_000))
    assert fewer_secrets(seen(usage)).saves == Decimal("0.40")


def test_folders_of_other_regions_are_others() -> None:
    """A secret lives in one."""
    one, two = secrets("web/a"), secrets("web/b")
    moved = {arn.replace("eu-west-1", "us-east-1"): u for arn, u in two.items()}
    assert fewer_secrets(seen(replace(NOTHING, per_secret=one | moved))).saves == 0


# --- AWS's own key --------------------------------------------------------------------------------


def test_the_pricing_page_s_key_is_saved() -> None:
    """One key and 100,000 calls a month: $1.30, the part of the $5.80 that AWS's key saves."""
    usage = replace(NOTHING, per_key={"key/1": 100_000}, kms_calls=100_000, kms_billed=100_000)
    assert aws_key(seen(usage)).saves == Decimal("1.30")
    assert aws_key(seen(usage, seconds=MONTH / 10)).saves == Decimal("4.00")


def test_calls_under_unknown_keys_are_told_beside_it() -> None:
    """Not in the sum."""
    usage = replace(NOTHING, kms_calls=1_000_000, kms_unknown=1_000_000)
    advice = aws_key(seen(usage))
    assert advice.saves == 0
    assert "1,000,000 more calls is not known: $3.00 a month" in advice.sums[-1]


# --- caching --------------------------------------------------------------------------------------


def test_caching_saves_calls_and_the_kms_calls_that_go_with_them() -> None:
    """A million reads, a thousand calls, half of them under a customer key."""
    usage = replace(
        NOTHING,
        hits=999_000,
        misses=1000,
        api_calls={"GetSecretValue": 1000},
        baselines={"no cache": {"GetSecretValue": 1_000_000}},
        kms_calls=1000,
        kms_billed=500,
    )
    advice = caching(seen(usage))
    assert advice.done
    assert advice.saves == 999_000 * PRICE_BOOK.api_call + 499_500 * PRICE_BOOK.kms_call
    assert "1,000,000 calls without a cache - 1,000 calls made = 999,000 saved" in advice.sums
    assert "50.0%" in advice.sums[2]


def test_caching_that_costs_more_is_told_as_it_is() -> None:
    """Ten looks for one read."""
    usage = replace(
        NOTHING,
        misses=1,
        api_calls={"DescribeSecret": 10},
        baselines={"no cache": {"GetSecretValue": 1}},
    )
    assert caching(seen(usage)).saves == -9 * PRICE_BOOK.api_call


def test_how_batches_are_billed_is_told_beside_it() -> None:
    """AWS does not say."""
    usage = replace(
        NOTHING,
        misses=25,
        batched=25,
        api_calls={"BatchGetSecretValue": 2},
        baselines={"no cache": {"GetSecretValue": 25}},
    )
    advice = caching(seen(usage))
    assert advice.saves == 23 * PRICE_BOOK.api_call
    assert "$0.00012 a month less" in advice.sums[-1]


# --- rotation, tags, unused -----------------------------------------------------------------------


def test_rotating_half_as_often_saves_half_of_its_calls() -> None:
    """Ten processes saw 20 rotations each: 20 runs of a function, 200 values fetched anew."""
    assert sum(ROTATION_CALLS.values()) == 14
    usage = replace(NOTHING, rotations=200, processes=10)
    advice = rotation_interval(seen(usage))
    assert advice.saves == (20 * 14 + 200) / Decimal(2) * PRICE_BOOK.api_call


def test_tags_save_nothing_and_show_who_pays() -> None:
    """By what was fetched."""
    per_tag = {"team=web": SecretUsage(fetched=200_000), UNKNOWN: SecretUsage(fetched=2)}
    advice = tags(seen(replace(NOTHING, per_tag=per_tag)))
    assert advice.saves == 0
    assert advice.sums[0].startswith("team=web: 200,000 values")
    assert advice.sums[0].endswith("= $1.00 a month")
    assert "$0.00" in advice.sums[-1]


def test_unused_secrets_are_known_only_from_a_list() -> None:
    """Forty cents each; without the list it says so instead of guessing."""
    assert unused_secrets(seen()).saves is None
    advice = unused_secrets(seen(holdings=Holdings(secrets=50, unused=12, days=30)))
    assert advice.saves == Decimal("4.80")
    assert advice.sums[0] == "12 of 50 secrets were not read in 30 days"


def test_a_list_of_secrets_tells_what_nobody_reads() -> None:
    """Last read, else made, too long ago; what is to be deleted costs nothing already."""
    now = datetime(2026, 6, 1, tzinfo=UTC)

    def ago(days: int) -> datetime:
        return now - timedelta(days=days)

    entries = [
        {"LastAccessedDate": ago(1), "CreatedDate": ago(500)},
        {"LastAccessedDate": ago(91), "CreatedDate": ago(500)},
        {"CreatedDate": ago(5)},
        {"CreatedDate": ago(500)},
        {"CreatedDate": ago(500), "DeletedDate": ago(2)},
        {},
    ]
    assert Holdings.of(entries, now) == Holdings(secrets=5, unused=2, days=90)
    assert Holdings.of(entries, now, days=3).unused == 3


# --- all of them ----------------------------------------------------------------------------------


def test_all_six_are_there_with_their_arithmetic() -> None:
    """Each once, each with a sum, a note and a title."""
    found = advise(NOTHING)
    assert [a.key for a in found] == [
        "fewer-secrets",
        "aws-key",
        "caching",
        "rotation-interval",
        "tags",
        "unused-secrets",
    ]
    assert len(STRATEGIES) == 6
    assert all(a.title and a.sums and a.note for a in found)
    assert [a.key for a in found if a.done] == ["caching"]


def test_a_price_book_of_ones_own_is_used() -> None:
    """In every line."""
    dear = PriceBook(secret_month=Decimal(100))
    usage = replace(NOTHING, per_secret=secrets("web/a", "web/b"))
    assert advise(usage, dear)[0].saves == 100


def test_the_time_is_the_mean_life_of_the_processes_unless_it_is_given() -> None:
    """Of two that lived for half a month together."""
    usage = replace(NOTHING, processes=2, seconds=MONTH / 2, rotations=2)
    by_life = rotation_interval(Seen(usage, MONTH / 4)).saves
    assert advise(usage)[3].saves == by_life
    assert advise(usage, seconds=MONTH)[3].saves != by_life


@pytest.mark.parametrize("usage", [Usage.none(), NOTHING])
def test_nothing_saves_nothing(usage: Usage) -> None:
    """And divides by nothing."""
    assert {a.saves for a in advise(usage)} == {Decimal(0), None}


@given(
    st.integers(0, 10**9),
    st.integers(0, 10**6),
    st.integers(0, 10**5),
    st.floats(1, 1e8),
    st.integers(1, 1000),
)
@settings(deadline=None, database=None)
def test_advice_is_the_same_for_a_part_carried_on(
    reads: int, calls: int, rotations: int, seconds: float, times: int
) -> None:
    """So many times the same in so many times the time is the same a month."""
    usage = replace(
        NOTHING,
        misses=reads,
        rotations=rotations,
        api_calls={"GetSecretValue": calls},
        baselines={"no cache": {"GetSecretValue": reads}},
    )
    more = replace(
        usage,
        misses=reads * times,
        rotations=rotations * times,
        api_calls={"GetSecretValue": calls * times},
        baselines={"no cache": {"GetSecretValue": reads * times}},
    )
    for one, other in zip(
        advise(usage, seconds=seconds), advise(more, seconds=seconds * times), strict=True
    ):
        assert _close(one, other)


def _close(one: Advice, other: Advice) -> bool:
    if one.saves is None or other.saves is None:
        return one.saves is other.saves
    return abs(one.saves - other.saves) <= abs(one.saves) * Decimal("1e-9")
