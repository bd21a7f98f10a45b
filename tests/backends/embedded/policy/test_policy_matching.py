"""Which actions and resources a statement is about, with wildcards and variables."""

from typing import Any

import pytest

from smclient_embedded.policy import Decision, Reason, Request, evaluate, read_policies

HOME = "111122223333"
SECRET = f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:prod/db-AbC123"
READ = "secretsmanager:GetSecretValue"


def document(*statements: dict[str, Any], version: str | None = "2012-10-17") -> dict[str, Any]:
    head = {} if version is None else {"Version": version}
    return {**head, "Statement": [{"Action": READ, "Resource": "*", **s} for s in statements]}


def allow(**elements: Any) -> dict[str, Any]:
    return document({"Effect": "Allow", **elements})


FULL = allow(Action="*")


def ask(
    identity: list[Any],
    *,
    action: str = READ,
    resource: str = SECRET,
    context: dict[str, Any] | None = None,
) -> Decision:
    user = f"arn:aws:iam::{HOME}:user/dev"
    request = Request(user, HOME, action, resource, context or {})
    return evaluate(request, read_policies({"identity": identity}))


def allowed(identity: list[Any], **arguments: Any) -> bool:
    return ask(identity, **arguments).allowed


# Actions and resources ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        ("*:*", True),
        ("SECRETSMANAGER:getsecretvalue", True),
        ("secretsmanager:*Secret*", True),
        ("secretsmanager:GetSecretValu?", True),
        ("secretsmanager:GetSecretValue?", False),
        ("secretsmanager:Get.ecretValue", False),
        ("secretsmanager:GetSecret", False),
        ("secrets*:GetSecretValue", False),
        ("GetSecretValue", False),
    ],
)
def test_action_patterns(pattern: str, matches: bool) -> None:
    """Case is ignored, `*` is any run, `?` one character, everything else is literal."""
    assert allowed(identity=[allow(Action=pattern)]) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        (SECRET, True),
        (SECRET.replace("prod/db-AbC123", "*"), True),
        (SECRET.replace("AbC123", "??????"), True),
        (SECRET.replace("-AbC123", ""), False),
        (SECRET.replace("-AbC123", "-other-??????"), False),
        (SECRET.replace("prod", "Prod"), False),
        (SECRET.replace("us-east-1", "us-*"), True),
        (SECRET.replace("us-east-1:", "*"), False),
        ("arn:aws:secretsmanager:us-*:secret:prod/db-AbC123", False),
        ("arn:*:prod/db-AbC123", False),
        (SECRET.replace("prod/db", "prod.db"), False),
        (SECRET.replace("prod/db-AbC123", "p*d/d*-*C*3"), True),
    ],
)
def test_resource_patterns(pattern: str, matches: bool) -> None:
    """Six fields, each on its own; in the sixth `*` crosses slashes and colons."""
    assert allowed(identity=[allow(Resource=pattern)]) is matches


def test_action_without_resource_type_needs_a_star() -> None:
    """Its resource is `*`, which no ARN pattern covers and NotResource does."""
    listing: dict[str, Any] = {"action": "secretsmanager:ListSecrets", "resource": "*"}
    everything = SECRET.replace("prod/db-AbC123", "*")
    assert allowed(identity=[allow(Action="*")], **listing)
    assert not allowed(identity=[allow(Action="*", Resource=everything)], **listing)
    other = document({"Effect": "Deny", "Action": "*", "NotResource": everything})
    del other["Statement"][0]["Resource"]
    assert not allowed(identity=[FULL, other], **listing)


def test_notaction_and_notresource_are_complements() -> None:
    """What is listed is spared, which for an Allow means merely not granted."""
    statement: dict[str, Any] = {"Effect": "Allow", "NotAction": READ, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": statement}
    assert allowed(identity=[policy], action="secretsmanager:DescribeSecret")
    assert ask(identity=[policy]).reason is Reason.IMPLICIT_DENY
    guard = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*"}}
    guard["Statement"]["NotResource"] = SECRET  # type: ignore[index]
    assert allowed(identity=[FULL, guard])
    assert not allowed(identity=[FULL, guard], resource=SECRET.replace("prod", "dev"))


def test_matching_time_does_not_explode() -> None:
    """A pattern of many stars against a long name is still answered at once."""
    pattern = SECRET.replace("prod/db-AbC123", "*a" * 60 + "b")
    resource = SECRET.replace("prod/db-AbC123", "a" * 4000)
    assert not allowed(identity=[allow(Resource=pattern)], resource=resource)


# Variables ---------------------------------------------------------------------------------------


def name(pattern: str) -> str:
    return SECRET.replace("prod/db-AbC123", pattern)


@pytest.mark.parametrize(
    ("pattern", "context", "matches"),
    [
        ("${aws:username}/*", {"aws:username": "prod"}, True),
        ("${AWS:UserName}/*", {"aws:username": "prod"}, True),
        ("${aws:username}/*", {}, False),
        ("${aws:username, 'prod'}/*", {}, True),
        ("${aws:username, 'prod'}/*", {"aws:username": "dev"}, False),
        ("${aws:username}/*", {"aws:username": "*"}, False),
        ("${aws:TagKeys}/*", {"aws:TagKeys": ["prod"]}, False),
        ("prod/db-${?}bC123", {}, False),
        ("${*}", {}, False),
    ],
)
def test_variables_in_resources(pattern: str, context: dict[str, Any], matches: bool) -> None:
    """Names ignore case, defaults stand in, values are literal, multivalued keys have no value."""
    assert allowed(identity=[allow(Resource=name(pattern))], context=context) is matches


def test_variables_outside_the_sixth_field_are_text() -> None:
    """They match nothing there."""
    pattern = SECRET.replace("us-east-1", "${aws:RequestedRegion}")
    context = {"aws:RequestedRegion": "us-east-1"}
    assert not allowed(identity=[allow(Resource=pattern)], context=context)


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_variables_are_text_before_2012(version: str | None) -> None:
    """A Deny under the old version protects nothing by a variable."""
    context = {"aws:username": "prod"}
    guard = document({"Effect": "Deny", "Resource": name("${aws:username}/*")}, version=version)
    assert allowed(identity=[FULL, guard], context=context)
    literal = name("${aws:username}/x")
    grant = document({"Effect": "Allow", "Resource": literal}, version=version)
    assert allowed(identity=[grant], context=context, resource=literal)


def test_unresolved_variable_in_notresource_counts_against_the_caller() -> None:
    """It is unknown what was to be spared: an Allow does not apply, a Deny does."""
    for effect, expected in (("Allow", Reason.IMPLICIT_DENY), ("Deny", Reason.EXPLICIT_DENY)):
        statement = {"Effect": effect, "Action": "*", "NotResource": name("${aws:username}/*")}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        others = [] if effect == "Allow" else [FULL]
        assert ask(identity=[*others, policy]).reason is expected
