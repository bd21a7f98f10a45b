"""botocore's description of the service as data: shapes with the attributes that its own have.

The file is read from the installed package, without its code: that takes a quarter of the time that
a server needs to start, and most of it is for what only a client does.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smclient.errors import ConfigError


class Shape:
    """A type of the model. Members refer to others, and are looked up when they are asked for.

    Attributes:
        type_name: ``structure``, ``list``, ``map``, ``string``, ``integer``, …
        metadata: what it is limited by, and ``sensitive``.
    """

    def __init__(self, shapes: _Shapes, definition: Mapping[str, Any]) -> None:
        self._shapes = shapes
        self._definition = definition
        self.type_name: str = definition["type"]
        self.metadata: Mapping[str, Any] = definition
        self.required_members: list[str] = list(definition.get("required", ()))
        self.enum: list[str] = list(definition.get("enum", ()))

    @functools.cached_property
    def members(self) -> dict[str, Shape]:
        """The members of a structure, by name."""
        return {n: self._shapes.of(ref) for n, ref in self._definition.get("members", {}).items()}

    @functools.cached_property
    def member(self) -> Shape:
        """What a list is of."""
        return self._shapes.of(self._definition["member"])

    @functools.cached_property
    def key(self) -> Shape:
        """What a map's keys are."""
        return self._shapes.of(self._definition["key"])

    @functools.cached_property
    def value(self) -> Shape:
        """What a map's values are."""
        return self._shapes.of(self._definition["value"])


class Description:
    """The service: its operations, and the shape of each one's request."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._shapes = _Shapes(content["shapes"])
        self._operations: Mapping[str, Any] = content["operations"]
        self.operations: frozenset[str] = frozenset(self._operations)

    def input_shape(self, operation: str) -> Shape | None:
        """The shape of a request, ``None`` if it has none. Raises ``KeyError``."""
        ref = self._operations[operation].get("input")
        return None if ref is None else self._shapes.of(ref)


class _Shapes:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def of(self, reference: Mapping[str, Any]) -> Shape:
        """The shape of a reference, which may add to it or say otherwise."""
        more = {name: value for name, value in reference.items() if name != "shape"}
        return Shape(self, {**self._definitions[reference["shape"]], **more})


def load_description(service: str) -> Description:
    """The newest description of a service in the installed botocore.

    Raises:
        ConfigError: botocore is not there, or has none.
    """
    spec = importlib.util.find_spec("botocore")
    folders = [Path(folder) / "data" / service for folder in _places(spec)]
    found = sorted(file for folder in folders for file in folder.glob("*/service-2.json*"))
    if not found:
        raise ConfigError(f"the installed botocore has no model of {service}: pip install botocore")
    raw = found[-1].read_bytes()
    if found[-1].suffix == ".gz":
        raw = gzip.decompress(raw)
    return Description(json.loads(raw))


def _places(spec: Any) -> list[str]:
    return list(spec.submodule_search_locations or ()) if spec is not None else []
