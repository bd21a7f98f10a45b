"""Every interleaving of one rotation with one login: the login must win, and quickly."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretsClient
from smclient.testing import Call, FakeBackend, FakeClock, Queued


class Refused(Exception):
    """What asyncpg raises for a wrong password."""

    sqlstate = "28P01"


Refused.__module__ = "asyncpg.exceptions"

LAST = 9  # more events than a login ever has


class World:
    """A database and a secret that a rotation moves on, event by event of one login.

    An event is an ask at the backend or a login at the database; before event ``n`` every phase
    whose turn is ``n`` or earlier takes place.
    """

    def __init__(self, *, user_of: Any = lambda n: "app") -> None:
        self.user_of = user_of
        self.backend = FakeBackend()
        self.accepted: dict[str, str] = {}
        self.version = -1
        self.turns: list[int] = []
        self.events = 0
        self.phase = 0
        self.tried: list[str] = []
        self.rotate_at([])
        for _ in range(2):
            self.version += 1
            self._put("AWSCURRENT")
            self._accept()

    def _put(self, stage: str) -> None:
        n = self.version
        content = {"username": self.user_of(n), "password": f"p{n}"}
        self.backend.put("db", content, stages=[stage], version_id=f"v{n}")

    def _accept(self) -> None:
        self.accepted[self.user_of(self.version)] = f"p{self.version}"

    def rotate_at(self, turns: list[int]) -> None:
        self.turns, self.events, self.phase = sorted(turns), 0, 0
        self.tried.clear()
        self.backend.before = self.event

    def event(self, call: Call | None = None) -> None:
        while self.phase < len(self.turns) and self.turns[self.phase] <= self.events:
            self.next_phase()
        self.events += 1

    def next_phase(self) -> None:
        kind = self.phase % 3
        if kind == 0:
            self.version += 1
            self._put("AWSPENDING")
        elif kind == 1:
            self._accept()
        else:
            self.backend.move("db", "AWSCURRENT", f"v{self.version}")
            self.backend.move("db", "AWSPENDING", None)
        self.phase += 1

    def connect(self, user: str, password: str) -> str:
        self.event()
        assert password not in self.tried, "the same credentials twice"
        self.tried.append(str(password))
        if self.accepted.get(user) != password:
            raise Refused
        return str(password)


def alternating(n: int) -> str:
    return ("app", "app_clone")[n % 2]


def log_in(world: World, client: SecretsClient) -> None:
    password = client.connect("db", world.connect)
    assert password in world.accepted.values()
    assert len(world.tried) <= 4


@pytest.mark.parametrize("rotations_before", [0, 1, 2], ids="cached {} rotations ago".format)
@pytest.mark.parametrize("user_of", [lambda n: "app", alternating], ids=["single", "alternating"])
def test_a_login_wins_through_a_rotation_at_any_moment(rotations_before: int, user_of: Any) -> None:
    """createSecret, setSecret and finishSecret each before any event of it, also several at once;
    without waiting, unless two of them fell between its questions."""
    for turns in combinations_with_replacement(range(LAST), 3):
        world, clock = World(user_of=user_of), FakeClock()
        client = SecretsClient(world.backend, clock=clock, worker=Queued())
        client.get("db")
        world.rotate_at([0] * 3 * rotations_before)
        world.event()
        world.rotate_at(list(turns))
        log_in(world, client)
        assert clock.slept == [], turns
        client.close()


@pytest.mark.parametrize("user_of", [lambda n: "app", alternating], ids=["single", "alternating"])
def test_a_login_wins_through_a_rotation_that_stops_anywhere(user_of: Any) -> None:
    """A function that fails leaves its phase as it is, for hours."""
    for phases in range(4):
        for turns in combinations_with_replacement(range(LAST), phases):
            world = World(user_of=user_of)
            client = SecretsClient(world.backend, clock=FakeClock(), worker=Queued())
            client.get("db")
            world.rotate_at(list(turns))
            for _ in range(3):
                world.tried.clear()
                log_in(world, client)
            client.close()


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, LAST), max_size=3),
            st.sampled_from([0.0, 0.5, 299.0, 300.0, 3600.0]),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_a_process_lives_through_many_rotations(
    history: list[tuple[list[int], float, bool]], alternates: bool
) -> None:
    """One login after the other, with the phases of rotations, time and refreshes between.

    One login sees the phases of one rotation. If a rotation ends and the next one makes and sets
    its password all within one login, the pending password may have been refused a moment before
    it was set, and the same credentials are never tried twice: that login may be lost.
    """
    world, clock, worker = (
        World(user_of=alternating if alternates else lambda n: "app"),
        FakeClock(),
        Queued(),
    )
    client = SecretsClient(world.backend, clock=clock, worker=worker)
    done = 0
    for turns, seconds, works in history:
        start = done % 3
        world.rotate_at([-1] * start + turns[: 3 - start])
        world.phase = start  # the phases of a rotation that is under way are not begun again
        log_in(world, client)
        done += world.phase - start
        clock.advance(seconds)
        if works:
            world.rotate_at([])
            worker.run()
    client.close()
