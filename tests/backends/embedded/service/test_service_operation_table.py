"""Which operations there are, which are left, and how what is not written answers."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from smclient.client import SecretsClient
from smclient.errors import NotSupportedError
from smclient_embedded.errors import OperationNotSupported
from smclient_embedded.model import service_model
from smclient_embedded.operations import OPERATIONS, READ_ONLY


def snake(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def test_botocores_model_has_twenty_six_operations() -> None:
    """A newer botocore may add some: then they are to be written."""
    assert len(service_model().operations) == 26


def test_all_operations_of_the_model_exist() -> None:
    """None of the model is missing, none is invented."""
    assert OPERATIONS.keys() == service_model().operations


def test_whatever_is_marked_read_only_is_an_operation_of_the_model() -> None:
    """A misspelt name there would run a read in a writing transaction."""
    assert READ_ONLY - service_model().operations == set()


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_each_operation_has_a_file_a_function_and_a_docstring_of_its_name(operation: str) -> None:
    """GetSecretValue is get_secret_value() in operations/get_secret_value.py."""
    function: Any = OPERATIONS[operation]
    module = inspect.getmodule(function)
    assert module is not None
    assert function.__name__ == snake(operation)
    assert module.__name__ == f"smclient_embedded.operations.{snake(operation)}"
    assert (module.__doc__ or "").strip() == f"{operation}."
    assert (function.__doc__ or "").strip()


ADDED_LATER = "AssociateCrossAccountReplica"
"""Stands for an operation that a newer botocore brings and that nobody has written."""


class TestAnOperationThatIsNotWritten:
    @pytest.fixture(autouse=True)
    def unwritten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(OPERATIONS, ADDED_LATER)

    def test_answers_one_typed_error_with_status_501(self, memory: Any) -> None:
        """In process, whatever the request says."""
        with pytest.raises(OperationNotSupported, match=ADDED_LATER) as caught:
            memory.service.call(ADDED_LATER, {"SecretId": "s"})
        assert (caught.value.code, caught.value.status) == ("OperationNotSupported", 501)

    def test_is_a_not_supported_error_for_the_client(self, memory: Any) -> None:
        """``SecretsClient.call`` has one class for it in its tree."""
        with (
            SecretsClient(memory.service.backend()) as client,
            pytest.raises(NotSupportedError, match=ADDED_LATER),
        ):
            client.call(ADDED_LATER, SecretId="s")

    def test_is_a_client_error_of_botocore(self, memory: Any) -> None:
        """The wired client says the same with a status; it does not retry a 501 for long."""
        client = memory.service.client()
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.associate_cross_account_replica(SecretId="s", CrossAccountReplicaARN="a" * 20)
        assert caught.value.response["Error"]["Code"] == "OperationNotSupported"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


class TestMembersThatAreNotWritten:
    """A member that would be ignored silently is refused instead."""

    @pytest.mark.parametrize(
        ("operation", "member"),
        [
            ("RotateSecret", {"ExternalSecretRotationMetadata": [{"Key": "k", "Value": "v"}]}),
            ("RotateSecret", {"ExternalSecretRotationRoleArn": "arn:aws:iam::123456789012:role/r"}),
        ],
    )
    def test_are_refused_and_change_nothing(
        self, memory: Any, operation: str, member: dict[str, Any]
    ) -> None:
        """501, and the store is as it was."""
        memory.create()
        before = memory("ListSecrets")
        code, _ = memory.refused(operation, SecretId="s", **member)
        assert code == "OperationNotSupported"
        assert memory("ListSecrets") == before

    def test_an_unknown_operation_is_no_operation_that_is_left(self, memory: Any) -> None:
        """It gets AWS's own code."""
        assert memory.refused("MakeCoffee")[0] == "UnknownOperationException"
