"""``Freshness``: before a request, what requests use is not older than its ttl. For web frameworks.

A client serves a value past its ttl once more while it looks for a newer one. That is right for a
busy worker and wrong for one that slept for an hour, so the request waits for that one look here,
``background.WAIT`` seconds at most: a backend that hangs stalls no worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakKeyDictionary

from smclient import background
from smclient.client import SecretsClient
from smclient.errors import ResourceNotFoundError, SmclientError
from smclient.forking import survive_fork
from smclient.secret import SecretRef

RETRY = 10.0
"""Seconds until a request waits again for what could not be read."""
MOST = 512
"""So many references of a client are kept fresh; further ones refresh themselves as ever."""

logger = logging.getLogger("smclient")

_in_use: WeakKeyDictionary[SecretsClient, dict[SecretRef, bool]] = WeakKeyDictionary()


def note(client: SecretsClient, refs: Iterable[SecretRef], *, optional: bool = False) -> None:
    """Have every ``Freshness`` keep these fresh, since requests use them.

    Args:
        client: reads them.
        refs: what is used; a version that is named by its id never changes and is left out.
        optional: they may be absent. They may not be if that was said of one anywhere.
    """
    noted = _in_use.setdefault(client, {})
    for ref in refs:
        known = noted.get(ref)
        changes = ref.version_id is None and (known is not None or len(noted) < MOST)
        if changes and known is not False:
            noted[ref] = optional


def ttl_of(client: SecretsClient, ref: SecretRef) -> float:
    """Seconds for which this is served without a look: its own of ``per_secret``, or the client's.
    Asks nobody."""
    return client._reader.ttl_of(ref)


@dataclass(slots=True)
class _State:
    """Of one client: who is looking, who of them was waited for in vain, and until when what could
    not be read is left alone."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    looking: threading.Thread | None = None
    late: threading.Thread | None = None
    held_back: dict[SecretRef, float] = field(default_factory=dict)


class Freshness:
    """Fetches what was noted and is older than its ttl, in one batch for each client.

    Whatever goes wrong is logged and raised by nobody here: whoever uses the value is told. Safe
    between threads: one looks, the others that need the same wait for that, each for
    ``background.WAIT`` seconds at most.

    Args:
        now: monotonic seconds; default: the clock of each client.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._given_now = now
        self._states: WeakKeyDictionary[SecretsClient, _State] = WeakKeyDictionary()
        survive_fork(self)

    def after_fork(self) -> None:
        """A thread of the parent may have been looking."""
        for state in self._states.values():
            state.lock = threading.Lock()
            state.looking = state.late = None

    def due(self, client: SecretsClient) -> list[SecretRef]:
        """What ``look`` would wait for now. Asks nobody."""
        return [] if self._is_late(client) else self._past_ttl(client)

    def look(self, client: SecretsClient) -> None:
        """Wait until everything that was noted is within its ttl, or cannot be now: for
        ``background.WAIT`` seconds at most. Nobody waits for a look that took longer."""
        for _ in range(2):  # the look of somebody else may not be at what was noted since
            if not self._is_late(client) and self._is_due(client):
                self._wait(client, self._state(client))

    def hold_back(self, client: SecretsClient, ref: SecretRef, error: SmclientError) -> None:
        """Let no request wait for this for a while: what is optional and absent for a ttl, and
        that is as it should be; the rest for ``RETRY`` seconds, and it is logged."""
        absent = isinstance(error, ResourceNotFoundError) and _in_use.get(client, {}).get(ref)
        wait = max(RETRY, ttl_of(client, ref)) if absent else RETRY
        self._state(client).held_back[ref] = self._now(client) + wait
        if not absent:
            logger.warning("%s could not be read: %s", ref.secret_id, error)

    def is_held_back(self, client: SecretsClient, ref: SecretRef) -> bool:
        """Whether no request should wait for this now."""
        return self._now(client) < self._state(client).held_back.get(ref, 0.0)

    # --- inside ---------------------------------------------------------------------------------

    def _is_due(self, client: SecretsClient) -> bool:
        """Whether a look would have something to do."""
        return bool(self._past_ttl(client))

    def _look(self, client: SecretsClient) -> None:
        """Fetch what is due, on a thread that others wait for."""
        for ref, error in self._fetched(client, self._past_ttl(client)):
            self.hold_back(client, ref, error)

    def _wait(self, client: SecretsClient, state: _State) -> None:
        with state.lock:
            looking = state.looking
            if looking is None or not looking.is_alive():
                looking = background.begin(partial(self._look, client), "smclient-fresh")
                state.looking = looking
        looking.join(background.WAIT)
        if looking.is_alive():
            state.late = looking

    def _is_late(self, client: SecretsClient) -> bool:
        late = self._state(client).late
        return late is not None and late.is_alive()

    def _past_ttl(self, client: SecretsClient) -> list[SecretRef]:
        now, held_back = self._now(client), self._state(client).held_back
        return [
            ref
            for ref in list(_in_use.get(client, ()))
            if now >= held_back.get(ref, 0.0) and client._reader.past_ttl(ref)
        ]

    def _fetched(
        self, client: SecretsClient, refs: list[SecretRef]
    ) -> Iterable[tuple[SecretRef, SmclientError]]:
        """Fetch these; what could not be, and why."""
        current = {ref.secret_id: ref for ref in refs if ref.is_current}
        try:
            errors = client.preload(current, max_age=0.0).errors if current else {}
        except SmclientError as error:
            errors = dict.fromkeys(current, error)
        yield from ((current[secret_id], error) for secret_id, error in errors.items())
        for ref in refs:
            if not ref.is_current:
                try:
                    client._reader.fetch(ref, newer=True)
                except SmclientError as error:
                    yield ref, error

    def _now(self, client: SecretsClient) -> float:
        return client._clock.monotonic() if self._given_now is None else self._given_now()

    def _state(self, client: SecretsClient) -> _State:
        state = self._states.get(client)
        return state if state is not None else self._states.setdefault(client, _State())
