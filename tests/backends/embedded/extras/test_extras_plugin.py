"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

HEAVY = ("boto3", "botocore", "sqlalchemy", "cryptography", "uvicorn", "smclient_embedded.service")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test bed with warnings as errors and strict markers, as this repository has them."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers --strict-config -p no:cacheprovider\n"
        "filterwarnings =\n    error\n    ignore::pytest.PytestUnraisableExceptionWarning\n"
    )
    return pytester


def outcomes(run: pytest.Pytester, source: str, *arguments: str, **expected: int) -> str:
    """Run a test module; its output."""
    run.makepyfile(source)
    result = run.runpytest_inprocess(*arguments)
    result.assert_outcomes(**expected)
    return str(result.stdout)


def test_is_an_entry_point() -> None:
    """So that it is there where the package is."""
    (point,) = [p for p in entry_points(group="pytest11") if p.name == "smclient"]
    assert point.value == "smclient_embedded.pytest_plugin"


def test_loads_nothing_heavy() -> None:
    """By Python's own account of what is imported, pytest's own imports apart."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import smclient_embedded.pytest_plugin"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    ours = {name for name in imported if name.startswith("smclient")}
    assert ours == {"smclient_embedded", "smclient_embedded.pytest_plugin"}
    assert not imported & set(HEAVY)


def test_a_run_that_uses_no_fixture_loads_nothing_heavy(run: pytest.Pytester) -> None:
    """The plugin is there and has cost next to nothing."""
    run.makepyfile(
        f"""
        import sys

        def test_nothing():
            assert "smclient_embedded.pytest_plugin" in sys.modules
            assert not set({HEAVY}) & set(sys.modules)
        """
    )
    run.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_seeded_secrets_are_read(run: pytest.Pytester) -> None:
    """Text, bytes and JSON; the closest marker wins; each test has a service of its own."""
    outcomes(
        run,
        """
        import pytest
        from smclient import ResourceNotFoundError

        pytestmark = pytest.mark.secrets({"a": "of the module", "m": "there"})

        @pytest.mark.secrets({"a": {"password": "x"}, "b": b"bytes"})
        def test_seeded(secrets):
            assert secrets.get("a")["password"] == "x"
            assert secrets.get("b").binary == b"bytes"
            assert secrets.get("m").text == "there"
            secrets.call("PutSecretValue", SecretId="m", SecretString="changed")

        def test_fresh(secrets):
            assert secrets.get("a").text == "of the module"
            assert secrets.get("m").text == "there"
            with pytest.raises(ResourceNotFoundError):
                secrets.get("b")
        """,
        passed=2,
    )


@pytest.mark.parametrize("marker", ["", "'a'", "{'a': 1}, {'b': 2}", "a=1"])
def test_a_wrong_marker_says_how_it_is_used(run: pytest.Pytester, marker: str) -> None:
    """With an example."""
    said = outcomes(
        run,
        f"""
        import pytest

        @pytest.mark.secrets({marker})
        def test_it(secrets):
            pass
        """,
        errors=1,
    )
    assert "takes one mapping of names to values" in said


def test_the_marker_is_registered_and_fixtures_are_documented(run: pytest.Pytester) -> None:
    """``--strict-markers`` knows it."""
    assert "@pytest.mark.secrets(values)" in str(run.runpytest_inprocess("--markers").stdout)
    shown = str(run.runpytest_inprocess("--fixtures").stdout)
    names = ("secrets", "secrets_service", "secrets_boto3", "smclient_server", "rotate")
    for name in (*names, "secrets_calls", "secrets_clock"):
        assert f"\n{name} -- " in shown
    assert "no docstring available" not in shown.partition("smclient_embedded")[2][:3000]


def test_rotate_makes_values_by_the_services_own_steps(run: pytest.Pytester) -> None:
    """By default, to a value, by a callable, by the secret's own function; also twice."""
    outcomes(
        run,
        """
        import pytest
        from smclient.rotation import RotationFunction

        @pytest.mark.secrets({"db": {"username": "app", "password": "old"}, "text": "old"})
        def test_by_default(secrets, rotate):
            version = rotate("db")
            new = secrets.get("db")
            assert (new.version_id, new["username"]) == (version, "app")
            assert len(new["password"]) == 32
            assert secrets.get("db", version_stage="AWSPREVIOUS")["password"] == "old"
            rotate("text")
            assert len(secrets.get("text").text) == 32

        @pytest.mark.secrets({"db": {"password": "1"}})
        def test_to_something(secrets, rotate, secrets_service):
            rotate("db", {"password": "2"})
            assert secrets.get("db")["password"] == "2"
            rotate("db", lambda current: {"password": current["password"] + "3"})
            assert secrets.refresh("db")["password"] == "23"
            rotate("db", b"bytes")
            assert secrets.refresh("db").binary == b"bytes"
            rotate("db", "plain")
            rotate("db")
            assert len(secrets.refresh("db").text) == 32
            described = secrets_service.call("DescribeSecret", {"SecretId": "db"})
            assert not described["RotationEnabled"]
            assert set(sum(described["VersionIdsToStages"].values(), [])) == {
                "AWSCURRENT", "AWSPREVIOUS"
            }

        class Own(RotationFunction):
            def new_value(self, rotation):
                return "by our own function"
            def set_value(self, rotation):
                pass
            def test_value(self, rotation):
                pass

        @pytest.mark.secrets({"db": "old"})
        def test_own_function(secrets, rotate, secrets_service):
            arn = secrets_service.register_function("own", Own())
            secrets.call("RotateSecret", SecretId="db", RotationLambdaARN=arn,
                         RotationRules={"AutomaticallyAfterDays": 30})
            secrets_service.run_due()
            rotate("db")
            assert secrets.get("db").text == "by our own function"
            described = secrets_service.call("DescribeSecret", {"SecretId": "db"})
            assert described["RotationEnabled"]

        @pytest.mark.secrets({"db": "old"})
        def test_failing(secrets, rotate):
            def broken(current):
                raise RuntimeError("cannot")
            with pytest.raises(AssertionError, match="rotation of .* failed"):
                rotate("db", broken)
            assert secrets.get("db").text == "old"
        """,
        passed=4,
    )


def test_the_call_log_is_in_order(run: pytest.Pytester) -> None:
    """Reads, writes and refusals; without what was before."""
    outcomes(
        run,
        """
        import pytest
        from smclient import ResourceNotFoundError, ThrottlingError
        from smclient_embedded import Fault

        @pytest.mark.secrets({"a": "1", "b": "2"})
        def test_log(secrets, secrets_calls, secrets_service):
            assert list(secrets_calls) == []
            secrets.get("a")
            secrets.get("a")
            secrets.call("PutSecretValue", SecretId="b", SecretString="3")
            secrets.get_many(["a", "b"])
            with pytest.raises(ResourceNotFoundError):
                secrets.get("none")
            with secrets_service.faults.add(Fault.throttling()), pytest.raises(ThrottlingError):
                secrets.get("b", max_age=0)
            assert secrets_calls.operations == [
                "GetSecretValue", "PutSecretValue", "BatchGetSecretValue", "GetSecretValue",
                "GetSecretValue",
            ]
            assert secrets_calls[0].secret_ids == ("a",)
            assert [c.error for c in secrets_calls.of("GetSecretValue")] == [
                None, "ResourceNotFoundException", "ThrottlingException"
            ]
            assert secrets_calls[-1].secret_ids == ("b",)
            assert secrets_calls[0].principal == "arn:aws:iam::123456789012:root"
            assert "PutSecretValue b" in repr(secrets_calls)
            secrets_calls.clear()
            assert len(secrets_calls) == 0
        """,
        passed=1,
    )


def test_time_can_be_overridden(run: pytest.Pytester) -> None:
    """One clock for service and client."""
    outcomes(
        run,
        """
        import pytest
        from smclient.testing import FakeClock

        @pytest.fixture
        def secrets_clock():
            return FakeClock()

        @pytest.mark.secrets({"a": "1"})
        def test_travel(secrets, secrets_service, secrets_clock):
            secrets.call("DeleteSecret", SecretId="a", RecoveryWindowInDays=7)
            assert secrets_service.run_due().deleted == ()
            secrets_clock.advance(days=8)
            assert len(secrets_service.run_due().deleted) == 1
        """,
        passed=1,
    )


def test_boto3_and_http_reach_the_same_service(run: pytest.Pytester) -> None:
    """Wired in process, and served on a free port with signatures verified; outages close the
    connection, latency does not hold up others."""
    pytest.importorskip("uvicorn")
    outcomes(
        run,
        """
        import os
        import boto3
        import pytest
        from botocore.config import Config
        from botocore.exceptions import ClientError, ConnectionClosedError
        from smclient_embedded import Fault

        once = Config(retries={"total_max_attempts": 1})

        @pytest.mark.secrets({"a": "1"})
        def test_both(secrets_boto3, smclient_server, secrets, rotate):
            served = smclient_server.client(config=once)
            served.put_secret_value(SecretId="a", SecretString="2")
            assert secrets_boto3.get_secret_value(SecretId="a")["SecretString"] == "2"
            assert secrets.get("a").text == "2"
            rotate("a", "3")
            assert served.get_secret_value(SecretId="a")["SecretString"] == "3"

        @pytest.mark.secrets({"a": "1"})
        def test_environment(smclient_server, monkeypatch):
            for name, value in smclient_server.environment.items():
                monkeypatch.setenv(name, value)
            client = boto3.session.Session().client("secretsmanager", config=once)
            assert client.get_secret_value(SecretId="a")["SecretString"] == "1"
            wrong = smclient_server.client(config=once, aws_secret_access_key="wrong")
            with pytest.raises(ClientError, match="InvalidSignatureException"):
                wrong.get_secret_value(SecretId="a")

        @pytest.mark.secrets({"a": "1"})
        def test_faults(smclient_server, secrets_service):
            client = smclient_server.client(config=once)
            client.get_secret_value(SecretId="a")
            with secrets_service.faults.add(Fault.outage(count=1)) as outage:
                with pytest.raises(ConnectionClosedError):
                    client.get_secret_value(SecretId="a")
                assert outage.struck == 1
            with secrets_service.faults.add(Fault.throttling(count=1)):
                with pytest.raises(ClientError, match="Rate exceeded"):
                    client.get_secret_value(SecretId="a")
            assert client.get_secret_value(SecretId="a")["SecretString"] == "1"

        @pytest.mark.secrets({"a": "1"})
        def test_botocore_rides_out_a_short_outage(smclient_server, secrets_service, monkeypatch):
            monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
            client = smclient_server.client()
            secrets_service.faults.add(Fault.outage(count=2))
            answer = client.get_secret_value(SecretId="a")
            assert answer["ResponseMetadata"]["RetryAttempts"] == 2
        """,
        passed=4,
    )


def test_without_the_server_extra_the_fixture_says_so(run: pytest.Pytester) -> None:
    """And names it."""
    said = outcomes(
        run,
        """
        import sys
        import pytest

        @pytest.fixture(autouse=True)
        def absent(monkeypatch):
            for name in list(sys.modules):
                if name.startswith(("uvicorn", "smclient_embedded.http.server",
                                    "smclient_embedded.http.protocol",
                                    "smclient_embedded.served")):
                    monkeypatch.delitem(sys.modules, name)
            monkeypatch.setitem(sys.modules, "uvicorn", None)
            import smclient_embedded.http
            for name in ("server", "protocol"):
                monkeypatch.delattr(smclient_embedded.http, name, raising=False)

        def test_it(smclient_server):
            pass
        """,
        errors=1,
    )
    assert "pip install 'smclient[server]'" in said
