"""Preloading by name where the batch action is denied, and what it drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from smclient import AccessDeniedError, Answer, SecretRef, SecretsClient
from smclient.boto_shapes import value_dict
from smclient.testing import Call, FakeBackend

MakeClient = Callable[..., SecretsClient]


class Listing(FakeBackend):
    """Answers filters on names, in one page."""

    denied: tuple[str, ...] = ()

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """See ``Backend.call``."""
        self._asked(Call(operation, ()))
        prefix = parameters["Filters"][0]["Values"][0]
        found = [name for name in self._versions if name.startswith(prefix)]
        if operation == "ListSecrets":
            return Answer({"SecretList": [{"Name": name} for name in found]})
        code = "AccessDeniedException"
        given = [name for name in found if name not in self.denied]
        return Answer(
            {
                "SecretValues": [value_dict(self._value(SecretRef(name))) for name in given],
                "Errors": [
                    {"SecretId": name, "ErrorCode": code, "Message": "no"} for name in self.denied
                ],
            }
        )


@pytest.fixture
def backend() -> Listing:
    """Three secrets of one prefix, and another."""
    return Listing({"web/0": "0", "web/1": "1", "web/2": "2", "db": "x"})


def deny(*operations: str) -> Callable[[Call], None]:
    """A hook that denies these operations, in AWS's words."""

    def before(call: Call) -> None:
        if call.operation in operations:
            raise AccessDeniedError(f"not authorized to perform: secretsmanager:{call.operation}")

    return before


def test_where_batches_are_denied_the_names_are_listed(
    client: SecretsClient, backend: Listing
) -> None:
    """And each is read alone; the denial is not asked for again."""
    backend.before = deny("BatchGetSecretValue")
    batch = client.preload(prefix="web/")
    assert {name: value.text for name, value in batch.values.items()} == {
        "web/0": "0",
        "web/1": "1",
        "web/2": "2",
    }
    assert batch.errors == {}
    assert [call.operation for call in backend.calls][:2] == ["BatchGetSecretValue", "ListSecrets"]
    assert backend.count("BatchGetSecretValue") == 1
    backend.calls.clear()
    client.preload(prefix="web/")
    assert [call.operation for call in backend.calls] == ["ListSecrets"]
    assert client.usage().misses == 0


def test_a_role_that_is_called_after_an_operation_is_not_taken_for_it(
    client: SecretsClient, backend: Listing
) -> None:
    """What was denied is what AWS says was to be performed."""
    said = "role/ListSecrets is not authorized to perform: secretsmanager:BatchGetSecretValue"

    def before(call: Call) -> None:
        if call.operation == "BatchGetSecretValue":
            raise AccessDeniedError(said)

    backend.before = before
    assert set(client.preload(prefix="web/").values) == {"web/0", "web/1", "web/2"}


def test_where_nothing_may_be_listed_the_denial_is_told(
    client: SecretsClient, backend: Listing
) -> None:
    """A filter needs that permission, whichever operation has it."""
    backend.before = deny("BatchGetSecretValue", "ListSecrets")
    with pytest.raises(AccessDeniedError, match="ListSecrets"):
        client.preload(prefix="web/")


def test_what_a_preload_is_refused_is_served_no_more(
    client: SecretsClient, backend: Listing
) -> None:
    """As with every refusal; for a moment it is not asked for again."""
    client.get("web/1")
    backend.denied = ("web/1",)
    batch = client.preload(prefix="web/")
    assert isinstance(batch.errors["web/1"], AccessDeniedError)
    assert client.peek("web/1") is None
    backend.calls.clear()
    with pytest.raises(AccessDeniedError, match="secret 'web/1'"):
        client.get("web/1")
    assert backend.calls == []
