"""What a store that fails does to calls, and to closing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smclient_embedded.store import StoreError
from tests.backends.embedded.service.helpers_broken_store import BrokenStore


def test_why_is_for_the_log_and_not_for_the_wire(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a client nor the trail is told where the store is."""
    store = BrokenStore()
    world = make(store)
    world.create()
    store.writes_break = True
    client = world.service.client()
    with pytest.raises(client.exceptions.ClientError) as wired:
        client.put_secret_value(SecretId="s", SecretString="x")
    said = "An error occurred on the server side."
    assert wired.value.response["Error"]["Message"] == said
    assert "PutSecretValue failed: the disk is full" in caplog.text
    store.writes_break = False
    assert {event["errorMessage"] for event in world.events("PutSecretValue")} == {said}


def test_a_day_of_access_that_cannot_be_written_refuses_no_read(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and written with the next read."""
    store = BrokenStore()
    world = make(store)
    world.create()
    store.writes_break = True
    assert world.value() == "v0"
    assert "LastAccessedDate cannot be written: the disk is full" in caplog.text
    store.writes_break = False
    assert [event.get("errorCode") for event in world.events("GetSecretValue")] == [None]
    assert "LastAccessedDate" not in world.describe()
    world.value()
    assert "LastAccessedDate" in world.describe()


def test_closing_over_a_broken_store_closes_all_the_same(make: Callable[..., Any]) -> None:
    """What was kept back is lost, and the caller is told; nothing else stays open."""
    store = BrokenStore()
    world = make(store)
    world.create()
    heard: list[Any] = []
    world.service.subscribe(heard.append)
    world("PutSecretValue", SecretId="s", SecretString="x")
    world.describe()
    store.writes_break = True
    with pytest.raises(StoreError, match="the disk is full"):
        world.service.close()
    assert heard
    assert store.is_closed
    world.service.close()
