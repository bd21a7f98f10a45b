"""What the tests of the deeper counters share: the parts are the whole; tags and keys by secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from smclient import Answer, SecretDescription, SecretsClient
from smclient.testing import FakeBackend
from smclient.usage import Usage

MakeClient = Callable[..., SecretsClient]


def adds_up(usage: Usage) -> None:
    """The parts are the whole."""
    each = usage.per_secret.values()
    for name in ("hits", "stale_hits", "misses", "coalesced", "refreshes", "bytes"):
        assert sum(getattr(secret, name) for secret in each) == getattr(usage, name), name
    regions: dict[str, int] = {}
    for calls in usage.per_region.values():
        for operation, n in calls.items():
            regions[operation] = regions.get(operation, 0) + n
    assert regions == usage.api_calls


class Described(FakeBackend):
    """Descriptions with tags and keys, by both ways to ask."""

    tags: dict[str, dict[str, str]] = {}
    keys: dict[str, str] = {}

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        answer = super().describe(secret_id)
        name = answer.value.name
        told = replace(answer.value, tags=self.tags.get(name, {}), kms_key_id=self.keys.get(name))
        return Answer(told)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        if operation != "DescribeSecret":
            return super().call(operation, parameters)
        told = self.describe(str(parameters["SecretId"])).value
        shape: dict[str, Any] = {"ARN": told.arn, "Name": told.name}
        if told.tags:
            shape["Tags"] = [{"Key": k, "Value": v} for k, v in told.tags.items()]
        return Answer(shape | ({"KmsKeyId": told.kms_key_id} if told.kms_key_id else {}))
