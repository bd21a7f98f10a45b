"""The login ladder: which credentials to try, in which order, when to stop. No I/O.

    remembered winner → cached AWSCURRENT → fresh AWSCURRENT → AWSPENDING → AWSPREVIOUS

``login_plan`` is a generator: it yields what to do (``Ask``, ``Login``, ``Pause``) and is told how
that went. The shell that drives it, sync or async, decides nothing. Rules it keeps:

* never the same user name and password twice, and both from one version;
* at most four logins; at most one more after an error that is not clearly about the password;
* an error that is not about the password ends it at once;
* once all was tried, another round only while a rotation is known to be under way: AWSPENDING is
  there, a label was seen to move, or credentials are refused that logged in before (AWS's reads may
  lag some seconds behind). If a label moved during this very round, at once; else after a short
  wait with jitter, for ``wait`` seconds in all.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from smclient import drivers
from smclient.drivers import LOGIN_FIELDS, Verdict
from smclient.errors import LoginHeldBackError, SecretContentError
from smclient.forking import survive_fork
from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS, SecretValue

C = TypeVar("C")

MAX_LOGINS = 4
CACHED = "cached"
REMEMBERED = "remembered"

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 1.0
_RECENT = 60.0
_BREAKER_FAILURES = 5
_BREAKER_WINDOW = 60.0
_BREAKER_OPEN = 30.0

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
                return _lost(walk)
            yield Pause(seconds)
            pause = min(pause * 2, _LAST_PAUSE)
        else:
            return _lost(walk)
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


def _try(walk: _Walk, value: SecretValue, step: str) -> _Trial:
    if not walk.wants(value):
        return None
    verdict, digest = (yield Login(value, step)), walk.digest(value)
    walk.tried[digest] = value.version_id
    walk.logins_left -= 1
    if verdict is None:
        walk.memory.won(walk.secret, value, step, digest, walk.now())
        return walk.outcome(value, step)
    if verdict is Verdict.NO:
        return walk.outcome()
    walk.under_way |= walk.memory.was_good(walk.secret, digest)
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


class LoginMemory:
    """What a client remembers between logins, by ARN: winners, moved labels, exhausted ladders."""

    def __init__(self, max_stale: float) -> None:
        self._lock = threading.Lock()
        self._max_stale = max_stale
        self._winners: dict[str, tuple[SecretValue, float]] = {}
        self._moved_at: dict[str, float] = {}
        self._losses: dict[str, list[tuple[float, frozenset[bytes]]]] = {}
        self._good: dict[str, bytes] = {}
        survive_fork(self)

    def after_fork(self) -> None:
        """What was remembered is true for the child too."""
        self._lock = threading.Lock()

    def winner(self, secret: str, now: float) -> SecretValue | None:
        """The version that won last, if it was not AWSCURRENT; for ``max_stale`` seconds."""
        with self._lock:
            value, since = self._winners.get(secret, (None, now))
            if value is not None and now - since >= self._max_stale:
                del self._winners[secret]
                return None
            return value

    def won(self, secret: str, value: SecretValue, step: str, digest: bytes, now: float) -> None:
        """A login succeeded: remember a winner that is not AWSCURRENT, forget failures."""
        with self._lock:
            self._good[secret] = digest
            self._losses.pop(secret, None)
            if step in (CACHED, AWSCURRENT):
                self._winners.pop(secret, None)
            elif step != REMEMBERED:
                self._winners[secret] = (value, now)

    def was_good(self, secret: str, digest: bytes) -> bool:
        """Whether the last login of a secret was won with these credentials: if they are refused
        now, somebody changed them."""
        with self._lock:
            return self._good.get(secret) == digest

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._good.clear()
            self._winners.clear()
            self._moved_at.clear()
            self._losses.clear()

    def moved(self, secret: str, now: float) -> None:
        """AWSCURRENT moved: winners of before are over."""
        with self._lock:
            self._moved_at[secret] = now
            self._winners.pop(secret, None)
            self._losses.pop(secret, None)

    def moved_recently(self, secret: str, now: float) -> bool:
        """Whether AWSCURRENT was seen to move within a minute."""
        with self._lock:
            moved_at = self._moved_at.get(secret)
            return moved_at is not None and now - moved_at <= _RECENT

    def lost(self, secret: str, tried: dict[bytes, str], now: float) -> None:
        """A whole ladder failed: one step nearer to the breaker, unless all was held back. That
        these credentials were good once is no reason to wait again."""
        if not tried:
            return
        with self._lock:
            self._good.pop(secret, None)
            losses = self._losses.setdefault(secret, [])
            losses.append((now, frozenset(tried)))
            del losses[:-_BREAKER_FAILURES]

    def blocked(self, secret: str, digest: bytes, now: float) -> bool:
        """Whether these credentials failed so often that another try risks a lock-out: five whole
        ladders within a minute, then no more for 30 s, or until labels move."""
        with self._lock:
            losses = self._losses.get(secret, [])
            if len(losses) < _BREAKER_FAILURES:
                return False
            first, last = losses[0][0], losses[-1][0]
            in_burst = last - first <= _BREAKER_WINDOW and now - last < _BREAKER_OPEN
            return in_burst and any(digest in digests for _, digests in losses)
