"""``LiveConfig``: a Flask config that holds references and answers with values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from flask import Config

from smclient import ConfigError, RedactedStr, SecretsClient, SmclientError
from smclient.fresh import Freshness, note
from smclient.keyring import Key, KeyRing
from smclient.references import AnyReference, Reference, find, is_reference, shown
from smclient.remedies import with_remedy

SECRET_KEY = "SECRET_KEY"  # noqa: S105  the name of a setting
FALLBACKS = "SECRET_KEY_FALLBACKS"
_DEEPEST = 8

_find = lru_cache(maxsize=1024)(find)


class SecretConfigError(ConfigError):
    """References in ``app.config`` cannot be resolved; names each setting, its reference and what
    to do. Never shows a value."""


class LiveConfig(Config):
    """Config whose references are resolved when they are read, also those inside lists, tuples and
    dicts. What it holds are the references, so ``dict(config)``, ``items()`` and ``repr(config)``
    show no value.

    A container with references is answered by a new one at each read: changing that changes
    nothing. In a list, an optional reference that leads nowhere is left out.
    """

    secrets_client: SecretsClient
    secrets_freshness: Freshness
    session_stages: tuple[str, ...] = ()
    _ring: tuple[str, KeyRing] | None = None

    def __getitem__(self, key: str) -> Any:
        if key == FALLBACKS and (key in self or self.key_ring() is not None):
            return self._all_fallbacks()
        return self._live(key, super().__getitem__(key), 0)

    def get(self, key: str, default: Any = None) -> Any:
        """The value, resolved; ``default`` if there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value, resolved, after ``default`` was set if there was none."""
        super().setdefault(key, default)
        return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """The value, resolved, which is taken away."""
        if key not in self:
            return super().pop(key, *default)
        value = self[key]
        super().pop(key)
        return value

    def get_namespace(
        self, namespace: str, lowercase: bool = True, trim_namespace: bool = True
    ) -> dict[str, Any]:
        """Flask's ``get_namespace`` with values resolved."""
        found: dict[str, Any] = {}
        for key in self:
            if key.startswith(namespace):
                short = key[len(namespace) :] if trim_namespace else key
                found[short.lower() if lowercase else short] = self[key]
        return found

    def raw(self, key: str) -> Any:
        """What the config holds: the reference where it is one. Raises ``KeyError``."""
        return super().__getitem__(key)

    def references(self) -> dict[str, AnyReference]:
        """Setting to reference, for every setting that is one; ``HOSTS[1]``, ``MAIL['key']`` for
        those inside others.

        Raises:
            SecretConfigError: a setting looks like a reference and is a bad one.
        """
        found: dict[str, AnyReference] = {}
        for key in self:
            for where, text in _texts(key, self.raw(key), 0):
                reference = _parsed(where, text)
                if reference is not None:
                    found[where] = reference
        return found

    def resolve(self, where: str, reference: AnyReference) -> Any:
        """What a setting's reference says now.

        Raises:
            SecretConfigError
        """
        note(self.secrets_client, reference.refs(), optional=reference.optional)
        try:
            return self.secrets_client.resolve(reference)
        except SmclientError as error:
            raise SecretConfigError(told(where, reference, error)) from error

    def freshen(self) -> None:
        """Wait until everything that was read through this config is within its ttl, or cannot be
        now. Raises nothing; asks nobody as long as it is."""
        self.secrets_freshness.look(self.secrets_client)

    def key_ring(self) -> KeyRing | None:
        """The ring of the session key, if ``SECRET_KEY`` is a reference to the current version of
        one secret and ``SMCLIENT_SESSION_STAGES`` are not none."""
        text = super().get(SECRET_KEY)
        if not self.session_stages or not isinstance(text, str) or not is_reference(text):
            return None
        if self._ring is None or self._ring[0] != text:
            reference = _parsed(SECRET_KEY, text)
            if not isinstance(reference, Reference) or not reference.ref.is_current:
                return None
            ring = KeyRing(self.secrets_client, reference, stages=self.session_stages)
            self._ring = (text, ring)
        return self._ring[1]

    def session_keys(self) -> list[Key]:
        """The keys of sessions as itsdangerous wants them, the one that signs last; those of the
        ring are of one moment.

        Raises:
            SecretConfigError
        """
        ring = self.key_ring()
        if ring is None:
            return [*(self.get(FALLBACKS) or ()), self[SECRET_KEY]]
        return [*(self._own_fallbacks() or ()), *reversed(self._ring_keys(ring))]

    # --- inside ---------------------------------------------------------------------------------

    def _all_fallbacks(self) -> Any:
        own, ring = self._own_fallbacks(), self.key_ring()
        others = [] if ring is None else self._ring_keys(ring)[:0:-1]
        return [*(own or ()), *others] if others else own

    def _own_fallbacks(self) -> Any:
        """The app's own, resolved, none empty: a list, or what it is if that is none."""
        found = self._live(FALLBACKS, super().get(FALLBACKS), 0)
        if isinstance(found, str | bytes):
            found = [found]  # not each character of it
        return [key for key in found if key] if isinstance(found, list | tuple) else found

    def _ring_keys(self, ring: KeyRing) -> list[Key]:
        """The current key first."""
        note(self.secrets_client, ring.reference.refs())
        try:
            return list(map(hide, ring.keys()))
        except SmclientError as error:
            raise SecretConfigError(told(SECRET_KEY, ring.reference, error)) from error

    def _live(self, where: str, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            reference = _parsed(where, value) if is_reference(value) else None
            return value if reference is None else self.resolve(where, reference)
        if next(_texts(where, value, depth), None) is None:
            return value
        if isinstance(value, dict):
            return {k: self._live(f"{where}[{k!r}]", v, depth + 1) for k, v in value.items()}
        items = [self._item(f"{where}[{n}]", v, depth + 1) for n, v in enumerate(value)]
        return type(value)(item[0] for item in items if item)

    def _item(self, where: str, value: Any, depth: int) -> tuple[Any, ...]:
        """One item of a list, or none."""
        found = self._live(where, value, depth)
        return () if found is None and value is not None else (found,)


def live_class(own: type[Config]) -> type[LiveConfig]:
    """The class that a config of this class becomes: live, and still what the app made it."""
    if issubclass(own, LiveConfig):
        return own
    return LiveConfig if own is Config else type(own.__name__, (LiveConfig, own), {})


def hide(key: Key) -> Key:
    """A key whose ``repr`` shows nothing, as far as its type allows."""
    return RedactedStr(key) if isinstance(key, str) else key


def told(where: str, reference: AnyReference, error: SmclientError) -> str:
    """The message about a setting: its reference without what stands around it, and the remedy."""
    name, bracket, rest = where.partition("[")
    return f"app.config[{name!r}]{bracket}{rest} = {shown(reference)!r}: {with_remedy(error)}"


def _texts(where: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Every text in a setting that may be a reference, and where it is."""
    if isinstance(value, str):
        if is_reference(value):
            yield where, value
    elif depth < _DEEPEST and type(value) in (list, tuple):
        for number, item in enumerate(value):
            yield from _texts(f"{where}[{number}]", item, depth + 1)
    elif depth < _DEEPEST and type(value) is dict:
        for key, item in value.items():
            yield from _texts(f"{where}[{key!r}]", item, depth + 1)


def _parsed(where: str, text: str) -> AnyReference | None:
    try:
        return _find(text)
    except SmclientError as error:
        name, bracket, rest = where.partition("[")
        told = f"app.config[{name!r}]{bracket}{rest}: {with_remedy(error)}"
        raise SecretConfigError(told) from error
