"""Keep botocore's DEBUG log free of secrets.

botocore logs request and response bodies, parameters, signatures and session tokens. While a call
of ours is under way on a thread, the arguments of such records are masked on that thread; what
boto3 logs for other calls of the program is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from smclient.secret import MASK
from smclient_aws.calls import under_way

_FAMILIES = ("boto3", "botocore", "urllib3")
_EARLY = (  # loggers that may not be there yet when the filter is installed
    "botocore.auth",
    "botocore.awsrequest",
    "botocore.client",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.handlers",
    "botocore.history",
    "botocore.hooks",
    "botocore.httpchecksum",
    "botocore.httpsession",
    "botocore.parsers",
    "botocore.regions",
    "botocore.retryhandler",
    "botocore.tokens",
    "botocore.utils",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
_HARMLESS = frozenset(  # they name files, hosts, paths, statuses and delays, no more
    {"botocore.loaders", "botocore.retries.standard", "urllib3.connectionpool"}
)


class RedactingFilter(logging.Filter):
    """Masks what a record of botocore would show, while a call of ours is under way."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record in place; never drops one, except the long lists of event handlers."""
        if not under_way():
            return True
        if record.exc_info or record.exc_text:  # an exception's text may repeat a header's value
            kind = (record.exc_info or (None,))[0]
            record.exc_info = record.exc_text = None
            record.msg = f"{record.msg} ({kind.__name__ if kind else 'exception'})"
        if record.levelno >= logging.WARNING or record.name in _HARMLESS:
            return True
        if record.name == "botocore.hooks":
            return False
        if record.args:
            record.msg, record.args = _masked(record.msg, record.args), ()
        return True


_FILTER = RedactingFilter()


def install() -> None:
    """Put the filter on the loggers of boto3, botocore and urllib3. Doing it again is fine."""
    known = [n for n in logging.Logger.manager.loggerDict if n.partition(".")[0] in _FAMILIES]
    for name in {*_EARLY, *known}:
        logging.getLogger(name).addFilter(_FILTER)


def _masked(message: Any, args: Any) -> str:
    shown: Any
    if isinstance(args, Mapping):  # logging unpacks a lone dictionary
        shown = dict.fromkeys(args, MASK) if "%(" in str(message) else (MASK,)
    else:
        shown = tuple(arg if isinstance(arg, int | float) else MASK for arg in args)
    try:
        return f"{str(message) % shown}"
    except (TypeError, ValueError):  # a %d that got text, a number of arguments that is off
        return f"{message} [arguments masked]"
