"""``patch_boto3``: every new client for Secrets Manager in this process, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.stub import Stubber
from moto import mock_aws

from smclient_embedded import EmbeddedService
from smclient_embedded.faults import Fault

REGION = "us-east-1"


def text(client: Any, name: str = "db") -> str:
    """The current text."""
    return str(client.get_secret_value(SecretId=name)["SecretString"])


def is_absent(client: Any, name: str = "db") -> bool:
    """Whether the service behind a client does not know a secret."""
    try:
        client.get_secret_value(SecretId=name)
    except ClientError as error:
        return error.response["Error"]["Code"] == "ResourceNotFoundException"
    return False


@pytest.fixture(autouse=True)
def exactly_restored() -> Any:
    """botocore's own method is back after each test."""
    original = vars(botocore.session.Session)["create_client"]
    yield
    assert vars(botocore.session.Session)["create_client"] is original


@pytest.fixture
def service(extras: Any) -> EmbeddedService:
    """With the secret ``db``."""
    made: EmbeddedService = extras.service
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: boto3.client("secretsmanager"),
        lambda: boto3.client("secretsmanager", region_name="us-east-1"),
        lambda: boto3.client("secretsmanager", endpoint_url="http://localhost:1"),
        lambda: boto3.client("secretsmanager", aws_access_key_id="AKIA", aws_secret_access_key="x"),
        lambda: boto3.session.Session().client("secretsmanager"),
        lambda: boto3.session.Session(region_name="us-east-1").client(
            service_name="secretsmanager"
        ),
        lambda: botocore.session.get_session().create_client("secretsmanager"),
        lambda: botocore.session.get_session().create_client("secretsmanager", "us-east-1"),
    ],
)
def test_clients_of_every_making_are_answered(
    service: EmbeddedService, make: Callable[[], Any]
) -> None:
    """Without region, credentials or network."""
    with service.patch_boto3():
        client = make()
        assert text(client) == "first"
        client.put_secret_value(SecretId="db", SecretString="second")
    assert text(client) == "second"
    assert client.meta.region_name == REGION


def test_sessions_made_before_count_too(service: EmbeddedService) -> None:
    """Their clients of before do not, and keep what they had."""
    session = boto3.session.Session(region_name=REGION)
    before = session.client(
        "secretsmanager",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with service.patch_boto3():
        assert text(session.client("secretsmanager")) == "first"
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            text(before)


@pytest.mark.parametrize("keys", [{}, {"aws_access_key_id": "AKIAMINE"}])
def test_clients_sign_as_they_are_configured(
    service: EmbeddedService, keys: dict[str, str]
) -> None:
    """What a program does with its requests, it does here too."""
    if keys:
        keys = {**keys, "aws_secret_access_key": "x"}
    with service.patch_boto3():
        signing = boto3.client("secretsmanager", **keys)  # type: ignore[call-overload]
        config = botocore.config.Config(signature_version=botocore.UNSIGNED)
        unsigned = boto3.client("secretsmanager", config=config)
    sent: list[Any] = []
    for client in (signing, unsigned):
        client.meta.events.register_first(
            "before-send.secretsmanager",
            lambda request, **_: sent.append(request.headers.get("Authorization")),
        )
        assert text(client) == "first"
    expected = keys.get("aws_access_key_id", "AKIAEMBEDDED")
    assert f"Credential={expected}/".encode() in sent[0]
    assert sent[1] is None


def test_regions_and_principals_follow(service: EmbeddedService) -> None:
    """A client's region is the request's; the patch says who asks."""
    app = service.create_principal("app")
    with service.patch_boto3():
        assert is_absent(boto3.client("secretsmanager", region_name="eu-west-1"))
    with service.patch_boto3(principal=app):
        with pytest.raises(ClientError, match="user/app is not authorized"):
            text(boto3.client("secretsmanager"))


def test_an_environment_names_the_region(
    service: EmbeddedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does for AWS."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    with service.patch_boto3():
        client = botocore.session.Session().create_client("secretsmanager")
    assert client.meta.region_name == "eu-west-3"


def test_other_services_are_left_alone(service: EmbeddedService) -> None:
    """Not even credentials are given to them."""
    with service.patch_boto3():
        client = boto3.session.Session().client("s3", region_name=REGION)
        with pytest.raises(NoCredentialsError):
            client.list_buckets()


def test_after_the_end_new_clients_are_botocores_own(service: EmbeddedService) -> None:
    """Also where the block failed."""
    with pytest.raises(RuntimeError, match="in the block"), service.patch_boto3():
        raise RuntimeError("in the block")
    client = boto3.session.Session().client("secretsmanager", region_name=REGION)
    with pytest.raises(NoCredentialsError):
        text(client)


def test_patches_nest_and_may_end_in_any_order(
    service: EmbeddedService, open_service: Callable[..., Any]
) -> None:
    """The one that began last counts."""
    other = open_service()
    other.create("db", "other")
    outer, inner = service.patch_boto3(), other.service.patch_boto3()
    outer.__enter__()
    inner.__enter__()
    assert text(boto3.client("secretsmanager")) == "other"
    outer.__exit__(None, None, None)
    assert text(boto3.client("secretsmanager")) == "other"
    inner.__exit__(None, None, None)
    with service.patch_boto3(), service.patch_boto3():
        assert text(boto3.client("secretsmanager")) == "first"


def test_one_service_may_be_patched_in_twice(service: EmbeddedService) -> None:
    """The inner end leaves the outer."""
    with service.patch_boto3():
        with service.patch_boto3():
            pass
        assert text(boto3.client("secretsmanager")) == "first"


def test_many_threads_patch_and_make_clients(service: EmbeddedService) -> None:
    """Nothing is left behind, nobody gets an unwired client."""
    barrier, wrong = threading.Barrier(6), []

    def work() -> None:
        barrier.wait()
        for _ in range(3):
            with service.patch_boto3():
                session = botocore.session.Session()
                if text(session.create_client("secretsmanager")) != "first":
                    wrong.append("another answer")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.fixture
def put_back() -> Iterator[Callable[[Any], None]]:
    """Sets botocore's method, as another library would; in the end it is botocore's own again."""
    cls = botocore.session.Session
    original = vars(cls)["create_client"]
    yield lambda method: setattr(cls, "create_client", method)
    cls.create_client = original  # type: ignore[method-assign]


def test_somebody_elses_patch_over_ours_is_kept(
    service: EmbeddedService, put_back: Callable[[Any], None]
) -> None:
    """We take back only what is ours; what is left over then does nothing."""
    cls = botocore.session.Session
    with service.patch_boto3():
        ours = vars(cls)["create_client"]
        theirs = lambda self, *args, **kwargs: ours(self, *args, **kwargs)  # noqa: E731
        put_back(theirs)
    assert vars(cls)["create_client"] is theirs
    client = cls().create_client("secretsmanager", REGION)
    with pytest.raises(NoCredentialsError):
        text(client)


def test_a_wrapper_of_ours_that_somebody_put_back_does_no_harm(
    service: EmbeddedService, put_back: Callable[[Any], None]
) -> None:
    """As libraries do that were started inside and ended outside: a client is wired once."""
    cls = botocore.session.Session
    with service.patch_boto3():
        ours = vars(cls)["create_client"]
    put_back(ours)
    faults = service.faults.add(Fault.latency(0.001))
    with service.patch_boto3():
        assert text(cls().create_client("secretsmanager", REGION)) == "first"
    assert faults.struck == 1


def test_a_stub_on_a_patched_client_works(service: EmbeddedService) -> None:
    """botocore's own double answers before ours."""
    with service.patch_boto3():
        client = boto3.client("secretsmanager")
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException")
        with pytest.raises(ClientError, match="AccessDenied"):
            text(client)
    assert text(client) == "first"


class TestWithMoto:
    """A team swaps this service alone."""

    def check(self, service: EmbeddedService) -> None:
        """Secrets Manager is ours, S3 is moto's, and moto hears nothing of secrets."""
        ours = boto3.client("secretsmanager", region_name=REGION)
        assert text(ours) == "first"
        ours.create_secret(Name="made-inside", SecretString="x")
        bucket = boto3.client("s3", region_name=REGION)
        bucket.create_bucket(Bucket="bucket")
        bucket.put_object(Bucket="bucket", Key="k", Body=b"in moto")
        assert bucket.get_object(Bucket="bucket", Key="k")["Body"].read() == b"in moto"
        assert service.call("GetSecretValue", {"SecretId": "made-inside"})["SecretString"] == "x"

    def test_patch_inside_mock_aws(self, service: EmbeddedService) -> None:
        """moto is outer; after the patch its own Secrets Manager is back and knows nothing."""
        with mock_aws():
            before = boto3.client("secretsmanager", region_name=REGION)
            with service.patch_boto3():
                self.check(service)
                assert is_absent(before)
            after = boto3.client("secretsmanager", region_name=REGION)
            assert is_absent(after, "made-inside")
            assert after.list_secrets()["SecretList"] == []

    def test_mock_aws_inside_patch(self, service: EmbeddedService) -> None:
        """moto is inner."""
        with service.patch_boto3():
            outside = boto3.client("secretsmanager")
            with mock_aws():
                self.check(service)
                assert text(outside) == "first"
            assert text(outside, "made-inside") == "x"

    def test_the_services_own_client_is_not_motos(self, service: EmbeddedService) -> None:
        """Under ``mock_aws`` either."""
        with mock_aws():
            assert text(service.client()) == "first"

    def test_moto_is_not_asked_at_all(self, service: EmbeddedService) -> None:
        """Not even behind our back, where it would keep a second copy."""
        from moto.core.models import botocore_stubber

        with mock_aws(), service.patch_boto3():
            client = boto3.client("secretsmanager", region_name=REGION)
            seen: list[str] = []
            process = botocore_stubber.process_request

            def spy(request: Any) -> Any:
                answer = process(request)
                seen.append("nothing" if answer is None else "an answer")
                return answer

            botocore_stubber.process_request = spy
            try:
                client.create_secret(Name="once", SecretString="x")
            finally:
                botocore_stubber.process_request = process
        assert seen == ["nothing"]
