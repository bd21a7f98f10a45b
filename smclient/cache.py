"""What is held in memory: one entry per secret, however it is named. No I/O, no clock, no sleep.

A value that is held for a reader is a ``Held``: it never changes, so a reader needs no lock. Every
change makes a new ``Held`` and swaps it in under the lock. ``SecretCache.hot`` maps an id as it was
asked to the AWSCURRENT of its secret; that one dict is all that a hit reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cachetools import LRUCache

from smclient.errors import IdentityMismatchError
from smclient.forking import survive_fork
from smclient.metering import Baseline, Meter, Tally
from smclient.refresh import Freshness, freshness
from smclient.secret import ARN_SUFFIX, SecretRef, SecretValue

Selector = tuple[str | None, str | None]
"""Stage and version id of a ``SecretRef``: which version of a secret is meant."""

_ENTRY_OVERHEAD = 1024
_SEEN = 16_384  # secrets, held or not, whose move is noticed


class Held:
    """One value as it is served, with its times (monotonic seconds). Never changes.

    ``skew`` is what the time of day was ahead of the monotonic clock when it was fetched.
    """

    __slots__ = (
        "baseline",
        "due_at",
        "expires_at",
        "failures",
        "fetched_at",
        "hit",
        "ref",
        "skew",
        "value",
        "wake_at",
        "wake_wall",
    )

    def __init__(
        self,
        ref: SecretRef,
        value: SecretValue,
        *,
        fetched_at: float,
        due_at: float,
        expires_at: float,
        skew: float,
        tally: Tally,
        baseline: Baseline,
        failures: int = 0,
    ) -> None:
        self.ref = ref
        self.value = value
        self.fetched_at = fetched_at
        self.due_at = due_at
        self.expires_at = expires_at
        self.failures = failures
        self.baseline = baseline
        self.hit = tally.tick
        self.skew = skew
        self.wake_at = min(due_at, expires_at, baseline.next_due)
        self.wake_wall = self.wake_at + skew

    def later(self, monotonic: float, wall: float) -> float:
        """The moment by whichever clock says it is later: a machine that was frozen knows it by the
        time of day only, and one whose time of day was set back by the monotonic clock."""
        return max(monotonic, wall - self.skew)

    def freshness(self, now: float, max_age: float | None = None) -> Freshness:
        """Whether it may be served at ``now``."""
        return freshness(
            now,
            fetched_at=self.fetched_at,
            due_at=self.due_at,
            expires_at=self.expires_at,
            max_age=max_age,
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """AWSCURRENT was seen on another version than before; ``created`` is that version's date."""

    arn: str
    old_version_id: str
    new_version_id: str
    created: datetime | None = None


class _Entry:
    """Everything held of one secret: a ``Held`` per stage or version that was asked for."""

    __slots__ = ("aliases", "arn", "held", "hits_at_fetch", "name", "seen_hits", "tally")

    def __init__(self, arn: str, name: str, tally: Tally) -> None:
        self.arn = arn
        self.name = name
        self.tally = tally
        self.aliases: set[str] = set()
        self.held: dict[Selector, Held] = {}
        self.seen_hits = 0
        self.hits_at_fetch = 0

    def size(self) -> int:
        return _ENTRY_OVERHEAD + sum(held.value.size() for held in self.held.values())


class SecretCache:
    """A bounded set of held values. Writers lock; readers of ``hot`` do not."""

    def __init__(self, *, max_secrets: int, max_bytes: int, meter: Meter) -> None:
        self.hot: dict[str, Held] = {}
        self.kept_beside: Callable[[], list[SecretValue]] = list
        self._lock = threading.RLock()
        self._max_secrets = max_secrets
        self._meter = meter
        self._entries: LRUCache[str, _Entry] = LRUCache(max_bytes, getsizeof=_Entry.size)
        self._aliases: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._home: list[str] | None = None
        self._dropped: dict[str, int] = {}
        self._cleared = 0
        self.generation = 0
        self.evicted = 0
        survive_fork(self)

    def after_fork(self) -> None:
        """Values stay, unless a thread of the parent was just changing them."""
        whole = self._lock.acquire(blocking=False)
        self._lock = threading.RLock()
        self.evicted = 0
        if not whole:
            self._entries = LRUCache(self._entries.maxsize, getsizeof=_Entry.size)
            self.clear()

    # --- reading --------------------------------------------------------------------------------

    def look(self, ref: SecretRef) -> Held | None:
        """What is held for a reference, whatever its age."""
        with self._lock:
            entry = self._find(ref.secret_id)
            return None if entry is None else entry.held.get(_selector(ref))

    def count(self) -> int:
        """How many secrets are held."""
        with self._lock:
            return len(self._entries)

    def values(self) -> list[SecretValue]:
        """Every value that is in memory, of every stage: held here, or kept beside."""
        with self._lock:
            held = [held.value for entry in self._entries.values() for held in entry.held.values()]
        return held + self.kept_beside()

    # --- writing --------------------------------------------------------------------------------

    def store(
        self,
        ref: SecretRef,
        value: SecretValue,
        *,
        fetched_at: float,
        due_at: float,
        expires_at: float,
        skew: float,
        generation: int,
    ) -> Moved | None:
        """Hold a value that was fetched for ``ref``; tells if that shows AWSCURRENT moved.

        A value that was asked for before an ``invalidate`` of its secret (``generation`` tells) is
        not held, nor one that was asked for before the one that is held.

        Raises:
            IdentityMismatchError: it is the value of another secret.
        """
        check_identity(ref, value)
        with self._lock:
            if self._is_over(ref, value, generation):
                return None
            entry = self._entries.get(value.arn) or _Entry(
                value.arn, value.name, self._meter.tally(value.arn)
            )
            old = entry.held.get(_selector(ref))
            if old is not None and old.fetched_at > fetched_at:
                return None
            held = Held(
                ref,
                value,
                fetched_at=fetched_at,
                due_at=due_at,
                expires_at=expires_at,
                skew=skew,
                tally=entry.tally,
                baseline=self._meter.baseline(value.arn),
            )
            moved = self._note_version(value) if ref.is_current else None
            if moved is not None:
                entry.held.clear()  # labels moved: old clear text goes, other labels are asked anew
            entry.held[_selector(ref)] = held
            entry.hits_at_fetch = entry.tally.value()
            self._name(entry, ref.secret_id)
            self._keep(entry)
            return moved

    def put_off(self, ref: SecretRef, *, due_at: float, failures: int = 0) -> None:
        """Look again later: the same value with another due time."""
        with self._lock:
            held = self.look(ref)
            if held is not None:
                self._swap(held, due_at=due_at, failures=failures)

    def due_by(self, moment: float) -> list[Held]:
        """The AWSCURRENT of every secret that is due by then and was read since it was fetched."""
        with self._lock:
            entries = [entry for entry in self._entries.values() if _CURRENT in entry.held]
            return [
                entry.held[_CURRENT]
                for entry in entries
                if entry.held[_CURRENT].due_at <= moment
                and entry.tally.value() > entry.hits_at_fetch
            ]

    def claim(self, held: Held, *, until: float) -> bool:
        """Take the refresh of a stale value upon oneself. True for one caller only; the others
        serve it as fresh ``until`` then."""
        with self._lock:
            if self.look(held.ref) is not held:
                return False
            self._swap(held, due_at=until, failures=held.failures)
            return True

    def rewake(self, held: Held) -> None:
        """Compute anew when the next reader has to look closer."""
        self._swap(held, due_at=held.due_at, failures=held.failures)

    def expire(self, secret_id: str) -> None:
        """Let the next reader of AWSCURRENT be served and a refresh begin."""
        with self._lock:
            held = self.look(SecretRef(secret_id))
            if held is not None:
                self._swap(held, due_at=held.fetched_at, failures=0)

    def drop(self, secret_id: str) -> None:
        """Forget a secret, also what is being fetched of it just now."""
        with self._lock:
            self.generation += 1
            if len(self._dropped) >= self._max_secrets:
                self._dropped.clear()
                self._cleared = self.generation
            self._dropped[secret_id] = self.generation
            for arn in [arn for arn in self._entries if self._means(secret_id, arn)]:
                self._forget(self._entries[arn])

    def refused(self, ref: SecretRef) -> None:
        """Forget what a backend will not give any more: a version, or with AWSCURRENT the secret.

        A stage that is absent or denied says nothing about the other versions.
        """
        if ref.is_current:
            self.drop(ref.secret_id)
            return
        with self._lock:
            entry = self._find(ref.secret_id)
            if entry is not None and entry.held.pop(_selector(ref), None) is not None:
                self._keep(entry)

    def clear(self) -> None:
        """Forget every secret."""
        with self._lock:
            self.generation += 1
            self._cleared = self.generation
            self._dropped.clear()
            self._entries.clear()
            self._aliases.clear()
            self.hot.clear()

    # --- inside ---------------------------------------------------------------------------------

    def _swap(self, held: Held, *, due_at: float, failures: int) -> None:
        with self._lock:
            entry = self._entries.get(held.value.arn)
            if entry is None or entry.held.get(_selector(held.ref)) is not held:
                return
            new = Held(
                held.ref,
                held.value,
                fetched_at=held.fetched_at,
                due_at=due_at,
                expires_at=held.expires_at,
                skew=held.skew,
                tally=entry.tally,
                baseline=held.baseline,
                failures=failures,
            )
            entry.held[_selector(held.ref)] = new
            self._heat(entry)

    def _find(self, secret_id: str) -> _Entry | None:
        arn = self._aliases.get(secret_id)
        return None if arn is None else self._entries.get(arn)

    def _is_over(self, ref: SecretRef, value: SecretValue, generation: int) -> bool:
        names = (ref.secret_id, value.name, value.arn, value.arn[:-ARN_SUFFIX])
        dropped = max(self._dropped.get(name, 0) for name in names)
        return generation < max(dropped, self._cleared)

    def _means(self, secret_id: str, arn: str) -> bool:
        if self._aliases.get(secret_id) == arn:
            return True
        named = arn[:-ARN_SUFFIX].endswith(f":secret:{secret_id}")
        return named and self._home in (None, _place(arn))

    def _note_version(self, value: SecretValue) -> Moved | None:
        before = self._seen.pop(value.arn, None)
        self._seen[value.arn] = value.version_id
        if len(self._seen) > max(_SEEN, 4 * self._max_secrets):
            del self._seen[next(iter(self._seen))]
        if before is None or before == value.version_id:
            return None
        return Moved(value.arn, before, value.version_id, value.created_date)

    def _name(self, entry: _Entry, asked: str) -> None:
        if not asked.startswith("arn:"):
            self._home = _place(entry.arn)
        names = {asked, entry.arn, entry.arn[:-ARN_SUFFIX]}
        if _place(entry.arn) == self._home:
            names.add(entry.name)  # a bare name means the caller's own account and region
        for name in names:
            other = self._find(name)
            if other is not None and other is not entry:
                if name == entry.arn[:-ARN_SUFFIX] and name == other.arn:
                    continue  # a whole ARN that looks like the stem of this one
                if name == entry.name and other.name == name:
                    self._forget(other)  # deleted and made anew: another ARN under the same name
                other.aliases.discard(name)
            self._aliases[name] = entry.arn
            entry.aliases.add(name)

    def _keep(self, entry: _Entry) -> None:
        if entry.size() > self._entries.maxsize:
            self._forget(entry)
            return
        self._entries.pop(entry.arn, None)
        while self._entries and (
            len(self._entries) >= self._max_secrets
            or self._entries.currsize + entry.size() > self._entries.maxsize
        ):
            self._evict_one()
        self._entries[entry.arn] = entry
        self._heat(entry)

    def _evict_one(self) -> None:
        """Evict the least recently used, giving those that were hit meanwhile a second chance."""
        for _ in range(len(self._entries)):
            arn, entry = self._entries.popitem()
            hits = entry.tally.value()
            if hits == entry.seen_hits:
                break
            entry.seen_hits = hits
            self._entries[arn] = entry
        else:
            arn, entry = self._entries.popitem()
        self._forget(entry)
        self.evicted += 1

    def _forget(self, entry: _Entry) -> None:
        self._entries.pop(entry.arn, None)
        for name in entry.aliases:
            if self._aliases.get(name) == entry.arn:
                del self._aliases[name]
                self.hot.pop(name, None)

    def _heat(self, entry: _Entry) -> None:
        current = entry.held.get(_CURRENT)
        for name in entry.aliases:
            if current is None:
                self.hot.pop(name, None)
            else:
                self.hot[name] = current


def check_identity(ref: SecretRef, value: SecretValue) -> None:
    """Refuse an answer that belongs to another secret than the one asked for."""
    asked = ref.secret_id
    if asked.startswith("arn:"):
        same = value.arn == asked or value.arn[:-ARN_SUFFIX] == asked
    else:
        same = value.name == asked
    if not same:
        raise IdentityMismatchError(
            f"asked for secret {asked!r}, the backend answered with {value.name!r} ({value.arn}); "
            "nothing was cached. Check the endpoint."
        )


def _place(arn: str) -> list[str]:
    """Region and account."""
    return arn.split(":")[3:5]


def _selector(ref: SecretRef) -> Selector:
    return ref.version_stage, ref.version_id


_CURRENT: Selector = _selector(SecretRef("any"))
