"""A backend whose service is closed before a fork and opened again by whoever needs it, in parent
and child: connections to a store do not survive a fork, but servers that fork their workers from a
finished application are common.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from smclient.backend import Answer, Backend, Identity
from smclient.errors import ClientClosedError, SmclientError
from smclient.secret import SecretDescription, SecretRef, SecretValue

PATIENCE = 5.0
"""Seconds that a fork waits for calls under way in other threads. If they take longer, the child is
refused by the store, as whoever shares its connections is."""


class ReopenedBackend:
    """The ``Backend`` that ``open_one`` gives, at once and again after each fork."""

    def __init__(self, open_one: Callable[[], Backend]) -> None:
        self._open_one = open_one
        self._gate = threading.Condition()
        self._inside: dict[int, int] = {}
        self._forking = False
        self._closed = False
        self._inner: Backend | None = open_one()
        _reopened.add(self)

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        with self._used() as inner:
            return inner.fetch(ref)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """See ``Backend.fetch_many``."""
        with self._used() as inner:
            return inner.fetch_many(secret_ids)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        with self._used() as inner:
            return inner.describe(secret_id)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """See ``Backend.call``."""
        with self._used() as inner:
            return inner.call(operation, parameters)

    def identity(self) -> Identity:
        """See ``Backend.identity``."""
        with self._used() as inner:
            return inner.identity()

    def close(self) -> None:
        """Close the service; it is not opened again."""
        with self._gate:
            self._closed = True
            if self._inner is not None:
                self._inner.close()

    # --- inside ---------------------------------------------------------------------------------

    @contextmanager
    def _used(self) -> Iterator[Backend]:
        me = threading.get_ident()
        with self._gate:
            self._gate.wait_for(lambda: not self._forking)
            if self._closed:
                raise ClientClosedError("this backend was closed; open another one")
            if self._inner is None:
                self._inner = self._open_one()
            inner = self._inner
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield inner
        finally:
            with self._gate:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                self._gate.notify_all()

    def _before_fork(self) -> None:
        with self._gate:
            self._forking = True
            mine = threading.get_ident() in self._inside  # a call of ours that forks itself
            idle = not mine and self._gate.wait_for(lambda: not self._inside, PATIENCE)
            if idle and self._inner is not None and not self._closed:
                inner, self._inner = self._inner, None
                inner.close()

    def _after_fork(self) -> None:
        with self._gate:
            self._forking = False
            self._gate.notify_all()

    def _after_fork_in_child(self) -> None:
        self._gate = threading.Condition()
        self._inside = {}
        self._forking = False


_reopened: weakref.WeakSet[ReopenedBackend] = weakref.WeakSet()


def _each(step: Callable[[ReopenedBackend], None]) -> Callable[[], None]:
    def run() -> None:
        for backend in list(_reopened):
            step(backend)

    return run


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(
        before=_each(ReopenedBackend._before_fork),
        after_in_parent=_each(ReopenedBackend._after_fork),
        after_in_child=_each(ReopenedBackend._after_fork_in_child),
    )
