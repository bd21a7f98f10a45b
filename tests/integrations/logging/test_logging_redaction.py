"""Log records of ``logging`` and structlog without secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
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


class AsJson(logging.Formatter):
    """As JSON formatters do it: exceptions formatted anew, extras by ``str`` or ``repr``."""

    def format(self, record: logging.LogRecord) -> str:
        event = {name: value for name, value in vars(record).items() if name != "exc_info"}
        if record.exc_info:
            event["exc"] = self.formatException(record.exc_info)
        return json.dumps(event, default=lambda value: f"{value} {value!r}")


class Holder:
    def __repr__(self) -> str:
        return f"Holder({PASSWORD})"


class Said(Exception):
    def __repr__(self) -> str:
        return "Said()"


@pytest.mark.parametrize(
    "extra",
    [
        ValueError(PASSWORD),
        Said(PASSWORD),
        OSError(2, "no such file", f"/{PASSWORD}"),
        ExceptionGroup("x", [ValueError(PASSWORD)]),
        PASSWORD.encode(),
        Holder(),
        [Holder()],
        {"a": Holder()},
    ],
)
def test_formatters_of_their_own_kind_get_no_secret(
    log: tuple[logging.Logger, io.StringIO], extra: object
) -> None:
    """Neither in an exception that they format themselves, nor in objects given by ``extra``."""
    logger, written = log
    logger.handlers[0].setFormatter(AsJson())
    try:
        fail(PASSWORD)
    except RuntimeError:
        logger.exception("it failed", extra={"more": extra, "plain": ValueError("shown")})
    assert "RuntimeError: with ***" in written.getvalue()
    assert "shown" in written.getvalue()
    assert "canary" not in written.getvalue()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters can give another record from 3.12")
def test_other_handlers_get_the_record_as_it_was(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    """The filter gives its handler a copy."""
    logger, _ = log
    seen: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = seen.append  # type: ignore[method-assign]
    logger.addHandler(other)
    try:
        fail(PASSWORD)
    except RuntimeError as error:
        raised = error
        logger.exception("%s", PASSWORD, extra={"more": error})
    assert seen[0].exc_info is not None
    assert seen[0].exc_info[1] is seen[0].__dict__["more"] is raised


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


@pytest.mark.parametrize("renderer", ["json", "console", "keyvalue"])
def test_structlog_renderers_get_no_secret_in_objects(client: SecretsClient, renderer: str) -> None:
    """Exceptions with what caused them, also those that a renderer formats itself, and bytes."""
    renderers: dict[str, Any] = {
        "json": structlog.processors.JSONRenderer(),
        "console": structlog.dev.ConsoleRenderer(colors=False),
        "keyvalue": structlog.processors.KeyValueRenderer(),
    }
    written = io.StringIO()
    logger: Any = structlog.wrap_logger(
        structlog.PrintLogger(written), processors=[redact(client), renderers[renderer]]
    )
    try:
        try:
            fail(PASSWORD)
        except RuntimeError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        values = {"error": ValueError(PASSWORD), "raw": PASSWORD.encode(), "object": Holder()}
        logger.error("it failed", exc_info=True, **values)
        logger.error("it failed", exc_info=error)
        logger.error("it failed", exc_info=(type(error), error, error.__traceback__))
    assert written.getvalue().count("RuntimeError: with ***") == 3
    assert "canary" not in written.getvalue()
