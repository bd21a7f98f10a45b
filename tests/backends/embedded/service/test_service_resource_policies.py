"""Resource policies: what is taken, how it comes back, what validation says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient_embedded.errors import MalformedPolicyDocumentException
from smclient_embedded.policy import parse
from smclient_embedded.resource_policies import accepted, in_order

ACCOUNT = "123456789012"
SYNTAX = "This resource policy contains a syntax error."
PUBLIC = "You can not attach a resource policy that grants Public access to your secret."
LOCKED_OUT = "This resource policy will not allow you to manage this secret in the future."


def policy(*statements: dict[str, Any], **more: Any) -> str:
    """A policy as text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def allow(principal: Any, action: Any = "secretsmanager:GetSecretValue") -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"}


def deny(principal: Any, action: Any) -> dict[str, Any]:
    return {**allow(principal, action), "Effect": "Deny"}


ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
FINE = policy(allow(ROOT))
OPEN = policy(allow("*"))


class TestPuttingAPolicy:
    def test_answers_with_arn_name_and_policy_name(self, world: Any) -> None:
        """And the policy comes back printed as AWS prints it."""
        arn = world.create()
        named = {"ARN": arn, "Name": "s", "PolicyName": "default"}
        assert world("PutResourcePolicy", SecretId="s", ResourcePolicy=FINE) == named
        assert world("GetResourcePolicy", SecretId="s") == {
            **named,
            "ResourcePolicy": "{\n"
            '  "Version" : "2012-10-17",\n'
            '  "Statement" : [ {\n'
            '    "Effect" : "Allow",\n'
            '    "Principal" : {\n'
            f'      "AWS" : "arn:aws:iam::{ACCOUNT}:root"\n'
            "    },\n"
            '    "Action" : "secretsmanager:GetSecretValue",\n'
            '    "Resource" : "*"\n'
            "  } ]\n"
            "}",
        }

    def test_takes_the_place_of_the_one_before(self, world: Any) -> None:
        """As a whole."""
        world.create()
        world("PutResourcePolicy", SecretId="s", ResourcePolicy=OPEN)
        world("PutResourcePolicy", SecretId="s", ResourcePolicy=FINE, PolicyName="default")
        kept = world("GetResourcePolicy", SecretId="s")["ResourcePolicy"]
        assert json.loads(kept) == json.loads(FINE)

    def test_changes_the_secret(self, world: Any) -> None:
        """LastChangedDate moves; no version, no other member."""
        world.create()
        before = world.describe()
        world.clock.advance(seconds=5)
        world("PutResourcePolicy", SecretId="s", ResourcePolicy=FINE)
        after = world.describe()
        assert after["LastChangedDate"] > before["LastChangedDate"]
        assert {**after, "LastChangedDate": 0} == {**before, "LastChangedDate": 0}

    @pytest.mark.parametrize(
        "text",
        [
            "not json",
            "",
            " ",
            "[]",
            "{}",
            "null",
            '"*"',
            policy(),
            policy(allow(ROOT), Version="2013-01-01"),
            policy({**allow(ROOT), "Effect": "allow"}),
            policy({**allow(ROOT), "Wrong": 1}),
            FINE[:-1],
            FINE + "x",
            '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
            policy({**allow(ROOT), "Sid": "\ud800"}),
            "[" * 5000 + "]" * 5000,
            '{"Statement":' + "1" * 5000 + "}",
            FINE.replace('"Allow"', "NaN"),
        ],
    )
    def test_that_is_none_is_malformed_and_changes_nothing(self, memory: Any, text: str) -> None:
        """JSON or grammar alike; the sentence is AWS's, the place is ours."""
        memory.create()
        memory("PutResourcePolicy", SecretId="s", ResourcePolicy=OPEN)
        before = memory("GetResourcePolicy", SecretId="s")
        code, said = memory.refused("PutResourcePolicy", SecretId="s", ResourcePolicy=text)
        if text == "":
            assert code == "ValidationException"
        else:
            assert code == "MalformedPolicyDocumentException"
            assert said.startswith(SYNTAX)
        assert memory("GetResourcePolicy", SecretId="s") == before

    def test_that_is_no_json_is_told_in_awss_words_alone(self, memory: Any) -> None:
        """As recorded, for Put and for Validate."""
        memory.create()
        expected = ("MalformedPolicyDocumentException", SYNTAX)
        for operation in ("PutResourcePolicy", "ValidateResourcePolicy"):
            assert memory.refused(operation, SecretId="s", ResourcePolicy="{") == expected

    def test_with_a_principal_that_cannot_be_says_so(self, memory: Any) -> None:
        """With its place."""
        memory.create()
        text = policy(allow({"AWS": "arn:aws:iam::1:user/x"}))
        code, said = memory.refused("PutResourcePolicy", SecretId="s", ResourcePolicy=text)
        assert code == "MalformedPolicyDocumentException"
        assert said.startswith("This resource policy contains an unsupported principal. ")
        assert "Statement[0].Principal.AWS" in said

    def test_longer_than_it_may_be_is_refused(self, memory: Any) -> None:
        """20,480 characters."""
        memory.create()
        text = policy(allow(ROOT), Id="x" * 20480)
        code, _ = memory.refused("PutResourcePolicy", SecretId="s", ResourcePolicy=text)
        assert code == "ValidationException"

    @pytest.mark.parametrize("operation", ["PutResourcePolicy", "DeleteResourcePolicy"])
    def test_of_another_name_is_not_the_owners_to_change(self, memory: Any, operation: str) -> None:
        """Only ``default`` is."""
        memory.create()
        more = {"ResourcePolicy": FINE} if operation.startswith("Put") else {}
        code, said = memory.refused(operation, SecretId="s", PolicyName="other", **more)
        assert code == "InvalidParameterException"
        assert "other" in said


class TestPublicPolicies:
    @pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": [ROOT["AWS"], "*"]}])
    def test_are_taken_unless_blocked(self, memory: Any, principal: Any) -> None:
        """However the wildcard is written."""
        memory.create()
        text = policy(allow(principal))
        code, said = memory.refused(
            "PutResourcePolicy", SecretId="s", ResourcePolicy=text, BlockPublicPolicy=True
        )
        assert (code, said) == ("PublicPolicyException", PUBLIC)
        assert "ResourcePolicy" not in memory("GetResourcePolicy", SecretId="s")
        memory("PutResourcePolicy", SecretId="s", ResourcePolicy=text)
        memory("PutResourcePolicy", SecretId="s", ResourcePolicy=text, BlockPublicPolicy=False)

    def test_of_one_account_are_not(self, memory: Any) -> None:
        """Its root is a fixed principal."""
        memory.create()
        memory("PutResourcePolicy", SecretId="s", ResourcePolicy=FINE, BlockPublicPolicy=True)


class TestReadingAndDeleting:
    def test_without_a_policy_there_is_none_in_the_answer(self, world: Any) -> None:
        """It is no error."""
        arn = world.create()
        named = {"ARN": arn, "Name": "s", "PolicyName": "default"}
        assert world("GetResourcePolicy", SecretId="s") == named
        assert world("ListResourcePolicies", SecretId="s") == {"ResourcePolicies": []}
        assert world("DeleteResourcePolicy", SecretId="s") == named

    def test_deleted_it_is_gone(self, world: Any) -> None:
        """From reading and from the list."""
        arn = world.create()
        world("PutResourcePolicy", SecretId="s", ResourcePolicy=FINE)
        listed = world("ListResourcePolicies", SecretId="s")
        assert listed == {"ResourcePolicies": [{"PolicyName": "default"}]}
        answer = world("DeleteResourcePolicy", SecretId="s")
        assert answer == {"ARN": arn, "Name": "s", "PolicyName": "default"}
        assert "ResourcePolicy" not in world("GetResourcePolicy", SecretId="s")
        assert world("ListResourcePolicies", SecretId="s") == {"ResourcePolicies": []}

    def test_another_name_that_is_not_there_is_not_found(self, memory: Any) -> None:
        """Only ``default`` may be absent without an error."""
        memory.create()
        code, _ = memory.refused("GetResourcePolicy", SecretId="s", PolicyName="other")
        assert code == "ResourceNotFoundException"

    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("PutResourcePolicy", {"ResourcePolicy": FINE}),
            ("GetResourcePolicy", {}),
            ("DeleteResourcePolicy", {}),
            ("ListResourcePolicies", {}),
            ("ValidateResourcePolicy", {"ResourcePolicy": FINE}),
        ],
    )
    def test_need_a_living_secret(self, memory: Any, operation: str, more: Any) -> None:
        """Unknown, or marked for deletion."""
        assert memory.refused(operation, SecretId="nope", **more) == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
        memory.create()
        memory("DeleteSecret", SecretId="s")
        assert memory.refused(operation, SecretId="s", **more) == (
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )

    def test_are_listed_in_pages(self, memory: Any) -> None:
        """``default`` first, the others by the alphabet; a made-up token is refused."""
        arn = memory.create()
        with memory.service._store.transaction(write=True) as tx:
            secret = tx.secret(arn)
            names = ("b", "default", "a", "Z")
            tx.put_secret(replace(secret, policies=dict.fromkeys(names, FINE)))
        found: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = memory("ListResourcePolicies", SecretId="s", MaxResults=3, **more)
            found += [entry["PolicyName"] for entry in page["ResourcePolicies"]]
            if "NextToken" not in page:
                break
            more = {"NextToken": page["NextToken"]}
        assert (
            found
            == ["default", "Z", "a", "b"]
            == in_order({"a": "", "b": "", "Z": "", "default": ""})
        )
        for token in ("nonsense", "after:", "after:c"):
            code, _ = memory.refused("ListResourcePolicies", SecretId="s", NextToken=token)
            assert code == "InvalidNextTokenException"


class TestValidation:
    def check(self, world: Any, text: str, **more: Any) -> list[tuple[str, str]]:
        """Name and text of each finding."""
        answer = world("ValidateResourcePolicy", ResourcePolicy=text, **more)
        found = [(e["CheckName"], e["ErrorMessage"]) for e in answer["ValidationErrors"]]
        assert answer["PolicyValidationPassed"] is not bool(found)
        return found

    def test_of_a_good_policy_passes(self, world: Any) -> None:
        """With a secret and without."""
        world.create()
        assert self.check(world, FINE) == self.check(world, FINE, SecretId="s") == []

    def test_of_a_public_policy_says_so(self, world: Any) -> None:
        """And stores nothing."""
        world.create()
        assert self.check(world, OPEN, SecretId="s") == [("BlockPublicPolicyCheck", PUBLIC)]
        assert "ResourcePolicy" not in world("GetResourcePolicy", SecretId="s")

    @pytest.mark.parametrize(
        "action",
        ["secretsmanager:PutResourcePolicy", "secretsmanager:*", ["*"], "secretsmanager:Put*"],
    )
    def test_of_a_policy_that_locks_the_caller_out_says_so(self, world: Any, action: Any) -> None:
        """Nobody, not even the root user, could put another one."""
        world.create()
        text = policy(deny("*", action))
        found = [("LockOutCheck", LOCKED_OUT)]
        assert self.check(world, text, SecretId="s") == self.check(world, text) == found

    def test_of_a_policy_that_denies_somebody_else_passes(self, memory: Any) -> None:
        """It is about the caller."""
        memory.create()
        text = policy(deny({"AWS": f"arn:aws:iam::{ACCOUNT}:user/other"}, "secretsmanager:*"))
        assert self.check(memory, text, SecretId="s") == []

    def test_finds_both_at_once(self, memory: Any) -> None:
        """In this order."""
        memory.create()
        text = policy(allow("*"), deny("*", "secretsmanager:PutResourcePolicy"))
        assert [name for name, _ in self.check(memory, text, SecretId="s")] == [
            "BlockPublicPolicyCheck",
            "LockOutCheck",
        ]

    def test_of_text_that_is_no_policy_is_an_error(self, memory: Any) -> None:
        """Not a finding."""
        memory.create()
        code, said = memory.refused("ValidateResourcePolicy", ResourcePolicy="{")
        assert (code, said) == ("MalformedPolicyDocumentException", SYNTAX)


# --- any text -------------------------------------------------------------------------------------

_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)
_conditions = st.dictionaries(
    st.sampled_from(["StringEquals", "NumericLessThan", "Bool", "ForAnyValue:StringLike"]),
    st.dictionaries(
        st.sampled_from(["aws:SourceAccount", "aws:TagKeys", "aws:MultiFactorAuthAge"]),
        st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=5), max_size=3),
        max_size=2,
    ),
    max_size=2,
)
_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Principal": st.sampled_from(["*", ROOT, {"Service": "lambda.amazonaws.com"}]),
        "Action": st.sampled_from(["secretsmanager:*", "secretsmanager:GetSecretValue"]),
        "Resource": st.just("*"),
    },
    optional={"Sid": st.text(max_size=6), "Condition": _conditions},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_statements, min_size=1, max_size=3), st.booleans())
def test_a_policy_that_is_taken_means_the_same_when_it_comes_back(
    statements: list[dict[str, Any]], ascii_only: bool
) -> None:
    """Printing changes the blanks and nothing else; printing twice changes nothing more."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, ensure_ascii=ascii_only)
    try:
        printed = accepted(text)
    except MalformedPolicyDocumentException:
        return
    assert json.loads(printed) == json.loads(text)
    assert accepted(printed) == printed
    parse(printed, "resource")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | _values.map(json.dumps))
def test_any_text_is_a_policy_or_malformed(text: str) -> None:
    """Nothing else is raised."""
    try:
        printed = accepted(text)
    except MalformedPolicyDocumentException:
        return
    parse(printed, "resource")


def test_numbers_come_back_as_they_were_written() -> None:
    """No digit is lost, no ``Infinity`` made."""
    condition = {"Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": "N"}}}
    for number in ("1e400", "0.10", "123456789012345678901234567890", "-0"):
        text = policy({**allow(ROOT), **condition}).replace('"N"', number)
        assert f'"aws:MultiFactorAuthAge" : {number}\n' in accepted(text)
