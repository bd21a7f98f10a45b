"""The login ladder while labels move between two asks, or reads lag behind them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import SecretsClient
from smclient.testing import Call, FakeBackend, FakeClock
from tests.core.login.helpers_login import Database, WrongPassword, add, finish


def test_labels_that_move_between_two_asks_do_not_slip_through(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """AWSCURRENT was asked before, AWSPENDING after finishSecret: both answers miss the new one."""
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"

    def move(call: Call) -> None:
        if call.stage == "AWSPENDING":
            finish(backend, "v2")
            backend.before = lambda call: None

    client.get("db")
    backend.before = move
    assert client.connect("db", database.connect) == "connected as app"
    assert database.passwords == ["p1", "p2"]
    assert clock.slept == []


def test_reads_that_lag_behind_a_rotation_are_waited_for(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """With jitter, not longer than needed."""
    add(backend, "v2", "AWSPENDING")
    client.get("db")
    database.users["app"] = "p3"

    def catch_up(call: Call) -> None:
        if clock.monotonic() > 1.0:
            add(backend, "v3", "AWSCURRENT")
            backend.before = lambda call: None

    backend.before = catch_up
    client.connect("db", database.connect)
    assert 1.0 < clock.monotonic() < 2.5
    assert database.passwords == ["p1", "p2", "p0", "p3"]


def test_the_wait_is_bounded(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Five seconds in all, in growing steps up to one; no login while nothing new shows."""
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert sum(clock.slept) == pytest.approx(5.0)
    assert len(database.tried) == 3
    assert max(clock.slept) <= 1.0
    for slept, step in zip(clock.slept, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=False):
        assert step / 2 <= slept <= step


@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_the_wait_is_a_setting(
    wait: float,
    make_client: Callable[..., SecretsClient],
    backend: FakeBackend,
    database: Database,
    clock: FakeClock,
) -> None:
    """Zero is none."""
    client = make_client(login_wait=wait)
    add(backend, "v2", "AWSPENDING")
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert sum(clock.slept) == pytest.approx(wait)


def test_without_a_rotation_there_is_no_wait(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """A wrong password is simply wrong."""
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert clock.slept == []


def test_credentials_that_were_good_before_are_waited_for(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Somebody changed them, and reads that lag may show neither AWSPENDING nor a moved label."""
    client.connect("db", database.connect)
    database.users["app"] = "p2"

    def catch_up(call: Call) -> None:
        if clock.monotonic() > 1.0:
            add(backend, "v2", "AWSPENDING")
            backend.before = lambda call: None

    backend.before = catch_up
    client.connect("db", database.connect)
    assert 1.0 < clock.monotonic() < 2.5
    assert database.passwords == ["p1", "p1", "p0", "p2"]


def test_a_password_changed_by_hand_is_waited_for_once(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Then it is simply wrong."""
    client.connect("db", database.connect)
    database.users.clear()
    for waited in (5.0, 5.0):
        with pytest.raises(WrongPassword):
            client.connect("db", database.connect)
        assert sum(clock.slept) == pytest.approx(waited)


def test_a_winner_that_is_ahead_outlives_a_read_that_lags(
    client: SecretsClient, backend: FakeBackend, database: Database
) -> None:
    """A read of before the last rotation shows AWSCURRENT going back: the younger winner is still
    the one that logs in."""
    client.connect("db", database.connect)
    add(backend, "v2", "AWSPENDING")
    database.users["app"] = "p2"
    client.connect("db", database.connect)
    backend.move("db", "AWSCURRENT", "v0")  # what a lagging read shows
    client.refresh("db")
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p2"]


def test_the_last_login_is_kept_for_a_version_that_is_younger_than_the_winners(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Rotations in quick succession, and reads that show three old versions: a fourth old one does
    not use up the login that the pending one needs."""
    for version in ("v2", "v3", "v4"):
        add(backend, version)
        database.users["app"] = "p" + version[1:]
        client.refresh("db")
        client.connect("db", database.connect)
    add(backend, "v5", "AWSPENDING")
    database.users["app"] = "p5"
    lagging = [
        {"AWSCURRENT": old, "AWSPENDING": None, "AWSPREVIOUS": None} for old in ["v3", "v2", "v1"]
    ]
    now = {"AWSCURRENT": "v4", "AWSPENDING": "v5", "AWSPREVIOUS": "v3"}
    shown = iter([*lagging, now])

    def lag(call: Call) -> None:
        if call.stage == "AWSCURRENT":
            for stage, version in next(shown, now).items():
                backend._labels["db"].pop(stage, None)
                if version:
                    backend._labels["db"][stage] = version

    backend.before = lag
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p4", "p3", "p2", "p5"]


def test_the_login_that_was_kept_goes_to_an_old_version_in_the_end(
    client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Nothing younger comes: the database may have been restored from long ago."""
    for version in ("v2", "v3"):
        add(backend, version)
        database.users["app"] = "p" + version[1:]
        client.refresh("db")
        client.connect("db", database.connect)
    add(backend, "v4", "AWSPENDING")
    shown = iter(["v2", "v1", "v0"])

    def lag(call: Call) -> None:
        if call.stage == "AWSPREVIOUS":
            backend._labels["db"]["AWSPREVIOUS"] = next(shown, "v0")

    backend.before = lag
    database.users["app"] = "p1"
    database.tried.clear()
    client.connect("db", database.connect)
    assert database.passwords == ["p3", "p4", "p2", "p1"]


@pytest.mark.parametrize(("minutes", "waits"), [(0.5, True), (1.1, False)])
def test_a_move_within_a_minute_counts_as_a_rotation(
    minutes: float,
    waits: bool,
    client: SecretsClient,
    backend: FakeBackend,
    database: Database,
    clock: FakeClock,
) -> None:
    """Reads may still lag then."""
    client.get("db")
    add(backend, "v2")
    client.refresh("db")
    clock.advance(minutes=minutes)
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert bool(clock.slept) is waits


@pytest.mark.parametrize("lag", ["flapping", "previous"])
def test_reads_that_contradict_each_other_do_not_spin(
    lag: str, client: SecretsClient, backend: FakeBackend, database: Database, clock: FakeClock
) -> None:
    """Eventually consistent answers may go back and forth: few calls, then pauses, then an end."""
    client.get("db")
    flip = [1]

    def contradict(call: Call) -> None:
        if lag == "flapping" and call.stage == "AWSCURRENT":
            flip[0] += 1
            backend._labels["db"]["AWSCURRENT"] = f"v{flip[0] % 2}"
        elif lag == "previous":
            backend._labels["db"]["AWSPREVIOUS"] = "v1"
        assert len(backend.calls) < 200

    backend.before = contradict
    database.users.clear()
    with pytest.raises(WrongPassword):
        client.connect("db", database.connect)
    assert 0 < sum(clock.slept) <= 5.0
    assert len(backend.calls) < 60
