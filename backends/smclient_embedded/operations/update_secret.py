"""UpdateSecret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import OperationNotSupported
from smclient_embedded.finding import find_live_secret
from smclient_embedded.operations.put_secret_value import write_version
from smclient_embedded.values import has_value, need_token


def update_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Change description or value, or both. A value becomes AWSCURRENT.

    Raises:
        InvalidRequestException, InvalidParameterException, ResourceExistsException
        OperationNotSupported: a change of the key, which has to re-encrypt: not written yet.
    """
    token, valued = need_token(request), has_value(request)
    secret = find_live_secret(context, deps, request["SecretId"])
    if request.get("KmsKeyId") and deps.kms is not None:
        deps.kms.check_usable(request["KmsKeyId"])
    if "KmsKeyId" in request and (request["KmsKeyId"] or None) != secret.kms_key_id:
        raise OperationNotSupported("UpdateSecret with another KmsKeyId is not supported yet")
    if "Type" in request:
        raise OperationNotSupported("UpdateSecret with Type is not supported yet")
    if "Description" in request:
        secret = replace(secret, description=request["Description"] or None)
    secret = replace(secret, changed_at=deps.now)
    deps.tx.put_secret(secret)
    answer = {"ARN": secret.arn, "Name": secret.name}
    if valued:
        write_version(deps, secret, token, None, request)
        answer["VersionId"] = token
    return answer
