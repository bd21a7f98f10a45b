"""``SecretsSource``: the settings source that reads secrets, in one batch, for what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from smclient import NotJsonError, SecretsClient, SmclientError
from smclient.references import AnyReference, Reference, find, is_reference, parse
from smclient.secret import hidden
from smclient_pydantic.clients import client_for
from smclient_pydantic.fields import (
    Marked,
    Path,
    at,
    is_complete,
    known_keys,
    marked,
    merged,
    model_of,
    put,
    remove,
)
from smclient_pydantic.reading import Failure, Values, refuse


class _Encoded(str):
    """A reference that stands where JSON was expected: what it names is parsed as JSON."""

    __slots__ = ()


class SecretsSource(PydanticBaseSettingsSource):
    """Fields marked with ``FromSecret``, whole secrets, and the references that other sources hold.

    Ranks where it stands among the sources. Asks for nothing that a source above it has supplied,
    and for all the rest at once: one batch call. Does its work when it is called, not before.

    Args:
        settings_cls: as pydantic-settings gives it.
        client: read through this one; else see ``clients.client_for``.
        within: sources whose values may be references (the environment's, dotenv's), highest first.
            They stand in this one's place; what they supply outranks the marked fields.
        secrets: names of JSON secrets whose keys are fields, the later under the earlier; default
            ``model_config["smclient_secrets"]``.

    Raises (when called):
        pydantic.ValidationError: with a line for each field whose secret cannot be read.
        ConfigError, UnknownSettingError: the client's settings are wrong.
    """

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        *,
        client: SecretsClient | Callable[[], SecretsClient] | None = None,
        within: Sequence[PydanticBaseSettingsSource] = (),
        secrets: Sequence[str] | None = None,
    ) -> None:
        super().__init__(settings_cls)
        self._given = client
        self._within = tuple(within)
        for source in self._within:
            _let_references_through(source)
        configured: Any = self.config.get("smclient_secrets", ()) if secrets is None else secrets
        self._secrets: tuple[str, ...] = tuple(configured)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Nothing for a single field: ``__call__`` reads all at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values of all missing fields, strings hidden from ``repr``."""
        mine = self._ask_within()
        failures: list[Failure] = []
        found = dict(self._references(mine, failures))
        state = merged(mine, self.current_state)
        encoded = {path for path in found if isinstance(at(mine, path), _Encoded)}
        for mark in self._markers(state):
            found[mark.path] = mark.marker.reference
            if self.field_is_complex(mark.field) or model_of(mark.field.annotation) is not None:
                encoded.add(mark.path)
        wholes = self._wholes(merged(_paths(found), state), failures)
        if found or wholes:
            values = Values(client_for(self.config, self._given), [*found.values(), *wholes])
            for path, reference in found.items():
                self._fill(mine, path, reference, values, failures, path in encoded)
            for whole in wholes:
                mine = self._under(mine, whole, values, failures)
        refuse(self.settings_cls.__name__, failures)
        return mine

    def __repr__(self) -> str:
        return f"{type(self).__name__}(within={list(self._within)!r})"

    # --- what is wanted -------------------------------------------------------------------------

    def _ask_within(self) -> dict[str, Any]:
        mine: dict[str, Any] = {}
        for source in self._within:
            source._set_current_state(merged(mine, self.current_state))
            source._set_settings_sources_data(self.settings_sources_data)
            mine = merged(source(), mine)
        return mine

    def _references(
        self, mine: Mapping[str, Any], failures: list[Failure]
    ) -> Iterator[tuple[Path, AnyReference]]:
        """Every reference in what the sources within supply, unless a source above has the field or
        there is no such field."""
        keys, extra = known_keys(self.settings_cls), self.config.get("extra") == "allow"
        wanted = {key: value for key, value in mine.items() if extra or key in keys}
        for path, text in _texts(wanted, self.current_state, ()):
            try:
                reference = find(text)
            except SmclientError as error:
                failures.append(Failure(path, text, error))
                continue
            if reference is not None:
                yield path, reference

    def _markers(self, state: Mapping[str, Any]) -> Iterator[Marked]:
        return marked(self.settings_cls, state)

    def _wholes(self, state: Mapping[str, Any], failures: list[Failure]) -> list[Reference]:
        if not self._secrets or is_complete(self.settings_cls, state):
            return []
        wholes: list[Reference] = []
        for name in self._secrets:
            try:
                parsed = parse(name if ":" in name else f"secret://{name}")
                wholes += [Reference(ref) for ref in parsed.refs()]
            except SmclientError as error:
                failures.append(Failure((), name, error))
        return wholes

    # --- what was found -------------------------------------------------------------------------

    def _fill(
        self,
        mine: dict[str, Any],
        path: Path,
        reference: AnyReference,
        values: Values,
        failures: list[Failure],
        encoded: bool,
    ) -> None:
        try:
            value = values.resolve(reference)
            if encoded and isinstance(value, str):
                value = _decoded(value, reference)
        except SmclientError as error:
            failures.append(Failure(path, reference, error))
            return
        if value is not None:
            put(mine, path, value)
        elif at(mine, path) is not None:
            remove(mine, path)  # an optional reference that leads nowhere supplies nothing

    def _under(
        self, mine: dict[str, Any], whole: Reference, values: Values, failures: list[Failure]
    ) -> dict[str, Any]:
        """What was found so far, over the fields of one more secret."""
        try:
            fields = values.value(whole.ref).fields
        except SmclientError as error:
            failures.append(Failure((), whole, error))
            return mine
        delimiter = self.config.get("env_nested_delimiter")
        nested: dict[str, Any] = {}
        for key, value in fields.items():
            inner: dict[str, Any] = {}
            put(inner, tuple(key.split(delimiter)) if delimiter else (key,), hidden(value))
            nested = merged(nested, inner)
        taken = self._named(self.settings_cls, nested)
        return merged(taken, mine)

    def _named(self, model: type[Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """The keys that are fields, as pydantic knows them."""
        keys = known_keys(model)
        if not self.config.get("case_sensitive"):
            keys = {name.lower(): home for name, home in keys.items()} | keys
        taken: dict[str, Any] = {}
        for key, value in found.items():
            home = keys.get(key) or (
                None if self.config.get("case_sensitive") else keys.get(key.lower())
            )
            if home is None:
                if model is self.settings_cls and self.config.get("extra") == "allow":
                    taken[key] = value
                continue
            name, inner = home
            if inner is not None and isinstance(value, Mapping):
                value = self._named(inner, value)
            taken[name] = value
        return taken


class ResolveReferences(SecretsSource):
    """One other source with its references resolved: ``ResolveReferences(env_settings)``."""

    def __init__(
        self,
        source: PydanticBaseSettingsSource,
        *,
        client: SecretsClient | Callable[[], SecretsClient] | None = None,
    ) -> None:
        super().__init__(source.settings_cls, client=client, within=(source,), secrets=())

    def _markers(self, state: Mapping[str, Any]) -> Iterator[Marked]:
        return iter(())


def _let_references_through(source: PydanticBaseSettingsSource) -> None:
    """A field that is no plain text is read from JSON; a reference there stands for that JSON."""
    decode = source.decode_complex_value

    def decode_or_keep(field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return decode(field_name, field, value)
        except ValueError:
            if isinstance(value, str) and is_reference(value):
                return _Encoded(value)
            raise

    source.decode_complex_value = decode_or_keep  # type: ignore[method-assign]


def _texts(value: Any, above: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Texts that may be references, with their path; not what ``above`` has already."""
    if isinstance(value, str):
        if is_reference(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            has = isinstance(above, Mapping) and key in above
            if has and not isinstance(above[key], Mapping):
                continue
            yield from _texts(item, above[key] if has else {}, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, {}, (*path, number))


def _paths(found: Mapping[Path, AnyReference]) -> dict[str, Any]:
    """A state that has something at each path, to see what else is missing."""
    state: dict[str, Any] = {}
    for path in found:
        put(state, tuple(takewhile(lambda key: isinstance(key, str), path)), ...)
    return state


def _decoded(text: str, reference: AnyReference) -> Any:
    try:
        return hidden(json.loads(text))
    except (ValueError, RecursionError):
        pass  # the parser's own error holds the whole text, so it is not chained
    raise NotJsonError(
        f"secret {reference.refs()[0].secret_id!r} is not JSON, and this field is no plain text"
    )
