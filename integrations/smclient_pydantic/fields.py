"""Settings classes as trees of fields: names, marks, and what a state has of them. Pure."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

from smclient_pydantic.markers import FromSecret

Path = tuple[str | int, ...]
"""Keys, and numbers of list items, from the settings class down to a value."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A field with a ``FromSecret``, at the end of a path of keys."""

    path: Path
    marker: FromSecret
    field: FieldInfo


def model_of(annotation: Any) -> type[Any] | None:
    """The model or pydantic dataclass inside an annotation, ``Optional`` or not, if one is."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        inside = [arg for arg in get_args(annotation) if arg is not type(None)]
        return model_of(inside[0]) if len(inside) == 1 else None
    return annotation if isinstance(annotation, type) and fields_of(annotation) else None


def fields_of(model: type[Any]) -> Mapping[str, FieldInfo]:
    """The fields of a model or pydantic dataclass; none for anything else."""
    found: Mapping[str, FieldInfo] = getattr(model, "__pydantic_fields__", None) or {}
    if not found and issubclass(model, BaseModel):
        found = model.model_fields
    return found


def names_of(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Under which keys a value may stand; the one that pydantic takes for sure comes first."""
    alias = field.validation_alias
    if isinstance(alias, str):
        names = [alias]
    elif isinstance(alias, AliasChoices):
        names = [choice for choice in alias.choices if isinstance(choice, str)]
        names += [str(c.path[0]) for c in alias.choices if isinstance(c, AliasPath)]
    elif isinstance(alias, AliasPath):
        names = [str(alias.path[0])]
    else:
        names = []
    return tuple(dict.fromkeys([*names, name]))


def marked(model: type[Any], state: Mapping[str, Any]) -> Iterator[Marked]:
    """Every marked field of a model that ``state`` has no value of."""
    yield from _marked(model, state, (), ())


def is_complete(model: type[Any], state: Mapping[str, Any]) -> bool:
    """Whether ``state`` has every field of a model, however deep."""
    return _is_complete(model, state, ())


def known_keys(model: type[Any]) -> dict[str, tuple[str, Any]]:
    """Every name of every field: to the key to use and the field's model, if it is one."""
    found: dict[str, tuple[str, Any]] = {}
    for name, field in fields_of(model).items():
        names = names_of(name, field)
        for other in names:
            found.setdefault(other, (names[0], model_of(field.annotation)))
    return found


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, dicts in dicts joined; ``over`` wins."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def at(state: Any, path: Path) -> Any:
    """What is at the end of a path; None if nothing is."""
    for key in path:
        try:
            state = state[key]
        except (KeyError, IndexError, TypeError):
            return None
    return state


def put(state: dict[str, Any], path: Path, value: Any) -> None:
    """Set a value at the end of a path, making the dicts on the way."""
    inner: Any = state
    for key in path[:-1]:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    inner[path[-1]] = value


def remove(state: dict[str, Any], path: Path) -> None:
    """Take away what is at the end of a path; an item of a list gives way to None."""
    inner = at(state, path[:-1])
    if isinstance(inner, dict):
        del inner[path[-1]]
    elif isinstance(inner, list):
        inner[int(path[-1])] = None


def _marked(
    model: type[Any], state: Mapping[str, Any], path: Path, above: tuple[type[Any], ...]
) -> Iterator[Marked]:
    for name, field in fields_of(model).items():
        names = names_of(name, field)
        there = [state[key] for key in names if key in state]
        marker = next((m for m in field.metadata if isinstance(m, FromSecret)), None)
        if marker is not None:
            if not there:
                yield Marked((*path, names[0]), marker, field)
            continue
        inner = model_of(field.annotation)
        below = there[0] if there else {}
        if inner is not None and inner not in above and isinstance(below, Mapping):
            key = next((key for key in names if key in state), names[0])
            yield from _marked(inner, below, (*path, key), (*above, model))


def _is_complete(model: type[Any], state: Mapping[str, Any], above: tuple[type[Any], ...]) -> bool:
    for name, field in fields_of(model).items():
        there = [state[key] for key in names_of(name, field) if key in state]
        if not there:
            return False
        inner = model_of(field.annotation)
        deeper = inner is not None and inner not in above and isinstance(there[0], Mapping)
        if deeper and inner is not None and not _is_complete(inner, there[0], (*above, model)):
            return False
    return True
