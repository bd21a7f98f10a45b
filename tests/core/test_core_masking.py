"""Masking: what a client holds is found in text, in the forms that it is written in."""

from __future__ import annotations

import gc
import json
import weakref
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretsClient
from smclient.masking import Masker
from smclient.testing import FakeBackend

LOGIN = {"username": "app_user", "password": 'pa"ss w/ord\\é', "host": "db.example.com"}


def masker(secrets: dict[str, object], **options: object) -> Masker:
    client = SecretsClient(FakeBackend(secrets))
    client.get_many(secrets)
    return Masker(client, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form",
    [
        LOGIN["password"],
        json.dumps(LOGIN),
        quote(LOGIN["password"], safe=""),
        json.dumps(LOGIN["password"]),
        repr(LOGIN["password"]),
    ],
)
def test_a_password_is_found_however_it_is_written(form: str) -> None:
    """As it is, percent-encoded, in JSON, in a repr."""
    masked = masker({"db": LOGIN})(f"before {form} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "***" in masked
    assert "ord" not in masked


def test_where_and_who_stay_readable() -> None:
    """The fields that say where a database is are no secrets, unless told."""
    text = "app_user@db.example.com"
    assert masker({"db": LOGIN})(text) == text
    assert masker({"db": LOGIN}, plain_fields=())(text) == "***@***"


def test_short_texts_are_left_alone() -> None:
    """They would be found everywhere."""
    assert masker({"a": {"pin": "12345"}})("12345") == "12345"
    assert masker({"a": {"pin": "12345"}}, shortest=5)("12345") == "***"


def test_a_longer_secret_is_masked_as_a_whole() -> None:
    """Not the shorter one inside it."""
    assert masker({"a": "secret", "b": "secret-and-more"})("secret-and-more") == "***"


def test_nested_and_binary_values_are_found() -> None:
    """Lists and objects inside JSON; bytes as their repr has them."""
    mask = masker({"a": {"keys": [{"k": "deep-down"}]}, "b": b"\xffbinary-key"})
    assert mask("deep-down") == "***"
    assert mask(repr(b"\xffbinary-key")) == "b'***'"


def test_structures_are_masked_deeply_and_in_kind() -> None:
    """What is no text stays the object it was."""
    thing = object()
    masked = masker({"a": "canary"}).deep({"canary": ["x canary", ("canary", 1, thing)], 1: None})
    assert masked == {"***": ["x ***", ("***", 1, thing)], 1: None}


def test_what_shows_a_secret_becomes_the_text_that_it_shows() -> None:
    """Exceptions and bytes, by ``repr`` or by ``str``; what shows none stays the object it was."""
    mask = masker({"a": "canary"})
    assert mask.deep(ValueError("a canary")) == "ValueError('a ***')"
    assert mask.deep(b"a canary") == "b'a ***'"
    assert mask.deep([KeyError("canary")]) == ["KeyError('***')"]
    plain = ValueError("nothing")
    assert mask.deep(plain) is plain


def test_an_object_that_cannot_be_shown_is_left_alone() -> None:
    """Masking breaks no logging."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    broken = Broken()
    assert masker({"a": "canary"}).deep([broken]) == [broken]


def test_a_new_version_is_found_and_nothing_is_asked() -> None:
    """Only what the client holds, at no call."""
    backend = FakeBackend({"a": "canary-1"})
    client = SecretsClient(backend)
    mask = Masker(client)
    assert mask("canary-1") == "canary-1"
    client.get("a")
    assert mask("canary-1") == "***"
    backend.put("a", "canary-2")
    client.refresh("a")
    calls = len(backend.calls)
    assert mask("canary-2") == "***"
    assert len(backend.calls) == calls


def test_a_masker_keeps_no_client() -> None:
    """Whoever masks for a client that was closed and forgotten holds nothing of it up."""
    client = SecretsClient(FakeBackend({"a": "canary"}))
    mask, forgotten = Masker(client), weakref.ref(client)
    del client
    gc.collect()
    assert forgotten() is None
    assert mask("canary") == "canary"


@given(
    secret=st.text(min_size=6).filter(lambda s: "*" not in s),
    before=st.text(),
    after=st.text(),
)
def test_no_text_lets_a_secret_through(secret: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    masked = masker({"a": secret})(before + secret + after)
    assert secret not in masked or secret in before + "***" + after


def test_a_secret_that_is_read_when_it_is_used_is_not_read_to_be_masked() -> None:
    """A log line that nobody shows it in would make a call."""
    backend = FakeBackend({"db": LOGIN, "later": "hunter2-of-later"})
    client = SecretsClient(backend)
    client.get("db")
    lazy = client.lazy("secret://later")
    backend.calls.clear()
    assert Masker(client).deep({"key": lazy}) == {"key": repr(lazy)}
    assert backend.calls == []


class Half:
    """Shows a secret in one way, and breaks in the other."""

    def __init__(self, broken: str) -> None:
        self.broken = broken

    def __repr__(self) -> str:
        return self._shown("repr")

    def __str__(self) -> str:
        return self._shown("str")

    def _shown(self, how: str) -> str:
        if how == self.broken:
            raise RuntimeError("cannot be shown")
        return f"Half({LOGIN['password']})"


@pytest.mark.parametrize("broken", ["repr", "str"])
def test_what_breaks_in_one_way_of_showing_is_masked_in_the_other(broken: str) -> None:
    masked = masker({"db": LOGIN}).deep(Half(broken))
    assert isinstance(masked, str)
    assert LOGIN["password"] not in masked
