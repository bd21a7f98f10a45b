"""What watches a service: subscribers to its events.

The part of ``EmbeddedService`` that tells others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from smclient.backend import Backend
from smclient.errors import ConfigError
from smclient_embedded.door import Door
from smclient_embedded.events import EventBus, Subscription
from smclient_embedded.store import Scope

Target = str | Callable[[dict[str, Any]], object]
"""Who is told: a callable, or a function by name or ARN."""


class Watching:
    """Needs a service around it."""

    account: str
    region: str
    events: EventBus
    _door: Door

    if TYPE_CHECKING:  # the service has it

        def _secrets_for(self, scope: Scope, role: str) -> Backend: ...

    def subscribe(
        self,
        target: Target,
        *,
        pattern: str | Mapping[str, Any] | None = None,
        name: str | None = None,
        all_management_events: bool = False,
    ) -> Subscription:
        """Have a callable, or a function by name or ARN, called with what happens, in EventBridge's
        shape: API calls, what the service does by itself, and label moves.

        Events are delivered after their transaction was committed, off the caller's path, to each
        subscriber in order. Cancelling the subscription ends it.

        Args:
            pattern: an EventBridge event pattern, as JSON or a dict; all events unless given.
            name: what logs call the subscriber.
            all_management_events: reads, too. As on AWS they are left out unless asked for.

        Raises:
            ConfigError: there is no such function, the target cannot be called, or the name is
                taken.
            InvalidPatternError: the pattern is not one that EventBridge takes.
        """
        called = self._function_target(target) if isinstance(target, str) else target
        return self.events.subscribe(
            called, pattern=pattern, name=name, all_management_events=all_management_events
        )

    def _function_target(self, function: str) -> Callable[[dict[str, Any]], object]:
        arn = function
        if not function.startswith("arn:"):
            arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{function}"
        if not self._door.functions.knows(arn):
            raise ConfigError(f"there is no function {function!r}; register it first")

        def invoke(event: dict[str, Any]) -> None:
            scope = Scope(event["account"], event["region"])
            self._door.functions.invoke(arn, event, functools.partial(self._secrets_for, scope))

        return invoke
