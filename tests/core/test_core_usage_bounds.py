"""Deeper counters are bounded: secrets past the bound share an account."""

from __future__ import annotations

from smclient import SecretValue
from smclient.ledger import Tally
from smclient.testing import FakeBackend
from smclient.usage import OTHERS
from tests.core.helpers_usage import MakeClient, adds_up


def test_secrets_past_the_bound_share_an_account(make_client: MakeClient) -> None:
    """No count is lost; memory does not grow with the number of names."""
    names = [f"s{n}" for n in range(50)]
    client = make_client(FakeBackend(dict.fromkeys(names, "x")), max_secrets=10)
    client._meter._ledger._most = 20
    for _ in range(2):
        for name in names:
            client.get(name)
            client.get(name)
    usage = client.usage()
    assert len(usage.per_secret) == 21
    assert usage.per_secret[OTHERS].reads == 30 * 4
    assert usage.per_secret[OTHERS].hits >= 30 * 2
    adds_up(usage)
    ledger = client._meter._ledger
    assert len(ledger._accounts) == 20
    assert len(ledger._asked) <= 4 * 20
    assert len(client._cache._entries) == 10


def test_a_secret_past_the_bound_has_its_own_second_chance(make_client: MakeClient) -> None:
    """What is evicted is still decided by its own hits, not by those of all others together."""
    client = make_client(FakeBackend(dict.fromkeys("abcde", "x")), max_secrets=3)
    client._meter._ledger._most = 1
    for name in "abc":
        client.get(name)
    for _ in range(3):
        client.get("b")
    client.get("d")
    assert "b" in client._hot
    assert "a" not in client._hot or "c" not in client._hot


def test_the_bound_is_not_below_what_is_held(make_client: MakeClient) -> None:
    """Whoever holds more has accounts for as many."""
    assert make_client(max_secrets=10_000)._meter.most_secrets == 10_000
    assert make_client(max_secrets=10)._meter.most_secrets == 4096


def test_what_moved_is_noticed_for_many_but_not_for_all(make_client: MakeClient) -> None:
    """The memory of versions seen is bounded too."""
    client = make_client(FakeBackend({"db": "x"}), max_secrets=1)
    value = client.get("db")
    for n in range(20_000):
        arn = f"{value.arn[:-10]}{n:010d}"
        client._cache._note_version(_as(value, arn))
    assert len(client._cache._seen) == 16_384


def _as(value: SecretValue, arn: str) -> SecretValue:
    return SecretValue(arn=arn, name=value.name, version_id="v", text="x")


def test_a_tally_of_two_counts_in_both() -> None:
    """And looks at its own."""
    whole = Tally()
    one, other = Tally(also=whole), Tally(also=whole)
    for _ in range(3):
        one.tick()
    other.tick()
    assert (one.value(), other.value(), whole.value()) == (3, 1, 4)
    whole.reset()
    assert (one.value(), whole.value()) == (3, 0)
    one.tick()
    assert (one.value(), whole.value()) == (4, 1)
