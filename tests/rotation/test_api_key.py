"""Keys that a provider issues: which are valid when, and that a crash leaves none behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from smclient import RotationStepError
from smclient.rotation import ApiKey, KeyProvider, KeyRefused

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class Acme(KeyProvider):
    """A provider that issues by idempotency token, up to a limit."""

    def __init__(self, limit: int = 3) -> None:
        self.valid = {"first"}
        self.issued: dict[str, str] = {}
        self.limit = limit
        self.most = 1

    def issue(self, current: Mapping[str, Any], token: str) -> Mapping[str, Any]:
        if token not in self.issued:
            assert len(self.valid) < self.limit, "too many keys"
            self.issued[token] = f"key-{len(self.issued)}"
            self.valid.add(self.issued[token])
            self.most = max(self.most, len(self.valid))
        return {"key": self.issued[token]}

    def check(self, fields: Mapping[str, Any]) -> None:
        if fields["key"] not in self.valid:
            raise KeyRefused("acme: no such key")

    def revoke(self, fields: Mapping[str, Any]) -> None:
        self.valid.discard(fields["key"])


@pytest.mark.parametrize(("limit", "first"), [(3, False), (2, True)])
def test_current_and_previous_are_valid_between_rotations(
    bench: Any, limit: int, first: bool
) -> None:
    """Each step twice; the current key works at every moment, and the one before until the next
    rotation. A provider that allows two keys only is asked in the other order."""
    acme = Acme(limit)
    function = ApiKey(acme, revoke_first=first)
    bench.create({"key": "first", "kept": "as it was"})
    for _ in range(4):
        token = bench.begin(function)
        for step in STEPS:
            for _ in range(2):
                bench.step(function, step, token)
                assert bench.value()["key"] in acme.valid
        bench.service.run_due()
        assert bench.value()["kept"] == "as it was"
        assert acme.valid == {bench.value()["key"], bench.value("AWSPREVIOUS")["key"]}
    assert acme.most == limit


@pytest.mark.parametrize("call", ["issue", "check", "revoke"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_of_the_provider(
    bench: Any, crash: Any, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    """The next try ends as if nothing had been, with no key left over."""
    acme = Acme()
    function = ApiKey(acme)
    bench.create({"key": "first"})
    bench.begin(function)
    assert bench.service.run_due().rotated
    crash.watch(monkeypatch, acme, call)
    token = bench.begin(function)
    crash.at(1, after=after)
    assert bench.service.run_due().failed == (bench.arn,)
    assert crash.happened
    assert bench.value()["key"] in acme.valid
    bench.clock.advance(minutes=5)
    assert bench.service.run_due().rotated == (bench.arn,)
    assert bench.labels()["AWSCURRENT"] == token
    assert acme.valid == {bench.value()["key"], bench.value("AWSPREVIOUS")["key"]}


def test_a_key_that_the_provider_refuses_never_becomes_current(bench: Any) -> None:
    """testSecret fails, and the key before the current one is not revoked either."""
    acme = Acme()
    function = ApiKey(acme)
    bench.create({"key": "first"})
    bench.begin(function)
    bench.service.run_due()
    before = bench.labels()["AWSCURRENT"]
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    acme.valid.discard(bench.value("AWSPENDING")["key"])
    with pytest.raises(KeyRefused):
        bench.step(function, "testSecret", token)
    assert bench.labels()["AWSCURRENT"] == before
    assert acme.valid == {bench.value()["key"], "first"}


def test_a_provider_that_gives_the_same_key(bench: Any) -> None:
    """Would look like a rotation and be none."""

    class Lazy(Acme):
        def issue(self, current: Mapping[str, Any], token: str) -> Mapping[str, Any]:
            return {"key": current["key"]}

    bench.create({"key": "first"})
    token = bench.begin(ApiKey(Lazy()))
    with pytest.raises(RotationStepError, match="gave no new key"):
        bench.step(ApiKey(Lazy()), "createSecret", token)


def test_settling_revokes_the_key_that_is_given_up(bench: Any) -> None:
    """An abandoned rotation leaves no valid key that nobody uses."""
    acme = Acme()
    function = ApiKey(acme)
    bench.create({"key": "first"})
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    bench.client.call("CancelRotateSecret", SecretId=bench.name)
    assert function.settle(bench.name, bench.secrets) == "discarded"
    assert acme.valid == {"first"}
    assert bench.value()["key"] == "first"


def test_a_test_run_revokes_nothing(bench: Any) -> None:
    """``RotateImmediately=false`` calls testSecret on a copy of the current key: AWSPREVIOUS's key
    has its service still to do."""
    acme = Acme()
    function = ApiKey(acme)
    bench.create({"key": "first"})
    bench.begin(function)
    bench.service.run_due()
    assert acme.valid == {"first", "key-0"}
    bench.client.call("RotateSecret", SecretId=bench.name, RotateImmediately=False)
    assert bench.service.run_due().rotated == (bench.arn,)
    assert acme.valid == {"first", "key-0"}


def test_settling_a_test_run_revokes_nothing(bench: Any) -> None:
    """What is given up is a copy of the key in use."""
    acme = Acme()
    function = ApiKey(acme)
    bench.create({"key": "first"})
    arn = bench.service.register_function("rotate", function)
    bench.client.call(
        "RotateSecret", SecretId=bench.name, RotationLambdaARN=arn, RotateImmediately=False
    )
    bench.client.call("CancelRotateSecret", SecretId=bench.name)
    assert function.settle(bench.name, bench.secrets) == "discarded"
    assert acme.valid == {"first"}
