"""UpdateSecret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from smclient.secret import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import AccessDeniedException, DecryptionFailure, EncryptionFailure
from smclient_embedded.finding import check_own_value, find_changeable_secret
from smclient_embedded.following import replicate_changes
from smclient_embedded.kms import Kms
from smclient_embedded.operations.put_secret_value import write_version
from smclient_embedded.store.records import SecretRecord
from smclient_embedded.values import has_value, need_token, refuse_foreign_default_key

REENCRYPTED = (AWSCURRENT, AWSPREVIOUS, AWSPENDING)
"""The labels whose versions another key opens after it became the secret's."""


def update_secret(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Change description, key, type or value. A value becomes AWSCURRENT.

    Raises:
        InvalidRequestException, InvalidParameterException, ResourceExistsException
        AccessDeniedException: the caller may not use the new key.
    """
    token, valued = need_token(request), has_value(request)
    secret = find_changeable_secret(context, deps, request["SecretId"])
    if valued:
        check_own_value(secret)
    if request.get("KmsKeyId") and deps.kms is not None:
        deps.kms.check_usable(request["KmsKeyId"], secret.arn)
    changed = replace(
        secret,
        description=request.get("Description", secret.description) or None,
        kms_key_id=request.get("KmsKeyId", secret.kms_key_id) or None,
        secret_type=request.get("Type", secret.secret_type) or None,
        changed_at=deps.now,
    )
    if valued or "KmsKeyId" in request:
        refuse_foreign_default_key(context, changed)
    deps.tx.put_secret(changed)
    if changed.kms_key_id != secret.kms_key_id and deps.kms is not None:
        _reencrypt(deps, deps.kms, changed)
    answer = {"ARN": secret.arn, "Name": secret.name}
    if valued:
        write_version(deps, changed, token, None, request)
        answer["VersionId"] = token
    replicate_changes(deps, secret)
    return answer


def _reencrypt(deps: Deps, kms: Kms, secret: SecretRecord) -> None:
    """Let the new key open the versions that AWS's labels are on. One that cannot be is left as it
    is, as AWS does where the caller may not."""
    labels = deps.tx.labels(secret.arn)
    for version_id in {labels[label] for label in REENCRYPTED if label in labels}:
        version = deps.tx.version(secret.arn, version_id)
        if version is None or version.sealed is None:
            continue
        try:
            sealed = kms.wrapped_anew(version.sealed, secret.kms_key_id)
        except (DecryptionFailure, EncryptionFailure, AccessDeniedException):
            continue
        deps.tx.put_version(replace(version, sealed=sealed))
