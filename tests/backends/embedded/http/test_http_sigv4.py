"""SigV4 on the server's side, against botocore's signer and against each fault."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smclient_embedded.errors import (
    InvalidSignatureException,
)
from smclient_embedded.http import sigv4
from smclient_embedded.http.sigv4 import AccessKey, claimed
from tests.backends.embedded.http.signing import (
    ID,
    OWNER,
    SECRET,
    check,
    edit,
    put,
    refused,
    signed,
)

# --- what botocore signs is let in ----------------------------------------------------------------


def test_a_signed_request_tells_who_asks_and_where() -> None:
    caller = check(signed())
    assert caller.principal is OWNER
    assert caller.region == "eu-west-1"


_VALUE = st.text(string.ascii_letters + string.digits + " ,;=/\t\"'%~-_.", max_size=40)
_NAME = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=200),
    extra=st.dictionaries(_NAME.map(lambda n: "X-Test-" + n), _VALUE, max_size=5),
    region=st.sampled_from(["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1"]),
    token=st.none() | st.text(string.ascii_letters + "/+=", min_size=1, max_size=50),
)
def test_whatever_botocore_signs_is_verified(
    body: bytes, extra: dict[str, str], region: str, token: str | None
) -> None:
    unique = {name.lower(): value for name, value in extra.items()}
    headers = signed(body=body, headers=unique, region=region, token=token)
    key = AccessKey(ID, SECRET, OWNER, token)
    assert check(headers, body=body, key=key).region == region
    with pytest.raises(InvalidSignatureException):
        check(headers, body=body + b" ", key=key)


_SEGMENT = st.text(string.ascii_letters + "-_.~%25 ", max_size=6).map(
    lambda s: s.replace("%", "%25").replace(" ", "%20")
)


@settings(max_examples=100, deadline=None)
@given(path=st.lists(_SEGMENT, max_size=5).map(lambda parts: "/" + "/".join(parts)))
@example("/a/.")
@example("/a/b/..")
@example("/a/./")
def test_paths_are_canonicalised_as_botocore_does(path: str) -> None:
    if path.startswith("//"):  # a URL cannot say this
        path = "/x" + path
    headers = signed(url=f"https://host.example{path}")
    assert check(headers, path=path.encode()).principal is OWNER


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(
            st.text(string.ascii_letters + "-_.~", min_size=1, max_size=5),
            st.sampled_from(["", "a", "%20", "b%2Fc", "%C3%A9", "~", "A", "%3D"]),
        ),
        max_size=5,
    )
)
def test_queries_are_canonicalised_as_botocore_does(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = signed(url=f"https://host.example/?{query}")
    assert check(headers, query=query.encode()).principal is OWNER


def test_the_order_of_a_query_and_how_it_is_encoded_do_not_matter() -> None:
    headers = signed(url="https://host.example/?a=%2Fx&b=2")
    assert check(headers, query=b"b=2&a=/x").principal is OWNER


# --- the canonical cases of AWS's documentation ---------------------------------------------------


def test_values_are_trimmed_and_inner_spaces_collapsed() -> None:
    headers = signed(headers={"X-Amz-Note": "a   b  c"})
    assert check(put(headers, b"x-amz-note", b"  a b      c ")).principal is OWNER


def test_repeated_headers_are_joined_in_their_order() -> None:
    headers = put(signed(headers={"X-Amz-Note": "one,two"}), b"x-amz-note", None)
    repeated = [*headers, (b"x-amz-note", b"one"), (b"x-amz-note", b"two")]
    assert check(repeated).principal is OWNER
    with pytest.raises(InvalidSignatureException):
        check([*headers, (b"x-amz-note", b"two"), (b"x-amz-note", b"one")])


def test_the_order_of_the_headers_does_not_matter() -> None:
    assert check(list(reversed(signed()))).principal is OWNER


def test_headers_that_are_not_signed_may_be_anything() -> None:
    headers = [*signed(), (b"amz-sdk-request", b"attempt=1"), (b"x-amzn-trace-id", b"Root=1")]
    assert check(headers).principal is OWNER


def test_the_known_answer_of_the_derivation() -> None:
    """AWS's documented example, but for this service."""
    key = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1")
    assert len(key) == 32
    assert key == sigv4.signing_key(SECRET, "20150830", "us-east-1")
    assert key != sigv4.signing_key(SECRET, "20150831", "us-east-1")


@pytest.mark.parametrize("separator", [b", ", b",", b",   "])
def test_the_parts_may_be_separated_with_and_without_spaces(separator: bytes) -> None:
    assert check(edit(signed(), b", ", separator)).principal is OWNER


def test_a_date_header_takes_the_place_of_x_amz_date() -> None:
    headers = signed(headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    assert b"x-amz-date" not in dict(headers)  # botocore sets Date to now and signs that
    assert check(headers).principal is OWNER
    old = put(headers, b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")
    text = refused(old, InvalidSignatureException)
    assert text.startswith("Signature expired: 20240101T000000Z is now earlier than")


# --- around it ------------------------------------------------------------------------------------


def test_a_key_hides_its_secrets() -> None:
    shown = repr(AccessKey(ID, SECRET, OWNER, "the-token"))
    assert SECRET not in shown
    assert "the-token" not in shown
    assert ID in shown


def test_what_an_unverified_request_claims() -> None:
    assert claimed(signed()) == (ID, "eu-west-1")
    assert claimed(edit(signed(), b"eu-west-1", b"moon")) == (ID, None)
    assert claimed([(b"authorization", b"Bearer x")]) == (None, None)
    assert claimed([]) == (None, None)
