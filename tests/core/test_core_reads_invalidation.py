"""Reading one secret anew: after a refresh, an invalidation, or a call that changed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smclient import BackendUnavailableError, ResourceNotFoundError, SecretsClient, SmclientError
from smclient.testing import Call, FakeBackend, FakeClock
from tests.core.helpers_reads import password, put


def test_a_refresh_is_one_call_without_sleeping(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Held or not."""
    client.refresh("db")
    put(backend, "second")
    assert client.refresh("db")["password"] == "second"
    assert password(client) == "second"
    assert (len(backend.calls), clock.slept) == (2, [])


def test_an_invalidated_secret_is_asked_for_again(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """By any of its names; the others stay."""
    backend.put("other", "x")
    for secret_id in ("db", backend.arn("db"), backend.arn("db")[:-7]):
        client.get("db")
        client.get("other")
        put(backend, f"after {secret_id}")
        client.invalidate(secret_id)
        assert password(client) == f"after {secret_id}"
    assert client.usage().api_calls == {"GetSecretValue": 5}


def test_a_secret_read_by_arn_is_invalidated_by_name(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Also before any bare name was read."""
    client.get(backend.arn("db"))
    put(backend, "second")
    client.invalidate("db")
    assert client.get(backend.arn("db"))["password"] == "second"


def test_everything_can_be_invalidated(client: SecretsClient, backend: FakeBackend) -> None:
    """In one go."""
    backend.put("other", "x")
    client.get("db")
    client.get("other")
    client.invalidate()
    assert client.usage().secrets == 0
    client.invalidate("never-heard-of")


@pytest.mark.parametrize("names", [("db",), ("arn",), (None,), ("partial",)])
def test_what_was_asked_before_an_invalidation_is_not_held(
    names: tuple[str | None], client: SecretsClient, backend: FakeBackend
) -> None:
    """A fetch in flight may carry the old value; its reader gets it, nobody after."""
    (name,) = names
    ids = {"arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate(ids.get(name or "", name))

    backend.before = meanwhile
    client.get("db")
    put(backend, "second")
    assert password(client) == "second"


def test_invalidating_one_secret_does_not_cost_another_its_fetch(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Nor does a missing one that somebody keeps asking for."""
    backend.put("other", "x")

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate("other")
        with pytest.raises(ResourceNotFoundError):
            client.get("missing")

    backend.before = meanwhile
    client.get("db")
    backend.calls.clear()
    client.get("db")
    assert backend.calls == []


def test_the_memory_of_invalidations_is_bounded(
    make_client: Callable[..., SecretsClient], backend: FakeBackend
) -> None:
    """When it is full, a fetch in flight is not held, whatever it is of; that is safe."""
    client = make_client(max_secrets=3)

    def meanwhile(call: Call) -> None:
        backend.before = lambda call: None
        client.invalidate("db")
        for n in range(10):
            client.invalidate(f"other {n}")

    backend.before = meanwhile
    client.get("db")
    assert len(client._cache._dropped) <= 3
    put(backend, "second")
    assert password(client) == "second"


def test_an_older_answer_does_not_replace_a_newer_one(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A batch that was under way for long must not bring back what a refresh replaced; nor tell of
    a rotation that never was."""
    told: list[Any] = []
    client.on_rotate(told.append)
    late = backend.fetch_many

    def fetch_many(ids: Any) -> Any:
        answer = late(ids)
        clock.advance(1)
        put(backend, "second")
        client.refresh("db")
        return answer

    backend.fetch_many = fetch_many  # type: ignore[method-assign]
    assert client.get_many(["db"]).values["db"]["password"] == "first"
    assert password(client) == "second"
    assert told == []


@pytest.mark.parametrize("by", ["name", "arn", "partial"])
@pytest.mark.parametrize("read_by", ["name", "arn"])
def test_what_a_call_changed_is_read_anew(
    by: str, read_by: str, client: SecretsClient, backend: FakeBackend
) -> None:
    """One reads what one has written, whichever way it was named."""
    ids = {"name": "db", "arn": backend.arn("db"), "partial": backend.arn("db")[:-7]}
    client.get(ids[read_by])
    answer = client.call("PutSecretValue", SecretId=ids[by], SecretString='{"password": "w"}')
    assert answer["ARN"] == backend.arn("db")
    assert client.get(ids[read_by])["password"] == "w"


def test_what_a_call_may_have_changed_is_read_anew(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """An error does not prove that nothing happened."""
    client.get("db")
    backend.fail_with(BackendUnavailableError("no answer"))
    with pytest.raises(BackendUnavailableError):
        client.call("PutSecretValue", SecretId="db", SecretString="x")
    put(backend, "second")
    assert password(client) == "second"


def test_a_call_that_changes_nothing_drops_nothing(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Other operations go through as they are."""
    client.get("db")
    with pytest.raises(SmclientError, match="TagResource"):
        client.call("TagResource", SecretId="db", Tags=[])
    client.get("db")
    assert backend.count("GetSecretValue") == 1


def test_a_created_secret_is_read_at_once(client: SecretsClient) -> None:
    """Also where it was looked for before."""
    with pytest.raises(ResourceNotFoundError):
        client.get("new")
    client.call("CreateSecret", Name="new", SecretString="made")
    assert client.get("new").text == "made"
    client.call("DeleteSecret", SecretId="new")
    with pytest.raises(ResourceNotFoundError):
        client.get("new")
