"""The condition keys that a call has, seen by what a policy with a condition lets through."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.embedded.access.realm import HOME, allow, deny


class TestConditionKeys:
    """A key of a parameter is there only if the parameter was sent."""

    @pytest.mark.parametrize(
        ("operation", "condition", "passes", "fails"),
        [
            (
                "GetSecretValue",
                {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
                {"VersionStage": "AWSCURRENT"},
                {},
            ),
            (
                "DeleteSecret",
                {"NumericGreaterThanEquals": {"secretsmanager:RecoveryWindowInDays": "14"}},
                {"RecoveryWindowInDays": 30},
                {"RecoveryWindowInDays": 7},
            ),
            (
                "DeleteSecret",
                {"Null": {"secretsmanager:ForceDeleteWithoutRecovery": "true"}},
                {},
                {"ForceDeleteWithoutRecovery": True},
            ),
            (
                "UpdateSecret",
                {"StringLike": {"secretsmanager:Description": "team *"}},
                {"Description": "team blue"},
                {"Description": "mine"},
            ),
            (
                "TagResource",
                {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
                {"Tags": [{"Key": "team", "Value": "b"}]},
                {"Tags": [{"Key": "owner", "Value": "b"}]},
            ),
            (
                "TagResource",
                {"StringEquals": {"aws:RequestTag/team": "blue"}},
                {"Tags": [{"Key": "team", "Value": "blue"}]},
                {"Tags": [{"Key": "team", "Value": "red"}]},
            ),
            (
                "UntagResource",
                {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}},
                {"TagKeys": ["team"]},
                {"TagKeys": ["owner"]},
            ),
        ],
    )
    def test_a_condition_on_a_parameter(
        self,
        realm: Any,
        operation: str,
        condition: dict[str, Any],
        passes: dict[str, Any],
        fails: dict[str, Any],
    ) -> None:
        realm.secret()
        user = realm.user("app", allow(operation, Condition=condition))
        assert not realm.may(user, operation, SecretId="prod/db", **fails)
        assert realm.may(user, operation, SecretId="prod/db", **passes)

    def test_the_name_of_a_new_secret(self, realm: Any) -> None:
        like = {"StringLike": {"secretsmanager:Name": "dev/*"}}
        user = realm.user("app", allow("CreateSecret", Condition=like))
        assert realm.may(user, "CreateSecret", Name="dev/a")
        assert not realm.may(user, "CreateSecret", Name="prod/a")

    def test_the_arn_of_a_new_secret_is_compared_as_it_would_be(self, realm: Any) -> None:
        """With its six random signs."""
        place = f"arn:aws:secretsmanager:us-east-1:{HOME}:secret:"
        user = realm.user("app", allow("CreateSecret", on=[f"{place}dev/a-??????"]))
        assert realm.may(user, "CreateSecret", Name="dev/a")
        assert not realm.may(user, "CreateSecret", Name="dev/a-b")

    def test_secret_id_is_the_whole_arn_whatever_was_sent(self, realm: Any) -> None:
        arn = realm.secret()
        by_arn = {"StringEquals": {"secretsmanager:SecretId": arn}}
        by_name = {"StringEquals": {"secretsmanager:SecretId": "prod/db"}}
        first = realm.user("a", allow("GetSecretValue", Condition=by_arn))
        second = realm.user("b", allow("GetSecretValue", Condition=by_name))
        assert realm.may(first, "GetSecretValue", SecretId="prod/db")
        assert not realm.may(second, "GetSecretValue", SecretId="prod/db")

    def test_where_a_request_comes_from(self, realm: Any) -> None:
        realm.secret()
        inside = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
        secure = {"Bool": {"aws:SecureTransport": "true"}}
        user = realm.user("app", allow("GetSecretValue", Condition={**inside, **secure}))
        for context, answered in (
            ({"source_ip": "10.1.2.3"}, True),
            ({"source_ip": "10.1.2.3", "is_secure": False}, False),
            ({"source_ip": "192.0.2.1"}, False),
        ):
            assert realm.may(user, "GetSecretValue", SecretId="prod/db", context=context) is (
                answered
            )

    def test_when_a_request_comes(self, realm: Any) -> None:
        """By the service's clock."""
        realm.secret()
        until = {"DateLessThan": {"aws:CurrentTime": "2026-09-24T11:00:00Z"}}
        user = realm.user("app", allow("GetSecretValue", Condition=until))
        assert realm.may(user, "GetSecretValue", SecretId="prod/db")
        realm.clock.advance(3600)
        assert not realm.may(user, "GetSecretValue", SecretId="prod/db")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("aws:PrincipalArn", f"arn:aws:iam::{HOME}:role/app"),
            ("aws:PrincipalAccount", HOME),
            ("aws:PrincipalType", "AssumedRole"),
            ("aws:ResourceAccount", HOME),
            ("aws:RequestedRegion", "us-east-1"),
            ("aws:PrincipalIsAWSService", "false"),
            ("aws:TokenIssueTime", "2026-09-24T10:20:30Z"),
            ("aws:UserAgent", "smclient-embedded"),
        ],
    )
    def test_who_asks(self, realm: Any, key: str, value: str) -> None:
        """Of a session the role's ARN."""
        realm.secret()
        session = realm.session("app", allow("*", Condition={"StringEquals": {key: value}}))
        assert realm.may(session, "DescribeSecret", SecretId="prod/db")

    def test_a_session_had_no_second_factor_and_a_user_has_no_key_that_says_so(
        self, realm: Any
    ) -> None:
        """So the usual Deny of sessions without one bites."""
        realm.secret()
        without = {"Bool": {"aws:MultiFactorAuthPresent": "false"}}
        session = realm.session("app", allow("*"), deny("DescribeSecret", Condition=without))
        user = realm.user("app", allow("*"), deny("DescribeSecret", Condition=without))
        assert not realm.may(session, "DescribeSecret", SecretId="prod/db")
        assert realm.may(user, "DescribeSecret", SecretId="prod/db")

    def test_the_rotation_function_of_a_secret(self, realm: Any) -> None:
        function = realm.service.register_function("rotate", lambda event, context: None)
        realm.secret()
        names_it = {"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function}}
        user = realm.user("app", allow("DescribeSecret", Condition=names_it))
        assert not realm.may(user, "DescribeSecret", SecretId="prod/db")
        realm(None, "RotateSecret", SecretId="prod/db", RotationLambdaARN=function)
        assert realm.may(user, "DescribeSecret", SecretId="prod/db")
