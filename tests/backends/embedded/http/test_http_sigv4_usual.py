"""What is the same in all requests of a client is examined once; that changes nothing that a
request is told, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient_embedded.errors import NotAuthenticated
from smclient_embedded.http import sigv4
from smclient_embedded.http.sigv4 import AccessKey
from tests.backends.embedded.http.signing import (
    BODY,
    ID,
    KEY,
    OWNER,
    SECRET,
    Headers,
    check,
    edit,
    put,
    signed,
)

_TOKEN = "a-token"
_SESSION = AccessKey(ID, SECRET, OWNER, _TOKEN)


def told(headers: Headers, key: AccessKey, now: datetime, body: bytes = BODY) -> object:
    """The caller, or the refusal's kind and text."""
    try:
        return check(headers, key=key, now=now, body=body)
    except NotAuthenticated as refusal:
        return type(refusal), str(refusal)


def examined(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows by each request that is examined from the start."""
    seen: list[object] = []
    plain = sigv4._examined_claim

    def spy(values: dict[bytes, bytes], query: bytes, now: datetime) -> object:
        seen.append(values)
        return plain(values, query, now)

    monkeypatch.setattr(sigv4, "_examined_claim", spy)
    return seen


_PIECES = [
    b"AWS4-HMAC-SHA256",
    b" ",
    b"  ",
    b"\t",
    b",",
    b", ",
    b"=",
    b"/",
    b";",
    b"%",
    b"%b",
    b"\xe9",
    b"0",
    b"host",
    b"Host;",
    b";x-amz-date",
    b";x-amz-security-token",
    b"date",
    b"Credential=",
    b"SignedHeaders=",
    b"Signature=",
    b", Signature=",
    b", Other=1",
    b"/aws4_request",
    b"/secretsmanager",
    b"us-east-1",
    b"20200101",
]

Mutation = Callable[[Headers], Headers]


@st.composite
def mutations(draw: st.DrawFn) -> Mutation:
    """A change to a request: a piece of a header's value put in, taken out or put in another's
    place; a header taken away, repeated, or under another name."""
    name = draw(
        st.sampled_from(
            [
                *[b"authorization"] * 6,
                b"x-amz-date",
                b"x-amz-security-token",
                b"host",
                b"x-amz-note",
                b"x-amz-target",
            ]
        )
    )
    kind = draw(st.sampled_from(["piece"] * 6 + ["remove", "repeat", "rename", "add"]))
    where, length = draw(st.integers(0, 400)), draw(st.integers(0, 12))
    piece = draw(st.sampled_from(_PIECES) | st.binary(max_size=3))

    def change(headers: Headers) -> Headers:
        value = dict(headers).get(name, b"")
        at = where % (len(value) + 1)
        if kind == "remove":
            return put(headers, name, None)
        if kind == "repeat":
            return [*headers, (name, value[at:])]
        if kind == "rename":
            return [*put(headers, name, None), (b"date", value)]
        if kind == "add":
            return [*headers, (b"x-amz-content-sha256", piece)]
        return put(headers, name, value[:at] + piece + value[at + length :])

    return change


@settings(max_examples=600, deadline=None)
@given(
    changes=st.lists(mutations(), max_size=2),
    token=st.sampled_from([None, _TOKEN]),
    key=st.sampled_from([KEY, _SESSION]),
    note=st.sampled_from(["x", "a  b", " a", "50%b"]),
    seconds=st.sampled_from([0, 0, 0, 299, 300, 301, 302, -299, -300, -301, -302]),
    body=st.sampled_from([BODY, BODY, b"{}"]),
    is_over=st.booleans(),
)
def test_a_request_is_told_what_it_is_told_when_examined_from_the_start(
    changes: list[Mutation],
    token: str | None,
    key: AccessKey,
    note: str,
    seconds: int,
    body: bytes,
    is_over: bool,
) -> None:
    headers = signed(token=token, headers={"X-Amz-Note": note})
    for change in changes:
        headers = change(headers)
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    if key.session_token:
        key = replace(key, expires_at=now + timedelta(seconds=-1 if is_over else 1))
    usual = told(headers, key, now, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sigv4, "_usual_claim", lambda *_: None)
        assert told(headers, key, now, body) == usual


def _another_day(headers: Headers) -> Headers:
    return edit(
        headers, ID.encode() + b"/" + dict(headers)[b"x-amz-date"][:8], ID.encode() + b"/20200101"
    )


@pytest.mark.parametrize(
    "change",
    [
        _another_day,
        lambda headers: put(headers, b"x-amz-date", b"20261125T23  02Z"),
        lambda headers: put(headers, b"x-amz-date", dict(headers)[b"x-amz-date"] + b" "),
        lambda headers: put(
            headers, b"authorization", dict(headers)[b"authorization"] + b", Other=1"
        ),
        lambda headers: edit(headers, b"Signature=", b"Signature=00 "),
        lambda headers: edit(headers, b", Signature=", b" Signature="),
        lambda headers: edit(headers, b"Signature=", b"xSignature="),
    ],
)
def test_so_is_one_that_almost_looks_usual(
    monkeypatch: pytest.MonkeyPatch, change: Mutation
) -> None:
    headers, now = change(signed()), datetime.now(UTC)
    usual = told(headers, KEY, now)
    monkeypatch.setattr(sigv4, "_usual_claim", lambda *_: None)
    assert told(headers, KEY, now) == usual


@pytest.mark.parametrize("token", [None, _TOKEN])
def test_what_botocore_signs_is_not_examined_again(
    monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    seen = examined(monkeypatch)
    key = AccessKey(ID, SECRET, OWNER, token)
    assert check(signed(token=token), key=key).principal is OWNER
    assert check(signed(token=token, body=b"{}"), key=key, body=b"{}").principal is OWNER
    assert not seen


def test_what_is_not_usual_is_examined_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = examined(monkeypatch)
    headers = signed()
    for unusual in (
        [*headers, (b"amz-sdk-request", b"1"), (b"amz-sdk-request", b"2")],
        edit(headers, b"Credential=", b"Other=" + b"x" * 2000 + b", Credential="),
        edit(headers, b"Credential=", b"Other=1, Credential="),
        put(headers, b"x-amz-date", b" " + dict(headers)[b"x-amz-date"]),
    ):
        assert check(unusual).principal is OWNER
    assert len(seen) == 4


def test_a_kept_hmac_is_not_changed_by_its_use() -> None:
    headers = signed()
    assert check(headers) == check(headers)
    assert check(signed(secret="another"), key=AccessKey(ID, "another", OWNER)) == check(headers)
