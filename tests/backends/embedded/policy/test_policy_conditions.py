"""The condition operators, one rule a test."""

from typing import Any

import pytest

from smclient_embedded.policy import Reason, Request, evaluate, read_policies

_USER = "arn:aws:iam::111122223333:user/dev"


def reason(effect: str, condition: dict[str, Any], context: dict[str, Any]) -> Reason:
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": condition}
    grant = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    statements = [statement] if effect == "Allow" else [grant, statement]
    policy = {"Version": "2012-10-17", "Statement": statements}
    request = Request(_USER, "111122223333", "secretsmanager:GetSecretValue", "*", context)
    decision = evaluate(request, read_policies({"identity": policy}))
    assert decision.error is None
    return decision.reason


def holds(operator: str, wanted: Any, context: dict[str, Any], key: str = "a:k") -> bool:
    """Whether the condition is met; an Allow and a Deny must agree on it."""
    condition = {operator: {key: wanted}}
    met = reason("Allow", condition, context) is Reason.ALLOW
    assert (reason("Deny", condition, context) is Reason.EXPLICIT_DENY) is met
    return met


def is_undecided(operator: str, wanted: Any, context: dict[str, Any]) -> bool:
    """Whether an Allow with the condition does not apply although a Deny with it does."""
    condition = {operator: {"a:k": wanted}}
    return (
        reason("Allow", condition, context) is Reason.IMPLICIT_DENY
        and reason("Deny", condition, context) is Reason.EXPLICIT_DENY
    )


@pytest.mark.parametrize(
    ("operator", "wanted", "seen", "met"),
    [
        ("StringEquals", "blue", "blue", True),
        ("StringEquals", "blue", "Blue", False),
        ("StringEquals", "b*", "blue", False),
        ("StringEquals", "b*", "b*", True),
        ("StringEqualsIgnoreCase", "blue", "BLUE", True),
        ("StringNotEqualsIgnoreCase", "blue", "BLUE", False),
        ("StringLike", "b?u*", "blue", True),
        ("StringLike", "b?u*", "Blue", False),
        ("StringLike", "lu", "blue", False),
        ("StringLike", "b*", "b\nc", True),
        ("StringLike", "arn:*:x", "arn:a:b:c:x", True),
        ("StringNotLike", "b*", "blue", False),
        ("NumericEquals", "7", "7.0", True),
        ("NumericEquals", 7, "7", True),
        ("NumericNotEquals", "7", "8", True),
        ("NumericGreaterThan", "30", "100", True),
        ("NumericGreaterThanEquals", "7", "7.0", True),
        ("NumericLessThan", 14, "7", True),
        ("NumericLessThanEquals", "-1", "-1.5", True),
        ("NumericLessThan", "14", "few", False),
        ("NumericLessThan", "few", "14", False),
        ("DateEquals", "2026-03-10", "2026-03-10T00:00:00Z", True),
        ("DateEquals", "2026-03-10T14:00:00+02:00", "2026-03-10T12:00:00Z", True),
        ("DateNotEquals", "2026-03-10", "2026-03-11", True),
        ("DateLessThan", "2026-03-10T12:00:00.5Z", "2026-03-10T12:00:00Z", True),
        ("DateLessThanEquals", "1773144000", "2026-03-10T12:00:00Z", True),
        ("DateGreaterThan", "2026-03-10T11:59:59Z", "1773144000", True),
        ("DateGreaterThanEquals", 1773144000, "1773144000", True),
        ("DateLessThan", "2026-13-10", "2026-03-10", False),
        ("DateLessThan", "2026-03-10", "soon", False),
        ("Bool", "true", "true", True),
        ("Bool", True, "True", True),
        ("Bool", "false", "true", False),
        ("Bool", "true", "yes", False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ6", False),
        ("BinaryEquals", "QmluYXJ5", "not base64", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.25", True),
        ("IpAddress", "203.0.113.25", "203.0.113.26", False),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
        ("IpAddress", "2001:DB8::/32", "2001:db8::1", True),
        ("IpAddress", "203.0.113.0/24", "nowhere", False),
        ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True),
        ("NotIpAddress", "203.0.113.0/24", "2001:db8::1", True),
        ("ArnEquals", "arn:aws:iam::*:role/a*", "arn:aws:iam::1:role/a/b", True),
        ("ArnLike", "arn:aws:sns:*:1:t", "arn:aws:sns:r:2:1:t", False),
        ("ArnLike", "arn:aws:sns:*:1:t:*", "arn:aws:sns:r:1:t:s:u", True),
        ("ArnLike", "arn:aws:s3", "arn:aws:s3", False),
        ("ArnLike", "arn:aws:iam::1:role/A", "arn:aws:iam::1:role/a", False),
        ("ArnNotEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::2:role/a", True),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/a", False),
    ],
)
def test_operator(operator: str, wanted: Any, seen: str, met: bool) -> None:
    """How each operator compares one value with one value."""
    assert holds(operator, wanted, {"a:k": seen}) is met


_NEGATED = [
    ("StringNotEquals", "b"),
    ("StringNotLike", "b*"),
    ("StringNotEqualsIgnoreCase", "b"),
    ("NumericNotEquals", "7"),
    ("DateNotEquals", "2026-03-10"),
    ("NotIpAddress", "203.0.113.0/24"),
    ("ArnNotLike", "arn:aws:iam::1:role/a"),
    ("ArnNotEquals", "arn:aws:iam::1:role/a"),
]
_POSITIVE = [
    ("StringEquals", "b"),
    ("NumericLessThan", "7"),
    ("DateLessThan", "2026-03-10"),
    ("Bool", "false"),
    ("IpAddress", "0.0.0.0/0"),
    ("ArnLike", "arn:aws:iam::1:role/a"),
    ("BinaryEquals", "QQ=="),
]


@pytest.mark.parametrize(("operator", "wanted"), _POSITIVE)
def test_missing_key_makes_a_positive_operator_false(operator: str, wanted: str) -> None:
    """Unless IfExists excuses it."""
    assert not holds(operator, wanted, {})
    assert holds(f"{operator}IfExists", wanted, {})


@pytest.mark.parametrize(("operator", "wanted"), _NEGATED)
def test_missing_key_makes_a_negated_operator_true(operator: str, wanted: str) -> None:
    """With IfExists too, so a Deny with it fires."""
    assert holds(operator, wanted, {})
    assert holds(f"{operator}IfExists", wanted, {})


def test_if_exists_excuses_only_its_own_key() -> None:
    """A present key is tested, and other keys are not excused."""
    assert not holds("StringEqualsIfExists", "blue", {"a:k": "red"})
    condition = {"StringEqualsIfExists": {"a:k": "x"}, "StringEquals": {"a:l": "x"}}
    assert reason("Allow", condition, {}) is Reason.IMPLICIT_DENY
    assert reason("Allow", condition, {"a:l": "x"}) is Reason.ALLOW


def test_null() -> None:
    """True: the key is absent. False: it is present. An empty list of values counts as absent."""
    assert holds("Null", "true", {})
    assert holds("Null", "true", {"a:k": []})
    assert not holds("Null", True, {"a:k": ""})
    assert holds("Null", False, {"a:k": "x"})
    assert not holds("Null", "false", {})


@pytest.mark.parametrize("context", [{}, {"a:k": "x"}, {"a:k": ["x", "y"]}])
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_null_under_set_operators(wanted: str, context: dict[str, Any]) -> None:
    """Always true under ForAllValues, always false under ForAnyValue."""
    assert holds("ForAllValues:Null", wanted, context)
    assert not holds("ForAnyValue:Null", wanted, context)


def test_values_are_ored_keys_and_operators_are_anded() -> None:
    """Under a negated operator none of the values may match."""
    assert holds("StringEquals", ["red", "blue"], {"a:k": "blue"})
    assert not holds("StringNotEquals", ["red", "blue"], {"a:k": "blue"})
    assert holds("StringNotLike", ["r*", "g*"], {"a:k": "blue"})
    both = {"StringEquals": {"a:k": "x", "a:l": "y"}}
    assert reason("Allow", both, {"a:k": "x", "a:l": "y"}) is Reason.ALLOW
    assert reason("Allow", both, {"a:k": "x"}) is Reason.IMPLICIT_DENY


def test_key_names_ignore_case_with_their_tag_part() -> None:
    """Also the part that a tag or an encryption context names."""
    context = {"AWS:principaltag/TEAM": "blue"}
    assert holds("StringEquals", "blue", context, key="aws:PrincipalTag/team")


def test_names_that_differ_only_in_case_are_one_key_with_several_values() -> None:
    """Without a set operator that is undecided."""
    context = {"a:K": "x", "a:k": "y"}
    assert is_undecided("StringEquals", "x", context)
    assert holds("ForAnyValue:StringEquals", "x", context)


@pytest.mark.parametrize(
    ("operator", "seen", "met"),
    [
        ("ForAllValues:StringEquals", ["x", "y"], True),
        ("ForAllValues:StringEquals", ["x", "z"], False),
        ("ForAllValues:StringEquals", "x", True),
        ("ForAllValues:StringEquals", None, True),
        ("ForAllValues:StringEquals", [], True),
        ("ForAllValues:StringNotEquals", ["z", "w"], True),
        ("ForAllValues:StringNotEquals", ["z", "x"], False),
        ("ForAllValues:StringNotEquals", None, True),
        ("ForAllValues:StringEqualsIfExists", None, True),
        ("ForAnyValue:StringEquals", ["z", "x"], True),
        ("ForAnyValue:StringEquals", ["z"], False),
        ("ForAnyValue:StringEquals", None, False),
        ("ForAnyValue:StringEquals", [], False),
        ("ForAnyValue:StringNotEquals", ["x", "z"], True),
        ("ForAnyValue:StringNotEquals", ["x", "y"], False),
        ("ForAnyValue:StringNotEquals", None, False),
    ],
)
def test_set_operators(operator: str, seen: Any, met: bool) -> None:
    """All or any of the request's values against the values x and y; and with no value at all."""
    context = {} if seen is None else {"a:k": seen}
    assert holds(operator, ["x", "y"], context) is met


def test_undecided_conditions_count_against_the_caller() -> None:
    """What the policy language leaves open neither grants nor lets a Deny slip."""
    assert is_undecided("StringEquals", "x", {"a:k": ["x"]})
    assert is_undecided("NumericNotEquals", "7", {"a:k": "few"})
    assert is_undecided("NumericNotEquals", "few", {"a:k": "7"})
    assert is_undecided("NotIpAddress", "203.0.113.0/24", {"a:k": "nowhere"})
    assert is_undecided("StringNotEquals", [], {"a:k": "x"})
    assert is_undecided("ForAnyValue:StringEqualsIfExists", "x", {})
    assert is_undecided("Null", "perhaps", {})


@pytest.mark.parametrize(
    ("operator", "wanted", "met"),
    [
        ("StringEquals", "${a:v}", True),
        ("StringEquals", "${A:V}", True),
        ("StringEquals", "x${a:v}", False),
        ("StringLike", "b${a:none, 'lue'}", True),
        ("StringEquals", "${a:none}", False),
        ("StringLike", "${a:none}*", False),
        ("StringNotEquals", "${a:none}", True),
        ("StringNotLike", "${a:none}", True),
        ("StringEqualsIgnoreCase", "${a:upper}", True),
        ("StringLike", "${a:star}", False),
        ("StringLike", "b${*}ue", False),
        ("StringEquals", "${a:many}", False),
        ("NumericEquals", "${a:v}", False),
    ],
)
def test_variables_in_conditions(operator: str, wanted: str, met: bool) -> None:
    """Literal when substituted; without value or default a positive operator fails."""
    context = {"a:k": "blue", "a:v": "blue", "a:upper": "BLUE", "a:star": "b*", "a:many": ["blue"]}
    assert holds(operator, wanted, context) is met


def test_variables_in_arns_and_truth_values() -> None:
    """A value fills one field of an ARN and cannot bring colons into it; Bool takes variables."""
    context = {"a:k": "arn:aws:iam::1:role/dev", "a:id": "1", "a:name": "dev", "a:two": "iam:"}
    assert holds("ArnLike", "arn:aws:iam::${a:id}:role/${a:name}", context)
    assert not holds("ArnLike", "arn:aws:iam::${a:none}:role/dev", context)
    assert not holds("ArnLike", "arn:aws:${a:two}:1:role/dev", context)
    assert holds("Bool", "${a:flag}", {"a:k": "true", "a:flag": "true"})


def test_operator_names_ignore_case() -> None:
    """As the live service takes them."""
    assert holds("forallvalues:stringlikeifexists", "b*", {"a:k": ["blue"]})
