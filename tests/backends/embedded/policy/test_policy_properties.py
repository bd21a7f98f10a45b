"""What must hold for any policies and any request, found by generated examples."""

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient_embedded.policy import (
    Decision,
    Key,
    KeyGrant,
    PolicyGrammarError,
    PolicySet,
    Request,
    compile_policy,
    evaluate,
    evaluate_key,
    is_public,
    parse,
    read_policies,
)

_QUICK = settings(max_examples=150, deadline=None)
_SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbC123"
_KEY = "arn:aws:kms:us-east-1:111122223333:key/1234"
_USER = "arn:aws:iam::111122223333:user/dev"
_SESSION = "arn:aws:sts::111122223333:assumed-role/app/web"
_ROLE = "arn:aws:iam::111122223333:role/app"
_CALLERS = [
    _USER,
    _SESSION,
    "arn:aws:sts::111122223333:federated-user/carlos",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::444455556666:user/ext",
    "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForX/s",
    "rds.amazonaws.com",
]
_WORDS = ["blue", "red", "*", "b*", "${aws:username}", "${aws:PrincipalTag/x, 'blue'}", "7", "true"]
_KEYS = ["aws:PrincipalTag/team", "aws:TagKeys", "aws:username", "aws:SourceIp", "aws:CurrentTime"]
_BASES = [
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLike",
    "StringEqualsIgnoreCase",
    "NumericLessThan",
    "NumericNotEquals",
    "DateGreaterThan",
    "DateNotEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnLike",
    "ArnNotLike",
]

_any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_operators = st.builds(
    lambda prefix, base, suffix: f"{prefix}{base}{suffix}",
    st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(_BASES),
    st.sampled_from(["", "", "IfExists"]),
)
_conditions = st.dictionaries(
    _operators,
    st.dictionaries(
        st.sampled_from(_KEYS), st.lists(st.sampled_from(_WORDS), max_size=2), max_size=2
    ),
    max_size=2,
)
_aws = st.sampled_from(
    ["*", _USER, _SESSION, _ROLE, "111122223333", "arn:aws:iam::444455556666:root"]
)
_principals = st.one_of(
    st.just("*"),
    st.fixed_dictionaries({"AWS": st.lists(_aws, min_size=1, max_size=3)}),
    st.just({"Service": "rds.amazonaws.com"}),
)


@st.composite
def statements(draw: st.DrawFn, effect: str | None = None, principal: bool = False) -> Any:
    """A valid statement, sometimes with the Not form of an element."""
    actions = ["*", "secretsmanager:*", "secretsmanager:Get*", "kms:*", "kms:Decrypt", "s3:?et*"]
    resources = ["*", _SECRET, _SECRET[:-6] + "??????", "arn:aws:secretsmanager:*:*:secret:x"]
    resources += [_KEY, "arn:aws:secretsmanager:us-east-1:111122223333:secret:${aws:username}/*"]
    statement: dict[str, Any] = {"Effect": effect or draw(st.sampled_from(["Allow", "Deny"]))}
    statement[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(
        st.lists(st.sampled_from(actions), min_size=1, max_size=2)
    )
    statement[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(
        st.lists(st.sampled_from(resources), min_size=1, max_size=2)
    )
    if principal:
        negated = statement["Effect"] == "Deny" and draw(st.booleans())
        statement["NotPrincipal" if negated else "Principal"] = draw(_principals)
    if draw(st.booleans()):
        statement["Condition"] = draw(_conditions)
    return statement


def documents(principal: bool = False) -> st.SearchStrategy[Any]:
    """A valid document."""
    return st.fixed_dictionaries(
        {
            "Version": st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"]),
            "Statement": st.lists(statements(principal=principal), min_size=1, max_size=3),
        }
    )


_own = st.lists(documents(), max_size=2)
_on_resource = st.lists(documents(principal=True), max_size=2)
_policies = st.fixed_dictionaries(
    {
        "identity": _own,
        "resource": _on_resource,
        "boundary": st.none() | documents(),
        "session": st.none() | _own,
        "scp": st.none() | st.lists(_own, min_size=1, max_size=2),
        "rcp": st.lists(documents(principal=True), max_size=1),
    }
)
_contexts = st.fixed_dictionaries(
    {},
    optional={
        "aws:PrincipalTag/Team": st.sampled_from(["blue", "Blue", "*", "red"]),
        "aws:username": st.sampled_from(["dev", "prod"]),
        "aws:TagKeys": st.lists(st.sampled_from(["blue", "red", "7"]), max_size=3),
        "aws:SourceIp": st.sampled_from(["203.0.113.25", "::1", "nowhere"]),
        "aws:CurrentTime": st.sampled_from(["2026-03-10T12:00:00Z", "soon"]),
    },
)
_requests = st.builds(
    lambda principal, action, resource, context: Request(
        principal, "111122223333", action, resource, context
    ),
    st.sampled_from(_CALLERS),
    st.sampled_from(["secretsmanager:GetSecretValue", "kms:Decrypt"]),
    st.sampled_from([_SECRET, _KEY, "*"]),
    _contexts,
)
_layers = st.sampled_from(["identity", "resource", "session", "boundary", "scp", "rcp"])


def _decide(request: Request, policies: Any) -> Decision:
    """Secrets by the general rules, keys with the resource documents as key policy and a grant."""
    compiled = read_policies(policies)
    if request.resource != _KEY:
        return evaluate(request, compiled)
    policy = compiled.resource[0] if compiled.resource else None
    return evaluate_key(request, compiled, Key("111122223333", policy, (_GRANT,)))


_GRANT = KeyGrant(_ROLE, frozenset({"Decrypt"}))


def _documents_of(policies: Any, layer: str) -> list[Any]:
    found = policies[layer]
    if found is None:
        return []
    if layer == "boundary":
        return [found]
    return [document for level in found for document in level] if layer == "scp" else found


@_QUICK
@given(_requests, _policies, _layers, statements(effect="Deny"), _principals)
def test_adding_a_deny_never_grants(
    request: Request, policies: Any, layer: str, deny: Any, principal: Any
) -> None:
    """Whatever was refused is still refused with one more Deny anywhere."""
    if _decide(request, policies).allowed:
        return
    more = copy.deepcopy(policies)
    if layer in ("resource", "rcp"):
        deny = {**deny, "Principal": principal}
    for document in _documents_of(more, layer):
        document["Statement"].append(deny)
    assert not _decide(request, more).allowed


@_QUICK
@given(_requests, _policies, _layers, st.integers(0, 5))
def test_removing_an_allow_never_grants(
    request: Request, policies: Any, layer: str, which: int
) -> None:
    """Whatever was refused is still refused with one Allow less, even the last of a document."""
    if _decide(request, policies).allowed:
        return
    less = copy.deepcopy(policies)
    allows = [
        (document["Statement"], statement)
        for document in _documents_of(less, layer)
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
    ]
    if allows:
        holder, statement = allows[which % len(allows)]
        holder.remove(statement)
    assert not _decide(request, less).allowed


@_QUICK
@given(_requests, _policies, st.randoms(use_true_random=False))
def test_order_does_not_matter(request: Request, policies: Any, shuffler: random.Random) -> None:
    """Statements, documents and context keys may come in any order."""
    shuffled = copy.deepcopy(policies)
    for layer in ("identity", "resource", "session", "rcp"):
        if request.resource != _KEY or layer != "resource":  # a key has one policy, the first here
            shuffler.shuffle(shuffled[layer] or [])
    for layer in ("identity", "resource", "session", "boundary", "scp", "rcp"):
        for document in _documents_of(shuffled, layer):
            shuffler.shuffle(document["Statement"])
    items = list(request.context.items())
    shuffler.shuffle(items)
    other = Request(
        request.principal, request.account, request.action, request.resource, dict(items)
    )
    assert _decide(other, shuffled).reason is _decide(request, policies).reason


@_QUICK
@given(_requests, _policies)
def test_without_any_allow_only_root_is_allowed(request: Request, policies: Any) -> None:
    """Nothing but an Allow grants; the root user of the account is the exception."""
    bare = copy.deepcopy(policies)
    for layer in ("identity", "resource", "boundary", "session"):
        for document in _documents_of(bare, layer):
            document["Statement"] = [s for s in document["Statement"] if s["Effect"] == "Deny"]
    compiled = read_policies(bare)
    assert not evaluate(request, compiled).allowed or request.principal.endswith(":root")


@_QUICK
@given(_requests, _policies)
def test_explaining_never_fails(request: Request, policies: Any) -> None:
    """Every decision explains itself, and a refusal has AWS's message."""
    decision = _decide(request, policies)
    assert decision.explain()
    assert request.action in decision.message()


@_QUICK
@given(_any_json, st.sampled_from(["identity", "resource", "scp", "rcp"]))
def test_parsing_any_json_compiles_or_refuses(document: Any, kind: Any) -> None:
    """`parse` knows two outcomes, for objects and for their text alike."""
    for policy in (document, json.dumps(document)):
        compiled = compile_policy(policy, kind)
        if compiled.faults:
            with pytest.raises(PolicyGrammarError, match=": "):
                parse(policy, kind)
        else:
            assert parse(policy, kind) is compiled


@_QUICK
@given(st.text(max_size=60), st.sampled_from(["identity", "resource", "scp", "rcp"]))
def test_parsing_any_text_compiles_or_refuses(text: str, kind: Any) -> None:
    """So it does for text that is no JSON at all."""
    assert compile_policy(text, kind).faults
    assert is_public(text)


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """A valid identity document with one part replaced by any JSON value."""
    document = copy.deepcopy(draw(documents()))
    holders: list[Any] = [document, *document["Statement"]]
    holders += [s["Condition"] for s in document["Statement"] if s.get("Condition")]
    holder = draw(st.sampled_from(holders))
    holder[draw(st.sampled_from(sorted(holder)))] = draw(_any_json)
    return document


@_QUICK
@given(broken(), _requests)
def test_broken_documents_never_crash_and_never_grant(document: Any, request: Request) -> None:
    """A document that `parse` refuses as unreadable gives no decision that allows."""
    for kind in ("identity", "resource"):
        compiled = compile_policy(document, kind)
        policies = PolicySet(identity=(compiled,), resource=(compiled,))
        decision = evaluate(request, policies)
        assert decision.explain()
        if compiled.unusable is not None:
            assert not decision.allowed


@_QUICK
@given(
    st.text(max_size=20) | st.sampled_from(_CALLERS),
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=6) | st.sampled_from(_KEYS), _any_json, max_size=3),
    _policies,
)
def test_fuzzed_requests_never_crash(
    principal: Any, action: Any, context: Any, policies: Any
) -> None:
    """A request that makes no sense is refused; only the root user needs no policy."""
    request = Request(principal, "111122223333", action, _SECRET, context)
    decision = evaluate(request, read_policies(policies))
    assert decision.explain()
    if decision.error is not None:
        assert not decision.allowed


def test_unreadable_pieces_refuse() -> None:
    """Objects that are not even of the right type refuse like any other error."""
    allow = compile_policy(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        },
        "identity",
    )
    good = Request(_USER, "111122223333", "a:B", "*")
    assert evaluate(good, PolicySet(identity=(allow,))).allowed
    for request in (
        Request(None, "111122223333", "a:B", "*"),  # type: ignore[arg-type]
        Request(_USER, "111122223333", None, "*"),  # type: ignore[arg-type]
        Request(_USER, "111122223333", "a:B", "*", {"a:b": object()}),  # type: ignore[dict-item]
        Request(_USER, "111122223333", "a:B", "*", {1: "x"}),  # type: ignore[dict-item]
    ):
        decision = evaluate(request, PolicySet(identity=(allow,)))
        assert not decision.allowed
        assert decision.error
