"""What a rotation function may do that was given no role: what rotation needs, and no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from smclient_embedded.context import Principal, Session

NEEDED = (
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
READ = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")


def default_function_role(function_arn: str, *, masters: Sequence[str] = ()) -> dict[str, Any]:
    """The policy of a function's default role.

    It reaches the secrets that name the function as their rotation function, as AWS's own
    templates grant it; of ``masters``, the ARNs in those secrets' ``masterarn``, it may read the
    value. KMS keys are used through Secrets Manager only.
    """
    names_it = {"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function_arn}}
    statements: list[dict[str, Any]] = [
        {
            "Sid": "RotateTheSecretsThatNameIt",
            "Effect": "Allow",
            "Action": list(NEEDED),
            "Resource": "*",
            "Condition": names_it,
        },
        {
            "Sid": "MakePasswords",
            "Effect": "Allow",
            "Action": "secretsmanager:GetRandomPassword",
            "Resource": "*",
        },
        {
            "Sid": "UseKeysThroughSecretsManager",
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
            "Condition": {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}},
        },
    ]
    if masters:
        statements.append(
            {
                "Sid": "ReadTheMasterSecrets",
                "Effect": "Allow",
                "Action": list(READ),
                "Resource": list(masters),
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def function_principal(
    function_arn: str,
    *,
    masters: Sequence[str] = (),
    issued_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Principal:
    """A session of the default role of a function: ``…:assumed-role/<name>-role/<name>``.

    The role need not exist; its policy is in the session. It is in the function's account.
    """
    account, name = function_arn.split(":")[4], function_arn.rpartition(":")[2]
    policy = json.dumps(default_function_role(function_arn, masters=masters))
    session = Session(
        name=name,
        source=f"arn:aws:iam::{account}:role/{name}-role",
        grants=(policy,),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    arn = f"arn:aws:sts::{account}:assumed-role/{name}-role/{name}"
    return Principal(arn, account, "role", session)
