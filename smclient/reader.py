"""The path of a read: held value, single flight, backend, books. Shared by every way to ask."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from smclient import boto_shapes
from smclient.allowance import Allowances
from smclient.backend import Backend
from smclient.background import Worker
from smclient.batch import Batch, pages
from smclient.cache import Held, Moved, SecretCache, check_identity
from smclient.clock import Clock
from smclient.edge import Edge, explained
from smclient.errors import (
    AccessDeniedError,
    CredentialsError,
    NotSupportedError,
    SmclientError,
)
from smclient.gathering import Gatherer
from smclient.hooks import Hooks, Outbox, SecretEvent
from smclient.metering import Meter
from smclient.negative import Negatives
from smclient.refresh import Freshness, RefreshPolicies, may_serve_stale
from smclient.refresher import Refresher
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient.singleflight import SingleFlight, fresh_copy

logger = logging.getLogger("smclient")

Flight = tuple[SecretRef, int]
"""What is asked for, and the cache's generation."""


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
        self._outbox = Outbox(hooks)
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
            fetch_page=partial(self._fetch_page, one=self._ask_alone),
            enough=self._refresher.batches,
        )
        self.negatives = Negatives()
        self._allowances = Allowances()
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

    def flight(self, ref: SecretRef) -> Flight:
        """What readers have in common who may share a call: an answer is never shared across an
        ``invalidate``."""
        return ref, self.cache.generation

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
        try:
            value, led = self._flights.do(self.flight(ref), ask, newer=newer)
        finally:
            self._outbox.send(self._worker.submit)
        if not led:
            self._meter.count("coalesced", arn=value.arn)
        return value

    def refresh(self, ref: SecretRef) -> SecretValue:
        """Ask the backend although a value is held, unless that is done too often: then the last
        answer counts, a refusal too."""
        held, now = self.cache.look(ref), self._monotonic()
        asked = ref.secret_id if held is None else held.value.arn
        if not self._allowances.take(asked, now):
            if held is not None and self.may_serve(ref):
                self._meter.count("coalesced", arn=held.value.arn)
                return held.value
            self._recall_refusal(ref)
        return self.fetch(ref, newer=True)

    def read_many(self, secret_ids: Iterable[str]) -> Batch:
        """AWSCURRENT of many: what is held is served, what was refused a moment ago is refused, the
        rest comes 20 to a call."""
        batch, missing = Batch(), []
        for secret_id in dict.fromkeys(secret_ids):
            ref = SecretRef(secret_id)
            if self.may_serve(ref):
                batch.values[secret_id] = self.read(ref)
                continue
            try:
                self._recall_refusal(ref)
                missing.append(secret_id)
            except SmclientError as error:
                batch.errors[secret_id] = error
                self._enter_new(ref, None)
        for page in pages(missing):
            led = self._share_page(page, batch)
            for secret_id in page:
                value = batch.values.get(secret_id)
                self._enter_new(SecretRef(secret_id), value, coalesced=secret_id not in led)
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
            if max_age is None:
                self._share_page(page, batch)
            else:
                self.fetch_page(page, batch)
            self._meter.count("preloaded", sum(name in batch.values for name in page))
        return batch

    def fetch_page(self, page: list[str], batch: Batch) -> None:
        """Fetch up to 20 in one call; each alone where the batch is refused (by what is said of
        each, a value is dropped or not), and a name that it might confuse with an ARN's."""
        try:
            self._fetch_page(page, batch, self.fetch)
        finally:
            self._outbox.send(self._worker.submit)

    def _share_page(self, page: list[str], batch: Batch) -> set[str]:
        """Fetch up to 20, each once for all who ask meanwhile; tells which were led here."""

        def lead(keys: list[Flight]) -> Mapping[Flight, SecretValue | SmclientError]:
            got = Batch()
            self._fetch_page([ref.secret_id for ref, _ in keys], got, self._ask_alone)
            results: dict[str, SecretValue | SmclientError] = {**got.errors, **got.values}
            return {key: results[key[0].secret_id] for key in keys}

        try:
            found, led = self._flights.do_many([self.flight(SecretRef(id_)) for id_ in page], lead)
        finally:
            self._outbox.send(self._worker.submit)
        for (ref, _), result in found.items():
            batch.add(ref.secret_id, result)
        return {ref.secret_id for ref, _ in led}

    def _fetch_page(
        self, page: list[str], batch: Batch, one: Callable[[SecretRef], SecretValue]
    ) -> None:
        if alone := boto_shapes.doubtful(page):
            batch.add_each(alone, one)
            page = [secret_id for secret_id in page if secret_id not in alone]
        if not self._refresher.allows("batch"):
            return batch.add_each(page, one)
        generation, started = self.cache.generation, self._monotonic()
        try:
            answer = self._edge.fetch_many(page)
        except SmclientError as error:
            if isinstance(error, AccessDeniedError | NotSupportedError):
                self._refresher.deny("batch", error)
            if isinstance(error, CredentialsError):  # about who asks: one by one is no different
                refused = {name: self._refused(SecretRef(name), error) for name in page}
                batch.errors.update(refused)
            elif may_serve_stale(error):
                batch.errors.update(dict.fromkeys(page, error))
            else:
                batch.add_each(page, one)
            return None
        self._take_in(answer, batch, started, generation)
        return batch.add_each([name for name in page if name not in answer], one)

    def _take_in(
        self,
        answer: Mapping[str, SecretValue | SmclientError],
        batch: Batch,
        started: float,
        generation: int,
    ) -> None:
        """Hold the values of a batch, and let go of what it refused."""
        for secret_id, result in answer.items():
            ref = SecretRef(secret_id)
            try:
                if isinstance(result, SmclientError):
                    raise self._refused(ref, result)
                self.keep(ref, result, started, generation)
                batch.values[secret_id] = result
            except SmclientError as error:
                batch.errors[secret_id] = error

    def _refused(self, ref: SecretRef, error: SmclientError) -> SmclientError:
        """What a reader is told of an error; a lasting one ends the value."""
        if not may_serve_stale(error):
            self.cache.refused(ref)
        told = explained(error, ref)
        self.negatives.note(ref, told, self._monotonic(), random.random())  # noqa: S311
        return told

    def preload_listed(self, tags: Mapping[str, str], prefix: str | None, batch: Batch) -> None:
        """Fetch every secret that has all of these tags. ListSecrets finds them: it is the only
        operation that tells which value a tag has."""
        filters = boto_shapes.tag_filters(tags)
        if prefix is not None:
            filters += boto_shapes.name_filter(prefix)
        names = [
            shape["Name"]
            for answer in self._edge.pages("ListSecrets", filters)
            for shape in answer.get("SecretList", ())
            if boto_shapes.has_tags(shape, tags)
        ]
        batch.update(self.preload(names))

    def preload_named(self, prefix: str, batch: Batch) -> None:
        """Fetch every secret whose name begins so, page by page, or, where batches are denied, as
        ListSecrets finds them; as with ``preload``, nothing of it is a read."""
        if self._refresher.allows("batch"):
            try:
                return self._preload_batches(boto_shapes.name_filter(prefix), batch)
            except NotSupportedError:  # of filters, perhaps, and not of batches
                pass
            except AccessDeniedError as error:
                if "perform: secretsmanager:BatchGetSecretValue" in str(error):
                    self._refresher.deny("batch", error)  # a filter needs ListSecrets as well
        return self.preload_listed({}, prefix, batch)

    def _preload_batches(self, filters: list[dict[str, Any]], batch: Batch) -> None:
        generation, started = self.cache.generation, self._monotonic()
        for shape in self._edge.pages("BatchGetSecretValue", filters):
            before = len(batch.values)
            self._take_in(boto_shapes.results(shape), batch, started, generation)
            self._meter.count("preloaded", len(batch.values) - before)
            self._outbox.send(self._worker.submit)
            generation, started = self.cache.generation, self._monotonic()

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
            event = SecretEvent("rotate", ref.secret_id, moved.old_version_id, moved.new_version_id)
            self._outbox.put(event)

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
            value, _ = self._flights.do(self.flight(ref), lead, newer=newer)
            return value
        finally:
            self._enter_new(ref, value, coalesced=follows)
            self._outbox.send(self._worker.submit)

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
            raise self._refused(ref, error) from error.__cause__
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
