"""Reading one secret: one entry however it is named, and never another secret's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import (
    AccessDeniedError,
    IdentityMismatchError,
    InvalidRequestError,
    ResourceNotFoundError,
    SecretRef,
    SecretsClient,
    SecretValue,
)
from smclient.testing import FakeBackend, FakeClock, Queued
from tests.core.helpers_reads import MAX_STALE, TTL, password, put

# --- one entry however it is named ----------------------------------------------------------------


def test_ten_reads_are_one_call(client: SecretsClient, backend: FakeBackend) -> None:
    """The first one asks."""
    assert {password(client) for _ in range(10)} == {"first"}
    assert backend.count("GetSecretValue") == 1
    assert len(backend.calls) == 1


@pytest.mark.parametrize("first", ["name", "arn", "partial"])
@pytest.mark.parametrize("second", ["name", "arn", "partial"])
def test_name_arn_and_partial_arn_share_one_entry(
    first: str, second: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """Once a bare name was read, one knows which account and region bare names mean."""
    client.get("other-name") if backend.put("other-name", "x") else None
    backend.calls.clear()
    ids = {"name": "db", "arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}
    client.get(ids[first])
    client.get(ids[second])
    assert len(backend.calls) == 1
    assert client.usage().secrets == 2


def test_an_arn_read_before_any_name_still_makes_one_entry(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The name costs one call more then, and finds the same entry."""
    client.get(backend.arn("db"))
    client.get("db")
    client.get("db")
    assert (client.usage().secrets, len(backend.calls)) == (1, 2)


def test_no_stage_and_awscurrent_are_one_question(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Both spellings share the entry."""
    client.get("db")
    client.get("db", version_stage="AWSCURRENT")
    assert len(backend.calls) == 1


def test_versions_and_stages_are_held_apart(client: SecretsClient, backend: FakeBackend) -> None:
    """A cached AWSCURRENT never answers for another version, nor the other way round."""
    old = backend._labels["db"]["AWSCURRENT"]
    new = put(backend, "second")
    put(backend, "third", stages=["AWSPENDING"])
    for _ in range(2):
        assert password(client) == "second"
        assert password(client, version_stage="AWSPREVIOUS") == "first"
        assert password(client, version_stage="AWSPENDING") == "third"
        assert password(client, version_id=old) == "first"
        assert password(client, version_id=new, version_stage="AWSCURRENT") == "second"
    assert len(backend.calls) == 5
    with pytest.raises(InvalidRequestError):
        client.get("db", version_id=old, version_stage="AWSCURRENT")


def test_a_missing_version_says_nothing_about_the_current_one(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """It is reported, and AWSCURRENT stays held."""
    client.get("db")
    for how in ({"version_stage": "AWSPENDING"}, {"version_id": "no-such"}):
        with pytest.raises(ResourceNotFoundError, match="secret 'db'"):
            client.get("db", **how)
    backend.fail_with(AccessDeniedError("policy: AWSCURRENT only"))
    with pytest.raises(AccessDeniedError, match="stage AWSPREVIOUS"):
        client.get("db", version_stage="AWSPREVIOUS")
    calls = len(backend.calls)
    assert password(client) == "first"
    assert len(backend.calls) == calls


def test_a_version_that_is_refused_is_held_no_more(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """But AWSCURRENT is."""
    put(backend, "second")
    password(client, version_stage="AWSPREVIOUS")
    clock.advance(TTL)
    password(client)
    backend.fail_with(AccessDeniedError("no"), times=2)
    assert password(client, version_stage="AWSPREVIOUS") == "first"
    worker.run()
    with pytest.raises(AccessDeniedError):
        password(client, version_stage="AWSPREVIOUS")
    calls = len(backend.calls)
    assert password(client) == "second"
    assert len(backend.calls) == calls


# --- never that of another secret -----------------------------------------------------------------


def test_an_answer_of_another_secret_is_refused_and_not_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """By name and by ARN; nothing of it stays."""
    backend.put("other", "not yours")
    right = backend._value
    backend._value = lambda ref: right(SecretRef("other"))  # type: ignore[method-assign]
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        with pytest.raises(IdentityMismatchError, match="'other'") as caught:
            client.get(secret_id)
        assert "not yours" not in str(caught.value)
    assert client.usage().secrets == 0
    backend._value = right  # type: ignore[method-assign]
    assert password(client) == "first"


def test_names_that_only_look_alike_are_not_the_same_secret(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """A name may end in a hyphen and six characters, as ARNs do."""
    backend.put("db-AbCdEf", {"password": "long"})
    backend.put("d", {"password": "short"})
    ids = {"db": "first", "db-AbCdEf": "long", "d": "short"}
    for secret_id, expected in ids.items():
        assert client.get(secret_id)["password"] == expected
        assert client.get(backend.arn(secret_id))["password"] == expected
    for secret_id, expected in reversed(ids.items()):
        assert client.get(backend.arn(secret_id))["password"] == expected
        assert client.get(secret_id)["password"] == expected


def test_a_secret_made_anew_under_its_old_name_takes_its_place(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """It has another ARN; the old value is gone under every name but its ARN's own question."""
    old_arn = backend.arn("db")
    client.get("db")
    backend.remove("db")
    put(backend, "reborn")
    backend.arn = lambda name: f"arn:aws:secretsmanager:eu-west-1:1:secret:{name}-ZzZzZz"  # type: ignore[method-assign]
    clock.advance(MAX_STALE)
    assert password(client) == "reborn"
    assert client.usage().secrets == 1
    assert client.get(backend.arn("db")[:-7])["password"] == "reborn"
    with pytest.raises(ResourceNotFoundError):
        client.get(old_arn)


def test_a_name_of_another_account_is_not_taken_for_one_s_own(
    make_client: Callable[..., SecretsClient],
) -> None:
    """An ARN names a secret anywhere; a bare name means the caller's account and region."""

    class TwoAccounts(FakeBackend):
        def _value(self, ref: SecretRef) -> SecretValue:
            mine = not ref.secret_id.startswith("arn:") or ":123456789012:" in ref.secret_id
            account = "123456789012" if mine else "999999999999"
            return SecretValue(
                arn=f"arn:aws:secretsmanager:eu-west-1:{account}:secret:db-AbCdEf",
                name="db",
                version_id="v",
                text=account,
            )

    client = make_client(TwoAccounts())
    theirs = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:db-AbCdEf"
    assert client.get(theirs).text == "999999999999"
    assert client.get("db").text == "123456789012"
    assert client.get(theirs).text == "999999999999"
    assert client.get("db").text == "123456789012"
    assert client.usage().secrets == 2
