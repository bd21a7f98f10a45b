"""Requests that are answered as they are read: in order, and as the long way answers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

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
