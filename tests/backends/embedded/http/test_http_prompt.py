"""Requests that are answered as they are read: in order, and as the long way answers them."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded.http.app import HttpApp
from smclient_embedded.http.protocol import BoundedProtocol
from smclient_embedded.http.server import Serving
from tests.backends.embedded.http.served import ThreadServed, read_answer, request

InThread = Callable[..., ThreadServed]


class Impatient(BoundedProtocol):
    """With a deadline for headers that a test can wait for."""

    header_seconds = 0.3


@pytest.fixture
def server(in_thread: InThread) -> ThreadServed:
    made = in_thread(serving=Serving(protocol=Impatient))
    for name in ("a", "b"):
        token = {"ClientRequestToken": "t" * 32}
        made.service.call("CreateSecret", {"Name": name, "SecretString": name, **token})
    return made


def get(name: str) -> bytes:
    body = json.dumps({"SecretId": name}).encode()
    return request(body, target="secretsmanager.GetSecretValue")


def value(answer: tuple[int, dict[str, str], bytes]) -> Any:
    return json.loads(answer[2])["SecretString"]


def test_both_ways_give_the_same_answer(
    server: ThreadServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    for is_prompt in (True, False):
        if not is_prompt:
            monkeypatch.setattr(HttpApp, "answer_now", lambda self, scope, body: None)
        with server.connect() as connection:
            for sent in (get("a"), get("nothing")):
                connection.sendall(sent)
                status, headers, body = read_answer(connection)
                assert headers.pop("date")
                assert len(headers.pop("x-amzn-requestid")) == 36
                answers.append((status, headers, body))
    assert answers[:2] == answers[2:]


def test_requests_sent_together_are_answered_in_order(server: ThreadServed) -> None:
    with server.connect() as connection:
        connection.sendall(get("a") + get("b") + get("a"))
        stream = b""
        while stream.count(b'"SecretString"') < 3:
            piece = connection.recv(65536)
            assert piece
            stream += piece
    assert [stream.index(b'"SecretString":"a"') < stream.index(b'"SecretString":"b"')] == [True]
    assert stream.rindex(b'"SecretString":"a"') > stream.index(b'"SecretString":"b"')


def in_chunks(name: str) -> bytes:
    body = json.dumps({"SecretId": name}).encode()
    head = {"Transfer-Encoding": "chunked", "Content-Length": ""}
    whole = request(b"", target="secretsmanager.GetSecretValue", headers=head)
    pieces = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body)
    return whole.replace(b"Content-Length: \r\n", b"") + pieces + b"0\r\n\r\n"


KINDS: dict[str, tuple[bytes, int, bytes]] = {
    "at once": (get("a"), 200, b'"SecretString":"a"'),
    "in chunks": (in_chunks("b"), 200, b'"SecretString":"b"'),
    "refused": (get("nothing"), 400, b"ResourceNotFoundException"),
    "not inline": (request(target="secretsmanager.ListSecrets"), 200, b'"SecretList"'),
    "no operation": (request(target="secretsmanager.Nothing"), 400, b"UnknownOperation"),
    "no JSON": (request(b"{", target="secretsmanager.GetSecretValue"), 400, b"Serialization"),
    "health": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, b'"ok"'),
    "with a query": (request(b"{}", start="POST /?a=b HTTP/1.1"), 200, b'"SecretList"'),
}
"""What is sent, the status of its answer, and what is in it."""


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 2000), max_size=6),
)
def test_however_requests_are_cut_into_packets_each_is_answered_in_its_turn(
    server: ThreadServed, kinds: list[str], cuts: list[int]
) -> None:
    whole = b"".join(KINDS[kind][0] for kind in kinds)
    edges = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    with server.connect() as connection, connection.makefile("rb") as stream:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in itertools.pairwise(edges):
            connection.sendall(whole[start:end])
        for kind in kinds:
            _, expected, said = KINDS[kind]
            status, _, body = read_answer(connection, stream)
            assert (status, said in body) == (expected, True), (kind, body)


def test_a_body_behind_its_headers_is_waited_for(server: ThreadServed) -> None:
    whole = get("a")
    for cut in (len(whole) - 1, whole.index(b"\r\n\r\n") + 4, 20):
        with server.connect() as connection:
            connection.sendall(whole[:cut])
            assert not arrives(connection)
            connection.sendall(whole[cut:])
            assert value(read_answer(connection)) == "a"
            connection.sendall(get("b"))
            assert value(read_answer(connection)) == "b"


def test_a_connection_with_many_answers_is_not_taken_for_a_slow_one(server: ThreadServed) -> None:
    """What was read counts for the limits of headers only until it is answered."""
    with server.connect() as connection:
        sent = request(b'{"SecretId": "a"}' + b" " * 4000, target="secretsmanager.GetSecretValue")
        for _ in range(2 * BoundedProtocol.max_headers // len(sent)):
            connection.sendall(sent)
            assert value(read_answer(connection)) == "a"
        assert not arrives(connection, seconds=3 * Impatient.header_seconds)
        connection.sendall(sent)
        assert value(read_answer(connection)) == "a"


def test_a_fault_of_ours_says_nothing_of_itself(
    server: ThreadServed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(type(server.service.door.model), "parse_json", broken)
    with server.connect() as connection:
        connection.sendall(get("a"))
        status, _, body = read_answer(connection)
    assert status == 500
    assert json.loads(body)["__type"] == "InternalServiceError"
    assert b"canary" not in body
    assert "ZeroDivisionError" in caplog.text
    assert "canary" not in caplog.text


def arrives(connection: Any, seconds: float = 0.05) -> bool:
    """Whether anything comes, or the connection ends, within some time."""
    before = connection.gettimeout()
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return False
    finally:
        connection.settimeout(before)
    return True
