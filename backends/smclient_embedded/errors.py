"""The service's refusals, with the names of AWS's model. All of them are answered with HTTP 400,
except a fault of our own and what is not written yet."""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A refusal of the service: ``code`` is AWS's name of it, the message AWS's text."""

    status: ClassVar[int] = 400

    @property
    def code(self) -> str:
        """AWS's name of the error: the name of the class."""
        return type(self).__name__


class ResourceNotFoundException(ServiceError):
    """No such secret, version or label."""


class ResourceExistsException(ServiceError):
    """The name or the token is in use."""


class InvalidRequestException(ServiceError):
    """The request does not fit the state of the secret."""


class InvalidParameterException(ServiceError):
    """A parameter that the operation refuses."""


class ValidationException(ServiceError):
    """A parameter that breaks a limit of the model."""


class SerializationException(ServiceError):
    """A body whose types do not fit the model."""


class UnknownOperationException(ServiceError):
    """An operation that the model does not have."""


class AccessDeniedException(ServiceError):
    """The caller may not do this."""


class LimitExceededException(ServiceError):
    """A quota is used up."""


class ThrottlingException(ServiceError):
    """More requests than a rate allows."""


class InvalidNextTokenException(ServiceError):
    """A ``NextToken`` that was not given out for this request."""


class DecryptionFailure(ServiceError):
    """The key cannot open the value."""


class EncryptionFailure(ServiceError):
    """The key cannot seal the value."""


class MalformedPolicyDocumentException(ServiceError):
    """A resource policy that is not one."""


class PublicPolicyException(ServiceError):
    """A resource policy that would make the secret public."""


class PreconditionNotMetException(ServiceError):
    """A precondition does not hold."""


class NotAuthenticated(ServiceError):
    """Who asks is not established: what the five refusals of a signature have in common."""


class MissingAuthenticationTokenException(NotAuthenticated):
    """The request is not signed."""


class IncompleteSignatureException(NotAuthenticated):
    """A part of the signature is absent or cannot be read."""


class InvalidSignatureException(NotAuthenticated):
    """A signature that is wrong, of another time, or for another service."""


class UnrecognizedClientException(NotAuthenticated):
    """No such access key, or another session token than the key's."""


class ExpiredTokenException(NotAuthenticated):
    """The session of the access key is over."""


class InternalServiceError(ServiceError):
    """A fault of the service itself; its cause is in the service's log."""

    status: ClassVar[int] = 500


NOTHING_MORE = "An error occurred on the server side."
"""What a client, and the trail, is told of such a fault."""


class ConnectionDropped(ServiceError):
    """An outage on purpose: no answer is given. Who holds the connection closes it; ``code`` is
    what ``smclient.errors`` calls a service that cannot be reached."""

    status: ClassVar[int] = 503

    @property
    def code(self) -> str:
        """Not AWS's, which has none for that."""
        return "BackendUnavailable"


class OperationNotSupported(ServiceError):
    """An operation of the model that this version of the embedded service does not have yet."""

    status: ClassVar[int] = 501


# --- refusals that many operations share, in AWS's words ------------------------------------------


def secret_not_found() -> ResourceNotFoundException:
    """No secret of that id."""
    return ResourceNotFoundException("Secrets Manager can't find the specified secret.")


def stage_not_found(stage: str) -> ResourceNotFoundException:
    """No version with a value carries that label."""
    return ResourceNotFoundException(
        f"Secrets Manager can't find the specified secret value for staging label: {stage}"
    )


def version_not_found(version_id: str) -> ResourceNotFoundException:
    """No version with a value has that id."""
    return ResourceNotFoundException(
        f"Secrets Manager can't find the specified secret value for VersionId: {version_id}"
    )


def marked_for_deletion() -> InvalidRequestException:
    """The secret waits for its deletion."""
    return InvalidRequestException(
        "You can't perform this operation on the secret because it was marked for deletion."
    )


def replica_is_read_only() -> InvalidParameterException:
    """The secret follows its primary in another region."""
    return InvalidParameterException(
        "Operation not permitted on a replica secret. Call must be made in primary secret's region."
    )


def owned_by(service: str) -> InvalidRequestException:
    """The secret is another AWS service's."""
    return InvalidRequestException(f"Operation is not allowed on secret owned by {service}")


def token_in_use(token: str, arn: str) -> ResourceExistsException:
    """A version of that id holds another value."""
    return ResourceExistsException(
        f"You can't use ClientRequestToken {token} because that value is already in use for a "
        f"version of secret {arn}."
    )


def token_missing() -> InvalidRequestException:
    """No ClientRequestToken was sent; the SDKs always send one."""
    return InvalidRequestException(
        "You must provide a ClientRequestToken value. We recommend a UUID-type value."
    )
