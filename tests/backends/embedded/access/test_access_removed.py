"""Whoever was removed is nobody: a principal that somebody still holds, a session, its token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smclient_embedded.context import Principal
from smclient_embedded.errors import AccessDeniedException
from tests.backends.embedded.access.realm import HOME, allow, deny, policy

ROLE = f"arn:aws:iam::{HOME}:role/app"
USER = f"arn:aws:iam::{HOME}:user/app"


def reads_for(principal: str) -> dict[str, Any]:
    return policy(allow("GetSecretValue", Principal={"AWS": principal}))


@pytest.fixture(params=["role", "session", "user", "everybody in the account"])
def held(realm: Any, request: pytest.FixtureRequest) -> Principal:
    """Somebody whom the secret's policy lets in, and whose own policies forbid it."""
    arn = realm.secret()
    if request.param == "user":
        realm.user("app", deny("GetSecretValue"))
        principal: Principal = realm.service.principal(USER)
    else:
        principal = realm.session("app", deny("GetSecretValue"))
    named = {
        "role": ROLE,
        "session": principal.arn,
        "user": USER,
        "everybody in the account": "*",
    }
    realm.attach(arn, reads_for(named[request.param]))
    return principal


def test_removing_an_identity_does_not_lift_its_denies(realm: Any, held: Principal) -> None:
    assert not realm.may(held, "GetSecretValue", SecretId="prod/db")
    realm.accounts.remove(held.session.source if held.session else held.arn)
    _, text = realm.refused(held, "GetSecretValue", SecretId="prod/db")
    assert text.endswith(
        "because no identity-based policy allows the secretsmanager:GetSecretValue action"
    )


def test_a_namesake_made_later_does_not_revive_a_session(realm: Any) -> None:
    """Neither with its own boundary nor without that of the first."""
    arn = realm.secret()
    session = realm.session("app")
    realm.attach(arn, reads_for(session.arn))
    assert realm.may(session, "GetSecretValue", SecretId="prod/db")
    realm.accounts.remove(ROLE)
    realm.accounts.create_role("app", boundary=policy(deny("*")))
    assert not realm.may(session, "GetSecretValue", SecretId="prod/db")
    realm.accounts.put_boundary(ROLE, None)
    assert not realm.may(session, "GetSecretValue", SecretId="prod/db")
    again = realm.accounts.assume_role(ROLE, "s-1").principal
    assert realm.may(again, "GetSecretValue", SecretId="prod/db")


def test_a_federated_user_goes_with_the_user_who_asked_for_it(realm: Any) -> None:
    arn = realm.secret()
    user = realm.user("app", allow("*"))
    run = realm.session().session
    federated = Principal(
        f"arn:aws:sts::{HOME}:federated-user/jo",
        HOME,
        "federated",
        replace(run, name="jo", source=user, source_id=""),
    )
    realm.attach(arn, reads_for(federated.arn))
    assert realm.may(federated, "GetSecretValue", SecretId="prod/db")
    realm.accounts.remove(user)
    assert not realm.may(federated, "GetSecretValue", SecretId="prod/db")


def test_a_session_of_a_removed_role_assumes_no_other_role(realm: Any) -> None:
    session = realm.session("app", allow("sts:AssumeRole"))
    trust = {"Effect": "Allow", "Principal": {"AWS": session.arn}, "Action": "sts:AssumeRole"}
    other = realm.accounts.create_role("other", trust=policy(trust))
    assert realm.service.assume_role(other, "s-2", caller=session)
    realm.accounts.remove(ROLE)
    with pytest.raises(AccessDeniedException):
        realm.service.assume_role(other, "s-2", caller=session)


def test_the_token_of_a_session_ends_with_its_role(realm: Any) -> None:
    """Also one that was opened before, and for good: a namesake does not take it either."""
    realm.accounts.create_role("app")
    credentials = realm.accounts.assume_role(ROLE, "s-1").credentials
    opened = credentials.access_key_id, credentials.session_token
    assert realm.service.open_session(*opened)
    realm.accounts.remove(ROLE)
    assert realm.service.open_session(*opened) is None
    realm.accounts.create_role("app")
    assert realm.service.open_session(*opened) is None


def test_an_explanation_says_that_the_caller_is_gone(realm: Any) -> None:
    realm.secret()
    session = realm.session("app", allow("*"))
    realm.accounts.remove(ROLE)
    (sentence,) = realm.service.explain(session, "GetSecretValue", "prod/db").sentences()
    assert f"{ROLE}, whom this session acts for, is not there" in sentence
