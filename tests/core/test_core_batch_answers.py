"""Whose value a batch brought: an id never gets what was answered for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from smclient import AccessDeniedError, Answer, SecretsClient, SecretValue
from smclient.boto_shapes import matched
from smclient.errors import ResourceNotFoundError, SmclientError
from smclient.testing import FakeBackend, FakeClock

MakeClient = Callable[..., SecretsClient]

HERE = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:"
THERE = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:"


def entry(arn: str, name: str) -> dict[str, str]:
    """One of ``SecretValues``; its text is its ARN."""
    return {"ARN": arn, "Name": name, "VersionId": "v", "SecretString": arn}


def texts(found: Mapping[str, SecretValue | SmclientError]) -> dict[str, Any]:
    """The text that each id got, or the class of its error."""
    return {
        asked: result.text if isinstance(result, SecretValue) else type(result)
        for asked, result in found.items()
    }


@pytest.mark.parametrize("asked", [f"{THERE}prod/db-BBBBBB", f"{THERE}prod/db"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_name_gets_the_value_that_no_arn_was_asked_for(asked: str, first: int) -> None:
    """Two accounts have a secret of one name; the bare name is the caller's own."""
    mine, other = (
        entry(f"{HERE}prod/db-AAAAAA", "prod/db"),
        entry(f"{THERE}prod/db-BBBBBB", "prod/db"),
    )
    values = [mine, other] if first == 0 else [other, mine]
    found = texts(matched(["prod/db", asked], {"SecretValues": values}))
    assert found == {"prod/db": mine["ARN"], asked: other["ARN"]}


def test_an_error_for_an_id_is_not_outdone_by_a_value_of_the_same_name() -> None:
    """The caller's own secret is denied, the other account's is not."""
    other = entry(f"{THERE}prod/db-BBBBBB", "prod/db")
    denied = {"SecretId": "prod/db", "ErrorCode": "AccessDeniedException", "Message": "no"}
    shape = {"SecretValues": [other], "Errors": [denied]}
    found = texts(matched(["prod/db", other["ARN"]], shape))
    assert found == {"prod/db": AccessDeniedError, other["ARN"]: other["ARN"]}


def test_a_name_that_the_batch_left_out_does_not_get_the_value_of_an_arn() -> None:
    """Rather not found than another account's."""
    other = entry(f"{THERE}prod/db-BBBBBB", "prod/db")
    found = texts(matched(["prod/db", other["ARN"]], {"SecretValues": [other]}))
    assert found["prod/db"] is ResourceNotFoundError


def test_an_arn_that_looks_like_the_stem_of_another_gets_its_own() -> None:
    """``app`` with the suffix ``-AbCdEf``, and a secret that is called ``app-AbCdEf``."""
    short, long = entry(f"{HERE}app-AbCdEf", "app"), entry(f"{HERE}app-AbCdEf-XyZuVw", "app-AbCdEf")
    for values in ([short, long], [long, short]):
        found = texts(matched([short["ARN"], "app-AbCdEf"], {"SecretValues": values}))
        assert found == {short["ARN"]: short["ARN"], "app-AbCdEf": long["ARN"]}


class TwoAccounts(FakeBackend):
    """The caller's own account, and another one whose secrets are asked for by ARN; batches are
    answered as AWS does it: without saying which id an entry is for, one entry for each secret."""

    def __init__(self) -> None:
        super().__init__({"prod/db": "mine"}, account="111111111111")
        self.other = FakeBackend({"prod/db": "theirs"}, account="222222222222")

    def _value(self, ref: Any) -> SecretValue:
        there = ":222222222222:" in ref.secret_id
        return self.other._value(ref) if there else super()._value(ref)

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """Each secret once, however many of its names were asked for."""
        values = {
            value.arn: value
            for value in super().fetch_many(secret_ids).value.values()
            if isinstance(value, SecretValue)
        }
        entries = [
            {"ARN": v.arn, "Name": v.name, "VersionId": v.version_id, "SecretString": v.text}
            for v in values.values()
        ]
        return Answer(matched(list(secret_ids), {"SecretValues": entries}))


@pytest.mark.parametrize("own_arn_too", [False, True])
def test_a_name_beside_an_arn_of_that_name_is_read_right(
    make_client: MakeClient, own_arn_too: bool
) -> None:
    """Its own account's value is served and kept, also where the batch has one entry for both."""
    backend = TwoAccounts()
    client = make_client(backend)
    theirs = backend.other.arn("prod/db")
    ids = ["prod/db", theirs, *([backend.arn("prod/db")] if own_arn_too else [])]
    batch = client.get_many(ids).raise_for_errors()
    assert batch.values["prod/db"].text == client.get("prod/db").text == "mine"
    assert batch.values[theirs].text == client.get(theirs).text == "theirs"
    assert client.get(backend.arn("prod/db")).text == "mine"


@pytest.mark.parametrize("code", ["InternalFailure", "Throttling", "TooManyRequestsException"])
def test_an_item_that_may_pass_leaves_the_value(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, code: str
) -> None:
    """By whatever name the service calls it."""
    client = make_client(refresh="batch")
    client.get("db")
    error = {"SecretId": "db", "ErrorCode": code, "Message": "not now"}
    answer = matched(["db"], {"Errors": [error]})
    backend.fetch_many = lambda secret_ids: Answer(answer)  # type: ignore[method-assign]
    clock.advance(301)
    client.get("db")
    assert client.peek("db") is not None
