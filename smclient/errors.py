"""Every error of smclient, in one tree.

    SmclientError
    ├── ConfigError                     a setting, a URL or an argument is wrong
    │   ├── UnknownSettingError         no setting of that name
    │   ├── UnknownBackendError         no backend for that URL scheme
    │   └── MissingExtraError           the backend or driver is not installed
    ├── InvalidReferenceError           a reference does not follow the grammar
    ├── SecretContentError              the secret was read; its value is not what was asked for
    │   ├── NotTextError                binary where text was asked for
    │   ├── NotBinaryError              text where bytes were asked for
    │   ├── NotJsonError                text that is not a JSON object where a key was asked for
    │   ├── SecretKeyError              the key is not in the JSON (also a KeyError)
    │   └── CredentialFieldError        user name or password is missing for a login
    ├── IdentityMismatchError           the answer belongs to another secret than the one asked for
    ├── ClientClosedError               the client was closed
    ├── LoginHeldBackError              these credentials failed too often; tried again later
    ├── RotationStepError               a rotation function cannot do its step
    ├── FunctionFailedError             a function in a process of its own failed
    └── BackendError                    a backend refused or failed; ``code`` is AWS's code
        ├── TransientError              may pass: a cached value may be served meanwhile
        │   ├── ThrottlingError
        │   ├── InternalServiceError
        │   └── BackendUnavailableError no answer: connection, time-out, 5xx
        ├── RefusedError                will not go away by itself: a cached value must go
        │   ├── AccessDeniedError, CredentialsError, ResourceNotFoundError, InvalidRequestError,
        │   ├── InvalidParameterError, ValidationError, ResourceExistsError, LimitExceededError,
        │   ├── DecryptionFailureError, EncryptionFailureError, InvalidNextTokenError,
        │   ├── MalformedPolicyDocumentError, PreconditionNotMetError, PublicPolicyError
        │   └── NotSupportedError       this backend does not have that operation
        └── (BackendError itself        a code that no class above stands for)

Messages say what was asked, what went wrong and what to do. No message carries a secret value.
"""

from __future__ import annotations

from typing import ClassVar


class SmclientError(Exception):
    """Base of every error that smclient raises."""


# --- before anything is asked -------------------------------------------------------------------


class ConfigError(SmclientError):
    """A setting, a URL or an argument is wrong."""


class UnknownSettingError(ConfigError):
    """There is no setting of that name."""


class UnknownBackendError(ConfigError):
    """No installed backend answers to that URL scheme."""


class MissingExtraError(ConfigError):
    """A chosen backend, framework or driver is not installed; the message names the extra."""


class InvalidReferenceError(SmclientError):
    """A secret reference does not follow the grammar; the message names the segment."""


# --- after the secret was read ------------------------------------------------------------------


class SecretContentError(SmclientError):
    """The secret was read, but its value is not of the kind that was asked for."""


class NotTextError(SecretContentError):
    """Text was asked of a binary secret."""


class NotBinaryError(SecretContentError):
    """Bytes were asked of a text secret."""


class NotJsonError(SecretContentError):
    """A key was asked of a secret whose text is not a JSON object."""


class SecretKeyError(SecretContentError, KeyError):
    """The JSON of the secret has no such key. Also a ``KeyError``."""

    __str__ = Exception.__str__  # KeyError would print the repr of the message


class CredentialFieldError(SecretContentError):
    """The secret lacks a field that a login needs."""


class IdentityMismatchError(SmclientError):
    """A backend answered with another secret than the one asked for; nothing was cached."""


class ClientClosedError(SmclientError):
    """The client was closed and answers no more."""


class LoginHeldBackError(SmclientError):
    """No login was tried: the same credentials failed so often that an account may be locked."""


class RotationStepError(SmclientError):
    """A rotation function cannot do its step; the message says why and names no value."""


class FunctionFailedError(SmclientError):
    """A function in a process of its own did not do what it was called for.

    ``kind`` is what Lambda calls it: the class of what was raised, or ``Sandbox.Timedout``,
    ``Runtime.ExitError``, ``Runtime.ImportModuleError`` and the like. What the function said is in
    its log and nowhere else: it may hold a secret.
    """

    def __init__(self, reason: str, *, kind: str = "Error") -> None:
        super().__init__(reason)
        self.kind = kind


# --- what backends answer -----------------------------------------------------------------------


class BackendError(SmclientError):
    """A backend refused or failed.

    Attributes:
        code: AWS's error code, for example ``ResourceNotFoundException``.
        attempts: how many calls on the wire it took to learn this (the metering counts them).
    """

    default_code: ClassVar[str] = "BackendError"

    def __init__(self, message: str, *, code: str | None = None, attempts: int = 1) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.attempts = attempts


class TransientError(BackendError):
    """May go away by itself. A cached value may be served meanwhile, within ``max_stale``."""


class ThrottlingError(TransientError):
    """The request rate was exceeded."""

    default_code = "ThrottlingException"


class InternalServiceError(TransientError):
    """The service had a fault of its own."""

    default_code = "InternalServiceError"


class BackendUnavailableError(TransientError):
    """No answer came: no connection, a time-out, a broken answer."""

    default_code = "BackendUnavailable"


class RefusedError(BackendError):
    """A lasting refusal. A cached value is dropped, so that revocation takes effect."""


class AccessDeniedError(RefusedError):
    """The caller may not do this."""

    default_code = "AccessDeniedException"


class CredentialsError(RefusedError):
    """The caller's own credentials are missing, expired or not accepted."""

    default_code = "UnrecognizedClientException"


class ResourceNotFoundError(RefusedError):
    """No such secret, version or staging label."""

    default_code = "ResourceNotFoundException"


class InvalidRequestError(RefusedError):
    """The request does not fit the state of the secret, for example: marked for deletion."""

    default_code = "InvalidRequestException"


class InvalidParameterError(RefusedError):
    """A parameter has a value that the service refuses."""

    default_code = "InvalidParameterException"


class ValidationError(RefusedError):
    """A parameter breaks a limit of the service model."""

    default_code = "ValidationException"


class ResourceExistsError(RefusedError):
    """The name or the token is already in use."""

    default_code = "ResourceExistsException"


class LimitExceededError(RefusedError):
    """A quota of the account is used up. Repeating the call does not help."""

    default_code = "LimitExceededException"


class DecryptionFailureError(RefusedError):
    """The key cannot open the value."""

    default_code = "DecryptionFailure"


class EncryptionFailureError(RefusedError):
    """The key cannot seal the value."""

    default_code = "EncryptionFailure"


class InvalidNextTokenError(RefusedError):
    """A ``NextToken`` that the service did not give out."""

    default_code = "InvalidNextTokenException"


class MalformedPolicyDocumentError(RefusedError):
    """A resource policy that is not a policy."""

    default_code = "MalformedPolicyDocumentException"


class PreconditionNotMetError(RefusedError):
    """A precondition of the request does not hold."""

    default_code = "PreconditionNotMetException"


class PublicPolicyError(RefusedError):
    """A resource policy that would make the secret public."""

    default_code = "PublicPolicyException"


class NotSupportedError(RefusedError):
    """This backend does not have that operation."""

    default_code = "OperationNotSupported"


def _leaves(base: type[BackendError]) -> list[type[BackendError]]:
    children = base.__subclasses__()
    return [base] if not children else [leaf for child in children for leaf in _leaves(child)]


_OTHER_CODES: dict[type[BackendError], tuple[str, ...]] = {
    AccessDeniedError: ("AccessDenied", "NotAuthorized", "OptInRequired"),
    CredentialsError: (
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"),
        *("InvalidClientTokenId", "InvalidAccessKeyId"),
        *("InvalidSignatureException", "SignatureDoesNotMatch"),
        *("IncompleteSignature", "IncompleteSignatureException", "AuthFailure"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        *("InvalidIdentityToken", "IDPRejectedClaim"),
    ),
    ThrottlingError: (
        *("Throttling", "ThrottledException", "SlowDown"),
        *("RequestThrottled", "RequestThrottledException", "TooManyRequestsException"),
        *("RequestLimitExceeded", "BandwidthLimitExceeded", "PriorRequestNotComplete"),
    ),
    InternalServiceError: (
        *("InternalFailure", "InternalError", "InternalServerError", "InternalServerException"),
        "InternalServiceException",
    ),
    BackendUnavailableError: (
        *("ServiceUnavailable", "ServiceUnavailableException"),
        *("RequestTimeout", "RequestTimeoutException"),
    ),
    ValidationError: ("ValidationError", "SerializationException"),
    NotSupportedError: ("UnknownOperationException", "InvalidAction"),
}

BY_CODE: dict[str, type[BackendError]] = {
    **{code: cls for cls, codes in _OTHER_CODES.items() for code in codes},
    **{cls.default_code: cls for cls in _leaves(BackendError)},
}
"""AWS's error code, and what other services and protocols call the same, to the class for it."""


def from_code(code: str, message: str, *, attempts: int = 1) -> BackendError:
    """The error of the tree for an error code; ``BackendError`` itself for an unknown one."""
    return BY_CODE.get(code, BackendError)(message, code=code, attempts=attempts)


def explain(error: BackendError, *, secret: str, stage: str | None = None) -> BackendError:
    """The same error with the secret (and stage) named in its message, for the caller to read."""
    where = f"secret {secret!r}" + (f", stage {stage}" if stage else "")
    text = str(error)
    if repr(secret) in text:
        return error
    told = type(error)(f"{where}: {text}", code=error.code, attempts=error.attempts)
    told.__cause__ = error.__cause__
    return told
