"""Which fault strikes which call: the pure decision, and its plain data."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient_embedded.faults import Armed, Asked, Fault, Verdict, decide
from smclient_embedded.store import Scope

HOME = Scope("123456789012", "us-east-1")
PLACE = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
ROLE = "arn:aws:iam::123456789012:user/app"


def asked(*secrets: str, operation: str = "GetSecretValue", scope: Scope = HOME) -> Asked:
    """A call."""
    return Asked(operation, secrets, ROLE, scope)


def strikes(fault: Fault, call: Asked) -> bool:
    """Whether a fault strikes a call."""
    return bool(decide([Armed(fault, 0.0)], call, 0.0, lambda: 0.0).strikes)


@pytest.mark.parametrize(
    ("pattern", "secret_id", "expected"),
    [
        ("*", "anything", True),
        ("prod/db", "prod/db", True),
        ("prod/db", "prod/db2", False),
        ("prod/*", "prod/db", True),
        ("prod/*", "test/db", False),
        ("prod/db", PLACE + "prod/db-AbCdEf", True),
        ("prod/db", PLACE + "prod/db", True),
        (PLACE + "prod/db-AbCdEf", PLACE + "prod/db-AbCdEf", True),
        (PLACE + "prod/db-AbCdEf", PLACE + "prod/db", True),
        (PLACE + "prod/db-AbCdEf", "prod/db", True),
        (PLACE + "prod/db", "prod/db", True),
        (PLACE + "prod/*", "prod/db", True),
        (PLACE + "prod/db-*", "prod/db", True),
        (PLACE + "prod/db-??????", PLACE + "prod/db-AbCdEf", True),
        (PLACE.replace("us-east-1", "eu-west-1") + "prod/db", "prod/db", False),
        (PLACE.replace("123456789012", "210987654321") + "prod/*", "prod/db", False),
        ("Prod/db", "prod/db", False),
    ],
)
def test_a_secret_is_meant_by_name_arn_or_glob(
    pattern: str, secret_id: str, expected: bool
) -> None:
    """However it was written, and however it was asked for."""
    assert strikes(Fault.throttling(secret=pattern), asked(secret_id)) is expected


def test_a_call_without_a_secret_is_struck_only_by_faults_for_all() -> None:
    """GetRandomPassword has none."""
    call = asked(operation="GetRandomPassword")
    assert strikes(Fault.throttling(), call)
    assert not strikes(Fault.throttling(secret="prod/*"), call)


def test_a_batch_is_struck_as_a_whole() -> None:
    """If one of its ids matches."""
    fault = Fault.outage(secret="prod/*")
    assert strikes(fault, asked("test/a", "prod/b", operation="BatchGetSecretValue"))
    assert not strikes(fault, asked("test/a", "test/b", operation="BatchGetSecretValue"))


def test_operation_and_principal_are_globs() -> None:
    """Both have to match."""
    assert strikes(Fault.throttling(operation="Get*", principal="*:user/app"), asked("a"))
    assert not strikes(Fault.throttling(operation="Put*"), asked("a"))
    assert not strikes(Fault.throttling(principal="*:user/other"), asked("a"))


def test_latencies_add_up_until_a_fault_ends_the_call() -> None:
    """In the order in which they were added; what comes behind the end does not strike."""
    faults = [
        Fault.latency(1.5),
        Fault.latency(9, operation="Put*"),
        Fault.latency(0.5),
        Fault.error("InternalServiceError"),
        Fault.latency(7),
    ]
    verdict = decide([Armed(f, 0.0) for f in faults], asked("a"), 0.0, lambda: 0.0)
    assert verdict == Verdict((0, 2, 3), 2.0, faults[3])


def test_count_and_duration_end_a_fault() -> None:
    """The moment of the end is not part of the time."""
    counted = Fault.outage(count=2)
    assert decide([Armed(counted, 0.0, struck=1)], asked("a"), 99.0, random.random).strikes == (0,)
    assert decide([Armed(counted, 0.0, struck=2)], asked("a"), 0.0, random.random).strikes == ()
    timed = Armed(Fault.outage(duration=10), since=5.0)
    assert decide([timed], asked("a"), 14.9, random.random).strikes == (0,)
    assert decide([timed], asked("a"), 15.0, random.random).strikes == ()


def test_probability_asks_the_randomness_that_comes_in() -> None:
    """Once for each improbable fault that matches, and for no other."""
    drawn: list[float] = []

    def draw() -> float:
        drawn.append([0.29, 0.3][len(drawn)])
        return drawn[-1]

    likely, certain = Fault.outage(probability=0.3), Fault.latency(1)
    elsewhere = Fault.outage(probability=0.3, operation="Put*")
    armed = [Armed(f, 0.0) for f in (certain, elsewhere, likely)]
    assert decide(armed, asked("a"), 0.0, draw).ending is likely
    assert decide(armed, asked("a"), 0.0, draw).ending is None
    assert drawn == [0.29, 0.3]


plain_faults = st.one_of(
    st.builds(Fault.throttling, count=st.none() | st.integers(1, 9)),
    st.builds(
        Fault.error,
        st.sampled_from(["InternalServiceError", "DecryptionFailure"]),
        st.text(max_size=9),
        operation=st.sampled_from(["*", "Get*"]),
    ),
    st.builds(Fault.latency, st.floats(0.1, 9), secret=st.text(max_size=9)),
    st.builds(
        Fault.outage,
        duration=st.none() | st.floats(0.1, 1e6),
        probability=st.floats(0.01, 1.0),
        principal=st.text(max_size=9),
    ),
)


@given(plain_faults)
def test_plain_data_and_back(fault: Fault) -> None:
    """Nothing is lost, nothing that was left open is said."""
    plain = fault.to_dict()
    assert Fault.from_dict(plain) == fault
    assert None not in plain.values()


def test_plain_data_says_only_what_was_said() -> None:
    """For the control endpoint and the CLI."""
    assert Fault.throttling(operation="Get*", count=3).to_dict() == {
        "kind": "throttling",
        "operation": "Get*",
        "count": 3,
    }
    assert Fault.from_dict({"kind": "error", "code": "InternalServiceError"}).status == 500


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({}, "'kind'"),
        ({"kind": "flood"}, "no such kind"),
        ({"kind": ["outage"]}, "no such kind"),
        ({"kind": "outage", "secrets": "x"}, "no 'secrets'"),
        ({"kind": "outage", "secret": None}, "texts"),
        ({"kind": "outage", "count": 0}, "count"),
        ({"kind": "outage", "count": True}, "count"),
        ({"kind": "outage", "count": 1.5}, "count"),
        ({"kind": "outage", "probability": 0}, "probability"),
        ({"kind": "outage", "probability": 1.1}, "probability"),
        ({"kind": "outage", "probability": float("nan")}, "probability"),
        ({"kind": "outage", "duration": 0}, "duration"),
        ({"kind": "outage", "duration": float("inf")}, "duration"),
        ({"kind": "outage", "seconds": 1}, "seconds"),
        ({"kind": "latency"}, "seconds"),
        ({"kind": "latency", "seconds": -1}, "seconds"),
        ({"kind": "latency", "seconds": "2"}, "seconds"),
        ({"kind": "error"}, "code"),
        ({"kind": "error", "code": "a\r\nb"}, "code"),
        ({"kind": "error", "code": "X", "status": 200}, "status"),
    ],
)
def test_what_does_not_fit_is_refused(plain: dict[str, Any], said: str) -> None:
    """With what is wrong."""
    with pytest.raises(ConfigError, match=said):
        Fault.from_dict(plain)


@given(
    st.dictionaries(
        st.sampled_from(["kind", "count", "probability", "seconds", "secret", "code"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]),
    )
)
def test_any_plain_data_makes_a_fault_or_is_refused(plain: dict[str, Any]) -> None:
    """Nothing else happens."""
    try:
        fault = Fault.from_dict(plain)
    except ConfigError:
        return
    assert strikes(fault, asked("a")) in (True, False)


@pytest.mark.parametrize(
    "request_", [None, [], "x", {}, {"SecretId": 3}, {"SecretIdList": {"a": 1}}, {"Name": None}]
)
def test_a_request_of_any_form_can_be_looked_at(request_: Any) -> None:
    """It comes before anybody checked it."""
    from smclient_embedded.context import Principal, RequestContext

    context = RequestContext(Principal.administrator("123456789012"), "us-east-1", "r")
    assert Asked.of("GetSecretValue", request_, context).secrets == ()
