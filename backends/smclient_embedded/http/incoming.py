"""What comes in: the headers that the application looks at, and the body in its pieces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from smclient_embedded.http import refusals
from smclient_embedded.http.sigv4 import Headers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""ASGI's."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True)
class Wire:
    """The headers that are looked at, found in one pass."""

    hosts: int = 0
    host: bytes = b""
    content_type: bytes = b""
    content_length: bytes | None = None
    target: bytes = b""
    user_agent: bytes = b""
    forwarded: bool = False
    forwarded_for: bytes = b""

    @classmethod
    def of(cls, headers: Headers) -> Wire:
        """Those of a request."""
        found = dict(headers)
        if len(found) != len(headers):
            return cls._of_repeated(headers)
        get = found.get
        length = get(b"content-length", b"")
        forwarded_for = get(b"x-forwarded-for")
        return cls(
            hosts=int(b"host" in found),
            host=get(b"host", b""),
            content_type=get(b"content-type", b""),
            content_length=length if length.isdigit() else None,
            target=get(b"x-amz-target", b""),
            user_agent=get(b"user-agent", b""),
            forwarded=forwarded_for is not None or b"forwarded" in found,
            forwarded_for=forwarded_for or b"",
        )

    @classmethod
    def _of_repeated(cls, headers: Headers) -> Wire:
        wire = cls()
        for name, value in headers:
            if name == b"host":
                wire.hosts += 1
                wire.host = value
            elif name == b"content-type":
                wire.content_type = value
            elif name == b"x-amz-target":
                wire.target = value
            elif name == b"content-length":
                wire.content_length = value if value.isdigit() else None
            elif name == b"user-agent":
                wire.user_agent = value
            elif name in (b"x-forwarded-for", b"forwarded"):
                wire.forwarded = True
                if name == b"x-forwarded-for":
                    wire.forwarded_for = value
        return wire


async def whole(receive: Receive, limit: int) -> bytes:
    """The whole of a body, in however many pieces it comes."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise refusals.TooLarge(limit, is_read=not more)
        if not more:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
