"""``watch``: settings that follow their secrets, one whole instance after the other."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings.exceptions import SettingsError

from smclient import BackendError, SmclientError
from smclient.forking import survive_fork
from smclient.keyring import RETRY
from smclient_pydantic.clients import overriding, use_client
from smclient_pydantic.reading import UNREADABLE, Read, noted

logger = logging.getLogger("smclient")

S = TypeVar("S", bound=BaseSettings)
Change = Callable[[S, S], object]


class Live(Generic[S]):
    """The newest instance of a settings class. Made by ``watch``.

    Reading ``current`` is what follows the secrets: it compares the versions that the instance was
    made of with those that the client holds, which asks nobody, and the client refreshes behind the
    reader's back. An instance is never changed, so whoever holds one sees one state.
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._client = overriding()  # a rebuild happens in the context of any reader
        self._lock = threading.Lock()
        self._callbacks: tuple[Change[S], ...] = ()
        self._instance, self._reads = self._build()
        self._tried: tuple[str | None, ...] = ()
        self._again_at = 0.0
        survive_fork(self)

    def after_fork(self) -> None:
        """A thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    @property
    def current(self) -> S:
        """The instance of the newest versions that the client has seen.

        While another thread makes a new one, the old one; also if a new one cannot be made. That is
        logged; where the new values do not fit, the next version is tried, where a secret cannot be
        read, the same ones once more after ``RETRY`` seconds.

        Raises:
            SmclientError: a secret may not be served any longer (denied, deleted, or not read for
                ``max_stale`` seconds).
        """
        versions = tuple(read.version_now() for read in self._reads)
        if versions != tuple(read.version_id for read in self._reads):
            self._follow(versions)
        return self._instance

    def on_change(self, callback: Change[S]) -> Callable[[], None]:
        """Have ``callback(old, new)`` called after each swap, by the reader that caused it; returns
        what ends that. An error of a callback is logged and harms nobody."""
        self._callbacks += (callback,)

        def cancel() -> None:
            self._callbacks = tuple(known for known in self._callbacks if known is not callback)

        return cancel

    def __repr__(self) -> str:
        return f"Live({type(self._instance).__name__}, {len(self._reads)} secrets)"

    # --- inside ---------------------------------------------------------------------------------

    def _build(self) -> tuple[S, list[Read]]:
        with noted() as reads, use_client(self._client):
            instance = self._make()
        return instance, list(dict.fromkeys(reads))

    def _follow(self, versions: tuple[str | None, ...]) -> None:
        now = self._reads[0].client._clock.monotonic()
        given_up = versions == self._tried and now < self._again_at
        if given_up or not self._lock.acquire(blocking=False):
            return
        try:
            old = self._instance
            try:
                self._instance, self._reads = self._build()
            except (ValidationError, SettingsError, SmclientError) as error:
                self._tried = versions
                self._again_at = math.inf if _lies_in_values(error) else now + RETRY
                logger.error(
                    "%s cannot be made of its secrets' new versions, the old one stays: %s",
                    type(old).__name__,
                    _summary(error),
                )
                return
            self._tried = ()
        finally:
            self._lock.release()
        self._tell(old, self._instance)

    def _tell(self, old: S, new: S) -> None:
        for callback in self._callbacks:
            try:
                callback(old, new)
            except Exception as error:  # noqa: BLE001  users' code must not break the reader
                logger.error("on_change callback failed: %s", type(error).__name__)


def watch(settings_cls: type[S], /, *args: Any, **values: Any) -> Live[S]:
    """Make an instance now and follow its secrets: ``live = watch(Settings)``; ``live.current``.

    Arguments are those of the class, and the same for each new instance.

    Raises:
        pydantic.ValidationError: the first instance cannot be made.
    """
    return Live(lambda: settings_cls(*args, **values))


def _lies_in_values(error: Exception) -> bool:
    """Whether an instance of the same versions would fail the same way."""
    if isinstance(error, ValidationError):
        return all(line["type"] != UNREADABLE for line in error.errors(include_url=False))
    return not isinstance(error, BackendError)


def _summary(error: Exception) -> str:
    """Which fields, and why, without their values."""
    if isinstance(error, ValidationError):
        lines = error.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, line['loc']))}: {line['msg']}" for line in lines)
    return str(error) if isinstance(error, SmclientError) else type(error).__name__
