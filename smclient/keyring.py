"""``KeyRing``: the keys that signatures may have been made with, so that rotating a signing key
ends no session.

AWSCURRENT signs. AWSPENDING and AWSPREVIOUS verify too: another process may have seen the rotation
earlier or later than this one. A signature that none of them made is a reason to look once more, as
often as ``Allowance`` lets strangers' forged cookies cause calls.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from smclient import background, references
from smclient.allowance import Allowance
from smclient.client import SecretsClient
from smclient.errors import (
    ConfigError,
    ResourceNotFoundError,
    SecretContentError,
    SmclientError,
)
from smclient.forking import survive_fork
from smclient.refresh import may_serve_stale
from smclient.secret import AWSPENDING, AWSPREVIOUS, SecretRef, SecretValue

OTHER_STAGES = (AWSPENDING, AWSPREVIOUS)
RETRY = 10.0
"""Seconds until the other keys are looked for again after that failed for a while."""
BURST = 5
EVERY = 10.0
"""Looks that bad signatures may cause: so many at once, then one each so many seconds."""

Key = str | bytes
K = TypeVar("K", bound=Key)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the other stages showed, beside which AWSCURRENT. Never changes."""

    version_id: str
    current: Key
    others: tuple[Key, ...]
    due_at: float

    def __repr__(self) -> str:
        return f"_Look({self.version_id!r}, {len(self.others)} other keys)"


class KeyRing:
    """The keys of one reference: the current one, and those that signatures may still carry.

    Args:
        client: reads the secret; the secret's ``ttl`` is also how often its other stages are
            looked at.
        reference: names AWSCURRENT of one secret, with or without a key of its JSON.
        stages: the other staging labels whose keys verify. None: only AWSCURRENT does.

    Raises:
        ConfigError: the reference names a version or another stage, or is a longer text.
        InvalidReferenceError: it is none.
    """

    def __init__(
        self,
        client: SecretsClient,
        reference: str | references.AnyReference,
        *,
        stages: Iterable[str] = OTHER_STAGES,
    ) -> None:
        self.reference = followed(reference)
        self._client = client
        self._stages = tuple(stages)
        self._monotonic = client._clock.monotonic
        self._lock = threading.Lock()
        self._again = threading.Lock()
        self._last: _Look | None = None
        self._allowance = Allowance(BURST, EVERY)
        survive_fork(self)

    def after_fork(self) -> None:
        """Threads of the parent may have held the locks."""
        self._lock = threading.Lock()
        self._again = threading.Lock()

    def current(self) -> Key:
        """The key that signs: AWSCURRENT, as the client holds it.

        Raises:
            What ``SecretsClient.get`` raises; SecretContentError if the key is absent or empty.
        """
        return self._key(self._client.get(self.reference.ref.secret_id))

    def others(self) -> tuple[Key, ...]:
        """The keys that verify beside the current one, newest first, none twice."""
        return tuple(self.keys()[1:])

    def keys(self) -> list[Key]:
        """``current`` first, then those that verify beside it, all of one moment.

        Asks the backend for the others once a ``ttl``, and after AWSCURRENT moved. What cannot be
        read now (the backend is away, or takes longer than ``background.WAIT`` seconds) is kept
        from the last look; a stage that is absent or denied has no key.

        Raises:
            As ``current``.
        """
        value = self._client.get(self.reference.ref.secret_id)
        current = self._key(value)
        look, now = self._last, self._monotonic()
        if look is None or look.version_id != value.version_id or now >= look.due_at:
            look = self._look_unless_busy(value, current, now)
        return [current, *_distinct((look.current, *look.others), but=current)]

    def would_wait(self) -> bool:
        """Whether ``keys`` might ask the backend before it answers; for event loops."""
        held = self._client._reader.may_serve(self.reference.ref)
        look = self._last
        if not held or look is None:
            return True
        return self._monotonic() >= look.due_at and not self._lock.locked()

    def look_again(self, tried: Iterable[Key] | None = None) -> bool:
        """A signature fits none of these keys (default: those of now): is there another by now? If
        not, AWSCURRENT is fetched, where that is allowed again: one call, whoever else asks
        meanwhile.

        Returns whether ``keys`` has one that was not tried, so that verifying once more makes
        sense. Raises nothing of the backend's: the signature is bad then, as it was.
        """
        with self._again:  # whoever waits here profits from the call of whoever was first
            try:
                known = frozenset(self.keys() if tried is None else tried)
                if known.issuperset(self.keys()) and self._allowance.take(self._monotonic()):
                    self._client.refresh(self.reference.ref.secret_id)
                return not known.issuperset(self.keys())
            except SmclientError:
                return False

    def __repr__(self) -> str:
        return f"KeyRing({str(self.reference)!r})"

    # --- inside ---------------------------------------------------------------------------------

    def _look_unless_busy(self, value: SecretValue, current: Key, now: float) -> _Look:
        """Look at the other stages; with what is known already, that is waited for by one thread,
        and not for long."""
        last = self._last
        if last is None:
            with self._lock:
                return self._renewed(value, current, now)
        if not self._lock.locked():
            renew = partial(self._renew_unless_busy, value, current, now)
            background.begin(renew, "smclient-keyring").join(background.WAIT)
        return self._last or last

    def _renew_unless_busy(self, value: SecretValue, current: Key, now: float) -> None:
        lock = self._lock
        if lock.acquire(blocking=False):
            try:
                self._renewed(value, current, now)
            finally:
                lock.release()

    def _renewed(self, value: SecretValue, current: Key, now: float) -> _Look:
        look = self._last
        if look is None or look.version_id != value.version_id or now >= look.due_at:
            look = self._last = self._look(value, current, now, look)
        return look

    def _look(self, value: SecretValue, current: Key, now: float, last: _Look | None) -> _Look:
        found: list[Key] = []
        wait = self._client._reader.ttl_of(self.reference.ref)
        for stage in self._stages:
            ref = SecretRef(self.reference.ref.secret_id, version_stage=stage)
            try:
                found.append(self._key(self._client.get(ref.secret_id, version_stage=stage)))
            except ResourceNotFoundError:
                continue  # no version has that label: the usual state of AWSPENDING
            except SmclientError as error:
                if may_serve_stale(error):
                    wait = min(wait, RETRY)
                    found += [last.current, *last.others] if last is not None else []
        return _Look(value.version_id, current, _distinct(found, but=current), now + wait)

    def _key(self, value: SecretValue) -> Key:
        found = references.pick(value, self.reference)
        key = found if isinstance(found, bytes) else references.as_text(found, self.reference)
        return signing_key(key, self.reference)


def signing_key(key: K, reference: references.AnyReference | str) -> K:
    """The key, if it is one to sign with: with an empty one anybody can.

    Raises:
        SecretContentError: it is empty, or an optional reference leads nowhere.
    """
    if not key:
        raise SecretContentError(
            f"the signing key at {references.shown(reference)!r} is empty, and with that anybody "
            "could sign; put a long random text there"
        )
    return key


def followed(reference: str | references.AnyReference) -> references.Reference:
    """The reference, if a key ring can follow it.

    Raises:
        InvalidReferenceError, ConfigError: see ``KeyRing``.
    """
    parsed = references.parse(reference) if isinstance(reference, str) else reference
    if not isinstance(parsed, references.Reference) or not parsed.ref.is_current:
        raise ConfigError(
            f"a key ring follows AWSCURRENT of one secret; {references.shown(parsed)!r} is not that"
        )
    return parsed


def _distinct(keys: Iterable[Key], *, but: Key) -> tuple[Key, ...]:
    return tuple(key for key in dict.fromkeys(keys) if key != but)
