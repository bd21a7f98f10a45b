"""What users can listen to: rotations seen, fallbacks used, stale values served."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from smclient.forking import survive_fork

logger = logging.getLogger("smclient")


@dataclass(frozen=True, slots=True)
class SecretEvent:
    """Something happened to a secret that a listener may want to know. Holds no value.

    For ``rotate``: AWSCURRENT moved from ``old_version_id`` to ``new_version_id``.
    For ``fallback``: AWSCURRENT is ``old_version_id``, the login was won by ``new_version_id``.
    For ``stale``: ``old_version_id`` is served past its time because of ``error``.
    """

    kind: Literal["rotate", "fallback", "stale"]
    secret_id: str
    old_version_id: str | None = None
    new_version_id: str | None = None
    stage: str | None = None
    error: str | None = None


Callback = Callable[[SecretEvent], object]


class Subscription:
    """A registered callback; ``cancel()`` ends it."""

    __slots__ = ("_hooks", "callback", "kind")

    def __init__(self, hooks: Hooks, kind: str, callback: Callback) -> None:
        self._hooks = hooks
        self.kind = kind
        self.callback = callback

    def cancel(self) -> None:
        """Call it no more. Cancelling twice is fine."""
        self._hooks.discard(self)


class Hooks:
    """The registered callbacks of one client."""

    __slots__ = ("_subscriptions",)

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()

    def add(self, kind: str, callback: Callback) -> Subscription:
        """Register a callback for one kind of event."""
        subscription = Subscription(self, kind, callback)
        self._subscriptions += (subscription,)
        return subscription

    def discard(self, subscription: Subscription) -> None:
        """Forget a callback."""
        self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    def wants(self, kind: str) -> bool:
        """Whether anybody listens to that kind."""
        return any(s.kind == kind for s in self._subscriptions)

    def emit(self, event: SecretEvent) -> None:
        """Call everybody who listens. A callback that raises is logged and harms nobody else."""
        for subscription in self._subscriptions:
            if subscription.kind == event.kind:
                try:
                    subscription.callback(event)
                except Exception as error:  # noqa: BLE001  users' code must not break the refresh
                    logger.error(
                        "on_%s callback of secret %s failed: %s",
                        event.kind,
                        event.secret_id,
                        type(error).__name__,
                    )


class Outbox:
    """Events that wait until whoever saw them holds nobody up any more: a callback may ask for the
    very secret it is told of."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._waiting: deque[SecretEvent] = deque()
        survive_fork(self)

    def after_fork(self) -> None:
        """What waits is the parent's to tell."""
        self._waiting = deque()

    def put(self, event: SecretEvent) -> None:
        """Keep an event, if anybody listens to its kind."""
        if self._hooks.wants(event.kind):
            self._waiting.append(event)

    def send(self, submit: Callable[[Callable[[], object]], None]) -> None:
        """Submit the telling of what waits. Called by whoever is under way with nothing."""
        while self._waiting:
            try:
                event = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            submit(partial(self._hooks.emit, event))
