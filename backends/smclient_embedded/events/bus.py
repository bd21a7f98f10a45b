"""``EventBus``: takes events as they happen and has each delivered to whoever subscribed to it."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smclient.errors import ConfigError
from smclient.forking import survive_fork
from smclient_embedded.events.pattern import EventPattern
from smclient_embedded.events.shapes import Event, event_of, is_read
from smclient_embedded.store.records import AuditRecord

logger = logging.getLogger("smclient.embedded.events")

MOST_WAITING = 10_000
"""So many events wait for one subscriber; what comes after those is dropped, logged and counted."""
CLOSE_SECONDS = 10.0

Target = Callable[[Event], object]


class Subscription:
    """One subscriber: its pattern, what waits for it, and what became of the rest.

    Events come to it in the order in which they happened, one after the other, on a thread that is
    there only while something waits.

    Attributes:
        name: what logs call it.
        pattern: which events it wants, ``None`` for all.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        pattern: EventPattern | None,
        *,
        all_management_events: bool,
        forget: Callable[[Subscription], object],
    ) -> None:
        self.name = name
        self.pattern = pattern
        self._target = target
        self._reads = all_management_events
        self._forget = forget
        self._changed = threading.Condition()
        self._waiting: deque[Event] = deque()
        self._thread: threading.Thread | None = None
        self._is_over = False
        self._delivered = self._failed = self._dropped = 0

    @property
    def delivered(self) -> int:
        """How many events the target has taken."""
        return self._delivered

    @property
    def failed(self) -> int:
        """How many events the target raised at. They are not tried again."""
        return self._failed

    @property
    def dropped(self) -> int:
        """How many events did not fit among those that wait."""
        return self._dropped

    def cancel(self) -> None:
        """Deliver no more, not even what waits. Cancelling twice is fine."""
        self._forget(self)
        with self._changed:
            self._is_over = True
            self._waiting.clear()
            self._changed.notify_all()

    def wants(self, event: Event) -> bool:
        """Whether an event is for it."""
        if is_read(event) and not self._reads:
            return False
        return self.pattern is None or self.pattern.matches(event)

    def put(self, event: Event) -> None:
        """Have an event delivered soon."""
        with self._changed:
            if self._is_over:
                return
            if len(self._waiting) >= MOST_WAITING:
                self._dropped += 1
                if self._dropped & (self._dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th, …
                    logger.error(
                        "subscriber %s is too slow: %d events were dropped so far",
                        self.name,
                        self._dropped,
                    )
                return
            self._waiting.append(event)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._deliver, name=f"smclient-events-{self.name}", daemon=True
                )
                self._thread.start()

    def wait(self, seconds: float | None) -> bool:
        """Wait until nothing waits any more; whether that came to be in time. On the subscriber's
        own thread there is nothing to wait for."""
        with self._changed:
            if self._thread is threading.current_thread():
                return True
            return self._changed.wait_for(lambda: self._thread is None, seconds)

    def after_fork(self) -> None:
        """What waited is the parent's to deliver."""
        self._changed = threading.Condition()
        self._waiting = deque()
        self._thread = None

    def _deliver(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                event = self._waiting.popleft()
            try:
                self._target(copy.deepcopy(event))
            except (Exception, SystemExit) as error:  # noqa: BLE001  users' code may raise anything
                self._failed += 1
                logger.error(
                    "subscriber %s raised %s at the event %s (%s)",
                    self.name,
                    type(error).__name__,
                    event["id"],
                    event["detail-type"],
                )
            else:
                self._delivered += 1


class EventBus:
    """The subscriptions of one service. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._numbers = 0
        self._is_closed = False
        survive_fork(self)

    def after_fork(self) -> None:
        """Subscribers stay; events of the parent are the parent's."""
        self._lock = threading.Lock()
        for subscription in self._subscriptions:
            subscription.after_fork()

    @property
    def is_heard(self) -> bool:
        """Whether there is any subscriber."""
        return bool(self._subscriptions)

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """All subscribers."""
        return self._subscriptions

    def subscribe(
        self,
        target: Target,
        *,
        pattern: str | Mapping[str, Any] | None = None,
        name: str | None = None,
        all_management_events: bool = False,
    ) -> Subscription:
        """Have ``target`` called with each event that fits the pattern, see
        ``EmbeddedService.subscribe``.

        Raises:
            ConfigError: the target cannot be called, or the name is taken.
            InvalidPatternError
        """
        if not callable(target):
            raise ConfigError(f"a {type(target).__name__} cannot be called with an event")
        parsed = None if pattern is None else EventPattern.parse(pattern)
        with self._lock:
            self._numbers += 1
            name = name or f"subscriber-{self._numbers}"
            if any(name == there.name for there in self._subscriptions):
                raise ConfigError(f"there is a subscriber {name!r} already; cancel it first")
            made = Subscription(
                name,
                target,
                parsed,
                all_management_events=all_management_events,
                forget=self._forget,
            )
            self._subscriptions += (made,)
        return made

    def heard(self, records: Sequence[AuditRecord]) -> None:
        """Take records of the audit trail whose transaction was committed."""
        if self._subscriptions:
            self.publish([event_of(record) for record in records])

    def publish(self, events: Sequence[Event]) -> None:
        """Take events, in the order in which they happened."""
        for event in events:
            for subscription in self._subscriptions:
                if subscription.wants(event):
                    subscription.put(event)

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until every subscriber has taken what was published; whether that came to be within
        so many seconds."""
        deadline = None if seconds is None else time.monotonic() + seconds
        return all(
            there.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            for there in self._subscriptions
        )

    def close(self) -> None:
        """Deliver what waits, within 10 seconds, and no more after that."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        if not self.flush(CLOSE_SECONDS):
            logger.error("the service was closed while subscribers still had events to take")
        for subscription in self._subscriptions:
            subscription.cancel()

    def _forget(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
