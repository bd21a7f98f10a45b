"""What watches a service: subscribers to its events, alarms, findings about its secrets.

The part of ``EmbeddedService`` that tells others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smclient.backend import Backend
from smclient.errors import ConfigError
from smclient_embedded.alarms import Alarm, AlarmBoard, AlarmRule, Comparison, Metric
from smclient_embedded.door import Door
from smclient_embedded.events import EventBus, Subscription
from smclient_embedded.events.shapes import ALARM_CHANGED
from smclient_embedded.store import Scope

if TYPE_CHECKING:
    from smclient_embedded.findings import FindingParameters, FindingsBook

Target = str | Callable[[dict[str, Any]], object]
"""Who is told: a callable, or a function by name or ARN."""


class Watching:
    """Needs a service around it."""

    account: str
    region: str
    events: EventBus
    alarms: AlarmBoard
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

    def alarm(
        self,
        name: str,
        metric: Metric,
        *,
        threshold: float = 1,
        period: float = 300.0,
        comparison: Comparison = "GreaterThanOrEqualToThreshold",
        target: Target | None = None,
    ) -> Alarm:
        """Watch a metric: ``RotationErrors``, ``DeniedReads`` or ``DeletedSecretReads``.

        When the state of the alarm changes, an event in CloudWatch's shape goes to ``target`` and
        to whoever else subscribed to such. The time is looked at with each such datapoint, by
        ``run_due`` and whenever the state is asked for.

        Args:
            threshold, period: how many within so many seconds.
            target: a callable, or a function by name or ARN.

        Raises:
            ConfigError: a metric, number or target that there is not, or the name is taken.
        """
        made = self.alarms.add(AlarmRule(name, metric, threshold, period, comparison))
        if target is not None:
            pattern = {
                "source": ["aws.cloudwatch"],
                "detail-type": [ALARM_CHANGED],
                "detail": {"alarmName": [name]},
            }
            try:
                made.subscription = self.subscribe(target, pattern=pattern, name=f"alarm {name}")
            except BaseException:
                made.cancel()
                raise
        return made

    # --- findings ---------------------------------------------------------------------------------

    def findings(
        self,
        parameters: FindingParameters | Mapping[str, Any] | None = None,
        *,
        account: str | None = None,
    ) -> list[dict[str, Any]]:
        """Judge every secret of the store, in all its accounts and regions, by Security Hub's
        controls and this project's own; see ``smclient_embedded.findings``.

        Returns findings in ASFF: what passed and what was archived in the last 30 days too, then
        those of others that were taken in. Each is updated, never repeated: its state is kept in
        the store.

        Args:
            parameters: those of the controls, by the names of ``FindingParameters`` or AWS's.
            account: judge only that account's secrets.

        Raises:
            ConfigError: a parameter that there is not, or out of its bounds.
            StoreError
        """
        from smclient_embedded.findings import FindingParameters

        if parameters is None or isinstance(parameters, Mapping):
            parameters = FindingParameters.of(parameters or {})
        return self._findings_book().look(parameters, account=account)

    def take_in_findings(self, findings: Sequence[Mapping[str, Any]]) -> int:
        """Keep findings of GuardDuty, Macie or others, in ASFF, beside the service's own; the
        newest 1,000. Returns how many are new or newer than what was kept.

        Raises:
            InvalidFindingError: one is not ASFF; nothing was kept.
            StoreError
        """
        return self._findings_book().take_in(findings)

    def set_finding_workflow(self, finding_ids: Sequence[str], status: str) -> int:
        """Say how far the work on findings is: ``NEW``, ``NOTIFIED``, ``SUPPRESSED`` or
        ``RESOLVED``. Returns how many of them there are.

        Raises:
            ConfigError: another status.
            StoreError
        """
        return self._findings_book().set_workflow(finding_ids, status)

    def _findings_book(self) -> FindingsBook:
        from smclient_embedded.findings import FindingsBook  # a server starts sooner without

        return FindingsBook(self._door.store, self._door.now)
