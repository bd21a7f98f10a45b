"""Log records without secrets: a filter for ``logging``, a processor for structlog. Opt in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from smclient import SecretsClient
from smclient.masking import Masker

_plain = logging.Formatter()


class RedactingFilter(logging.Filter):
    """A filter that replaces what a client holds by stars: in the message with its arguments, in
    tracebacks and stack traces, and in attributes given by ``extra``. Lets every record pass.

    Put it on handlers, where the records of all loggers come by:
    ``handler.addFilter(RedactingFilter(client))``. ``options`` are those of ``Masker``.
    """

    def __init__(self, client: SecretsClient, **options: Any) -> None:
        super().__init__()
        self._mask = Masker(client, **options)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; always true."""
        mask = self._mask
        try:
            record.msg, record.args = mask(record.getMessage()), None
        except Exception:  # noqa: BLE001  logging reports wrong arguments itself, when it formats
            record.msg, record.args = mask(str(record.msg)), _masked_args(mask, record.args)
        if record.exc_info and not record.exc_text:
            record.exc_text = _plain.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = mask.deep(record.__dict__[name])
        return True


def redact(
    client: SecretsClient, **options: Any
) -> Callable[[Any, str, MutableMapping[str, Any]], Mapping[str, Any]]:
    """A structlog processor that does the same. Put it last before the renderer, after
    ``format_exc_info`` or ``dict_tracebacks``. ``options`` are those of ``Masker``."""
    mask = Masker(client, **options)

    def processor(
        logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        masked: Mapping[str, Any] = mask.deep(dict(event_dict))
        return masked

    return processor


def _masked_args(mask: Masker, args: Any) -> Any:
    return mask.deep(args) if isinstance(args, tuple | dict) else args


_STANDARD = logging.LogRecord("", 0, "", 0, "", None, None).__dict__.keys() | {
    "message",
    "asctime",
    "taskName",
}
