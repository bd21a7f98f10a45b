"""``secret``, ``secret_now`` and ``secret_fallbacks``: values of secrets in a settings module."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NoReturn, SupportsIndex

from smclient import (
    AsyncSecretsClient,
    InvalidReferenceError,
    LazySecret,
    SecretContentError,
    SecretRef,
    SmclientError,
)
from smclient.fresh import MOST
from smclient.keyring import OTHER_STAGES, KeyRing, signing_key
from smclient.references import AnyReference, Reference, as_text, parse, shown
from smclient_django.clients import DEFAULT_ALIAS, clients
from smclient_django.errors import SecretConfigError, told

LOOP_WAIT = 1.0
"""Seconds for which a look at the newest key may hold up an event loop, once in ten seconds."""

_known: dict[str, dict[SecretRef, bool]] = {}


def known() -> dict[str, dict[SecretRef, bool]]:
    """By alias, what ``secret`` named so far, and whether it may be absent."""
    return {alias: dict(refs) for alias, refs in list(_known.items())}


class Secret(LazySecret):
    """A value of a secret that is read at each use: ``str(value)`` is that of the moment.

    In asyncio, ``await value.aget()`` reads without holding up the loop. Its truth asks nobody: a
    reference that is not optional is true. Attributes: ``reference``, ``alias``, ``setting`` (the
    name it was found under), ``problem`` (why the reference is none).
    """

    __slots__ = ("__weakref__", "alias", "parsed", "problem", "setting")

    def __init__(self, reference: str, alias: str = DEFAULT_ALIAS) -> None:
        super().__init__(reference, self._value, shown=shown(reference))
        self.alias = alias
        self.setting: str | None = None
        self.problem: InvalidReferenceError | None = None
        self.parsed: AnyReference | None = None
        try:
            self.parsed = parse(reference)
        except InvalidReferenceError as error:
            self.problem = error  # told by the checks, which know the name of the setting
            return
        refs = _known.setdefault(alias, {})
        for ref in self.parsed.refs():
            if ref in refs or len(refs) < MOST:
                refs[ref] = self.parsed.optional and refs.get(ref, True)

    async def aget(self) -> str:
        """``str(self)`` for asyncio: the loop goes on meanwhile. Raises ``SecretConfigError``."""
        parsed = self._checked()
        try:
            client = AsyncSecretsClient(sync=clients[self.alias])
            return str(as_text(await client.resolve(parsed), parsed))
        except SmclientError as error:
            raise told(self.where, error) from error

    @property
    def where(self) -> str:
        """How an error names this value: its setting, if that is known, and its reference."""
        return f"settings.{self.setting} = {self!r}" if self.setting else repr(self)

    def _checked(self) -> AnyReference:
        if self.parsed is None:
            problem = self.problem or InvalidReferenceError(f"bad reference {self._shown!r}")
            raise told(self.where, problem) from problem
        return self.parsed

    def _value(self) -> str:
        parsed = self._checked()
        try:
            return as_text(clients[self.alias].resolve(parsed), parsed)
        except SmclientError as error:
            raise told(self.where, error) from error

    def __bool__(self) -> bool:
        optional = self.parsed is not None and self.parsed.optional
        return bool(str(self)) if optional else True

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __repr__(self) -> str:
        return f"secret({self._shown!r})"


class _Character:
    """A character of a key, for counting only. No text: libraries take an iterable of texts for a
    list of keys and would sign with the last character; of these they cannot."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Character) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "'*'"


class SigningKey(Secret):
    """``settings.SECRET_KEY``: a ``Secret`` that Django's own check of the key can measure."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Secret) -> SigningKey:
        """The same value, measurable."""
        key = cls(value.reference, value.alias)
        key.setting = value.setting
        return key

    def _value(self) -> str:
        key = super()._value()
        try:
            return signing_key(key, self.reference)
        except SecretContentError as error:
            raise told(self.where, error) from error

    def __iter__(self) -> Iterator[_Character]:
        return map(_Character, str(self))

    def __len__(self) -> int:
        return len(str(self))

    def startswith(self, prefix: str) -> bool:
        """Whether the key of this moment begins so."""
        return str(self).startswith(prefix)


def measurable(key: Any) -> Any:
    """A key that Django signs with; where it is a ``Secret``, one that refuses to be empty."""
    plain = isinstance(key, Secret) and not isinstance(key, SigningKey)
    return SigningKey.of(key) if plain else key


class _LastResort(SigningKey):
    """The last key of a ring. Its text is asked for when no other key made a signature: then the
    newest key is looked for past the cache, as often as the ring allows."""

    __slots__ = ("_ring", "_tried")

    def __init__(self, reference: str, alias: str, ring: KeyRing, tried: list[Any]) -> None:
        super().__init__(reference, alias)
        self._ring = ring
        self._tried = tried

    def _value(self) -> str:
        _beside_the_loop(partial(self._ring.look_again, self._tried))
        return super()._value()


def _beside_the_loop(work: Any) -> None:
    """Do it; in an event loop on a thread, waited for so long at most. A session that is lost is
    worse than a loop that pauses for one call."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        work()
        return
    thread = threading.Thread(target=work, name="smclient-newest-key", daemon=True)
    thread.start()
    thread.join(LOOP_WAIT)


class SecretKeyFallbacks(list[Any]):
    """``SECRET_KEY_FALLBACKS`` that follow the secret of ``SECRET_KEY``: the keys at AWSPENDING and
    AWSPREVIOUS, and at the end one that looks for a key nobody here knows yet.

    A list, because Django wants one; what it holds is read at each use, so it takes no ``append``.
    """

    __slots__ = ("alias", "more", "problem", "reference", "setting", "stages")

    def __init__(
        self, reference: str, alias: str, stages: tuple[str, ...], more: tuple[Any, ...] = ()
    ) -> None:
        super().__init__()
        self.reference = reference
        self.alias = alias
        self.stages = stages
        self.more = more
        self.setting: str | None = None
        self.problem = _ring_problem(reference)

    def keys(self) -> list[Any]:
        """The keys of this moment. Raises ``SecretConfigError``."""
        if self.problem is not None:
            raise told(self.where, self.problem) from self.problem
        parsed = parse(self.reference)
        assert isinstance(parsed, Reference)
        try:
            ring = clients.ring(self.alias, parsed, self.stages)
            known = ring.keys()
            last = _LastResort(self.reference, self.alias, ring, known)
            return [*known[1:], *map(measurable, filter(None, self.more)), last]
        except SmclientError as error:
            raise told(self.where, error) from error

    @property
    def where(self) -> str:
        """How an error names this list."""
        return f"settings.{self.setting} = {self!r}" if self.setting else repr(self)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return self.keys()[index]

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __add__(self, other: Iterable[Any]) -> SecretKeyFallbacks:
        more = (*self.more, *other)
        return SecretKeyFallbacks(self.reference, self.alias, self.stages, more)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None

    def __copy__(self) -> SecretKeyFallbacks:
        return self

    def __deepcopy__(self, memo: object) -> SecretKeyFallbacks:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("secret key fallbacks refuse pickling; pass their reference instead")

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} follows its secret and takes no other keys; write "
            "secret_fallbacks(reference, more=[...])"
        )

    append = extend = insert = remove = pop = clear = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __repr__(self) -> str:
        return f"secret_fallbacks({shown(self.reference)!r})"


def _ring_problem(reference: str) -> SmclientError | None:
    try:
        parsed = parse(reference)
    except InvalidReferenceError as error:
        return error
    if isinstance(parsed, Reference) and parsed.ref.is_current:
        return None
    return InvalidReferenceError(
        f"bad secret reference {shown(reference)!r}: fallbacks follow AWSCURRENT of one secret; "
        "leave out stage and version, and write it as SECRET_KEY has it"
    )


def secret(reference: str, *, alias: str = DEFAULT_ALIAS) -> Secret:
    """A setting that follows a secret. Nothing is asked before the value is used.

    Args:
        reference: as ``secret://prod/web#key``; see ``smclient.references``.
        alias: the client of ``SMCLIENT`` that reads it.

    Raises:
        Nothing now. A bad reference fails the checks (smclient.E001) and the start of a server;
        an absent or denied secret raises ``SecretConfigError`` where the value is used.
    """
    return Secret(reference, alias)


def secret_now(reference: str, *, alias: str = DEFAULT_ALIAS) -> Any:
    """What a reference names now: for settings that have to be plain (URLs, logging). It does not
    follow the secret: the process keeps it until it starts anew.

    While settings are being loaded, ``SMCLIENT_BACKEND`` or ``configure`` says where from.

    Raises:
        SecretConfigError
    """
    try:
        return clients[alias].resolve(reference)
    except SmclientError as error:
        raise told(f"secret_now({shown(reference)!r})", error) from error


def secret_fallbacks(
    reference: str,
    *,
    alias: str = DEFAULT_ALIAS,
    stages: Iterable[str] = OTHER_STAGES,
    more: Iterable[str | bytes] = (),
) -> SecretKeyFallbacks:
    """``SECRET_KEY_FALLBACKS`` for a ``SECRET_KEY = secret(...)`` of the same reference: sessions
    signed before a rotation stay valid, in every worker. Nothing is asked before it is used.

    Args:
        stages: the labels whose keys are accepted beside the current one.
        more: plain keys that are accepted too, such as the one from before you used smclient.
    """
    return SecretKeyFallbacks(reference, alias, tuple(stages), tuple(more))


__all__ = [
    "Secret",
    "SecretConfigError",
    "SecretKeyFallbacks",
    "SigningKey",
    "known",
    "secret",
    "secret_fallbacks",
    "secret_now",
]
