"""What an operation may use, handed to it: nothing else of the service is in its reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from smclient.backend import Backend
from smclient_embedded.access import Access
from smclient_embedded.audit.records import service_event
from smclient_embedded.context import RequestContext
from smclient_embedded.ids import Ids
from smclient_embedded.kms import Kms
from smclient_embedded.quotas import Quotas
from smclient_embedded.store.ports import Keyring, Transaction
from smclient_embedded.store.records import AuditRecord, Scope, VersionRecord

_AWS_QUOTAS = Quotas()


class FunctionRunner(Protocol):
    """Where rotation functions live. In process, or child processes."""

    def knows(self, function_arn: str, tx: Transaction | None = None) -> bool:
        """Whether that function exists and may be invoked, as the open transaction sees it."""
        ...

    def invoke(
        self, function_arn: str, event: Mapping[str, Any], secrets: Callable[[str], Backend]
    ) -> None:
        """Run the function with an event.

        ``secrets`` gives a backend that acts under the function's role, whose ARN it is called
        with. Whatever the function raises comes out unchanged; its result is ignored, as AWS does.
        """
        ...


class Authorise(Protocol):
    """The authoriser with the caller of this request filled in."""

    def __call__(
        self,
        action: str,
        resource: str,
        *,
        named: str | None = None,
        policies: Sequence[str] | None = None,
        **keys: str | list[str],
    ) -> Access:
        """Whether the caller may.

        Args:
            action: ``service:Action``.
            resource: the ARN; a secret's tags and policies are looked up in this transaction.
            named: the resource as the caller named it.
            policies: resource policies to decide by in place of the secret's own, for questions
                such as "would these lock the caller out?". Such an answer is never let through in
                audit-only mode.
            keys: condition keys beside those of caller, secret and time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Deps:
    """The collaborators of one operation.

    Attributes:
        tx: the open transaction.
        keys: seals and opens values.
        kms: the service's KMS, or ``None`` where the store brings its own keys.
        authorise: asks whether the caller may, for operations that decide item by item.
        functions: knows the rotation functions.
        now: the time of the request, cut to milliseconds as AWS shows it.
        ids: where ids and randomness come from.
        touch: notes that a version was read.
        quotas: how many of a thing there may be.
        events: what the service did by itself in this operation; they go on record with it.
        may_exist: whether a policy may name a principal: one that is there, or whose account is
            none of this store's.
    """

    tx: Transaction
    keys: Keyring
    kms: Kms | None
    authorise: Authorise
    functions: FunctionRunner
    now: datetime
    ids: Ids
    touch: Callable[[VersionRecord], object]
    quotas: Quotas = _AWS_QUOTAS
    may_exist: Callable[[str], bool] = lambda principal: True
    events: list[AuditRecord] = field(default_factory=list)

    def emit(self, scope: Scope, name: str, **details: str) -> None:
        """Note a service event, such as StartSecretVersionDelete."""
        self.events.append(
            service_event(scope, name, at=self.now, event_id=self.ids.uuid(), details=details)
        )


Request = Mapping[str, Any]
Operation = Callable[[RequestContext, Deps, Request], dict[str, Any]]
"""One operation of the API: request in, answer out, both in AWS's own field names."""
