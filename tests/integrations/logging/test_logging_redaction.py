"""Log records of ``logging`` and structlog without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from smclient import SecretsClient
from smclient.testing import FakeBackend
from smclient_logging import RedactingFilter, redact

PASSWORD = "canary-pw-91"


@pytest.fixture
def client() -> SecretsClient:
    made = SecretsClient(FakeBackend({"prod/db": {"username": "app", "password": PASSWORD}}))
    made.get("prod/db")
    return made


@pytest.fixture
def log(client: SecretsClient) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger whose handler has the filter, and what it wrote."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(more)s"))
    handler.addFilter(RedactingFilter(client))
    logger = logging.Logger("tested")
    logger.addHandler(handler)
    yield logger, written
    handler.close()


def fail(password: str) -> None:
    raise RuntimeError(f"with {password}")


def test_messages_arguments_and_extras_are_masked(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    """Each, and the rest of the line is as it was."""
    logger, written = log
    logger.warning("a %s b", PASSWORD, extra={"more": {"x": [PASSWORD]}})
    logger.info(PASSWORD, extra={"more": 1})
    assert written.getvalue() == "WARNING a *** b {'x': ['***']}\nINFO *** 1\n"


def test_tracebacks_are_masked(log: tuple[logging.Logger, io.StringIO]) -> None:
    """And still there, for this handler; the exception itself is left alone for others."""
    logger, written = log

    def work() -> None:
        try:
            fail(PASSWORD)
        except RuntimeError:
            logger.exception("it failed", extra={"more": ""}, stack_info=True)
            raise

    with pytest.raises(RuntimeError, match=PASSWORD):
        work()
    assert "RuntimeError: with ***" in written.getvalue()
    assert "Stack (most recent call last)" in written.getvalue()
    assert "canary" not in written.getvalue()


def test_a_wrong_format_is_reported_by_logging_as_ever(
    log: tuple[logging.Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    """The filter does not hide the mistake, and the report shows no value."""
    logger, _ = log
    logger.warning("%d", PASSWORD, extra={"more": ""})
    shown = capsys.readouterr().err
    assert "Logging error" in shown
    assert "Arguments: ('***',)" in shown


def test_structlog_events_are_masked(client: SecretsClient) -> None:
    """Values, keys of nested data, and exceptions rendered before."""
    written = io.StringIO()
    logger: Any = structlog.wrap_logger(
        structlog.PrintLogger(written),
        processors=[
            structlog.processors.format_exc_info,
            redact(client),
            structlog.processors.JSONRenderer(),
        ],
    )
    try:
        fail(PASSWORD)
    except RuntimeError:
        logger.error("it failed", password=PASSWORD, data={"list": [PASSWORD]}, exc_info=True)
    event = json.loads(written.getvalue())
    assert (event["event"], event["password"], event["data"]) == (
        "it failed",
        "***",
        {"list": ["***"]},
    )
    assert "RuntimeError: with ***" in event["exception"]
    assert "canary" not in written.getvalue()
