"""The documented JSON case formats: read a case, ask the engine, give the answer.

Three kinds of case, each a JSON object with an ``id``:

- a request: ``principal``, ``principal_role`` (of a role session), ``account``, ``action``,
  ``resource``, ``context`` (complete) and ``policies`` with ``identity``, ``resource``,
  ``boundary``, ``session``, ``scp``, ``rcp`` and ``kms``. `simulate` answers it.
- a broad-access question: ``policy``. `lint` answers whether it is public.
- a grammar question: ``kind`` with ``document`` or ``text``. `lint` answers whether it is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from .decision import Decision
from .document import CompiledPolicy, compile_policy
from .evaluate import PolicySet, evaluate
from .grammar import Kind, as_list
from .kms import Key, KeyGrant, evaluate_key, managed_key_policy
from .public import public_statements
from .request import ContextValue, Request

Case = Mapping[str, Any]
_KEY_ARN_PARTS = 6
_CONSTRAINTS = frozenset({"EncryptionContextSubset", "EncryptionContextEquals"})


class CaseError(ValueError):
    """Raised if a case is not in the documented format; the message says what it lacks."""


def simulate(case: Case) -> Decision:
    """Decide a request case.

    For a ``kms:`` action on a key, the key policy and grants in ``policies.kms`` are used. For
    any other action, each of ``policies.kms.actions`` is decided on the key once the request
    itself is allowed, and the first that is not allowed is the answer.

    Raises:
        CaseError: The case lacks a field, or a field has the wrong type. Faulty policies do not
            raise: they refuse.
    """
    policies = _mapping(case.get("policies", {}), "policies")
    request = _request(case)
    policy_set = read_policies(policies)
    kms = _mapping(policies.get("kms") or {}, "policies.kms")
    if request.action.lower().startswith("kms:") and _is_key(request.resource):
        return evaluate_key(request, policy_set, _key(request.resource, kms))
    decision = evaluate(request, policy_set)
    if not decision.allowed or "key" not in kms:
        return decision
    arn = _text(kms, "key", "policies.kms")
    key = _key(arn, kms)
    context = _context(kms.get("context", {}), "policies.kms.context")
    for action in as_list(kms.get("actions", [])):
        step = replace(
            request, action=str(action), resource=arn, account=key.account, context=context
        )
        answer = evaluate_key(step, policy_set, key)
        if not answer.allowed:
            return answer
    return decision


def report(case: Case) -> dict[str, Any]:
    """`simulate` as a JSON-ready object: ``id``, ``decision``, ``explanation``; raises alike."""
    decision = simulate(case)
    return {
        "id": case.get("id"),
        "decision": str(decision.reason),
        "explanation": list(decision.explain()),
    }


def lint(case: Case) -> dict[str, Any]:
    """Answer a broad-access or grammar case: ``id``, ``public`` or ``valid``, and ``explanation``.

    Raises:
        CaseError: The case has neither ``policy`` nor ``kind`` with ``document`` or ``text``.
    """
    if "kind" in case and ("document" in case or "text" in case):
        kind = case["kind"]
        if kind not in get_args(Kind):
            raise CaseError(f"kind must be one of {', '.join(get_args(Kind))}")
        faults = _lint_target(case, cast(Kind, kind)).faults
        explanation = [str(fault) for fault in faults]
        return {"id": case.get("id"), "valid": not faults, "explanation": explanation}
    if "policy" in case:
        found = public_statements(case["policy"])
        return {
            "id": case.get("id"),
            "public": bool(found),
            "explanation": [str(statement) for statement in found],
        }
    raise CaseError("a case needs policy, or kind with document or text")


def read_cases(data: object) -> list[Case]:
    """The cases of a loaded file: a list, a case, or an object with ``cases``; raises CaseError."""
    if isinstance(data, Mapping):
        data = data.get("cases", [data])
    if not isinstance(data, list) or not all(isinstance(case, Mapping) for case in data):
        raise CaseError(
            "a case file holds a list of objects, or an object with such a list in 'cases'"
        )
    return data


def read_policies(policies: Mapping[str, Any]) -> PolicySet:
    """Compile the documents of ``policies``; what cannot be read is kept and will refuse.

    Raises:
        CaseError: ``scp`` is not a list of levels.
    """
    boundary, session, scp = (policies.get(name) for name in ("boundary", "session", "scp"))
    if scp is not None and not isinstance(scp, list):
        raise CaseError("policies.scp must be a list of levels, organization root first")
    boundaries = _compiled(boundary, "identity")
    if len(boundaries) > 1:
        raise CaseError("policies.boundary must be one document")
    return PolicySet(
        identity=_compiled(policies.get("identity"), "identity"),
        resource=_compiled(policies.get("resource"), "resource"),
        boundary=boundaries[0] if boundaries else None,
        session=None if session is None else _compiled(session, "identity"),
        scp=None if scp is None else tuple(_compiled(level, "scp") for level in scp),
        rcp=_compiled(policies.get("rcp"), "rcp"),
    )


def _lint_target(case: Case, kind: Kind) -> CompiledPolicy:
    if "text" in case:
        text = case["text"]
        if not isinstance(text, str):
            raise CaseError("text must be a string")
        return compile_policy(text, kind)
    document = case["document"]
    # A document that is itself a string is a JSON value, not policy text.
    return compile_policy([document] if isinstance(document, str) else document, kind)


def _request(case: Case) -> Request:
    role, user = case.get("principal_role"), case.get("principal_user")
    if isinstance(role, str) and ":user/" in role and user is None:
        role, user = None, role
    for name, value in (("principal_role", role), ("principal_user", user)):
        if value is not None and not isinstance(value, str):
            raise CaseError(f"{name} must be a string")
    return Request(
        principal=_text(case, "principal"),
        principal_role=role,
        principal_user=user,
        account=_text(case, "account"),
        action=_text(case, "action"),
        resource=_text(case, "resource"),
        context=_context(case.get("context", {}), "context"),
    )


def _compiled(documents: Any, kind: Kind) -> tuple[CompiledPolicy, ...]:
    if documents is None:
        return ()
    return tuple(compile_policy(document, kind) for document in as_list(documents))


def _key(arn: str, kms: Mapping[str, Any]) -> Key:
    parts = arn.split(":", _KEY_ARN_PARTS - 1)
    if not _is_key(arn):
        raise CaseError("policies.kms.key must be the ARN of a key")
    managed = kms.get("aws_managed") is True
    document = kms.get("key_policy")
    policy = None if document is None else compile_policy(document, "resource")
    if policy is None and managed:
        policy = managed_key_policy(parts[4], parts[3], parts[1])
    grants = tuple(_grant(grant) for grant in as_list(kms.get("grants") or []))
    return Key(parts[4], policy, grants, managed)


def _grant(grant: Any) -> KeyGrant:
    grant = _mapping(grant, "a grant")
    constraints = _mapping(grant.get("constraints") or {}, "constraints of a grant")
    return KeyGrant(
        grantee=_text(grant, "grantee", "a grant"),
        operations=frozenset(str(name) for name in as_list(grant.get("operations", []))),
        encryption_context_subset=constraints.get("EncryptionContextSubset"),
        encryption_context_equals=constraints.get("EncryptionContextEquals"),
        unknown_constraint=not constraints.keys() <= _CONSTRAINTS,
    )


def _is_key(arn: str) -> bool:
    parts = arn.split(":", _KEY_ARN_PARTS - 1)
    return len(parts) == _KEY_ARN_PARTS and parts[2] == "kms" and parts[5].startswith("key/")


def _context(context: Any, where: str) -> dict[str, ContextValue]:
    return {str(key): _value(value) for key, value in _mapping(context, where).items()}


def _value(value: Any) -> ContextValue:
    if isinstance(value, list):
        return [_scalar(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise CaseError("context values must be strings, numbers, booleans or lists of them")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CaseError(f"{where} must be an object")
    return value


def _text(holder: Mapping[str, Any], name: str, where: str = "the case") -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise CaseError(f"{where} needs the string {name!r}")
    return value
