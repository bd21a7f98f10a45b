"""The key ring: which keys sign and verify through a rotation, and what looking costs."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigError,
    InvalidReferenceError,
    SecretContentError,
    SecretsClient,
    background,
)
from smclient.allowance import Allowance
from smclient.keyring import BURST, EVERY, RETRY, KeyRing
from smclient.remedies import remedy, with_remedy
from smclient.testing import FakeBackend, FakeClock, Inline

TTL = 60.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"prod/web": {"key": "one"}})


@pytest.fixture
def ring(backend: FakeBackend, clock: FakeClock) -> KeyRing:
    client = SecretsClient(backend, ttl=TTL, jitter=0.0, clock=clock, worker=Inline())
    return KeyRing(client, "secret://prod/web#key")


def look_again(ring: KeyRing) -> bool:
    """As after a signature that fits no key of this moment."""
    return ring.look_again(ring.keys())


def test_a_secret_with_one_version_has_one_key(ring: KeyRing) -> None:
    """The labels that no version has are no keys."""
    assert ring.keys() == ["one"]


def test_all_labels_verify_and_the_current_key_signs(backend: FakeBackend, ring: KeyRing) -> None:
    """Pending before previous, none twice."""
    backend.put("prod/web", {"key": "two"})
    backend.put("prod/web", {"key": "three"}, stages=("AWSPENDING",))
    assert ring.keys() == ["two", "three", "one"]
    assert ring.current() == "two"


def test_the_old_key_verifies_from_the_first_moment_on(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """Without a gap between the reader's seeing the new key and its look at the labels."""
    ring.keys()
    backend.put("prod/web", {"key": "two"})
    backend.before = lambda call: (
        call.stage == "AWSPREVIOUS" and backend.fail_with(BackendUnavailableError("no answer"))
    )
    clock.advance(TTL + 1)
    ring.keys()
    assert ring.keys() == ["two", "one"]


def test_the_key_before_the_last_is_gone(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """Two rotations end what was signed before them."""
    for key in ("two", "three"):
        ring.keys()
        backend.put("prod/web", {"key": key})
        clock.advance(TTL + 1)
        ring.keys()
    assert ring.keys() == ["three", "two"]


def test_labels_are_looked_at_once_a_ttl(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """Also those that are absent, however often keys are asked for."""
    ring.keys()
    calls = len(backend.calls)
    for _ in range(5):
        clock.advance(TTL / 6)
        ring.keys()
    assert len(backend.calls) == calls
    backend.put("prod/web", {"key": "two"}, stages=("AWSPENDING",))
    clock.advance(TTL)
    assert ring.keys() == ["one", "two"]


def test_an_outage_keeps_the_keys_that_are_known(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """And they are looked for again soon after."""
    backend.put("prod/web", {"key": "two"})
    assert ring.keys() == ["two", "one"]
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(TTL + 1)
    assert ring.keys() == ["two", "one"]
    backend.recover()
    backend.put("prod/web", {"key": "three"}, stages=("AWSPENDING",))
    clock.advance(RETRY + 1)
    assert ring.keys() == ["two", "three", "one"]


def test_a_backend_that_hangs_keeps_the_keys_that_are_known(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call for them is under way, and nobody waits for it long."""
    answers = threading.Event()
    monkeypatch.setattr(background, "WAIT", 0.01)
    backend.put("prod/web", {"key": "two"})
    assert ring.keys() == ["two", "one"]
    clock.advance(TTL)
    ring._client.refresh("prod/web")
    backend.before = lambda call: answers.wait(60)
    calls = len(backend.calls)
    try:
        assert ring.would_wait()
        for _ in range(3):
            assert ring.keys() == ["two", "one"]
            assert not ring.would_wait()
        assert len(backend.calls) == calls + 1
    finally:
        answers.set()


def test_a_role_that_may_read_the_current_stage_only_has_a_ring_of_one(
    backend: FakeBackend, ring: KeyRing
) -> None:
    """A denied stage is no error of the application."""
    backend.put("prod/web", {"key": "two"})
    backend.before = lambda call: (
        call.stage in ("AWSPENDING", "AWSPREVIOUS")
        and backend.fail_with(AccessDeniedError("not that stage"))
    )
    assert ring.keys() == ["two"]


def test_a_bad_signature_makes_the_ring_look_again(backend: FakeBackend, ring: KeyRing) -> None:
    """Another process signed with a key that this one has not seen: one call finds it."""
    ring.keys()
    backend.put("prod/web", {"key": "two"})
    assert ring.keys() == ["one"]
    assert look_again(ring)
    assert ring.keys() == ["two", "one"]
    assert not look_again(ring)


def test_keys_that_came_meanwhile_cost_no_call(backend: FakeBackend, ring: KeyRing) -> None:
    """Whoever tried the keys of a moment ago tries those of now."""
    tried = ring.keys()
    backend.put("prod/web", {"key": "two"})
    assert ring.look_again(tried)
    calls = len(backend.calls)
    assert ring.look_again(tried)
    assert len(backend.calls) == calls


def test_many_bad_signatures_at_once_share_one_call(backend: FakeBackend, ring: KeyRing) -> None:
    """A rotation under load: all of them find the new key, however small the allowance."""
    tried = ring.keys()
    backend.put("prod/web", {"key": "two"})
    before = len(backend.calls)
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda _: ring.look_again(tried), range(64)))
    assert all(found)
    assert len(backend.calls) - before == 3  # the current key once, and the two other stages


def test_forged_signatures_cause_few_calls(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """A burst, then one in a while."""
    ring.keys()
    calls = len(backend.calls)
    assert not any(look_again(ring) for _ in range(100))
    assert len(backend.calls) == calls + BURST
    clock.advance(EVERY)
    for _ in range(100):
        look_again(ring)
    assert len(backend.calls) == calls + BURST + 1


def test_an_outage_makes_a_bad_signature_no_worse(backend: FakeBackend, ring: KeyRing) -> None:
    """It is bad, and nothing is raised."""
    ring.keys()
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    assert not look_again(ring)
    assert ring.keys() == ["one"]


def test_event_loops_can_ask_whether_keys_would_wait(
    backend: FakeBackend, clock: FakeClock, ring: KeyRing
) -> None:
    """Before the first read, and when the labels are due."""
    assert ring.would_wait()
    ring.keys()
    assert not ring.would_wait()
    clock.advance(TTL + 1)
    assert ring.would_wait()


def test_binary_keys_stay_bytes(clock: FakeClock) -> None:
    """A random key need not be text."""
    client = SecretsClient(FakeBackend({"key": b"\x00\xff"}), clock=clock, worker=Inline())
    assert KeyRing(client, "secret://key").keys() == [b"\x00\xff"]


def test_no_key_is_shown(backend: FakeBackend, ring: KeyRing) -> None:
    """Neither by the ring nor by what it holds."""
    backend.put("prod/web", {"key": "two-canary"})
    backend.put("prod/web", {"key": "three"})
    ring.keys()
    assert "canary" not in repr(ring) + repr(vars(ring))


@pytest.mark.parametrize(
    "reference", ["secret://a?stage=AWSPREVIOUS", "secret://a?version=1", "aws-secretsmanager:a;b"]
)
def test_a_ring_follows_the_current_version_of_one_secret(reference: str) -> None:
    """Anything else has no ring."""
    with pytest.raises(ConfigError, match="AWSCURRENT"):
        KeyRing(SecretsClient(FakeBackend()), reference)


def test_a_ring_of_no_reference_is_refused() -> None:
    """By the grammar."""
    with pytest.raises(InvalidReferenceError):
        KeyRing(SecretsClient(FakeBackend()), "a plain key")


@pytest.mark.parametrize("reference", ["secret://prod/web#key", "secret://prod/web?optional=1#key"])
@pytest.mark.parametrize("fields", [{"key": ""}, {"key": None}, {}])
def test_an_empty_key_signs_nothing(reference: str, fields: dict[str, str | None]) -> None:
    """Anybody could sign with it, so it is an error, as an absent key is."""
    ring = KeyRing(SecretsClient(FakeBackend({"prod/web": fields})), reference)
    for ask in (ring.current, ring.keys, ring.others):
        with pytest.raises(SecretContentError):
            ask()


def test_an_empty_key_at_another_label_verifies_nothing(
    backend: FakeBackend, ring: KeyRing
) -> None:
    """The others go on."""
    backend.put("prod/web", {"key": ""}, stages=("AWSPENDING",))
    assert ring.keys() == ["one"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_of_a_busy_parent_is_not_blocked(backend: FakeBackend, ring: KeyRing) -> None:
    """The lock that a thread of the parent held at the fork is a new one in the child."""
    ring.keys()
    backend.put("prod/web", {"key": "two"})
    with ring._lock, ring._again:
        child = os.fork()
        if child == 0:
            os._exit(0 if look_again(ring) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_allowance_fills_up_to_its_burst_and_no_further() -> None:
    """However long nobody took."""
    allowance = Allowance(burst=2, every=10.0)
    taken = [allowance.take(now) for now in (0.0, 0.0, 0.0, 5.0, 11.0)]
    assert taken == [True, True, False, False, True]
    assert [allowance.take(1e6) for _ in range(3)] == [True, True, False]


def test_errors_have_remedies() -> None:
    """On one line, after the message; and none is made up for what is not known."""
    denied = AccessDeniedError("secret 'a':\n no.")
    assert "GetSecretValue" in remedy(denied)
    assert with_remedy(denied) == f"secret 'a': no: {remedy(denied)}"
    assert with_remedy(ConfigError("what it is")) == "what it is"
