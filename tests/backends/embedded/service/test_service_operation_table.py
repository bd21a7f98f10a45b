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

LEFT = {
    "AssociateCrossAccountReplica",
    "DeleteResourcePolicy",
    "DisassociateCrossAccountReplica",
    "GetResourcePolicy",
    "ListResourcePolicies",
    "PutResourcePolicy",
    "RemoveRegionsFromReplication",
    "ReplicateSecretToRegions",
    "StopReplicationToReplica",
    "ValidateResourcePolicy",
}
"""What is still to be written. Take a name out when you write its operation."""


def snake(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()


def test_botocores_model_has_twenty_six_operations() -> None:
    """A newer botocore may add some: then this list grows, and LEFT with it."""
    assert len(service_model().operations) == 26


def test_what_is_left_to_write_is_known_exactly() -> None:
    """Neither more nor fewer than the ten operations named here."""
    assert service_model().operations - OPERATIONS.keys() == LEFT


def test_no_operation_is_written_that_the_model_does_not_have() -> None:
    """An invented name could never be called."""
    assert OPERATIONS.keys() <= service_model().operations


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


@pytest.mark.parametrize("operation", sorted(LEFT))
class TestAnOperationThatIsNotWritten:
    def test_answers_one_typed_error_with_status_501(self, operation: str, memory: Any) -> None:
        """In process, whatever the request says."""
        with pytest.raises(OperationNotSupported, match=operation) as caught:
            memory.service.call(operation, {"SecretId": "s"})
        assert (caught.value.code, caught.value.status) == ("OperationNotSupported", 501)

    def test_is_a_not_supported_error_for_the_client(self, operation: str, memory: Any) -> None:
        """``SecretsClient.call`` has one class for it in its tree."""
        with (
            SecretsClient(memory.service.backend()) as client,
            pytest.raises(NotSupportedError, match=operation),
        ):
            client.call(operation, SecretId="s")

    def test_is_a_client_error_of_botocore(self, operation: str, memory: Any) -> None:
        """The wired client says the same with a status; it does not retry a 501 for long."""
        client = memory.service.client()
        request = {
            member: "us-east-1" * 4 if shape.type_name == "string" else []
            for member, shape in client.meta.service_model.operation_model(
                operation
            ).input_shape.members.items()
            if shape.type_name in ("string", "list")
            and member
            in client.meta.service_model.operation_model(operation).input_shape.required_members
        }
        if "AddReplicaRegions" in request:
            request["AddReplicaRegions"] = [{"Region": "eu-west-1"}]
        if "RemoveReplicaRegions" in request:
            request["RemoveReplicaRegions"] = ["eu-west-1"]
        with pytest.raises(client.exceptions.ClientError) as caught:
            getattr(client, snake(operation))(**request)
        assert caught.value.response["Error"]["Code"] == "OperationNotSupported"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


class TestMembersThatAreNotWritten:
    """A member that would be ignored silently is refused instead."""

    @pytest.mark.parametrize(
        ("operation", "member"),
        [
            ("CreateSecret", {"AddReplicaRegions": [{"Region": "eu-west-1"}]}),
            ("CreateSecret", {"Type": "MongoDBAtlas"}),
            ("CreateSecret", {"CrossAccountPrimaryARN": "arn:aws:secretsmanager:x:1:secret:y"}),
            ("RotateSecret", {"ExternalSecretRotationMetadata": [{"Key": "k", "Value": "v"}]}),
            ("RotateSecret", {"ExternalSecretRotationRoleArn": "arn:aws:iam::123456789012:role/r"}),
        ],
    )
    def test_are_refused_and_change_nothing(
        self, memory: Any, operation: str, member: dict[str, Any]
    ) -> None:
        """501, and the store is as it was."""
        name = {"Name": "new"} if operation == "CreateSecret" else {"SecretId": "s"}
        memory.create()
        before = memory("ListSecrets")
        code, _ = memory.refused(operation, **name, **member)
        assert code == "OperationNotSupported"
        assert memory("ListSecrets") == before

    def test_an_unknown_operation_is_no_operation_that_is_left(self, memory: Any) -> None:
        """It gets AWS's own code."""
        assert memory.refused("MakeCoffee")[0] == "UnknownOperationException"
