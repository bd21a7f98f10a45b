"""The shapes that are read without botocore's code are botocore's."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import botocore.model
import pytest

from smclient.errors import ConfigError
from smclient_embedded.model import service_model
from smclient_embedded.shapes import load_description

_DESCRIPTION = botocore.loaders.Loader().load_service_model("secretsmanager", "service-2")
THEIRS = botocore.model.ServiceModel(_DESCRIPTION, "secretsmanager")
LIMITS = ("min", "max", "pattern", "sensitive")


def same(ours: Any, theirs: Any, seen: tuple[str, ...] = ()) -> int:
    """Compare two shapes and all below them; how many there were."""
    assert ours.type_name == theirs.type_name
    for limit in LIMITS:
        assert ours.metadata.get(limit) == theirs.metadata.get(limit), (seen, limit)
    assert ours.required_members == list(getattr(theirs, "required_members", []))
    assert ours.enum == list(getattr(theirs, "enum", []))
    below: list[tuple[Any, Any]] = []
    match theirs.type_name:
        case "structure":
            assert list(ours.members) == list(theirs.members)
            below = [(ours.members[name], theirs.members[name]) for name in theirs.members]
        case "list":
            below = [(ours.member, theirs.member)]
        case "map":
            below = [(ours.key, theirs.key), (ours.value, theirs.value)]
    return 1 + sum(same(mine, other, (*seen, other.name)) for mine, other in below)


@pytest.mark.parametrize("operation", sorted(_DESCRIPTION["operations"]))
def test_a_request_is_described_as_botocore_does(operation: str) -> None:
    ours = service_model().input_shape(operation)
    theirs = THEIRS.operation_model(operation).input_shape
    assert (ours is None) == (theirs is None)
    assert ours is None or same(ours, theirs) >= 1


def test_no_operation_is_missing() -> None:
    assert sorted(service_model().operations) == sorted(THEIRS.operation_names)


def test_a_service_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="no model of nothing: pip install botocore"):
        load_description("nothing")
