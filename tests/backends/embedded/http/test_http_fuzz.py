"""Anything at all, as bodies and as bytes: only refusals with a name, and nothing left behind."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded.model import service_model
from tests.backends.embedded.http.served import (
    ThreadServed,
    read_answer,
    request,
)

Answer = tuple[int, dict[str, str], dict[str, object]]


Answer = tuple[int, dict[str, str], dict[str, object]]


def ask(server: ThreadServed, sent: bytes) -> Answer:
    """One request, and its answer in parts."""
    with server.connect() as connection:
        connection.sendall(sent)
        status, headers, body = read_answer(connection)
    return status, headers, json.loads(body)


# --- anything at all ------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_OPERATIONS = sorted(service_model().operations)
_MEMBERS = [
    "SecretId", "Name", "SecretString", "SecretBinary", "ClientRequestToken", "VersionId", "Tags",
    "VersionStage", "VersionStages", "Filters", "MaxResults", "NextToken", "SecretIdList",
    "TagKeys", "RecoveryWindowInDays", "ForceDeleteWithoutRecovery", "PasswordLength", "SortBy",
    "RotationRules", "SortOrder", "KmsKeyId", "RotationLambdaARN", "ExcludeCharacters",
    "ResourcePolicy", "PolicyName", "BlockPublicPolicy", "AddReplicaRegions", "Type",
    "RemoveReplicaRegions", "ForceOverwriteReplicaSecret", "CrossAccountPrimaryARN",
    "CrossAccountReplicaARN", "ReplicaRestriction", "ReplicationRoleARN",
]  # fmt: skip
_BODIES = st.binary(max_size=200) | st.dictionaries(
    st.sampled_from(_MEMBERS) | st.text(max_size=5), _JSON, max_size=6
).map(lambda body: json.dumps(body).encode())


def is_modelled(status: int, body: bytes) -> bool:
    """A success, or a refusal with a name. 501 is what is not written yet."""
    return status == 200 or (
        (400 <= status < 500 or status == 501) and bool(json.loads(body)["__type"])
    )


@settings(
    max_examples=250, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_body_makes_it_stumble(unsigned: ThreadServed, data: st.DataObject) -> None:
    """Many requests on one connection: none may cost the next one its answer."""
    operations = st.sampled_from(_OPERATIONS)
    with unsigned.connect() as connection:
        for _ in range(4):
            body, operation = data.draw(_BODIES), data.draw(operations)
            connection.sendall(request(body, target=f"secretsmanager.{operation}"))
            status, _, answer = read_answer(connection)
            assert is_modelled(status, answer), (operation, body, answer)


_LINE = st.text(st.characters(codec="latin-1"), max_size=60).map(lambda t: t.encode("latin-1"))
_RAW = st.one_of(
    st.binary(max_size=300),
    st.lists(_LINE, max_size=6).map(lambda lines: b"POST / HTTP/1.1\r\n" + b"\r\n".join(lines)),
    st.tuples(st.binary(max_size=8), st.integers(0, 250)).map(
        lambda change: request()[: change[1]] + change[0] + request()[change[1] :]
    ),
    st.sampled_from(
        [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            request(headers={"Upgrade": "websocket", "Connection": "Upgrade"}),
            request(headers={"Expect": "100-continue"}),
            request(start="POST * HTTP/1.1"),
            request(start="POST / HTTP/9.9"),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
            b"\r\n" * 5000,
        ]
    ),
)


@settings(
    max_examples=250, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(raw=_RAW)
def test_no_bytes_make_it_stumble(unsigned: ThreadServed, raw: bytes) -> None:
    answer = unsigned.exchange(raw)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert all(status in (100, 200) or 400 <= status < 500 for status in statuses), answer
    assert ask(unsigned, request())[0] == 200


def test_bad_requests_leave_nothing_behind(unsigned: ThreadServed) -> None:
    """Names that a client makes up are counted nowhere."""
    for number in range(50):
        ask(unsigned, request(target=f"secretsmanager.Made{number}Up"))
    assert "Made" not in json.dumps(unsigned.service.metrics())
