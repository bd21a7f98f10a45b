"""Log records without secrets: a filter for ``logging``, a processor for structlog. Opt in."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from smclient import SecretsClient
from smclient.masking import Masker

_plain = logging.Formatter()
_TAKES_ANOTHER = sys.version_info >= (3, 12)
"""Whether ``logging`` goes on with the record that a filter returns."""


class RedactingFilter(logging.Filter):
    """A filter that replaces what a client holds by stars: in the message with its arguments, in
    tracebacks and stack traces, and in attributes given by ``extra``. Lets every record pass.

    Put it on handlers, where the records of all loggers come by:
    ``handler.addFilter(RedactingFilter(client))``. ``options`` are those of ``Masker``.

    The handler gets the masked text of an exception, not the exception. From Python 3.12 on other
    handlers get the record as it was; before, the record itself is changed, for those after this.
    """

    def __init__(self, client: SecretsClient, **options: Any) -> None:
        super().__init__()
        self._mask = Masker(client, **options)

    def filter(self, record: logging.LogRecord) -> Any:
        """The record, masked."""
        mask = self._mask
        record = copy.copy(record) if _TAKES_ANOTHER else record
        try:
            record.msg, record.args = mask(record.getMessage()), None
        except Exception:  # noqa: BLE001  logging reports wrong arguments itself, when it formats
            record.msg, record.args = mask(str(record.msg)), _masked_args(mask, record.args)
        if record.exc_info and not record.exc_text:
            record.exc_text = _plain.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
            record.exc_info = None  # or a formatter of its own kind would format it unmasked
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = mask.deep(record.__dict__[name])
        return record


def redact(
    client: SecretsClient, **options: Any
) -> Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]:
    """A structlog processor that does the same. Put it last before the renderer, after
    ``dict_tracebacks`` where you use that: an exception that is still one is formatted here.
    ``options`` are those of ``Masker``."""
    mask = Masker(client, **options)

    def processor(
        logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        event = dict(event_dict)
        exc_info = _exc_info(event.get("exc_info"))
        if exc_info is not None:
            del event["exc_info"]
            event["exception"] = _plain.formatException(exc_info)
        masked: Mapping[str, Any] = mask.deep(event)
        return masked

    return processor


def _exc_info(given: Any) -> Any:
    """What structlog's ``exc_info`` stands for, as ``logging`` has it; None for no exception."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    found = given if isinstance(given, tuple) else sys.exc_info() if given else None
    return found if found is not None and found[1] is not None else None


def _masked_args(mask: Masker, args: Any) -> Any:
    return mask.deep(args) if isinstance(args, tuple | dict) else args


_STANDARD = logging.LogRecord("", 0, "", 0, "", None, None).__dict__.keys() | {
    "message",
    "asctime",
    "taskName",
}
