"""``override_secrets``: other secrets for a test, as ``override_settings`` does for settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from django.test.utils import TestContextDecorator

from smclient import (
    Answer,
    Backend,
    Identity,
    SecretDescription,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.backend import open_backend
from smclient.clock import SYSTEM_CLOCK
from smclient.testing import FakeBackend, Inline
from smclient_django.clients import DEFAULT_ALIAS, clients


class override_secrets(TestContextDecorator):  # noqa: N801  named as Django names its own
    """A decorator of tests and of ``TestCase`` classes (around each test), and a context manager.

        @override_secrets({"prod/web": {"django_key": "k" * 50}})
        def test_page(self): ...

    The names given are answered from memory; others by the backend of the settings. Inside,
    ``as backend`` gives the ``smclient.testing.FakeBackend``: ``backend.put(name, value)`` and
    ``clients["default"].refresh(name)`` rotate.

    Args:
        values: secret name to its value: text and bytes as they are, anything else as JSON.
        alias: whose client of ``SMCLIENT`` is replaced.
    """

    def __init__(self, values: Mapping[str, Any], *, alias: str = DEFAULT_ALIAS) -> None:
        super().__init__(attr_name=None, kwarg_name=None)
        self._values = values
        self._alias = alias
        self._stacks: list[ExitStack] = []

    def enable(self) -> FakeBackend:
        """Begin. Returns the backend with the values."""
        fake = FakeBackend(self._values)
        backend = _Overlay(fake, set(self._values), self._alias)
        _, config = clients.config(self._alias)
        client = SecretsClient(
            backend, ttl=config.ttl, max_stale=config.max_stale, jitter=0.0, worker=Inline()
        )
        stack = ExitStack()
        stack.enter_context(clients.replaced(self._alias, client))
        self._stacks.append(stack)
        return fake

    def disable(self) -> None:
        """End: what the settings say holds again."""
        self._stacks.pop().close()


class _Overlay:
    """Some names from memory, all others from the backend of the settings, opened if need be."""

    def __init__(self, fake: FakeBackend, names: set[str], alias: str) -> None:
        self._fake = fake
        self._names = names
        self._alias = alias
        self._real: Backend | None = None

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        return self._behind(ref.secret_id).fetch(ref)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        here = [name for name in secret_ids if self._behind(name) is self._fake]
        there = [name for name in secret_ids if name not in here]
        found: dict[str, SecretValue | SmclientError] = {}
        if here:
            found.update(self._fake.fetch_many(here).value)
        if there:
            found.update(self._opened().fetch_many(there).value)
        return Answer(found)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        return self._behind(secret_id).describe(secret_id)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        named = str(parameters.get("SecretId") or parameters.get("Name") or "")
        return self._behind(named).call(operation, parameters)

    def identity(self) -> Identity:
        return self._fake.identity()

    def close(self) -> None:
        self._fake.close()
        if self._real is not None:
            self._real.close()

    def _behind(self, secret_id: str) -> Backend:
        return self._fake if secret_id in self._names else self._opened()

    def _opened(self) -> Backend:
        if self._real is None:
            backend, _ = clients.config(self._alias)
            self._real = open_backend(backend, clock=SYSTEM_CLOCK)
        return self._real
