"""Deeper counters: what preloading counts, however its secrets are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from smclient import Answer, SecretRef, SecretsClient
from smclient.boto_shapes import value_dict
from smclient.metering import AWS_CACHING, NO_CACHE, POWERTOOLS
from smclient.testing import Call, FakeBackend, FakeClock, Queued
from tests.core.helpers_usage import MakeClient, adds_up


class Filtering(FakeBackend):
    """Answers ListSecrets and BatchGetSecretValue with filters: everything, on one page."""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        self._asked(Call(operation, ()))
        if operation == "ListSecrets":
            tags = [{"Key": "k", "Value": "v"}]
            return Answer({"SecretList": [{"Name": n, "Tags": tags} for n in self._versions]})
        shapes = [value_dict(self._value(SecretRef(name))) for name in self._versions]
        return Answer({"SecretValues": shapes, "Errors": []})


@pytest.mark.parametrize("how", [{"secret_ids": ["a", "b"]}, {"prefix": ""}, {"tags": {"k": "v"}}])
def test_preloading_counts_alike_however_secrets_are_named(
    how: dict[str, Any], make_client: MakeClient
) -> None:
    """As values fetched and not as reads: nobody asked yet, so nothing was saved yet."""
    client = make_client(Filtering({"a": "x", "b": "xy"}))
    client.preload(**how)
    usage = client.usage()
    assert (usage.preloaded, usage.batched, usage.bytes) == (2, 2, 3)
    assert (usage.reads, usage.misses) == (0, 0)
    assert usage.baselines == {NO_CACHE: {"GetSecretValue": 0}, AWS_CACHING: {}, POWERTOOLS: {}}
    client.get("a")
    client.get("a")
    usage = client.usage()
    assert (usage.hits, usage.misses, usage.preloaded) == (2, 0, 2)
    assert usage.baselines == {
        NO_CACHE: {"GetSecretValue": 2},
        AWS_CACHING: {"DescribeSecret": 1, "GetSecretValue": 1},
        POWERTOOLS: {"GetSecretValue": 1},
    }
    adds_up(usage)


def test_preloading_what_is_held_fetches_nothing(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """What is past its time is looked at in the background, as if it had been read."""
    client.preload(["db"])
    client.preload(["db"])
    assert len(backend.calls) == 1
    clock.advance(300)
    assert client.preload(["db"]).values["db"].text == '{"password": "first"}'
    assert len(backend.calls) == 1
    worker.run()
    usage = client.usage()
    assert (len(backend.calls), usage.refreshes, usage.preloaded, usage.reads) == (2, 1, 1, 0)
