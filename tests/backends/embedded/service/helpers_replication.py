"""A world with several regions, for the tests of replication."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HERE, THERE, ELSEWHERE = "us-east-1", "eu-west-1", "ap-south-2"
DEFAULT_KEY = "alias/aws/secretsmanager"


@contextmanager
def region(world: Any, name: str) -> Iterator[None]:
    """Ask in another region."""
    before, world.region = world.region, name
    try:
        yield
    finally:
        world.region = before


def replicate(world: Any, *regions: str, secret: str = "s", **more: Any) -> dict[str, Any]:
    asked = [{"Region": name} for name in regions]
    answer: dict[str, Any] = world(
        "ReplicateSecretToRegions", SecretId=secret, AddReplicaRegions=asked, **more
    )
    return answer


def status(world: Any, secret: str = "s") -> list[dict[str, Any]]:
    """ReplicationStatus of DescribeSecret."""
    found: list[dict[str, Any]] = world.describe(secret).get("ReplicationStatus", [])
    return found


def arn_in(name: str, arn: str) -> str:
    return arn.replace(f":{HERE}:", f":{name}:")


IN_SYNC = {
    "Region": THERE,
    "KmsKeyId": DEFAULT_KEY,
    "Status": "InSync",
    "StatusMessage": "Replication succeeded",
}
