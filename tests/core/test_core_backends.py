"""Finding a backend by its URL, what counts as one, and the backends that core ships."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest

import smclient.null
from smclient import (
    Answer,
    BackendUrl,
    ConfigError,
    Identity,
    MissingExtraError,
    NotSupportedError,
    SecretRef,
    SecretsClient,
    UnknownBackendError,
    UnknownSettingError,
    load_backend,
)
from smclient.backend import Backend, load_plugin, open_backend, require_aws
from smclient.clock import SYSTEM_CLOCK
from smclient.errors import NotJsonError
from smclient.null import PLACEHOLDER, NullBackend
from smclient.testing import BackendContract, Call, FakeBackend, FakeClock

# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path", "options"),
    [
        ("aws://", "aws", "", "", {}),
        (
            "aws://eu-west-1?profile=a&fips=true",
            "aws",
            "eu-west-1",
            "",
            {"profile": "a", "fips": "true"},
        ),
        ("embedded:///abs/secrets.db", "embedded", "", "/abs/secrets.db", {}),
        ("file:rel/path?key_file=%2Fk", "file", "", "rel/path", {"key_file": "/k"}),
        ("file:///a%20b", "file", "", "/a b", {}),
        ("embedded+postgresql://u@h:54/db", "embedded+postgresql", "u@h:54", "/db", {}),
        ("AGENT://localhost:2773", "agent", "localhost:2773", "", {}),
        ("aws://x?empty=", "aws", "x", "", {"empty": ""}),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(
    text: str, scheme: str, host: str, path: str, options: dict[str, str]
) -> None:
    """Scheme, host, path, options."""
    assert BackendUrl.parse(text) == BackendUrl(text, scheme, host, path, options)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'' is not a backend URL"),
        ("aws", "'aws' is not a backend URL"),
        ("://x", "'' is not a backend URL"),
        ("a b://x", "'a b' is not a backend URL"),
        ("aws://x?profile", "the aws: backend URL cannot be read"),
        ("aws://[x", "the aws: backend URL cannot be read"),
        ("aws://x?a=1&a=2", "the aws: backend URL names an option twice"),
    ],
)
def test_a_bad_url_is_refused(text: str, told: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        load_backend(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "embedded+postgresql://user:canary\u2100@host/db",
        "embedded+postgresql://user:canary@[host/db",
        "embedded+postgresql://user:p@host/db?canary",
        "embedded+postgresql://user:canary@host/db?a=1&a=2",
        "nobody://user:canary@host/db",
    ],
)
def test_the_refusal_of_a_url_does_not_repeat_its_password(text: str) -> None:
    """Nor does a chained error."""
    with pytest.raises(ConfigError) as caught:
        load_backend(text)
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in str(error)
        error = error.__cause__


def test_options_that_a_backend_does_not_know_are_refused() -> None:
    """With those that it knows."""
    url = BackendUrl.parse("aws://x?profil=a")
    with pytest.raises(UnknownSettingError, match=r"no option 'profil'; it knows fips, profile"):
        url.take("profile", "fips")
    assert BackendUrl.parse("aws://x?profile=a").take("profile") == {"profile": "a"}
    with pytest.raises(UnknownSettingError, match="it knows none"):
        load_backend("null://?ttl=5")


# --- the registry ---------------------------------------------------------------------------------


def entry_points_are(monkeypatch: pytest.MonkeyPatch, **targets: str) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, target, group) for name, target in targets.items()]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    """So that a typing mistake shows."""
    with pytest.raises(UnknownBackendError, match=r"'awz'; known: .*aws, .*embedded, .*null"):
        load_backend("awz://")


def opened(url: BackendUrl, *, clock: Any) -> Any:
    """What a third party's entry point may look like."""
    backend = FakeBackend({"from": "third party"})
    backend.opened_with = (url, clock)  # type: ignore[attr-defined]
    return backend


def test_a_third_party_s_entry_point_is_opened_by_its_scheme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the URL taken apart and the clock; also where it takes the place of a shipped one."""
    import sys

    monkeypatch.setitem(sys.modules, "third_party_backend", SimpleNamespace(open=opened))
    entry_points_are(monkeypatch, vault="third_party_backend:open", null="third_party_backend:open")
    clock = FakeClock()
    backend: Any = load_backend("vault://h/p?a=b", clock=clock)
    assert backend.opened_with == (BackendUrl.parse("vault://h/p?a=b"), clock)
    assert isinstance(load_backend("null://"), FakeBackend)


def test_shipped_backends_are_found_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a source checkout."""
    entry_points_are(monkeypatch)
    assert isinstance(load_backend("null://"), NullBackend)


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("sqlalchemy", "pip install 'smclient[embedded]'"),
        ("sqlalchemy.ext.nothing", "pip install 'smclient[embedded]'"),
        ("psycopg", "pip install 'smclient[postgresql]'"),
        ("no_such_module_at_all", "install the package of 'no_such_module_at_all'"),
    ],
)
def test_a_backend_that_cannot_be_imported_says_what_to_install(
    module: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original error is its cause."""

    class Point:
        name = "broken"

        def load(self) -> Any:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()])
    with pytest.raises(MissingExtraError) as caught:
        load_backend("broken://")
    assert remedy in str(caught.value)
    assert str(caught.value).startswith("'broken' needs the module")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_real_missing_module_is_reported_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only a simulated one."""
    entry_points_are(monkeypatch, absent="smclient_backend_that_is_not_installed:open_backend")
    with pytest.raises(MissingExtraError, match="smclient_backend_that_is_not_installed"):
        load_plugin("smclient.backends", "absent", {})


# --- what is accepted as a backend ----------------------------------------------------------------


def test_a_ready_backend_is_taken_as_it_is() -> None:
    """Any object with the methods."""
    backend = FakeBackend()
    assert open_backend(backend) is backend


@pytest.mark.parametrize("given", [5, object(), {"url": "null://"}, b"null://", True])
def test_another_object_is_refused(given: Any) -> None:
    """By its type; the message says what is accepted."""
    with pytest.raises(ConfigError, match=f"a {type(given).__name__} is no backend; give a URL"):
        SecretsClient(given)


def test_a_boto3_client_is_given_to_the_aws_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognised by its service model; a client of another service is refused."""
    import sys

    got: dict[str, Any] = {}

    def open_aws(url: BackendUrl, *, clock: Any, client: Any) -> Any:
        got.update(url=url, client=client, clock=clock)
        return FakeBackend()

    monkeypatch.setitem(sys.modules, "fake_aws_backend", SimpleNamespace(open=open_aws))
    entry_points_are(monkeypatch, aws="fake_aws_backend:open")

    def boto(service: str) -> Any:
        model = SimpleNamespace(service_name=service)
        return SimpleNamespace(meta=SimpleNamespace(service_model=model))

    client = boto("secretsmanager")
    open_backend(client)
    assert got == {"url": BackendUrl.parse("aws://"), "client": client, "clock": SYSTEM_CLOCK}
    with pytest.raises(ConfigError, match="is no backend"):
        open_backend(boto("s3"))


def test_without_a_backend_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """``SMCLIENT_BACKEND``, unless it is empty."""
    import sys

    monkeypatch.setenv("SMCLIENT_BACKEND", "null://")
    assert isinstance(open_backend(), NullBackend)
    monkeypatch.setenv("SMCLIENT_BACKEND", "")
    monkeypatch.setitem(sys.modules, "third_party_backend", SimpleNamespace(open=opened))
    entry_points_are(monkeypatch, aws="third_party_backend:open")
    default: Any = open_backend()
    assert default.opened_with[0] == BackendUrl.parse("aws://")


class Somewhere(FakeBackend):
    """A backend at an endpoint of choice."""

    def __init__(self, endpoint: str) -> None:
        super().__init__({"db": "x"})
        self.endpoint = endpoint

    def identity(self) -> Identity:
        return Identity("123456789012", "eu-west-1", self.endpoint, "me")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://secretsmanager.eu-west-1.amazonaws.com",
        "https://secretsmanager-fips.us-east-1.amazonaws.com/",
        "https://secretsmanager.cn-north-1.amazonaws.com.cn:443",
        "https://secretsmanager.eu-west-1.api.aws",
        "https://vpce-1-2.secretsmanager.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_aws_s_own_endpoints_are_accepted_where_they_are_required(endpoint: str) -> None:
    """Regional, FIPS, China, dual stack, VPC."""
    with SecretsClient(Somewhere(endpoint), require_aws_endpoint=True) as client:
        assert client.get("db").text == "x"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://secretsmanager.eu-west-1.amazonaws.com",
        "https://localhost:4566",
        "https://secretsmanager.amazonaws.com.evil.example",
        "https://evil-amazonaws.com",
        "https://evil.example/secretsmanager.eu-west-1.amazonaws.com",
        "https://secretsmanager.eu-west-1.amazonaws.com@evil.example",
        "fake://",
        "",
    ],
)
def test_other_endpoints_are_refused_where_aws_s_own_is_required(endpoint: str) -> None:
    """With the places where it may come from; without the setting they are fine."""
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_SECRETS_MANAGER") as caught:
        SecretsClient(Somewhere(endpoint), require_aws_endpoint=True)
    assert repr(endpoint) in str(caught.value)
    SecretsClient(Somewhere(endpoint)).close()
    with pytest.raises(ConfigError):
        require_aws(Somewhere(endpoint))


# --- null:// --------------------------------------------------------------------------------------


def test_the_null_backend_answers_every_read_with_a_placeholder() -> None:
    """By name or ARN, at any stage, whole or by key."""
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf"
    with SecretsClient("null://") as client:
        assert client.get("db")["password"] == PLACEHOLDER
        assert client.get("db")["any.key"] == PLACEHOLDER
        assert client.resolve("secret://db#anything") == PLACEHOLDER
        assert client.get(arn).arn == arn
        assert client.get(arn, version_stage="AWSPENDING").json()["username"] == PLACEHOLDER
        assert set(client.get_many(["db", "other"]).values) == {"db", "other"}


def test_the_null_backend_costs_nothing() -> None:
    """No attempt, so no call, no KMS call, no money."""
    with SecretsClient("null://") as client:
        client.get("db")
        client.get_many(["a", "b"])
        usage = client.usage()
    assert (usage.api_calls, usage.kms_calls, usage.cost().total) == ({}, 0, 0)


def test_the_null_backend_refuses_everything_else() -> None:
    """With the operation named."""
    backend = smclient.null.open_backend(BackendUrl.parse("null://"), clock=SYSTEM_CLOCK)
    assert isinstance(backend, Backend)
    with pytest.raises(NotSupportedError, match="PutSecretValue") as caught:
        backend.call("PutSecretValue", {"SecretId": "db"})
    assert (caught.value.code, caught.value.attempts) == ("OperationNotSupported", 0)
    assert backend.describe("db").value.version_at("AWSCURRENT") == smclient.null.VERSION_ID
    assert backend.identity() == backend.identity()
    backend.close()


# --- the doubles that are shipped -----------------------------------------------------------------


class TestFakeBackend(BackendContract):
    """It passes the contract of every backend."""

    def make_backend(self) -> FakeBackend:
        return FakeBackend()


def test_the_contract_notices_a_backend_that_is_wrong() -> None:
    """A test that cannot fail proves nothing."""

    class Forgetful(FakeBackend):
        def fetch_many(self, secret_ids: Any) -> Any:
            answer = super().fetch_many(secret_ids)
            return Answer({i: v for i, v in answer.value.items() if not isinstance(v, Exception)})

    class Contract(BackendContract):
        def make_backend(self) -> FakeBackend:
            return Forgetful()

    with pytest.raises(KeyError):
        Contract().test_many_are_read_in_one_call_with_an_error_for_what_is_absent()


def test_the_fake_backend_logs_and_fails_on_request() -> None:
    """For those who test with it."""
    backend = FakeBackend({"db": "x"})
    seen: list[Call] = []
    backend.before = seen.append
    backend.fail_with(NotJsonError("once"))
    with pytest.raises(NotJsonError):
        backend.fetch(SecretRef("db"))
    backend.fail_with(NotJsonError("always"), times=None)
    for _ in range(2):
        with pytest.raises(NotJsonError):
            backend.describe("db")
    backend.recover()
    assert backend.fetch(SecretRef("db")).value.text == "x"
    assert seen == backend.calls
    assert (backend.count("GetSecretValue"), backend.count("DescribeSecret")) == (2, 2)


def test_a_fake_clock_goes_forward_only() -> None:
    """By hand and by sleeping."""
    clock = FakeClock()
    start = clock.now()
    clock.advance(1.5, minutes=1)
    clock.sleep(0.5)
    assert clock.monotonic() == (clock.now() - start).total_seconds() == 62.0
    assert clock.slept == [0.5]
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)
