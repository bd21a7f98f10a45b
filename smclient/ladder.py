"""The login ladder of one client: the pure plan of ``credentials`` with what it needs around it.

Sync and async shells share it; they differ only in how they drive the plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from smclient.background import Worker
from smclient.clock import Clock
from smclient.credentials import Outcome, Plan, credential_digest, login_plan
from smclient.errors import BackendError
from smclient.hooks import Hooks, SecretEvent
from smclient.login_memory import CACHED, REMEMBERED, LoginMemory
from smclient.metering import Meter
from smclient.reader import Reader
from smclient.secret import AWSCURRENT, SecretRef, SecretValue


class Ladder:
    """What a client knows and does about logins."""

    def __init__(
        self,
        reader: Reader,
        *,
        stages: Sequence[str],
        wait: float,
        max_stale: float,
        meter: Meter,
        hooks: Hooks,
        worker: Worker,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._stages = stages
        self._wait = wait
        self._meter = meter
        self._hooks = hooks
        self._worker = worker
        self._now = clock.monotonic
        self.memory = LoginMemory(max_stale)

    def plan(self, cached: SecretValue, fields: Iterable[str]) -> Plan:
        """The steps of one login, beginning with what the cache gave."""
        return login_plan(
            cached,
            ladder=self._stages,
            memory=self.memory,
            digest=partial(credential_digest, fields=tuple(fields)),
            wait=self._wait,
            now=self._now,
            spread=random.random,
        )

    def ask(self, secret_id: str, stage: str) -> SecretValue | None:
        """A rung. A stage that is absent or denied is none; nor is one that the backend cannot tell
        now, since the driver's error says more than that."""
        try:
            return self._reader.fetch(SecretRef(secret_id, stage), newer=True)
        except BackendError:
            return None

    def refused(self) -> None:
        """A database refused credentials on the way."""
        self._meter.count("failed_logins")

    def won(self, secret_id: str, cached: SecretValue, outcome: Outcome) -> None:
        """A login succeeded: count it; tell whoever listens if it was not AWSCURRENT's, and have a
        newer AWSCURRENT looked for."""
        won, step = outcome.won, outcome.step
        if won is None or step is None:
            return
        self._meter.login(step)
        if step in (CACHED, REMEMBERED, AWSCURRENT):
            return
        self._reader.cache.expire(secret_id)
        if self._hooks.wants("fallback"):
            event = SecretEvent("fallback", secret_id, cached.version_id, won.version_id, step)
            self._worker.submit(partial(self._hooks.emit, event))

    def moved(self, arn: str, created: datetime | None) -> None:
        """AWSCURRENT of a secret moved, to a version created then."""
        self.memory.moved(arn, created, self._now())
