"""The tables from botocore to our tree, and messages without values."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.parsers
import pytest
from botocore.exceptions import ClientError

from smclient import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    CredentialsError,
    LimitExceededError,
    SecretRef,
    SmclientError,
    ThrottlingError,
    TransientError,
    ValidationError,
)
from smclient.errors import BY_CODE
from smclient_aws import AwsBackend, translated
from smclient_aws.errors import EXCEPTIONS, class_for

CANARY = "canary-value-71fd"
REF = SecretRef("prod/db")


def _translated(error: Exception, attempts: int = 0) -> SmclientError:
    return translated(error, asked="GetSecretValue of 'a'", attempts=attempts, hidden=(CANARY,))


def _made(name: str) -> Exception:
    cls = getattr(botocore.exceptions, name, None) or getattr(botocore.parsers, name)
    slots = dict.fromkeys(
        (
            *("endpoint_url", "error", "proxy_url", "provider", "cred_var", "error_msg", "name"),
            *("profile", "region_name", "path", "report", "msg", "value", "param", "type_name"),
            *("actual_bytes", "expected_bytes", "checksum_type", "expected_checksum"),
            *("actual_checksum", "data_path", "service_name", "known_service_names"),
            *("retry_mode", "provided_retry_mode", "max_attempts", "endpoint", "mode"),
            *("valid_modes", "tags", "request", "response", "provided_max_attempts"),
            *("sts_regional_endpoints_config", "retry_config_option", "valid_options"),
        ),
        "what",
    )
    try:
        made: Exception = cls(**slots)
    except TypeError:
        made = cls("what")
    return made


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_every_name_of_the_table_is_a_class_of_botocore(name: str) -> None:
    """And comes out as what the table says."""
    assert type(_translated(_made(name))) is EXCEPTIONS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EndpointConnectionError", BackendUnavailableError),
        ("ConnectTimeoutError", BackendUnavailableError),
        ("ReadTimeoutError", BackendUnavailableError),
        ("ConnectionClosedError", BackendUnavailableError),
        ("SSLError", BackendUnavailableError),
        ("ProxyConnectionError", BackendUnavailableError),
        ("ResponseStreamingError", BackendUnavailableError),
        ("UnauthorizedSSOTokenError", CredentialsError),
        ("SSOTokenLoadError", CredentialsError),
        ("LoginRefreshRequired", CredentialsError),
        ("NoRegionError", ConfigError),
        ("UnknownFIPSEndpointError", ConfigError),
        ("UnknownServiceError", ConfigError),
    ],
)
def test_descendants_follow_their_ancestors(name: str, expected: type[SmclientError]) -> None:
    """The nearest ancestor in the table counts."""
    assert type(_translated(_made(name))) is expected


def test_no_code_of_the_model_is_without_a_class(client_of: Callable[..., Any]) -> None:
    """Whatever errors the installed service model has."""
    model = client_of("http://127.0.0.1:1").meta.service_model
    codes = {shape.name for shape in model.error_shapes}
    assert codes
    assert {code for code in codes if class_for(code, 400) is BackendError} == set()


def test_every_code_of_core_means_here_what_it_means_there() -> None:
    """Whatever the status of the answer."""
    for status in (400, 500):
        assert {code: class_for(code, status) for code in BY_CODE} == BY_CODE


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *((c, ThrottlingError) for c in ("Throttling", "ThrottlingException")),
        *((c, ThrottlingError) for c in ("TooManyRequestsException", "RequestLimitExceeded")),
        *((c, TransientError) for c in ("ServiceUnavailable", "InternalFailure")),
        *((c, CredentialsError) for c in ("ExpiredTokenException", "InvalidClientTokenId")),
        *((c, CredentialsError) for c in ("UnrecognizedClientException", "IncompleteSignature")),
        *((c, CredentialsError) for c in ("InvalidSignatureException", "ExpiredToken")),
        *((c, AccessDeniedError) for c in ("AccessDenied", "AccessDeniedException")),
        ("LimitExceededException", LimitExceededError),
    ],
)
def test_aliases(code: str, expected: type[BackendError]) -> None:
    """Other services' and protocols' names for the same."""
    assert issubclass(class_for(code, 400), expected)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, BackendUnavailableError),
        (504, BackendUnavailableError),
        (408, BackendUnavailableError),
        (429, ThrottlingError),
        (400, BackendError),
        (0, BackendError),
    ],
)
def test_an_unknown_code_goes_by_its_status(status: int, expected: type[BackendError]) -> None:
    """5xx may pass, others may not."""
    assert class_for("Unheard", status) is expected


def test_a_client_error_stays_as_the_cause_without_its_frames() -> None:
    """Frames of botocore hold requests; the error itself holds AWS's words."""
    try:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetSecretValue")
    except ClientError as error:
        ours = _translated(error, 1)
    assert isinstance(ours.__cause__, ClientError)
    assert ours.__cause__.__traceback__ is None


def test_a_text_that_repeats_a_value_is_masked_and_the_cause_let_go() -> None:
    """Long values wherever they stand, short ones as a word."""
    told = {"Error": {"Code": "ValidationException", "Message": f"Value '{CANARY}' at 'x'"}}
    ours = _translated(ClientError(told, "PutSecretValue"), 1)
    assert "Value '***' at 'x'" in str(ours)
    assert ours.__cause__ is None
    told["Error"]["Message"] = "Value 'no' at 'node'"
    error = ClientError(told, "PutSecretValue")
    short = translated(error, asked="PutSecretValue of 'a'", attempts=1, hidden=("no",))
    assert "Value '***' at 'node'" in str(short)


def test_a_long_text_is_cut() -> None:
    """A page of HTML is no message."""
    told = {"Error": {"Code": "500", "Message": "x" * 100_000}}
    assert len(str(_translated(ClientError(told, "GetSecretValue"), 1))) < 1_000


def test_an_unknown_exception_is_named_and_not_repeated() -> None:
    """Its text may be anything."""
    ours = _translated(RuntimeError(CANARY))
    assert type(ours) is BackendError
    assert "RuntimeError" in str(ours)
    assert CANARY not in str(ours)
    assert ours.__cause__ is None


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"SecretId": "a", "SecretString": {"k": CANARY}}, "for parameter SecretString"),
        ({"SecretId": "a", "SecretString": [f"\n{CANARY}\n"]}, "for parameter SecretString"),
        ({"SecretString": CANARY}, 'Missing required parameter in input: "SecretId"'),
        ({"SecretId": "a", "Secretstring": CANARY}, 'Unknown parameter in input: "Secretstring"'),
        ({"SecretId": "", "SecretString": CANARY}, "Invalid length for parameter SecretId"),
    ],
)
def test_wrong_parameters_are_named_without_their_values(
    asking: AwsBackend, double: Any, parameters: dict[str, Any], fault: str
) -> None:
    """botocore's own message repeats the value."""
    with pytest.raises(ValidationError) as caught:
        asking.call("PutSecretValue", parameters)
    assert fault in str(caught.value)
    assert caught.value.attempts == 0
    shown = traceback.TracebackException.from_exception(caught.value)
    assert CANARY not in "".join(shown.format())
    assert double.requests == []


def test_no_credentials(asking: AwsBackend, double: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to give them; nothing was sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match=r"AWS_ACCESS_KEY_ID.*profile") as caught:
        asking.fetch(REF)
    assert (caught.value.code, caught.value.attempts) == ("NoCredentialsError", 0)
    assert asking.identity().principal == ""
    assert double.requests == []


def test_half_of_the_credentials(asking: AwsBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten variable is named."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY"):
        asking.fetch(REF)


def test_no_region(opened: Callable[..., AwsBackend]) -> None:
    """The message says where to name it."""
    with pytest.raises(ConfigError, match=r"aws://eu-west-1"):
        opened("aws://").fetch(REF)


def test_an_unknown_profile(opened: Callable[..., AwsBackend]) -> None:
    """It is named."""
    with pytest.raises(CredentialsError, match="nobody"):
        opened("aws://us-east-1?profile=nobody").fetch(REF)


def test_a_configuration_file_that_cannot_be_read(
    opened: Callable[..., AwsBackend], tmp_path: Path
) -> None:
    """Not a traceback of a parser."""
    (tmp_path / "config").write_text("[broken\n")
    with pytest.raises(ConfigError):
        opened().fetch(REF)


def test_an_endpoint_of_the_environment_that_is_none(
    opened: Callable[..., AwsBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables to look at are named."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://not a host")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        opened().fetch(REF)
