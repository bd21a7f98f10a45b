"""The service as a ``Backend`` of the client: the port over the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from smclient import boto_shapes
from smclient.backend import Answer, Identity
from smclient.errors import SmclientError, from_code
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient_embedded.context import Principal
from smclient_embedded.errors import OperationNotSupported, ServiceError, UnknownOperationException

_TAKES_TOKEN = frozenset({"CreateSecret", "PutSecretValue", "RotateSecret", "UpdateSecret"})


class CallService(Protocol):
    """A way through the door with the caller filled in."""

    def __call__(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one call or raise ``ServiceError``."""
        ...


class EmbeddedBackend:
    """Reads and writes as one principal in one region. As an SDK does, it sends a token with each
    call that takes one."""

    def __init__(
        self,
        call: CallService,
        *,
        principal: Principal,
        region: str,
        endpoint: str,
        new_token: Any,
        close: Any,
    ) -> None:
        self._call = call
        self._principal = principal
        self._region = region
        self._endpoint = endpoint
        self._new_token = new_token
        self._close = close

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        request = {"SecretId": ref.secret_id}
        if ref.version_id is not None:
            request["VersionId"] = ref.version_id
        if ref.version_stage is not None and not ref.is_current:
            request["VersionStage"] = ref.version_stage
        return Answer(boto_shapes.value_from_dict(self._ask("GetSecretValue", request)))

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """See ``Backend.fetch_many``."""
        asked = list(secret_ids)
        shape = self._ask("BatchGetSecretValue", {"SecretIdList": asked})
        return Answer(boto_shapes.matched(asked, shape))

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        shape = self._ask("DescribeSecret", {"SecretId": secret_id})
        return Answer(boto_shapes.description_from_dict(shape))

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """See ``Backend.call``."""
        if operation in _TAKES_TOKEN and "ClientRequestToken" not in parameters:
            parameters = {**parameters, "ClientRequestToken": self._new_token()}
        return Answer(self._ask(operation, parameters))

    def identity(self) -> Identity:
        """The principal, its account and region, and the URL of the store."""
        return Identity(self._principal.account, self._region, self._endpoint, self._principal.arn)

    def close(self) -> None:
        """Close the service, if this backend was what opened it."""
        self._close()

    def _ask(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._call(operation, request)
        except (OperationNotSupported, UnknownOperationException) as error:
            raise from_code("OperationNotSupported", str(error)) from None
        except ServiceError as error:
            raise from_code(error.code, str(error)) from None
