"""SigV4 on the server's side: who signed this request, decided from values alone.

No I/O: the time and the access keys come in. The checks, in this order, are AWS's:

    a signature is there → its parts and the date → the date is within 5 minutes → host and the
    headers that carry meaning are signed → algorithm → five parts of the credential → its scope →
    the access key → the signature → the session token → the session's end

A request is canonicalised as AWS documents: exactly the signed headers, sorted, values trimmed and
inner spaces collapsed, repeated headers joined by a comma; the query decoded, encoded anew and
sorted; the body hashed as it was received. Refused on purpose: signatures in the query
(presigned URLs), ``UNSIGNED-PAYLOAD`` and chunk signatures, none of which an SDK uses here.
"""

from __future__ import annotations

import base64
import email.utils
import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from smclient_embedded.context import Principal
from smclient_embedded.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "secretsmanager"
TERMINATOR = "aws4_request"
SKEW = timedelta(minutes=5)
_SURE = SKEW - timedelta(seconds=1)
"""How far from now a signature is whose date needs no closer look."""

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
_UNRESERVED = "-_.~"
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
    if method == "POST" and path == b"/" and not query:
        caller = _usual(headers, body, now, find_key, open_session)
        if caller is not None:
            return caller
    values = _joined(headers)
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
    signed = parts["SignedHeaders"].lower().encode("latin-1").split(b";")
    _check_signed(signed, values)
    if algorithm != ALGORITHM:
        raise IncompleteSignatureException(f"Unsupported AWS 'algorithm': '{algorithm[:64]}'.")
    access_key_id, day, region = _scope(parts["Credential"], stamp)
    key = find_key(access_key_id)
    token = values.get(b"x-amz-security-token")
    if key is None and token is not None and open_session is not None:
        key = open_session(access_key_id, token.decode("latin-1"))
    if key is None:
        raise UnrecognizedClientException(_INVALID_TOKEN)
    canonical = _canonical(method, path, query, sorted(signed), values, body)
    scope = f"{day}/{region}/{SERVICE}/{TERMINATOR}"
    to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
    expected = hmac.digest(signing_key(key.secret, day, region), to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), parts["Signature"].encode("latin-1")):
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


@functools.lru_cache(maxsize=256)
def signing_key(secret: str, day: str, region: str) -> bytes:
    """The key of a day, a region and this service. Kept, as four of five HMACs go into it."""
    derived = b"AWS4" + secret.encode()
    for part in (day, region, SERVICE, TERMINATOR):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return derived


@functools.lru_cache(maxsize=256)
def _begun(secret: str, day: str, region: str) -> tuple[Hash, Hash]:
    """The two hashes of an HMAC under ``signing_key``, inner and outer, with the key in them (RFC
    2104): they take a third of the time of ``hmac.digest``, which begins anew."""
    block = signing_key(secret, day, region).ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


# --- what an SDK sends ------------------------------------------------------------------------


class _Claim(NamedTuple):
    """What an Authorization header says before its signature."""

    access_key_id: str
    day: str
    region: str
    signed: tuple[bytes, ...]
    unsigned: tuple[bytes, ...]
    """What has to be signed if it is there, and is not."""


@functools.lru_cache(maxsize=1024)
def _claim(header: bytes) -> _Claim | None:
    """The claim of a header up to its signature, if there is nothing to say against it. Kept, as a
    client says the same all day."""
    try:
        algorithm, parts = _parts(header)
        day = parts["Credential"].split("/")[1]
        access_key_id, day, region = _scope(parts["Credential"], day)
        signed = sorted(parts["SignedHeaders"].lower().encode("latin-1").split(b";"))
    except (IncompleteSignatureException, InvalidSignatureException, KeyError, IndexError):
        return None
    is_usual = algorithm == ALGORITHM and b" ".join(header.split()) == header.rstrip()
    if not is_usual or parts.get("Signature") != "" or b"host" not in signed:
        return None
    unsigned = tuple(name for name in _MUST_BE_SIGNED if name not in signed)
    return _Claim(access_key_id, day, region, tuple(signed), unsigned)


def _usual(
    headers: Headers,
    body: bytes,
    now: datetime,
    find_key: Callable[[str], AccessKey | None],
    open_session: Callable[[str, str], AccessKey | None] | None,
) -> Caller | None:
    """The caller of a ``POST /`` as SDKs send it, in a third of the time that all checks one by one
    take; ``None`` for whatever is unusual or wrong in any way: those say what it is."""
    values = dict(headers)
    before, mark, signature = values.get(b"authorization", b"").partition(b"Signature=")
    claim = _claim(before + mark)
    stamp = values.get(b"x-amz-date")
    if claim is None or stamp is None or len(values) != len(headers) or len(stamp) != 16:
        return None
    at, shown = _date(stamp.decode("latin-1"))
    if abs(now - at) > _SURE or shown[:8] != claim.day:
        return None
    for name in claim.unsigned:
        if name in values:
            return None
    token = values.get(b"x-amz-security-token")
    if token is not None and (b" " in token or b"\t" in token):
        return None
    key = find_key(claim.access_key_id)
    if key is None and token is not None and open_session is not None:
        key = open_session(claim.access_key_id, token.decode("latin-1"))
    digest = hashlib.sha256(body).hexdigest().encode()
    if key is None or values.get(b"x-amz-content-sha256", digest) != digest:
        return None
    lines = [b"POST\n/\n"]
    for name in claim.signed:
        value = values.get(name, b"")
        if b" " in value or b"\t" in value:
            value = b" ".join(value.split())
        lines.append(name + b":" + value)
    lines += (b"", b";".join(claim.signed), digest)
    canonical = hashlib.sha256(b"\n".join(lines)).hexdigest()
    scope = f"{claim.day}/{claim.region}/{SERVICE}/{TERMINATOR}"
    to_sign = f"{ALGORITHM}\n{shown}\n{scope}\n{canonical}".encode()
    inner, outer = (state.copy() for state in _begun(key.secret, claim.day, claim.region))
    inner.update(to_sign)
    outer.update(inner.digest())
    if not hmac.compare_digest(outer.hexdigest().encode(), signature):
        return None
    _check_session(key, token, now)
    return Caller(key.principal, claim.region, claim.access_key_id)


# --- the parts of a signature ---------------------------------------------------------------------


def _joined(headers: Headers) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if b" " in value or b"\t" in value:
            value = b" ".join(value.split())
        values[name] = value if name not in values else values[name] + b"," + value
    return values


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
    now = now.replace(microsecond=0)
    if at < now - SKEW:
        raise InvalidSignatureException(
            f"Signature expired: {stamp} is now earlier than "
            f"{now - SKEW:{_DATE}} ({now:{_DATE}} - 5 min.)"
        )
    if at > now + SKEW:
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


def _scope(credential: str, stamp: str) -> tuple[str, str, str]:
    """Access key id, day and region."""
    elements = credential.split("/")
    if len(elements) != 5:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{credential[:256]}'"
        )
    access_key_id, day, region, service, terminator = elements
    if service == SERVICE and terminator == TERMINATOR and day == stamp[:8] and _is_region(region):
        return access_key_id, day, region
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
    if not hmac.compare_digest((key.session_token or "").encode(), token or b""):
        raise UnrecognizedClientException(_INVALID_TOKEN)
    if key.expires_at is not None and now >= key.expires_at:
        raise ExpiredTokenException(_EXPIRED_TOKEN)


# --- the canonical request ------------------------------------------------------------------------


def _canonical(
    method: str,
    path: bytes,
    query: bytes,
    signed: Iterable[bytes],
    values: Mapping[bytes, bytes],
    body: bytes,
) -> bytes:
    digest = hashlib.sha256(body).hexdigest().encode()
    declared = values.get(b"x-amz-content-sha256")
    if declared is not None and not hmac.compare_digest(declared, digest):
        raise InvalidSignatureException(MISMATCH)
    names = list(signed)
    return b"\n".join(
        (
            method.encode("latin-1"),
            b"/" if path == b"/" else canonical_path(path),
            canonical_query(query) if query else b"",
            b"".join([name + b":" + values.get(name, b"") + b"\n" for name in names]),
            b";".join(names),
            digest,
        )
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
