"""Forced refreshes: at once, but not without bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretsClient
from smclient.allowance import AT_ONCE, MOST, PER_SECOND, Allowances
from smclient.testing import FakeBackend, FakeClock


def test_a_loop_that_forces_refreshes_makes_one_call_a_second(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Past the first few; in between everybody gets what the last call brought."""
    client.get("db")
    backend.calls.clear()
    for _ in range(50):
        assert client.refresh("db")["password"] == "first"
    assert len(backend.calls) == AT_ONCE
    for _ in range(10):
        clock.advance(1.0)
        client.refresh("db")
        client.refresh("db")
    assert len(backend.calls) == AT_ONCE + 10


def test_each_secret_has_an_allowance_of_its_own(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """However it is named."""
    backend.put("other", "x")
    client.get("db")
    client.get("other")
    for _ in range(20):
        client.refresh("db")
        client.refresh(backend.arn("db"))
    backend.calls.clear()
    client.refresh("other")
    assert len(backend.calls) == 1


def test_what_the_client_itself_changed_is_always_fetched(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Whoever writes through a client reads what it wrote."""
    client.get("db")
    for number in range(20):
        client.call("PutSecretValue", SecretId="db", SecretString=f'{{"password": "{number}"}}')
        assert client.refresh("db")["password"] == str(number)


def test_the_books_are_bounded() -> None:
    """The one that was forced the longest time ago begins anew."""
    allowance = Allowances()
    for number in range(MOST + 10):
        allowance.take(f"arn:{number}", 0.0)
    assert len(allowance._of) == MOST


@given(st.lists(st.floats(0, 3), max_size=40))
def test_never_more_calls_than_at_once_and_one_a_second(pauses: list[float]) -> None:
    """Whatever the rhythm."""
    allowance, now, calls = Allowances(), 0.0, 0
    for pause in pauses:
        now += pause
        calls += allowance.take("arn", now)
        assert calls <= AT_ONCE + now * PER_SECOND
