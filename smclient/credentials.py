"""The login ladder: which credentials to try, in which order, when to stop. No I/O.

    remembered winner → cached AWSCURRENT → fresh AWSCURRENT → AWSPENDING → AWSPREVIOUS

``login_plan`` is a generator: it yields what to do (``Ask``, ``Login``, ``Pause``) and is told how
that went. The shell that drives it, sync or async, decides nothing. Rules it keeps:

* never the same user name and password twice, and both from one version;
* at most four logins; at most one more after an error that is not clearly about the password;
* the last of the four is kept for a version younger than all that won so far, as long as waiting
  for one makes sense: reads that lag may show one old version after the other;
* an error that is not about the password ends it at once;
* once all was tried, another round only while a rotation is known to be under way: AWSPENDING is
  there, a label was seen to move, or credentials are refused that logged in before (AWS's reads may
  lag some seconds behind). If a label moved during this very round, at once; else after a short
  wait with jitter, for ``wait`` seconds in all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from smclient import drivers
from smclient.drivers import LOGIN_FIELDS, Verdict
from smclient.errors import LoginHeldBackError, SecretContentError
from smclient.login_memory import CACHED, REMEMBERED, LoginMemory
from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS, SecretValue

C = TypeVar("C")

MAX_LOGINS = 4

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 1.0

_DIGEST_KEY = os.urandom(32)


@dataclass(frozen=True, slots=True)
class Ask:
    """Fetch the version at a stage from the backend. Told: the value, or ``None`` for no such."""

    stage: str


@dataclass(frozen=True, slots=True)
class Login:
    """Try these credentials. Told: ``None`` for success, else the ``Verdict`` on the error."""

    value: SecretValue
    step: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds. Told: nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a ladder ended: the value that won, or none; and the versions that were tried."""

    secret: str
    won: SecretValue | None
    step: str | None
    tried: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def note(self) -> str:
        """A sentence for whoever reads the driver's error."""
        held_back = f"; held back: {', '.join(self.skipped)}" if self.skipped else ""
        return (
            f"smclient: secret {self.secret}, versions tried: "
            f"{', '.join(self.tried) or 'none'}{held_back}"
        )


Step = Ask | Login | Pause
Plan = Generator[Step, Any, Outcome]


@dataclass
class _Walk:
    """What one climb of the ladder has seen so far."""

    secret: str
    memory: LoginMemory
    digest: Callable[[SecretValue], bytes]
    now: Callable[[], float]
    current: str
    tried: dict[bytes, str] = field(default_factory=dict)
    skipped: dict[str, None] = field(default_factory=dict)
    logins_left: int = MAX_LOGINS
    under_way: bool = False
    moved: bool = False
    signs: set[tuple[str, str]] = field(default_factory=set)
    put_off: dict[bytes, tuple[SecretValue, str]] = field(default_factory=dict)

    def outcome(self, won: SecretValue | None = None, step: str | None = None) -> Outcome:
        return Outcome(self.secret, won, step, tuple(self.tried.values()), tuple(self.skipped))

    def see(self, stage: str, value: SecretValue) -> None:
        """Notice from an answer that labels move."""
        if stage == AWSCURRENT and value.version_id != self.current:
            self.current = value.version_id
            self.note_move(stage, value)
        elif stage == AWSPENDING and value.version_id != self.current:
            self.under_way = True
        elif stage == AWSPREVIOUS and value.version_id == self.current:
            self.note_move(stage, value)

    def note_move(self, stage: str, value: SecretValue) -> None:
        """The first such sign is worth another round at once; the same again is a lagging read."""
        sign = (stage, value.version_id)
        self.moved |= sign not in self.signs
        self.under_way |= sign in self.signs
        self.signs.add(sign)

    def wants(self, value: SecretValue) -> bool:
        """Whether these credentials are worth a login."""
        digest = self.digest(value)
        if digest in self.tried:
            return False
        if self.memory.blocked(self.secret, digest, self.now()):
            self.skipped[value.version_id] = None
            return False
        return True


def login_plan(
    cached: SecretValue,
    *,
    ladder: Sequence[str],
    memory: LoginMemory,
    digest: Callable[[SecretValue], bytes],
    wait: float,
    now: Callable[[], float],
    spread: Callable[[], float],
) -> Plan:
    """The steps of one login, beginning with the AWSCURRENT that the cache gave.

    The result is an ``Outcome``. The memory is brought up to date on the way.
    """
    walk = _Walk(cached.arn, memory, digest, now, cached.version_id)
    deadline = now() + wait
    pause = _FIRST_PAUSE
    outcome = yield from _try_remembered(walk)
    outcome = outcome or (yield from _try(walk, cached, CACHED))
    while outcome is None:
        for stage in ladder:
            outcome = yield from _try_remembered(walk)
            outcome = outcome or (yield from _ask_and_try(walk, stage))
            if outcome is not None:
                return outcome
        if walk.moved:
            walk.moved = False  # a label moved between two answers: they may have missed each other
        elif walk.under_way or memory.moved_recently(walk.secret, now()):
            seconds = min(pause * (0.5 + 0.5 * spread()), deadline - now())
            if seconds <= 0:
                return (yield from _try_put_off(walk)) or _lost(walk)
            yield Pause(seconds)
            pause = min(pause * 2, _LAST_PAUSE)
        else:
            return (yield from _try_put_off(walk)) or _lost(walk)
    return outcome


_Trial = Generator[Step, Any, Outcome | None]


def _try_remembered(walk: _Walk) -> _Trial:
    winner = walk.memory.winner(walk.secret, walk.now())
    return None if winner is None else (yield from _try(walk, winner, REMEMBERED))


def _ask_and_try(walk: _Walk, stage: str) -> _Trial:
    value = yield Ask(stage)
    if value is None:
        return None
    walk.see(stage, value)
    return (yield from _try(walk, value, stage))


def _try_put_off(walk: _Walk) -> _Trial:
    """Nothing new came: the last login goes to what was put off for it."""
    for value, step in walk.put_off.values():
        return (yield from _try(walk, value, step, last=True))
    return None


def _try(walk: _Walk, value: SecretValue, step: str, *, last: bool = False) -> _Trial:
    if not walk.wants(value):
        return None
    digest = walk.digest(value)
    if walk.logins_left == 1 and not last and walk.memory.is_old(value):
        walk.put_off.setdefault(digest, (value, step))
        return None
    verdict = yield Login(value, step)
    walk.tried[digest] = value.version_id
    walk.logins_left -= 1
    if verdict is None:
        walk.memory.won(walk.secret, value, step, digest, walk.now())
        return walk.outcome(value, step)
    if verdict is Verdict.NO:
        return walk.outcome()
    walk.under_way |= walk.memory.was_good(walk.secret, digest)
    walk.memory.refused(value)
    if verdict is Verdict.MAYBE:
        walk.logins_left = min(walk.logins_left, 1)
    return _lost(walk) if walk.logins_left <= 0 else None


def _lost(walk: _Walk) -> Outcome:
    walk.memory.lost(walk.secret, walk.tried, walk.now())
    return walk.outcome()


class _Trials:
    """What the database said in one climb; the same for both shells."""

    def __init__(self, refused: Callable[[], None]) -> None:
        self._refused = refused
        self._last: Exception | None = None
        self._handled = sys.exception()  # what a caller is handling says nothing about this login

    def judge(self, error: Exception) -> Verdict:
        """What an error means for the plan."""
        if self._last is not None and isinstance(error, SecretContentError):
            return Verdict.YES  # unfit content of a later version must not hide what came before
        self._last = error
        verdict = drivers.verdict(error, but=self._handled)
        if verdict is not Verdict.NO:
            self._refused()
        return verdict

    def error(self, outcome: Outcome) -> Exception:
        """What to raise in the end: the driver's last error, with a note, without the password."""
        error = self._last or LoginHeldBackError(
            f"{outcome.note()}; a login would repeat what a database refused in five whole rounds "
            "within a minute and may lock the account; it is tried again after 30 s"
        )
        drivers.scrub(error, but=self._handled)
        error.add_note(outcome.note())
        return error


def drive(
    plan: Plan,
    *,
    ask: Callable[[str], SecretValue | None],
    login: Callable[[SecretValue], C],
    sleep: Callable[[float], None],
    refused: Callable[[], None],
) -> tuple[Outcome, C]:
    """Carry out a plan: the sync shell of ``login_plan``.

    Raises:
        The error of the last login that a database refused, with the versions tried as a note.
    """
    trials, connections = _Trials(refused), list[C]()
    reply: Any = None
    while True:
        try:
            step = plan.send(reply)
        except StopIteration as end:
            return _ended(end.value, connections, trials)
        reply = None
        match step:
            case Ask(stage):
                reply = ask(stage)
            case Pause(seconds):
                sleep(seconds)
            case Login(value):
                try:
                    connections.append(login(value))
                except Exception as error:  # noqa: BLE001  each driver has a tree of its own
                    reply = trials.judge(error)


async def adrive(
    plan: Plan,
    *,
    ask: Callable[[str], Awaitable[SecretValue | None]],
    login: Callable[[SecretValue], Awaitable[C]],
    sleep: Callable[[float], Awaitable[None]],
    refused: Callable[[], None],
) -> tuple[Outcome, C]:
    """Carry out a plan: the async shell of ``login_plan``. Raises what ``drive`` does."""
    trials, connections = _Trials(refused), list[C]()
    reply: Any = None
    while True:
        try:
            step = plan.send(reply)
        except StopIteration as end:
            return _ended(end.value, connections, trials)
        reply = None
        match step:
            case Ask(stage):
                reply = await ask(stage)
            case Pause(seconds):
                await sleep(seconds)
            case Login(value):
                try:
                    connections.append(await login(value))
                except Exception as error:  # noqa: BLE001  each driver has a tree of its own
                    reply = trials.judge(error)


def _ended(outcome: Outcome, connections: list[C], trials: _Trials) -> tuple[Outcome, C]:
    if outcome.won is None:
        raise trials.error(outcome)
    return outcome, connections[0]


def credential_digest(value: SecretValue, fields: Sequence[str] = LOGIN_FIELDS) -> bytes:
    """A keyed digest of user name and password, to compare credentials without keeping them."""
    try:
        parts = [str(value.fields.get(name)) for name in fields]
    except SecretContentError:
        parts = [value.binary.hex() if value.is_binary else value.text]
    from hashlib import blake2b

    return blake2b("\0".join(parts).encode(), key=_DIGEST_KEY, digest_size=16).digest()
