"""Error pages and error mails without secrets: what a client holds is stars in them.

Settings show references only. But a view that failed may have the plain text of a secret in a local
variable, and Django's debug page shows those.
"""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.utils.log import AdminEmailHandler
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from smclient import SecretsClient
from smclient.masking import Masker
from smclient_django.clients import clients

DJANGOS = "django.views.debug.ExceptionReporter"
_maskers: WeakKeyDictionary[SecretsClient, Masker] = WeakKeyDictionary()
OURS = "smclient_django.debug.SecretsExceptionReporter"


class SecretsExceptionReporter(ExceptionReporter):
    """Django's reporter, masked: the ``DEFAULT_EXCEPTION_REPORTER`` where the project has none of
    its own. Derive yours from it."""

    def get_traceback_frames(self) -> list[dict[str, Any]]:
        """Django's frames, their variables masked before they are laid out: that breaks lines."""
        frames: list[dict[str, Any]] = super().get_traceback_frames()
        for frame in frames:
            frame["vars"] = [(name, _hidden(value)) for name, value in frame.get("vars", ())]
        return frames

    def get_traceback_data(self) -> dict[str, Any]:
        """What the page is made of, masked before it is escaped for HTML."""
        data: dict[str, Any] = super().get_traceback_data()
        for name in ("request_GET_items", "request_FILES_items", "request_COOKIES_items"):
            if name in data:
                data[name] = list(data[name])
        return {name: _as_shown(value) for name, value in data.items()}

    def get_traceback_html(self) -> SafeString:
        """The page."""
        return SafeString(masked(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        """The page as text, as error mails have it."""
        return SafeString(masked(super().get_traceback_text()))


class _Masked:
    """A variable that holds a secret, as the page may show it."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown


def _hidden(value: Any) -> Any:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  whatever a repr raises; the page says so in its own way
        return value
    safe = masked(shown)
    return value if safe == shown else _Masked(safe)


def _as_shown(value: Any) -> Any:
    """The same, masked; errors as their text, since that is all that a page shows of them."""
    if isinstance(value, BaseException):
        return masked(str(value)) or type(value).__name__
    if isinstance(value, dict):
        return {name: _as_shown(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_as_shown(item) for item in value)
    return masked(value) if isinstance(value, str) else value


def install() -> None:
    """Use the masked reporter where the project has none of its own; also for the error mails of
    handlers that were set up before this app was."""
    if settings.DEFAULT_EXCEPTION_REPORTER != DJANGOS:
        return
    settings.DEFAULT_EXCEPTION_REPORTER = OURS
    known = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    for logger in (logging.root, *known):
        for handler in logger.handlers:
            if isinstance(handler, AdminEmailHandler):
                _mask_mails(handler)


def _mask_mails(handler: AdminEmailHandler) -> None:
    if handler.reporter_class is ExceptionReporter:
        handler.reporter_class = SecretsExceptionReporter


def masked(value: Any) -> Any:
    """Text, also inside lists and dicts, without the secrets that this process holds."""
    for client in clients.made():
        masker = _maskers.get(client)
        if masker is None:
            masker = _maskers[client] = Masker(client)
        value = masker.deep(value)
    return value
