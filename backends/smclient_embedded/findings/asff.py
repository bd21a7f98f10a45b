"""A finding in the AWS Security Finding Format, made of a verdict and of what was known before.

A finding has one id for its control and its secret, so it is updated and never repeated. It is
resolved when the verdict becomes good, new when it becomes bad again, archived when the secret is
gone or the control does not apply any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from smclient_embedded.findings.controls import Control, FindingParameters, Verdict, aws_name
from smclient_embedded.store.records import SecretRecord

SCHEMA_VERSION = "2018-10-08"
TYPE = "Software and Configuration Checks/Industry and Regulatory Standards"
STANDARD = "standards/aws-foundational-security-best-practices/v/1.0.0"
LONGEST_DESCRIPTION = 1024
_NAMESPACE = uuid.UUID("8a0c4c1e-6f0e-4d53-9a53-6d0f2f6c9b10")
_NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}

WorkflowStatus = Literal["NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"]
RecordState = Literal["ACTIVE", "ARCHIVED"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a finding between two looks at its secret."""

    created_at: datetime
    updated_at: datetime
    status: str
    reason_code: str
    reason: str
    severity: str
    previous_status: str | None = None
    workflow: WorkflowStatus = "NEW"
    state: RecordState = "ACTIVE"


def look_again(control: Control, verdict: Verdict, known: Known | None, now: datetime) -> Known:
    """What is to be kept after a verdict. The same object if nothing changed."""
    severity = "INFORMATIONAL" if verdict.status == "PASSED" else control.severity
    said = (verdict.status, verdict.reason_code, verdict.reason, severity)
    if known is None:
        workflow: WorkflowStatus = "RESOLVED" if verdict.status == "PASSED" else "NEW"
        return Known(now, now, *said, workflow=workflow)
    if known.state == "ACTIVE" and said == (
        known.status,
        known.reason_code,
        known.reason,
        known.severity,
    ):
        return known
    changed = replace(
        known,
        updated_at=now,
        status=verdict.status,
        reason_code=verdict.reason_code,
        reason=verdict.reason,
        severity=severity,
        state="ACTIVE",
    )
    if verdict.status == known.status and known.state == "ACTIVE":
        return changed
    workflow = known.workflow
    if workflow != "SUPPRESSED":
        workflow = "RESOLVED" if verdict.status == "PASSED" else "NEW"
    return replace(changed, previous_status=known.status, workflow=workflow)


def archive(known: Known, now: datetime) -> Known:
    """What is kept of a finding whose secret is gone."""
    if known.state == "ARCHIVED":
        return known
    return replace(known, state="ARCHIVED", updated_at=now)


def finding_id(control: Control, arn: str) -> str:
    """The id of a control's finding about a secret, in the form of its product."""
    _, _, _, region, account, *_ = arn.split(":")
    number = uuid.uuid5(_NAMESPACE, f"{control.control_id}\0{arn}")
    if control.is_aws:
        return (
            f"arn:aws:securityhub:{region}:{account}:security-control/{control.control_id}/"
            f"finding/{number}"
        )
    return f"smclient/{region}/{account}/{control.control_id}/finding/{number}"


def finding(
    control: Control,
    arn: str,
    known: Known,
    *,
    secret: SecretRecord | None,
    given: FindingParameters,
    now: datetime,
) -> dict[str, Any]:
    """The finding in full. ``secret`` is ``None`` where it is gone."""
    _, _, _, region, account, *_ = arn.split(":")
    generator = "security-control" if control.is_aws else "smclient"
    own = f"arn:aws:securityhub:{region}:{account}:product/{account}/default"
    return {
        "SchemaVersion": SCHEMA_VERSION,
        "Id": finding_id(control, arn),
        "ProductArn": f"arn:aws:securityhub:{region}::product/aws/securityhub"
        if control.is_aws
        else own,
        "ProductName": "Security Hub" if control.is_aws else "smclient",
        "CompanyName": "AWS" if control.is_aws else "smclient",
        "Region": region,
        "GeneratorId": f"{generator}/{control.control_id}",
        "AwsAccountId": account,
        "Types": [TYPE],
        "CreatedAt": _time(known.created_at),
        "FirstObservedAt": _time(known.created_at),
        "UpdatedAt": _time(known.updated_at),
        "LastObservedAt": _time(now if known.state == "ACTIVE" else known.updated_at),
        "Severity": {
            "Label": known.severity,
            "Normalized": _NORMALIZED[known.severity],
            "Original": known.severity,
        },
        "Title": control.title,
        "Description": f"{control.description} {known.reason}"[:LONGEST_DESCRIPTION],
        "ProductFields": _product_fields(control, arn, known),
        "Resources": [_resource(arn, region, secret, now)],
        "Compliance": _compliance(control, known, given),
        "Workflow": {"Status": known.workflow},
        "RecordState": known.state,
        "FindingProviderFields": {
            "Severity": {"Label": known.severity, "Original": known.severity},
            "Types": [TYPE],
        },
    }


def _product_fields(control: Control, arn: str, known: Known) -> dict[str, str]:
    product_fields = {"Resources:0/Id": arn}
    if control.config_rule is not None:
        product_fields["RelatedAWSResources:0/name"] = control.config_rule
        product_fields["RelatedAWSResources:0/type"] = "AWS::Config::ConfigRule"
    if known.previous_status is not None:
        product_fields["PreviousComplianceStatus"] = known.previous_status
    return product_fields


def _compliance(control: Control, known: Known, given: FindingParameters) -> dict[str, Any]:
    compliance: dict[str, Any] = {
        "Status": known.status,
        "SecurityControlId": control.control_id,
        "StatusReasons": [{"ReasonCode": known.reason_code, "Description": known.reason}],
    }
    if control.is_aws:
        compliance["AssociatedStandards"] = [{"StandardsId": STANDARD}]
    if control.requirements:
        compliance["RelatedRequirements"] = list(control.requirements)
    parameters = [
        {"Name": aws_name(name), "Value": _texts(value)}
        for name in control.parameters
        if (value := getattr(given, name)) not in (None, ())
    ]
    if parameters:
        compliance["SecurityControlParameters"] = parameters
    return compliance


def _texts(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, tuple) else (value,))]


def _resource(arn: str, region: str, secret: SecretRecord | None, now: datetime) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "Type": "AwsSecretsManagerSecret",
        "Id": arn,
        "Partition": arn.split(":")[1],
        "Region": region,
    }
    if secret is None:
        return resource
    if secret.tags:
        resource["Tags"] = dict(secret.tags)
    rotation = secret.rotation
    details: dict[str, Any] = {
        "Name": secret.name,
        "Description": secret.description,
        "KmsKeyId": secret.kms_key_id,
        "Deleted": secret.deleted_at is not None,
        "RotationEnabled": rotation is not None and rotation.enabled,
    }
    if rotation is not None:
        details["RotationLambdaArn"] = rotation.function_arn
        days, last = rotation.automatically_after_days, rotation.last_rotated_at
        if days is not None:
            details["RotationRules"] = {"AutomaticallyAfterDays": days}
            details["RotationOccurredWithinFrequency"] = (
                last is not None and (now - last).days <= days
            )
    shown: Mapping[str, Any] = {name: v for name, v in details.items() if v is not None}
    resource["Details"] = {"AwsSecretsManagerSecret": dict(shown)}
    return resource


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
