"""``AsyncSecretsClient``: the same names, awaited. A thin shell over the decisions of the sync one.

A value that may be served is given without a thread and without a wait. Everything that asks a
backend runs in a thread (boto3 is synchronous, and aiobotocore holds it back by releases), one for
all tasks of a loop that ask for the same thing. A task that is cancelled cancels nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from smclient import drivers, references
from smclient.backend import Identity
from smclient.batch import Batch, several
from smclient.client import SecretsClient
from smclient.config import ClientConfig
from smclient.credentials import adrive
from smclient.errors import SmclientError
from smclient.hooks import Callback, Subscription
from smclient.metering import Usage
from smclient.reader import Flight
from smclient.secret import SecretRef, SecretValue
from smclient.singleflight import fresh_copy

T = TypeVar("T")

Flights = dict[Flight, "asyncio.Task[Any]"]


class AsyncSecretsClient:
    """``SecretsClient`` for asyncio. Arguments, errors and meaning are the sync client's.

    One may serve many event loops, one after the other or in several threads. ``sync`` is the
    client underneath; both share one cache.
    """

    def __init__(self, backend: Any = None, *, sync: SecretsClient | None = None, **settings: Any):
        self.sync = sync or SecretsClient(backend, **settings)
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, Flights] = WeakKeyDictionary()

    @classmethod
    def from_config(cls, config: ClientConfig, **more: Any) -> Self:
        """A client with these settings; ``more`` are ``clock`` and ``worker``."""
        return cls(sync=SecretsClient.from_config(config, **more))

    # --- reading --------------------------------------------------------------------------------

    async def get(
        self,
        secret_id: str,
        *,
        version_stage: str | None = None,
        version_id: str | None = None,
        max_age: float | None = None,
    ) -> SecretValue:
        """See ``SecretsClient.get``. Does not give up the loop where a held value may be served."""
        ask = partial(
            self.sync.get,
            secret_id,
            version_stage=version_stage,
            version_id=version_id,
            max_age=max_age,
        )
        ref = SecretRef(secret_id, version_stage, version_id)
        if self.sync._reader.may_serve(ref, max_age):
            return ask()
        key = None if max_age is not None else self.sync._reader.flight(ref)
        return await self._in_thread(ask, key=key)

    def peek(self, secret_id: str) -> SecretValue | None:
        """See ``SecretsClient.peek``. Not awaited: it asks nobody."""
        return self.sync.peek(secret_id)

    async def get_many(self, secret_ids: Iterable[str]) -> Batch:
        """See ``SecretsClient.get_many``."""
        return await self._in_thread(partial(self.sync.get_many, several("get_many", secret_ids)))

    async def preload(
        self,
        secret_ids: Iterable[str] = (),
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        max_age: float | None = None,
        jitter: float = 0.0,
    ) -> Batch:
        """See ``SecretsClient.preload``."""
        ids = several("preload", secret_ids)
        ask = partial(
            self.sync.preload, ids, prefix=prefix, tags=tags, max_age=max_age, jitter=jitter
        )
        return await self._in_thread(ask)

    async def refresh(self, secret_id: str) -> SecretValue:
        """See ``SecretsClient.refresh``."""
        return await self._in_thread(partial(self.sync.refresh, secret_id))

    def invalidate(self, secret_id: str | None = None) -> None:
        """See ``SecretsClient.invalidate``. Not awaited: it asks nobody."""
        self.sync.invalidate(secret_id)

    async def resolve(self, reference: str | references.AnyReference) -> Any:
        """See ``SecretsClient.resolve``."""
        parsed = references.parse(reference) if isinstance(reference, str) else reference
        for ref in parsed.refs():
            if not self.sync._reader.may_serve(ref):
                return await self._in_thread(partial(self.sync.resolve, parsed))
        return self.sync.resolve(parsed)

    async def get_secret_value(self, **parameters: str) -> dict[str, Any]:
        """See ``SecretsClient.get_secret_value``."""
        return await self._in_thread(partial(self.sync.get_secret_value, **parameters))

    async def batch_get_secret_value(self, **parameters: Any) -> dict[str, Any]:
        """See ``SecretsClient.batch_get_secret_value``."""
        return await self._in_thread(partial(self.sync.batch_get_secret_value, **parameters))

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """See ``SecretsClient.call``."""
        return await self._in_thread(partial(self.sync.call, operation, **parameters))

    # --- logging in -----------------------------------------------------------------------------

    async def connect(
        self,
        secret_id: str,
        factory: Callable[..., Awaitable[T]],
        *args: Any,
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> T:
        """See ``SecretsClient.connect``; the factory's answer is awaited."""
        make, args, kwargs = drivers.unwrap(factory, args, kwargs)
        mapping = drivers.argument_fields(make, fields)
        drivers.refuse_login_arguments(secret_id, kwargs, mapping)
        give = drivers.giver(drivers.module_of(make))

        async def open_one(value: SecretValue) -> T:
            arguments = drivers.login_arguments(value, mapping, args, kwargs, give)
            connection: T = await make(*args, **arguments)
            return connection

        return await self.login(secret_id, open_one, fields=drivers.login_fields(mapping))

    def connector(
        self,
        secret_id: str,
        factory: Callable[..., Awaitable[T]],
        *args: Any,
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Callable[..., Coroutine[Any, Any, T]]:
        """``connect`` as a callable to await, for pools; what a pool passes to it is ignored."""
        make, _, given = drivers.unwrap(factory, args, kwargs)
        drivers.refuse_login_arguments(secret_id, given, drivers.argument_fields(make, fields))

        async def connect(*_: Any, **__: Any) -> T:
            return await self.connect(secret_id, factory, *args, fields=fields, **kwargs)

        return connect

    async def login(
        self,
        secret_id: str,
        attempt: Callable[[SecretValue], Awaitable[T]],
        *,
        fields: Iterable[str] = drivers.LOGIN_FIELDS,
    ) -> T:
        """See ``SecretsClient.login``; ``attempt`` is awaited."""
        ladder = self.sync._ladder
        cached = await self.get(secret_id)
        outcome, connection = await adrive(
            ladder.plan(cached, fields),
            ask=lambda stage: self._in_thread(partial(ladder.ask, secret_id, stage)),
            login=attempt,
            sleep=lambda seconds: asyncio.to_thread(self.sync._clock.sleep, seconds),
            refused=ladder.refused,
        )
        ladder.won(secret_id, cached, outcome)
        return connection

    # --- listening, counting, ending --------------------------------------------------------------

    def on_rotate(self, callback: Callback) -> Subscription:
        """See ``SecretsClient.on_rotate``. Called on a thread, not on the loop."""
        return self.sync.on_rotate(callback)

    def on_fallback(self, callback: Callback) -> Subscription:
        """See ``SecretsClient.on_fallback``. Called on a thread, not on the loop."""
        return self.sync.on_fallback(callback)

    def on_stale(self, callback: Callback) -> Subscription:
        """See ``SecretsClient.on_stale``. Called on a thread, not on the loop."""
        return self.sync.on_stale(callback)

    def handle_event(self, event: Mapping[str, Any]) -> str | None:
        """See ``SecretsClient.handle_event``. Not awaited: fetching is done on a thread."""
        return self.sync.handle_event(event)

    async def identity(self) -> Identity:
        """See ``SecretsClient.identity``."""
        return await self._in_thread(self.sync.identity)

    def usage(self) -> Usage:
        """See ``SecretsClient.usage``."""
        return self.sync.usage()

    async def close(self) -> None:
        """See ``SecretsClient.close``."""
        await asyncio.to_thread(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"

    # --- inside ---------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T], *, key: Flight | None = None) -> T:
        """Run blocking work off the loop; with a key, once for all tasks that ask meanwhile."""
        if key is None:
            return await asyncio.to_thread(work)
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        running: asyncio.Task[T] | None = flights.get(key)
        if running is not None:
            shared: Any = None
            try:
                shared = await asyncio.shield(running)
                return cast(T, shared)
            except SmclientError as error:
                raise fresh_copy(error) from error
            finally:
                self._count_shared(key, shared)
        task = asyncio.create_task(asyncio.to_thread(work))
        flights[key] = task
        task.add_done_callback(partial(_landed, flights, key))
        return await asyncio.shield(task)

    def _count_shared(self, key: Flight, shared: Any) -> None:
        """A read that another task's call answered, or did not."""
        arn = shared.arn if isinstance(shared, SecretValue) else None
        self.sync._meter.missed(key[0].secret_id, arn, coalesced=True)


def _landed(flights: Flights, key: Flight, task: asyncio.Task[Any]) -> None:
    flights.pop(key, None)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody complains if all who asked were cancelled
