"""HTTP as it comes over a socket: what is refused, and in which shape."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from smclient_embedded.audit import HELD_BACK, AuditTrail
from smclient_embedded.store import Scope, StoreError
from tests.backends.embedded.http.served import (
    ThreadServed,
    read_all,
    read_answer,
    request,
    within,
)

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


# --- what is let in -------------------------------------------------------------------------------


def test_an_answer_has_its_headers(unsigned: ThreadServed) -> None:
    status, headers, body = ask(unsigned, request())
    assert (status, body) == (200, {"SecretList": []})
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert len(headers["x-amzn-requestid"]) == 36
    assert "x-amzn-errortype" not in headers
    assert "server" not in headers


def test_every_request_has_an_id_of_its_own(unsigned: ThreadServed) -> None:
    ids = {ask(unsigned, request())[1]["x-amzn-requestid"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize("host", ["localhost", "somewhere.else"])
def test_health_needs_nothing(unsigned: ThreadServed, host: str) -> None:
    sent = f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    status, headers, body = ask(unsigned, sent)
    assert (status, body["status"]) == (200, "ok")
    assert headers["content-type"] == "application/json"


def test_a_content_type_may_have_parameters(unsigned: ThreadServed) -> None:
    sent = request(headers={"Content-Type": "Application/X-Amz-JSON-1.1; charset=utf-8"})
    assert ask(unsigned, sent)[0] == 200


def test_a_connection_is_kept(unsigned: ThreadServed) -> None:
    with unsigned.connect() as connection:
        for _ in range(3):
            connection.sendall(request())
            assert read_answer(connection)[0] == 200
            connection.sendall(request(b"[]"))
            assert read_answer(connection)[0] == 400


def test_requests_in_a_row_are_answered_in_their_order(unsigned: ThreadServed) -> None:
    targets = ["ListSecrets", "Nonsense", "GetRandomPassword", "ListSecrets"]
    sent = b"".join(request(target=f"secretsmanager.{target}") for target in targets)
    with unsigned.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answers = read_all(connection)
    assert [answers.count(part) for part in (b"HTTP/1.1 200", b"HTTP/1.1 400")] == [3, 1]
    places = [answers.index(p) for p in (b"SecretList", b"UnknownOp", b"RandomPassword")]
    assert places == sorted(places)


def test_a_body_may_come_in_chunks(unsigned: ThreadServed) -> None:
    head = request(headers={"Transfer-Encoding": "chunked"}).partition(b"\r\n\r\n")[0]
    head = head.replace(b"Content-Length: 2\r\n", b"")
    sent = head + b"\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    assert ask(unsigned, sent)[0] == 200


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a":1' + b"0" * 5000 + b"}",
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"\0",
    ],
    ids=range(12),
)
def test_a_body_that_is_not_json(unsigned: ThreadServed, body: bytes) -> None:
    refused(ask(unsigned, request(body)), 400, "SerializationException")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"'])
def test_a_body_that_is_no_object(unsigned: ThreadServed, body: bytes) -> None:
    refused(ask(unsigned, request(body)), 400, "SerializationException")


def test_half_a_surrogate_pair(unsigned: ThreadServed) -> None:
    body = rb'{"SecretId":"\ud800"}'
    answer = ask(unsigned, request(body, target="secretsmanager.GetSecretValue"))
    refused(answer, 400, "SerializationException")


@pytest.mark.parametrize(
    "target",
    [
        "",
        "GetSecretValue",
        "secretsmanager.",
        "secretsmanager.Nonsense",
        "x." * 5000,
        "s3.ListSecrets",
    ],
)
def test_a_wrong_target(unsigned: ThreadServed, target: str) -> None:
    text = refused(ask(unsigned, request(target=target)), 400, "UnknownOperationException")
    assert len(text) < 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "application/x-amz-json-1.0", ""]
)
def test_a_wrong_content_type(unsigned: ThreadServed, kind: str) -> None:
    answer = ask(unsigned, request(headers={"Content-Type": kind}))
    assert "x-amz-json-1.1" in refused(answer, 400, "UnknownOperationException")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_a_wrong_method(unsigned: ThreadServed, method: str) -> None:
    answer = ask(unsigned, request(start=f"{method} / HTTP/1.1"))
    refused(answer, 405, "UnknownOperationException")
    assert answer[1]["allow"] == "POST"


@pytest.mark.parametrize("path", ["/other", "/health", "/%2e%2e/", "//", "/?x=1#"])
def test_a_wrong_path(unsigned: ThreadServed, path: str) -> None:
    answer = ask(unsigned, request(start=f"POST {path} HTTP/1.1"))
    if path.startswith("/?"):
        assert answer[0] == 200
    else:
        refused(answer, 404, "UnknownOperationException")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[::1"],
)
def test_a_host_that_is_not_ours(unsigned: ThreadServed, host: str) -> None:
    answer = ask(unsigned, request(headers={"Host": host}))
    assert "--allow-host" in refused(answer, 403, "AccessDeniedException")


@pytest.mark.parametrize(
    "host", ["localhost:4584", "127.0.0.1:1", "LOCALHOST", "[::1]:80", "localhost."]
)
def test_a_host_of_this_machine(unsigned: ThreadServed, host: str) -> None:
    assert ask(unsigned, request(headers={"Host": host}))[0] == 200


def test_a_request_has_one_host(unsigned: ThreadServed) -> None:
    for sent in (
        request().replace(b"Host: localhost\r\n", b""),
        request().replace(b"Host: localhost\r\n", b"Host: localhost\r\nHost: localhost\r\n"),
    ):
        assert ask(unsigned, sent)[0] in (400, 403)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_forwarded_request(unsigned: ThreadServed, header: str) -> None:
    answer = ask(unsigned, request(headers={header: "1.2.3.4"}))
    assert "--behind-proxy" in refused(answer, 403, "AccessDeniedException")


def test_behind_a_proxy_the_last_hop_is_the_source(
    in_thread: Callable[..., ThreadServed],
) -> None:
    server = in_thread(behind_proxy=True)
    assert ask(server, request(headers={"X-Forwarded-For": "6.6.6.6, 10.1.2.3"}))[0] == 200
    assert server.service.audit.lookup()[0]["sourceIPAddress"] == "10.1.2.3"
    assert ask(server, request(headers={"X-Forwarded-For": "10.1.2.3, junk"}))[0] == 403


def test_a_large_body_is_refused_before_it_is_sent(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread(max_body=1024)
    with server.connect() as connection:
        connection.sendall(request(b"", content_length=10**12))
        status, headers, body = read_answer(connection)
        answer = status, headers, json.loads(body)
        assert "1024" in refused(answer, 413, "RequestEntityTooLargeException")
        assert headers["connection"] == "close"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_client_that_sends_too_much_at_once_still_reads_why(
    in_thread: Callable[..., ThreadServed],
) -> None:
    server = in_thread(max_body=1024)
    answer = server.exchange(request(b"x" * 4_000_000))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"RequestEntityTooLargeException" in answer


def test_a_body_without_a_length_is_counted(in_thread: Callable[..., ThreadServed]) -> None:
    server = in_thread(max_body=1024)
    head = request(headers={"Transfer-Encoding": "chunked"}).partition(b"\r\n\r\n")[0]
    head = head.replace(b"Content-Length: 2\r\n", b"")
    chunks = b"400\r\n" + b"x" * 1024 + b"\r\n" + b"1\r\nx\r\n"
    answer = ask(server, head + b"\r\n\r\n" + chunks)
    refused(answer, 413, "RequestEntityTooLargeException")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30, "1,2"])
def test_a_length_that_is_none(unsigned: ThreadServed, length: str) -> None:
    sent = request(headers={"Content-Length": length})
    assert ask(unsigned, sent)[0] in (400, 413)


def test_a_length_and_chunks_at_once(unsigned: ThreadServed) -> None:
    sent = request(headers={"Transfer-Encoding": "chunked"})
    refused(ask(unsigned, sent), 400, "InvalidRequestException")


# --- who asks, unsigned ---------------------------------------------------------------------------


def authorization(key: str, region: str = "eu-west-1") -> dict[str, str]:
    scope = f"{key}/20260101/{region}/secretsmanager/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=a, Signature=b"}


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({}, "us-east-1:123456789012"),
        (authorization("AKIAANYBODY"), "eu-west-1:123456789012"),
        (authorization("111122223333"), "eu-west-1:111122223333"),
        (authorization("111122223333", "nowhere"), "us-east-1:111122223333"),
        (authorization("11112222333"), "eu-west-1:123456789012"),
        ({"Authorization": "Bearer x"}, "us-east-1:123456789012"),
    ],
)
def test_an_unsigned_request_picks_account_and_region(
    in_thread: Callable[..., ThreadServed], headers: dict[str, str], place: str
) -> None:
    body = json.dumps({"Name": "a", "SecretString": "x", "ClientRequestToken": "t" * 32}).encode()
    server = in_thread()
    answer = ask(server, request(body, target="secretsmanager.CreateSecret", headers=headers))
    assert str(answer[2]["ARN"]).startswith(f"arn:aws:secretsmanager:{place}:secret:a-")


# --- faults of our own ----------------------------------------------------------------------------


def test_a_fault_of_our_own_tells_the_client_nothing(
    in_thread: Callable[..., ThreadServed],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary-value")

    monkeypatch.setattr("smclient_embedded.http.json11.respond", broken)
    server = in_thread()
    with caplog.at_level(logging.DEBUG):
        answer = ask(server, request())
    text = refused(answer, 500, "InternalServiceError")
    assert "canary" not in text
    assert "canary" not in caplog.text
    assert f"request {answer[1]['x-amzn-requestid']} failed: RuntimeError in" in caplog.text


def test_a_store_that_failed_is_named_in_the_log_only(
    in_thread: Callable[..., ThreadServed],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where it failed after the answer was made, for want of a record."""
    server = in_thread()

    def broken(_: object) -> None:
        raise StoreError("/var/lib/secrets.db is full")

    monkeypatch.setattr(AuditTrail, "flush", broken)
    service = server.service
    service.call("CreateSecret", {"Name": "a", "SecretString": "x", "ClientRequestToken": "t" * 32})
    read = request(b'{"SecretId": "a"}', target="secretsmanager.GetSecretValue")
    refused_with = []
    with server.connect() as connection:
        for _ in range(HELD_BACK + 1):
            connection.sendall(read)
            status, _, body = read_answer(connection)
            if status != 200:
                refused_with.append((status, json.loads(body)["Message"]))
    monkeypatch.undo()
    assert refused_with
    assert set(refused_with) == {(500, "An error occurred on the server side.")}
    said = [each.getMessage() for each in caplog.records if each.name == "smclient.embedded.http"]
    assert all(text.endswith("failed: /var/lib/secrets.db is full") for text in said)
    assert len(said) == len(refused_with)


def test_many_clients_at_once(unsigned: ThreadServed) -> None:
    def one(number: int) -> int:
        body = json.dumps(
            {
                "SecretBinary": base64.b64encode(bytes([number])).decode(),
                "Name": f"n{number}",
                "ClientRequestToken": f"{number:032d}",
            }
        )
        return ask(unsigned, request(body.encode(), target="secretsmanager.CreateSecret"))[0]

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(one, range(60))) == {200}
    assert within(5, lambda: len(unsigned.service.metrics()) > 0)


def test_a_read_on_the_loop_waits_for_no_disk_itself(
    in_thread: Callable[..., ThreadServed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has to write, LastAccessedDate and the audit trail, is written in the pool, and is
    there when the answer is."""
    writers: set[str] = set()
    server = in_thread()
    service = server.service
    service.call("CreateSecret", {"Name": "a", "SecretString": "x", "ClientRequestToken": "t" * 32})
    store = service.door.store
    transaction = type(store).transaction

    def noted(self: Any, *, write: bool) -> Any:
        if write:
            writers.add(threading.current_thread().name)
        return transaction(self, write=write)

    monkeypatch.setattr(type(store), "transaction", noted)
    read = request(b'{"SecretId": "a"}', target="secretsmanager.GetSecretValue")
    with server.connect() as connection:
        for _ in range(2 * HELD_BACK):
            connection.sendall(read)
            assert read_answer(connection)[0] == 200
        connection.sendall(request(b'{"SecretId": "a"}', target="secretsmanager.DescribeSecret"))
        assert "LastAccessedDate" in json.loads(read_answer(connection)[2])
    assert writers
    assert all(name.startswith("ThreadPoolExecutor") for name in writers)
    with store.transaction(write=False) as tx:
        scope = Scope(service.account, service.region)
        written = tx.audit(scope, event_name="GetSecretValue", limit=1000)
    assert len(written) >= HELD_BACK
