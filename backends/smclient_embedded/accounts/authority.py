"""The authoriser: the policy engine, asked with everything that is known of caller and resource.

Compiled policies and the caller's own condition keys are kept for each caller until the accounts
change, and so are answers that no condition had a part in. The administrator in the own account,
where no policy can bind it, costs one comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from smclient_embedded.access import ALLOWED, Access, AccessRequest
from smclient_embedded.accounts.directory import Accounts, Directory
from smclient_embedded.accounts.records import Identity, KeyRules
from smclient_embedded.condition_keys import OF_THE_CALL, Context, condition_keys, principal_context
from smclient_embedded.context import Principal
from smclient_embedded.policy import (
    CompiledPolicy,
    Decision,
    Key,
    KeyGrant,
    Kind,
    LazyContext,
    PolicySet,
    PolicyType,
    Reason,
    Request,
    compile_policy,
    evaluate,
    evaluate_key,
    evaluate_trust,
    managed_key_policy,
)
from smclient_embedded.store.records import KeyRecord

logger = logging.getLogger("smclient.embedded.access")

KEPT_CALLERS = 4096
_CONSTRAINTS = frozenset({"EncryptionContextSubset", "EncryptionContextEquals"})

_Place = tuple[Principal, str, str, str, tuple[str, ...], bool]


@dataclass(frozen=True, slots=True)
class _Caller:
    """A caller as the engine takes it."""

    policies: PolicySet
    keys: Context
    role: str | None
    user: str | None
    is_gone: bool = False
    """Whether it is nobody any more, and so is refused."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was worked out from one state of the accounts. Whoever still works with an older state
    keeps to an older one of these."""

    stamp: str
    allowed: Access
    """What every Allow is that nothing else had a part in."""
    callers: dict[Principal, _Caller] = field(default_factory=dict)
    sets: dict[tuple[Principal, str, tuple[str, ...]], PolicySet] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    unconditional: dict[_Place, Access] = field(default_factory=dict)
    """Answers in which no condition had a part: the same question has the same answer."""


class PolicyAuthoriser:
    """Decides by the accounts of a store. Never raises: what goes wrong refuses."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._kept = _nothing_kept("")

    def __call__(self, request: AccessRequest) -> Access:
        """See ``Authoriser``."""
        try:
            accounts = self._directory.current(request.setting)
            kept = self._kept_of(accounts)
            if _is_unbound(request, accounts):
                return kept.allowed
            place = _place(request)
            known = kept.unconditional.get(place)
            if known is not None:
                return known
            context, decision = _decide(kept, request, accounts)
            if not decision.allowed:
                access = Access(False, decision.blame())
            else:
                access = ALLOWED if context.asked & OF_THE_CALL else kept.allowed
            if not context.was_made and decision.error is None:
                _keep(kept.unconditional, place, access)
            return access
        except Exception as error:  # noqa: BLE001  authorization fails closed, whatever happens
            logger.error("a decision could not be made: %s", type(error).__name__)
            action = request.action
            return Access(False, f"because no identity-based policy allows the {action} action")

    def stamp(self) -> str:
        """The state of the accounts that a question would be decided by now, as in
        ``Access.stamp``. Raises ``StoreError``."""
        return self._directory.current().stamp

    def decide(self, request: AccessRequest) -> Decision:
        """The engine's decision, which explains itself; no short cuts."""
        accounts = self._directory.current(request.setting)
        return _decide(self._kept_of(accounts), request, accounts)[1]

    def decide_trust(self, request: AccessRequest) -> Decision:
        """Whether a role may be assumed, by its trust policy in ``policies`` and the caller's."""
        accounts = self._directory.current(request.setting)
        return _decide(self._kept_of(accounts), request, accounts, evaluate_trust)[1]

    def _kept_of(self, accounts: Accounts) -> _Kept:
        kept = self._kept
        if kept.stamp != accounts.stamp:
            self._kept = kept = _nothing_kept(accounts.stamp)
        return kept


def _nothing_kept(stamp: str) -> _Kept:
    return _Kept(stamp, Access(allowed=True, stamp=stamp))


def _decide(
    kept: _Kept,
    request: AccessRequest,
    accounts: Accounts,
    evaluate: Callable[[Request, PolicySet], Decision] = evaluate,
) -> tuple[LazyContext, Decision]:
    principal = request.principal
    caller = kept.callers.get(principal)
    if caller is None:
        caller = _caller(principal, accounts)
        _keep(kept.callers, principal, caller)
    context = LazyContext(partial(condition_keys, request, caller.keys))
    question = Request(
        principal=principal.arn,
        account=request.owner,
        action=request.action,
        resource=request.resource,
        context=context,
        principal_role=caller.role,
        principal_user=caller.user,
    )
    if caller.is_gone:
        return context, _gone(question)
    if request.key is None:
        return context, evaluate(question, _policies(kept, caller, request, accounts))
    key = kept.keys.get(request.key.arn)
    if key is None:
        key = engine_key(request.key, accounts.key_rules(request.key.arn, request.owner))
        _keep(kept.keys, request.key.arn, key)
    policies = _key_policies(kept, caller, request, accounts, key)
    return context, evaluate_key(question, policies, key)


def _place(request: AccessRequest) -> _Place:
    """All that a decision can depend on if no condition and no variable asks for the context."""
    return (
        request.principal,
        request.action,
        request.resource,
        request.owner,
        _on_resource(request),
        request.key is not None,
    )


def _on_resource(request: AccessRequest) -> tuple[str, ...]:
    if request.policies is not None:
        return tuple(request.policies)
    if request.secret is not None and request.secret.policies:
        return tuple(request.secret.policies.values())
    return ()


def engine_key(record: KeyRecord, rules: KeyRules) -> Key:
    """A KMS key as the engine takes it. Without a policy it has KMS's default one, which lets the
    account's own policies decide."""
    scope = record.scope
    if record.managed:
        return Key(scope.account, managed_key_policy(scope.account, scope.region), (), True)
    text = rules.policy or default_key_policy(scope.account)
    grants = tuple(
        KeyGrant(
            grantee=grant.grantee,
            operations=frozenset(grant.operations),
            encryption_context_subset=grant.constraints.get("EncryptionContextSubset"),
            encryption_context_equals=grant.constraints.get("EncryptionContextEquals"),
            unknown_constraint=not grant.constraints.keys() <= _CONSTRAINTS,
        )
        for grant in rules.grants
    )
    return Key(scope.account, compile_policy(text, "resource"), grants)


def default_key_policy(account: str) -> str:
    """The policy that KMS gives a key made without one."""
    return (
        '{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User '
        f'Permissions","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},'
        '"Action":"kms:*","Resource":"*"}]}'
    )


def _is_unbound(request: AccessRequest, accounts: Accounts) -> bool:
    """Whether this is the administrator at home, where nothing could say no."""
    principal = request.principal
    if principal.kind != "administrator" or principal.account != request.owner:
        return False
    if request.policies or (request.secret is not None and request.secret.policies):
        return False
    if request.key is not None and not request.key.managed:
        rules = accounts.key_rules(request.key.arn, request.owner)
        if rules.policy is not None:
            return False
    return not accounts.is_bound(principal.account)


def _policies(
    kept: _Kept, caller: _Caller, request: AccessRequest, accounts: Accounts
) -> PolicySet:
    """The caller's policies beside those on the resource. ``*`` is nobody's resource."""
    on_resource = _on_resource(request)
    is_bound = accounts.is_bound(request.owner)
    if not on_resource and not is_bound:
        return caller.policies
    place = (request.principal, request.owner if is_bound else "", on_resource)
    found = kept.sets.get(place)
    if found is None:
        found = replace(
            caller.policies,
            resource=_compiled(on_resource, "resource"),
            rcp=_compiled(accounts.resource_policies(request.owner), "rcp"),
        )
        _keep(kept.sets, place, found)
    return found


def _key_policies(
    kept: _Kept, caller: _Caller, request: AccessRequest, accounts: Accounts, key: Key
) -> PolicySet:
    """The caller's policies beside that of a key; no organisation binds an AWS managed one."""
    place = (request.principal, request.resource, ("a key",))
    found = kept.sets.get(place)
    if found is None:
        rcp = () if key.aws_managed else accounts.resource_policies(request.owner)
        found = replace(
            caller.policies,
            resource=() if key.policy is None else (key.policy,),
            rcp=_compiled(rcp, "rcp"),
        )
        _keep(kept.sets, place, found)
    return found


K = TypeVar("K")
V = TypeVar("V")


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= KEPT_CALLERS:
        kept.clear()
    kept[key] = value


def _caller(principal: Principal, accounts: Accounts) -> _Caller:
    session = principal.session
    identity = accounts.acts_as(principal)
    texts = [*_identity_policies(identity, accounts), *(session.grants if session else ())]
    boundary = identity.boundary if identity is not None else None
    organisation = accounts.organisation
    member = organisation is not None and organisation.includes(principal.account)
    levels = organisation.levels(principal.account) if organisation else None
    passed = None if session is None else session.policies
    policies = PolicySet(
        identity=_compiled(texts, "identity"),
        boundary=None if boundary is None else compile_policy(boundary, "identity"),
        session=None if passed is None else _compiled(passed, "identity"),
        scp=None if levels is None else tuple(_compiled(level, "scp") for level in levels),
    )
    tags = {**(identity.tags if identity else {}), **dict(session.tags if session else ())}
    keys = principal_context(
        principal,
        unique_id=identity.unique_id if identity is not None else _NO_ID[principal.kind],
        tags=tags,
        organisation=(organisation.organisation_id, organisation.path(principal.account))
        if organisation is not None and member
        else None,
    )
    return _Caller(
        policies,
        keys,
        role=session.source if session and principal.kind == "role" else None,
        user=session.source if session and principal.kind == "federated" else None,
        is_gone=accounts.is_gone(principal),
    )


def _gone(question: Request) -> Decision:
    source = question.principal_role or question.principal_user
    who = f"{source}, whom this session acts for," if source else question.principal
    return Decision(
        allowed=False,
        reason=Reason.IMPLICIT_DENY,
        request=question,
        policy_type=PolicyType.IDENTITY,
        missing=(PolicyType.IDENTITY,),
        error=f"{who} is not there, or is another one of the same name",
    )


_NO_ID = {
    "administrator": "",
    "user": "AIDAUNKNOWN",
    "role": "AROAUNKNOWN",
    "federated": "",
    "service": "",
}


def _identity_policies(identity: Identity | None, accounts: Accounts) -> list[str]:
    if identity is None:
        return []
    account = accounts.account(identity.arn.split(":")[4])
    texts = list(identity.policies.values())
    for name in identity.groups:
        if name in account.groups:
            texts.extend(account.groups[name].policies.values())
    return texts


def _compiled(texts: Sequence[str], kind: Kind) -> tuple[CompiledPolicy, ...]:
    return tuple(compile_policy(text, kind) for text in texts)
