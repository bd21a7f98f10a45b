"""What identity, resource, boundary and session policies do at the door, and AWS's words for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smclient_embedded.errors import ServiceError
from smclient_embedded.model import service_model
from smclient_embedded.operations import OPERATIONS
from tests.backends.embedded.access.realm import HOME, allow, deny, policy

READ = "secretsmanager:GetSecretValue"


def says(caller: str, named: str, end: str, action: str = READ) -> tuple[str, str]:
    return (
        "AccessDeniedException",
        f"User: {caller} is not authorized to perform: {action} on resource: {named} {end}",
    )


class TestIdentityPolicies:
    def test_a_user_without_policies_may_do_nothing(self, realm: Any) -> None:
        realm.secret()
        user = realm.user()
        end = f"because no identity-based policy allows the {READ} action"
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == says(
            user, "prod/db", end
        )

    def test_a_user_may_do_what_the_policy_allows_and_no_more(self, realm: Any) -> None:
        arn = realm.secret()
        realm.secret("dev/db")
        user = realm.user("app", allow("GetSecretValue", on=arn))
        assert realm(user, "GetSecretValue", SecretId="prod/db")["SecretString"] == "the value"
        assert realm.may(user, "GetSecretValue", SecretId=arn[:-7])
        assert not realm.may(user, "GetSecretValue", SecretId="dev/db")
        assert not realm.may(user, "DescribeSecret", SecretId="prod/db")

    def test_an_explicit_deny_wins_and_is_named(self, realm: Any) -> None:
        realm.secret()
        user = realm.user("app", allow("*"), deny("GetSecretValue"))
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == says(
            user, "prod/db", "with an explicit deny in an identity-based policy"
        )

    def test_a_group_gives_its_policies_to_its_users(self, realm: Any) -> None:
        realm.secret()
        group = realm.accounts.create_group("readers", policies=policy(allow("GetSecretValue")))
        user = realm.user("app", groups=["readers"])
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")
        realm.accounts.put_policy(group, "no", policy(deny("*")))
        assert not realm.may(user, "GetSecretValue", SecretId="prod/db")

    def test_a_boundary_limits_what_policies_allow(self, realm: Any) -> None:
        realm.secret()
        user = realm.user("app", allow("*"), boundary=policy(allow("DescribeSecret")))
        assert realm.may(user, "DescribeSecret", SecretId="prod/db")
        end = f"because no permissions boundary allows the {READ} action"
        assert realm.refused(user, "GetSecretValue", SecretId="prod/db") == says(
            user, "prod/db", end
        )

    def test_tags_of_caller_and_secret_are_compared(self, realm: Any) -> None:
        """Both spellings of the resource tag read the same tags."""
        for name, team in (("blue/db", "blue"), ("red/db", "red")):
            realm.secret(name, Tags=[{"Key": "team", "Value": team}])
        for key in ("aws:ResourceTag/team", "secretsmanager:ResourceTag/team"):
            same = {"StringEquals": {key: "${aws:PrincipalTag/team}"}}
            user = realm.user(
                key.partition(":")[0],
                allow("GetSecretValue", Condition=same),
                tags={"team": "blue"},
            )
            assert realm.may(user, "GetSecretValue", SecretId="blue/db")
            assert not realm.may(user, "GetSecretValue", SecretId="red/db")

    def test_a_change_of_policy_counts_at_once(self, realm: Any) -> None:
        realm.secret()
        user = realm.user()
        realm.accounts.put_policy(user, "read", policy(allow("GetSecretValue")))
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")
        realm.accounts.remove_policy(user, "read")
        assert not realm.may(user, "GetSecretValue", SecretId="prod/db")

    def test_a_removed_user_may_do_nothing(self, realm: Any) -> None:
        """Even whoever still holds it as a principal."""
        realm.secret()
        user = realm.user("app", allow("*"))
        held = realm.service.principal(user)
        realm.accounts.remove(user)
        assert not realm.may(held, "GetSecretValue", SecretId="prod/db")


class TestResourcePolicies:
    def test_a_secret_may_let_a_user_in_by_itself(self, realm: Any) -> None:
        user = realm.user()
        arn = realm.secret()
        realm.attach(arn, policy(allow("GetSecretValue", Principal={"AWS": user})))
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")
        assert not realm.may(user, "DescribeSecret", SecretId="prod/db")

    def test_each_of_several_policies_counts(self, realm: Any) -> None:
        user = realm.user()
        arn = realm.secret()
        realm.attach(
            arn,
            policy(allow("GetSecretValue", Principal={"AWS": user})),
            policy(deny("GetSecretValue", Principal={"AWS": user})),
        )
        assert realm.refused(user, "GetSecretValue", SecretId=arn) == says(
            user, arn, "with an explicit deny in a resource-based policy"
        )

    def test_the_administrator_is_stopped_by_an_explicit_deny(self, realm: Any) -> None:
        """As AWS's root user is; by nothing else in its account."""
        arn = realm.secret()
        realm.attach(arn, policy(deny("GetSecretValue", Principal="*")))
        assert not realm.may(None, "GetSecretValue", SecretId="prod/db")
        assert realm.may(None, "DescribeSecret", SecretId="prod/db")

    def test_a_policy_that_cannot_be_read_refuses(self, realm: Any) -> None:
        """It may have held a Deny."""
        arn = realm.secret()
        user = realm.user("app", allow("*"))
        realm.attach(arn, {"Statement": "nothing that can be read"})
        assert not realm.may(user, "GetSecretValue", SecretId="prod/db")


class TestSessions:
    def test_a_role_acts_by_its_policies(self, realm: Any) -> None:
        realm.secret()
        session = realm.session("app", allow("GetSecretValue"))
        assert session.arn == f"arn:aws:sts::{HOME}:assumed-role/app/s-1"
        assert realm.may(session, "GetSecretValue", SecretId="prod/db")

    def test_a_session_policy_narrows_and_is_named(self, realm: Any) -> None:
        realm.secret()
        session = realm.session("app", allow("*"), policies=policy(allow("DescribeSecret", on="*")))
        assert realm.may(session, "DescribeSecret", SecretId="prod/db")
        end = f"because no session policy allows the {READ} action"
        assert realm.refused(session, "GetSecretValue", SecretId="prod/db") == says(
            session.arn, "prod/db", end
        )

    def test_an_identity_that_allows_nothing_is_named_before_the_session(self, realm: Any) -> None:
        realm.secret()
        session = realm.session("app", policies=policy(allow("DescribeSecret")))
        _, text = realm.refused(session, "GetSecretValue", SecretId="prod/db")
        assert text.endswith(f"because no identity-based policy allows the {READ} action")

    def test_a_deny_in_a_session_policy_is_named(self, realm: Any) -> None:
        realm.secret()
        session = realm.session("app", allow("*"), policies=policy(allow("*"), deny("Get*")))
        _, text = realm.refused(session, "GetSecretValue", SecretId="prod/db")
        assert text.endswith("with an explicit deny in a session policy")

    def test_a_grant_to_the_session_passes_a_silent_session_policy(self, realm: Any) -> None:
        """One to the role does not, as recorded from AWS."""
        arn = realm.secret()
        session = realm.session("app", policies=policy(allow("DescribeSecret")))
        role = session.session.source
        realm.attach(arn, policy(allow("GetSecretValue", Principal={"AWS": role})))
        assert not realm.may(session, "GetSecretValue", SecretId="prod/db")
        realm.attach(arn, policy(allow("GetSecretValue", Principal={"AWS": session.arn})))
        assert realm.may(session, "GetSecretValue", SecretId="prod/db")

    def test_session_tags_win_over_tags_of_the_role(self, realm: Any) -> None:
        realm.secret(Tags=[{"Key": "team", "Value": "blue"}])
        same = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
        role = realm.accounts.create_role(
            "app", policies=policy(allow("*", Condition=same)), tags={"team": "red"}
        )
        red = realm.accounts.assume_role(role, "s-1").principal
        blue = realm.accounts.assume_role(role, "s-2", tags={"team": "blue"}).principal
        assert not realm.may(red, "GetSecretValue", SecretId="prod/db")
        assert realm.may(blue, "GetSecretValue", SecretId="prod/db")

    def test_a_session_of_a_removed_role_is_not_one_of_its_namesake(self, realm: Any) -> None:
        realm.secret()
        session = realm.session("app", allow("*"))
        assert realm.may(session, "GetSecretValue", SecretId="prod/db")
        realm.accounts.remove(session.session.source)
        assert not realm.may(session, "GetSecretValue", SecretId="prod/db")
        again = realm.session("app", allow("*"))
        assert realm.may(again, "GetSecretValue", SecretId="prod/db")
        assert not realm.may(session, "GetSecretValue", SecretId="prod/db")

    def test_a_session_ends(self, realm: Any) -> None:
        """By the service's clock."""
        realm.secret()
        session = realm.session("app", allow("*"), seconds=900)
        realm.clock.advance(899)
        assert realm.may(session, "GetSecretValue", SecretId="prod/db")
        realm.clock.advance(1)
        assert realm.refused(session, "GetSecretValue", SecretId="prod/db") == (
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )


class TestSeveralActions:
    def test_creating_with_tags_needs_tag_resource(self, realm: Any) -> None:
        """Without tags it does not, and neither with an empty list of them."""
        user = realm.user("app", allow("CreateSecret"))
        assert realm.may(user, "CreateSecret", Name="a")
        assert realm.may(user, "CreateSecret", Name="b", Tags=[])
        refused = realm.refused(user, "CreateSecret", Name="c", Tags=[{"Key": "k", "Value": "v"}])
        action = "secretsmanager:TagResource"
        end = f"because no identity-based policy allows the {action} action"
        assert refused == says(user, "c", end, action)

    def test_a_batch_is_decided_secret_by_secret(self, realm: Any) -> None:
        arn = realm.secret("a")
        realm.secret("b")
        user = realm.user("app", allow("BatchGetSecretValue"), allow("GetSecretValue", on=arn))
        answer = realm(user, "BatchGetSecretValue", SecretIdList=["a", "b"])
        assert [each["Name"] for each in answer["SecretValues"]] == ["a"]
        end = f"because no identity-based policy allows the {READ} action"
        assert answer["Errors"] == [
            {
                "SecretId": "b",
                "ErrorCode": "AccessDeniedException",
                "Message": says(user, "b", end)[1],
            }
        ]

    @pytest.mark.parametrize("named", ["prod/none", "arn:aws:secretsmanager:us-east-1:*:secret:x"])
    def test_a_batch_says_of_an_absent_secret_what_a_single_read_says(
        self, realm: Any, named: str
    ) -> None:
        """A policy is compared with the ARN that it would have."""
        reads = allow("GetSecretValue", on="arn:aws:secretsmanager:*:*:secret:prod/*")
        user = realm.user("app", allow("BatchGetSecretValue"), reads)
        code, text = realm.refused(user, "GetSecretValue", SecretId=named)
        (entry,) = realm(user, "BatchGetSecretValue", SecretIdList=[named])["Errors"]
        assert entry == {"SecretId": named, "ErrorCode": code, "Message": text}
        assert (code == "ResourceNotFoundException") == (named == "prod/none")

    def test_a_batch_sees_tags_and_policies_of_each_secret(self, realm: Any) -> None:
        blue = realm.secret("blue", Tags=[{"Key": "team", "Value": "blue"}])
        user = realm.user(
            "app",
            allow("BatchGetSecretValue"),
            allow("GetSecretValue", Condition={"StringEquals": {"aws:ResourceTag/team": "blue"}}),
        )
        assert realm(user, "BatchGetSecretValue", SecretIdList=["blue"])["SecretValues"]
        realm.attach(blue, policy(deny("GetSecretValue", Principal="*")))
        assert realm(user, "BatchGetSecretValue", SecretIdList=["blue"])["Errors"]

    @pytest.mark.parametrize("filters", [[{"Key": "name", "Values": ["a"]}], []])
    def test_a_batch_by_filter_needs_list_secrets(
        self, realm: Any, filters: list[dict[str, Any]]
    ) -> None:
        """No filter finds everything: without that right nobody is told what there is."""
        realm.secret("a")
        user = realm.user("app", allow("BatchGetSecretValue", "GetSecretValue"))
        code, text = realm.refused(user, "BatchGetSecretValue", Filters=filters)
        assert code == "AccessDeniedException"
        assert text.endswith(
            "to perform: secretsmanager:ListSecrets because no identity-based policy allows the "
            "secretsmanager:ListSecrets action"
        )
        realm.accounts.put_policy(user, "list", policy(allow("ListSecrets")))
        assert realm(user, "BatchGetSecretValue", Filters=filters)["SecretValues"]

    def test_rotating_needs_the_right_to_invoke_the_function(self, realm: Any) -> None:
        function = realm.service.register_function("rotate", lambda event, context: None)
        realm.secret()
        user = realm.user("app", allow("RotateSecret"))
        asked = {"SecretId": "prod/db", "RotationLambdaARN": function}
        action = "lambda:InvokeFunction"
        end = f"because no identity-based policy allows the {action} action"
        assert realm.refused(user, "RotateSecret", **asked) == says(user, function, end, action)
        realm.accounts.put_policy(user, "invoke", policy(allow(action, on=function)))
        assert realm.may(user, "RotateSecret", **asked)

    def test_tags_that_take_the_callers_own_access_away_are_refused(self, realm: Any) -> None:
        """And nothing changes."""
        tags = [{"Key": "team", "Value": "blue"}]
        realm.secret(Tags=tags)
        blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
        user = realm.user("app", allow("*", Condition=blue))
        red = [{"Key": "team", "Value": "red"}]
        assert not realm.may(user, "TagResource", SecretId="prod/db", Tags=red)
        assert not realm.may(user, "UntagResource", SecretId="prod/db", TagKeys=["team"])
        assert realm(None, "DescribeSecret", SecretId="prod/db")["Tags"] == tags
        more = [{"Key": "owner", "Value": "me"}]
        assert realm.may(user, "TagResource", SecretId="prod/db", Tags=more)


class TestIncompleteRequests:
    """Rights come before values, so they are asked of requests with anything missing."""

    @pytest.mark.parametrize("operation", sorted(OPERATIONS))
    @pytest.mark.parametrize("request_", [{}, {"SecretId": "prod/db"}, {"SecretId": None}])
    def test_are_refused_by_name(
        self, realm: Any, operation: str, request_: dict[str, Any]
    ) -> None:
        """Whether the caller may or may not."""
        realm.secret()
        everything = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
        allowed = realm.user("allowed", policies=everything)
        members = service_model().input_shape(operation).members
        empty = {
            name: [{}]
            if shape.type_name == "list" and shape.member.type_name == "structure"
            else []
            for name, shape in members.items()
            if shape.type_name == "list"
        }
        for caller in (allowed, realm.user("nobody")):
            for more in ({}, empty):
                answered = self.outcome(realm, caller, operation, {**more, **request_})
                assert answered is None or answered.status in (400, 501)  # 501: not supported

    def outcome(
        self, realm: Any, caller: str, operation: str, request: dict[str, Any]
    ) -> ServiceError | None:
        try:
            realm(caller, operation, **request)
        except ServiceError as error:
            return error
        return None


class TestServices:
    def test_a_service_is_let_in_by_the_secret_only(self, realm: Any) -> None:
        arn = realm.secret()
        rds = "rds.amazonaws.com"
        assert not realm.may(rds, "DescribeSecret", SecretId=arn)
        realm.attach(arn, policy(allow("DescribeSecret", Principal={"Service": rds})))
        assert realm.may(rds, "DescribeSecret", SecretId=arn)
        assert not realm.may("events.amazonaws.com", "DescribeSecret", SecretId=arn)


def test_every_denial_is_on_record_and_names_no_value(realm: Any) -> None:
    realm.secret()
    user = realm.user()
    realm.refused(user, "PutSecretValue", SecretId="prod/db", SecretString="canary-value")
    (event,) = [e for e in realm.service.audit.lookup() if e["eventName"] == "PutSecretValue"]
    assert event["errorCode"] == "AccessDenied"
    assert event["userIdentity"]["arn"] == user
    assert "canary-value" not in json.dumps(event)


class TestLockingOut:
    """The caller's own policies count in ValidateResourcePolicy and PutResourcePolicy."""

    @pytest.mark.parametrize(
        ("principal", "locked"),
        [
            ("*", True),
            ({"AWS": f"arn:aws:iam::{HOME}:user/app"}, True),
            ({"AWS": HOME}, True),
            ({"AWS": f"arn:aws:iam::{HOME}:user/other"}, False),
        ],
    )
    def test_a_policy_that_shuts_the_caller_out(
        self, realm: Any, principal: Any, locked: bool
    ) -> None:
        realm.secret()
        user = realm.user("app", allow("*"))
        realm.user("other")
        shuts = json.dumps(policy(deny("PutResourcePolicy", Principal=principal)))
        asked = {"SecretId": "prod/db", "ResourcePolicy": shuts}
        answer = realm(user, "ValidateResourcePolicy", **asked)
        checks = [each["CheckName"] for each in answer["ValidationErrors"]]
        assert checks == (["LockOutCheck"] if locked else [])
        if not locked:
            assert realm(user, "PutResourcePolicy", **asked)
            return
        assert realm.refused(user, "PutResourcePolicy", **asked) == (
            "MalformedPolicyDocumentException",
            "This resource policy will not allow you to manage this secret in the future.",
        )
        assert "ResourcePolicy" not in realm(user, "GetResourcePolicy", SecretId="prod/db")

    def test_a_policy_that_shuts_out_whoever_is_not_asking(self, realm: Any) -> None:
        """And one by a caller who may put policies because of the one before."""
        arn = realm.secret()
        user = realm.user()
        shuts = json.dumps(policy(deny("*", Principal={"AWS": f"arn:aws:iam::{HOME}:root"})))
        lets = json.dumps(policy(allow("PutResourcePolicy", Principal={"AWS": user})))
        realm(None, "PutResourcePolicy", SecretId=arn, ResourcePolicy=lets)
        others = json.dumps(policy(allow("Get*", Principal={"AWS": user})))
        code, _ = realm.refused(user, "PutResourcePolicy", SecretId=arn, ResourcePolicy=others)
        assert code == "MalformedPolicyDocumentException"
        realm.accounts.put_policy(user, "own", policy(allow("PutResourcePolicy")))
        assert realm(user, "PutResourcePolicy", SecretId=arn, ResourcePolicy=others)
        code, _ = realm.refused(None, "PutResourcePolicy", SecretId=arn, ResourcePolicy=shuts)
        assert code == "MalformedPolicyDocumentException"

    def test_validating_needs_the_right_to_put(self, realm: Any) -> None:
        realm.secret()
        user = realm.user("app", allow("ValidateResourcePolicy"))
        harmless = json.dumps(policy(allow("GetSecretValue", Principal={"AWS": HOME})))
        asked = {"SecretId": "prod/db", "ResourcePolicy": harmless}
        assert not realm.may(user, "ValidateResourcePolicy", **asked)
        realm.accounts.put_policy(user, "put", policy(allow("PutResourcePolicy")))
        assert realm(user, "ValidateResourcePolicy", **asked)["PolicyValidationPassed"] is True


class TestNamingPrincipals:
    """A policy that names somebody who is not there is refused, and nothing changes."""

    @pytest.mark.parametrize("operation", ["PutResourcePolicy", "ValidateResourcePolicy"])
    @pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
    @pytest.mark.parametrize(
        ("name", "taken"),
        [
            (f"arn:aws:iam::{HOME}:user/app", True),
            (f"arn:aws:iam::{HOME}:role/team/runs", True),
            (f"arn:aws:sts::{HOME}:assumed-role/runs/s-1", True),
            (f"arn:aws:iam::{HOME}:root", True),
            (HOME, True),
            ("arn:aws:iam::444455556666:user/of-an-account-that-nobody-keeps", True),
            (f"arn:aws:iam::{HOME}:user/ghost", False),
            (f"arn:aws:iam::{HOME}:role/runs", False),
            (f"arn:aws:sts::{HOME}:assumed-role/ghost/s-1", False),
        ],
    )
    def test_somebody_who_is_not_there(
        self, realm: Any, operation: str, element: str, name: str, taken: bool
    ) -> None:
        realm.user("app")
        realm.accounts.create_role("runs", path="/team/")
        arn = realm.secret()
        statement = deny("GetRandomPassword") if element == "NotPrincipal" else allow("Get*")
        document = policy({**statement, element: {"AWS": [HOME, name]}})
        asked = {"SecretId": arn, "ResourcePolicy": json.dumps(document)}
        if taken:
            realm(None, operation, **asked)
            return
        code, text = realm.refused(None, operation, **asked)
        assert code == "MalformedPolicyDocumentException"
        assert text == (
            f"This resource policy contains an unsupported principal. There is no {name}."
        )
        assert "ResourcePolicy" not in realm(None, "GetResourcePolicy", SecretId=arn)

    def test_without_any_principals_names_are_taken_on_trust(self, realm: Any) -> None:
        arn = realm.secret()
        ghost = {"AWS": f"arn:aws:iam::{HOME}:user/ghost"}
        document = json.dumps(policy(allow("Get*", Principal=ghost)))
        assert realm(None, "PutResourcePolicy", SecretId=arn, ResourcePolicy=document)
