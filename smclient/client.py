"""``SecretsClient``: the public way in. A thin shell over the decisions of its neighbours."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from smclient import boto_shapes, drivers, references
from smclient.backend import (
    DEFAULT_BACKEND,
    Backend,
    Identity,
    open_backend,
    require_aws,
)
from smclient.background import ThreadWorker, Worker
from smclient.batch import Batch, several
from smclient.cache import Held, Moved, SecretCache
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.config import ClientConfig
from smclient.credentials import drive
from smclient.errors import (
    ClientClosedError,
)
from smclient.events import CHANGES_VALUE, changed_secret
from smclient.hooks import Callback, Hooks, Subscription
from smclient.ladder import Ladder
from smclient.metering import MOST_SECRETS, Meter, Usage
from smclient.reader import Reader
from smclient.refresh import RefreshPolicies, RefreshPolicy
from smclient.secret import LazySecret, SecretRef, SecretValue

T = TypeVar("T")


def _at_once(work: Callable[[], T]) -> T:
    return work()


class SecretsClient:
    """Reads secrets through a cache, logs in through a rotation, and counts what it costs.

    Safe to share between threads; one per process is enough. Nothing is asked and no thread is
    started before the first use. Durations are seconds.

    Args:
        backend: a URL (``aws://``, ``embedded://``, …), a ready boto3 client, or any ``Backend``.
            Default: ``SMCLIENT_BACKEND``, else ``aws://``.
        ttl, max_stale, jitter, max_secrets, max_bytes, refresh, ladder, login_wait,
            require_aws_endpoint, per_secret: see ``ClientConfig``.
        clock: where time comes from; tests pass ``smclient.testing.FakeClock``.
        worker: where work off the reader's path is done; tests pass ``smclient.testing.Inline``.

    Raises:
        ConfigError: a setting or the URL is wrong.
    """

    def __init__(
        self,
        backend: str | Backend | Any | None = None,
        *,
        ttl: float = 300.0,
        max_stale: float = 3600.0,
        jitter: float = 0.1,
        max_secrets: int = 1024,
        max_bytes: int = 64 * 1024 * 1024,
        refresh: str = "auto",
        ladder: Iterable[str] = ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"),
        login_wait: float = 5.0,
        require_aws_endpoint: bool = False,
        per_secret: Mapping[str, Mapping[str, float]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        worker: Worker | None = None,
    ) -> None:
        self.config = ClientConfig(
            backend=backend if isinstance(backend, str) else DEFAULT_BACKEND,
            ttl=ttl,
            max_stale=max_stale,
            jitter=jitter,
            max_secrets=max_secrets,
            max_bytes=max_bytes,
            refresh=refresh,
            ladder=tuple(ladder),
            login_wait=login_wait,
            require_aws_endpoint=require_aws_endpoint,
            per_secret=per_secret or {},
        )
        self._clock = clock
        self._monotonic = clock.monotonic
        self._time = clock.time
        self._backend = open_backend(backend, clock=clock)
        if require_aws_endpoint:
            require_aws(self._backend)
        self._worker = worker or ThreadWorker()
        self._hooks = Hooks()
        self._meter = Meter(clock.monotonic(), most_secrets=max(MOST_SECRETS, max_secrets))
        self._cache = SecretCache(max_secrets=max_secrets, max_bytes=max_bytes, meter=self._meter)
        self._hot: dict[str, Held] = self._cache.hot
        self._reader = Reader(
            self._backend,
            cache=self._cache,
            policies=RefreshPolicies.of_settings(
                RefreshPolicy(ttl, max_stale, jitter), self.config.per_secret
            ),
            refresh=refresh,
            meter=self._meter,
            hooks=self._hooks,
            worker=self._worker,
            clock=clock,
            on_moved=self._moved,
        )
        self._ladder = Ladder(
            self._reader,
            stages=self.config.ladder,
            wait=login_wait,
            max_stale=max_stale,
            meter=self._meter,
            hooks=self._hooks,
            worker=self._worker,
            clock=clock,
        )
        self._cache.kept_beside = self._ladder.memory.values
        self._closed = False

    @classmethod
    def from_config(cls, config: ClientConfig, **more: Any) -> Self:
        """A client with these settings; ``more`` are ``clock`` and ``worker``."""
        settings = {f.name: getattr(config, f.name) for f in fields(config)}
        return cls(settings.pop("backend"), **settings, **more)

    # --- reading --------------------------------------------------------------------------------

    def get(
        self,
        secret_id: str,
        *,
        version_stage: str | None = None,
        version_id: str | None = None,
        max_age: float | None = None,
    ) -> SecretValue:
        """One version of a secret, from memory where that is allowed.

        Args:
            secret_id: a name, an ARN, or an ARN without its six random characters.
            version_stage: AWSCURRENT unless given.
            version_id: exclusive with ``version_stage``, unless both belong together.
            max_age: never give a value that was fetched longer ago than this; 0 always asks.

        Raises:
            ResourceNotFoundError, AccessDeniedError, …: the backend refused.
            TransientError: it did not answer, and nothing that may still be served is held.
        """
        held = self._hot.get(secret_id)
        if (
            held is not None
            and version_stage is None
            and version_id is None
            and max_age is None
            and self._monotonic() < held.wake_at
            and self._time() < held.wake_wall
        ):
            held.hit()
            return held.value
        return self._look_closer(SecretRef(secret_id, version_stage, version_id), max_age)

    def peek(self, secret_id: str) -> SecretValue | None:
        """AWSCURRENT if a held value may be served, as ``get`` would; else ``None``, and nobody is
        asked. For code that must not wait."""
        self._check_open()
        ref = SecretRef(secret_id)
        return self._reader.read(ref) if self._reader.may_serve(ref) else None

    def get_many(self, secret_ids: Iterable[str]) -> Batch:
        """AWSCURRENT of many secrets, 20 to a call: ``.values`` and ``.errors`` by id as asked."""
        self._check_open()
        return self._reader.read_many(several("get_many", secret_ids))

    def preload(
        self,
        secret_ids: Iterable[str] = (),
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        max_age: float | None = None,
        jitter: float = 0.0,
    ) -> Batch:
        """Fetch secrets before they are needed: by id, by the start of their name, or by tags (all
        must be there, and all with these values).

        Args:
            max_age: what is named by id and held is fetched anew if it is older than so many
                seconds.
            jitter: wait up to so many seconds first, so that a fleet that starts together does not
                ask together.

        However they are named, this counts as ``preloaded`` and not as reads: nobody asked yet, so
        nothing is saved yet. The first ``get`` of each is a hit.
        """
        self._check_open()
        if jitter:
            self._clock.sleep(random.uniform(0.0, jitter))  # noqa: S311  spreads load
        batch = self._reader.preload(several("preload", secret_ids), max_age)
        if tags:
            self._reader.preload_listed(tags, prefix, batch)
        elif prefix is not None:
            self._reader.preload_named(prefix, batch)
        return batch

    def refresh(self, secret_id: str) -> SecretValue:
        """AWSCURRENT, fetched now: one call, no wait, shared with others who ask at the same time.

        Past five at once and then one a second for a secret, it gives what the last call brought.
        """
        self._check_open()
        return self._reader.refresh(SecretRef(secret_id))

    def invalidate(self, secret_id: str | None = None) -> None:
        """Forget a secret, or all of them; the next reader fetches."""
        self._reader.negatives.forget(secret_id)
        self._ladder.memory.forget(secret_id)
        if secret_id is None:
            self._cache.clear()
        else:
            self._cache.drop(secret_id)

    def resolve(self, reference: str | references.AnyReference) -> Any:
        """What a reference names: text, a JSON value, or the filled-in template.

        Raises:
            InvalidReferenceError: it does not follow the grammar (see ``smclient.references``).
            SecretContentError: the secret is not JSON, or the key is absent.
        """
        parsed = references.parse(reference) if isinstance(reference, str) else reference
        return parsed.render(partial(references.read, get=self._value_of))

    def lazy(self, reference: str) -> LazySecret:
        """A value read anew at each use. The reference is checked now, the secret is read later."""
        parsed = references.parse(reference)
        return LazySecret(
            str(parsed),
            lambda: references.as_text(self.resolve(parsed), parsed),
            shown=references.shown(parsed),
        )

    def get_secret_value(
        self,
        *,
        SecretId: str,
        VersionId: str | None = None,
        VersionStage: str | None = None,
    ) -> dict[str, Any]:
        """``get`` in the shape of boto3's ``get_secret_value``."""
        return boto_shapes.value_dict(
            self.get(SecretId, version_stage=VersionStage, version_id=VersionId)
        )

    def batch_get_secret_value(self, *, SecretIdList: Iterable[str]) -> dict[str, Any]:
        """``get_many`` in the shape of boto3's ``batch_get_secret_value``."""
        return boto_shapes.batch_dict(self.get_many(SecretIdList))

    # --- every other operation --------------------------------------------------------------------

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Any operation of the API, uncached, with AWS's own parameter names.

        What it changed is dropped from memory.
        """
        self._check_open()
        try:
            return self._reader.call(operation, parameters)
        finally:
            changed = parameters.get("SecretId") or parameters.get("Name")
            if operation in CHANGES_VALUE and isinstance(changed, str):
                self.invalidate(changed)

    # --- logging in -----------------------------------------------------------------------------

    def connect(
        self,
        secret_id: str,
        factory: Callable[..., T],
        *args: Any,
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> T:
        """Open a connection with the credentials of a secret, through a rotation if need be.

        ``factory(*args, **kwargs)`` is called with user and password added, and, unless they hold
        a DSN, with host, port and database as far as the secret has them; ``kwargs`` win.
        ``fields`` maps argument names to fields of the secret where the factory's module does not
        tell. See ``smclient.credentials`` for what is tried when the login is refused.

        Raises:
            ConfigError: user or password among ``kwargs``, or no telling which argument they are.
            CredentialFieldError: the secret lacks what a login needs.
            The driver's own error, with the versions tried as a note.
        """
        make, args, kwargs = drivers.unwrap(factory, args, kwargs)
        mapping = drivers.argument_fields(make, fields)
        drivers.refuse_login_arguments(secret_id, kwargs, mapping)
        give = drivers.giver(drivers.module_of(make))

        def open_one(value: SecretValue) -> T:
            return cast(
                T, make(*args, **drivers.login_arguments(value, mapping, args, kwargs, give))
            )

        return self.login(secret_id, open_one, fields=drivers.login_fields(mapping))

    def connector(
        self,
        secret_id: str,
        factory: Callable[..., T],
        *args: Any,
        fields: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Callable[[], T]:
        """``connect`` as a zero-argument callable, for pools. Wrong arguments are refused now."""
        make, _, given = drivers.unwrap(factory, args, kwargs)
        mapping = drivers.argument_fields(make, fields)
        drivers.refuse_login_arguments(secret_id, given, mapping)
        return partial(self.connect, secret_id, factory, *args, fields=fields, **kwargs)

    def login(
        self,
        secret_id: str,
        attempt: Callable[[SecretValue], T],
        *,
        fields: Iterable[str] = drivers.LOGIN_FIELDS,
        run: Callable[[Callable[[], Any]], Any] = _at_once,
    ) -> T:
        """The ladder for what ``connect`` cannot express: ``attempt`` is called with one version
        of the secret after the other until it does not raise an error of a refused login.

        Args:
            fields: what of the secret makes up the credentials, so that none is tried twice.
            run: does what would hold up an event loop (asking the backend, waiting), where
                ``attempt`` is called on one; by default it is done at once.
        """
        held = self.peek(secret_id)
        cached: SecretValue = run(partial(self.get, secret_id)) if held is None else held
        outcome, connection = drive(
            self._ladder.plan(cached, fields),
            ask=lambda stage: run(partial(self._ladder.ask, secret_id, stage)),
            login=attempt,
            sleep=lambda seconds: run(partial(self._clock.sleep, seconds)),
            refused=self._ladder.refused,
        )
        self._ladder.won(secret_id, cached, outcome)
        return connection

    # --- listening, counting, ending --------------------------------------------------------------

    def on_rotate(self, callback: Callback) -> Subscription:
        """Call back when AWSCURRENT was seen to move; ``.cancel()`` ends it."""
        return self._hooks.add("rotate", callback)

    def on_fallback(self, callback: Callback) -> Subscription:
        """Call back when a login was won by a version that is not AWSCURRENT."""
        return self._hooks.add("fallback", callback)

    def on_stale(self, callback: Callback) -> Subscription:
        """Call back when a value is served past its time because of an error."""
        return self._hooks.add("stale", callback)

    def handle_event(self, event: Mapping[str, Any]) -> str | None:
        """Drop what an event of EventBridge says was changed, and fetch it anew if it was held.

        Takes ``Secret Label Updated`` and what CloudTrail recorded, as a queue or a function gets
        them, so that a change is seen at once and not when the ``ttl`` is over.

        Returns:
            The ARN of the secret that was dropped, or ``None``: the event is about none held here.

        Raises:
            ConfigError: it is no event of EventBridge.
        """
        self._check_open()
        changed = changed_secret(event)
        if changed is None or not self._reader.renew(changed):
            return None
        return changed

    def identity(self) -> Identity:
        """Account, region, endpoint and principal that this client reads with."""
        return self._backend.identity()

    def usage(self) -> Usage:
        """What was called, what caching saved, what it costs."""
        return self._meter.usage(
            evicted=self._cache.evicted,
            secrets=self._cache.count(),
            now=self._monotonic(),
        )

    def close(self) -> None:
        """Stop background work, forget values, let the backend go. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._worker.close()
            self._cache.clear()
            self._ladder.memory.clear()
            self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SecretsClient({type(self._backend).__name__}, {self._cache.count()} secrets held)"

    # --- inside ---------------------------------------------------------------------------------

    def _look_closer(self, ref: SecretRef, max_age: float | None) -> SecretValue:
        self._check_open()
        return self._reader.read(ref, max_age)

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("this SecretsClient was closed; make a new one")

    def _value_of(self, ref: SecretRef) -> SecretValue:
        return self.get(ref.secret_id, version_stage=ref.version_stage, version_id=ref.version_id)

    def _moved(self, moved: Moved) -> None:
        self._ladder.moved(moved.arn, moved.created)
