"""Each fault of a signature, with AWS's code and text, in AWS's order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient_embedded.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    NotAuthenticated,
    UnrecognizedClientException,
)
from smclient_embedded.http.sigv4 import AccessKey
from tests.backends.embedded.http.signing import (
    ID,
    KEY,
    MISMATCH,
    OWNER,
    SECRET,
    check,
    edit,
    put,
    refused,
    signed,
)

# --- every fault, with AWS's code and text --------------------------------------------------------


def test_no_signature() -> None:
    text = refused(put(signed(), b"authorization", None), MissingAuthenticationTokenException)
    assert text == "Missing Authentication Token"
    refused(put(signed(), b"authorization", b""), MissingAuthenticationTokenException)


@pytest.mark.parametrize("query", [b"X-Amz-Signature=00", b"a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256"])
def test_a_signature_in_the_query(query: bytes) -> None:
    refused(put(signed(), b"authorization", None), InvalidSignatureException, query=query)


@pytest.mark.parametrize("part", ["Credential", "Signature", "SignedHeaders"])
def test_a_part_is_missing(part: str) -> None:
    text = refused(edit(signed(), part.encode() + b"=", b"X="), IncompleteSignatureException)
    others = {"Credential", "Signature", "SignedHeaders"} - {part}
    assert text.startswith(f"Authorization header requires '{part}' parameter. (Hashed")
    assert not any(f"'{other}'" in text for other in others)


@pytest.mark.parametrize("value", [b"Bearer abc", b"Basic dXNlcg==", b"AWS4-HMAC-SHA256", b"x,,,"])
def test_all_parts_are_missing(value: bytes) -> None:
    headers = put(put(signed(), b"authorization", value), b"x-amz-date", None)
    text = refused(headers, IncompleteSignatureException)
    if value != b"x,,,":
        assert text.startswith(
            "Authorization header requires 'Credential' parameter. "
            "Authorization header requires 'Signature' parameter. "
            "Authorization header requires 'SignedHeaders' parameter. "
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    assert value.decode() not in text


def test_a_date_that_is_none() -> None:
    for date in (b"yesterday", b"20261301T000000Z", b"2026-01-01T00:00:00Z", b"9" * 500):
        text = refused(put(signed(), b"x-amz-date", date), IncompleteSignatureException)
        assert text.startswith("Date must be in ISO-8601 'basic format'. Got '")


def stamp(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}"


def test_a_signature_is_good_for_five_minutes_and_no_longer() -> None:
    headers = signed()
    at = datetime.strptime(dict(headers)[b"x-amz-date"].decode(), "%Y%m%dT%H%M%SZ").replace(
        tzinfo=UTC
    )
    five, second = timedelta(minutes=5), timedelta(seconds=1)
    assert check(headers, now=at + five).principal is OWNER
    assert check(headers, now=at - five).principal is OWNER
    now = at + five + second
    assert refused(headers, InvalidSignatureException, now=now) == (
        f"Signature expired: {stamp(at)} is now earlier than {stamp(now - five)} "
        f"({stamp(now)} - 5 min.)"
    )
    now = at - five - second
    assert refused(headers, InvalidSignatureException, now=now) == (
        f"Signature not yet current: {stamp(at)} is still later than {stamp(now + five)} "
        f"({stamp(now)} + 5 min.)"
    )


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"host", "'Host' or ':authority'"),
        (b"x-amz-date", "'x-amz-date'"),
        (b"x-amz-target", "'x-amz-target'"),
        (b"content-type", "'content-type'"),
        (b"x-amz-security-token", "'x-amz-security-token'"),
    ],
)
def test_a_header_that_must_be_signed_is_not(header: bytes, shown: str) -> None:
    headers = edit(signed(token="a-token"), header, b"x-other")
    text = refused(headers, InvalidSignatureException)
    assert text == f"{shown} must be a 'SignedHeader' in the AWS Authorization."


def test_another_algorithm() -> None:
    headers = edit(signed(), b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA512")
    text = refused(headers, IncompleteSignatureException)
    assert text == "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'."


def test_a_credential_of_other_than_five_parts() -> None:
    headers = edit(signed(), b"/aws4_request", b"")
    text = refused(headers, IncompleteSignatureException)
    assert text.startswith(
        "Credential must have exactly 5 slash-delimited elements, "
        f"e.g. keyid/date/region/service/term, got '{ID}/"
    )


def test_another_scope() -> None:
    def text(old: bytes, new: bytes) -> str:
        return refused(edit(signed(), old, new), InvalidSignatureException)

    assert text(b"/eu-west-1/", b"/moon/") == (
        "Credential should be scoped to a valid region, not 'moon'."
    )
    assert text(b"/secretsmanager/", b"/s3/") == (
        "Credential should be scoped to correct service: 'secretsmanager'."
    )
    assert text(b"/aws4_request", b"/aws5_request") == (
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
    )
    day = dict(signed())[b"x-amz-date"][:8]
    assert text(ID.encode() + b"/" + day, ID.encode() + b"/20200101").startswith(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
        f"HTTP: '20200101' != '{day.decode()}', from '{day.decode()}T"
    )
    both = edit(edit(signed(), b"/eu-west-1/", b"/moon/"), b"/secretsmanager/", b"/s3/")
    assert refused(both, InvalidSignatureException).count("Credential should be scoped") == 2


def test_an_unknown_access_key() -> None:
    text = refused(edit(signed(), ID.encode(), b"AKIDNOBODY"), UnrecognizedClientException)
    assert text == "The security token included in the request is invalid."


def test_a_wrong_signature() -> None:
    assert refused(signed(secret="another"), InvalidSignatureException) == MISMATCH
    assert refused(signed(), InvalidSignatureException, body=b"{}") == MISMATCH
    assert refused(signed(), InvalidSignatureException, method="GET") == MISMATCH
    assert refused(signed(), InvalidSignatureException, query=b"a=b") == MISMATCH
    assert refused(signed(), InvalidSignatureException, path=b"/health") == MISMATCH
    for name in (b"host", b"x-amz-target", b"content-type"):
        changed = put(signed(), name, b"something-else")
        assert refused(changed, InvalidSignatureException) == MISMATCH
    for signature in (b"0" * 64, b"", b"\xff" * 64, b"0"):
        value = dict(signed())[b"authorization"]
        broken = value[: value.index(b"Signature=") + 10] + signature
        kind = InvalidSignatureException if signature else IncompleteSignatureException
        refused(put(signed(), b"authorization", broken), kind)


def test_upper_case_hex_is_not_the_signature() -> None:
    value = dict(signed())[b"authorization"]
    at = value.index(b"Signature=") + 10
    upper = value[:at] + value[at:].upper()
    assert upper != value
    assert refused(put(signed(), b"authorization", upper), InvalidSignatureException) == MISMATCH


@pytest.mark.parametrize(
    "declared", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64]
)
def test_a_declared_hash_has_to_be_the_bodys(declared: str) -> None:
    headers = signed(headers={"X-Amz-Content-SHA256": declared})
    assert refused(headers, InvalidSignatureException) == MISMATCH


def test_session_tokens() -> None:
    invalid = "The security token included in the request is invalid."
    session = AccessKey(ID, SECRET, OWNER, "the-token")
    assert check(signed(token="the-token"), key=session).principal is OWNER
    for headers in (signed(token="another"), signed()):
        assert refused(headers, UnrecognizedClientException, key=session) == invalid
    assert refused(signed(token="the-token"), UnrecognizedClientException, key=KEY) == invalid


def test_an_expired_session() -> None:
    now = datetime.now(UTC)
    running = AccessKey(ID, SECRET, OWNER, "t", now + timedelta(minutes=1))
    over = AccessKey(ID, SECRET, OWNER, "t", now - timedelta(seconds=1))
    assert check(signed(token="t"), key=running).principal is OWNER
    text = refused(signed(token="t"), ExpiredTokenException, key=over)
    assert text == "The security token included in the request is expired"


def test_a_part_given_twice() -> None:
    value = dict(signed())[b"authorization"]
    refused(
        put(signed(), b"authorization", value + b", Signature=" + b"0" * 64),
        IncompleteSignatureException,
    )
    refused([*signed(), (b"authorization", value)], IncompleteSignatureException)


def test_the_faults_come_in_awss_order() -> None:
    """Each step mends one fault; the next one is then the first."""
    good = dict(signed())[b"authorization"]
    parts = dict(item.split(b"=", 1) for item in good.partition(b" ")[2].split(b", "))
    date = dict(signed())[b"x-amz-date"]

    def attempt(algorithm: bytes, credential: bytes, names: bytes, date: bytes) -> str:
        named = b"Credential=%s, SignedHeaders=%s, Signature=00" % (credential, names)
        value = algorithm + b" " + named
        headers = put(put(signed(), b"authorization", value), b"x-amz-date", date)
        with pytest.raises(NotAuthenticated) as caught:
            check(headers)
        return str(caught.value)

    names, credential = parts[b"SignedHeaders"], parts[b"Credential"]
    nobody = credential.replace(ID.encode(), b"AKIDNOBODY")
    seen = [
        attempt(b"AWS5", b"a/b", b"x", b"junk"),
        attempt(b"AWS5", b"a/b", b"x", b"20200101T000000Z"),
        attempt(b"AWS5", b"a/b", b"x", date),
        attempt(b"AWS5", b"a/b", names, date),
        attempt(b"AWS4-HMAC-SHA256", b"a/b", names, date),
        attempt(b"AWS4-HMAC-SHA256", nobody.replace(b"eu-west-1", b"moon"), names, date),
        attempt(b"AWS4-HMAC-SHA256", nobody, names, date),
        attempt(b"AWS4-HMAC-SHA256", credential, names, date),
    ]
    begins = [
        "Date must be",
        "Signature expired",
        "'Host' or",
        "Unsupported AWS",
        "Credential must have",
        "Credential should be",
        "The security token",
        "The request signature",
    ]
    assert [text[:9] for text in seen] == [begin[:9] for begin in begins]


@settings(max_examples=200, deadline=None)
@given(
    value=st.binary(max_size=120)
    | st.text("AWS4-HMACSH256 Credential=/,SignedHeaders;Signature", max_size=150).map(
        lambda text: text.encode()
    ),
    date=st.binary(max_size=40) | st.just(b"20260101T000000Z"),
)
def test_no_authorization_header_breaks_the_verifier(value: bytes, date: bytes) -> None:
    with pytest.raises(NotAuthenticated):
        check([(b"host", b"x"), (b"x-amz-date", date), (b"authorization", value)])
