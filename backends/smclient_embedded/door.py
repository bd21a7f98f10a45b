"""The one door: every call of the service comes through here, in one order.

    parse and check types → faults on purpose, request rates → find the secret → authorise
    → check values → operate in one transaction → audit, meter

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

from cryptography.exceptions import InvalidTag

from smclient.clock import Clock
from smclient_embedded import audit, operations
from smclient_embedded.audit import AuditTrail, Later, at_once
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, FunctionRunner
from smclient_embedded.errors import (
    NOTHING_MORE,
    ConnectionDropped,
    InternalServiceError,
    OperationNotSupported,
    ServiceError,
)
from smclient_embedded.events import EventBus
from smclient_embedded.events.shapes import LabelWatch
from smclient_embedded.faults import Faults
from smclient_embedded.gate import Call, Gate
from smclient_embedded.ids import Ids
from smclient_embedded.kms import KeyUse, Kms
from smclient_embedded.known_reads import GET_SECRET_VALUE, KnownRead, known_read, place_of
from smclient_embedded.last_accessed import LastAccessed
from smclient_embedded.master import MasterKeys
from smclient_embedded.metrics import OK, Metrics
from smclient_embedded.model import ServiceModel
from smclient_embedded.quotas import Quotas, RateLimits
from smclient_embedded.store.ports import Store, StoreError, Transaction
from smclient_embedded.store.records import AuditRecord, VersionRecord

logger = logging.getLogger("smclient.embedded")

UNKNOWN = "UnknownOperation"
"""Under this name all operations go on record that the model does not have."""


@dataclass(frozen=True, slots=True)
class Door:
    """What it takes to answer a call."""

    store: Store
    master: MasterKeys
    model: ServiceModel
    gate: Gate
    functions: FunctionRunner
    audit: AuditTrail
    last_accessed: LastAccessed
    events: EventBus
    metrics: Metrics
    clock: Clock
    ids: Ids
    faults: Faults
    quotas: Quotas
    rate_limits: RateLimits | None

    def call(self, operation: str, request: Mapping[str, Any], context: RequestContext) -> Any:
        """Answer one call.

        Raises:
            ServiceError: the refusal, with AWS's code and text.
        """
        parse = functools.partial(self.model.parse, operation)
        return self._answer(operation, request, parse, context)

    def call_json(
        self,
        operation: str,
        body: Any,
        context: RequestContext,
        later: Later = at_once,
        raw: bytes | None = None,
    ) -> Any:
        """Answer one call whose request is a parsed JSON body (blobs in base64). What a read has to
        write, and would wait for a disk with, is given to ``later``. ``raw`` is the body as it
        came, by which ``read_again`` knows it again. Why a store failed is not said: the answer may
        leave this machine."""
        parse = functools.partial(self.model.parse_json, operation)
        try:
            return self._answer(operation, body, parse, context, later, raw)
        except InternalServiceError as error:
            if isinstance(error.__cause__, StoreError):
                raise InternalServiceError(NOTHING_MORE) from error.__cause__
            raise

    def read_again(self, raw: bytes, context: RequestContext, later: Later) -> bytes | None:
        """The answer, as JSON, to a GetSecretValue whose body is ``raw``, if ``call_json`` answered
        the same one before and all that it found out still holds (see ``known_reads``); else
        ``None``, also for whatever goes wrong: asked in full, the call says what that is."""
        if self.faults.armed or self.rate_limits is not None:
            return None
        now = self.now()
        try:
            known = self.store.recall(place_of(raw, context))
            if not isinstance(known, KnownRead) or not known.holds(context, now, self.gate.stamp()):
                return None
            value = known.value(self.master)
            self.audit.hold(known.records(context, now, self.ids.uuid), later)
        except (InvalidTag, StoreError):
            return None
        self.metrics.read_again(context.scope, GET_SECRET_VALUE, known.key_use.key)
        return known.answer(value)

    def deps(
        self, context: RequestContext, tx: Transaction, touch: Callable[[VersionRecord], object]
    ) -> Deps:
        """The collaborators of an operation, in a transaction."""
        return self._deps(Call(UNKNOWN, context), tx, touch)

    def _deps(self, call: Call, tx: Transaction, touch: Callable[[VersionRecord], object]) -> Deps:
        def used(use: KeyUse) -> None:
            if use.refused is None:
                self.metrics.kms_called(use.action, use.key)
            call.key_uses.append(use)

        now = self.now()
        master = self.master.within(tx.setting)
        kms = Kms(
            master,
            tx,
            call.context.scope,
            now,
            self.ids.uuid,
            used,
            functools.partial(self.gate.permit, call, tx),
        )
        own_keys = self.store.keyring()
        return Deps(
            tx=tx,
            keys=own_keys or kms,
            kms=None if own_keys else kms,
            authorise=functools.partial(self.gate.authorise, call, tx),
            functions=self.functions,
            now=now,
            ids=self.ids,
            touch=touch,
            quotas=self.quotas,
            may_exist=lambda principal: self.gate.may_exist(principal, tx.setting),
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
        later: Later = at_once,
        raw: bytes | None = None,
    ) -> dict[str, Any]:
        known = operation if operation in self.model.operations else UNKNOWN
        call = Call(known, context, later=later, raw=raw)
        try:
            try:
                call.parameters = parse(request)
            finally:  # an outage or a storm comes before the fault of a request
                self._strike(call, request)
            answer = self._operate(call)
        except ConnectionDropped:
            raise  # nothing arrived, so nothing goes on record
        except ServiceError as error:
            self._refused(call, error)
            raise
        except StoreError as error:
            logger.error("%s failed: %s", call.operation, error)
            self._refused(call, InternalServiceError(NOTHING_MORE))
            raise InternalServiceError(f"The service cannot use its store: {error}") from error
        self.metrics.called(context.scope, operation, OK)
        return answer

    def _strike(self, call: Call, request: Any) -> None:
        self.faults.strike(call.operation, request, call.context)
        if self.rate_limits is not None:
            scope = call.context.scope
            self.rate_limits.check(call.operation, scope, self.clock.monotonic())

    def _operate(self, call: Call) -> dict[str, Any]:
        operate = operations.OPERATIONS.get(call.operation)
        if operate is None:
            raise OperationNotSupported(
                f"{call.operation} is part of the service's model, but this version of the "
                "embedded service does not have it yet"
            )
        read_only = call.operation in operations.READ_ONLY
        touched: list[VersionRecord] = []
        with self.store.transaction(write=not read_only) as tx:
            deps = self._deps(call, tx, touched.append)
            self.gate.check(call, tx)
            self.model.check_values(call.operation, call.parameters)
            is_watched = self.events.is_heard and not read_only
            watch = LabelWatch.begin(tx, call.secret_arn) if is_watched else None
            answer = operate(call.context, deps, call.parameters)
            moved = watch.end(tx, answer, at=deps.now, new_id=self.ids.uuid) if watch else []
            records = self._records(call, deps.now, answer)
            if not read_only:
                self.audit.record(tx, [*records, *deps.events])
            elif call.raw is not None and self.store.keyring() is None:
                found = known_read(call, answer, touched, records)
                if found is not None:
                    tx.keep(place_of(call.raw, call.context), found)
        self.events.publish(moved)
        if read_only:
            self.audit.hold(records, call.later)
        today = deps.now.date()
        first_today = [version for version in touched if version.accessed_on != today]
        if first_today:
            call.later(functools.partial(self.last_accessed.on, today, first_today))
        return answer

    def _records(
        self,
        call: Call,
        at: datetime,
        answer: Mapping[str, Any] | None,
        error: ServiceError | None = None,
    ) -> list[AuditRecord]:
        """What a call leaves on record: itself, the secrets of a batch, the uses of KMS keys."""
        known = call.operation != UNKNOWN
        parameters = self.model.public_part(call.operation, call.parameters) if known else {}
        record = audit.api_event(
            call.context,
            call.operation,
            at=at,
            event_id=self.ids.uuid(),
            parameters=parameters,
            response=answer,
            read_only=call.operation in operations.READ_ONLY,
            error=None if error is None else (error.code, str(error)),
            secret_arn=call.secret_arn,
        )
        if call.let_through:
            denied = {"additionalEventData": {"accessDeniedButLetThrough": call.let_through}}
            record = replace(record, document={**record.document, **denied})
        records = [record]
        if call.secret_arn is not None:
            records = audit.shared_with_owner(record, call.secret_arn, new_id=self.ids.uuid)
        if call.operation == "BatchGetSecretValue" and answer is not None:
            records += audit.batch_events(
                call.context, parameters, answer, call.item_arns or {}, at=at, new_id=self.ids.uuid
            )
        records += audit.key_events(call.context, call.key_uses, at=at, new_id=self.ids.uuid)
        return records

    def _refused(self, call: Call, error: ServiceError) -> None:
        self.metrics.called(call.context.scope, call.operation, error.code)
        try:
            self.audit.hold(self._records(call, self.now(), None, error), call.later)
        except StoreError as cause:  # it stays kept back; the caller is refused in any case
            logger.error("the audit trail cannot be written: %s", cause)
