"""HTTP as it comes over a socket: what is refused, and in which shape."""

from __future__ import annotations

import base64
import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded.http.hosts import AllowedHosts, host_name, is_loopback
from smclient_embedded.http.protocol import BoundedProtocol
from smclient_embedded.http.server import CannotListen, Serving, listen
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


# --- anything at all ------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_OPERATIONS = [
    "BatchGetSecretValue", "CreateSecret", "DeleteSecret", "DescribeSecret", "GetRandomPassword",
    "GetSecretValue", "ListSecretVersionIds", "ListSecrets", "PutSecretValue", "RestoreSecret",
    "RotateSecret", "TagResource", "UntagResource", "UpdateSecret", "UpdateSecretVersionStage",
]  # fmt: skip
_MEMBERS = [
    "SecretId", "Name", "SecretString", "SecretBinary", "ClientRequestToken", "VersionId", "Tags",
    "VersionStage", "VersionStages", "Filters", "MaxResults", "NextToken", "SecretIdList",
    "TagKeys", "RecoveryWindowInDays", "ForceDeleteWithoutRecovery", "PasswordLength", "SortBy",
    "RotationRules", "SortOrder", "KmsKeyId", "RotationLambdaARN", "ExcludeCharacters",
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


# --- hosts and sockets ----------------------------------------------------------------------------


def test_hosts_are_read_as_they_are_written() -> None:
    assert host_name(b"Example.COM:443") == "example.com"
    assert host_name(b"[::1]:80") == "::1"
    for wrong in (b"", b":80", b"a:b", b"a:80:80", b"[::1", b"\xff", b"[]"):
        assert host_name(wrong) is None


def test_given_hosts_are_allowed_and_an_address_needs_no_name() -> None:
    hosts = AllowedHosts(["secrets.internal", "0.0.0.0"])
    assert hosts.allows(b"Secrets.Internal:4584", None)
    assert hosts.allows(b"10.1.2.3:4584", "10.1.2.3")
    assert not hosts.allows(b"10.1.2.4", "10.1.2.3")
    assert not hosts.allows(b"other.internal", "10.1.2.3")


def test_what_is_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.8.8.8")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("203.0.113.7")


def test_a_taken_port_is_said_to_be() -> None:
    taken = listen("127.0.0.1", 0)
    port = taken.socket.getsockname()[1]
    with pytest.raises(CannotListen, match=rf"port {port} on 127.0.0.1 .* --port 0"):
        listen("127.0.0.1", port)
    taken.socket.close()
    listen("127.0.0.1", port).socket.close()  # at once, TIME_WAIT or not


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
