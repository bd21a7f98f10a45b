"""One file and function for each operation of the API; this table says which there are.

All of botocore's model are here. What a newer botocore adds is answered with
``OperationNotSupported`` until it is written.
"""

from __future__ import annotations

from smclient_embedded.deps import Operation
from smclient_embedded.operations.associate_cross_account_replica import (
    associate_cross_account_replica,
)
from smclient_embedded.operations.batch_get_secret_value import batch_get_secret_value
from smclient_embedded.operations.cancel_rotate_secret import cancel_rotate_secret
from smclient_embedded.operations.create_secret import create_secret
from smclient_embedded.operations.delete_resource_policy import delete_resource_policy
from smclient_embedded.operations.delete_secret import delete_secret
from smclient_embedded.operations.describe_secret import describe_secret
from smclient_embedded.operations.disassociate_cross_account_replica import (
    disassociate_cross_account_replica,
)
from smclient_embedded.operations.get_random_password import get_random_password
from smclient_embedded.operations.get_resource_policy import get_resource_policy
from smclient_embedded.operations.get_secret_value import get_secret_value
from smclient_embedded.operations.list_resource_policies import list_resource_policies
from smclient_embedded.operations.list_secret_version_ids import list_secret_version_ids
from smclient_embedded.operations.list_secrets import list_secrets
from smclient_embedded.operations.put_resource_policy import put_resource_policy
from smclient_embedded.operations.put_secret_value import put_secret_value
from smclient_embedded.operations.remove_regions_from_replication import (
    remove_regions_from_replication,
)
from smclient_embedded.operations.replicate_secret_to_regions import replicate_secret_to_regions
from smclient_embedded.operations.restore_secret import restore_secret
from smclient_embedded.operations.rotate_secret import rotate_secret
from smclient_embedded.operations.stop_replication_to_replica import stop_replication_to_replica
from smclient_embedded.operations.tag_resource import tag_resource
from smclient_embedded.operations.untag_resource import untag_resource
from smclient_embedded.operations.update_secret import update_secret
from smclient_embedded.operations.update_secret_version_stage import update_secret_version_stage
from smclient_embedded.operations.validate_resource_policy import validate_resource_policy

OPERATIONS: dict[str, Operation] = {
    "AssociateCrossAccountReplica": associate_cross_account_replica,
    "BatchGetSecretValue": batch_get_secret_value,
    "CancelRotateSecret": cancel_rotate_secret,
    "CreateSecret": create_secret,
    "DeleteResourcePolicy": delete_resource_policy,
    "DeleteSecret": delete_secret,
    "DescribeSecret": describe_secret,
    "DisassociateCrossAccountReplica": disassociate_cross_account_replica,
    "GetRandomPassword": get_random_password,
    "GetResourcePolicy": get_resource_policy,
    "GetSecretValue": get_secret_value,
    "ListResourcePolicies": list_resource_policies,
    "ListSecretVersionIds": list_secret_version_ids,
    "ListSecrets": list_secrets,
    "PutResourcePolicy": put_resource_policy,
    "PutSecretValue": put_secret_value,
    "RemoveRegionsFromReplication": remove_regions_from_replication,
    "ReplicateSecretToRegions": replicate_secret_to_regions,
    "RestoreSecret": restore_secret,
    "RotateSecret": rotate_secret,
    "StopReplicationToReplica": stop_replication_to_replica,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateSecret": update_secret,
    "UpdateSecretVersionStage": update_secret_version_stage,
    "ValidateResourcePolicy": validate_resource_policy,
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
