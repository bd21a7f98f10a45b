"""What holds at the door for any policies and any call, found by generated examples."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.context import Principal
from smclient_embedded.errors import AccessDeniedException, ServiceError
from smclient_embedded.store import Scope, SecretQuery
from tests.backends.embedded.access.realm import HOME, OTHER, Realm

_QUICK = settings(max_examples=60, deadline=None)
_ACTIONS = [
    "secretsmanager:*",
    "secretsmanager:Get*",
    "secretsmanager:PutSecretValue",
    "secretsmanager:TagResource",
    "secretsmanager:DeleteSecret",
    "kms:*",
    "kms:Decrypt",
]
_CONDITIONS: list[dict[str, Any]] = [
    {},
    {"StringEquals": {"aws:ResourceTag/team": "blue"}},
    {"StringNotEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
    {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
    {"Null": {"secretsmanager:RecoveryWindowInDays": "true"}},
    {"StringLike": {"kms:ViaService": "secretsmanager.*"}},
]
_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("GetSecretValue", {"SecretId": "prod/db"}),
    ("GetSecretValue", {"SecretId": "prod/db", "VersionStage": "AWSCURRENT"}),
    ("DescribeSecret", {"SecretId": "prod/db"}),
    ("PutSecretValue", {"SecretId": "prod/db", "SecretString": "other"}),
    ("UpdateSecret", {"SecretId": "prod/db", "Description": "other"}),
    ("DeleteSecret", {"SecretId": "prod/db", "RecoveryWindowInDays": 7}),
    ("DeleteSecret", {"SecretId": "prod/db", "ForceDeleteWithoutRecovery": True}),
    ("TagResource", {"SecretId": "prod/db", "Tags": [{"Key": "team", "Value": "red"}]}),
    ("UntagResource", {"SecretId": "prod/db", "TagKeys": ["team"]}),
    ("CreateSecret", {"Name": "new", "Tags": [{"Key": "team", "Value": "blue"}]}),
    ("RestoreSecret", {"SecretId": "prod/db"}),
]


def _statements(*, principal: bool) -> st.SearchStrategy[dict[str, Any]]:
    parts: dict[str, st.SearchStrategy[Any]] = {
        "Effect": st.sampled_from(["Allow", "Allow", "Allow", "Deny"]),
        "Action": st.lists(st.sampled_from(_ACTIONS), min_size=1, max_size=2),
        "Resource": st.sampled_from(["*", f"arn:aws:secretsmanager:*:{HOME}:secret:prod/*"]),
        "Condition": st.sampled_from(_CONDITIONS),
    }
    if principal:
        parts["Principal"] = st.sampled_from(
            ["*", {"AWS": HOME}, {"AWS": f"arn:aws:iam::{HOME}:role/app"}]
        )
    return st.fixed_dictionaries(parts)


_own = st.lists(_statements(principal=False), max_size=4)
_on_secret = st.lists(_statements(principal=True), max_size=2)
_session = st.none() | st.lists(_statements(principal=False), min_size=1, max_size=2)
_call = st.sampled_from(_CALLS)


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def _try(
    call: tuple[str, dict[str, Any]],
    own: list[dict[str, Any]],
    on_secret: list[dict[str, Any]],
    session: list[dict[str, Any]] | None,
    access: Any = "enforce",
) -> tuple[bool, bool, list[str]]:
    """Whether the call was denied, whether the store then differs, and what was let through."""
    clock = FakeClock(datetime(2026, 9, 24, tzinfo=UTC))
    with EmbeddedService(clock=clock, access=access) as service:
        realm = Realm(service, clock)
        arn = realm.secret(Tags=[{"Key": "team", "Value": "blue"}])
        if on_secret:
            realm.attach(arn, _policy(on_secret))
        role = service.accounts.create_role("app", policies=[_policy(own)] if own else None)
        narrowed = None if session is None else [_policy(session)]
        caller = service.assume_role(role, "s-1", policies=narrowed).principal
        before = _secrets(service)
        denied = False
        try:
            realm(caller, call[0], **call[1])
        except AccessDeniedException:
            denied = True
        except ServiceError:
            pass
        (event, *_) = service.audit.lookup(event_name=call[0])
        noted = (event.get("additionalEventData") or {}).get("accessDeniedButLetThrough", [])
        return denied, _secrets(service) != before, noted


def _secrets(service: EmbeddedService) -> list[Any]:
    """All that is kept of the secrets; the day of the last access is no change."""
    with service.door.store.transaction(write=False) as tx:
        found = tx.page(Scope(HOME, service.region), SecretQuery(include_deleted=True)).secrets
        return [
            (replace(each, accessed_on=None), dict(tx.labels(each.arn)), len(tx.versions(each.arn)))
            for each in found
        ]


@_QUICK
@given(_call, _own, _on_secret, _session)
def test_a_denied_call_changes_nothing(call: Any, own: Any, on_secret: Any, session: Any) -> None:
    denied, changed, _ = _try(call, own, on_secret, session)
    assert not (denied and changed)


@_QUICK
@given(_call, _own, _on_secret, _session, _statements(principal=False))
def test_one_more_deny_lets_nobody_in(
    call: Any, own: Any, on_secret: Any, session: Any, more: Any
) -> None:
    if _try(call, own, on_secret, session)[0]:
        assert _try(call, [*own, {**more, "Effect": "Deny"}], on_secret, session)[0]


@_QUICK
@given(_call, _own, _on_secret, _session, st.integers(0, 3))
def test_one_allow_less_lets_nobody_in(
    call: Any, own: Any, on_secret: Any, session: Any, index: int
) -> None:
    if _try(call, own, on_secret, session)[0]:
        left = [s for i, s in enumerate(own) if i != index or s["Effect"] == "Deny"]
        assert _try(call, left, on_secret, session)[0]


@_QUICK
@given(_call, _own, _on_secret, _session, st.integers(0, 2**16))
def test_the_order_of_statements_does_not_matter(
    call: Any, own: Any, on_secret: Any, session: Any, seed: int
) -> None:
    shuffled = random.Random(seed).sample(own, len(own))
    assert _try(call, own, on_secret, session)[0] == _try(call, shuffled, on_secret, session)[0]


@_QUICK
@given(_call, _own, _on_secret, _session)
def test_audit_only_records_just_what_would_be_denied(
    call: Any, own: Any, on_secret: Any, session: Any
) -> None:
    would_be = _try(call, own, on_secret, session)[0]
    denied, _, noted = _try(call, own, on_secret, session, access="audit")
    assert not denied
    assert bool(noted) == would_be


_texts = st.text(max_size=24)
_arns = st.sampled_from(
    [f"arn:aws:iam::{OTHER}:user/x", "arn:aws:iam::1:root", "rds.amazonaws.com"]
)


@_QUICK
@given(st.one_of(_texts, _arns), st.sampled_from([HOME, OTHER, "", "0"]), _call)
def test_a_caller_that_nobody_knows_is_let_in_nowhere(arn: str, account: str, call: Any) -> None:
    """Whatever its name looks like."""
    clock = FakeClock(datetime(2026, 9, 24, tzinfo=UTC))
    with EmbeddedService(clock=clock) as service:
        realm = Realm(service, clock)
        realm.secret()
        before = _secrets(service)
        caller = Principal(arn, account)
        code, _ = realm.refused(caller, call[0], **call[1])
        assert code in ("AccessDeniedException", "ResourceNotFoundException")
        assert _secrets(service) == before
