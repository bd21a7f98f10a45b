"""Refusals are remembered for a moment: many readers of an absent secret make one call."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest

from smclient import (
    AccessDeniedError,
    InvalidRequestError,
    ResourceNotFoundError,
    SecretsClient,
    SmclientError,
    ThrottlingError,
)
from smclient.negative import FIRST, LONGEST, MOST, Negatives
from smclient.secret import SecretRef
from smclient.testing import FakeBackend, FakeClock

REF = SecretRef("db")


def refused(client: SecretsClient, secret_id: str = "absent") -> SmclientError:
    """The error of a read."""
    with pytest.raises(SmclientError) as caught:
        client.get(secret_id)
    return caught.value


def test_a_hundred_reads_of_an_absent_secret_make_one_call(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Each reader gets an error of its own, and all are counted as reads."""
    errors = {id(error) for error in [refused(client) for _ in range(100)]}
    assert backend.count("GetSecretValue") == 1
    assert len(errors) == 100
    assert client.usage().misses == 100


def test_a_secret_that_appears_is_found_soon(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """After a second at the latest, the first time."""
    refused(client)
    backend.put("absent", "there now")
    clock.advance(FIRST)
    assert client.get("absent").text == "there now"


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.refresh("absent"),
        lambda client: client.get("absent", max_age=0),
        lambda client: client.invalidate("absent") or client.get("absent"),
        lambda client: client.invalidate() or client.get("absent"),
    ],
    ids=["refresh", "max_age", "invalidate", "invalidate all"],
)
def test_who_insists_is_not_answered_from_memory(
    ask: Callable[[SecretsClient], object], client: SecretsClient, backend: FakeBackend
) -> None:
    """A refusal is no reason not to ask when told to."""
    refused(client)
    backend.put("absent", "there now")
    assert ask(client).text == "there now"  # type: ignore[attr-defined]


def test_a_secret_made_through_the_client_is_read_at_once(client: SecretsClient) -> None:
    """Read your writes."""
    refused(client)
    client.call("CreateSecret", Name="absent", SecretString="made")
    assert client.get("absent").text == "made"


def test_a_connect_is_not_refused_from_memory_for_another_stage(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """An absent AWSPENDING says nothing about AWSCURRENT."""
    with pytest.raises(ResourceNotFoundError):
        client.get("db", version_stage="AWSPENDING")
    assert client.get("db")["password"] == "first"


@pytest.mark.parametrize("kind", LONGEST, ids=lambda kind: kind.__name__)
def test_repetitions_hold_longer_up_to_a_bound(kind: type[SmclientError]) -> None:
    """One second, two, four, …; jitter only shortens."""
    negatives, now = Negatives(), 100.0
    held = []
    for _ in range(9):
        negatives.note(REF, kind("no"), now, 0.0)
        steps = (n / 2 for n in range(1, 1000))
        held.append(next(s for s in steps if negatives.recall(REF, now + s) is None))
        now += held[-1]
    assert held == [min(FIRST * 2**n, LONGEST[kind]) for n in range(9)]
    negatives.note(SecretRef("other"), kind("no"), 0.0, 0.999)
    assert negatives.recall(SecretRef("other"), 0.45) is not None
    assert negatives.recall(SecretRef("other"), 0.55) is None


def test_another_kind_of_refusal_starts_anew() -> None:
    """So does what is not remembered at all."""
    negatives = Negatives()
    for _ in range(4):
        negatives.note(REF, AccessDeniedError("no"), 0.0, 0.0)
    negatives.note(REF, ThrottlingError("slow down"), 0.0, 0.0)
    assert isinstance(negatives.recall(REF, 0.9), ThrottlingError)
    assert negatives.recall(REF, 1.0) is None
    negatives.note(SecretRef("marked"), InvalidRequestError("marked for deletion"), 0.0, 0.0)
    assert negatives.recall(SecretRef("marked"), 0.0) is None


def test_what_is_remembered_is_bounded() -> None:
    """A scan over made-up names does not fill the memory."""
    negatives = Negatives()
    for n in range(3 * MOST):
        negatives.note(SecretRef(f"made-up/{n}"), ResourceNotFoundError("no"), 0.0, 0.0)
    assert len(negatives._refusals) <= MOST


def test_a_remembered_refusal_holds_nothing_of_whoever_got_it(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Neither its frames nor what they held: a thousand may be remembered for a minute."""

    class Large:
        """Something that the reader has at hand."""

    def read() -> weakref.ref[Large]:
        at_hand = Large()
        try:
            client.get("absent")
        except ResourceNotFoundError:
            return weakref.ref(at_hand)
        raise AssertionError("it was there")

    first, second = read(), read()
    gc.collect()
    assert first() is None
    assert second() is None
    assert backend.count("GetSecretValue") == 1
