"""What an operation may use, handed to it: nothing else of the service is in its reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from smclient.backend import Backend
from smclient_embedded.access import Access
from smclient_embedded.context import RequestContext
from smclient_embedded.ids import Ids
from smclient_embedded.kms import Kms
from smclient_embedded.quotas import Quotas
from smclient_embedded.store.ports import Keyring, Transaction
from smclient_embedded.store.records import VersionRecord

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


Request = Mapping[str, Any]
Operation = Callable[[RequestContext, Deps, Request], dict[str, Any]]
"""One operation of the API: request in, answer out, both in AWS's own field names."""
