"""Signing keys: made, proved, and not used before every verifier had one TTL to learn them."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from smclient import ConfigError, RotationStepError
from smclient.rotation import SigningKey
from smclient.rotation.signing_key import ALGORITHMS
from smclient.testing import FakeClock

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_becomes_current_after_one_ttl(bench: Any, algorithm: str) -> None:
    """It is pending, and readable, for the whole time; the function waits by itself."""
    clock = FakeClock()
    published: list[str] = []
    function = SigningKey(
        ttl=120,
        algorithm=algorithm,
        clock=clock,
        publish=lambda rotation: published.append(rotation.the_pending()["kid"]),
    )
    bench.create({"kid": "old", "algorithm": algorithm, "private_key": "old", "kept": 1})
    bench.begin(function)
    assert bench.service.run_due().rotated == (bench.arn,)
    value = bench.value()
    assert clock.slept == [120.0]
    assert published == [value["kid"]]
    assert value["kept"] == 1
    assert value["algorithm"] == algorithm
    assert ("secret" in value) is (algorithm == "HS256")
    assert ("private_key" in value) is (algorithm != "HS256")
    assert value["kid"] != "old"


def test_time_that_passed_before_is_not_waited_again(bench: Any) -> None:
    """The wait counts from when the key was made, and a repeated finish does not wait."""
    clock = FakeClock()
    function = SigningKey(ttl=100, clock=clock)
    bench.create({"kid": "old"})
    token = bench.begin(function)
    for step in STEPS[:3]:
        bench.step(function, step, token)
    clock.advance(70)
    for _ in range(2):
        bench.step(function, "finishSecret", token)
    assert clock.slept == [30.0]


def test_a_wait_that_is_too_long_fails_and_is_tried_again(bench: Any) -> None:
    """AWSCURRENT stays; the next try, after the TTL, finishes with the same key."""
    clock = FakeClock()
    function = SigningKey(ttl=600, max_wait=0, clock=clock)
    bench.create({"kid": "old"})
    token = bench.begin(function)
    for step in STEPS[:3]:
        bench.step(function, step, token)
    made = bench.value("AWSPENDING")
    with pytest.raises(RotationStepError, match="current in 600 s, and this call waits 0 s"):
        bench.step(function, "finishSecret", token)
    assert bench.value() == {"kid": "old"}
    clock.advance(600)
    bench.step(function, "finishSecret", token)
    assert bench.value() == made
    assert clock.slept == []


def test_it_does_not_wait_longer_than_the_lambda_call_lasts(bench: Any) -> None:
    """Ended in the middle of the wait, it could not say why."""
    clock = FakeClock()
    function = SigningKey(ttl=300, clock=clock)
    bench.create({"kid": "old"})
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    event = {"Step": "finishSecret", "SecretId": bench.arn, "ClientRequestToken": token}
    context = SimpleNamespace(secrets=bench.secrets, get_remaining_time_in_millis=lambda: 60_000)
    with pytest.raises(RotationStepError, match="this call waits 55 s at most"):
        function(event, context)
    assert clock.slept == []
    clock.advance(timedelta(seconds=260).total_seconds())
    function(event, context)
    assert clock.slept == [40.0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_cannot_sign_is_found_out(bench: Any, algorithm: str, shown: Any) -> None:
    """Two halves of different pairs, a short one, none at all: never current, never shown."""
    function = SigningKey(algorithm=algorithm, clock=FakeClock())
    bench.create({"kid": "old"})
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    good = bench.value("AWSPENDING")
    bench.step(function, "testSecret", token)
    other = "c2hvcnQ=" if algorithm == "HS256" else _other_public_key(algorithm)
    broken = {**good, ("secret" if algorithm == "HS256" else "public_key"): other}
    for value in (broken, {"kid": "x"}, {**good, "algorithm": "none"}):
        bench.client.call("CancelRotateSecret", SecretId=bench.name)
        bench.client.call(
            "UpdateSecretVersionStage",
            SecretId=bench.name,
            VersionStage="AWSPENDING",
            RemoveFromVersionId=bench.labels()["AWSPENDING"],
        )
        token = bench.begin(function)
        bench.put(value, ClientRequestToken=token, VersionStages=["AWSPENDING"])
        with pytest.raises(RotationStepError, match="cannot sign") as caught:
            bench.step(function, "testSecret", token)
        text = shown(caught.value)
        assert good.get("private_key", good.get("secret")) not in text


def _other_public_key(algorithm: str) -> str:
    from smclient.rotation.signing_key import _new_key

    return _new_key(algorithm)["public_key"]


@pytest.mark.parametrize("settings", [{"algorithm": "none"}, {"ttl": -1}, {"max_wait": -1}])
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    """Refused when the function is made."""
    with pytest.raises(ConfigError):
        SigningKey(**settings)
