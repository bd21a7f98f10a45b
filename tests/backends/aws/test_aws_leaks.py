"""No secret in the log, in errors, in tracebacks with locals."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smclient import SecretRef, SmclientError
from smclient_aws import AwsBackend, redact

CANARY = "canary-value-5ac01"
SECRET_KEY = "canary-secret-access-key-3kd93"
TOKEN = "canary-session-token-8s7dh2"
REF = SecretRef("prod/db")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any logger says, from DEBUG on, formatted as a program would."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    before, quiet = root.level, logging.getLogger("werkzeug").level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)
    logging.getLogger("werkzeug").setLevel(quiet)


def _clean(text: str, *more: str) -> None:
    for canary in (CANARY, SECRET_KEY, TOKEN, "Signature=", "X-Amz-Security-Token'", *more):
        assert canary not in text, f"{canary} leaked"


def test_the_debug_log_of_a_whole_day(
    moto: str, opened: Callable[..., AwsBackend], log: io.StringIO
) -> None:
    """Create, put, get, batch, describe, an error; then what is left of the log."""
    backend = opened(f"aws://us-east-1?endpoint_url={moto}")
    backend.call("CreateSecret", {"Name": "prod/db", "SecretString": CANARY})
    backend.call("PutSecretValue", {"SecretId": "prod/db", "SecretBinary": CANARY.encode()})
    backend.call("PutSecretValue", {"SecretId": "prod/db", "SecretString": CANARY})
    assert backend.fetch(REF).value.text == CANARY
    backend.fetch_many(["prod/db"])
    backend.describe("prod/db")
    with pytest.raises(SmclientError):
        backend.fetch(SecretRef("none"))
    with pytest.raises(SmclientError):
        backend.call("PutSecretValue", {"SecretId": "prod/db", "SecretString": {"a": CANARY}})
    _clean(log.getvalue())
    assert "botocore.parsers DEBUG Response body" in log.getvalue()
    assert "botocore.endpoint DEBUG Making request" in log.getvalue()


def test_the_log_shows_the_canary_without_the_filter(
    moto: str,
    opened: Callable[..., AwsBackend],
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: the hunt would find something."""
    monkeypatch.setattr(redact.RedactingFilter, "filter", lambda self, record: True)
    backend = opened(f"aws://us-east-1?endpoint_url={moto}")
    backend.call("CreateSecret", {"Name": "prod/db", "SecretString": CANARY})
    assert CANARY in log.getvalue()
    assert TOKEN in log.getvalue()


def test_the_log_of_retries_failures_and_a_role(
    double: Any,
    opened: Callable[..., AwsBackend],
    log: io.StringIO,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """STS answers with keys; connections break; the log stays clean."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", double.url)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    keys = (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"
        "<SecretAccessKey>canary-role-key</SecretAccessKey><SessionToken>canary-role-token"
        f"</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult>"
        "</AssumeRoleResponse>"
    )
    fault = double.error("InternalServiceError", status=500)
    double.answers(double.raw(keys.encode()), double.hang_up, fault, double.value(CANARY))
    role = "arn:aws:iam::123456789012:role/reader"
    backend = opened(f"aws://us-east-1?role_arn={role}&endpoint_url={double.url}")
    assert backend.fetch(REF).attempts == 3
    _clean(log.getvalue(), "canary-role-key", "canary-role-token")


def test_a_token_with_a_line_break_is_not_shown(
    asking: AwsBackend, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http.client's refusal repeats the header; neither log nor error does."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{TOKEN}\nx")
    with pytest.raises(SmclientError) as caught:
        asking.fetch(REF)
    _clean(log.getvalue())
    _clean("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize("reply", ["refused", "hung up", "throttled", "echoed"])
def test_errors_shown_with_their_locals(double: Any, asking: AwsBackend, reply: str) -> None:
    """As Sentry and Django's error page show them: every frame that our error brings along."""
    echo = f"1 validation error: Value '{CANARY}' at 'secretString' failed"
    replies = {
        "refused": double.error("AccessDeniedException"),
        "hung up": double.hang_up,
        "throttled": double.error("ThrottlingException"),
        "echoed": double.error("ValidationException", echo),
    }
    double.answers(replies[reply])
    problem = _problem_of_put(asking)
    shown = traceback.TracebackException.from_exception(problem, capture_locals=True)
    _clean("".join(shown.format(chain=True)))
    assert problem.__context__ is None


def _problem_of_put(backend: AwsBackend) -> SmclientError:
    try:
        backend.call("PutSecretValue", {"SecretId": "prod/db", "SecretString": CANARY})
    except SmclientError as error:
        return error
    raise AssertionError("was answered")


def test_other_users_of_boto3_keep_their_log(
    moto: str, asking: AwsBackend, client_of: Callable[..., Any], log: io.StringIO
) -> None:
    """The filter acts inside our calls only."""
    asking.identity()
    client_of(moto, "sts").get_caller_identity()
    assert "GetCallerIdentity" in log.getvalue()


def test_installing_twice_puts_one_filter() -> None:
    """Each backend installs it."""
    redact.install()
    redact.install()
    filters = logging.getLogger("botocore.parsers").filters
    assert sum(isinstance(entry, redact.RedactingFilter) for entry in filters) == 1


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("text %s of %d", ("canary", 3), "text *** of 3"),
        ("count %d", ("canary",), "count %d [arguments masked]"),
        ("lone %s", ({"a": "canary"},), "lone ***"),
        ("named %(a)s", ({"a": "canary"},), "named ***"),
        ("none", (), "none"),
    ],
)
def test_records_of_every_form_are_masked(message: str, args: tuple[Any, ...], shown: str) -> None:
    """Numbers stay, everything else goes."""
    from smclient_aws.calls import watched

    record = logging.LogRecord("botocore.auth", logging.DEBUG, "f", 1, message, args, None)
    with watched():
        assert redact.RedactingFilter().filter(record)
    assert record.getMessage() == shown
