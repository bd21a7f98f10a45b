"""The path of a read: held value, single flight, backend, books. Shared by every way to ask."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from smclient import boto_shapes
from smclient.allowance import Allowance
from smclient.backend import Backend
from smclient.background import Worker
from smclient.batch import Batch, pages
from smclient.cache import Held, Moved, SecretCache, check_identity
from smclient.clock import Clock
from smclient.edge import Edge, explained
from smclient.errors import (
    AccessDeniedError,
    NotSupportedError,
    SmclientError,
)
from smclient.gathering import Gatherer
from smclient.hooks import Hooks, SecretEvent
from smclient.metering import Meter
from smclient.negative import Negatives
from smclient.refresh import Freshness, RefreshPolicies, may_serve_stale
from smclient.refresher import Refresher
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient.singleflight import SingleFlight, fresh_copy

logger = logging.getLogger("smclient")


class Reader:
    """Reads secrets through a cache. All time comes from the clock, all I/O from the backend."""

    def __init__(
        self,
        backend: Backend,
        *,
        cache: SecretCache,
        policies: RefreshPolicies,
        refresh: str,
        meter: Meter,
        hooks: Hooks,
        worker: Worker,
        clock: Clock,
        on_moved: Callable[[Moved], None],
    ) -> None:
        self._edge = Edge(backend, meter, clock.monotonic)
        self.cache = cache
        self._policies = policies
        self._meter = meter
        self._hooks = hooks
        self._worker = worker
        self._monotonic = clock.monotonic
        self._time = clock.time
        self._flights: SingleFlight[SecretValue] = SingleFlight()
        self._refresher = Refresher(
            mode=refresh,
            cache=cache,
            policies=policies,
            fetch=self.fetch,
            fetch_page=self.fetch_page,
            describe=self.describe,
            meter=meter,
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
        self._allowance = Allowance()
        self._on_moved = on_moved

    def read(self, ref: SecretRef, max_age: float | None = None) -> SecretValue:
        """A value that may be served: held, or fetched first. A value that may be served is never
        waited for."""
        held = self.cache.look(ref)
        now = self._now(held)
        state = Freshness.EXPIRED if held is None else held.freshness(now, max_age)
        if held is None or state is Freshness.EXPIRED:
            return self._read_fetched(ref, newer=max_age is not None)
        self._enter(ref, held.value, now)
        if state is Freshness.STALE:
            self._meter.count("stale_hits", arn=held.value.arn)
            self._refresh_soon(held, now)
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

    def ttl_of(self, ref: SecretRef) -> float:
        """How long this is served without a look."""
        held = self.cache.look(ref)
        policies = self._policies
        policy = policies.of_name(ref.secret_id) if held is None else policies.of(held.value)
        return policy.ttl

    def past_ttl(self, ref: SecretRef) -> bool:
        """Whether ``read`` would have to wait for a value that is within its ttl."""
        return not self.may_serve(ref, self.ttl_of(ref))

    def fetch(self, ref: SecretRef, *, newer: bool = False) -> SecretValue:
        """Ask the backend, once for all who ask at the same time."""
        ask = partial(self._ask, ref, newer)
        value, led = self._flights.do(self._flight(ref), ask, newer=newer)
        if not led:
            self._meter.count("coalesced", arn=value.arn)
        return value

    def refresh(self, ref: SecretRef) -> SecretValue:
        """Ask the backend although a value is held, unless that is done too often."""
        held, now = self.cache.look(ref), self._monotonic()
        served = held is not None and self.may_serve(ref)
        if held is not None and served and not self._allowance.take(held.value.arn, now):
            self._meter.count("coalesced", arn=held.value.arn)
            return held.value
        return self.fetch(ref, newer=True)

    def read_many(self, secret_ids: Iterable[str]) -> Batch:
        """AWSCURRENT of many: what is held is served, the rest comes 20 to a call."""
        batch, missing = Batch(), []
        for secret_id in dict.fromkeys(secret_ids):
            if self.may_serve(SecretRef(secret_id)):
                batch.values[secret_id] = self.read(SecretRef(secret_id))
            else:
                missing.append(secret_id)
        for page in pages(missing):
            self.fetch_page(page, batch)
            for secret_id in page:
                self._enter_new(SecretRef(secret_id), batch.values.get(secret_id))
        return batch

    def preload(self, secret_ids: Iterable[str], max_age: float | None = None) -> Batch:
        """Like ``read_many``, before anybody reads: nothing of it counts as a read, and what the
        other clients would call is entered when somebody does."""
        batch, missing = Batch(), []
        for secret_id in dict.fromkeys(secret_ids):
            held = self.cache.look(SecretRef(secret_id))
            now = self._now(held)
            state = Freshness.EXPIRED if held is None else held.freshness(now, max_age)
            if held is None or state is Freshness.EXPIRED:
                missing.append(secret_id)
                continue
            batch.values[secret_id] = held.value
            if state is Freshness.STALE:
                self._refresh_soon(held, now)
        for page in pages(missing):
            self.fetch_page(page, batch)
            self._meter.count("preloaded", sum(name in batch.values for name in page))
        return batch

    def fetch_page(
        self,
        page: list[str],
        batch: Batch,
        one: Callable[[SecretRef], SecretValue] | None = None,
    ) -> None:
        """Fetch up to 20 in one call; each with ``one`` where the batch action is denied."""
        if not self._refresher.allows("batch"):
            return batch.add_each(page, one or self.fetch)
        generation, started = self.cache.generation, self._monotonic()
        try:
            answer = self._edge.fetch_many(page)
        except (AccessDeniedError, NotSupportedError) as error:
            self._refresher.deny("batch", error)
            return batch.add_each(page, one or self.fetch)
        except SmclientError as error:
            batch.errors.update(dict.fromkeys(page, error))
            return None
        for secret_id, result in answer.items():
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
            raise explained(result, ref)
        self.keep(ref, result, started, generation)
        return result

    def preload_tagged(self, tags: Mapping[str, str], prefix: str | None, batch: Batch) -> None:
        """Fetch every secret that has all of these tags. ListSecrets finds them: it is the only
        operation that tells which value a tag has."""
        filters = boto_shapes.tag_filters(tags)
        if prefix is not None:
            filters += boto_shapes.name_filter(prefix)
        names = [
            shape["Name"]
            for answer in self._pages("ListSecrets", filters)
            for shape in answer.get("SecretList", ())
            if boto_shapes.has_tags(shape, tags)
        ]
        batch.update(self.preload(names))

    def preload_named(self, prefix: str, batch: Batch) -> None:
        """Fetch every secret whose name begins so, page by page; as with ``preload``, nothing of it
        is a read."""
        generation, started = self.cache.generation, self._monotonic()
        for answer in self._pages("BatchGetSecretValue", boto_shapes.name_filter(prefix)):
            for shape in answer.get("SecretValues", ()):
                value = boto_shapes.value_from_dict(shape)
                self.keep(SecretRef(value.name), value, started, generation)
                batch.values[value.name] = value
                self._meter.count("preloaded")
            for shape in answer.get("Errors", ()):
                batch.errors[shape["SecretId"]] = boto_shapes.error_from_dict(shape)
            generation, started = self.cache.generation, self._monotonic()

    def _pages(self, operation: str, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        parameters: dict[str, Any] = {"Filters": filters}
        while True:
            answer = self.call(operation, parameters)
            yield answer
            if not answer.get("NextToken"):
                return
            parameters = {**parameters, "NextToken": answer["NextToken"]}

    def renew(self, secret_id: str) -> bool:
        """Drop a secret that is known to have changed; if it was held, have it fetched anew off
        every reader's path, and say so. A fetch that was under way is not kept."""
        held = self.cache.look(SecretRef(secret_id))
        self.negatives.forget()
        self.cache.drop(secret_id)
        if held is None:
            return False
        self._worker.submit(partial(self._fetch_ahead, held.ref))
        return True

    def keep(self, ref: SecretRef, value: SecretValue, fetched_at: float, generation: int) -> None:
        """Hold a fetched value and tell whoever listens if AWSCURRENT moved."""
        policy = self._policies.of(value)
        moved = self.cache.store(
            ref,
            value,
            fetched_at=fetched_at,
            due_at=policy.due_at(fetched_at, random.random()),  # noqa: S311  spreads load
            expires_at=policy.expires_at(fetched_at),
            skew=self._time() - self._monotonic(),
            generation=generation,
        )
        self.negatives.forget(ref.secret_id)
        if moved is not None:
            self._meter.count("rotations")
            self._on_moved(moved)
            if self._hooks.wants("rotate"):
                event = SecretEvent(
                    "rotate", ref.secret_id, moved.old_version_id, moved.new_version_id
                )
                self._worker.submit(lambda: self._hooks.emit(event))

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Any operation, metered."""
        return self._edge.call(operation, parameters)

    def describe(self, secret_id: str) -> SecretDescription:
        """DescribeSecret, metered."""
        return self._edge.describe(secret_id)

    # --- inside ---------------------------------------------------------------------------------

    def _fetch_ahead(self, ref: SecretRef) -> None:
        try:
            self.fetch(ref, newer=True)
        except SmclientError as error:
            logger.debug("%s was not fetched ahead: %s", ref.secret_id, error)  # a reader will see

    def _read_fetched(self, ref: SecretRef, newer: bool) -> SecretValue:
        """A read that has to wait."""
        value: SecretValue | None = None
        follows = False

        def lead() -> SecretValue:
            nonlocal follows
            follows = False
            return self._ask(ref, newer)

        try:
            if not newer:
                self._recall_refusal(ref)
            follows = True
            value, _ = self._flights.do(self._flight(ref), lead, newer=newer)
            return value
        finally:
            self._enter_new(ref, value, coalesced=follows)

    def _flight(self, ref: SecretRef) -> Hashable:
        return ref, self.cache.generation  # an answer is never shared across an invalidate

    def _refresh_soon(self, held: Held, now: float) -> None:
        if self.cache.claim(held, until=self._policies.general.retry_at(now, 1, 1.0)):
            self._refresher.add(held)

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
        generation, started = self.cache.generation, self._monotonic()
        try:
            value = self._edge.fetch(ref, newest=newest)
            check_identity(ref, value)
        except SmclientError as error:
            if not may_serve_stale(error):
                self.cache.refused(ref)
            told = explained(error, ref)
            self.negatives.note(ref, told, self._monotonic(), random.random())  # noqa: S311
            raise told from error.__cause__
        self.keep(ref, value, started, generation)
        return value

    def _now(self, held: Held | None) -> float:
        monotonic = self._monotonic()
        return monotonic if held is None else held.later(monotonic, self._time())

    def _enter_new(
        self, ref: SecretRef, value: SecretValue | None, *, coalesced: bool = False
    ) -> None:
        """Enter a read that had to wait, whether what it got is held by now or was too large."""
        arn = None if value is None else value.arn
        self._meter.missed(ref.secret_id, arn, coalesced=coalesced)
        if value is not None:
            self._enter(ref, value, self._monotonic())
            held = self.cache.look(ref)
            if held is not None:
                self.cache.rewake(held)

    def _enter(self, ref: SecretRef, value: SecretValue, now: float) -> None:
        selector = (ref.version_stage, ref.version_id)
        self._meter.read(value.arn, selector, now, value.version_id)
