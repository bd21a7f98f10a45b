"""SigV4 on the server's side: who signed this request, decided from values alone.

No I/O: the time and the access keys come in. The checks, in this order, are AWS's:

    a signature is there → its parts and the date → the date is within 5 minutes → host and the
    headers that carry meaning are signed → algorithm → five parts of the credential → its scope →
    the access key → the signature → the session token → the session's end

Refused on purpose: signatures in the query (presigned URLs), ``UNSIGNED-PAYLOAD`` and chunk
signatures, none of which an SDK uses here.
"""

from __future__ import annotations

import base64
import email.utils
import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from smclient_embedded.context import Principal
from smclient_embedded.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from smclient_embedded.http.canonical import SignedHeaders, canonical_request, collapsed

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "secretsmanager"
TERMINATOR = "aws4_request"
SKEW = timedelta(minutes=5)
_SECOND = timedelta(seconds=1)
_USUAL_HEAD = 1024

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_INVALID_TOKEN = "The security token included in the request is invalid."  # noqa: S105  a text
_EXPIRED_TOKEN = "The security token included in the request is expired"  # noqa: S105  a text

_MUST_BE_SIGNED = (
    b"host",
    b"x-amz-date",
    b"x-amz-target",
    b"x-amz-security-token",
    b"content-type",
)
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+){1,3}-\d{1,2}")
_DATE = "%Y%m%dT%H%M%SZ"
_CREDENTIAL = re.compile(rb"Credential=([^/,\s]+)/[^/,\s]*/([^/,\s]+)/")

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in the order of the request, as ASGI has them."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key that requests are signed with, and whose it is.

    Attributes:
        session_token: the token that must come with a temporary key; a lasting one has none.
        expires_at: when a temporary key's session is over.
    """

    access_key_id: str
    secret: str = field(repr=False)
    principal: Principal
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


class Caller(NamedTuple):
    """Who asks, and in which region."""

    principal: Principal
    region: str
    access_key_id: str | None = None


def verify(
    *,
    method: str,
    path: bytes,
    query: bytes,
    headers: Headers,
    body: bytes,
    now: datetime,
    find_key: Callable[[str], AccessKey | None],
    open_session: Callable[[str, str], AccessKey | None] | None = None,
) -> Caller:
    """The caller who signed a request.

    Args:
        path, query: as they were in the request line, percent-encoded.
        headers: all of the request's, names in lower case.
        open_session: the key of a session by its id and token, for keys that are not kept.

    Raises:
        MissingAuthenticationTokenException, IncompleteSignatureException,
        InvalidSignatureException, UnrecognizedClientException, ExpiredTokenException
    """
    values = dict(headers)
    claim = _usual_claim(values, now) if len(values) == len(headers) else None
    if claim is None:
        values = _joined(headers)
        claim = _examined_claim(values, query, now)
    (access_key_id, day, region), signed, stamp, signature = claim
    key = find_key(access_key_id)
    token = values.get(b"x-amz-security-token")
    if token is not None:
        token = collapsed(token)
        if key is None and open_session is not None:
            key = open_session(access_key_id, token.decode("latin-1"))
    if key is None:
        raise UnrecognizedClientException(_INVALID_TOKEN)
    digest = hashlib.sha256(body).hexdigest().encode()
    declared = values.get(b"x-amz-content-sha256")
    if declared is not None and not hmac.compare_digest(collapsed(declared), digest):
        raise InvalidSignatureException(MISMATCH)
    canonical = canonical_request(method, path, query, signed, values, digest)
    mac = _keyed(key.secret, day, region).copy()
    mac.update(
        f"{ALGORITHM}\n{stamp}\n{day}/{region}/{SERVICE}/{TERMINATOR}\n"
        f"{hashlib.sha256(canonical).hexdigest()}".encode()
    )
    if not hmac.compare_digest(mac.hexdigest().encode(), signature):
        raise InvalidSignatureException(MISMATCH)
    _check_session(key, token, now)
    return Caller(key.principal, region, access_key_id)


def claimed(headers: Headers) -> tuple[str | None, str | None]:
    """The access key id and the region that a request claims, where nobody verifies them."""
    for name, value in headers:
        if name == b"authorization":
            found = _CREDENTIAL.search(value)
            if found is not None:
                region = found[2].decode("latin-1")
                known = region if _REGION.fullmatch(region) else None
                return found[1].decode("latin-1"), known
    return None, None


def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of a day, a region and this service."""
    derived = b"AWS4" + secret.encode()
    for part in (day, region, SERVICE, TERMINATOR):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return derived


@functools.lru_cache(maxsize=256)
def _keyed(secret: str, day: str, region: str) -> hmac.HMAC:
    """An HMAC to copy. Kept, as it takes four of five HMACs, and keying the fifth."""
    return hmac.new(signing_key(secret, day, region), digestmod="sha256")


# --- what a request claims ------------------------------------------------------------------------


class _Scope(NamedTuple):
    access_key_id: str
    day: str
    region: str


class _Claim(NamedTuple):
    scope: _Scope
    signed: SignedHeaders
    stamp: str
    signature: bytes


def _usual_claim(values: Mapping[bytes, bytes], now: datetime) -> _Claim | None:
    """What a request claims that is as SDKs make it: what is the same in all requests of a client
    is examined once. ``None`` for any other; ``_examined_claim`` says the same, or what is wrong.

    Args:
        values: the headers', none of them repeated.
    """
    head, mark, signature = values.get(b"authorization", b"").rpartition(b"Signature=")
    stamp = values.get(b"x-amz-date", b"")
    if not mark or len(head) > _USUAL_HEAD or len(stamp) != 16:
        return None
    if not (signature.isalnum() and stamp.isalnum()):
        return None
    usual = _usual_head(head)
    if usual is None:
        return None
    scope, signed, unsigned = usual
    for name in unsigned:
        if name in values:
            return None
    at, text = _date(stamp.decode("ascii"))
    if text[:8] != scope.day:
        return None
    _check_window(at, text, now)
    return _Claim(scope, signed, text, signature)


@functools.lru_cache(maxsize=256)
def _usual_head(head: bytes) -> tuple[_Scope, SignedHeaders, tuple[bytes, ...]] | None:
    """What stands before a signature: scope, signed headers, and those that must not be there as
    they are not signed. ``None`` if there is a fault in it, or more than the three parts."""
    try:
        algorithm, parts = _parts(collapsed(head + b"Signature=0"))
        if algorithm != ALGORITHM or parts.keys() != {"Credential", "SignedHeaders", "Signature"}:
            return None
        scope = _scope(parts["Credential"], parts["Credential"].partition("/")[2][:8])
        signed = _names(parts["SignedHeaders"])
        _check_signed(signed, {})
    except (IncompleteSignatureException, InvalidSignatureException):
        return None
    unsigned = tuple(name for name in _MUST_BE_SIGNED if name not in signed)
    return scope, SignedHeaders.of(signed), unsigned


def _examined_claim(values: Mapping[bytes, bytes], query: bytes, now: datetime) -> _Claim:
    """What a request claims, examined from the start, in AWS's order."""
    authorization = values.get(b"authorization", b"")
    if not authorization:
        if b"X-Amz-Signature" in query or b"X-Amz-Algorithm" in query:
            raise InvalidSignatureException(
                "Signatures in the query are not supported here; sign with an Authorization header."
            )
        raise MissingAuthenticationTokenException("Missing Authentication Token")
    algorithm, parts = _parts(authorization)
    at, stamp = _signed_at(authorization, parts, values)
    _check_window(at, stamp, now)
    signed = _names(parts["SignedHeaders"])
    _check_signed(signed, values)
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    scope = _scope(parts["Credential"], stamp)
    return _Claim(scope, SignedHeaders.of(signed), stamp, parts["Signature"].encode("latin-1"))


# --- the parts of a signature ---------------------------------------------------------------------


def _joined(headers: Headers) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        value = collapsed(value)
        values[name] = value if name not in values else values[name] + b"," + value
    return values


def _names(signed_headers: str) -> list[bytes]:
    return signed_headers.lower().encode("latin-1").split(b";")


def _parts(authorization: bytes) -> tuple[str, dict[str, str]]:
    algorithm, _, rest = authorization.decode("latin-1").partition(" ")
    parts: dict[str, str] = {}
    for item in rest.split(","):
        name, _, value = item.strip().partition("=")
        if name in parts:
            raise IncompleteSignatureException(
                f"Authorization header has more than one '{name[:64]}' parameter. "
                f"{_hashed(authorization)}"
            )
        parts[name] = value
    return algorithm, parts


def _signed_at(
    authorization: bytes, parts: Mapping[str, str], values: Mapping[bytes, bytes]
) -> tuple[datetime, str]:
    """The moment of a signature, also as text. Refuses a signature with any part missing."""
    faults = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    stamp = values.get(b"x-amz-date") or values.get(b"date")
    if not stamp:
        faults.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if faults or not stamp:
        raise IncompleteSignatureException(f"{' '.join(faults)} {_hashed(authorization)}")
    return _date(stamp.decode("latin-1"))


def _hashed(authorization: bytes) -> str:
    """AWS's way to point at a header without repeating it."""
    digest = base64.b64encode(hashlib.sha256(authorization).digest()).decode()
    return f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}"


@functools.lru_cache(maxsize=64)
def _date(stamp: str) -> tuple[datetime, str]:
    try:
        if len(stamp) == 16 and stamp.isascii():
            return datetime.strptime(stamp, _DATE).replace(tzinfo=UTC), stamp
        at = email.utils.parsedate_to_datetime(stamp).astimezone(UTC)
        return at, at.strftime(_DATE)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise IncompleteSignatureException(
            f"Date must be in ISO-8601 'basic format'. Got '{stamp[:64]}'. "
            "See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


def _check_window(at: datetime, stamp: str, now: datetime) -> None:
    if -SKEW <= now - at < SKEW + _SECOND:
        return
    now = now.replace(microsecond=0)
    if at < now - SKEW:
        raise InvalidSignatureException(
            f"Signature expired: {stamp} is now earlier than "
            f"{now - SKEW:{_DATE}} ({now:{_DATE}} - 5 min.)"
        )
    raise InvalidSignatureException(
        f"Signature not yet current: {stamp} is still later than "
        f"{now + SKEW:{_DATE}} ({now:{_DATE}} + 5 min.)"
    )


def _check_signed(signed: Sequence[bytes], values: Mapping[bytes, bytes]) -> None:
    """Host, and every header that carries meaning and is there, has to be signed."""
    for name in _MUST_BE_SIGNED:
        if name not in signed and (name in values or name == b"host"):
            shown = "'Host' or ':authority'" if name == b"host" else f"'{name.decode()}'"
            raise InvalidSignatureException(
                f"{shown} must be a 'SignedHeader' in the AWS Authorization."
            )


def _scope(credential: str, stamp: str) -> _Scope:
    elements = credential.split("/")
    if len(elements) != 5:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential[:256]}'"
        )
    access_key_id, day, region, service, terminator = elements
    if service == SERVICE and terminator == TERMINATOR and day == stamp[:8] and _is_region(region):
        return _Scope(access_key_id, day, region)
    faults = []
    if not _is_region(region):
        faults.append(f"Credential should be scoped to a valid region, not '{region[:64]}'.")
    if service != SERVICE:
        faults.append(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if terminator != TERMINATOR:
        faults.append(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', "
            f"not '{terminator[:64]}'."
        )
    if day != stamp[:8]:
        faults.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{day[:16]}' != '{stamp[:8]}', from '{stamp}'."
        )
    raise InvalidSignatureException(" ".join(faults))


@functools.lru_cache(maxsize=256)
def _is_region(region: str) -> bool:
    return _REGION.fullmatch(region) is not None


def _check_session(key: AccessKey, token: bytes | None, now: datetime) -> None:
    expected = (key.session_token or "").encode()
    if (token or expected) and not hmac.compare_digest(expected, token or b""):
        raise UnrecognizedClientException(_INVALID_TOKEN)
    if key.expires_at is not None and now >= key.expires_at:
        raise ExpiredTokenException(_EXPIRED_TOKEN)
