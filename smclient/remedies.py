"""What to do about an error, in a sentence: for adapters, whose messages name the setting."""

from __future__ import annotations

from smclient.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CredentialsError,
    DecryptionFailureError,
    InvalidReferenceError,
    InvalidRequestError,
    MissingExtraError,
    NotJsonError,
    ResourceNotFoundError,
    SecretKeyError,
    SmclientError,
    ThrottlingError,
)

_REMEDIES: tuple[tuple[type[SmclientError], str], ...] = (
    (
        ResourceNotFoundError,
        "create it, or correct name or stage; a name means the account and region of the backend",
    ),
    (
        AccessDeniedError,
        "allow secretsmanager:GetSecretValue on it to this application's role, and kms:Decrypt "
        "where it has a key of its own",
    ),
    (CredentialsError, "give the process credentials (role, profile, environment) that are valid"),
    (DecryptionFailureError, "allow kms:Decrypt on the secret's key, and see that it is enabled"),
    (InvalidRequestError, "see whether the secret is marked for deletion; restore it if so"),
    (ThrottlingError, "ask for a higher quota, or raise SMCLIENT_TTL"),
    (
        BackendUnavailableError,
        "see whether SMCLIENT_BACKEND is right and can be reached from here (network, endpoint, "
        "proxy)",
    ),
    (InvalidReferenceError, "write it as secret://NAME#key"),
    (SecretKeyError, "correct the part after #, or add the key to the secret"),
    (NotJsonError, "leave out the part after #, or store a JSON object"),
    (MissingExtraError, "install it"),
)


def remedy(error: SmclientError) -> str:
    """What to do about it; nothing where the message says all there is to say."""
    for kind, told in _REMEDIES:
        if isinstance(error, kind):
            return told
    return ""


def with_remedy(error: SmclientError) -> str:
    """The message of an error and what to do about it, on one line."""
    told = remedy(error)
    text = " ".join(str(error).split()).rstrip(".")
    return f"{text}: {told}" if told else text
