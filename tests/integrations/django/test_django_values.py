"""``secret``, ``secret_now``, ``secret_fallbacks``: settings that follow their secrets."""

from __future__ import annotations

import asyncio
import copy
import hmac
import json
import logging
import pickle
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from itsdangerous import URLSafeSerializer

from smclient import BackendUnavailableError, SecretsClient
from smclient.testing import FakeBackend, FakeClock
from smclient_django import (
    Secret,
    SecretConfigError,
    clients,
    discover,
    network,
    secret,
    secret_fallbacks,
    secret_now,
    status,
)
from smclient_django.values import SecretKeyFallbacks, SigningKey

CANARY = "canary-" + "k7Q2x9Zp" * 7
NEXT = "next-" + "a1B2c3D4" * 7
KEY = "secret://prod/web#django_key"


# --- values ---------------------------------------------------------------------------------------


def test_nothing_is_asked_before_the_value_is_used(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Neither by making it, nor by looking at it, nor by asking for its truth."""
    value = secret(KEY)
    assert (bool(value), repr(value), value.reference) == (True, f"secret({KEY!r})", KEY)
    assert backend.calls == []
    assert (str(value), f"{value}", value.encode()) == (CANARY, CANARY, CANARY.encode())


def test_a_value_follows_its_secret(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The same object, another text."""
    value = secret(KEY)
    assert str(value) == CANARY
    backend.put("prod/web", {"django_key": NEXT})
    client.refresh("prod/web")
    assert str(value) == NEXT


@pytest.mark.parametrize(
    "reference", ["secret://prod/none?optional=1", f"{KEY}x".replace("#", "?optional=1#")]
)
def test_an_optional_value_that_is_absent_is_empty_and_false(
    client: SecretsClient, reference: str
) -> None:
    """So that ``if settings.X`` works for it."""
    value = secret(reference)
    assert (str(value), bool(value)) == ("", False)


def test_a_value_in_asyncio_does_not_hold_up_the_loop(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """While the backend is slow, the loop goes on."""
    import threading

    asked = threading.Event()
    backend.before = lambda call: asked.wait(20)

    async def read() -> str:
        reading = asyncio.create_task(secret(KEY).aget())
        await asyncio.sleep(0)
        asked.set()
        return await reading

    assert asyncio.run(read()) == CANARY


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_value_is_copied_as_itself(copied: Any) -> None:
    """Django copies settings of databases and caches."""
    value = secret(KEY)
    assert copied({"PASSWORD": value})["PASSWORD"] is value


@pytest.mark.parametrize(
    "use",
    [
        pickle.dumps,
        json.dumps,
        iter,
        list,
        lambda value: value[0],
        lambda value: "".join([value]),
        lambda value: hmac.new(value, b"", "sha256"),
        lambda value: URLSafeSerializer(value).dumps("x"),
    ],
)
def test_what_cannot_use_it_fails_loudly(client: SecretsClient, use: Any) -> None:
    """Nothing signs with a character of it, or with its repr."""
    with pytest.raises(TypeError):
        use(secret(KEY))


def test_it_compares_with_text(client: SecretsClient) -> None:
    """Equal to its text of the moment, and not hashable, since that changes."""
    assert secret(KEY) == CANARY
    assert secret(KEY) != NEXT
    with pytest.raises(TypeError):
        hash(secret(KEY))


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("secret://prod/none#x", ("secret://prod/none#x", "create it")),
        ("secret://prod/web#nokey", ("no key 'nokey'", "correct the part after #")),
        ("secret://prod/text#key", ("not JSON", "leave out the part after #")),
        ("secret://prod web", ("secret name", "write it as")),
        ("plain", ("'plain'", "write it as")),
    ],
)
def test_what_leads_nowhere_is_told_in_djangos_way(
    client: SecretsClient, reference: str, said: tuple[str, ...]
) -> None:
    """``ImproperlyConfigured`` at the first use: reference and remedy, no value."""
    value = secret(reference)
    for use in (str, lambda v: asyncio.run(v.aget())):
        with pytest.raises(ImproperlyConfigured) as caught:
            use(value)
        assert all(words in str(caught.value) for words in said)
        assert "canary" not in str(caught.value)


def test_the_error_names_the_setting(client: SecretsClient, backend: FakeBackend) -> None:
    """Those that were in the settings when Django started know theirs."""
    backend.remove("prod/mail")
    with pytest.raises(SecretConfigError, match=r"settings\.MAIL_PASSWORD = secret\('secret:"):
        str(settings.MAIL_PASSWORD)


def test_an_outage_is_told_with_its_remedy(client: SecretsClient, backend: FakeBackend) -> None:
    """What to look at where the backend cannot be reached."""
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    with pytest.raises(SecretConfigError, match="SMCLIENT_BACKEND is right and can be reached"):
        str(secret(KEY))


def test_secret_now_is_plain(client: SecretsClient) -> None:
    """Text as text, numbers as numbers; its repr is hidden all the same."""
    assert json.dumps(secret_now(KEY)) == json.dumps(CANARY)
    assert secret_now("secret://prod/web#port") == 8080
    assert CANARY not in repr({"A": secret_now(KEY)})
    with pytest.raises(SecretConfigError, match=r"secret_now\('secret://prod/none'\)"):
        secret_now("secret://prod/none")


def test_an_alias_that_is_none_is_told() -> None:
    """With those that there are."""
    with pytest.raises(SecretConfigError, match=r"SMCLIENT\['other'\].*there are 'default'"):
        str(secret(KEY, alias="other"))


@pytest.mark.parametrize("segment", ["SecretString", "SecretStrin"])
def test_text_around_a_reference_is_not_shown(client: SecretsClient, segment: str) -> None:
    """Neither of one that leads nowhere nor of a bad one: it may be a password written out."""
    text = f"pg://u:hunter2@{{{{resolve:secretsmanager:prod/none:{segment}:host}}}}/db"
    value = secret(text)
    with pytest.raises(SecretConfigError, match="prod/none") as used:
        str(value)
    with pytest.raises(SecretConfigError, match="prod/none") as now:
        secret_now(text)
    with override_settings(URL=value):
        told = [repr(settings.URL), str(used.value), str(now.value), str(status.rows())]
        told += [str(message) for message in run_checks(tags=["smclient", "smclient_network"])]
        told += [str(trouble) for trouble in network.warm()]
    assert "prod/none" in str(told)
    assert "hunter2" not in str(told)


# --- the signing key ------------------------------------------------------------------------------


def test_the_key_can_be_measured_but_not_spelled(client: SecretsClient) -> None:
    """Django's check counts its characters; a library that takes an iterable for a list of keys
    gets none of them."""
    key = settings.SECRET_KEY
    assert isinstance(key, SigningKey)
    assert (len(key), len(set(key)), key.startswith("canary-")) == (
        len(CANARY),
        len(set(CANARY)),
        True,
    )
    assert not any(isinstance(character, str | bytes) for character in key)
    with pytest.raises((TypeError, AttributeError)):
        URLSafeSerializer(key).dumps("x")


@pytest.mark.parametrize("key", ["", None])
def test_an_empty_key_is_an_error_and_signs_nothing(
    client: SecretsClient, backend: FakeBackend, key: str | None
) -> None:
    """Everybody knows it."""
    signed = signing.dumps({"user": 1})
    backend.put("prod/web", {"django_key": key})
    client.refresh("prod/web")
    for use in (lambda: signing.dumps({"user": 1}), lambda: signing.loads(signed)):
        with pytest.raises(SecretConfigError, match=r"settings.SECRET_KEY.*empty"):
            use()


def test_an_empty_fallback_verifies_nothing(client: SecretsClient, backend: FakeBackend) -> None:
    """Whether the fallbacks follow a secret or are a plain list with one in it."""
    backend.put("prod/web", {"django_key": CANARY, "old": ""})
    signer = signing.TimestampSigner(salt="django.core.signing")
    signer.key = ""
    forged = signer.sign_object({"user": 1})
    old = secret("secret://prod/web#old")
    for fallbacks in ([old], secret_fallbacks(KEY, more=[old])):
        with (
            override_settings(SECRET_KEY_FALLBACKS=fallbacks),
            pytest.raises(SecretConfigError, match="empty"),
        ):
            signing.loads(forged)
    absent = secret("secret://prod/web?optional=1#none")
    with (
        override_settings(SECRET_KEY_FALLBACKS=secret_fallbacks(KEY, more=[absent])),
        pytest.raises(signing.BadSignature),
    ):
        signing.loads(forged)


def test_signatures_survive_a_rotation(client: SecretsClient, backend: FakeBackend) -> None:
    """Signed before, read after; signed after with the new key, read where it is known."""
    before = signing.dumps({"n": 1})
    backend.put("prod/web", {"django_key": NEXT})
    client.refresh("prod/web")
    assert signing.loads(before) == {"n": 1}
    assert signing.loads(signing.dumps("x"), key=NEXT, fallback_keys=[]) == "x"


def test_a_pending_key_is_accepted_before_it_signs(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A worker that sees the end of a rotation earlier is understood."""
    backend.put("prod/web", {"django_key": NEXT}, stages=["AWSPENDING"])
    theirs = signing.dumps("theirs", key=NEXT)
    assert signing.loads(theirs) == "theirs"
    assert signing.loads(signing.dumps("ours"), key=CANARY, fallback_keys=[]) == "ours"


def test_a_key_that_nobody_here_knows_is_looked_for_once(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Another worker signed with a key that came at once, without AWSPENDING: this one looks past
    its cache before it refuses."""
    assert str(settings.SECRET_KEY) == CANARY
    assert len(settings.SECRET_KEY_FALLBACKS) >= 1
    backend.put("prod/web", {"django_key": NEXT})
    assert signing.loads(signing.dumps("theirs", key=NEXT)) == "theirs"
    assert str(settings.SECRET_KEY) == NEXT


def test_forged_signatures_cause_few_calls(client: SecretsClient, backend: FakeBackend) -> None:
    """A stranger who sends them by the hundred costs a handful of calls."""
    forged = signing.dumps("x", key="somebody's")
    for _ in range(100):
        with pytest.raises(signing.BadSignature):
            signing.loads(forged)
    assert len(backend.calls) < 15


def test_a_key_that_is_over_is_refused(client: SecretsClient, backend: FakeBackend) -> None:
    """Two rotations on, a signature of the first key is bad."""
    before = signing.dumps("x")
    for key in (NEXT, "third-" + NEXT):
        backend.put("prod/web", {"django_key": key})
        client.refresh("prod/web")
    with pytest.raises(signing.BadSignature):
        signing.loads(before)


def test_the_newest_key_is_found_in_asyncio(client: SecretsClient, backend: FakeBackend) -> None:
    """On a thread beside the loop."""
    assert str(settings.SECRET_KEY) == CANARY
    theirs = signing.dumps("theirs", key=NEXT)
    backend.put("prod/web", {"django_key": NEXT})

    async def read() -> Any:
        return signing.loads(theirs)

    assert asyncio.run(read()) == "theirs"


def test_stages_and_more_keys_can_be_chosen(client: SecretsClient, backend: FakeBackend) -> None:
    """None but AWSPREVIOUS; and the plain key of the time before."""
    backend.put("prod/web", {"django_key": NEXT})
    backend.put("prod/web", {"django_key": "pending"}, stages=["AWSPENDING"])
    some = secret_fallbacks(KEY, stages=["AWSPREVIOUS"], more=["old-plain"])
    assert [str(key) for key in some][:2] == [CANARY, "old-plain"]
    assert "pending" not in [str(key) for key in some]
    assert [str(key) for key in some.__add__(["older"])][1:3] == ["old-plain", "older"]


def test_fallbacks_are_a_list_that_shows_and_takes_nothing(client: SecretsClient) -> None:
    """Django wants a list; it is unpacked live, and what would be lost in it is refused."""
    keys = secret_fallbacks(KEY)
    assert isinstance(keys, list)
    assert isinstance(keys, SecretKeyFallbacks)
    assert repr(keys) == str(keys) == f"secret_fallbacks({KEY!r})"
    assert len([*keys]) == len(keys)
    for change in (keys.append, keys.extend):
        with pytest.raises(TypeError, match="more="):
            change("x")  # type: ignore[arg-type]
    assert copy.deepcopy(keys) is keys


@pytest.mark.parametrize("bad", ["secret://prod web", "secret://prod/web?stage=AWSPREVIOUS#k"])
def test_bad_fallbacks_are_told(client: SecretsClient, bad: str) -> None:
    """Where they are used."""
    with pytest.raises(SecretConfigError, match="secret_fallbacks"):
        list(secret_fallbacks(bad))


def test_an_outage_serves_the_keys_that_are_known(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions go on for as long as values may be served; nothing secret is logged."""
    signed = signing.dumps("x")
    assert signing.loads(signed) == "x"
    list(settings.SECRET_KEY_FALLBACKS)
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    clock.advance(1000)
    with caplog.at_level(logging.DEBUG):
        assert signing.loads(signed) == "x"
    assert "canary" not in caplog.text


def test_values_show_only_their_reference_in_dumps(client: SecretsClient) -> None:
    """As ``diffsettings`` and error reporters print settings."""
    str(settings.SECRET_KEY)
    dumped = repr({name: discover.setting(name) for name in dir(settings) if name.isupper()})
    assert "canary" not in dumped
    assert KEY in dumped
    assert isinstance(settings.MAIL_PASSWORD, Secret)
    assert clients["default"] is client
