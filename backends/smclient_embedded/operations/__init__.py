"""One file and function for each operation of the API; this table says which there are.

Operations of the model without an entry are answered with ``OperationNotSupported``.
"""

from __future__ import annotations

from smclient_embedded.deps import Operation
from smclient_embedded.operations.batch_get_secret_value import batch_get_secret_value
from smclient_embedded.operations.cancel_rotate_secret import cancel_rotate_secret
from smclient_embedded.operations.create_secret import create_secret
from smclient_embedded.operations.delete_secret import delete_secret
from smclient_embedded.operations.describe_secret import describe_secret
from smclient_embedded.operations.get_random_password import get_random_password
from smclient_embedded.operations.get_secret_value import get_secret_value
from smclient_embedded.operations.list_secret_version_ids import list_secret_version_ids
from smclient_embedded.operations.list_secrets import list_secrets
from smclient_embedded.operations.put_secret_value import put_secret_value
from smclient_embedded.operations.restore_secret import restore_secret
from smclient_embedded.operations.rotate_secret import rotate_secret
from smclient_embedded.operations.tag_resource import tag_resource
from smclient_embedded.operations.untag_resource import untag_resource
from smclient_embedded.operations.update_secret import update_secret
from smclient_embedded.operations.update_secret_version_stage import update_secret_version_stage

OPERATIONS: dict[str, Operation] = {
    "BatchGetSecretValue": batch_get_secret_value,
    "CancelRotateSecret": cancel_rotate_secret,
    "CreateSecret": create_secret,
    "DeleteSecret": delete_secret,
    "DescribeSecret": describe_secret,
    "GetRandomPassword": get_random_password,
    "GetSecretValue": get_secret_value,
    "ListSecretVersionIds": list_secret_version_ids,
    "ListSecrets": list_secrets,
    "PutSecretValue": put_secret_value,
    "RestoreSecret": restore_secret,
    "RotateSecret": rotate_secret,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateSecret": update_secret,
    "UpdateSecretVersionStage": update_secret_version_stage,
}

READ_ONLY = frozenset(
    {
        "BatchGetSecretValue",
        "DescribeSecret",
        "GetRandomPassword",
        "GetResourcePolicy",
        "GetSecretValue",
        "ListResourcePolicies",
        "ListSecretVersionIds",
        "ListSecrets",
        "ValidateResourcePolicy",
    }
)
"""Operations that change nothing; they run in a transaction that cannot write.

GetRandomPassword takes no part of a store at all. LastAccessedDate is set after the read.
"""
