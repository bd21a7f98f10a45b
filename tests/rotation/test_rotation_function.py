"""The four steps of the base class: what each checks, stores and moves, and that each may be called
again."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from smclient import (
    Answer,
    ConfigError,
    InvalidParameterError,
    NotSupportedError,
    ResourceNotFoundError,
    RotationStepError,
    SecretDescription,
)
from smclient.rotation import PasswordRules, Rotation, RotationFunction
from smclient.testing import FakeBackend

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
CANARY = "canary-value-7f3a9c"


class Recorder(RotationFunction):
    """Makes a value when asked and notes what was asked."""

    def __init__(self, value: Any = None) -> None:
        super().__init__()
        self.value = value if value is not None else {"password": CANARY}
        self.asked: list[str] = []

    def new_value(self, rotation: Rotation) -> Any:
        self.asked.append("new")
        return self.value

    def set_value(self, rotation: Rotation) -> None:
        self.asked.append("set")
        assert rotation.pending() is not None

    def test_value(self, rotation: Rotation) -> None:
        self.asked.append("test")
        assert rotation.the_pending().version_id == rotation.token


class RotatingFake(FakeBackend):
    """A ``FakeBackend`` that heeds tokens, moves labels, and may have rotation switched off."""

    rotation_enabled: bool | None = None

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        described = super().describe(secret_id)
        enabled = replace(described.value, rotation_enabled=self.rotation_enabled)
        return Answer(enabled)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        try:
            return super().call(operation, parameters)
        except NotSupportedError:
            if operation != "UpdateSecretVersionStage":
                raise
        name = self._name(parameters["SecretId"])
        self.move(name, parameters["VersionStage"], parameters["MoveToVersionId"])
        return Answer({"ARN": self.arn(name), "Name": name})


@pytest.fixture
def fake() -> RotatingFake:
    """A secret in a backend that is not ours, with its next version begun."""
    backend = RotatingFake({"db": {"password": "first"}})
    backend.put("db", {"password": CANARY}, stages=["AWSPENDING"], version_id="next")
    backend.calls.clear()
    return backend


def call(function: RotationFunction, backend: Any, step: str, token: str = "next") -> None:
    event = {"Step": step, "SecretId": "db", "ClientRequestToken": token}
    function(event, SimpleNamespace(secrets=backend))


def operations(backend: FakeBackend) -> list[str]:
    return [call.operation for call in backend.calls]


def writes(backend: FakeBackend) -> list[str]:
    reads = ("DescribeSecret", "GetSecretValue")
    return [operation for operation in operations(backend) if operation not in reads]


# --- what is checked before a step ----------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_rotation_that_is_off_stops_every_step(fake: RotatingFake, step: str) -> None:
    """Nothing is read but the description, and nothing is written."""
    fake.rotation_enabled = False
    function = Recorder()
    with pytest.raises(RotationStepError, match="rotation is not enabled"):
        call(function, fake, step)
    assert function.asked == []
    assert operations(fake) == ["DescribeSecret"]


@pytest.mark.parametrize("enabled", [True, None])
def test_rotation_that_is_on_or_untold_is_fine(fake: RotatingFake, enabled: bool | None) -> None:
    """AWS leaves RotationEnabled out while it was never set."""
    fake.rotation_enabled = enabled
    call(Recorder(), fake, "finishSecret")
    assert fake.describe("db").value.version_at("AWSCURRENT") == "next"


@pytest.mark.parametrize("step", STEPS)
def test_a_token_that_no_version_has_is_refused(fake: RotatingFake, step: str) -> None:
    """The message names the token."""
    with pytest.raises(RotationStepError, match="version stranger: there is no such version"):
        call(Recorder(), fake, step, "stranger")
    assert writes(fake) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_version_that_is_not_pending_is_refused(fake: RotatingFake, step: str) -> None:
    """A version with other labels only cannot be rotated to."""
    fake.put("db", "x", stages=["MINE"], version_id="other")
    with pytest.raises(RotationStepError, match="not AWSPENDING"):
        call(Recorder(), fake, step, "other")
    assert writes(fake) == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("pending_too", [False, True])
def test_a_version_that_is_current_has_nothing_left_to_do(
    fake: RotatingFake, step: str, pending_too: bool
) -> None:
    """Every step returns at once, whether AWSPENDING is still there or not."""
    fake.move("db", "AWSCURRENT", "next")
    if not pending_too:
        fake.move("db", "AWSPENDING", None)
    function = Recorder()
    call(function, fake, step)
    assert function.asked == []
    assert operations(fake) == ["DescribeSecret"]


@pytest.mark.parametrize("absent", ["Step", "SecretId", "ClientRequestToken"])
def test_an_event_that_lacks_something_is_refused(fake: RotatingFake, absent: str) -> None:
    """The message names what is missing; nothing is asked."""
    event = {"Step": "setSecret", "SecretId": "db", "ClientRequestToken": "next"}
    del event[absent]
    with pytest.raises(RotationStepError, match=f"lacks {absent}"):
        Recorder()(event, SimpleNamespace(secrets=fake))
    assert fake.calls == []


@pytest.mark.parametrize("step", ["create_secret", "CreateSecret", "dropSecret"])
def test_an_unknown_step_is_refused(fake: RotatingFake, step: str) -> None:
    """The message lists the steps there are."""
    with pytest.raises(RotationStepError, match=r"createSecret, setSecret"):
        call(Recorder(), fake, step)


def test_an_unknown_secret_is_the_backends_own_error(fake: RotatingFake) -> None:
    """Errors of Secrets Manager are not dressed up."""
    event = {"Step": "setSecret", "SecretId": "none", "ClientRequestToken": "next"}
    with pytest.raises(ResourceNotFoundError):
        Recorder()(event, SimpleNamespace(secrets=fake))


@pytest.mark.parametrize(("step", "said"), [("createSecret", "make"), ("setSecret", "set")])
def test_a_strategy_that_is_not_written_says_so(bench: Any, step: str, said: str) -> None:
    """The base class alone does nothing by silence."""
    bench.create({"password": "first"})
    function = RotationFunction()
    token = bench.begin(function)
    with pytest.raises(NotImplementedError, match=f"RotationFunction does not say how to {said}"):
        bench.step(function, step, token)


# --- what each step does, twice -------------------------------------------------------------------


def test_the_steps_one_by_one_each_twice(bench: Any) -> None:
    """Labels move at finishSecret only; a repeated step changes nothing more."""
    bench.create({"password": "first"})
    function = Recorder()
    token = bench.begin(function)
    first = bench.labels()["AWSCURRENT"]
    for step in STEPS[:3]:
        for _ in range(2):
            bench.step(function, step, token)
            assert bench.labels() == {"AWSCURRENT": first, "AWSPENDING": token}
            assert bench.value() == {"password": "first"}
            assert bench.value("AWSPENDING") == {"password": CANARY}
    for _ in range(2):
        bench.step(function, "finishSecret", token)
        assert bench.labels()["AWSCURRENT"] == token
        assert bench.labels()["AWSPREVIOUS"] == first
        assert bench.value() == {"password": CANARY}
    assert function.asked == ["new", "set", "set", "test", "test"]


def test_create_asks_for_one_value_only(bench: Any) -> None:
    """Called again it finds its value; a new one would no longer be the one that was set."""
    bench.create({"password": "first"})
    function = Recorder()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    function.value = {"password": "another"}
    bench.step(function, "createSecret", token)
    assert bench.value("AWSPENDING") == {"password": CANARY}


def test_create_needs_a_current_value(bench: Any) -> None:
    """A secret without a value has nothing to rotate from, and no value is made up for it."""
    bench.client.call("CreateSecret", Name=bench.name)
    function = Recorder()
    token = bench.begin(function)
    with pytest.raises(ResourceNotFoundError):
        bench.step(function, "createSecret", token)
    assert function.asked == []


def test_finish_never_makes_an_empty_version_current(bench: Any) -> None:
    """If createSecret stored nothing, AWSCURRENT stays."""
    bench.create({"password": "first"})
    function = Recorder()
    token = bench.begin(function)
    before = bench.labels()
    with pytest.raises(RotationStepError, match="createSecret has stored no value"):
        bench.step(function, "finishSecret", token)
    assert bench.labels() == before
    assert bench.value() == {"password": "first"}


def test_finish_over_a_backend_that_is_not_ours(fake: RotatingFake) -> None:
    """One read of the labels, one of the value, one move."""
    before = fake.describe("db").value.version_at("AWSCURRENT")
    fake.calls.clear()
    call(Recorder(), fake, "finishSecret")
    assert operations(fake) == ["DescribeSecret", "GetSecretValue", "UpdateSecretVersionStage"]
    stages = fake.describe("db").value
    assert (stages.version_at("AWSCURRENT"), stages.version_at("AWSPREVIOUS")) == ("next", before)


def test_finish_names_the_version_that_loses_the_label(bench: Any) -> None:
    """If AWSCURRENT moved meanwhile, the service refuses and nobody loses it by mistake."""
    bench.create({"password": "first"})
    function = Recorder()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    real, moved = bench.secrets, []

    class Racing:
        """The labels move between the description and the move."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def call(self, operation: str, parameters: Mapping[str, Any]) -> Any:
            if operation == "UpdateSecretVersionStage" and not moved:
                bench.put({"password": "by hand"}, VersionStages=["AWSCURRENT"])
                moved.append(bench.labels()["AWSCURRENT"])
            return real.call(operation, parameters)

    event = {"Step": "finishSecret", "SecretId": bench.arn, "ClientRequestToken": token}
    with pytest.raises(InvalidParameterError):
        function(event, SimpleNamespace(secrets=Racing()))
    assert bench.labels()["AWSCURRENT"] == moved[0]


@pytest.mark.parametrize(
    "value",
    [
        {"password": "päss 'w\" %s", "port": 5432, "nested": {"a": [1, None]}},
        'plain text, no JSON: " %s é',
        bytes(range(256)),
    ],
    ids=["json", "text", "bytes"],
)
def test_every_kind_of_value_arrives_as_it_was_made(bench: Any, value: Any) -> None:
    """Mappings as JSON, text as text, bytes as binary."""
    bench.create("first")
    token = bench.begin(Recorder(value))
    assert bench.service.run_due().rotated == (bench.arn,)
    found = bench.client.refresh(bench.name)
    assert found.version_id == token
    if isinstance(value, bytes):
        assert found.binary == value
    else:
        assert found.text == value if isinstance(value, str) else found.json() == value


def test_a_whole_rotation_through_the_service(bench: Any) -> None:
    """All four steps in order with one token; AWSPENDING goes when the function has returned."""
    bench.create({"password": "first"})
    seen: list[tuple[str, str, str]] = []

    class Telling(Recorder):
        def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
            seen.append((event["Step"], event["ClientRequestToken"], event["SecretId"]))
            super().__call__(event, context)

    token = bench.begin(Telling())
    done = bench.service.run_due()
    assert (done.rotated, done.failed) == ((bench.arn,), ())
    assert seen == [(step, token, bench.arn) for step in STEPS]
    assert bench.labels()["AWSCURRENT"] == token
    assert "AWSPENDING" not in bench.labels()
    assert bench.value() == {"password": CANARY}


def test_one_function_serves_many_rotations(bench: Any) -> None:
    """An instance keeps nothing from one rotation to the next."""
    bench.create({"n": 0})

    class Counting(Recorder):
        def new_value(self, rotation: Rotation) -> Any:
            return {"n": rotation.current()["n"] + 1}

    function = Counting()
    for expected in (1, 2, 3):
        bench.begin(function)
        assert bench.service.run_due().rotated
        assert bench.value() == {"n": expected}


# --- where it finds Secrets Manager ---------------------------------------------------------------


@pytest.fixture
def moto_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[str]:
    """A moto server, and the environment of a Lambda function that is to use it."""
    pytest.importorskip("smclient_aws", reason="smclient_aws is not there yet")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SECRETS_MANAGER_ENDPOINT", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    server.stop()
    server._server.server_close()


def test_without_a_context_it_asks_the_endpoint_of_the_environment(
    moto_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As in AWS Lambda: boto3 at SECRETS_MANAGER_ENDPOINT; and no value in any log."""
    from smclient import load_backend

    caplog.set_level(logging.DEBUG)
    secrets = load_backend(f"aws://us-east-1?endpoint_url={moto_endpoint}")
    create = {"Name": "moto/db", "SecretString": "first", "ClientRequestToken": str(uuid.uuid4())}
    arn = secrets.call("CreateSecret", create).value["ARN"]
    rotate = {
        "SecretId": arn,
        "RotationRules": {"AutomaticallyAfterDays": 30},
        "ClientRequestToken": str(uuid.uuid4()),
    }
    first = secrets.describe(arn).value.version_at("AWSCURRENT")
    token = secrets.call("RotateSecret", rotate).value["VersionId"]
    # Without a function moto finishes at once, with an empty version; put the labels back.
    for stage, version, other in (("AWSCURRENT", first, token), ("AWSPENDING", token, None)):
        move = {"SecretId": arn, "VersionStage": stage, "MoveToVersionId": version}
        move |= {"RemoveFromVersionId": other} if other else {}
        secrets.call("UpdateSecretVersionStage", move)
    function = Recorder()
    for step in STEPS:
        for _ in range(2):
            function({"Step": step, "SecretId": arn, "ClientRequestToken": token})
    described = secrets.describe(arn).value
    assert described.version_at("AWSCURRENT") == token
    assert function.asked == ["new", "set", "set", "test", "test"]
    assert "finishSecret: done" in caplog.text
    assert CANARY not in caplog.text
    secrets.close()


def test_without_context_and_endpoint_it_asks_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """In AWS itself there is nothing to set."""
    asked: list[str] = []

    def load(url: str) -> Any:
        asked.append(url)
        return RotatingFake({"db": "x"})

    monkeypatch.setattr("smclient.rotation.function.load_backend", load)
    monkeypatch.delenv("SECRETS_MANAGER_ENDPOINT", raising=False)
    function = Recorder()
    for _ in range(2):
        with pytest.raises(RotationStepError):
            function({"Step": "setSecret", "SecretId": "db", "ClientRequestToken": "t"})
    assert asked == ["aws://"]  # once: the client is kept between calls


# --- logs -----------------------------------------------------------------------------------------


def test_logs_tell_steps_and_versions_and_no_value(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, through a whole rotation and one that fails with the value in its error."""
    caplog.set_level(logging.DEBUG)
    bench.create({"password": "first-canary-1d8e"})
    token = bench.begin(Recorder())
    bench.service.run_due()
    assert f"finishSecret: done for version {token}" in caplog.text

    class Careless(Recorder):
        def set_value(self, rotation: Rotation) -> None:
            raise ValueError(f"cannot set {rotation.the_pending()['password']}")

    bench.begin(Careless({"password": "second-canary-55b1"}))
    assert bench.service.run_due().failed == (bench.arn,)
    assert "setSecret raised ValueError" in caplog.text
    for canary in (CANARY, "first-canary-1d8e", "second-canary-55b1"):
        assert canary not in caplog.text


# --- password rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, PasswordRules()),
        ({"PASSWORD_LENGTH": "20"}, PasswordRules(length=20)),
        ({"EXCLUDE_CHARACTERS": "abc"}, PasswordRules(exclude_characters="abc")),
        ({"EXCLUDE_PUNCTUATION": "YES"}, PasswordRules(exclude_punctuation=True)),
        ({"EXCLUDE_NUMBERS": "1"}, PasswordRules(exclude_numbers=True)),
        ({"EXCLUDE_UPPERCASE": "y"}, PasswordRules(exclude_uppercase=True)),
        ({"EXCLUDE_LOWERCASE": "True"}, PasswordRules(exclude_lowercase=True)),
        (
            {"REQUIRE_EACH_INCLUDED_TYPE": "no"},
            PasswordRules(require_each_included_type=False),
        ),
    ],
)
def test_password_rules_come_from_awss_variables(
    environ: dict[str, str], expected: PasswordRules
) -> None:
    """The names and the words for true of AWS's own functions."""
    assert PasswordRules.from_env(environ) == expected


@pytest.mark.parametrize("length", ["", "-1", "0", "4097", "many", "3.5", "²"])
def test_a_password_length_that_is_none_is_refused(length: str) -> None:
    """The message repeats what was given."""
    with pytest.raises(ConfigError, match="PASSWORD_LENGTH is"):
        PasswordRules.from_env({"PASSWORD_LENGTH": length})


@pytest.mark.parametrize(
    ("rules", "holds"),
    [
        (PasswordRules(length=12), lambda p: len(p) == 12),
        (PasswordRules(exclude_punctuation=True), str.isalnum),
        (PasswordRules(exclude_characters="abcdefABCDEF"), lambda p: not set(p) & set("abcABC")),
    ],
)
def test_random_passwords_keep_the_rules(
    bench: Any, rules: PasswordRules, holds: Callable[[str], bool]
) -> None:
    """GetRandomPassword is asked for exactly these."""
    rotation = Rotation(bench.secrets, "any", "token")
    passwords = {rotation.random_password(rules) for _ in range(20)}
    assert len(passwords) == 20
    assert all(holds(password) for password in passwords)
