"""Random histories against a model that states what may never happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from smclient import (
    AccessDeniedError,
    BackendUnavailableError,
    RefusedError,
    ResourceNotFoundError,
    SecretsClient,
    SecretValue,
    SmclientError,
    ThrottlingError,
    TransientError,
)
from smclient.testing import FakeBackend, FakeClock, Queued

NAMES = ["a", "b", "c"]
TTL, MAX_STALE = 10.0, 40.0

names = st.sampled_from(NAMES)
id_kinds = st.sampled_from(["name", "arn", "partial"])


class Watched(FakeBackend):
    """Notes when it refused a secret for good."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.refused_at: dict[str, float] = {}

    def fetch(self, ref: Any) -> Any:
        return self._noting([ref.secret_id], lambda: super(Watched, self).fetch(ref))

    def fetch_many(self, secret_ids: Any) -> Any:
        answer = self._noting([], lambda: super(Watched, self).fetch_many(secret_ids))
        for secret_id, found in answer.value.items():
            if isinstance(found, RefusedError):
                self._refused(secret_id)
        return answer

    def _noting(self, secret_ids: list[str], ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except RefusedError:
            for secret_id in secret_ids:
                self._refused(secret_id)
            raise

    def _refused(self, secret_id: str) -> None:
        for name in NAMES:
            if secret_id in (name, self.arn(name), self.arn(name)[:-7]):
                self.refused_at[name] = self.clock.monotonic()


class Reads(RuleBasedStateMachine):
    """Every value that is returned must have been the current one at an allowed time."""

    @initialize(jitter=st.sampled_from([0.0, 0.5]), max_secrets=st.sampled_from([1, 2, 100]))
    def start(self, jitter: float, max_secrets: int) -> None:
        self.clock = FakeClock()
        self.backend = Watched(self.clock)
        self.worker = Queued()
        self.client = SecretsClient(
            self.backend,
            ttl=TTL,
            max_stale=MAX_STALE,
            refresh="get",
            jitter=jitter,
            max_secrets=max_secrets,
            clock=self.clock,
            worker=self.worker,
        )
        # Remembered refusals have tests of their own; here an error needs a reason of this moment.
        self.client._reader.negatives.note = lambda *_: None  # type: ignore[method-assign]
        self.fault: SmclientError | None = None
        self.history: dict[str, list[tuple[float, str | None]]] = {n: [(0.0, None)] for n in NAMES}
        self.floor: dict[str, float] = dict.fromkeys(NAMES, 0.0)
        self.serial = 0
        self.reads = 0

    # --- the model ---

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def current(self, name: str) -> str | None:
        return self.history[name][-1][1]

    def was_current_since(self, name: str, text: str, since: float) -> bool:
        """Whether ``text`` was the current value at some time from ``since`` on."""
        spans = self.history[name]
        for n, (start, value) in enumerate(spans):
            end = spans[n + 1][0] if n + 1 < len(spans) else float("inf")
            if value == text and end >= since and start <= self.now:
                return True
        return False

    def changed(self, name: str, text: str | None) -> None:
        self.history[name].append((self.now, text))

    def check(self, name: str, value: SecretValue, max_age: float | None = None) -> None:
        assert value.name == name
        since = max(self.now - MAX_STALE, self.floor[name], self.backend.refused_at.get(name, 0.0))
        if max_age is not None:
            since = max(since, self.now - max_age)
        assert self.was_current_since(name, value.text, since), (name, value.text, self.history)
        if max_age == 0:
            assert value.text == self.current(name)

    def allowed(self, name: str, error: SmclientError) -> None:
        """An error needs a reason."""
        if isinstance(error, ResourceNotFoundError):
            assert self.current(name) is None
        else:
            assert self.fault is not None
            assert type(error) is type(self.fault)

    def secret_id(self, name: str, kind: str) -> str:
        arn = self.backend.arn(name)
        return {"name": name, "arn": arn, "partial": arn[:-7]}[kind]

    # --- what happens ---

    @rule(name=names)
    def somebody_changes_a_value(self, name: str) -> None:
        self.serial += 1
        text = f"{name}{self.serial}"
        self.backend.put(name, text)
        self.changed(name, text)

    @rule(name=names)
    def somebody_deletes_a_secret(self, name: str) -> None:
        if self.current(name) is not None:
            self.backend.remove(name)
            self.changed(name, None)

    @rule(name=names, kind=id_kinds)
    def we_change_a_value(self, name: str, kind: str) -> None:
        if self.current(name) is None:
            return
        self.serial += 1
        text = f"{name}{self.serial}"
        try:
            self.client.call(
                "PutSecretValue", SecretId=self.secret_id(name, kind), SecretString=text
            )
        except SmclientError as error:
            self.allowed(name, error)
        else:
            self.changed(name, text)
            self.floor[name] = self.now
            self.history[name] = [(self.now, text)]

    @rule(
        name=names,
        kind=id_kinds,
        max_age=st.none() | st.sampled_from([0.0, 1.0, 15.0, 100.0]),
    )
    def we_read(self, name: str, kind: str, max_age: float | None) -> None:
        self.reads += 1
        try:
            value = self.client.get(self.secret_id(name, kind), max_age=max_age)
        except SmclientError as error:
            self.allowed(name, error)
        else:
            self.check(name, value, max_age)

    @rule(asked=st.lists(st.tuples(names, id_kinds), max_size=4))
    def we_read_many(self, asked: list[tuple[str, str]]) -> None:
        ids = {self.secret_id(name, kind): name for name, kind in asked}
        self.reads += len(ids)
        batch = self.client.get_many(ids)
        assert batch.values.keys() | batch.errors.keys() == ids.keys()
        assert not batch.values.keys() & batch.errors.keys()
        for secret_id, value in batch.values.items():
            self.check(ids[secret_id], value)
        for secret_id, error in batch.errors.items():
            self.allowed(ids[secret_id], error)

    @rule(name=names)
    def we_refresh(self, name: str) -> None:
        try:
            value = self.client.refresh(name)
        except SmclientError as error:
            self.allowed(name, error)
        else:
            assert value.text == self.current(name)

    @rule(name=st.none() | names)
    def we_invalidate(self, name: str | None) -> None:
        self.client.invalidate(name)
        for each in NAMES if name is None else [name]:
            self.floor[each] = self.now

    @rule(seconds=st.sampled_from([0.5, 4.9, 5.0, 10.0, 15.0, 39.9, 40.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def the_worker_works(self) -> None:
        self.worker.run()

    @rule(
        error=st.sampled_from(
            [BackendUnavailableError("no answer"), ThrottlingError("slow"), AccessDeniedError("no")]
        )
    )
    def the_backend_fails(self, error: SmclientError) -> None:
        self.fault = error
        self.backend.fail_with(error, times=None)

    @precondition(lambda self: self.fault is not None)
    @rule()
    def the_backend_recovers(self) -> None:
        self.fault = None
        self.backend.recover()

    # --- what must hold ---

    @invariant()
    def every_read_is_counted_once(self) -> None:
        if not hasattr(self, "client"):
            return
        usage = self.client.usage()
        assert usage.hits + usage.stale_hits + usage.misses == usage.reads == self.reads
        assert usage.baselines["no cache"] == {"GetSecretValue": self.reads}

    @invariant()
    def every_call_is_counted_once(self) -> None:
        if hasattr(self, "client"):
            called = self.client.usage().api_calls
            asked = {c.operation for c in self.backend.calls}
            assert called == {name: self.backend.count(name) for name in asked}

    @invariant()
    def a_reader_in_an_outage_is_served_while_that_is_allowed(self) -> None:
        if hasattr(self, "client") and isinstance(self.fault, TransientError):
            for name, held in list(self.client._hot.items()):
                if self.now < held.fetched_at + MAX_STALE:
                    self.reads += 1
                    assert self.client.get(name).text == held.value.text

    def teardown(self) -> None:
        if hasattr(self, "client"):
            self.client.close()


TestReads = Reads.TestCase
TestReads.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
