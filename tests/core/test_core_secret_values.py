"""A secret value is shown to nobody who did not ask. A canary is hunted wherever it may go."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import string
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient import (
    AWSCURRENT,
    ConfigError,
    LazySecret,
    NotBinaryError,
    NotJsonError,
    NotTextError,
    RedactedStr,
    SecretDescription,
    SecretKeyError,
    SecretRef,
    SecretsClient,
    SecretValue,
    SmclientError,
)
from smclient.secret import hidden
from smclient.testing import FakeBackend

CANARY = "c4n4ry-in-the-mine"
PIN = 918273645
OBJECT = json.dumps(
    {"password": CANARY, "pin": PIN, "deep": {"er": [CANARY, PIN]}, "username": "u"}
)


def value(text: str | None = OBJECT, binary: bytes | None = None) -> SecretValue:
    return SecretValue(
        arn="arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf",
        name="app",
        version_id="v-1",
        version_stages={AWSCURRENT},
        created_date=datetime(2026, 1, 1, tzinfo=UTC),
        text=text,
        binary=binary,
    )


SECRETS = {
    "object": value(),
    "text": value(CANARY),
    "array": value(json.dumps([CANARY, PIN])),
    "string": value(json.dumps(CANARY)),
    "number": value(str(PIN)),
    "bytes": value(None, CANARY.encode() + b"\xff"),
}


def seen_in(text: object) -> bool:
    return CANARY in str(text) or str(PIN) in str(text)


def with_locals(error: BaseException) -> str:
    """A traceback as error trackers write it: every frame below the test's with its variables."""
    below = error.__traceback__.tb_next if error.__traceback__ else None
    told = traceback.TracebackException(type(error), error, below, capture_locals=True)
    return "".join(told.format())


@dataclasses.dataclass
class Settings:
    secret: Any


WAYS_TO_SHOW: dict[str, Callable[[SecretValue], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda v: f"{v} {v!r} {v!s} {v:>40}",
    "str.format": lambda v: "{} {!r}".format(v, v),  # noqa: UP032  the way that is tested
    "percent": lambda v: "%s %r" % (v, v),  # noqa: UP031
    "template": lambda v: string.Template("$v").substitute(v=v),
    "pprint": pprint.pformat,
    "in a container": lambda v: repr([{"k": (v,)}]),
    "dataclass": lambda v: repr(Settings(v)),
    "fields": lambda v: repr(v.fields) if v.name == "app" and not _refuses_fields(v) else "",
    "json default": lambda v: json.dumps([v], default=str),
}


def _refuses_fields(v: SecretValue) -> bool:
    try:
        return v.fields is None
    except SmclientError:
        return True


@pytest.mark.parametrize("way", WAYS_TO_SHOW)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_value_is_not_shown(kind: str, way: str) -> None:
    """By none of the ways in which Python turns objects into text."""
    assert not seen_in(WAYS_TO_SHOW[way](SECRETS[kind]))


WAYS_TO_COPY: dict[str, Callable[[SecretValue], object]] = {
    **{
        f"pickle {n}": lambda v, n=n: pickle.dumps(v, n) for n in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "pickle inside": lambda v: pickle.dumps({"settings": [v]}),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy inside": lambda v: copy.deepcopy({"settings": [v]}),
    "asdict": lambda v: dataclasses.asdict(Settings(v)),
    "vars": vars,
    "json": json.dumps,
    "iteration": list,
    "unpacking": lambda v: dict(**v),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("way", WAYS_TO_COPY)
@pytest.mark.parametrize("kind", SECRETS)
def test_a_value_refuses_to_be_copied(kind: str, way: str) -> None:
    """So that it does not end up where nobody looks for it; the refusal does not show it either."""
    with pytest.raises(TypeError) as caught:
        WAYS_TO_COPY[way](SECRETS[kind])
    assert not seen_in(with_locals(caught.value))


@pytest.mark.parametrize("kind", SECRETS)
def test_a_value_is_not_logged(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """As argument, as message, as extra."""
    with caplog.at_level(logging.DEBUG):
        logging.debug("%s %r", SECRETS[kind], SECRETS[kind])
        logging.debug(SECRETS[kind])
    assert "SecretValue(***" in caplog.text
    assert not seen_in(caplog.text)


@pytest.mark.parametrize(
    ("kind", "ask", "error"),
    [
        ("bytes", lambda v: v.text, NotTextError),
        ("bytes", lambda v: v.json(), NotTextError),
        ("bytes", lambda v: v["password"], NotTextError),
        ("text", lambda v: v.binary, NotBinaryError),
        ("object", lambda v: v.binary, NotBinaryError),
        ("text", lambda v: v.json(), NotJsonError),
        ("text", lambda v: v["password"], NotJsonError),
        ("array", lambda v: v["password"], NotJsonError),
        ("string", lambda v: v["password"], NotJsonError),
        ("number", lambda v: v["password"], NotJsonError),
        ("number", lambda v: "password" in v, NotJsonError),
        ("object", lambda v: v["absent"], SecretKeyError),
    ],
)
def test_a_wrong_question_is_answered_with_the_name_and_without_the_value(
    kind: str, ask: Callable[[SecretValue], object], error: type[SmclientError]
) -> None:
    """Neither in the message, nor in a chained error, nor in a variable of a frame."""
    with pytest.raises(error, match="secret 'app'") as caught:
        ask(SECRETS[kind])
    assert caught.value.__context__ is None
    assert not seen_in(with_locals(caught.value))


@pytest.mark.parametrize("reference", ["#absent", "#deep.absent", "#length(pin)", "#[["])
def test_a_failing_reference_does_not_show_the_value(reference: str) -> None:
    """JMESPath's errors repeat what they were given, so they are not chained."""
    with (
        SecretsClient(FakeBackend({"app": OBJECT})) as client,
        pytest.raises(SecretKeyError) as caught,
    ):
        client.resolve(f"secret://app{reference}")
    assert not seen_in(with_locals(caught.value))


@pytest.mark.parametrize("bad", ["array", "string", "number", "text", "bytes"])
def test_a_failing_merge_shows_none_of_the_secrets(bad: str) -> None:
    """Neither the one that does not fit nor those that were merged before it."""
    content: dict[str, Any] = {"good": OBJECT}
    secret = SECRETS[bad]
    content["bad"] = secret.binary if secret.is_binary else secret.text
    with SecretsClient(FakeBackend(content)) as client, pytest.raises(NotJsonError) as caught:
        client.resolve("aws-secretsmanager:good;bad")
    assert CANARY not in with_locals(caught.value)


def test_a_failing_template_does_not_show_the_bytes() -> None:
    """Decoding errors carry everything they were given."""
    content = {"blob": b"\xff" + CANARY.encode()}
    with SecretsClient(FakeBackend(content)) as client, pytest.raises(NotTextError) as caught:
        client.resolve("x{{resolve:secretsmanager:blob}}")
    assert not seen_in(with_locals(caught.value))


def test_json_too_deep_to_read_is_not_json() -> None:
    """Not a ``RecursionError``."""
    with pytest.raises(NotJsonError, match="'app'"):
        value("[" * 200_000).json()


# --- what is asked for is given -------------------------------------------------------------------


def test_text_and_fields_are_given_when_asked_for() -> None:
    """Numbers and objects as JSON has them."""
    secret = value()
    assert secret.text == OBJECT
    assert secret.json() == json.loads(OBJECT)
    assert secret["password"] == CANARY
    assert secret["pin"] == PIN
    assert secret["deep"] == {"er": [CANARY, PIN]}
    assert ("password" in secret, "absent" in secret) == (True, False)
    assert value(None, b"\x00").binary == b"\x00"


def test_what_a_caller_does_to_a_field_harms_nobody_else() -> None:
    """Objects are given out as copies."""
    secret = value()
    secret["deep"]["er"].append("more")
    secret.json()["password"] = "changed"
    assert secret["deep"] == {"er": [CANARY, PIN]}
    assert secret["password"] == CANARY


def test_strings_inside_fields_hide_too() -> None:
    """However deep."""
    assert CANARY not in repr(value()["deep"])
    assert CANARY not in repr(hidden([{"a": [CANARY]}]))
    assert hidden([{"a": [CANARY, 1, None]}]) == [{"a": [CANARY, 1, None]}]


def test_a_missing_key_is_a_key_error_whose_message_can_be_read() -> None:
    """``KeyError`` would print the ``repr`` of it."""
    with pytest.raises(KeyError) as caught:
        value()["absent"]
    assert str(caught.value).startswith("secret 'app' has no key 'absent'; its keys are 'deep'")


@pytest.mark.parametrize(("text", "binary"), [(None, None), ("both", b"both")])
def test_a_value_is_either_text_or_binary(text: str | None, binary: bytes | None) -> None:
    """Anything else is a mistake of a backend."""
    with pytest.raises(ConfigError, match="'app'"):
        value(text, binary)


def test_an_empty_value_is_a_value() -> None:
    """Text or bytes."""
    assert value("").text == ""
    assert value(None, b"").binary == b""
    assert value(None, b"").is_binary


def test_values_are_compared_by_asking() -> None:
    """Text is not the same as the bytes of it."""
    assert value("a").same_value(value("a"))
    assert not value("a").same_value(value("b"))
    assert not value("a").same_value(value(None, b"a"))
    assert value(None, b"").same_value(value(None, b""))
    assert not value(None, b"").same_value(value(None, b"x"))


def test_values_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """``hmac.compare_digest`` does it."""
    import hmac

    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)))
    assert not value("a").same_value(value("b"))
    assert compared == [(b"a", b"b")]


def test_its_size_counts_bytes() -> None:
    """Not characters."""
    assert value("üü").size() == 4
    assert value(None, b"123").size() == 3


# --- RedactedStr ----------------------------------------------------------------------------------


def test_a_redacted_string_hides_only_where_nobody_asked() -> None:
    """``repr``, alone and inside containers, tracebacks, dataclasses; not ``str``."""
    text = RedactedStr(CANARY)
    for shown in (repr(text), f"{text!r}", "%r" % text, repr([text]), repr(Settings(text))):  # noqa: UP031
        assert not seen_in(shown)
    assert not seen_in(pprint.pformat({"k": text}))
    assert str(text) == f"{text}" == "%s" % text == CANARY  # noqa: UP031
    assert type(str(text)) is str


def test_a_redacted_string_refuses_pickling_and_stays_hidden_when_copied() -> None:
    """Settings are often deep-copied, and then shown."""
    text = RedactedStr(CANARY)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickling"):
            pickle.dumps([text], protocol)
    assert not seen_in(copy.copy(text).__repr__())
    assert not seen_in(copy.deepcopy({"k": [text]}))
    assert not seen_in(dataclasses.asdict(Settings(text)))
    with pytest.raises(TypeError):
        vars(text)


@given(st.text(), st.text(max_size=2))
def test_a_redacted_string_is_a_string(text: str, part: str) -> None:
    """In JSON, hashing, keys, encoding, comparing, joining."""
    hidden_text = RedactedStr(text)
    assert hidden_text == text
    assert hash(hidden_text) == hash(text)
    assert {text: 1}[hidden_text] == 1
    assert {hidden_text: 1}[text] == 1
    assert json.dumps({"k": hidden_text}) == json.dumps({"k": text})
    assert json.loads(json.dumps(hidden_text)) == text
    assert hidden_text.encode("utf-8", "surrogatepass") == text.encode("utf-8", "surrogatepass")
    assert (part in hidden_text) == (part in text)
    assert "".join([part, hidden_text]) == part + text
    assert isinstance(hidden_text, str)
    assert len(hidden_text) == len(text)


# --- LazySecret -----------------------------------------------------------------------------------


class TestLazySecret:
    """A secret read at each use."""

    @pytest.fixture
    def lazy(self, client: SecretsClient, backend: FakeBackend) -> LazySecret:
        backend.put("key", CANARY)
        return client.lazy("secret://key")

    def test_nothing_is_read_before_the_first_use(
        self, lazy: LazySecret, backend: FakeBackend
    ) -> None:
        """But the reference was checked."""
        assert repr(lazy) == "LazySecret('secret://key')"
        assert backend.calls == []

    def test_it_follows_rotation(
        self, lazy: LazySecret, backend: FakeBackend, client: SecretsClient
    ) -> None:
        """The same object gives the new text."""
        assert str(lazy) == CANARY
        backend.put("key", "rotated")
        client.refresh("key")
        assert str(lazy) == f"{lazy}" == "rotated"
        assert lazy.encode() == b"rotated"
        assert lazy == "rotated"

    @pytest.mark.parametrize(
        "use", [iter, list, len, lambda s: s[0], lambda s: "c" in s, lambda s: {s: 1}, hash]
    )
    def test_it_is_no_sequence_and_no_key(
        self, lazy: LazySecret, use: Callable[[Any], object]
    ) -> None:
        """Libraries would take an iterable for a list of keys."""
        with pytest.raises(TypeError):
            use(lazy)

    def test_it_compares_by_the_text_of_the_moment(
        self, lazy: LazySecret, client: SecretsClient
    ) -> None:
        """With strings and its like; anything else differs."""
        assert lazy == CANARY
        assert lazy != "other"
        assert lazy == client.lazy("secret://key")
        assert lazy != 5
        assert lazy != CANARY.encode()
        assert bool(lazy)

    def test_it_compares_in_constant_time(
        self, lazy: LazySecret, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``hmac.compare_digest`` does it."""
        import hmac

        compared: list[tuple[bytes, bytes]] = []
        monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)))
        assert not lazy == "x"  # noqa: SIM201
        assert compared == [(CANARY.encode(), b"x")]

    def test_it_is_shown_and_copied_as_its_reference_only(self, lazy: LazySecret) -> None:
        """Unless it is turned into text."""
        assert not seen_in([lazy, Settings(lazy)])
        for act in (pickle.dumps, copy.copy, copy.deepcopy, vars):
            with pytest.raises(TypeError):
                act(lazy)

    def test_text_around_its_reference_is_not_shown(self, client: SecretsClient) -> None:
        """It may be a password that somebody wrote out."""
        lazy = client.lazy("u:hunter2@{{resolve:secretsmanager:prod/db:SecretString:host}}")
        assert repr(lazy) == "LazySecret('secret://prod/db#host')"

    def test_an_absent_optional_secret_is_empty_text(self, client: SecretsClient) -> None:
        """Not the word None, with which something might be signed."""
        lazy = client.lazy("secret://nowhere?optional=1")
        assert str(lazy) == ""
        assert not lazy

    def test_what_is_no_text_is_given_as_text_would_be(
        self, client: SecretsClient, backend: FakeBackend
    ) -> None:
        """Bytes decoded, numbers and objects as JSON; bytes that are no UTF-8 are refused."""
        backend.put("utf8", "ü".encode())
        backend.put("blob", b"\xff")
        backend.put("object", {"port": 5432, "deep": {"a": True}})
        assert str(client.lazy("secret://utf8")) == "ü"
        assert str(client.lazy("secret://object#port")) == "5432"
        assert str(client.lazy("secret://object#deep")) == '{"a": true}'
        with pytest.raises(NotTextError, match="secret://blob"):
            str(client.lazy("secret://blob"))


# --- SecretRef, SecretDescription -----------------------------------------------------------------


def test_no_stage_and_awscurrent_are_the_same_question() -> None:
    """So they share everything that is keyed by a ``SecretRef``."""
    assert SecretRef("a") == SecretRef("a", AWSCURRENT)
    assert hash(SecretRef("a")) == hash(SecretRef("a", AWSCURRENT))
    assert SecretRef("a").is_current
    assert not SecretRef("a", "AWSPENDING").is_current
    assert not SecretRef("a", version_id="v").is_current
    assert not SecretRef("a", AWSCURRENT, "v").is_current


def test_an_empty_secret_id_is_refused(client: SecretsClient) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match="secret id is empty"):
        client.get("")


def test_a_description_finds_the_version_of_a_label() -> None:
    """Or none."""
    described = SecretDescription("arn", "n", {"v1": frozenset({"A"}), "v2": frozenset({"B", "C"})})
    assert [described.version_at(stage) for stage in "ABCD"] == ["v1", "v2", "v2", None]
