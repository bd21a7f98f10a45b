"""System checks and ``manage.py smclient``: what is wrong is said before it is used, by setting,
reference and remedy, and without a value."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from smclient import AccessDeniedError, BackendUnavailableError, SecretsClient
from smclient.testing import FakeBackend
from smclient_django import SecretConfigError, clients, network, secret, secret_fallbacks, status
from smclient_django.apps import SmclientConfig

KEY = "secret://prod/web#django_key"
NAMED = "django.db.backends.sqlite3"


@pytest.fixture(autouse=True)
def _ours(client: SecretsClient) -> None:
    """Every test here reads through the fake backend."""


def complaints(*, deploy: bool = False, network: bool = False) -> dict[str, str]:
    """Id to message and hint of what our checks say, network ones only where asked for."""
    tags = ["smclient", "smclient_network"] if network else ["smclient"]
    found = run_checks(tags=tags, include_deployment_checks=deploy)
    return {str(m.id): f"{m.msg} | {m.hint}" for m in found if str(m.id).startswith("smclient.")}


def test_good_settings_have_no_complaints(backend: FakeBackend) -> None:
    """And are checked without asking anybody."""
    assert complaints() == {}
    assert backend.calls == []


@pytest.mark.parametrize(
    ("changed", "check_id", "said"),
    [
        (
            {"API": secret("secret://prod web")},
            "smclient.E001",
            ("API", "secret name", "secret://"),
        ),
        ({"API": {"X": [secret("nothing")]}}, "smclient.E001", ("API['X'][0]", "'nothing'")),
        ({"API": secret(KEY, alias="absent")}, "smclient.E002", ("'absent'", "no such alias")),
        ({"EMAIL_LOGGING_URL": secret(KEY)}, "smclient.E003", ("EMAIL_LOGGING_URL", "secret_now")),
        ({"CSRF_TRUSTED_ORIGINS": [secret(KEY)]}, "smclient.E003", ("CSRF_TRUSTED_ORIGINS[0]",)),
        ({"CELERY_BROKER_URL": secret(KEY)}, "smclient.E004", ("CELERY_BROKER_URL", "secret_now")),
        ({"SECRET_KEY_FALLBACKS": []}, "smclient.W001", ("SECRET_KEY", "secret_fallbacks(")),
    ],
)
def test_a_setting_that_cannot_work_is_told(
    changed: dict[str, Any], check_id: str, said: tuple[str, ...], backend: FakeBackend
) -> None:
    """Its id, the setting and what to write instead; nobody is asked for that."""
    with override_settings(**changed):
        found = complaints()
    assert set(found) == {check_id}
    assert all(words in found[check_id] for words in said)
    assert backend.calls == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"default": {"BACKEND": "nothing://"}}, "'nothing'"),
        ({"default": {"BACKEND": "aws"}}, "not a backend URL"),
        ({"default": {"BACKEND": "null://", "TLL": 5}}, "did you mean TTL"),
        ({"default": {"BACKEND": "null://", "TTL": -1}}, "ttl"),
    ],
)
def test_a_bad_smclient_setting_is_told(given: dict[str, Any], said: str) -> None:
    """E002, naming the alias."""
    with override_settings(SMCLIENT=given):
        found = complaints()
    assert said in found["smclient.E002"]
    assert "settings.SMCLIENT['default']" in found["smclient.E002"]


@pytest.mark.parametrize(
    ("entry", "check_id", "said"),
    [
        ({"ENGINE": NAMED, "SECRET": "prod/db"}, "smclient.W006", "smclient_django.db.sqlite3"),
        ({"USER": "me", "SECRET": "prod/db"}, "smclient.E006", "USER come from SECRET"),
        ({"SECRET": "secret://prod/db#x"}, "smclient.E006", "without a key"),
        ({"SECRET": "prod/db", "OPTIONS": {"pool": True}}, "smclient.W002", "30 s"),
        ({"SECRET": "prod/db", "OPTIONS": {"pool": {"timeout": 60}}}, "smclient.W002", "60 s"),
        ({"ENGINE": "django.db.backends.mysql", "PASSWORD": secret(KEY)}, "smclient.E003", "MyS"),
    ],
)
def test_a_database_that_does_not_fit_is_told(
    entry: dict[str, Any], check_id: str, said: str
) -> None:
    """By the name of its entry."""
    whole = {"ENGINE": "smclient_django.db.postgresql", **entry}
    before = settings.DATABASES
    settings.DATABASES = {"default": {"ENGINE": NAMED}, "other": whole}  # type: ignore[misc]
    try:
        found = complaints()
    finally:
        settings.DATABASES = before  # type: ignore[misc]
    assert set(found) == {check_id}
    assert "['other']" in found[check_id]
    assert said in found[check_id] or check_id == "smclient.E003"


def test_placeholders_are_refused_in_a_deployment() -> None:
    """E005 with --deploy: null:// gives everybody the same signing key."""
    assert "smclient.E005" in complaints(deploy=True)
    with override_settings(SMCLIENT={"default": {"BACKEND": "embedded://"}}):
        assert "smclient.E005" not in complaints(deploy=True)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda backend: backend.remove("prod/mail"), "create it"),
        (lambda backend: backend.put("prod/mail", {"user": "x"}), "no key 'password'"),
        (lambda backend: backend.put("prod/mail", "text-canary"), "not JSON"),
    ],
)
def test_secrets_that_cannot_be_read_are_told_with_deploy(
    backend: FakeBackend, harm: Callable[[FakeBackend], Any], said: str
) -> None:
    """W004: setting, reference, remedy; one batch for all of them, and no value."""
    harm(backend)
    assert "smclient.W004" not in complaints()
    backend.calls.clear()
    found = complaints(deploy=True, network=True)
    assert "settings.MAIL_PASSWORD = 'secret://prod/mail#password'" in found["smclient.W004"]
    assert said in found["smclient.W004"]
    assert "canary" not in str(found)
    assert backend.count("BatchGetSecretValue") == 1


@pytest.mark.parametrize(
    "reference",
    [
        "optional:aws-secretsmanager:prod/none;prod/mail",
        "optional:aws-secretsmanager:prod/none;prod/no",
        "secret://prod/none?optional=1",
        "secret://prod/mail?optional=1#absent",
    ],
)
def test_what_may_be_absent_is_no_trouble(backend: FakeBackend, reference: str) -> None:
    """Neither for the checks, nor in the table, whatever its form."""
    with override_settings(MAYBE=secret(reference)):
        assert "smclient.W004" not in complaints(deploy=True, network=True)
        assert network.warm() == []
        assert {row["error"] for row in status.rows() if row["setting"] == "MAYBE"} == {None}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("x {{resolve:secretsmanager:prod/mail:SecretString:nokey}}", "no key 'nokey'"),
        ("{{resolve:secretsmanager:prod/web}}{{resolve:secretsmanager:prod/no}}", "create it"),
        ("aws-secretsmanager:prod/mail;prod/text", "no JSON object"),
        ("secret://prod/denied?optional=1", "GetSecretValue"),
    ],
)
def test_what_would_fail_on_use_is_told_whatever_its_form(
    backend: FakeBackend, reference: str, said: str
) -> None:
    """Templates and lists too; and what may be absent may not be denied. Once for each setting."""
    backend.before = lambda call: (
        "prod/denied" in call.secret_ids and backend.fail_with(AccessDeniedError("not allowed"))
    )
    with override_settings(MAYBE=secret(reference)):
        assert "settings.MAYBE" in complaints(deploy=True, network=True)["smclient.W004"]
        (trouble,) = network.warm()
    assert said in trouble.said


def test_an_empty_signing_key_is_told(backend: FakeBackend) -> None:
    """By W004, before a request fails for it."""
    backend.put("prod/web", {"django_key": ""})
    told = complaints(deploy=True, network=True)["smclient.W004"]
    assert "settings.SECRET_KEY" in told
    assert "empty" in told


@pytest.mark.parametrize(
    "error", [AccessDeniedError("not allowed"), BackendUnavailableError("no answer")]
)
def test_a_backend_that_refuses_or_is_away_is_told(backend: FakeBackend, error: Any) -> None:
    """For each setting, with what to do about it."""
    backend.fail_with(error, times=None)
    told = complaints(deploy=True, network=True)["smclient.W004"]
    assert "settings." in told
    assert str(error) in told


def test_a_secret_that_outlives_its_rotation_interval_is_told(backend: FakeBackend) -> None:
    """W003, from DescribeSecret."""
    from smclient.backend import Answer

    described = {"RotationEnabled": True, "RotationRules": {"AutomaticallyAfterDays": 1}}
    backend.call = lambda operation, parameters: Answer(described)  # type: ignore[method-assign]
    assert "smclient.W003" not in complaints(deploy=True, network=True)
    slow = SecretsClient(backend, ttl=100_000.0, max_stale=200_000.0)
    with clients.replaced("default", slow):
        assert "every 1 days" in complaints(deploy=True, network=True)["smclient.W003"]
    own = {name: {"ttl": 60.0} for name in ("prod/web", "prod/mail")}
    faster = SecretsClient(backend, ttl=100_000.0, max_stale=200_000.0, per_secret=own)
    with clients.replaced("default", faster):
        assert "smclient.W003" not in complaints(deploy=True, network=True)


# --- at the start ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"API": secret("secret://prod/web?stag=x")}, r"settings\.API: .*'stag'"),
        ({"SECRET_KEY_FALLBACKS": secret_fallbacks("x")}, r"settings\.SECRET_KEY_FALLBACKS: "),
        ({"SMCLIENT": {"default": {"TLL": 5}}}, r"SMCLIENT\['default'\].*TTL"),
        ({"SMCLIENT": ["default"]}, "must map aliases"),
    ],
)
def test_a_server_does_not_start_with_bad_settings(changed: dict[str, Any], said: str) -> None:
    """``ImproperlyConfigured`` from ``django.setup()``, where no check runs."""
    import smclient_django

    with override_settings(**changed), pytest.raises(SecretConfigError, match=said):
        SmclientConfig("smclient_django", smclient_django).ready()


def test_starting_asks_nobody(backend: FakeBackend) -> None:
    """``ready`` runs in every command, and before a server forks."""
    import smclient_django

    SmclientConfig("smclient_django", smclient_django).ready()
    assert backend.calls == []


# --- manage.py smclient ---------------------------------------------------------------------------


def manage(*arguments: str) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command("smclient", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_status_shows_versions_and_no_values() -> None:
    """A line for each setting."""
    rows = {row["setting"]: row for row in json.loads(manage("status", "--json"))}
    assert set(rows) == {"SECRET_KEY", "SECRET_KEY_FALLBACKS", "MAIL_PASSWORD"}
    row = rows["SECRET_KEY"]
    assert (row["reference"], row["stages"], row["error"]) == (KEY, ["AWSCURRENT"], None)
    shown = manage("status")
    assert row["version_id"] in shown
    assert "canary" not in shown


def test_status_shows_what_cannot_be_read(backend: FakeBackend) -> None:
    """In the row of its setting."""
    backend.remove("prod/mail")
    assert "create it" in manage("status")


def test_check_passes_where_all_is_well() -> None:
    """And says how much it looked at."""
    with override_settings(SMCLIENT={"default": {"BACKEND": "embedded://"}}):
        with clients.replaced(
            "default",
            SecretsClient(
                FakeBackend({"prod/web": {"django_key": "k"}, "prod/mail": {"password": "p"}})
            ),
        ):
            assert "3 uses of secrets" in manage("check")


@pytest.mark.parametrize("verb", ["check", "warm"])
def test_what_cannot_be_read_ends_the_command_with_1(backend: FakeBackend, verb: str) -> None:
    """``CommandError`` after naming each setting."""
    backend.remove("prod/mail")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("smclient", verb, stdout=out, stderr=out)
    assert "settings.MAIL_PASSWORD" in out.getvalue()


def test_warm_reads_everything_in_one_batch(backend: FakeBackend) -> None:
    """And tells how much."""
    assert "3 uses of secrets read" in manage("warm")
    assert backend.count("BatchGetSecretValue") == 1
    assert json.loads(manage("warm", "--json")) == []


def test_get_prints_the_value_that_was_asked_for() -> None:
    """The only verb that does; text and numbers."""
    assert manage("get", "secret://prod/web#port") == "8080\n"
    assert manage("get", "secret://prod/text") == "text-canary-22\n"


@pytest.mark.parametrize("reference", ["secret://prod/none", "secret://prod/web#nokey", "x"])
def test_get_fails_in_the_commands_way(reference: str) -> None:
    """``CommandError`` with a remedy."""
    with pytest.raises(CommandError, match=r": (create|correct|write)"):
        manage("get", reference)


def test_explain_tells_of_settings_and_references() -> None:
    """Where it is used and what it means; never the value."""
    told = manage("explain", "SECRET_KEY")
    assert f"reference: {KEY}" in told
    assert "version_id: " in told
    other = manage("explain", "secret://prod/text?stage=AWSPREVIOUS#a")
    assert "version: AWSPREVIOUS" in other
    assert "used in the settings: no" in other
    assert "canary" not in told + other


def test_usage_tells_what_a_start_costs() -> None:
    """Calls by operation."""
    counted = json.loads(manage("usage", "--json"))
    assert counted["default"]["api_calls"]["BatchGetSecretValue"] == 1
    assert "API calls to start with" in manage("usage")


def test_rotate_starts_a_rotation(secrets_service: Any) -> None:
    """Through the client of the alias; the value is not printed."""
    from smclient_embedded.rotating import RotationTo

    with clients.replaced("default", SecretsClient(secrets_service.backend())) as client:
        client.call("CreateSecret", Name="prod/web", SecretString="canary-old")
        arn = secrets_service.register_function("f", RotationTo("canary-new"))
        client.call(
            "RotateSecret",
            SecretId="prod/web",
            RotationLambdaARN=arn,
            RotationRules={"AutomaticallyAfterDays": 9},
            RotateImmediately=False,
        )
        secrets_service.run_due()
        assert "prod/web: rotation to version" in manage("rotate", "prod/web")
        assert secrets_service.run_due().rotated
        with pytest.raises(CommandError, match="create it"):
            manage("rotate", "absent")
