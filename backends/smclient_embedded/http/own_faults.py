"""A fault of our own: what is logged of it, and the little that is answered."""

from __future__ import annotations

import logging

from smclient_embedded.errors import NOTHING_MORE, InternalServiceError
from smclient_embedded.http import json11
from smclient_embedded.http.json11 import WireAnswer
from smclient_embedded.store import StoreError

logger = logging.getLogger("smclient.embedded.http")


def answer_of_fault(error: BaseException, request_id: str) -> WireAnswer:
    """The answer where the fault is ours; logged, without values."""
    logger.error("request %s failed: %s", request_id, _without_values(error))
    return json11.refusal(InternalServiceError(NOTHING_MORE), request_id)


def _without_values(error: BaseException) -> str:
    """Where and of what kind a fault was: its text and its frames may hold secrets. A store's own
    words hold none."""
    if isinstance(error, StoreError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    module = trace.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} in {module}, line {trace.tb_lineno}"
