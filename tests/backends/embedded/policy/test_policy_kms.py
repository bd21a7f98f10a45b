"""KMS keys: the key policy first, then grants; AWS managed keys."""

from typing import Any

import pytest

from smclient_embedded.policy import (
    Decision,
    PolicyType,
    Reason,
    managed_key_policy,
    simulate,
)

HOME, AWAY = "111122223333", "444455556666"
KEY = f"arn:aws:kms:us-east-1:{HOME}:key/1234abcd"
SECRET = f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:prod/db-AbC123"
USER = f"arn:aws:iam::{HOME}:user/dev"
ROLE = f"arn:aws:iam::{HOME}:role/app"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/app/web"
ROOT = f"arn:aws:iam::{HOME}:root"
VIA = {
    "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com",
    "kms:CallerAccount": HOME,
    "kms:EncryptionContext:SecretARN": SECRET,
    "kms:EncryptionContext:SecretVersionId": "v1",
    "kms:EncryptionContextKeys": ["SecretARN", "SecretVersionId"],
}


def policy(effect: str = "Allow", action: str = "kms:*", **elements: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": action, "Resource": "*", **elements}
    return {"Version": "2012-10-17", "Statement": [statement]}


def to(principal: str, **elements: Any) -> dict[str, Any]:
    return policy(Principal={"AWS": principal}, **elements)


def decrypt(
    principal: str = USER,
    key_policy: Any = None,
    *,
    action: str = "kms:Decrypt",
    grants: Any = (),
    aws_managed: bool = False,
    context: Any = None,
    **policies: Any,
) -> Decision:
    kms = {"key_policy": key_policy, "grants": list(grants), "aws_managed": aws_managed}
    return simulate(
        {
            "principal": principal,
            "account": HOME,
            "action": action,
            "resource": KEY,
            "context": VIA if context is None else context,
            "policies": {**policies, "kms": kms},
        }
    )


def test_identity_policies_count_only_through_the_account_statement() -> None:
    """And only for the actions and conditions of that statement."""
    identity = [policy()]
    assert decrypt(key_policy=to(ROOT), identity=identity).allowed
    assert not decrypt(key_policy=to(ROLE), identity=identity).allowed
    assert not decrypt(key_policy=to(ROOT, action="kms:Encrypt"), identity=identity).allowed
    narrow = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    assert not decrypt(key_policy=to(ROOT, Condition=narrow), identity=identity).allowed
    decision = decrypt(identity=identity)
    assert decision.policy_type is PolicyType.KEY


def test_root_needs_the_account_statement_too() -> None:
    """A key without it is out of root's reach."""
    assert decrypt(ROOT, to(ROOT)).allowed
    assert not decrypt(ROOT, to(USER)).allowed


def test_direct_and_role_grants_of_the_key_policy() -> None:
    """As in a secret policy: a session ARN overrides silent limits, a role ARN does not."""
    silent: dict[str, Any] = {"boundary": policy(action="s3:*"), "session": [policy(action="s3:*")]}
    assert decrypt(USER, to(USER)).allowed
    assert decrypt(SESSION, to(SESSION), **silent).allowed
    assert decrypt(SESSION, to(ROLE)).allowed
    assert not decrypt(SESSION, to(ROLE), **silent).allowed


def test_identity_deny_binds_without_the_account_statement() -> None:
    """Voided Allows do not void Denies."""
    decision = decrypt(USER, to(USER), identity=[policy("Deny")])
    assert decision.reason is Reason.EXPLICIT_DENY


@pytest.mark.parametrize(
    ("grantee", "caller", "allowed"),
    [
        (USER, USER, True),
        (ROLE, SESSION, True),
        (SESSION, SESSION, True),
        (f"{SESSION}2", SESSION, False),
        (USER, SESSION, False),
        ("rds.amazonaws.com", "rds.amazonaws.com", True),
    ],
)
def test_grants_allow_their_grantee(grantee: str, caller: str, allowed: bool) -> None:
    """A grant to a role serves its sessions, a grant to a session serves that session only."""
    grant = {"grantee": grantee, "operations": ["Decrypt"]}
    assert decrypt(caller, to(ROOT), grants=[grant]).allowed is allowed
    assert not decrypt(caller, to(ROOT), grants=[grant], action="kms:Encrypt").allowed


def test_a_deny_and_an_scp_gap_beat_a_grant() -> None:
    """A grant only adds."""
    grants = [{"grantee": USER, "operations": ["Decrypt"]}]
    assert not decrypt(grants=grants, key_policy=policy("Deny", Principal="*")).allowed
    assert not decrypt(grants=grants, identity=[policy("Deny")]).allowed
    assert not decrypt(grants=grants, scp=[[policy(action="s3:*")]]).allowed


@pytest.mark.parametrize(
    ("constraints", "allowed"),
    [
        ({"EncryptionContextSubset": {"SecretARN": SECRET}}, True),
        ({"EncryptionContextSubset": {"secretarn": SECRET}}, False),
        ({"EncryptionContextSubset": {"SecretARN": SECRET.upper()}}, False),
        ({"EncryptionContextEquals": {"SecretARN": SECRET}}, False),
        ({"EncryptionContextEquals": {"SecretARN": SECRET, "SecretVersionId": "v1"}}, True),
        ({"SomethingNew": {}}, False),
    ],
)
def test_grant_constraints(constraints: dict[str, Any], allowed: bool) -> None:
    """Names and values see case; Equals wants exactly the two pairs; unknown ones fail."""
    grant = {"grantee": USER, "operations": ["Decrypt"], "constraints": constraints}
    assert decrypt(grants=[grant]).allowed is allowed


def test_constraints_do_not_concern_operations_without_a_context() -> None:
    """DescribeKey has no encryption context to constrain."""
    constraints = {"EncryptionContextSubset": {"SecretARN": "x"}}
    grant = {"grantee": USER, "operations": ["DescribeKey"], "constraints": constraints}
    assert decrypt(grants=[grant], action="kms:DescribeKey", context={}).allowed


def test_condition_names_of_the_encryption_context_ignore_case() -> None:
    """Unlike grants; the values of kms:EncryptionContextKeys do see case."""
    narrow = {"StringEquals": {"kms:EncryptionContext:secretarn": SECRET}}
    assert decrypt(USER, to(USER, Condition=narrow)).allowed
    keys = {"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["secretarn"]}}
    assert not decrypt(USER, to(USER, Condition=keys)).allowed


def test_across_accounts_key_policy_and_identity_are_both_needed() -> None:
    """A grant stands in for the key policy, not for the caller's own policies."""
    foreign = f"arn:aws:iam::{AWAY}:user/ext"
    grant = {"grantee": foreign, "operations": ["Decrypt"]}
    for owner in ({"key_policy": to(foreign)}, {"key_policy": to(AWAY)}, {"grants": [grant]}):
        assert decrypt(foreign, identity=[policy()], **owner).allowed
        assert not decrypt(foreign, **owner).allowed
    assert not decrypt(foreign, to(ROOT), identity=[policy()]).allowed


def test_aws_managed_key() -> None:
    """Anyone of the account through Secrets Manager, nobody else; RCPs do not bind it."""
    managed: dict[str, Any] = {"aws_managed": True, "rcp": [policy("Deny", Principal="*")]}
    assert decrypt(**managed).allowed
    assert not decrypt(context={"kms:CallerAccount": HOME}, **managed).allowed
    foreign = {**VIA, "kms:CallerAccount": AWAY}
    assert not decrypt(f"arn:aws:iam::{AWAY}:user/ext", context=foreign, **managed).allowed
    assert not managed_key_policy(HOME, "us-east-1").faults


def test_rcp_binds_customer_keys_except_for_retiring_grants() -> None:
    """kms:RetireGrant is outside."""
    rcp = [policy("Deny", Principal="*")]
    assert not decrypt(USER, to(USER), rcp=rcp).allowed
    assert decrypt(USER, to(USER), action="kms:RetireGrant", rcp=rcp).allowed


def test_key_of_a_third_account_is_judged_by_its_own_account() -> None:
    """The secret is allowed at home, the key belongs elsewhere and needs a grant of its owner."""
    key = KEY.replace(HOME, AWAY)
    statements = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    case: dict[str, Any] = {
        "principal": USER,
        "account": HOME,
        "action": "secretsmanager:GetSecretValue",
        "resource": SECRET,
        "context": {},
        "policies": {
            "identity": [{"Version": "2012-10-17", "Statement": statements}],
            "kms": {"key": key, "actions": ["kms:Decrypt"], "context": VIA},
        },
    }
    assert not simulate(case).allowed
    case["policies"]["kms"]["key_policy"] = to(HOME)
    decision = simulate(case)
    assert decision.allowed
    assert decision.request.resource == SECRET


def test_kms_actions_without_a_key_follow_the_general_rules() -> None:
    """kms:ListKeys has no key policy."""
    case = {
        "principal": USER,
        "account": HOME,
        "action": "kms:ListKeys",
        "resource": "*",
        "policies": {"identity": [policy()]},
    }
    assert simulate(case).allowed


def test_denial_message_calls_the_key_policy_resource_based() -> None:
    """As AWS words it."""
    assert (
        decrypt()
        .message()
        .endswith("because no resource-based policy allows the kms:Decrypt action")
    )
