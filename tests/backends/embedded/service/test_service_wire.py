"""The wired botocore client, and AWS JSON 1.1 with bodies that no SDK would send."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from smclient_embedded.http.json11 import CONTENT_TYPE, WireAnswer, answer

TARGET = "secretsmanager."


def post(world: Any, target: str, body: bytes | str | Any) -> WireAnswer:
    """One request as it comes off a socket."""
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    raw = body.encode() if isinstance(body, str) else body
    context = world.service.context(world.caller, world.region)
    return answer(world.service._door, target, raw, context)


def told(answered: WireAnswer) -> tuple[int, str]:
    """Status and ``__type``."""
    return answered.status, json.loads(answered.body)["__type"]


class TestTheWiredClient:
    def test_is_a_real_botocore_client(self, memory: Any) -> None:
        """With its model, its endpoint's region and its paginators."""
        client = memory.service.client()
        assert type(client).__module__ == "botocore.client"
        assert client.meta.region_name == "us-east-1"
        assert client.meta.service_model.service_name == "secretsmanager"
        for n in range(150):
            memory.create(f"s{n}", None)
        pages = client.get_paginator("list_secrets").paginate()
        assert len([entry for page in pages for entry in page["SecretList"]]) == 150

    def test_sends_a_token_by_itself(self, world: Any) -> None:
        """botocore fills it in; it is the version id."""
        client = world.service.client()
        made = client.create_secret(Name="a", SecretString="x")
        assert len(made["VersionId"]) == 36

    def test_gets_times_with_milliseconds_and_a_zone(self, world: Any) -> None:
        """Days are midnight in UTC."""
        client = world.service.client()
        client.create_secret(Name="a", SecretString="x")
        read = client.get_secret_value(SecretId="a")
        assert read["CreatedDate"] == datetime(2026, 9, 24, 10, 20, 30, 123_000, UTC)
        described = client.describe_secret(SecretId="a")
        assert described["LastAccessedDate"] == datetime(2026, 9, 24, tzinfo=UTC)

    def test_carries_bytes_of_any_value(self, world: Any) -> None:
        """base64 on the wire, bytes at both ends."""
        client = world.service.client()
        content = bytes(range(256)) * 256
        client.create_secret(Name="a", SecretBinary=content)
        read = client.get_secret_value(SecretId="a")
        assert read["SecretBinary"] == content
        assert "SecretString" not in read

    def test_carries_text_of_any_script(self, world: Any) -> None:
        """Also what JSON escapes."""
        client = world.service.client()
        text = 'naïve "🔑"\n\u2028\0\\'
        client.create_secret(Name="a", SecretString=text)
        assert client.get_secret_value(SecretId="a")["SecretString"] == text

    def test_raises_the_clients_own_exception_classes(self, world: Any) -> None:
        """With code, message, status and request id."""
        client = world.service.client()
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            client.get_secret_value(SecretId="nope")
        error = caught.value.response
        assert error["Error"] == {
            "Code": "ResourceNotFoundException",
            "Message": "Secrets Manager can't find the specified secret.",
        }
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert len(error["ResponseMetadata"]["RequestId"]) == 36
        client.create_secret(Name="a", SecretString="x")
        with pytest.raises(client.exceptions.ResourceExistsException):
            client.create_secret(Name="a", SecretString="x")
        with pytest.raises(client.exceptions.InvalidParameterException):
            client.delete_secret(SecretId="a", RecoveryWindowInDays=3)
        client.delete_secret(SecretId="a")
        with pytest.raises(client.exceptions.InvalidRequestException):
            client.get_secret_value(SecretId="a")
        with pytest.raises(client.exceptions.InvalidNextTokenException):
            client.list_secrets(NextToken="x")

    def test_gets_messages_in_lower_case_too(self, memory: Any) -> None:
        """ValidationException spells ``message``; botocore reads both."""
        client = memory.service.client()
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.get_secret_value(SecretId="not a name")
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert caught.value.response["Error"]["Message"].startswith("Invalid name.")

    def test_speaks_for_one_region_and_one_caller(self, world: Any) -> None:
        """Each client its own."""
        user = world.service.create_principal("nobody")
        here = world.service.client()
        there = world.service.client(region_name="eu-west-1")
        nobody = world.service.client(principal=user)
        here.create_secret(Name="a", SecretString="here")
        there.create_secret(Name="a", SecretString="there")
        assert here.get_secret_value(SecretId="a")["SecretString"] == "here"
        assert there.get_secret_value(SecretId="a")["SecretString"] == "there"
        with pytest.raises(nobody.exceptions.ClientError, match="AccessDenied"):
            nobody.get_secret_value(SecretId="a")

    def test_does_not_sign(self, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody would verify it, and whatever credentials lie about are not put into requests."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "real-token")
        client = memory.service.client()
        sent: list[set[str]] = []
        client.meta.events.register_first(
            "before-send.secretsmanager",
            lambda request, **_: sent.append({name.lower() for name in request.headers}),
        )
        client.list_secrets()
        assert sent[0] >= {"x-amz-target", "user-agent", "content-length"}
        assert not sent[0] & {"authorization", "x-amz-date", "x-amz-security-token"}

    def test_fires_the_events_of_every_client(self, memory: Any) -> None:
        """Also the one before signing, which may change a request."""
        client = memory.service.client()
        fired: list[str] = []
        names = (
            "provide-client-params",
            "before-parameter-build",
            "before-call",
            "request-created",
            "before-sign",
            "before-send",
            "response-received",
            "after-call",
        )
        for name in names:
            client.meta.events.register_first(
                f"{name}.secretsmanager.ListSecrets",
                lambda name=name, **_: fired.append(name),
            )
        client.list_secrets()
        assert sorted(fired) == sorted(names)

    def test_gives_what_came_with_an_answer(self, memory: Any) -> None:
        """Status, request id, headers and the number of retries."""
        told = memory.service.client().list_secrets()["ResponseMetadata"]
        assert told["HTTPStatusCode"] == 200
        assert told["RetryAttempts"] == 0
        assert told["HTTPHeaders"] == {
            "content-type": CONTENT_TYPE,
            "x-amzn-requestid": told["RequestId"],
        }

    def test_of_another_service_is_refused(self, memory: Any) -> None:
        """It would be answered by nobody."""
        with pytest.raises(ValueError, match="secretsmanager"):
            memory.service.client("s3")

    def test_of_an_unknown_principal_is_refused(self, memory: Any) -> None:
        """Rather than made up."""
        with pytest.raises(ConfigError, match="create_principal"):
            memory.service.client(principal="arn:aws:iam::123456789012:user/unknown")

    def test_needs_no_credentials_and_no_configuration(
        self, memory: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does it heed what is set for real AWS."""
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert memory.service.client().list_secrets()["SecretList"] == []


class TestTheWire:
    def test_answers_json_1_1_with_a_request_id(self, world: Any) -> None:
        """Errors too, with the header that Java's SDK reads."""
        world.create()
        good = post(world, TARGET + "GetSecretValue", {"SecretId": "s"})
        assert good.status == 200
        assert good.headers["Content-Type"] == CONTENT_TYPE
        assert len(good.headers["x-amzn-RequestId"]) == 36
        bad = post(world, TARGET + "GetSecretValue", {"SecretId": "nope"})
        assert bad.headers["Content-Type"] == CONTENT_TYPE
        assert bad.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
        assert len(bad.headers["x-amzn-RequestId"]) == 36

    def test_writes_times_as_numbers_with_milliseconds(self, world: Any) -> None:
        """Seconds since the epoch."""
        world.create()
        read = json.loads(post(world, TARGET + "GetSecretValue", {"SecretId": "s"}).body)
        assert read["CreatedDate"] == 1790245230.123

    def test_writes_bytes_as_base64(self, world: Any) -> None:
        """And reads them so."""
        text = base64.b64encode(b"\0\xff").decode()
        request = {"Name": "a", "SecretBinary": text, "ClientRequestToken": world.token("v0")}
        assert post(world, TARGET + "CreateSecret", request).status == 200
        read = json.loads(post(world, TARGET + "GetSecretValue", {"SecretId": "a"}).body)
        assert read["SecretBinary"] == text

    @pytest.mark.parametrize("text", ["not base64!", "====", "YQ", "é", 7, {}, []])
    def test_refuses_bytes_that_are_not_base64(self, world: Any, text: Any) -> None:
        """And makes nothing."""
        request = {"Name": "a", "SecretBinary": text, "ClientRequestToken": world.token("v0")}
        assert told(post(world, TARGET + "CreateSecret", request)) == (
            400,
            "SerializationException",
        )
        assert world("ListSecrets")["SecretList"] == []

    def test_spells_message_as_aws_does(self, world: Any) -> None:
        """Small for ValidationException, with a capital for the service's own."""
        refused = json.loads(post(world, TARGET + "GetSecretValue", {"SecretId": ""}).body)
        assert refused.keys() == {"__type", "message"}
        refused = json.loads(post(world, TARGET + "GetSecretValue", {"SecretId": "x"}).body)
        assert refused == {
            "__type": "ResourceNotFoundException",
            "Message": "Secrets Manager can't find the specified secret.",
        }

    def test_answers_tagging_with_an_empty_object(self, world: Any) -> None:
        """Not with an empty body."""
        world.create()
        for operation, more in (
            ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}]}),
            ("UntagResource", {"TagKeys": ["k"]}),
        ):
            assert post(world, TARGET + operation, {"SecretId": "s", **more}).body == b"{}"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"7",
            b'"text"',
            b"\xff\xfe\xfa",
            b'{"SecretId": NaN}',
            b'{"Unknown": Infinity}',
            b'{"SecretId": "\\ud800"}',
            b'{"SecretId": "s"} trailing',
            b"[" * 100_000,
            b'{"SecretId":' * 100_000,
            b'{"SecretId": ' + b"9" * 100_000 + b"}",
            b'{"VersionStage": 1e999, "SecretId": "s"}',
        ],
    )
    def test_refuses_a_body_that_is_no_object_of_json(self, world: Any, body: bytes) -> None:
        """Whatever else it is."""
        answered = post(world, TARGET + "GetSecretValue", body)
        assert told(answered) == (400, "SerializationException")

    def test_ignores_deep_nesting_where_nobody_looks(self, world: Any) -> None:
        """Up to what JSON's reader takes; beyond it is refused."""
        world.create()
        deep = '{"SecretId": "s", "Unknown": ' + "[" * 500 + "]" * 500 + "}"
        assert post(world, TARGET + "GetSecretValue", deep).status == 200

    @pytest.mark.parametrize(
        "target",
        [
            "",
            "GetSecretValue",
            "secretsmanager",
            "secretsmanager.",
            "secretsmanager.getSecretValue",
            "SecretsManager.GetSecretValue",
            "AmazonSSM.GetSecretValue",
            "secretsmanager.__class__",
            "secretsmanager.GetSecretValue.x",
            "secretsmanager. GetSecretValue",
        ],
    )
    def test_refuses_another_target(self, memory: Any, target: str) -> None:
        """The name is exact."""
        assert told(post(memory, target, {})) == (400, "UnknownOperationException")

    def test_unknown_operations_leave_one_name_behind(self, memory: Any) -> None:
        """Neither metrics nor trail grow with names that strangers make up."""
        for n in range(50):
            post(memory, f"{TARGET}Made{'x' * 1000}{n}", {})
            memory.refused(f"Made{'x' * 1000}{n}")
        names = {metric["Dimensions"]["Resource"] for metric in memory.service.metrics()}
        assert names == {"UnknownOperation"}
        assert {event["eventName"] for event in memory.events()} == {"UnknownOperation"}

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        body=st.binary(max_size=60)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["SecretId", "Name", "SecretString", "Filters", "Tags"]), inner
                )
            ),
        ).map(lambda content: json.dumps(content).encode()),
        operation=st.sampled_from(["GetSecretValue", "CreateSecret", "ListSecrets", "TagResource"]),
    )
    def test_whatever_body_comes_the_answer_is_json_of_aws(
        self, body: bytes, operation: str
    ) -> None:
        """200 or 400, never 500, never an exception."""
        service = EmbeddedService()
        answered = answer(service._door, TARGET + operation, body, service.context())
        content = json.loads(answered.body)
        assert answered.status in (200, 400)
        assert (answered.status == 200) == ("__type" not in content)
        assert all(ord(character) < 128 for character in answered.body.decode())


def test_a_client_of_the_service_signs_nothing_and_looks_for_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would verify a signature; and the search would go to the network in the end."""
    monkeypatch.setattr(
        "botocore.credentials.CredentialResolver.load_credentials",
        lambda self: pytest.fail("credentials are looked for"),
    )
    with EmbeddedService() as service:
        client = service.client()
        sent: list[Any] = []
        client.meta.events.register_first(
            "before-send.secretsmanager", lambda request, **_: sent.append(request)
        )
        client.create_secret(Name="s", SecretString="v")
        assert client.get_secret_value(SecretId="s")["SecretString"] == "v"
    assert all("Authorization" not in request.headers for request in sent)
