"""Looking for newer values behind the readers' backs, as kindly to the service as it allows.

Values that are due together are looked at together. How is decided by ``refresh.choose_mode``:

* ``get``: GetSecretValue for each;
* ``describe``: DescribeSecret for each, and GetSecretValue only where AWSCURRENT moved: no KMS
  call, and a quota four times higher;
* ``batch``: BatchGetSecretValue, 20 to a call; values that are due soon and were read since they
  were fetched ride along.

Nothing is probed. A mode that is denied is not tried again by this client, with one warning.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from smclient.background import Worker
from smclient.batch import Batch, pages
from smclient.cache import Held, SecretCache
from smclient.clock import Clock
from smclient.errors import AccessDeniedError, NotSupportedError, SmclientError, ThrottlingError
from smclient.forking import survive_fork
from smclient.hooks import Hooks, SecretEvent
from smclient.metering import Meter
from smclient.refresh import RefreshPolicies, choose_mode, may_serve_stale
from smclient.secret import AWSCURRENT, SecretDescription, SecretRef, SecretValue

logger = logging.getLogger("smclient")

RIDE_ALONG = 0.1
"""Share of ``ttl`` by which a value may be early and still ride along in a batch."""
THROTTLED_FOR = 60.0


class Refresher:
    """Collects what is due and refreshes it on the worker."""

    def __init__(
        self,
        *,
        mode: str,
        cache: SecretCache,
        policies: RefreshPolicies,
        fetch: Callable[[SecretRef], SecretValue],
        fetch_page: Callable[[list[str], Batch], None],
        describe: Callable[[str], SecretDescription],
        meter: Meter,
        hooks: Hooks,
        worker: Worker,
        clock: Clock,
    ) -> None:
        self._mode = mode
        self._cache = cache
        self._policies = policies
        self._fetch = fetch
        self._fetch_page = fetch_page
        self._describe = describe
        self._meter = meter
        self._hooks = hooks
        self._worker = worker
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[SecretRef, Held] = {}
        self._denied: set[str] = set()
        self._no_batch_before = float("-inf")
        survive_fork(self)

    def after_fork(self) -> None:
        """What was due is claimed by a thread of the parent; it becomes due again soon."""
        self._lock = threading.Lock()
        self._due = {}

    def add(self, held: Held) -> None:
        """A value that is being served is due: have it looked at soon."""
        with self._lock:
            self._due[held.ref] = held
        self._worker.submit(self._run)

    def allows(self, mode: str) -> bool:
        """Whether a mode was not denied so far."""
        return mode not in self._denied

    def batches(self, together: int) -> bool:
        """Whether so many misses at once go in a batch."""
        return choose_mode(self._mode, together, self._barred()) == "batch" and together > 1

    def deny(self, mode: str, error: SmclientError) -> None:
        """A mode was denied: do without it from now on, and say so once."""
        if self.allows(mode):
            self._denied.add(mode)
            logger.warning("refreshing by %s is not allowed, doing without: %s", mode, error)

    # --- inside ---------------------------------------------------------------------------------

    def _run(self) -> None:
        with self._lock:
            due, self._due = list(self._due.values()), {}
        due = [held for held in due if self._still_held(held)]
        current = [held for held in due if held.ref.is_current]
        for held in due:
            if not held.ref.is_current:
                self._one(held, self._get)
        if not current:
            return
        now = self._clock.monotonic()
        riders = self._cache.due_by(now + RIDE_ALONG * self._policies.general.ttl)
        together = {held.value.arn: held for held in (*riders, *current)}
        due_now = {held.value.arn for held in current}
        due_now |= {held.value.arn for held in riders if held.due_at <= now}
        mode = choose_mode(self._mode, len(due_now), self._barred())  # riders are no reason
        if mode == "batch":
            self._batch(list(together.values()))
        else:
            for held in current:
                self._one(held, self._get if mode == "get" else self._look)

    def _barred(self) -> set[str]:
        throttled = self._clock.monotonic() < self._no_batch_before
        return self._denied | ({"batch"} if throttled else set())

    def _still_held(self, held: Held) -> bool:
        """Whether nobody refreshed it, or tried in vain, since it was found to be due."""
        now_held = self._cache.look(held.ref)
        return now_held is not None and (now_held.fetched_at, now_held.failures) == (
            held.fetched_at,
            held.failures,
        )

    def _one(self, held: Held, refresh: Callable[[Held], object]) -> None:
        began = self._clock.monotonic()
        try:
            refresh(held)
        except SmclientError as error:
            self._failed(held, error)
        finally:
            self._meter.refreshed(held.value.arn, self._clock.monotonic() - began)

    def _get(self, held: Held) -> None:
        self._fetch(held.ref)

    def _look(self, held: Held) -> None:
        """Ask whether AWSCURRENT moved; fetch only then, or if the secret is to be deleted, or if
        the value would expire before the next look: else a reader had to wait for it."""
        policy = self._policies.of(held.value)
        started = self._now(held)
        due_at = policy.due_at(started, random.random())  # noqa: S311  spreads load
        if due_at >= held.expires_at:
            return self._get(held)
        try:
            described = self._describe(held.ref.secret_id)
        except SmclientError as error:
            if may_serve_stale(error):
                raise
            if isinstance(error, AccessDeniedError | NotSupportedError):
                self.deny("describe", error)
            return self._get(held)  # which has the last word: the value goes if this is refused too
        moved = described.version_at(AWSCURRENT) != held.value.version_id
        if moved or described.deleted_date is not None or described.arn != held.value.arn:
            return self._get(held)
        rotation = self._next_rotation(described, started)
        if rotation is not None:
            due_at = min(due_at, policy.past(rotation, random.random()))  # noqa: S311
        self._cache.put_off(held.ref, due_at=due_at)
        return None

    def _next_rotation(self, described: SecretDescription, now: float) -> float | None:
        """When the value may move next, where that is known and still to come."""
        date: datetime | None = described.next_rotation_date
        left = 0.0 if date is None else (date - self._clock.now()).total_seconds()
        return now + left if left > 0 else None

    def _batch(self, together: Iterable[Held]) -> None:
        by_id = {held.ref.secret_id: held for held in together}
        for page in pages(by_id):
            batch, began = Batch(), self._clock.monotonic()
            self._fetch_page(page, batch)
            taken = self._clock.monotonic() - began
            for secret_id in page:
                self._meter.refreshed(by_id[secret_id].value.arn, taken)
            for secret_id, error in batch.errors.items():
                if isinstance(error, ThrottlingError):
                    self._no_batch_before = self._clock.monotonic() + THROTTLED_FOR
                self._failed(by_id[secret_id], error)

    def _now(self, held: Held) -> float:
        """Now, as the times of a held value go."""
        return held.later(self._clock.monotonic(), self._clock.time())

    def _failed(self, held: Held, error: SmclientError) -> None:
        """A refresh failed: a lasting refusal has evicted the value; else it is served on."""
        if not may_serve_stale(error):
            return
        failures = held.failures + 1
        due_at = self._policies.general.retry_at(self._now(held), failures, random.random())  # noqa: S311
        self._cache.put_off(held.ref, due_at=due_at, failures=failures)
        self._hooks.emit(
            SecretEvent(
                "stale",
                held.ref.secret_id,
                old_version_id=held.value.version_id,
                stage=held.ref.version_stage,
                error=str(error),
            )
        )
