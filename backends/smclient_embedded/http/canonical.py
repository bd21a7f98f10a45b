"""A request in the form that is signed, as AWS documents it: exactly the signed headers, sorted,
values trimmed and inner spaces collapsed, repeated headers joined by a comma; the query decoded,
encoded anew and sorted; the body's hash as it was received.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

_UNRESERVED = "-_.~"


class SignedHeaders(NamedTuple):
    """The headers that are signed: their names, sorted, and their part of a canonical request, with
    a place for each value."""

    names: tuple[bytes, ...]
    form: bytes

    @classmethod
    def of(cls, names: Iterable[bytes]) -> SignedHeaders:
        """Those of these names, in any order."""
        names = tuple(sorted(names))
        escaped = [name.replace(b"%", b"%%") for name in names]
        lines = b"".join([name + b":%b\n" for name in escaped])
        return cls(names, lines + b"\n" + b";".join(escaped))


def collapsed(value: bytes) -> bytes:
    """A value trimmed, its inner spaces one each."""
    return b" ".join(value.split()) if b" " in value or b"\t" in value else value


def canonical_request(
    method: str,
    path: bytes,
    query: bytes,
    signed: SignedHeaders,
    values: Mapping[bytes, bytes],
    digest: bytes,
) -> bytes:
    """What is hashed and signed.

    Args:
        path, query: as they were in the request line, percent-encoded.
        digest: the SHA-256 of the body, in hex.
    """
    found = [values.get(name, b"") for name in signed.names]
    lines = signed.form % tuple(found)
    if b" " in lines or b"\t" in lines:
        lines = signed.form % tuple([collapsed(value) for value in found])
    return b"%b\n%b\n%b\n%b\n%b" % (
        method.encode("latin-1"),
        b"/" if path == b"/" else canonical_path(path),
        canonical_query(query) if query else b"",
        lines,
        digest,
    )


def canonical_path(path: bytes) -> bytes:
    """A path without dot segments and empty ones, encoded once more than it was sent. A slash at
    its end stays; a dot segment there leaves none, which is how the SDKs sign."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    whole = b"/" + b"/".join(kept)
    if kept and path.endswith(b"/"):
        whole += b"/"
    return quote(whole, safe="/" + _UNRESERVED).encode()


def canonical_query(query: bytes) -> bytes:
    """Names and values encoded strictly and sorted."""
    pairs = []
    for item in query.split(b"&"):
        if item:
            name, _, value = item.partition(b"=")
            pairs.append((_encoded(name), _encoded(value)))
    return b"&".join(name + b"=" + value for name, value in sorted(pairs))


def _encoded(part: bytes) -> bytes:
    return quote(unquote_to_bytes(part), safe=_UNRESERVED).encode()
