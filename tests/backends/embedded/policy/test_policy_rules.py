"""The evaluation logic, one rule a test: who is asked, in which order, and what is enough."""

from typing import Any

import pytest

from smclient_embedded.policy import (
    Decision,
    PolicySet,
    Reason,
    Request,
    compile_policy,
    evaluate,
    locks_out,
    read_policies,
)

HOME, AWAY = "111122223333", "444455556666"
SECRET = f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:prod/db-AbC123"
READ = "secretsmanager:GetSecretValue"
USER = f"arn:aws:iam::{HOME}:user/dev"
ROLE = f"arn:aws:iam::{HOME}:role/team/app"
SESSION = f"arn:aws:sts::{HOME}:assumed-role/app/web"
FEDERATED = f"arn:aws:sts::{HOME}:federated-user/carlos"
ROOT = f"arn:aws:iam::{HOME}:root"
LINKED = f"arn:aws:iam::{HOME}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
FOREIGN = f"arn:aws:iam::{AWAY}:user/ext"
SERVICE = "rds.amazonaws.com"


def document(*statements: dict[str, Any], version: str | None = "2012-10-17") -> dict[str, Any]:
    head = {} if version is None else {"Version": version}
    return {**head, "Statement": [{"Action": READ, "Resource": "*", **s} for s in statements]}


def allow(**elements: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", **elements})


def deny(**elements: Any) -> dict[str, Any]:
    return document({"Effect": "Deny", **elements})


def to(*principals: str, **elements: Any) -> dict[str, Any]:
    return allow(Principal={"AWS": list(principals)}, **elements)


SILENT = allow(Action="s3:ListBucket")
FULL = allow(Action="*")


def ask(
    principal: str = USER,
    *,
    role: str | None = None,
    parent: str | None = None,
    action: str = READ,
    resource: str = SECRET,
    context: dict[str, Any] | None = None,
    **policies: Any,
) -> Decision:
    role = role or (ROLE if principal == SESSION else None)
    request = Request(principal, HOME, action, resource, context or {}, role, parent)
    return evaluate(request, read_policies(policies))


def allowed(principal: str = USER, **arguments: Any) -> bool:
    return ask(principal, **arguments).allowed


# What a resource policy grants inside one account ------------------------------------------------


@pytest.mark.parametrize(
    ("named", "caller", "identity", "boundary", "session"),
    [
        (USER, USER, True, True, None),
        (ROLE, SESSION, True, False, False),
        (SESSION, SESSION, True, True, True),
        (FEDERATED, FEDERATED, True, True, True),
        (USER, FEDERATED, True, False, False),
        ("*", SESSION, True, True, True),
        (ROOT, USER, False, False, None),
        (HOME, USER, False, False, None),
        (ROOT, SESSION, False, False, False),
    ],
)
def test_what_each_way_of_naming_the_caller_overrides(
    named: str, caller: str, identity: bool, boundary: bool, session: bool | None
) -> None:
    """The documented table: which silent policy a grant in the secret policy makes up for."""
    policies = {"resource": to(named), "identity": [FULL], "boundary": FULL}
    if session is not None:
        policies["session"] = [FULL]
    role = ROLE if caller == SESSION else None
    request = Request(caller, HOME, READ, SECRET, {}, role, USER if caller == FEDERATED else None)

    def with_silent(**silent: Any) -> bool:
        return evaluate(request, read_policies(policies | silent)).allowed

    assert with_silent()
    assert with_silent(identity=[SILENT]) is identity
    assert with_silent(identity=[], boundary=SILENT) is boundary
    if session is not None:
        assert with_silent(identity=[], session=[SILENT]) is session


def test_star_with_a_condition_is_still_a_direct_grant() -> None:
    """`*` narrowed to the caller by aws:PrincipalArn overrides silent boundaries and sessions."""
    narrowed = to("*", Condition={"ArnEquals": {"aws:PrincipalArn": ROLE}})
    context = {"aws:PrincipalArn": ROLE}
    silent = {"identity": [SILENT], "boundary": SILENT, "session": [SILENT]}
    assert not allowed(SESSION, context=context, **silent)
    request = Request(SESSION, HOME, READ, SECRET, context, ROLE)
    assert evaluate(request, read_policies({**silent, "resource": narrowed})).allowed


def test_account_grant_only_delegates() -> None:
    """Naming the own account adds nothing to what identity policies say."""
    request = Request(USER, HOME, READ, SECRET)
    granted = {"resource": to(ROOT, HOME)}
    assert not evaluate(request, read_policies(granted)).allowed
    assert evaluate(request, read_policies({**granted, "identity": [FULL]})).allowed


def test_root_user_has_every_permission_of_its_account() -> None:
    """Root needs no policy, but a Deny and an SCP gap bind it; elsewhere it has nothing."""
    assert allowed(ROOT)
    assert not allowed(ROOT, identity=[deny()])
    assert not allowed(ROOT, scp=[[SILENT]])
    assert not allowed(f"arn:aws:iam::{AWAY}:root")


def test_several_policies_on_one_secret() -> None:
    """An Allow in any of them counts."""
    request = Request(USER, HOME, READ, SECRET)
    assert evaluate(request, read_policies({"resource": [to(ROLE), to(USER)]})).allowed


# Identity, boundary, session ---------------------------------------------------------------------


def test_nothing_is_allowed_by_default() -> None:
    """Without a policy the answer is an implicit deny."""
    decision = ask()
    assert (decision.allowed, decision.reason) == (False, Reason.IMPLICIT_DENY)


def test_boundary_and_session_policy_only_limit() -> None:
    """They grant nothing, and each must allow what identity policies allow."""
    assert not allowed(boundary=FULL)
    assert not allowed(SESSION, session=[FULL])
    assert allowed(SESSION, identity=[FULL], boundary=FULL, session=[FULL])
    assert not allowed(SESSION, identity=[FULL], boundary=SILENT, session=[FULL])
    assert not allowed(SESSION, identity=[FULL], boundary=FULL, session=[SILENT])


def test_empty_session_policies_differ_from_none() -> None:
    """No session policy limits nothing; an empty list of them allows nothing."""
    assert allowed(SESSION, identity=[FULL])
    assert not allowed(SESSION, identity=[FULL], session=[])


def test_federated_user_needs_a_session_policy() -> None:
    """Without one the session has no identity permissions, not even through its parent user."""
    assert not allowed(FEDERATED, identity=[FULL])
    assert allowed(FEDERATED, identity=[FULL], session=[FULL])
    request = Request(FEDERATED, HOME, READ, SECRET, principal_user=USER)
    assert not evaluate(request, read_policies({"resource": to(USER)})).allowed
    assert evaluate(request, read_policies({"resource": to(FEDERATED)})).allowed


# Explicit deny -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "policy"),
    [
        ("identity", [deny()]),
        ("boundary", document({"Effect": "Allow"}, {"Effect": "Deny"})),
        ("session", [FULL, deny()]),
        ("scp", [[FULL], [FULL, deny()]]),
        ("rcp", [deny(Principal="*")]),
        ("resource", [to(SESSION), deny(Principal="*")]),
    ],
)
def test_explicit_deny_anywhere_ends_it(layer: str, policy: Any) -> None:
    """A Deny in any policy type beats even a direct grant."""
    policies = {"identity": [FULL], "resource": [to(SESSION)], layer: policy}
    request = Request(SESSION, HOME, READ, SECRET, {}, ROLE)
    decision = evaluate(request, read_policies(policies))
    assert decision.reason is Reason.EXPLICIT_DENY
    assert decision.statement is not None


@pytest.mark.parametrize("named", [ROOT, HOME, ROLE, SESSION, "*"])
def test_deny_reaches_whoever_its_principal_covers(named: str) -> None:
    """An account in a Deny is every principal of it, a role is its sessions."""
    request = Request(SESSION, HOME, READ, SECRET, {}, ROLE)
    policies = {"identity": [FULL], "resource": deny(Principal={"AWS": named})}
    assert evaluate(request, read_policies(policies)).reason is Reason.EXPLICIT_DENY


# Across accounts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [FOREIGN, AWAY, f"arn:aws:iam::{AWAY}:root", "*"])
def test_across_accounts_both_sides_must_allow(named: str) -> None:
    """Any way of naming the caller will do for the owner; the caller's own side is needed too."""
    request = Request(FOREIGN, HOME, READ, SECRET)
    owner = {"resource": to(named)}
    assert evaluate(request, read_policies({**owner, "identity": [FULL]})).allowed
    assert not evaluate(request, read_policies(owner)).allowed
    assert not evaluate(request, read_policies({"identity": [FULL]})).allowed


@pytest.mark.parametrize(
    "limit", [{"boundary": SILENT}, {"session": [SILENT]}, {"scp": [[SILENT]]}]
)
def test_across_accounts_nothing_is_bypassed(limit: dict[str, Any]) -> None:
    """Even a grant to the session ARN leaves the caller's own limits in force."""
    session = f"arn:aws:sts::{AWAY}:assumed-role/reader/job"
    request = Request(session, HOME, READ, SECRET)
    policies = {"resource": to(session), "identity": [FULL]}
    assert evaluate(request, read_policies(policies)).allowed
    assert not evaluate(request, read_policies({**policies, **limit})).allowed


# Organizations -----------------------------------------------------------------------------------


def test_every_scp_level_must_allow() -> None:
    """Any policy of a level serves it; one level without an Allow is an implicit deny."""
    assert allowed(identity=[FULL], scp=[[FULL], [SILENT, FULL]])
    assert not allowed(identity=[FULL], scp=[[FULL], []])
    decision = ask(identity=[FULL], scp=[[FULL], [SILENT]])
    assert (decision.reason, decision.level) == (Reason.IMPLICIT_DENY, 1)


def test_scp_allow_grants_nothing_and_beats_direct_grants() -> None:
    """An SCP is a limit, and no grant in a resource policy lifts it."""
    assert not allowed(scp=[[FULL]])
    request = Request(USER, HOME, READ, SECRET)
    assert not evaluate(request, read_policies({"resource": to(USER), "scp": [[SILENT]]})).allowed


def test_organization_policies_spare_service_linked_roles() -> None:
    """Neither SCPs nor RCPs bind a service-linked role."""
    limits = {"scp": [[deny()]], "rcp": [deny(Principal="*")]}
    assert not allowed(SESSION, identity=[FULL], **limits)
    caller = f"arn:aws:sts::{HOME}:assumed-role/AWSServiceRoleForX/s"
    assert allowed(caller, role=LINKED, identity=[FULL], **limits)


@pytest.mark.parametrize("caller", [USER, ROOT, FOREIGN, SERVICE])
def test_rcp_binds_everyone_else(caller: str) -> None:
    """Users, root, foreign principals and services alike."""
    policies = {
        "identity": [FULL],
        "resource": allow(Principal="*"),
        "rcp": [deny(Principal="*")],
    }
    decision = evaluate(Request(caller, HOME, READ, SECRET), read_policies(policies))
    assert decision.reason is Reason.EXPLICIT_DENY


def test_rcp_allow_grants_nothing() -> None:
    """RCPFullAWSAccess, written out, changes nothing."""
    assert not allowed(rcp=[allow(Principal="*", Action="*")])


# Services ----------------------------------------------------------------------------------------


def test_service_needs_only_the_resource_policy() -> None:
    """Named as Service or by `*`; SCPs and identity policies are not asked."""
    request = Request(SERVICE, HOME, READ, SECRET)
    for principal in ({"Service": SERVICE}, "*", {"AWS": "*"}):
        policies = {"resource": allow(Principal=principal), "scp": [[SILENT]], "boundary": SILENT}
        assert evaluate(request, read_policies(policies)).allowed
    for principal in ({"Service": "s3.amazonaws.com"}, {"AWS": HOME}, {"AWS": SERVICE}):
        assert not evaluate(
            request, read_policies({"resource": allow(Principal=principal), "identity": [FULL]})
        ).allowed


# Principal and NotPrincipal ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        USER.upper(),
        f"arn:aws:iam::{HOME}:user/*",
        f"arn:aws:iam::{HOME}:group/dev",
        f"arn:aws:iam::{HOME}:role/app",
        f"arn:aws:sts::{HOME}:assumed-role/app/other",
        f"arn:aws-cn:iam::{HOME}:root",
    ],
)
def test_principals_are_exact_strings(named: str) -> None:
    """Case, paths and session names count; wildcards inside an ARN and groups name nobody."""
    for caller, role in ((USER, None), (SESSION, ROLE)):
        request = Request(caller, HOME, READ, SECRET, {}, role)
        assert not evaluate(request, read_policies({"resource": to(named)})).allowed


def spared(principal: str, listed: list[str], **policies: Any) -> bool:
    request = Request(principal, HOME, READ, SECRET, {}, ROLE if principal == SESSION else None)
    guard = deny(NotPrincipal={"AWS": listed})
    return evaluate(
        request, read_policies({"identity": [FULL], "resource": guard, **policies})
    ).allowed


def test_notprincipal_spares_those_whose_every_name_is_listed() -> None:
    """User and account; session, role and account. Others of the account are denied."""
    assert spared(USER, [USER, ROOT])
    assert spared(USER, [USER, HOME])
    assert spared(SESSION, [SESSION, ROLE, ROOT])
    assert not spared(SESSION, [SESSION, ROOT])
    assert not spared(f"arn:aws:iam::{HOME}:user/other", [USER, ROOT])


def test_notprincipal_always_hits_a_principal_with_a_boundary() -> None:
    """Listed or not."""
    assert not spared(USER, [USER, ROOT], boundary=FULL)


def test_notprincipal_with_allow_grants_nothing() -> None:
    """AWS does not support it; the engine does not let everyone else in."""
    request = Request(USER, HOME, READ, SECRET)
    policy = allow(NotPrincipal={"AWS": FOREIGN})
    assert not evaluate(request, read_policies({"resource": policy})).allowed


# Errors, lock-out --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "principal",
    [
        "",
        "*",
        "anonymous",
        "arn:aws:iam::1:user/dev",
        f"arn:aws:iam::{HOME}:group/dev",
        f"arn:aws:sts::{HOME}:assumed-root",
    ],
)
def test_unknown_callers_are_refused(principal: str) -> None:
    """Nobody is anonymous; an error refuses and says so."""
    decision = ask(principal, identity=[FULL])
    assert not decision.allowed
    assert decision.error


def test_role_of_another_account_is_refused() -> None:
    """A session and its role are of one account."""
    assert ask(SESSION, role=f"arn:aws:iam::{AWAY}:role/app", identity=[FULL]).error


def test_session_without_a_role_has_a_role_without_a_path() -> None:
    """The role is then taken from the session ARN; a role ARN is a caller too."""
    role = f"arn:aws:iam::{HOME}:role/app"
    for caller in (SESSION, role):
        assert evaluate(
            Request(caller, HOME, READ, SECRET), read_policies({"resource": to(role)})
        ).allowed


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Statement": 1}', '{"a": 1, "a": 2}'])
def test_unreadable_policy_refuses(text: str) -> None:
    """It might hold a Deny, so no other policy helps, and the decision says which it is."""
    decision = ask(identity=[FULL, text])
    assert decision.error
    assert "identity-based policy 2" in decision.error


def test_unreadable_statement_grants_nothing_or_refuses() -> None:
    """An Allow with a fault is as if it were not there; a Deny with a fault refuses."""
    fault = {"Condition": {"StringEqual": {"aws:username": "x"}}}
    assert allowed(identity=[FULL, allow(**fault)])
    assert not allowed(identity=[allow(**fault)])
    assert ask(identity=[FULL, deny(**fault)]).error


def test_lock_out() -> None:
    """A new policy that takes from the caller what it has now, and only that."""
    put = Request(USER, HOME, "secretsmanager:PutResourcePolicy", SECRET)
    closed = (compile_policy(deny(Principal="*", Action="*"), "resource"),)
    admin = read_policies({"identity": [FULL]})
    assert locks_out(put, admin, closed)
    assert not locks_out(put, admin, ())
    assert not locks_out(put, PolicySet(), closed)
