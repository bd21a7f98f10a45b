"""What a decision says about itself."""

from typing import Any

from smclient_embedded.policy import Decision, PolicyType, Request, evaluate, read_policies

_USER = "arn:aws:iam::111122223333:user/dev"
_SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbC123"
_READ = "secretsmanager:GetSecretValue"


def policy(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": _READ, "Resource": "*", **elements}
    return {"Version": "2012-10-17", "Statement": [statement]}


def ask(context: dict[str, Any] | None = None, **policies: Any) -> Decision:
    request = Request(_USER, "111122223333", _READ, _SECRET, context or {})
    return evaluate(request, read_policies(policies))


def test_allow_names_its_statement() -> None:
    """Policy type, index and Sid."""
    decision = ask(identity=[policy(Action="s3:*"), policy(Sid="Read")])
    assert decision.statement is not None
    assert decision.policy_type is PolicyType.IDENTITY
    assert (decision.statement.policy, decision.statement.sid) == (1, "Read")
    assert decision.explain() == ("Allowed by statement 1 ('Read') of identity-based policy 2.",)


def test_explicit_deny_shows_the_condition_that_applied() -> None:
    """And what would have to change."""
    condition = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    decision = ask(identity=[policy(), policy("Deny", Condition=condition)])
    assert decision.explain() == (
        "Denied: statement 1 of identity-based policy 2 denies secretsmanager:GetSecretValue.",
        "Its condition applies: BoolIfExists aws:MultiFactorAuthPresent 'false'; "
        "the request has no value.",
        "Needed: no Allow outweighs it; that statement must not match the request.",
    )


def test_implicit_deny_shows_what_failed_and_what_is_needed() -> None:
    """The nearest Allow, its failed condition, the values wanted and seen."""
    near = policy(Condition={"StringEquals": {"aws:PrincipalTag/team": ["blue", "red"]}})
    far = policy(Resource="arn:aws:secretsmanager:us-east-1:111122223333:secret:dev")
    decision = ask({"aws:PrincipalTag/Team": "green"}, identity=[far, near])
    failed = decision.failed_condition
    assert failed is not None
    assert (failed.operator, failed.key) == ("StringEquals", "aws:PrincipalTag/team")
    assert (failed.wanted, failed.seen) == (("blue", "red"), ("green",))
    assert decision.explain()[1:] == (
        f"Needed: an Allow for {_USER} in an identity-based policy.",
        "Nearest: statement 1 of identity-based policy 2 asks for StringEquals "
        "aws:PrincipalTag/team 'blue' or 'red'; the request has 'green'.",
        "Nearest: statement 1 of identity-based policy 1 does not match by its Resource.",
    )


def test_every_missing_policy_type_is_named() -> None:
    """The first to blame first: identity before boundary."""
    decision = ask(boundary=policy(Action="s3:*"))
    assert decision.missing == (PolicyType.IDENTITY, PolicyType.BOUNDARY)
    assert decision.explain()[1] == (
        f"Needed: an Allow for {_USER} in an identity-based policy and in a permissions boundary."
    )


def test_missing_scp_level_is_named() -> None:
    """Which level of the organization lacks the Allow."""
    decision = ask(identity=[policy()], scp=[[policy()], [policy(Action="s3:*")]])
    assert decision.explain()[1] == (
        f"Needed: an Allow for {_USER} in a service control policy of level 2 of the organization."
    )


def test_aws_denial_messages() -> None:
    """Word for word as recorded; the resource as the caller named it."""
    head = f"User: {_USER} is not authorized to perform: {_READ} on resource: "
    assert ask().message() == (
        f"{head}{_SECRET} because no identity-based policy allows the {_READ} action"
    )
    denied = ask(identity=[policy("Deny")])
    assert denied.message("prod/db") == (
        f"{head}prod/db with an explicit deny in an identity-based policy"
    )
    denied = ask(resource=policy("Deny", Principal="*"))
    assert denied.message().endswith("with an explicit deny in a resource-based policy")


def test_equal_questions_have_equal_answers() -> None:
    """Decisions are values."""
    assert ask(identity=[policy()]) == ask(identity=[policy()])
