"""Policy decisions as AWS IAM makes them, for Secrets Manager and KMS.

`parse` checks and compiles a policy; `evaluate`, `evaluate_key` and `evaluate_trust` answer
requests with a `Decision` that explains itself; `public_statements` finds what BlockPublicPolicy
refuses; `simulate` and `lint` answer the documented JSON cases. All of them are pure functions:
nothing here reads a clock, a file or a network.
"""

from .cases import CaseError, lint, read_cases, read_policies, report, simulate
from .decision import (
    ConditionView,
    Decision,
    NearMiss,
    PolicyType,
    Reason,
    StatementRef,
    denial_text,
)
from .document import CompiledPolicy, PolicyGrammarError, compile_policy, parse
from .evaluate import PolicySet, evaluate, evaluate_trust, locks_out
from .grammar import MAX_RESOURCE_POLICY, Fault, Kind
from .kms import Key, KeyGrant, evaluate_key, managed_key_policy
from .public import PublicStatement, accounts_by_condition, is_public, public_statements
from .request import LazyContext, Request

__all__ = [
    "MAX_RESOURCE_POLICY",
    "CaseError",
    "CompiledPolicy",
    "ConditionView",
    "Decision",
    "Fault",
    "Key",
    "KeyGrant",
    "Kind",
    "LazyContext",
    "NearMiss",
    "PolicyGrammarError",
    "PolicySet",
    "PolicyType",
    "PublicStatement",
    "Reason",
    "Request",
    "StatementRef",
    "accounts_by_condition",
    "compile_policy",
    "denial_text",
    "evaluate",
    "evaluate_key",
    "evaluate_trust",
    "is_public",
    "lint",
    "locks_out",
    "managed_key_policy",
    "parse",
    "public_statements",
    "read_cases",
    "read_policies",
    "report",
    "simulate",
]
