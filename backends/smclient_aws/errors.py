"""From botocore's exceptions and AWS's error codes to the tree in ``smclient.errors``.

What AWS answers goes by core's table of codes, what botocore raises by itself by ``EXCEPTIONS``.
botocore's classes are known by name, so that reading this module does not load botocore; a test
holds the names against the installed one.

No message repeats a value that was sent, and an exception of botocore stays as the cause only
where it holds none: its frames and its request objects do, so they are let go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from smclient.errors import (
    BY_CODE,
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    DecryptionFailureError,
    EncryptionFailureError,
    LimitExceededError,
    ResourceNotFoundError,
    SmclientError,
    ThrottlingError,
    ValidationError,
)
from smclient.secret import MASK

EXCEPTIONS: Mapping[str, type[SmclientError]] = {
    # no answer, or none that can be read
    "ConnectionError": BackendUnavailableError,
    "HTTPClientError": BackendUnavailableError,
    "IncompleteReadError": BackendUnavailableError,
    "ResponseParserError": BackendUnavailableError,
    "ChecksumError": BackendUnavailableError,
    "CapacityNotAvailableError": ThrottlingError,
    # the caller's login
    "NoCredentialsError": CredentialsError,
    "PartialCredentialsError": CredentialsError,
    "CredentialRetrievalError": CredentialsError,
    "UnknownCredentialError": CredentialsError,
    "MetadataRetrievalError": CredentialsError,
    "RefreshWithMFAUnsupportedError": CredentialsError,
    "NoAuthTokenError": CredentialsError,
    "TokenRetrievalError": CredentialsError,
    "UnknownTokenProviderError": CredentialsError,
    "SSOError": CredentialsError,
    "LoginError": CredentialsError,
    "ProfileNotFound": CredentialsError,
    "InvalidConfigError": CredentialsError,  # a profile that points nowhere, or at itself
    # how the client was set up
    "BaseEndpointResolverError": ConfigError,  # NoRegionError is one
    "EndpointProviderError": ConfigError,
    "InvalidEndpointConfigurationError": ConfigError,
    "InvalidRegionError": ConfigError,
    "InvalidIMDSEndpointError": ConfigError,
    "InvalidIMDSEndpointModeError": ConfigError,
    "ConfigParseError": ConfigError,
    "ConfigNotFound": ConfigError,
    "DataNotFoundError": ConfigError,
    "InvalidRetryConfigurationError": ConfigError,
    "InvalidProxiesConfigError": ConfigError,
    "InvalidDefaultsMode": ConfigError,
    "InvalidSTSRegionalEndpointsConfigError": ConfigError,
    "MissingDependencyException": ConfigError,
    # what was asked
    "ParamValidationError": ValidationError,
}
"""Name of a class of botocore to the class of ours; the nearest in its line of ancestors counts."""

_UNREPEATED = frozenset(  # texts that are made of another error's text or of an answer's body
    {"HTTPClientError", "ConnectionError", "ResponseStreamingError", "ResponseParserError"}
)
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
_LONGEST = 600

_REMEDIES: Mapping[str, str] = {
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile "
    "(aws://?profile=NAME or AWS_PROFILE), or run where a role is attached.",
    "PartialCredentialsError": "Give the access key id and the secret access key together.",
    "TokenRetrievalError": "Log in again, for example with: aws sso login",
    "SSOError": "Log in again, for example with: aws sso login",
    "LoginError": "Log in again with: aws login",
    "ProfileNotFound": "Check the option profile, AWS_PROFILE and the AWS configuration files.",
    "NoRegionError": "Name the Region: aws://eu-west-1, AWS_DEFAULT_REGION, or in the profile.",
    "SSLError": "Check the address, and the CA bundle (AWS_CA_BUNDLE) behind a proxy.",
    "ConnectionError": "Check the network, the proxy and the endpoint.",
    "HTTPClientError": "Check the network, the proxy and the endpoint.",
    "ParamValidationError": "Values are left out here.",
    "ExpiredToken": "Renew the session, for example with: aws sso login",
    "ExpiredTokenException": "Renew the session, for example with: aws sso login",
    "InvalidSignatureException": "Check the secret access key and this machine's clock.",
    "SignatureDoesNotMatch": "Check the secret access key and this machine's clock.",
    "RequestTimeTooSkewed": "Check this machine's clock.",
    "RequestExpired": "Check this machine's clock.",
}
_BY_CLASS: Mapping[type[SmclientError], str] = {
    AccessDeniedError: "Check the caller's IAM policies, the secret's resource policy and, "
    "for its value, the policy of its KMS key.",
    CredentialsError: "Check which credentials are in use: environment, profile or role.",
    ResourceNotFoundError: "Check the name, the version or label, the account and the Region.",
    ThrottlingError: "Ask less often: a longer ttl, or many ids in one call.",
    LimitExceededError: "A quota is used up; repeating the call does not help.",
    DecryptionFailureError: "Check that the secret's KMS key is enabled.",
    EncryptionFailureError: "Check that the secret's KMS key is enabled.",
}


def translated(
    error: Exception, *, asked: str, attempts: int, hidden: Iterable[str] = ()
) -> SmclientError:
    """The error of our tree for whatever botocore raised. Raises nothing.

    Args:
        error: what was caught; it loses its traceback, whose frames hold values.
        asked: what was asked, for the message.
        attempts: requests that went out for it.
        hidden: values that were sent; the message never repeats them.
    """
    values = [value for value in hidden if value]
    if _name_in(error, {"ClientError"}):
        return _answered(error, asked, attempts, values)
    name = _name_in(error, EXCEPTIONS)
    kind = type(error).__name__
    if name is not None:
        cls, text = EXCEPTIONS[name], _text_of(error)
    elif attempts and isinstance(error, _UNREADABLE):  # botocore's parsers raise what they like
        cls, text = BackendUnavailableError, f"the answer cannot be read ({kind})"
    else:
        cls, text = BackendError, f"{kind}, whose text is not repeated here: it may hold a value"
    remedy = _REMEDIES.get(kind) or _REMEDIES.get(name or "") or _BY_CLASS.get(cls, "")
    message = _sentence(asked, _scrubbed(text, values), remedy)
    if not issubclass(cls, BackendError):
        return cls(message)
    code = kind if cls in (CredentialsError, BackendError) else None
    return cls(message, code=code, attempts=attempts)


def unreadable(asked: str, attempts: int) -> BackendUnavailableError:
    """The error for an answer that is not what the service model promises."""
    text = "the answer is not one of Secrets Manager's. Check what answers at the endpoint."
    return BackendUnavailableError(f"{asked}: {text}", attempts=attempts)


def class_for(code: str, status: int) -> type[BackendError]:
    """The class for an AWS error code, else for an HTTP status, else ``BackendError``."""
    if code in BY_CODE:
        return BY_CODE[code]
    if status >= 500 or status == 408:
        return BackendUnavailableError
    return ThrottlingError if status == 429 else BackendError


def _answered(error: Any, asked: str, attempts: int, values: list[str]) -> BackendError:
    told = error.response.get("Error", {})
    code = str(told.get("Code") or "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    cls = class_for(code, status)
    text = str(told.get("Message") or "no text")
    other = error.operation_name  # a login may ask STS first
    via = "" if asked.startswith(other) else f"{other} for it: "
    remedy = _REMEDIES.get(code) or _BY_CLASS.get(cls, "")
    message = _sentence(asked, f"{via}{_scrubbed(text, values)} ({code})", remedy)
    ours = cls(message, code=code or None, attempts=attempts)
    whole = f"{error} {error.response}"
    if _scrubbed(whole, values) == whole:
        error.__context__ = None
        ours.__cause__ = error.with_traceback(None)
    return ours


def _name_in(error: Exception, names: Iterable[str]) -> str | None:
    for cls in type(error).__mro__:
        if cls.__module__.partition(".")[0] == "botocore" and cls.__name__ in names:
            return cls.__name__
    return None


def _text_of(error: Any) -> str:
    kind = type(error).__name__
    if kind == "ParamValidationError":
        return _faults(str(error.kwargs.get("report", "")))
    if kind in _UNREPEATED:
        inner = error.kwargs.get("error") if hasattr(error, "kwargs") else None
        return f"{kind} ({type(inner).__name__})" if isinstance(inner, Exception) else kind
    return str(error)


_FAULT = re.compile(
    r'^(?:Missing required parameter in [\w.\[\]]+: "\w+"'
    r'|Unknown parameter in [\w.\[\]]+: "\w{1,64}"'
    r"|Invalid \w+(?: \w+)? for parameter [\w.\[\]]+)",
    re.MULTILINE | re.ASCII,
)


def _faults(report: str) -> str:
    """Which parameters are wrong and how, out of botocore's report, which repeats their values."""
    return "; ".join(_FAULT.findall(report)) or "the parameters do not fit the operation"


def _scrubbed(text: str, values: Iterable[str]) -> str:
    for value in values:
        whole_word = len(value) < 8  # a short value is part of many words
        pattern = re.escape(value)
        text = re.sub(rf"(?<!\w){pattern}(?!\w)" if whole_word else pattern, MASK, text)
    return text


def _sentence(asked: str, text: str, remedy: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{asked}: {text.rstrip()}{'' if text.rstrip().endswith('.') else '.'} {remedy}".rstrip()
