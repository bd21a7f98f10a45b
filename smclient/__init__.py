"""smclient: a caching client for AWS Secrets Manager whose users survive rotation.

Importing it loads nothing: each public name is loaded from its module when it is first used, and
neither boto3 nor a framework before a backend or an adapter asks for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from smclient._version import __version__

if TYPE_CHECKING:
    from smclient.aio import AsyncSecretsClient
    from smclient.backend import (
        Answer,
        Backend,
        BackendUrl,
        Identity,
        Miss,
        load_backend,
    )
    from smclient.batch import Batch
    from smclient.client import SecretsClient
    from smclient.clock import (
        SYSTEM_CLOCK,
        Clock,
        SystemClock,
    )
    from smclient.config import ClientConfig
    from smclient.errors import (
        AccessDeniedError,
        BackendError,
        BackendUnavailableError,
        ClientClosedError,
        ConfigError,
        CredentialFieldError,
        CredentialsError,
        DecryptionFailureError,
        EncryptionFailureError,
        FunctionFailedError,
        IdentityMismatchError,
        InternalServiceError,
        InvalidNextTokenError,
        InvalidParameterError,
        InvalidReferenceError,
        InvalidRequestError,
        LimitExceededError,
        LoginHeldBackError,
        MalformedPolicyDocumentError,
        MissingExtraError,
        NotBinaryError,
        NotJsonError,
        NotSupportedError,
        NotTextError,
        PreconditionNotMetError,
        PublicPolicyError,
        RefusedError,
        ResourceExistsError,
        ResourceNotFoundError,
        RotationStepError,
        SecretContentError,
        SecretKeyError,
        SmclientError,
        ThrottlingError,
        TransientError,
        UnknownBackendError,
        UnknownSettingError,
        ValidationError,
    )
    from smclient.failover import FailoverBackend
    from smclient.hardening import harden_process
    from smclient.hooks import (
        SecretEvent,
        Subscription,
    )
    from smclient.metering import Usage
    from smclient.references import (
        Reference,
    )
    from smclient.references import (
        parse as parse_reference,
    )
    from smclient.secret import (
        AWSCURRENT,
        AWSPENDING,
        AWSPREVIOUS,
        LazySecret,
        RedactedStr,
        SecretDescription,
        SecretRef,
        SecretValue,
    )

_HOMES = {
    "smclient.aio": ("AsyncSecretsClient",),
    "smclient.backend": (
        "Answer",
        "Backend",
        "BackendUrl",
        "Identity",
        "Miss",
        "load_backend",
    ),
    "smclient.batch": ("Batch",),
    "smclient.client": ("SecretsClient",),
    "smclient.clock": (
        "Clock",
        "SYSTEM_CLOCK",
        "SystemClock",
    ),
    "smclient.config": ("ClientConfig",),
    "smclient.errors": (
        "AccessDeniedError",
        "BackendError",
        "BackendUnavailableError",
        "ClientClosedError",
        "ConfigError",
        "CredentialFieldError",
        "CredentialsError",
        "DecryptionFailureError",
        "EncryptionFailureError",
        "FunctionFailedError",
        "IdentityMismatchError",
        "InternalServiceError",
        "InvalidNextTokenError",
        "InvalidParameterError",
        "InvalidReferenceError",
        "InvalidRequestError",
        "LimitExceededError",
        "LoginHeldBackError",
        "MalformedPolicyDocumentError",
        "MissingExtraError",
        "NotBinaryError",
        "NotJsonError",
        "NotSupportedError",
        "NotTextError",
        "PreconditionNotMetError",
        "PublicPolicyError",
        "RefusedError",
        "ResourceExistsError",
        "ResourceNotFoundError",
        "RotationStepError",
        "SecretContentError",
        "SecretKeyError",
        "SmclientError",
        "ThrottlingError",
        "TransientError",
        "UnknownBackendError",
        "UnknownSettingError",
        "ValidationError",
    ),
    "smclient.failover": ("FailoverBackend",),
    "smclient.hardening": ("harden_process",),
    "smclient.hooks": (
        "SecretEvent",
        "Subscription",
    ),
    "smclient.metering": ("Usage",),
    "smclient.references": ("Reference",),
    "smclient.secret": (
        "AWSCURRENT",
        "AWSPENDING",
        "AWSPREVIOUS",
        "LazySecret",
        "RedactedStr",
        "SecretDescription",
        "SecretRef",
        "SecretValue",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name == "parse_reference":
        return import_module("smclient.references").parse
    if name not in _HOME_OF:
        raise AttributeError(f"module 'smclient' has no attribute {name!r}")
    found = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "AWSCURRENT",
    "AWSPENDING",
    "AWSPREVIOUS",
    "SYSTEM_CLOCK",
    "AccessDeniedError",
    "Answer",
    "AsyncSecretsClient",
    "Backend",
    "BackendError",
    "BackendUnavailableError",
    "BackendUrl",
    "Batch",
    "ClientClosedError",
    "ClientConfig",
    "Clock",
    "ConfigError",
    "CredentialFieldError",
    "CredentialsError",
    "DecryptionFailureError",
    "EncryptionFailureError",
    "FailoverBackend",
    "FunctionFailedError",
    "Identity",
    "IdentityMismatchError",
    "InternalServiceError",
    "InvalidNextTokenError",
    "InvalidParameterError",
    "InvalidReferenceError",
    "InvalidRequestError",
    "LazySecret",
    "LimitExceededError",
    "LoginHeldBackError",
    "MalformedPolicyDocumentError",
    "Miss",
    "MissingExtraError",
    "NotBinaryError",
    "NotJsonError",
    "NotSupportedError",
    "NotTextError",
    "PreconditionNotMetError",
    "PublicPolicyError",
    "RedactedStr",
    "Reference",
    "RefusedError",
    "ResourceExistsError",
    "ResourceNotFoundError",
    "RotationStepError",
    "SecretContentError",
    "SecretDescription",
    "SecretEvent",
    "SecretKeyError",
    "SecretRef",
    "SecretValue",
    "SecretsClient",
    "SmclientError",
    "Subscription",
    "SystemClock",
    "ThrottlingError",
    "TransientError",
    "UnknownBackendError",
    "UnknownSettingError",
    "Usage",
    "ValidationError",
    "__version__",
    "harden_process",
    "load_backend",
    "parse_reference",
]
