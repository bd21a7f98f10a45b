"""The controls: which secrets pass, which fail, to which one does not apply."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient_embedded.findings.controls import BY_ID, CONTROLS, FindingParameters
from smclient_embedded.store.records import RotationSettings, Scope, SecretRecord

NOW = datetime(2026, 9, 24, 12, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-AbCdEf"
OTHER = "210987654321"
SECRET = SecretRecord(ARN, Scope("123456789012", "us-east-1"), "s", NOW, NOW)
ON = RotationSettings(enabled=True, function_arn="arn:f", automatically_after_days=30)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def judged(control_id: str, secret: SecretRecord, **parameters: Any) -> str | None:
    verdict = BY_ID[control_id].judge(secret, NOW, FindingParameters(**parameters))
    return None if verdict is None else verdict.status


OWN = "123456789012"
THEIR_ROLES = f"arn:aws:iam::{OTHER}:role/*"
LAMBDA = {"Service": "lambda.amazonaws.com"}


def policy(**statement: Any) -> dict[str, str]:
    whole = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    return {"ResourcePolicy": json.dumps({"Statement": [{**whole, **statement}]})}


class TestRotationIsOn:
    @pytest.mark.parametrize(
        ("rotation", "most", "status"),
        [
            (None, None, "FAILED"),
            (replace(ON, enabled=False), None, "FAILED"),
            (ON, None, "PASSED"),
            (ON, 30, "PASSED"),
            (ON, 29, "FAILED"),
        ],
    )
    def test_and_often_enough(
        self, rotation: RotationSettings | None, most: int | None, status: str
    ) -> None:
        """If a frequency is asked for."""
        secret = replace(SECRET, rotation=rotation)
        found = judged("SecretsManager.1", secret, maximum_allowed_rotation_frequency=most)
        assert found == status

    def test_is_judged_at_the_primary(self) -> None:
        """Which rotates its replicas."""
        replica = replace(SECRET, primary_region="eu-west-1")
        for control in ("SecretsManager.1", "SecretsManager.2", "SecretsManager.4", "SMClient.4"):
            assert judged(control, replica) is None


class TestRotatesOnTime:
    @pytest.mark.parametrize(
        ("late", "status"), [(-1, "PASSED"), (0, "PASSED"), (2, "PASSED"), (2.01, "FAILED")]
    )
    def test_with_up_to_two_days_of_delay(self, late: float, status: str) -> None:
        """After the end of the window."""
        rotation = replace(
            ON, next_rotation_at=NOW - days(late + 1), window_ends_at=NOW - days(late)
        )
        assert judged("SecretsManager.2", replace(SECRET, rotation=rotation)) == status

    def test_does_not_apply_without_rotation(self) -> None:
        """Off is another control's business."""
        assert judged("SecretsManager.2", SECRET) is None
        off = replace(ON, enabled=False)
        assert judged("SecretsManager.2", replace(SECRET, rotation=off)) is None


class TestIsUsed:
    @pytest.mark.parametrize(
        ("ago", "limit", "status"), [(90, 90, "PASSED"), (91, 90, "FAILED"), (2, 1, "FAILED")]
    )
    def test_counts_from_the_last_read_else_from_the_creation(
        self, ago: int, limit: int, status: str
    ) -> None:
        """In days."""
        old = replace(SECRET, created_at=NOW - days(ago))
        assert judged("SecretsManager.3", old, unused_for_days=limit) == status
        read = replace(SECRET, created_at=NOW - days(999), accessed_on=(NOW - days(ago)).date())
        assert judged("SecretsManager.3", read, unused_for_days=limit) == status


class TestIsRotatedInTime:
    @pytest.mark.parametrize(("ago", "status"), [(90, "PASSED"), (91, "FAILED")])
    def test_counts_from_the_last_rotation_else_from_the_creation(
        self, ago: int, status: str
    ) -> None:
        """In days; reading it says nothing."""
        old = replace(SECRET, created_at=NOW - days(ago), accessed_on=NOW.date())
        assert judged("SecretsManager.4", old) == status
        rotated = replace(
            SECRET,
            created_at=NOW - days(999),
            rotation=replace(ON, last_rotated_at=NOW - days(ago)),
        )
        assert judged("SecretsManager.4", rotated) == status


class TestIsTagged:
    @pytest.mark.parametrize(
        ("tags", "required", "status"),
        [
            (None, (), "FAILED"),
            ((("aws:cloudformation:stack-id", "x"),), (), "FAILED"),
            ((("owner", "me"),), (), "PASSED"),
            ((("owner", "me"),), ("owner",), "PASSED"),
            ((("owner", "me"),), ("owner", "cost"), "FAILED"),
            ((("Owner", "me"),), ("owner",), "FAILED"),
            ((("owner", ""), ("cost", "")), ("owner", "cost"), "PASSED"),
        ],
    )
    def test_with_every_required_key(
        self, tags: Any, required: tuple[str, ...], status: str
    ) -> None:
        """System tags do not count; without required keys any tag is enough."""
        secret = replace(SECRET, tags=tags)
        assert judged("SecretsManager.5", secret, required_tag_keys=required) == status


class TestExposure:
    @pytest.mark.parametrize(
        ("policies", "public", "shared"),
        [
            ({}, "PASSED", "PASSED"),
            (policy(Principal="*"), "FAILED", "PASSED"),
            (policy(Principal={"AWS": "*"}), "FAILED", "PASSED"),
            (policy(Principal={"AWS": OTHER}), "PASSED", "FAILED"),
            (policy(Principal={"AWS": [f"arn:aws:iam::{OTHER}:role/x"]}), "PASSED", "FAILED"),
            (policy(Principal={"AWS": f"arn:aws:sts::{OTHER}:assumed-role/x"}), "PASSED", "FAILED"),
            (policy(Principal={"AWS": "arn:aws:iam::123456789012:root"}), "PASSED", "PASSED"),
            (policy(Principal={"Service": "lambda.amazonaws.com"}), "PASSED", "PASSED"),
            (policy(Principal={"AWS": OTHER}, Effect="Deny"), "PASSED", "PASSED"),
            ({"ResourcePolicy": "not JSON"}, "FAILED", "PASSED"),
            ({"a": "{}", **policy(Principal={"AWS": OTHER})}, "PASSED", "FAILED"),
        ],
    )  # fmt: skip
    def test_by_the_policies_of_a_secret(
        self, policies: dict[str, str], public: str, shared: str
    ) -> None:
        """Open to all is one question, shared with an account another."""
        secret = replace(SECRET, policies=policies)
        assert judged("SMClient.1", secret) == public
        assert judged("SMClient.2", secret) == shared

    @pytest.mark.parametrize(
        ("principal", "operator", "key", "value", "public", "shared"),
        [
            ("*", "StringEquals", "aws:PrincipalAccount", OTHER, "PASSED", "FAILED"),
            ("*", "StringEquals", "aws:PrincipalAccount", [OWN, OTHER], "PASSED", "FAILED"),
            ("*", "StringEquals", "aws:PrincipalAccount", OWN, "PASSED", "PASSED"),
            ({"AWS": "*"}, "ArnLike", "aws:PrincipalArn", THEIR_ROLES, "PASSED", "FAILED"),
            (LAMBDA, "StringEquals", "aws:SourceAccount", OTHER, "PASSED", "FAILED"),
            (LAMBDA, "StringEquals", "aws:SourceAccount", OWN, "PASSED", "PASSED"),
            ("*", "StringEquals", "aws:PrincipalOrgID", "o-1", "PASSED", "PASSED"),
            ("*", "StringNotEquals", "aws:PrincipalAccount", OTHER, "FAILED", "PASSED"),
        ],
    )
    def test_by_the_accounts_that_a_condition_limits_an_open_policy_to(
        self, principal: Any, operator: str, key: str, value: Any, public: str, shared: str
    ) -> None:
        policies = policy(Principal=principal, Condition={operator: {key: value}})
        secret = replace(SECRET, policies=policies)
        assert judged("SMClient.1", secret) == public
        assert judged("SMClient.2", secret) == shared

    def test_trusted_accounts_may_be_named(self) -> None:
        """Only those."""
        secret = replace(SECRET, policies=policy(Principal={"AWS": [OTHER, "111111111111"]}))
        assert judged("SMClient.2", secret, trusted_accounts=(OTHER, "111111111111")) == "PASSED"
        assert judged("SMClient.2", secret, trusted_accounts=(OTHER,)) == "FAILED"


class TestCustomerKey:
    KEY = "arn:aws:kms:us-east-1:123456789012:key/k"

    @pytest.mark.parametrize(
        ("key", "allowed", "status"),
        [
            (None, (), "FAILED"),
            ("alias/aws/secretsmanager", (), "FAILED"),
            (KEY, (), "PASSED"),
            (KEY, (KEY,), "PASSED"),
            (KEY, ("arn:other",), "FAILED"),
        ],
    )
    def test_of_those_allowed(self, key: str | None, allowed: tuple[str, ...], status: str) -> None:
        """Any, unless some are named."""
        secret = replace(SECRET, kms_key_id=key)
        assert judged("SMClient.3", secret, kms_key_arns=allowed) == status


def test_never_rotated() -> None:
    """At once, or after a number of days."""
    assert judged("SMClient.4", SECRET) == "FAILED"
    assert judged("SMClient.4", SECRET, never_rotated_after_days=7) == "PASSED"
    old = replace(SECRET, created_at=NOW - days(7))
    assert judged("SMClient.4", old, never_rotated_after_days=7) == "FAILED"
    rotated = replace(SECRET, rotation=replace(ON, last_rotated_at=NOW - days(999)))
    assert judged("SMClient.4", rotated) == "PASSED"


class TestParameters:
    @pytest.mark.parametrize(
        "given",
        [
            {"maximum_allowed_rotation_frequency": 0},
            {"maximum_allowed_rotation_frequency": 366},
            {"unused_for_days": 0},
            {"unusedForDays": "90"},
            {"unused_for_days": True},
            {"max_days_since_rotation": 181},
            {"required_tag_keys": [str(n) for n in range(7)]},
            {"required_tag_keys": "owner"},
            {"kmsKeyArns": [3]},
            {"never_rotated_after_days": -1},
            {"color": "red"},
        ],
    )
    def test_out_of_bounds_are_refused(self, given: dict[str, Any]) -> None:
        """By Security Hub's bounds."""
        with pytest.raises(ConfigError):
            FindingParameters.of(given)

    def test_are_known_by_aws_names_too(self) -> None:
        """As Security Hub's configuration has them."""
        read = FindingParameters.of({"unusedForDays": 30, "requiredTagKeys": ["owner"]})
        assert read == FindingParameters(unused_for_days=30, required_tag_keys=("owner",))


moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        replace,
        st.just(SECRET),
        created_at=moments,
        accessed_on=st.none() | st.dates(datetime(2020, 1, 1).date(), datetime(2030, 1, 1).date()),
        rotation=st.none()
        | st.builds(
            RotationSettings,
            st.booleans(),
            automatically_after_days=st.none() | st.integers(1, 1000),
            last_rotated_at=st.none() | moments,
            next_rotation_at=st.none() | moments,
            window_ends_at=st.none() | moments,
        ),
        policies=st.dictionaries(st.sampled_from("ab"), st.text(max_size=20), max_size=2),
        tags=st.none() | st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5))).map(tuple),
        primary_region=st.none() | st.just("eu-west-1"),
    )
)
def test_every_secret_can_be_judged(secret: SecretRecord) -> None:
    """Each verdict says why; nothing is raised."""
    for control in CONTROLS:
        verdict = control.judge(secret, NOW, FindingParameters())
        if verdict is not None:
            assert verdict.status in ("PASSED", "FAILED")
            assert verdict.reason
            assert verdict.reason_code
