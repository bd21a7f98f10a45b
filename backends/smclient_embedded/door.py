"""The one door: every call of the service comes through here, in one order.

    parse and check types → find the secret → authorise → check values → operate in one transaction
    → audit, meter

The order is AWS's, as recorded: a caller without the right is told so before a short token is, and
everybody is told of a map where a list belongs. Who the caller is was settled before (in process by
argument, over HTTP by signature).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from smclient.clock import Clock
from smclient_embedded import audit, operations
from smclient_embedded.access import Access, AccessRequest, Authoriser, denial
from smclient_embedded.audit import AuditTrail
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, FunctionRunner, Request
from smclient_embedded.errors import (
    InternalServiceError,
    OperationNotSupported,
    ServiceError,
)
from smclient_embedded.finding import locate
from smclient_embedded.ids import Ids
from smclient_embedded.kms import Kms, MasterKey, MasterKeyError
from smclient_embedded.metrics import Metrics
from smclient_embedded.model import ServiceModel
from smclient_embedded.store.ports import Store, StoreError, Transaction
from smclient_embedded.store.records import AuditRecord, VersionRecord

logger = logging.getLogger("smclient.embedded")

SERVICE = "secretsmanager"


@dataclass(frozen=True, slots=True)
class Door:
    """What it takes to answer a call."""

    store: Store
    master: MasterKey
    model: ServiceModel
    authoriser: Authoriser
    functions: FunctionRunner
    audit: AuditTrail
    metrics: Metrics
    clock: Clock
    ids: Ids

    def call(self, operation: str, request: Mapping[str, Any], context: RequestContext) -> Any:
        """Answer one call.

        Raises:
            ServiceError: the refusal, with AWS's code and text.
        """
        parse = functools.partial(self.model.parse, operation)
        return self._answer(operation, request, parse, context)

    def call_json(self, operation: str, body: Any, context: RequestContext) -> Any:
        """Answer one call whose request is a parsed JSON body (blobs in base64)."""
        parse = functools.partial(self.model.parse_json, operation)
        return self._answer(operation, body, parse, context)

    def deps(
        self, context: RequestContext, tx: Transaction, touch: Callable[[VersionRecord], object]
    ) -> Deps:
        """The collaborators of an operation, in a transaction."""
        now = self.now()
        kms = Kms(self.master, tx, context.scope, now, self.ids.uuid)
        own_keys = self.store.keyring()
        return Deps(
            tx=tx,
            keys=own_keys or kms,
            kms=None if own_keys else kms,
            authorise=functools.partial(self._authorise, context),
            functions=self.functions,
            now=now,
            ids=self.ids,
            touch=touch,
        )

    def now(self) -> datetime:
        """The time, cut to milliseconds, as AWS shows it."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    # --- inside -----------------------------------------------------------------------------------

    def _answer(
        self,
        operation: str,
        request: Any,
        parse: Callable[[Any], dict[str, Any]],
        context: RequestContext,
    ) -> dict[str, Any]:
        parameters: dict[str, Any] = {}
        try:
            parameters = parse(request)
            answer = self._operate(operation, parameters, context)
        except ServiceError as error:
            self._refused(operation, parameters, context, error)
            raise
        except (MasterKeyError, StoreError) as error:
            logger.error("%s failed: %s", operation, error)
            refusal = InternalServiceError(f"The service cannot use its store: {error}")
            self._refused(operation, parameters, context, refusal)
            raise refusal from error
        self.metrics.called(context.scope, operation, "ok")
        return answer

    def _operate(
        self, operation: str, parameters: Request, context: RequestContext
    ) -> dict[str, Any]:
        operate = operations.OPERATIONS.get(operation)
        if operate is None:
            raise OperationNotSupported(
                f"{operation} is part of the service's model, but this version of the embedded "
                "service does not have it yet"
            )
        read_only = operation in operations.READ_ONLY
        touched: list[VersionRecord] = []
        with self.store.transaction(write=not read_only) as tx:
            deps = self.deps(context, tx, touched.append)
            self._check_access(operation, parameters, context, tx)
            self.model.check_values(operation, parameters)
            answer = operate(context, deps, parameters)
            record = self._record(operation, parameters, context, deps.now, answer)
            if not read_only:
                self.audit.record(tx, [record])
        if read_only:
            self.audit.hold(record)
        today = deps.now.date()
        self._touch([version for version in touched if version.accessed_on != today], deps.now)
        return answer

    def _check_access(
        self, operation: str, parameters: Request, context: RequestContext, tx: Transaction
    ) -> None:
        named = parameters.get("SecretId")
        if named is None:
            resource, named, owner = "*", "*", context.principal.account
        else:
            secret = locate(tx, context.scope, named)
            resource = named if secret is None else secret.arn
            owner = context.principal.account if secret is None else secret.scope.account
        request = AccessRequest(
            context.principal, f"{SERVICE}:{operation}", resource, named=named, owner=owner
        )
        access = self.authoriser(request)
        if not access.allowed:
            raise denial(request, access)

    def _authorise(
        self,
        context: RequestContext,
        action: str,
        resource: str,
        *,
        named: str | None = None,
        **keys: str | list[str],
    ) -> Access:
        parts = resource.split(":")
        owner = parts[4] if len(parts) > 4 else context.principal.account
        return self.authoriser(
            AccessRequest(context.principal, action, resource, named or resource, owner, keys)
        )

    def _record(
        self,
        operation: str,
        parameters: Request,
        context: RequestContext,
        at: datetime,
        answer: Mapping[str, Any] | None,
        error: ServiceError | None = None,
    ) -> AuditRecord:
        known = operation in self.model.operations
        return audit.api_event(
            context,
            operation,
            at=at,
            event_id=self.ids.uuid(),
            parameters=self.model.public_part(operation, parameters) if known else {},
            response=answer,
            read_only=operation in operations.READ_ONLY,
            error=None if error is None else (error.code, str(error)),
        )

    def _refused(
        self, operation: str, parameters: Request, context: RequestContext, error: ServiceError
    ) -> None:
        self.metrics.called(context.scope, operation, error.code)
        self.audit.hold(self._record(operation, parameters, context, self.now(), None, error))

    def _touch(self, touched: list[VersionRecord], now: datetime) -> None:
        """Set LastAccessedDate. It is a day, so this happens once a day for a version."""
        if not touched:
            return
        with self.store.transaction(write=True) as tx:
            for read in touched:
                secret = tx.secret(read.arn)
                version = tx.version(read.arn, read.version_id)
                if secret is not None and version is not None:
                    tx.put_secret(replace(secret, accessed_on=now.date()))
                    tx.put_version(replace(version, accessed_on=now.date()))
