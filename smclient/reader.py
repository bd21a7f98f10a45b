"""The path of a read: held value, single flight, backend, books. Shared by every way to ask."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from smclient import boto_shapes
from smclient.backend import Answer, Backend, fetch_newest
from smclient.background import Worker
from smclient.batch import Batch, pages
from smclient.cache import Held, Moved, SecretCache, check_identity
from smclient.clock import Clock
from smclient.errors import (
    AccessDeniedError,
    BackendError,
    NotSupportedError,
    SmclientError,
    explain,
)
from smclient.gathering import Gatherer
from smclient.hooks import Hooks, SecretEvent
from smclient.metering import VALUE_OPERATIONS, Meter
from smclient.negative import Negatives
from smclient.refresh import Freshness, RefreshPolicy, may_serve_stale
from smclient.refresher import Refresher
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient.singleflight import SingleFlight, fresh_copy

T = TypeVar("T")


class Reader:
    """Reads secrets through a cache. All time comes from the clock, all I/O from the backend."""

    def __init__(
        self,
        backend: Backend,
        *,
        cache: SecretCache,
        policy: RefreshPolicy,
        refresh: str,
        meter: Meter,
        hooks: Hooks,
        worker: Worker,
        clock: Clock,
        on_moved: Callable[[Moved], None],
    ) -> None:
        self._backend = backend
        self.cache = cache
        self._policy = policy
        self._meter = meter
        self._hooks = hooks
        self._worker = worker
        self._monotonic = clock.monotonic
        self._time = clock.time
        self._flights: SingleFlight[SecretValue] = SingleFlight()
        self._refresher = Refresher(
            mode=refresh,
            cache=cache,
            policy=policy,
            fetch=self.fetch,
            fetch_page=self.fetch_page,
            describe=self.describe,
            hooks=hooks,
            worker=worker,
            clock=clock,
        )
        self._gatherer = Gatherer(
            alone=self._ask_alone,
            # Not through the flights: whoever waits for the batch leads one of them.
            fetch_page=partial(self.fetch_page, one=self._ask_alone),
            enough=self._refresher.batches,
        )
        self.negatives = Negatives()
        self._on_moved = on_moved

    def read(self, ref: SecretRef, max_age: float | None = None) -> SecretValue:
        """A value that may be served: held, or fetched first. A value that may be served is never
        waited for."""
        held = self.cache.look(ref)
        now = self._now(held)
        state = Freshness.EXPIRED if held is None else held.freshness(now, max_age)
        if held is None or state is Freshness.EXPIRED:
            self._meter.count("misses")
            return self.fetch(ref, newer=max_age is not None, count_as_read=True)
        self._enter(held, now)
        if state is Freshness.STALE:
            self._meter.count("stale_hits")
            if self.cache.claim(held, until=self._policy.retry_at(now, 1, 1.0)):
                self._refresher.add(held)
        else:
            held.hit()
            if now >= held.wake_at:
                self.cache.rewake(held)
        return held.value

    def may_serve(self, ref: SecretRef, max_age: float | None = None) -> bool:
        """Whether ``read`` would answer at once."""
        held = self.cache.look(ref)
        return (
            held is not None and held.freshness(self._now(held), max_age) is not Freshness.EXPIRED
        )

    def fetch(
        self, ref: SecretRef, *, newer: bool = False, count_as_read: bool = False
    ) -> SecretValue:
        """Ask the backend, once for all who ask at the same time."""
        if count_as_read and not newer:
            self._recall_refusal(ref)
        flight = (ref, self.cache.generation)  # an answer is never shared across an invalidate
        value, led = self._flights.do(flight, lambda: self._ask(ref, newer), newer=newer)
        if not led:
            self._meter.count("coalesced")
        if count_as_read:
            self._enter_new(ref)
        return value

    def read_many(self, secret_ids: Iterable[str]) -> Batch:
        """AWSCURRENT of many: what is held is served, the rest comes 20 to a call."""
        batch, missing = Batch(), []
        for secret_id in dict.fromkeys(secret_ids):
            held = self.cache.look(SecretRef(secret_id))
            if held is not None and held.freshness(self._now(held)) is not Freshness.EXPIRED:
                batch.values[secret_id] = self.read(SecretRef(secret_id))
            else:
                missing.append(secret_id)
        for page in pages(missing):
            self._meter.count("misses", len(page))
            self.fetch_page(page, batch)
            for secret_id in page:
                self._enter_new(SecretRef(secret_id))
        return batch

    def fetch_page(
        self,
        page: list[str],
        batch: Batch,
        one: Callable[[SecretRef], SecretValue] | None = None,
    ) -> None:
        """Fetch up to 20 in one call; each with ``one`` where the batch action is denied."""
        if not self._refresher.allows("batch"):
            return _fetch_singly(page, batch, one or self.fetch)
        generation, started = self.cache.generation, self._monotonic()
        try:
            answer = self._called("BatchGetSecretValue", lambda: self._backend.fetch_many(page))
        except (AccessDeniedError, NotSupportedError) as error:
            self._refresher.deny("batch", error)
            return _fetch_singly(page, batch, one or self.fetch)
        except SmclientError as error:
            batch.errors.update(dict.fromkeys(page, error))
            return None
        for secret_id, result in answer.value.items():
            try:
                batch.values[secret_id] = self._page_entry(secret_id, result, started, generation)
            except SmclientError as error:
                batch.errors[secret_id] = error
        return None

    def _page_entry(
        self, secret_id: str, result: SecretValue | SmclientError, started: float, generation: int
    ) -> SecretValue:
        ref = SecretRef(secret_id)
        if isinstance(result, SmclientError):
            if not may_serve_stale(result):
                self.cache.refused(ref)
            raise _explained(result, ref)
        self.keep(ref, result, started, generation)
        return result

    def read_matching(self, filters: list[dict[str, Any]], batch: Batch) -> None:
        """Fetch every secret that BatchGetSecretValue's filters match, page by page."""
        parameters: dict[str, Any] = {"Filters": filters}
        while True:
            generation, started = self.cache.generation, self._monotonic()
            answer = self.call("BatchGetSecretValue", parameters)
            for shape in answer.get("SecretValues", ()):
                value = boto_shapes.value_from_dict(shape)
                self.keep(SecretRef(value.name), value, started, generation)
                batch.values[value.name] = value
            for shape in answer.get("Errors", ()):
                batch.errors[shape["SecretId"]] = boto_shapes.error_from_dict(shape)
            if not answer.get("NextToken"):
                return
            parameters = {**parameters, "NextToken": answer["NextToken"]}

    def keep(self, ref: SecretRef, value: SecretValue, fetched_at: float, generation: int) -> None:
        """Hold a fetched value and tell whoever listens if AWSCURRENT moved."""
        moved = self.cache.store(
            ref,
            value,
            fetched_at=fetched_at,
            due_at=self._policy.due_at(fetched_at, random.random()),  # noqa: S311  spreads load
            expires_at=self._policy.expires_at(fetched_at),
            skew=self._time() - self._monotonic(),
            generation=generation,
        )
        self.negatives.forget(ref.secret_id)
        if moved is not None:
            self._on_moved(moved)
            if self._hooks.wants("rotate"):
                event = SecretEvent(
                    "rotate", ref.secret_id, moved.old_version_id, moved.new_version_id
                )
                self._worker.submit(lambda: self._hooks.emit(event))

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Any operation, metered. DescribeSecret tells which key a secret is under."""
        answer = self._called(operation, lambda: self._backend.call(operation, parameters)).value
        if operation == "DescribeSecret" and "ARN" in answer:
            self._meter.learned_key(answer["ARN"], answer.get("KmsKeyId"))
        return answer

    def describe(self, secret_id: str) -> SecretDescription:
        """DescribeSecret, metered; tells which key a secret is under."""
        answer = self._called("DescribeSecret", lambda: self._backend.describe(secret_id))
        self._meter.learned_key(answer.value.arn, answer.value.kms_key_id)
        return answer.value

    # --- inside ---------------------------------------------------------------------------------

    def _recall_refusal(self, ref: SecretRef) -> None:
        """Raise what a backend said a moment ago, instead of asking it again."""
        refusal = self.negatives.recall(ref, self._monotonic())
        if refusal is not None:
            self._meter.count("negative")
            raise fresh_copy(refusal) from refusal

    def _ask(self, ref: SecretRef, newest: bool) -> SecretValue:
        if ref.is_current and not newest:
            return self._gatherer.fetch(ref)
        return self._ask_alone(ref, newest)

    def _ask_alone(self, ref: SecretRef, newest: bool = False) -> SecretValue:
        ask = fetch_newest(self._backend) if newest else self._backend.fetch
        generation, started = self.cache.generation, self._monotonic()
        try:
            answer = self._called("GetSecretValue", lambda: ask(ref))
            check_identity(ref, answer.value)
        except SmclientError as error:
            if not may_serve_stale(error):
                self.cache.refused(ref)
            told = _explained(error, ref)
            self.negatives.note(ref, told, self._monotonic(), random.random())  # noqa: S311
            raise told from error.__cause__
        self.keep(ref, answer.value, started, generation)
        return answer.value

    def _called(self, operation: str, ask: Callable[[], Answer[T]]) -> Answer[T]:
        try:
            answer = ask()
        except BackendError as error:
            self._meter.failed(operation, error.attempts, error.code)
            raise
        self._meter.called(
            operation, answer.attempts, values_of=_values_of(operation, answer.value)
        )
        return answer

    def _now(self, held: Held | None) -> float:
        monotonic = self._monotonic()
        return monotonic if held is None else held.later(monotonic, self._time())

    def _enter_new(self, ref: SecretRef) -> None:
        held = self.cache.look(ref)
        if held is not None:
            self._enter(held, self._monotonic())
            self.cache.rewake(held)

    def _enter(self, held: Held, now: float) -> None:
        self._meter.read(held.baseline, now, held.value.version_id)


def _fetch_singly(page: list[str], batch: Batch, one: Callable[[SecretRef], SecretValue]) -> None:
    for secret_id in page:
        try:
            batch.values[secret_id] = one(SecretRef(secret_id))
        except SmclientError as error:
            batch.errors[secret_id] = error


def _explained(error: SmclientError, ref: SecretRef) -> SmclientError:
    if not isinstance(error, BackendError):
        return error
    return explain(error, secret=ref.secret_id, stage=ref.version_stage)


def _values_of(operation: str, value: Any) -> list[str]:
    """The ARNs of the secrets whose values an answer shows to have been opened or sealed."""
    if isinstance(value, SecretValue):
        return [value.arn]
    if operation == "BatchGetSecretValue":
        if "SecretValues" in value:
            return [entry["ARN"] for entry in value["SecretValues"]]
        return [entry.arn for entry in value.values() if isinstance(entry, SecretValue)]
    if operation in VALUE_OPERATIONS and value.get("VersionId"):
        return [value["ARN"]]
    return []
