"""The names of AWS's caching library for Python, over ``SecretsClient``: change one import.

    from smclient.aws_caching import SecretCache     # was: from aws_secretsmanager_caching import …

What is different, on purpose:

- A secret, stage or version that is not there is an error (``ResourceNotFoundError``), where theirs
  returns ``None`` for an hour. So is text asked of a binary secret (``NotTextError``) and bytes
  asked of a text secret (``NotBinaryError``).
- A value is read with one GetSecretValue, not DescribeSecret and GetSecretValue. From half of
  ``secret_refresh_interval`` on it is refreshed behind the reader's back; past the interval it is
  never served. Theirs lets readers wait, and serves any age, also after access was taken away.
- Whoever asks while a refresh is under way is not held up.
- A kept error is raised as a new exception each time, at most 60 s long unless
  ``exception_retry_delay_max`` says otherwise (theirs: an hour), and ``refresh_secret_now`` clears
  it. That does not sleep either.
- ``secret_refresh_interval`` may be a fraction of a second; ``max_cache_size`` is at least 1.
- The hook sees values only, since nothing else is read, and is not copied.
- The decorators tell methods from functions by where they are, not by their names; on an
  ``async def`` they do not block the loop. What they raise is a ``RuntimeError`` as theirs is, and
  a ``SecretContentError`` too.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol, cast

from cachetools import LRUCache

from smclient.aws_injection import (
    InjectedSecretError,
    InjectKeywordedSecretString,
    InjectSecretString,
)
from smclient.boto_shapes import value_dict
from smclient.client import SecretsClient
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import (
    BackendError,
    NotBinaryError,
    NotTextError,
    SecretContentError,
)
from smclient.forking import survive_fork
from smclient.secret import SecretRef, SecretValue
from smclient.singleflight import fresh_copy

__all__ = [
    "InjectKeywordedSecretString",
    "InjectSecretString",
    "InjectedSecretError",
    "SecretCache",
    "SecretCacheConfig",
    "SecretCacheHook",
]


class SecretCacheHook(Protocol):
    """Sees each value on its way into the cache and out of it, in the shape of boto3's answer."""

    def put(self, obj: Any) -> Any:
        """What to keep instead of ``obj``, called once for a version."""
        ...

    def get(self, cached_obj: Any) -> Any:
        """What to hand out instead of what ``put`` returned, called at each read."""
        ...


class SecretCacheConfig:
    """Settings under their names in AWS's library. Durations are seconds.

    Args:
        max_cache_size: secrets held at most (1024).
        exception_retry_delay_base, exception_retry_growth_factor, exception_retry_delay_max: an
            error is kept for base * factor ** n seconds after n errors before it, at most max (1,
            2, 60).
        default_version_stage: what is read where no stage is asked (AWSCURRENT).
        secret_refresh_interval: age past which a value is not served (3600).
        secret_cache_hook: a ``SecretCacheHook``.

    Raises:
        TypeError: another option.
    """

    max_cache_size: int
    exception_retry_delay_base: float
    exception_retry_growth_factor: float
    exception_retry_delay_max: float
    default_version_stage: str
    secret_refresh_interval: float
    secret_cache_hook: SecretCacheHook | None

    OPTION_DEFAULTS: dict[str, Any] = {
        "max_cache_size": 1024,
        "exception_retry_delay_base": 1,
        "exception_retry_growth_factor": 2,
        "exception_retry_delay_max": 60,
        "default_version_stage": "AWSCURRENT",
        "secret_refresh_interval": 3600,
        "secret_cache_hook": None,
    }

    def __init__(self, **kwargs: Any) -> None:
        unknown = kwargs.keys() - self.OPTION_DEFAULTS.keys()
        if unknown:
            raise TypeError(
                f"unexpected option {', '.join(sorted(unknown))}; "
                f"the options are {', '.join(self.OPTION_DEFAULTS)}"
            )
        vars(self).update({**self.OPTION_DEFAULTS, **kwargs})

    def retry_delay(self, failures: int) -> float:
        """How long an error is kept, given how many came before it."""
        growth = float(self.exception_retry_growth_factor) ** min(failures, 64)
        return min(self.exception_retry_delay_base * growth, self.exception_retry_delay_max)


class SecretCache:
    """Reads secrets through a ``SecretsClient``. Thread-safe.

    Args:
        config: settings; defaults otherwise.
        client: a boto3 client, as AWS's library takes it; or a backend's URL, a ``Backend``, a
            ready ``SecretsClient`` (then its own refresh times hold). Default:
            ``SMCLIENT_BACKEND``, else ``aws://``, whose calls say ``smclient/VERSION`` as their
            user agent.
        clock: where time comes from.
    """

    def __init__(
        self,
        config: SecretCacheConfig | None = None,
        client: Any = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config or SecretCacheConfig()
        self._client = (
            client if isinstance(client, SecretsClient) else _opened(self._config, client, clock)
        )
        self._now = clock.monotonic
        self._lock = threading.Lock()
        size = self._config.max_cache_size
        self._failures: LRUCache[SecretRef, tuple[int, float, BackendError]] = LRUCache(size)
        self._put: LRUCache[SecretRef, tuple[str, Any]] = LRUCache(size)
        survive_fork(self)

    def after_fork(self) -> None:
        """A lock of its own: the parent's may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def get_secret_string(self, secret_id: str, version_stage: str | None = None) -> str:
        """The text of a secret.

        Raises:
            NotTextError: it is binary.
            ResourceNotFoundError, …: what ``SecretsClient.get`` raises.
        """
        ref = self._ref(secret_id, version_stage)
        value = self._read(ref)
        if self._config.secret_cache_hook is None or value.is_binary:
            return value.text
        return cast(str, _field(NotTextError, secret_id, self._hooked(ref, value), "SecretString"))

    def get_secret_binary(self, secret_id: str, version_stage: str | None = None) -> bytes:
        """The bytes of a secret.

        Raises:
            NotBinaryError: it is text.
            ResourceNotFoundError, …: what ``SecretsClient.get`` raises.
        """
        ref = self._ref(secret_id, version_stage)
        value = self._read(ref)
        if self._config.secret_cache_hook is None or not value.is_binary:
            return value.binary
        hooked = self._hooked(ref, value)
        return cast(bytes, _field(NotBinaryError, secret_id, hooked, "SecretBinary"))

    def refresh_secret_now(self, secret_id: str) -> bool:
        """Fetch AWSCURRENT now: one call, no sleep. False if that failed; then what was held and
        may be served still is. A kept error is forgotten either way."""
        with self._lock:
            for ref in [ref for ref in self._failures if ref.secret_id == secret_id]:
                del self._failures[ref]
        try:
            self._client.refresh(secret_id)
        except BackendError:
            return False
        return True

    def is_held(self, secret_id: str) -> bool:
        """Whether reading it asks nobody."""
        return self._client._reader.may_serve(self._ref(secret_id, None))

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def __repr__(self) -> str:
        return f"SecretCache({self._client!r})"

    # --- inside ---------------------------------------------------------------------------------

    def _ref(self, secret_id: str, stage: str | None) -> SecretRef:
        return SecretRef(secret_id, stage or self._config.default_version_stage)

    def _read(self, ref: SecretRef) -> SecretValue:
        kept = None
        if self._failures:
            with self._lock:
                kept = self._failures.get(ref)
        if kept is not None and self._now() < kept[1]:
            raise fresh_copy(kept[2]) from None
        try:
            stage = None if ref.is_current else ref.version_stage
            value = self._client.get(ref.secret_id, version_stage=stage)
        except BackendError as error:
            self._keep(ref, error)
            raise
        if kept is not None:
            with self._lock:
                self._failures.pop(ref, None)
        return value

    def _keep(self, ref: SecretRef, error: BackendError) -> None:
        told = fresh_copy(error)  # without frames, which may hold secrets
        with self._lock:
            failures = self._failures.get(ref, (0, 0.0, told))[0]
            until = self._now() + self._config.retry_delay(failures)
            self._failures[ref] = (failures + 1, until, told)

    def _hooked(self, ref: SecretRef, value: SecretValue) -> Any:
        hook = self._config.secret_cache_hook
        assert hook is not None
        with self._lock:
            version_id, stored = self._put.get(ref, ("", None))
        if version_id != value.version_id:
            stored = hook.put(value_dict(value))
            with self._lock:
                self._put[ref] = (value.version_id, stored)
        return hook.get(stored)


def _opened(config: SecretCacheConfig, backend: Any, clock: Clock) -> SecretsClient:
    interval = config.secret_refresh_interval
    return SecretsClient(
        backend,
        ttl=interval * 0.75,
        jitter=1 / 3,  # so between half of the interval and three quarters of it
        max_stale=interval,
        max_secrets=config.max_cache_size,
        clock=clock,
    )


def _field(kind: type[SecretContentError], secret_id: str, hooked: Any, field: str) -> Any:
    found = hooked.get(field) if isinstance(hooked, dict) else None
    if found is None:
        raise kind(f"secret {secret_id!r}: the secret_cache_hook left no {field}")
    return found
