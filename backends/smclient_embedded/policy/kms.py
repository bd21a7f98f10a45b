"""KMS: the key policy comes first, and grants stand beside it.

In the key's own account an identity policy counts only where the key policy delegates to the
account with a matching statement; the root user is no exception. A grant allows what it lists and
never denies. Any Deny and any gap in service control policies beats a grant. Across accounts the
caller's own policies are needed too.

Source: KMS developer guide, "Determining access to AWS KMS keys", "Key policies in AWS KMS",
"Grants in AWS KMS", "Using grant constraints"; for AWS managed keys, the policy KMS shows for
``aws/secretsmanager``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from .decision import Decision, PolicyType, StatementRef
from .document import CompiledPolicy, compile_policy
from .evaluate import Case, Hit, PolicySet, applicable, decide, refused
from .principals import named
from .request import Facts, Request

_CONTEXT_KEY = "kms:encryptioncontext:"
_OUTSIDE_RCP = "kms:retiregrant"
_UNCONSTRAINED = frozenset({"describekey", "retiregrant"})
"""Operations to which grant constraints do not apply: they carry no encryption context."""


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """A KMS grant.

    Attributes:
        grantee: ARN of a user, role, session or account root, or a service name.
        operations: Operation names without ``kms:``.
        encryption_context_subset: Pairs that must all be present.
        encryption_context_equals: Pairs that must be exactly those present.
        unknown_constraint: True if the grant has a constraint this engine does not know; it then
            grants nothing.
    """

    grantee: str
    operations: frozenset[str]
    encryption_context_subset: Mapping[str, str] | None = None
    encryption_context_equals: Mapping[str, str] | None = None
    unknown_constraint: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A KMS key as far as decisions need it: who owns it, its policy, its grants.

    Resource control policies do not bind AWS managed keys.
    """

    account: str
    policy: CompiledPolicy | None
    grants: tuple[KeyGrant, ...] = field(default=())
    aws_managed: bool = False


def evaluate_key(request: Request, policies: PolicySet, key: Key) -> Decision:
    """Decide a ``kms:`` request on a key.

    Args:
        request: The question; ``account`` is ignored in favour of the key's.
        policies: The caller's policies and the organization's; ``resource`` is ignored.
        key: The key.

    Never raises: an error in evaluation is a refusal whose ``error`` says what happened.
    """
    try:
        facts = Facts(request)
        own = () if key.policy is None else (key.policy,)
        if policies.resource != own:
            policies = replace(policies, resource=own)
        bound = applicable(facts, policies)
        if bound.rcp and (key.aws_managed or facts.action == _OUTSIDE_RCP):
            bound = replace(bound, rcp=())
        return decide(
            Case(facts, bound, key.account, PolicyType.KEY, True, _strongest_grant(key, facts))
        )
    except Exception as error:  # noqa: BLE001 - authorization fails closed, whatever comes in
        return refused(request, error)


@lru_cache(maxsize=256)
def managed_key_policy(account: str, region: str, partition: str = "aws") -> CompiledPolicy:
    """The policy of the AWS managed key ``aws/secretsmanager`` of an account and Region.

    It admits every principal of the account through Secrets Manager, and nobody else.
    """
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    through = {
        "kms:CallerAccount": account,
        "kms:ViaService": f"secretsmanager.{region}.{suffix}",
    }
    use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"]
    return compile_policy(
        {
            "Version": "2012-10-17",
            "Id": "auto-secretsmanager-2",
            "Statement": [
                {
                    "Sid": "Allow access through AWS Secrets Manager",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": [*use, "kms:CreateGrant", "kms:DescribeKey"],
                    "Resource": "*",
                    "Condition": {"StringEquals": through},
                },
                {
                    "Sid": "Allow direct access to key metadata to the account",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
                    "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                    "Resource": "*",
                },
            ],
        },
        "resource",
    )


def _strongest_grant(key: Key, facts: Facts) -> Hit | None:
    best: Hit | None = None
    for index, grant in enumerate(key.grants):
        if not _covers(grant, facts):
            continue
        names = frozenset({grant.grantee})
        how = named(facts.caller, names, names)
        if how is not None and (best is None or how > best.grant):
            best = Hit(how, StatementRef(PolicyType.GRANT, index, 0))
    return best


def _covers(grant: KeyGrant, facts: Facts) -> bool:
    service, _, operation = facts.action.partition(":")
    if service != "kms" or operation not in {name.lower() for name in grant.operations}:
        return False
    if grant.unknown_constraint:
        return False
    if operation in _UNCONSTRAINED:
        return True
    subset, equals = grant.encryption_context_subset, grant.encryption_context_equals
    if subset is None and equals is None:
        return True
    pairs = _encryption_context(facts.request)
    if subset is not None and not subset.items() <= pairs.items():
        return False
    return equals is None or dict(equals) == pairs


def _encryption_context(request: Request) -> dict[str, str]:
    """The pairs of the request; names keep their case, to which grant constraints are sensitive."""
    start = len(_CONTEXT_KEY)
    return {
        key[start:]: value
        for key, value in request.context.items()
        if key[:start].lower() == _CONTEXT_KEY and isinstance(value, str)
    }
