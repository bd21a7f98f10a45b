"""Reading one secret: what is served from memory, what is asked, what an error does."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    Answer,
    BackendError,
    BackendUnavailableError,
    DecryptionFailureError,
    IdentityMismatchError,
    InternalServiceError,
    InvalidRequestError,
    ResourceNotFoundError,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
    ThrottlingError,
    TransientError,
)
from smclient.refresh import Freshness, RefreshPolicy, freshness
from smclient.testing import Call, FakeBackend, FakeClock, Queued

TTL, MAX_STALE = 300.0, 3600.0
TRANSIENT = [
    ThrottlingError("slow down"),
    InternalServiceError("a fault"),
    BackendUnavailableError("no answer"),
]
LASTING = [
    AccessDeniedError("no"),
    ResourceNotFoundError("gone"),
    InvalidRequestError("marked for deletion"),
    DecryptionFailureError("key disabled"),
]


def password(client: SecretsClient, **how: Any) -> str:
    return str(client.get("db", **how)["password"])


def put(backend: FakeBackend, text: str, **how: Any) -> str:
    return backend.put("db", {"password": text}, **how)


# --- one entry however it is named ----------------------------------------------------------------


def test_ten_reads_are_one_call(client: SecretsClient, backend: FakeBackend) -> None:
    """The first one asks."""
    assert {password(client) for _ in range(10)} == {"first"}
    assert backend.count("GetSecretValue") == 1
    assert len(backend.calls) == 1


@pytest.mark.parametrize("first", ["name", "arn", "partial"])
@pytest.mark.parametrize("second", ["name", "arn", "partial"])
def test_name_arn_and_partial_arn_share_one_entry(
    first: str, second: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """Once a bare name was read, one knows which account and region bare names mean."""
    client.get("other-name") if backend.put("other-name", "x") else None
    backend.calls.clear()
    ids = {"name": "db", "arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}
    client.get(ids[first])
    client.get(ids[second])
    assert len(backend.calls) == 1
    assert client.usage().secrets == 2


def test_an_arn_read_before_any_name_still_makes_one_entry(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The name costs one call more then, and finds the same entry."""
    client.get(backend.arn("db"))
    client.get("db")
    client.get("db")
    assert (client.usage().secrets, len(backend.calls)) == (1, 2)


def test_no_stage_and_awscurrent_are_one_question(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Both spellings share the entry."""
    client.get("db")
    client.get("db", version_stage="AWSCURRENT")
    assert len(backend.calls) == 1


def test_versions_and_stages_are_held_apart(client: SecretsClient, backend: FakeBackend) -> None:
    """A cached AWSCURRENT never answers for another version, nor the other way round."""
    old = backend._labels["db"]["AWSCURRENT"]
    new = put(backend, "second")
    put(backend, "third", stages=["AWSPENDING"])
    for _ in range(2):
        assert password(client) == "second"
        assert password(client, version_stage="AWSPREVIOUS") == "first"
        assert password(client, version_stage="AWSPENDING") == "third"
        assert password(client, version_id=old) == "first"
        assert password(client, version_id=new, version_stage="AWSCURRENT") == "second"
    assert len(backend.calls) == 5
    with pytest.raises(InvalidRequestError):
        client.get("db", version_id=old, version_stage="AWSCURRENT")


def test_a_missing_version_says_nothing_about_the_current_one(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """It is reported, and AWSCURRENT stays held."""
    client.get("db")
    for how in ({"version_stage": "AWSPENDING"}, {"version_id": "no-such"}):
        with pytest.raises(ResourceNotFoundError, match="secret 'db'"):
            client.get("db", **how)
    backend.fail_with(AccessDeniedError("policy: AWSCURRENT only"))
    with pytest.raises(AccessDeniedError, match="stage AWSPREVIOUS"):
        client.get("db", version_stage="AWSPREVIOUS")
    calls = len(backend.calls)
    assert password(client) == "first"
    assert len(backend.calls) == calls


def test_a_version_that_is_refused_is_held_no_more(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """But AWSCURRENT is."""
    put(backend, "second")
    password(client, version_stage="AWSPREVIOUS")
    clock.advance(TTL)
    password(client)
    backend.fail_with(AccessDeniedError("no"), times=2)
    assert password(client, version_stage="AWSPREVIOUS") == "first"
    worker.run()
    with pytest.raises(AccessDeniedError):
        password(client, version_stage="AWSPREVIOUS")
    calls = len(backend.calls)
    assert password(client) == "second"
    assert len(backend.calls) == calls


# --- time -----------------------------------------------------------------------------------------


def test_within_its_ttl_a_value_is_served_without_asking(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """To the last moment."""
    client.get("db")
    clock.advance(TTL - 0.001)
    client.get("db")
    assert (worker.waiting, len(backend.calls)) == ([], 1)


def test_past_its_ttl_a_value_is_served_at_once_and_refreshed_behind(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """One refresh, however many read meanwhile."""
    client.get("db")
    put(backend, "second")
    clock.advance(TTL)
    assert {password(client) for _ in range(10)} == {"first"}
    assert (len(worker.waiting), len(backend.calls)) == (1, 1)
    worker.run()
    assert password(client) == "second"
    assert len(backend.calls) == 2


def test_a_slow_refresh_is_not_repeated_when_it_is_done(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """While it hangs readers may ask again for one; all of these end with the first."""
    client.get("db")
    clock.advance(TTL)
    for _ in range(30):
        client.get("db")
        clock.advance(2)
    worker.run()
    assert len(backend.calls) == 2


def test_refreshes_that_pile_up_in_an_outage_fail_once(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """The back-off holds for all of them."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    for _ in range(30):
        client.get("db")
        clock.advance(2)
    worker.run()
    assert len(backend.calls) == 2


def test_past_max_stale_a_value_is_fetched_first(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """Counted from the fetch, not from the last read or refresh attempt."""
    client.get("db")
    put(backend, "second")
    clock.advance(MAX_STALE - 0.001)
    assert password(client) == "first"
    clock.advance(0.001)
    assert password(client) == "second"
    assert len(backend.calls) == 2


def test_max_stale_counts_from_when_the_backend_was_asked(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A slow answer is old when it comes."""
    backend.before = lambda call: clock.advance(100)
    client.get("db")
    backend.before = lambda call: None
    put(backend, "second")
    clock.advance(MAX_STALE - 100)
    assert password(client) == "second"


@pytest.mark.parametrize("ttl", [5000.0, MAX_STALE])
def test_max_stale_also_bounds_a_longer_ttl(
    ttl: float, make_client: Callable[..., SecretsClient], backend: FakeBackend, clock: FakeClock
) -> None:
    """Nothing is served past it."""
    client = make_client(ttl=ttl)
    client.get("db")
    put(backend, "second")
    clock.advance(MAX_STALE)
    assert password(client) == "second"


def test_max_stale_zero_holds_nothing(
    make_client: Callable[..., SecretsClient], backend: FakeBackend
) -> None:
    """Each read asks."""
    client = make_client(max_stale=0)
    assert [password(client), put(backend, "second") and password(client)] == ["first", "second"]


def test_ttl_zero_serves_at_once_and_looks_each_time(
    make_client: Callable[..., SecretsClient], backend: FakeBackend, worker: Queued
) -> None:
    """Never waiting, never more than one refresh."""
    client = make_client(ttl=0, worker=worker)
    client.get("db")
    put(backend, "second")
    assert [password(client), password(client)] == ["first", "first"]
    assert len(worker.waiting) == 1
    worker.run()
    assert password(client) == "second"


def test_jitter_only_shortens(make_client: Callable[..., SecretsClient], clock: FakeClock) -> None:
    """Over many secrets, refreshes spread over the last part of the TTL, none comes after it."""
    backend = FakeBackend({f"s{n}": "x" for n in range(200)})
    worker = Queued()
    client = make_client(backend, jitter=0.5, worker=worker)
    for n in range(200):
        client.get(f"s{n}")
    due = []
    for percent in (49.9, 75.0, 99.9):
        clock.advance(TTL * percent / 100 - clock.monotonic())
        for n in range(200):
            client.get(f"s{n}")
        due.append(len(worker.waiting))
        worker.waiting.clear()
        clock.advance(0)
    assert due[0] == 0
    assert 0 < due[1] < 200
    assert due[2] > 0


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999999])
def test_the_due_time_is_within_the_last_part_of_the_ttl(spread: float) -> None:
    """As much as jitter says."""
    policy = RefreshPolicy(ttl=100.0, max_stale=1000.0, jitter=0.2)
    assert policy.due_at(7.0, spread) == 7.0 + 100.0 * (1 - 0.2 * spread)
    assert 7.0 + 80.0 <= policy.due_at(7.0, spread) <= 7.0 + 100.0
    assert policy.expires_at(7.0) == 1007.0


def test_retries_are_spread_over_the_later_half_of_steps_that_double() -> None:
    """From one second to thirty."""
    policy = RefreshPolicy(300.0, 3600.0, 0.1)
    steps = [1, 2, 4, 8, 16, 30, 30, 30]
    for failures, step in enumerate(steps, 1):
        assert policy.retry_at(0.0, failures, 0.0) == step / 2
        assert step * 0.99 < policy.retry_at(0.0, failures, 0.999) < step
    assert policy.retry_at(0.0, 2000, 1.0) == 30.0


@pytest.mark.parametrize(
    ("now", "max_age", "state"),
    [
        (0, None, Freshness.FRESH),
        (9.99, None, Freshness.FRESH),
        (10, None, Freshness.STALE),
        (19.99, None, Freshness.STALE),
        (20, None, Freshness.EXPIRED),
        (0, 0, Freshness.EXPIRED),
        (4.99, 5, Freshness.FRESH),
        (5, 5, Freshness.EXPIRED),
        (15, 16, Freshness.STALE),
        (19.99, 100, Freshness.STALE),
        (20, 100, Freshness.EXPIRED),
    ],
)
def test_freshness_of_a_value(now: float, max_age: float | None, state: Freshness) -> None:
    """Fetched at 0, due at 10, over at 20."""
    found = freshness(now, fetched_at=0.0, due_at=10.0, expires_at=20.0, max_age=max_age)
    assert found is state


# --- max_age --------------------------------------------------------------------------------------


def test_max_age_is_never_exceeded(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A held value is good enough while it is younger; then it is fetched first."""
    client.get("db")
    put(backend, "second")
    clock.advance(4.999)
    assert password(client, max_age=5) == "first"
    clock.advance(0.001)
    assert password(client, max_age=5) == "second"
    assert len(backend.calls) == 2


def test_max_age_zero_always_asks(client: SecretsClient, backend: FakeBackend) -> None:
    """And what it got serves the others."""
    for n in range(3):
        put(backend, f"value {n}")
        assert password(client, max_age=0) == f"value {n}"
        assert password(client) == f"value {n}"
    assert len(backend.calls) == 3


def test_max_age_does_not_lengthen_the_life_of_a_value(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """The TTL and ``max_stale`` hold beside it."""
    client.get("db")
    put(backend, "second")
    clock.advance(TTL)
    assert password(client, max_age=1e9) == "first"
    assert len(worker.waiting) == 1
    clock.advance(MAX_STALE)
    assert password(client, max_age=1e9) == "second"


def test_max_age_raises_rather_than_give_an_older_value(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """In an outage too; others are still served."""
    client.get("db")
    clock.advance(5)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    with pytest.raises(BackendUnavailableError):
        client.get("db", max_age=5)
    assert password(client) == "first"


def test_max_age_does_not_accept_a_call_that_began_before(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its answer may be older than the question."""
    asked, answer = threading.Event(), threading.Event()
    got: list[str] = []
    fetch = backend.fetch

    def late(ref: SecretRef) -> Answer[SecretValue]:
        """Read first, handed over late, as over a slow network."""
        backend.fetch = fetch  # type: ignore[method-assign]
        found = fetch(ref)
        asked.set()
        assert answer.wait(10)
        return found

    backend.fetch = late  # type: ignore[method-assign]
    first = threading.Thread(target=lambda: got.append(password(client)))
    first.start()
    assert asked.wait(10)
    put(backend, "second")
    joining = threading.Event()
    do = client._reader._flights.do
    client._reader._flights.do = lambda *a, **k: (joining.set(), do(*a, **k))[1]  # type: ignore[method-assign]
    second = threading.Thread(target=lambda: got.append(password(client, max_age=0)))
    second.start()
    assert joining.wait(10)
    answer.set()
    first.join(10)
    second.join(10)
    assert sorted(got) == ["first", "second"]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda e: type(e).__name__)
def test_a_transient_error_serves_the_old_value_within_max_stale(
    error: TransientError,
    client: SecretsClient,
    backend: FakeBackend,
    clock: FakeClock,
    worker: Queued,
) -> None:
    """After that it is raised, typed, with the secret named; when it is over, all is well."""
    client.get("db")
    backend.fail_with(error, times=None)
    while clock.monotonic() + 50 < MAX_STALE:
        clock.advance(50)
        assert password(client) == "first"
        worker.run()
    clock.advance(MAX_STALE - clock.monotonic())
    with pytest.raises(type(error), match=r"secret 'db', stage AWSCURRENT: "):
        client.get("db")
    backend.recover()
    clock.advance(60)
    put(backend, "second")
    assert password(client) == "second"


@pytest.mark.parametrize("error", LASTING, ids=lambda e: type(e).__name__)
def test_a_lasting_refusal_takes_effect(
    error: BackendError,
    client: SecretsClient,
    backend: FakeBackend,
    clock: FakeClock,
    worker: Queued,
) -> None:
    """The value is dropped when the refusal is seen, by a refresh or a reader; nothing of it is
    served after, under any name."""
    client.get("db")
    client.get("db", version_stage="AWSCURRENT")
    backend.fail_with(error, times=None)
    clock.advance(TTL)
    assert password(client) == "first"
    worker.run()
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        with pytest.raises(type(error), match="secret '"):
            client.get(secret_id)
    assert client.usage().secrets == 0
    backend.recover()
    clock.advance(60)  # a refusal is remembered for a moment
    assert password(client) == "first"


@pytest.mark.parametrize("error", LASTING, ids=lambda e: type(e).__name__)
def test_a_refused_refresh_drops_the_value_too(
    error: BackendError, client: SecretsClient, backend: FakeBackend
) -> None:
    """Asked by hand."""
    client.get("db")
    backend.fail_with(error, times=None)
    with pytest.raises(type(error)):
        client.refresh("db")
    with pytest.raises(type(error)):
        client.get("db")


def test_a_transient_error_of_a_refresh_leaves_the_value(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """It is raised to whoever asked for the refresh."""
    client.get("db")
    backend.fail_with(ThrottlingError("slow down"))
    with pytest.raises(ThrottlingError):
        client.refresh("db")
    assert password(client) == "first"
    assert len(backend.calls) == 2


def test_after_a_transient_error_the_next_tries_come_later_and_later(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """Each after one back-off, up to 30 s; readers never wait."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL)
    tries: list[float] = []
    backend.before = lambda call: tries.append(clock.monotonic())
    while clock.monotonic() < TTL + 200:
        client.get("db")
        worker.run()
        clock.advance(0.25)
    gaps = [b - a for a, b in itertools.pairwise(tries)]
    for gap, step in zip(gaps, [1, 2, 4, 8, 16, 30, 30, 30], strict=False):
        assert step / 2 <= gap <= step + 0.25
    assert len(gaps) >= 7


def test_a_recovery_resets_the_back_off(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """And the value is new for a whole TTL."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"), times=3)
    clock.advance(TTL)
    for _ in range(40):
        client.get("db")
        worker.run()
        clock.advance(0.5)
    assert len(backend.calls) == 5
    clock.advance(TTL - 30)
    client.get("db")
    assert worker.waiting == []


def test_a_transient_error_of_a_cold_read_is_not_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The next reader asks again."""
    backend.fail_with(BackendUnavailableError("no answer"))
    with pytest.raises(BackendUnavailableError):
        client.get("db")
    assert password(client) == "first"


def test_the_cause_of_an_error_is_kept(client: SecretsClient, backend: FakeBackend) -> None:
    """A backend says what it came from."""
    error = BackendUnavailableError("no answer")
    error.__cause__ = OSError("connection reset")
    backend.fail_with(error)
    with pytest.raises(BackendUnavailableError) as caught:
        client.get("db")
    assert caught.value.__cause__ is error.__cause__


def test_an_answer_of_another_secret_is_refused_and_not_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """By name and by ARN; nothing of it stays."""
    backend.put("other", "not yours")
    right = backend._value
    backend._value = lambda ref: right(SecretRef("other"))  # type: ignore[method-assign]
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        with pytest.raises(IdentityMismatchError, match="'other'") as caught:
            client.get(secret_id)
        assert "not yours" not in str(caught.value)
    assert client.usage().secrets == 0
    backend._value = right  # type: ignore[method-assign]
    assert password(client) == "first"


def test_names_that_only_look_alike_are_not_the_same_secret(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """A name may end in a hyphen and six characters, as ARNs do."""
    backend.put("db-AbCdEf", {"password": "long"})
    backend.put("d", {"password": "short"})
    ids = {"db": "first", "db-AbCdEf": "long", "d": "short"}
    for secret_id, expected in ids.items():
        assert client.get(secret_id)["password"] == expected
        assert client.get(backend.arn(secret_id))["password"] == expected
    for secret_id, expected in reversed(ids.items()):
        assert client.get(backend.arn(secret_id))["password"] == expected
        assert client.get(secret_id)["password"] == expected


def test_a_secret_made_anew_under_its_old_name_takes_its_place(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """It has another ARN; the old value is gone under every name but its ARN's own question."""
    old_arn = backend.arn("db")
    client.get("db")
    backend.remove("db")
    put(backend, "reborn")
    backend.arn = lambda name: f"arn:aws:secretsmanager:eu-west-1:1:secret:{name}-ZzZzZz"  # type: ignore[method-assign]
    clock.advance(MAX_STALE)
    assert password(client) == "reborn"
    assert client.usage().secrets == 1
    assert client.get(backend.arn("db")[:-7])["password"] == "reborn"
    with pytest.raises(ResourceNotFoundError):
        client.get(old_arn)


def test_a_name_of_another_account_is_not_taken_for_one_s_own(
    make_client: Callable[..., SecretsClient],
) -> None:
    """An ARN names a secret anywhere; a bare name means the caller's account and region."""

    class TwoAccounts(FakeBackend):
        def _value(self, ref: SecretRef) -> SecretValue:
            mine = not ref.secret_id.startswith("arn:") or ":123456789012:" in ref.secret_id
            account = "123456789012" if mine else "999999999999"
            return SecretValue(
                arn=f"arn:aws:secretsmanager:eu-west-1:{account}:secret:db-AbCdEf",
                name="db",
                version_id="v",
                text=account,
            )

    client = make_client(TwoAccounts())
    theirs = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:db-AbCdEf"
    assert client.get(theirs).text == "999999999999"
    assert client.get("db").text == "123456789012"
    assert client.get(theirs).text == "999999999999"
    assert client.get("db").text == "123456789012"
    assert client.usage().secrets == 2


# --- refresh, invalidate, call --------------------------------------------------------------------


def test_a_refresh_is_one_call_without_sleeping(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Held or not."""
    client.refresh("db")
    put(backend, "second")
    assert client.refresh("db")["password"] == "second"
    assert password(client) == "second"
    assert (len(backend.calls), clock.slept) == (2, [])


def test_an_invalidated_secret_is_asked_for_again(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """By any of its names; the others stay."""
    backend.put("other", "x")
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        client.get("db")
        client.get("other")
        put(backend, f"after {secret_id}")
        client.invalidate(secret_id)
        assert password(client) == f"after {secret_id}"
    assert client.usage().api_calls == {"GetSecretValue": 5}


def test_a_secret_read_by_arn_is_invalidated_by_name(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Also before any bare name was read."""
    client.get(backend.arn("db"))
    put(backend, "second")
    client.invalidate("db")
    assert client.get(backend.arn("db"))["password"] == "second"


def test_everything_can_be_invalidated(client: SecretsClient, backend: FakeBackend) -> None:
    """In one go."""
    backend.put("other", "x")
    client.get("db")
    client.get("other")
    client.invalidate()
    assert client.usage().secrets == 0
    client.invalidate("never-heard-of")


@pytest.mark.parametrize("names", [("db",), ("arn",), (None,), ("partial",)])
def test_what_was_asked_before_an_invalidation_is_not_held(
    names: tuple[str | None], client: SecretsClient, backend: FakeBackend
) -> None:
    """A fetch in flight may carry the old value; its reader gets it, nobody after."""
    (name,) = names
    ids = {"arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate(ids.get(name or "", name))

    backend.before = meanwhile
    client.get("db")
    put(backend, "second")
    assert password(client) == "second"


def test_invalidating_one_secret_does_not_cost_another_its_fetch(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Nor does a missing one that somebody keeps asking for."""
    backend.put("other", "x")

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate("other")
        with pytest.raises(ResourceNotFoundError):
            client.get("missing")

    backend.before = meanwhile
    client.get("db")
    backend.calls.clear()
    client.get("db")
    assert backend.calls == []


def test_the_memory_of_invalidations_is_bounded(
    make_client: Callable[..., SecretsClient], backend: FakeBackend
) -> None:
    """When it is full, a fetch in flight is not held, whatever it is of; that is safe."""
    client = make_client(max_secrets=3)

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate("db")
        for n in range(10):
            client.invalidate(f"other {n}")

    backend.before = meanwhile
    client.get("db")
    assert len(client._cache._dropped) <= 3
    put(backend, "second")
    assert password(client) == "second"


def test_an_older_answer_does_not_replace_a_newer_one(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A batch that was under way for long must not bring back what a refresh replaced; nor tell of
    a rotation that never was."""
    told: list[Any] = []
    client.on_rotate(told.append)
    late = backend.fetch_many

    def fetch_many(ids: Any) -> Any:
        answer = late(ids)
        clock.advance(1)
        put(backend, "second")
        client.refresh("db")
        return answer

    backend.fetch_many = fetch_many  # type: ignore[method-assign]
    assert client.get_many(["db"]).values["db"]["password"] == "first"
    assert password(client) == "second"
    assert told == []


@pytest.mark.parametrize("by", ["name", "arn", "partial"])
@pytest.mark.parametrize("read_by", ["name", "arn"])
def test_what_a_call_changed_is_read_anew(
    by: str, read_by: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """One reads what one has written, whichever way it was named."""
    ids = {"name": "db", "arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}
    client.get(ids[read_by])
    answer = client.call("PutSecretValue", SecretId=ids[by], SecretString='{"password": "w"}')
    assert answer["ARN"] == backend.arn("db")
    assert client.get(ids[read_by])["password"] == "w"


def test_what_a_call_may_have_changed_is_read_anew(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """An error does not prove that nothing happened."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"))
    with pytest.raises(BackendUnavailableError):
        client.call("PutSecretValue", SecretId="db", SecretString="x")
    put(backend, "second")
    assert password(client) == "second"


def test_a_call_that_changes_nothing_drops_nothing(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Other operations go through as they are."""
    client.get("db")
    with pytest.raises(SmclientError, match="TagResource"):
        client.call("TagResource", SecretId="db", Tags=[])
    client.get("db")
    assert backend.count("GetSecretValue") == 1


def test_a_created_secret_is_read_at_once(client: SecretsClient) -> None:
    """Also where it was looked for before."""
    with pytest.raises(ResourceNotFoundError):
        client.get("new")
    client.call("CreateSecret", Name="new", SecretString="made")
    assert client.get("new").text == "made"
    client.call("DeleteSecret", SecretId="new")
    with pytest.raises(ResourceNotFoundError):
        client.get("new")
