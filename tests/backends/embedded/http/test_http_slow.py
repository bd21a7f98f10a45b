"""Clients that are slow, silent or gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest

from smclient_embedded.http.protocol import BoundedProtocol
from smclient_embedded.http.server import Serving
from tests.backends.embedded.http.served import (
    ThreadServed,
    read_all,
    read_answer,
    request,
    within,
)

Answer = tuple[int, dict[str, str], dict[str, object]]


Answer = tuple[int, dict[str, str], dict[str, object]]


def ask(server: ThreadServed, sent: bytes) -> Answer:
    """One request, and its answer in parts."""
    with server.connect() as connection:
        connection.sendall(sent)
        status, headers, body = read_answer(connection)
    return status, headers, json.loads(body)


def refused(answer: Answer, status: int, code: str) -> str:
    """The text of a refusal, whose shape is right."""
    assert answer[0] == status
    assert answer[2]["__type"] == code
    assert answer[1]["x-amzn-errortype"] == code
    assert answer[1]["content-type"] == "application/x-amz-json-1.1"
    assert len(answer[1]["x-amzn-requestid"]) == 36
    return str(answer[2].get("Message") or answer[2].get("message"))


# --- slow and silent clients ----------------------------------------------------------------------


class Impatient(BoundedProtocol):
    """With deadlines that a test can wait for."""

    header_seconds = 0.3


def test_a_body_that_does_not_come(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread(body_seconds=0.3)
    with server.connect() as connection:
        connection.sendall(request(b"{", content_length=100))
        status, headers, body = read_answer(connection)
        refused((status, headers, json.loads(body)), 408, "RequestTimeoutException")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


@pytest.mark.parametrize("sent", [b"P", request()[:40], b"\r\n", request() + b"POST / HT"])
def test_headers_that_do_not_come(in_thread: Callable[..., ThreadServed], sent: bytes) -> None:
    server = in_thread(serving=Serving(protocol=Impatient))
    with server.connect() as connection:
        connection.sendall(sent)
        answers = read_all(connection)
    assert answers.endswith(b"}")
    assert b"HTTP/1.1 408 " in answers
    assert b"RequestTimeoutException" in answers
    assert answers.count(b"HTTP/1.1 200 ") == sent.startswith(request())


def test_a_client_that_says_nothing(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread(serving=Serving(protocol=Impatient))
    with server.connect() as connection:
        assert connection.recv(1) == b""


def test_headers_without_end(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread()
    answer = server.exchange(b"POST / HTTP/1.1\r\nX: " + b"x" * 500_000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"InvalidRequestException" in answer


def test_slow_clients_hold_nobody_up(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread()
    held = [server.connect() for _ in range(50)]
    for connection in held:
        connection.sendall(request(b"{", content_length=1000))
    assert ask(server, request())[0] == 200
    for connection in held:
        connection.close()


def test_a_client_that_leaves_half_way(unsigned: ThreadServed) -> None:
    for cut in (1, 50, len(request()) - 1):
        with unsigned.connect() as connection:
            connection.sendall(request()[:cut])
    assert ask(unsigned, request())[0] == 200


# --- too many clients -----------------------------------------------------------------------------


def test_one_connection_too_many_is_told_so_and_the_others_go_on(
    in_thread: Callable[..., ThreadServed],
) -> None:
    server = in_thread(serving=Serving(max_connections=2))
    with server.connect() as first, server.connect() as second:
        for connection in (first, second):
            connection.sendall(request())
            assert read_answer(connection)[0] == 200
        with server.connect() as third:
            status, headers, body = read_answer(third)
            said = refused((status, headers, json.loads(body)), 503, "ServiceUnavailableException")
            assert "2 connections" in said
            assert third.recv(1) == b""
        first.sendall(request())
        assert read_answer(first)[0] == 200
        second.close()
        assert within(5.0, lambda: ask_anew(server) == 200)


def ask_anew(server: ThreadServed) -> int:
    """The status that a new connection gets."""
    with server.connect() as connection:
        connection.sendall(request())
        return read_answer(connection)[0]
