"""What a request can be refused for before anybody looks at what it asks."""

from __future__ import annotations

from typing import ClassVar

from smclient_embedded.errors import ServiceError


class WireRefusal(ServiceError):
    """A refusal by the server. The client may still be sending, so the connection ends with it."""

    aws_code: ClassVar[str] = "InvalidRequestException"
    text: ClassVar[str] = ""

    def __init__(self, text: str | None = None, *, is_read: bool = False) -> None:
        super().__init__(text or self.text)
        self.is_read = is_read

    @property
    def code(self) -> str:
        """AWS's name for it."""
        return self.aws_code


class UnknownPath(WireRefusal):
    """There is nothing but ``/`` and ``/health``."""

    status = 404
    aws_code = "UnknownOperationException"
    text = "The service answers at / only."


class NoControl(WireRefusal):
    """The control endpoint is closed."""

    status = 404
    aws_code = "UnknownOperationException"
    text = "There is no control endpoint; start the server with --control to have one."


class NotAdministrator(WireRefusal):
    """The control endpoint is the administrator's."""

    status = 403
    aws_code = "AccessDeniedException"
    text = "Only the administrator may use the control endpoint."

    def __init__(self) -> None:
        super().__init__(is_read=True)


class TooManyConnections(WireRefusal):
    """The server has as many connections as it may."""

    status = 503
    aws_code = "ServiceUnavailableException"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"There are {limit} connections already. Close some, or start the server with "
            "--max-connections."
        )


class UnknownMethod(WireRefusal):
    """Everything is a POST."""

    status = 405
    aws_code = "UnknownOperationException"
    text = "The service answers POST only."


class UnknownContentType(WireRefusal):
    """Another protocol than AWS JSON 1.1."""

    aws_code = "UnknownOperationException"
    text = "The Content-Type must be application/x-amz-json-1.1."


class UnknownHost(WireRefusal):
    """The Host is not ours: DNS rebinding, or a name that nobody announced."""

    status = 403
    aws_code = "AccessDeniedException"
    text = (
        "The Host header names no host of this server. If it is one, start the server with "
        "--allow-host NAME."
    )


class Forwarded(WireRefusal):
    """Somebody passed the request on."""

    status = 403
    aws_code = "AccessDeniedException"
    text = (
        "Forwarded requests are refused. If a proxy of yours is in front, start the server with "
        "--behind-proxy."
    )


class TooLarge(WireRefusal):
    """The body is over the limit."""

    status = 413
    aws_code = "RequestEntityTooLargeException"

    def __init__(self, limit: int, *, is_read: bool = False) -> None:
        super().__init__(f"The body may have {limit} bytes at most.", is_read=is_read)


class HeadersTooLarge(WireRefusal):
    """The headers are over the limit."""

    status = 431

    def __init__(self, limit: int) -> None:
        super().__init__(f"The headers may have {limit} bytes at most.")


class TooSlow(WireRefusal):
    """The request did not arrive in time."""

    status = 408
    aws_code = "RequestTimeoutException"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The request did not arrive within {seconds:g} s.")


class NotHttp(WireRefusal):
    """What came is not HTTP/1.1."""

    text = "The request is not HTTP/1.1."
