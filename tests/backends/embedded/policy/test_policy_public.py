"""Which conditions keep a policy from being public, beyond the shared cases."""

import json
from typing import Any

import pytest

from smclient_embedded.policy import is_public, public_statements


def open_policy(**elements: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*", **elements}
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("StringEquals", "aws:SourceOwner", "111122223333"),
        ("StringEqualsIgnoreCase", "AWS:principalorgid", "o-acme000001"),
        ("StringLike", "aws:PrincipalOrgID", "o-acme000001"),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "o-acme000001/r-ab12/*"),
        ("StringLike", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/*"),
        ("ArnLike", "aws:SourceArn", "arn:aws:sns:*:111122223333:*"),
        ("ArnEquals", "aws:SourceArn", "arn:aws:s3:::bucket"),
        ("IpAddress", "aws:SourceIp", ["11.0.0.0/8", "2001:db8::/32", "203.0.113.7"]),
    ],
)
def test_limiting_conditions(operator: str, key: str, value: Any) -> None:
    """Fixed values under a positive operator on a key that says who calls."""
    assert not is_public(open_policy(Condition={operator: {key: value}}))


@pytest.mark.parametrize(
    ("operator", "key", "value"),
    [
        ("StringNotEquals", "aws:PrincipalAccount", "111122223333"),
        ("StringEqualsIfExists", "aws:SourceVpce", "vpce-1"),
        ("ForAllValues:StringEquals", "aws:PrincipalOrgPaths", "o-acme000001/"),
        ("ForAnyValue:StringLike", "aws:PrincipalOrgPaths", "*/r-ab12/*"),
        ("StringLike", "aws:userid", "AROA?"),
        ("StringEquals", "aws:SourceAccount", ["111122223333", "${aws:PrincipalAccount}"]),
        ("StringEquals", "aws:SourceAccount", []),
        ("StringEquals", "aws:SourceAccount", ""),
        ("Null", "aws:PrincipalOrgID", "false"),
        ("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::111122223333:role/a", "arn:aws:iam::*:x"]),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:::*"),
        ("ArnLike", "aws:SourceArn", "*"),
        ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/a"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/7"),
        ("IpAddress", "aws:SourceIp", "2001::/16"),
        ("IpAddress", "aws:SourceIp", "everywhere"),
        ("IpAddress", "aws:VpcSourceIp", "10.0.0.1"),
        ("StringEquals", "aws:PrincipalTag/team", "blue"),
        ("StringEquals", "aws:RequestedRegion", "us-east-1"),
        ("StringEqual", "aws:SourceVpce", "vpce-1"),
    ],
)
def test_conditions_that_limit_nobody(operator: str, key: str, value: Any) -> None:
    """Negation, IfExists, ForAllValues, wildcards, variables, wide ranges and other keys."""
    assert is_public(open_policy(Condition={operator: {key: value}}))


@pytest.mark.parametrize(
    "elements",
    [
        {"Principal": {"AWS": ["111122223333", "*"]}},
        {"Principal": {"Service": "*"}},
        {"Principal": {"Federated": "arn:aws:iam::111122223333:saml-provider/x"}},
        {"Principal": None},
        {"Effect": "Permit"},
        {"Condition": []},
    ],
)
def test_open_statements(elements: dict[str, Any]) -> None:
    """A star anywhere, an identity provider, and whatever cannot be read."""
    assert is_public(open_policy(**elements))


@pytest.mark.parametrize("policy", ["{", "[]", "1", {"Statement": [1]}])
def test_unreadable_policies_count_as_public(policy: Any) -> None:
    """The check fails closed."""
    assert is_public(policy)


def test_findings_name_the_statement() -> None:
    """Text or object; the finding says which statement is open and how."""
    policy = open_policy(Sid="Everyone")
    policy["Statement"].insert(0, {"Effect": "Deny", "Principal": "*"})
    (found,) = public_statements(json.dumps(policy))
    assert str(found) == (
        "Statement 2 ('Everyone') allows every principal and no condition limits it."
    )
