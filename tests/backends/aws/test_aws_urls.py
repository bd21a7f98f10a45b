"""What an ``aws://`` URL may say, when boto3 is loaded, and who asks."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3.session
import pytest

from smclient import (
    SYSTEM_CLOCK,
    Backend,
    BackendUrl,
    ConfigError,
    FailoverBackend,
    SecretRef,
    UnknownSettingError,
    load_backend,
)
from smclient_aws import AwsBackend, AwsSettings, open_backend
from smclient_aws.settings import is_fips

ROLE = "arn:aws:iam::210987654321:role/reader"
FIPS = "https://secretsmanager-fips.us-east-1.amazonaws.com"


def _settings(url: str) -> AwsSettings:
    return AwsSettings.from_url(BackendUrl.parse(url))


def test_everything_a_url_can_say() -> None:
    """Region and options, percent-encoding as anywhere."""
    url = (
        f"aws://eu-west-1?profile=team&role_arn={ROLE}&external_id=a%2Fb&session_name=me"
        f"&endpoint_url={FIPS}&fips=true"
    )
    assert _settings(url) == AwsSettings("eu-west-1", "team", ROLE, "a/b", "me", FIPS, True)
    assert _settings("aws://") == AwsSettings()
    assert _settings("aws://us-east-1?fips=false").fips is False


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("aws://user:hunter2@eu-west-1", "Region"),
        ("aws://eu-west-1:443", "Region"),
        ("aws://x.evil.com", "Region"),
        ("aws://eu-west-1/prod", "no path"),
        ("aws://?fips=yes", "true or false"),
        ("aws://?profile=", "profile is empty"),
        ("aws://?role_arn=reader", "arn:aws:iam"),
        ("aws://?external_id=a", "role_arn"),
        ("aws://?session_name=ab", "role_arn"),
        (f"aws://?role_arn={ROLE}&session_name=a%20b", "session_name"),
        ("aws://?endpoint_url=localhost:4584", "http: or https:"),
        ("aws://?endpoint_url=http://me:hunter2@host", "login"),
    ],
)
def test_a_wrong_url_is_refused_when_it_is_opened(url: str, told: str) -> None:
    """With what to write instead, and without repeating a login."""
    with pytest.raises(ConfigError, match=told) as caught:
        load_backend(url)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_option_is_refused() -> None:
    """A typing error must not pass for a setting."""
    with pytest.raises(UnknownSettingError, match=r"profil.*it knows endpoint_url, external_id"):
        load_backend("aws://eu-west-1?profil=team")


@pytest.mark.parametrize(
    ("endpoint", "fips"),
    [
        (FIPS, True),
        ("https://secretsmanager-fips.us-gov-west-1.amazonaws.com/", True),
        ("https://secretsmanager-fips.us-east-1.api.aws", True),
        ("https://vpce-0a1-b2.secretsmanager-fips.us-east-1.vpce.amazonaws.com", True),
        ("http://secretsmanager-fips.us-east-1.amazonaws.com", False),
        ("https://secretsmanager.us-east-1.amazonaws.com", False),
        ("https://secretsmanager-fips.us-east-1.amazonaws.com.evil.com", False),
        ("https://evil.com/secretsmanager-fips.us-east-1.amazonaws.com", False),
        ("http://127.0.0.1:4584", False),
    ],
)
def test_fips_endpoints_are_known(endpoint: str, fips: bool) -> None:
    """By the label, AWS's own domain, and TLS."""
    assert is_fips(endpoint) is fips
    if fips:
        assert _settings(f"aws://us-east-1?fips=true&endpoint_url={endpoint}").fips
    else:
        with pytest.raises(ConfigError, match="not a FIPS endpoint"):
            _settings(f"aws://us-east-1?fips=true&endpoint_url={endpoint}")


def test_fips_holds_against_the_environment(
    opened: Callable[..., AwsBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable must not turn the traffic aside."""
    assert opened("aws://us-east-1?fips=true").identity().endpoint == FIPS
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    given = f"{FIPS.replace('https://', 'https://vpce-1.')}".replace(
        ".amazonaws", ".vpce.amazonaws"
    )
    backend = opened(f"aws://us-east-1?fips=true&endpoint_url={given}")
    assert backend.identity().endpoint == given
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        opened("aws://us-east-1?fips=true").fetch(SecretRef("a"))


def test_a_fips_endpoint_that_is_named_can_be_asked(
    opened: Callable[..., AwsBackend], slept: list[float]
) -> None:
    """botocore's rules refuse FIPS beside an endpoint; a client takes both all the same."""
    backend = opened(f"aws://us-east-1?fips=true&endpoint_url={FIPS}")
    sent: list[str] = []

    def stop(request: Any, **event: Any) -> None:
        sent.append(request.url)
        raise RuntimeError("far enough")

    backend.identity()
    backend._client.meta.events.register("before-send.secrets-manager", stop)
    with pytest.raises(Exception, match="RuntimeError"):
        backend.fetch(SecretRef("a"))
    assert sent == [f"{FIPS}/"]


def test_opening_loads_no_boto3() -> None:
    """Neither the package, nor a URL; only the first question does."""
    code = (
        "import sys, smclient_aws\n"
        "from smclient import load_backend\n"
        "backend = load_backend('aws://eu-west-1?profile=nobody'); repr(backend)\n"
        "assert not {'boto3', 'botocore', 'urllib3'} & set(sys.modules)\n"
        "backend.close()"
    )
    paths = [path for path in sys.path if path]
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_many_threads_make_one_client(
    double: Any, asking: AwsBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions of boto3 are not thread-safe."""
    made: list[int] = []
    session = boto3.session.Session

    def counted(*args: Any, **more: Any) -> Any:
        made.append(threading.get_ident())
        return session(*args, **more)

    monkeypatch.setattr(boto3.session, "Session", counted)
    double.answers(double.value())
    together = threading.Barrier(12)
    texts: list[str] = []

    def ask() -> None:
        together.wait(10)
        answer = asking.fetch(SecretRef("prod/db"))
        assert answer.attempts == 1
        texts.append(answer.value.text)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert texts == ["seen"] * 12
    assert len(made) == 1
    assert len(double.requests) == 12


def test_a_client_that_could_not_be_made_is_tried_again(
    opened: Callable[..., AwsBackend], tmp_path: Path
) -> None:
    """A profile may appear while the program runs."""
    backend = opened("aws://us-east-1?profile=late")
    with pytest.raises(Exception, match="late"):
        backend.identity()
    (tmp_path / "config").write_text("[profile late]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text(
        "[late]\naws_access_key_id = AKIALATE\naws_secret_access_key = x\n"
    )
    assert backend.identity().principal == "AKIALATE"


class TestIdentity:
    """Account, region, endpoint, principal."""

    def test_by_access_key(self, opened: Callable[..., AwsBackend]) -> None:
        """The key's id, and the account only where credentials know it."""
        found = opened("aws://eu-west-1").identity()
        assert found.principal == "AKIAIOSFODNN7EXAMPLE"
        assert found.endpoint == "https://secretsmanager.eu-west-1.amazonaws.com"
        assert (found.region, found.account) == ("eu-west-1", "")
        assert "canary" not in repr(found)

    def test_by_account_of_the_environment(
        self, opened: Callable[..., AwsBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """AWS_ACCOUNT_ID goes with the keys."""
        monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
        assert opened().identity().account == "123456789012"

    def test_by_role(self, opened: Callable[..., AwsBackend]) -> None:
        """Known from the URL: STS is not asked."""
        found = opened(f"aws://us-east-1?role_arn={ROLE}").identity()
        assert (found.account, found.principal) == ("210987654321", ROLE)

    def test_by_refreshable_credentials(
        self, opened: Callable[..., AwsBackend], client_of: Callable[..., Any]
    ) -> None:
        """Two ready clients whose keys come and go are never taken for one."""
        from botocore.credentials import DeferredRefreshableCredentials

        found = []
        for _ in range(2):
            client = client_of("http://127.0.0.1:1")
            client._request_signer._credentials = DeferredRefreshableCredentials(
                refresh_using=lambda: pytest.fail("asked"), method="assume-role"
            )
            backend = opened("aws://", client=client)
            assert backend.identity() == backend.identity()
            found.append(backend.identity().principal)
        assert len(set(found)) == 2
        assert found[0].startswith("assume-role#")


def test_a_ready_client_and_settings_exclude_each_other(client_of: Callable[..., Any]) -> None:
    """They could contradict."""
    client = client_of("http://127.0.0.1:1")
    for url in ("aws://eu-west-1", "aws://?fips=true"):
        with pytest.raises(ConfigError, match="ready boto3 client"):
            open_backend(BackendUrl.parse(url), clock=SYSTEM_CLOCK, client=client)
    with pytest.raises(ConfigError, match="one or the other"):
        AwsBackend(AwsSettings(), client=client)
    with pytest.raises(ConfigError, match="secretsmanager"):
        AwsBackend(client=client_of("http://127.0.0.1:1", "sts"))


def test_it_is_a_backend(opened: Callable[..., AwsBackend]) -> None:
    """By the protocol, also for the type checker."""
    backend: Backend = opened()
    assert isinstance(backend, Backend)
    assert "us-east-1" in repr(backend)


def test_replica_regions_make_a_backend_for_each() -> None:
    """The primary first; all with the same settings but for the Region."""
    backend = load_backend(
        "aws://eu-west-1?profile=team&replica_regions=eu-central-1,%20us-east-1"
        "&endpoint_url=https://sm.{region}.example"
    )
    assert isinstance(backend, FailoverBackend)
    told = [repr(member) for member in backend.members]
    for member, region in zip(told, ("eu-west-1", "eu-central-1", "us-east-1"), strict=True):
        assert f"region='{region}'" in member
        assert f"https://sm.{region}.example" in member
        assert "profile='team'" in member


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("aws://?replica_regions=us-east-1", "needs the primary's Region"),
        ("aws://eu-west-1?replica_regions=", "must be Regions"),
        ("aws://eu-west-1?replica_regions=us-east-1,", "must be Regions"),
        ("aws://eu-west-1?replica_regions=us-east-1,us-east-1", "twice"),
        ("aws://eu-west-1?replica_regions=eu-west-1", "or the primary's"),
        ("aws://eu-west-1?replica_regions=us-east-1&endpoint_url=https://one", "{region}"),
        ("aws://?endpoint_url=https://sm.{region}.example", "names no Region"),
    ],
)
def test_replica_regions_that_cannot_be_meant_are_refused(url: str, told: str) -> None:
    """When the URL is opened, not in the outage that they are for."""
    with pytest.raises(ConfigError, match=told):
        load_backend(url)


def test_a_region_that_is_down_is_stood_in_for_over_the_wire(
    moto_server: str, slept: list[float]
) -> None:
    """Nothing listens at the primary's endpoint; the replica's is a real server."""
    make = boto3.session.Session().client
    there = make("secretsmanager", region_name="us-east-1", endpoint_url=moto_server)
    arn = there.create_secret(Name="stood-in-for", SecretString="value")["ARN"]
    with socket.socket() as taken:  # bound and not listening: refused at once
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        backend = FailoverBackend(
            AwsBackend(AwsSettings("eu-west-1", endpoint_url=nobody)),
            AwsBackend(AwsSettings("us-east-1", endpoint_url=moto_server)),
        )
        home = arn.replace("us-east-1", "eu-west-1")
        answer = backend.fetch(SecretRef(home))
    assert answer.value.arn == home
    assert answer.value.text == "value"
    assert [(miss.region, miss.attempts) for miss in answer.missed] == [("eu-west-1", 3)]
    backend.close()
