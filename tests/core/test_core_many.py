"""Reading many secrets: pages of twenty, partial errors, preloading, boto3's shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from smclient import (
    AccessDeniedError,
    Answer,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    IdentityMismatchError,
    InvalidRequestError,
    ResourceNotFoundError,
    SecretRef,
    SecretsClient,
    SecretValue,
    ThrottlingError,
)
from smclient.batch import PAGE, pages
from smclient.boto_shapes import description_from_dict, matched, value_dict, value_from_dict
from smclient.testing import Call, FakeBackend, FakeClock, Queued

NAMES = [f"s{n}" for n in range(45)]


@pytest.fixture
def backend() -> FakeBackend:
    """Forty-five secrets whose text is their name."""
    return FakeBackend({name: name for name in NAMES})


def test_many_come_twenty_to_a_call_and_fill_the_single_entries(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """45 secrets are three calls; reading them one by one after is none."""
    batch = client.get_many(NAMES)
    assert {name: value.text for name, value in batch.values.items()} == {n: n for n in NAMES}
    assert [len(call.secret_ids) for call in backend.calls] == [20, 20, 5]
    assert batch.errors == {}
    assert batch.raise_for_errors() is batch
    for name in NAMES:
        assert client.get(name).text == client.get(backend.arn(name)).text == name
    assert len(backend.calls) == 3


def test_what_is_held_is_not_asked_for_again(client: SecretsClient, backend: FakeBackend) -> None:
    """Only the missing ones are."""
    client.get("s1")
    client.get_many(["s0", "s1", "s2"])
    assert backend.calls[1:] == [Call("BatchGetSecretValue", ("s0", "s2"))]
    client.get_many(["s0", "s1", "s2"])
    assert len(backend.calls) == 2


def test_what_is_past_its_ttl_is_served_and_refreshed_behind(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """As with a single read."""
    client.get_many(["s0", "s1"])
    backend.put("s0", "new")
    clock.advance(300)
    assert client.get_many(["s0", "s1"]).values["s0"].text == "s0"
    assert len(backend.calls) == 1
    worker.run()
    assert client.get_many(["s0"]).values["s0"].text == "new"


def test_ids_are_asked_once_and_answered_as_asked(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Names, ARNs and partial ARNs, doubles among them; in the order of the question."""
    ids = ["s2", backend.arn("s1"), "s2", backend.arn("s0")[:-7]]
    batch = client.get_many(iter(ids))
    assert list(batch.values) == ["s2", backend.arn("s1"), backend.arn("s0")[:-7]]
    assert [value.text for value in batch.values.values()] == ["s2", "s1", "s0"]
    assert backend.calls == [Call("BatchGetSecretValue", tuple(batch.values))]


def test_a_secret_that_fails_does_not_fail_the_others(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Its error is under its id; ``raise_for_errors`` raises the first."""
    batch = client.get_many(["s0", "missing", "s1"])
    assert list(batch.values) == ["s0", "s1"]
    assert list(batch.errors) == ["missing"]
    error = batch.errors["missing"]
    assert isinstance(error, ResourceNotFoundError)
    assert "secret 'missing'" in str(error)
    with pytest.raises(ResourceNotFoundError):
        batch.raise_for_errors()


def test_a_refused_secret_of_a_batch_is_dropped(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """The refusal of one takes effect; a transient one leaves it."""
    right = backend._value
    refusals: dict[str, BackendError] = {}

    def value(ref: SecretRef) -> SecretValue:
        if ref.secret_id in refusals:
            raise refusals[ref.secret_id]
        return right(ref)

    backend._value = value  # type: ignore[method-assign]
    client.get_many(["s0", "s1", "s2"])
    clock.advance(3600)
    refusals = {"s0": AccessDeniedError("no", attempts=0), "s1": ThrottlingError("slow")}
    batch = client.get_many(["s0", "s1", "s2"])
    assert {name: type(error) for name, error in batch.errors.items()} == {
        "s0": AccessDeniedError,
        "s1": ThrottlingError,
    }
    assert client.usage().secrets == 2


def test_a_page_that_fails_in_passing_is_reported_for_its_ids(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The other pages are there."""
    backend.fail_with(BackendUnavailableError("no answer"))
    batch = client.get_many(NAMES)
    assert set(batch.errors) == set(NAMES[:20])
    assert {type(error) for error in batch.errors.values()} == {BackendUnavailableError}
    assert set(batch.values) == set(NAMES[20:])
    assert client.get_many(NAMES).errors == {}


def test_a_denied_batch_falls_back_to_single_reads(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """A policy may allow one action and not the other."""
    denied = AccessDeniedError("no batch")

    def refuse(call: Call) -> None:
        if call.operation == "BatchGetSecretValue":
            raise denied

    backend.before = refuse
    batch = client.get_many(["s0", "s1", "missing"])
    assert {name: value.text for name, value in batch.values.items()} == {"s0": "s0", "s1": "s1"}
    assert isinstance(batch.errors["missing"], ResourceNotFoundError)
    usage = client.usage()
    assert usage.api_calls == {"BatchGetSecretValue": 1, "GetSecretValue": 3}
    assert (usage.misses, usage.reads) == (3, 3)


def test_an_answer_of_another_secret_is_refused_in_a_batch_too(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The others are kept."""
    right = backend._value
    backend._value = lambda ref: right(SecretRef("s9") if ref.secret_id == "s0" else ref)  # type: ignore[method-assign]
    batch = client.get_many(["s0", "s1"])
    assert isinstance(batch.errors["s0"], IdentityMismatchError)
    assert list(batch.values) == ["s1"]
    assert "s0" not in client._hot
    assert "s9" not in client._hot


@pytest.mark.parametrize("asked", [[], (), iter([])])
def test_nothing_asked_is_nothing_called(
    asked: Any, client: SecretsClient, backend: FakeBackend
) -> None:
    """And an empty answer."""
    batch = client.get_many(asked)
    assert (batch.values, batch.errors, backend.calls) == ({}, {}, [])


def test_pages_hold_each_id_once() -> None:
    """In order, at most twenty."""
    assert list(pages([])) == []
    assert list(pages(["a", "b", "a"])) == [["a", "b"]]
    assert [len(page) for page in pages(map(str, range(41)))] == [20, 20, 1]
    assert PAGE == 20


# --- preload --------------------------------------------------------------------------------------


class Filtering(FakeBackend):
    """Answers ListSecrets and BatchGetSecretValue with filters, two secrets to a page."""

    tags: dict[str, dict[str, str]] = {}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        if operation not in ("BatchGetSecretValue", "ListSecrets"):
            return super().call(operation, parameters)
        self._asked(Call(operation, ()))
        found = [name for name in self._versions if self._matches(name, parameters["Filters"])]
        start = int(parameters.get("NextToken", 0))
        page = found[start : start + 2]
        answer: dict[str, Any] = {}
        if operation == "ListSecrets":
            answer["SecretList"] = [
                {"Name": name, "Tags": [{"Key": k, "Value": v} for k, v in self.tags[name].items()]}
                for name in page
            ]
            page = []
        else:
            answer |= {"SecretValues": [], "Errors": []}
        for name in page:
            if name.endswith("denied"):
                answer["Errors"].append(
                    {"SecretId": name, "ErrorCode": "AccessDeniedException", "Message": "no"}
                )
            else:
                answer["SecretValues"].append(value_dict(self._value(SecretRef(name))))
        if start + 2 < len(found):
            answer["NextToken"] = str(start + 2)
        return Answer(answer)

    def _matches(self, name: str, filters: list[dict[str, Any]]) -> bool:
        tags = self.tags.get(name, {})
        kinds: dict[str, Callable[[str], bool]] = {
            "name": name.startswith,
            "tag-key": lambda v: v in tags,
            "tag-value": lambda v: v in tags.values(),
        }
        return all(any(kinds[f["Key"]](v) for v in f["Values"]) for f in filters)


@pytest.fixture
def filtering(make_client: Callable[..., SecretsClient]) -> tuple[SecretsClient, Filtering]:
    backend = Filtering({f"web/{n}": f"{n}" for n in range(5)} | {"db": "x", "web/denied": "?"})
    return make_client(backend), backend


def test_secrets_are_preloaded_by_id(client: SecretsClient, backend: FakeBackend) -> None:
    """So that the first reads are hits."""
    assert set(client.preload(["s0", "s1"]).values) == {"s0", "s1"}
    client.get("s0")
    assert len(backend.calls) == 1


def test_preloading_fetches_what_is_older_than_was_asked(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """What is held and young enough stays; what cannot be fetched now is told, and stays too."""
    client.preload(["s0", "s1"], max_age=10.0)
    clock.advance(9)
    client.preload(["s0", "s1"], max_age=10.0)
    assert len(backend.calls) == 1
    clock.advance(1)
    client.get("s1", max_age=5.0)
    assert set(client.preload(["s0", "s1"], max_age=10.0).values) == {"s0", "s1"}
    assert backend.calls[-1].secret_ids == ("s0",)
    backend.fail_with(BackendUnavailableError("no answer"))
    clock.advance(11)
    assert set(client.preload(["s0"], max_age=10.0).errors) == {"s0"}
    assert str(client.get("s0").text)


def test_secrets_are_preloaded_by_prefix(filtering: tuple[SecretsClient, Filtering]) -> None:
    """Page by page, with an error for what is denied; reading them after is no call."""
    client, backend = filtering
    batch = client.preload(prefix="web/")
    assert {n: v.text for n, v in batch.values.items()} == {f"web/{n}": f"{n}" for n in range(5)}
    assert isinstance(batch.errors["web/denied"], AccessDeniedError)
    assert len(backend.calls) == 3
    for n in range(5):
        client.get(f"web/{n}")
        client.get(backend.arn(f"web/{n}"))
    assert len(backend.calls) == 3
    assert client.usage().api_calls == {"BatchGetSecretValue": 3}


def test_secrets_are_preloaded_by_tags(filtering: tuple[SecretsClient, Filtering]) -> None:
    """All of them must be there."""
    client, backend = filtering
    backend.tags = {
        "web/0": {"env": "prod", "team": "a"},
        "web/1": {"env": "prod"},
        "db": {"env": "dev", "team": "a"},
        "web/2": {"env": "dev", "team": "a", "was": "prod"},  # AWS's filters let it through
    }
    assert set(client.preload(tags={"env": "prod", "team": "a"}).values) == {"web/0"}
    assert set(client.preload(tags={"env": "prod"}, prefix="web/1").values) == {"web/1"}


def test_a_fleet_that_starts_together_is_spread_out(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """Each process waits for a time of its own, at most as long as it was told."""
    waits = []
    for _ in range(20):
        began = clock.monotonic()
        client.preload(["s0"], jitter=10.0)
        waits.append(clock.monotonic() - began)
    assert 0 <= min(waits) < max(waits) <= 10
    began = clock.monotonic()
    client.preload(["s0"])
    assert clock.monotonic() == began


def test_one_id_given_as_text_is_refused(client: SecretsClient, backend: FakeBackend) -> None:
    """It would be read letter by letter."""
    for wrong in (client.get_many, client.preload):
        with pytest.raises(ConfigError, match="several ids"):
            wrong("s0")
    assert backend.calls == []


def test_ids_and_filters_are_preloaded_together(
    filtering: tuple[SecretsClient, Filtering],
) -> None:
    """In one result."""
    client, _ = filtering
    assert set(client.preload(["db"], prefix="web/1").values) == {"db", "web/1"}


def test_a_failing_filter_is_raised(filtering: tuple[SecretsClient, Filtering]) -> None:
    """There is no id to which it could belong."""
    client, backend = filtering
    backend.fail_with(AccessDeniedError("no ListSecrets"), times=2)  # of the batch, of itself
    with pytest.raises(AccessDeniedError):
        client.preload(prefix="web/")


# --- boto3's shapes -------------------------------------------------------------------------------


def test_get_secret_value_has_boto3_s_shape(client: SecretsClient, backend: FakeBackend) -> None:
    """Cached; text or bytes, never both."""
    backend.put("blob", b"\x00\xff")
    got = client.get_secret_value(SecretId="s0")
    client.get_secret_value(SecretId="s0")
    value = client.get("s0")
    assert got == {
        "ARN": backend.arn("s0"),
        "Name": "s0",
        "VersionId": value.version_id,
        "VersionStages": ["AWSCURRENT"],
        "SecretString": "s0",
        "CreatedDate": value.created_date,
    }
    assert "'s0'" not in repr(got["SecretString"])
    binary = client.get_secret_value(SecretId="blob", VersionStage="AWSCURRENT")
    assert binary["SecretBinary"] == b"\x00\xff"
    assert "SecretString" not in binary
    version = client.get_secret_value(SecretId="s0", VersionId=value.version_id)
    assert version["SecretString"] == "s0"
    assert backend.count("GetSecretValue") == 3


def test_batch_get_secret_value_has_boto3_s_shape(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Errors with AWS's codes."""
    got = client.batch_get_secret_value(SecretIdList=["s0", "missing"])
    assert [value["SecretString"] for value in got["SecretValues"]] == ["s0"]
    (error,) = got["Errors"]
    assert (error["SecretId"], error["ErrorCode"]) == ("missing", "ResourceNotFoundException")
    assert "missing" in error["Message"]
    with pytest.raises(TypeError):
        client.get_secret_value("s0")  # type: ignore[misc]


def test_a_value_survives_boto3_s_shape() -> None:
    """There and back, with a date or without."""
    for created in (None, datetime(2026, 1, 1, tzinfo=UTC)):
        value = SecretValue(
            arn="arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf",
            name="a",
            version_id="v",
            version_stages={"B", "A"},
            created_date=created,
            text="t",
        )
        shape = value_dict(value)
        assert shape["VersionStages"] == ["A", "B"]
        again = value_from_dict(shape)
        assert value_dict(again) == shape
        assert again.same_value(value)


def test_answers_of_a_batch_are_sorted_by_the_ids_that_were_asked() -> None:
    """Names and ARNs alike; what got neither value nor error is not found, never left out."""
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:a-AbCdEf"
    shape = {
        "SecretValues": [{"ARN": arn, "Name": "a", "VersionId": "v", "SecretString": "t"}],
        "Errors": [{"SecretId": "b", "ErrorCode": "InvalidRequestException", "Message": "deleted"}],
    }
    assert list(matched(["a"], shape)) == ["a"]
    assert isinstance(matched(["a"], shape)["a"], SecretValue)
    found = matched([arn, arn[:-7], "b", "c"], shape)
    assert list(found) == [arn, arn[:-7], "b", "c"]
    assert found[arn] is found[arn[:-7]]
    assert isinstance(found[arn], SecretValue)
    assert isinstance(found["b"], InvalidRequestError)
    assert isinstance(found["c"], ResourceNotFoundError)
    assert isinstance(found["b"], BackendError)
    assert found["b"].attempts == 0


def test_a_description_is_read_from_boto3_s_shape() -> None:
    """With what is absent left at its default."""
    described = description_from_dict(
        {
            "ARN": "arn",
            "Name": "a",
            "VersionIdsToStages": {"v": ["AWSCURRENT"]},
            "Tags": [{"Key": "env", "Value": "prod"}],
            "KmsKeyId": "key",
        }
    )
    assert described.version_at("AWSCURRENT") == "v"
    assert (described.tags, described.kms_key_id) == ({"env": "prod"}, "key")
    assert description_from_dict({"ARN": "arn", "Name": "a"}).version_stages == {}
