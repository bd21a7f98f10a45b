"""Logs without secrets, for ``logging`` and structlog."""

from smclient_logging.redact import RedactingFilter, redact

__all__ = ["RedactingFilter", "redact"]
