"""``flask secrets …``: run as Flask runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from smclient import SecretsClient
from smclient.rotation import Rotation, RotationFunction
from smclient.testing import FakeBackend
from smclient_embedded import EmbeddedService
from smclient_flask import Secrets

CANARY = "canary-web-4f1d"
SETTINGS = {
    "SECRET_KEY": "secret://prod/web#key",
    "HOSTS": ["secret://prod/web#hosts"],
    "URL": "db://{{resolve:secretsmanager:prod/web:SecretString:key}}@db",
    "PLAIN": "plain",
    "SMCLIENT_LAZY": True,
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**SETTINGS)


def test_status_lists_settings_and_versions(app: Flask) -> None:
    """And no value."""
    result = app.test_cli_runner().invoke(args=["secrets", "status"])
    assert result.exit_code == 0
    for shown in ("SECRET_KEY  secret://prod/web#key", "HOSTS[0]", "[AWSCURRENT]"):
        assert shown in result.output
    assert "canary" not in result.output
    assert "PLAIN" not in result.output


def test_status_as_json(app: Flask) -> None:
    """One object; unreadable settings with their message."""
    app.config["BAD"] = "secret://prod/none"
    result = app.test_cli_runner().invoke(args=["secrets", "status", "--json"])
    rows = {row["setting"]: row for row in json.loads(result.output)["settings"]}
    assert rows["SECRET_KEY"]["error"] is None
    assert rows["BAD"]["versions"] == []
    assert "create it" in rows["BAD"]["error"]


def test_check_says_what_is_wrong_by_its_exit_code(app: Flask, backend: FakeBackend) -> None:
    """0 if all can be read, else 1 and the messages."""
    good = app.test_cli_runner().invoke(args=["secrets", "check"])
    assert (good.exit_code, good.output) == (0, "3 of 3 settings can be read\n")
    app.config["BAD"] = "secret://prod/web#nokey"
    bad = app.test_cli_runner().invoke(args=["secrets", "check"])
    assert bad.exit_code == 1
    assert "app.config['BAD'] = 'secret://prod/web#nokey'" in bad.output
    assert "canary" not in bad.output
    as_json = app.test_cli_runner().invoke(args=["secrets", "check", "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["checked"] == 4


def test_get_prints_one_value(app: Flask) -> None:
    """Of a setting or a reference: the one command that shows any."""
    run = app.test_cli_runner().invoke
    assert run(args=["secrets", "get", "SECRET_KEY"]).output == f"{CANARY}\n"
    assert run(args=["secrets", "get", "HOSTS"]).output == '[["a", "b"]]\n'
    assert run(args=["secrets", "get", "secret://prod/web#port"]).output == "8080\n"
    failed = run(args=["secrets", "get", "secret://prod/none"])
    assert failed.exit_code == 1
    assert "prod/none" in failed.output
    assert "create it" in failed.output


@pytest.fixture
def served() -> Iterator[tuple[EmbeddedService, Flask]]:
    """An app on the embedded service, with a secret that rotates."""
    with EmbeddedService() as service:
        client = SecretsClient(service.backend())
        client.call("CreateSecret", Name="prod/web", SecretString='{"key": "canary-one"}')
        app = Flask("tested")
        app.config.update(SETTINGS, HOSTS=["secret://prod/web?stage=AWSPENDING&optional=1#key"])
        Secrets(app, client=client)
        yield service, app


class NewKey(RotationFunction):
    """Makes a key that needs to be known nowhere else."""

    def new_value(self, rotation: Rotation) -> dict[str, str]:
        return {"key": f"canary-{rotation.token}"}

    def set_value(self, rotation: Rotation) -> None:
        """Nothing to set."""

    def test_value(self, rotation: Rotation) -> None:
        """Nothing to test."""


def test_explain_says_where_a_value_comes_from(served: tuple[EmbeddedService, Flask]) -> None:
    """Secret, stages, dates; an absent one is said, and what is no reference is refused."""
    service, app = served
    run = app.test_cli_runner().invoke
    shown = run(args=["secrets", "explain", "SECRET_KEY"])
    assert shown.exit_code == 0, shown.output
    assert service.backend().describe("prod/web").value.arn in shown.output
    assert "AWSCURRENT=" in shown.output
    assert "canary" not in shown.output
    inside = run(args=["secrets", "explain", "HOSTS", "--json"])
    assert json.loads(inside.output)["references"][0]["setting"] == "HOSTS[0]"
    app.config["BAD"] = "secret://prod/none"
    assert "create it" in run(args=["secrets", "explain", "BAD"]).output
    assert "is no reference" in run(args=["secrets", "explain", "PLAIN"]).output
    assert "is not there" in run(args=["secrets", "explain", "ABSENT"]).output


def test_rotate_starts_a_rotation_of_the_secret_of_a_setting(
    served: tuple[EmbeddedService, Flask],
) -> None:
    """By RotateSecret; where there is no function it says so and fails."""
    service, app = served
    run = app.test_cli_runner().invoke
    refused = run(args=["secrets", "rotate", "SECRET_KEY"])
    assert refused.exit_code == 1
    assert "prod/web" in refused.output
    arn = service.register_function("rotate-key", NewKey())
    client = app.extensions["smclient"]
    client.call("RotateSecret", SecretId="prod/web", RotationLambdaARN=arn)
    assert len(service.run_due().rotated) == 1
    before = app.config["SECRET_KEY"]
    assert run(args=["secrets", "rotate", "SECRET_KEY"]).exit_code == 0
    assert len(service.run_due().rotated) == 1
    client.refresh("prod/web")
    assert app.config["SECRET_KEY"] != before


def test_usage_says_what_a_start_costs(app: Flask) -> None:
    """As a table and as JSON."""
    run = app.test_cli_runner().invoke
    assert "BatchGetSecretValue" in run(args=["secrets", "usage"]).output
    usage = json.loads(run(args=["secrets", "usage", "--json"]).output)
    assert usage["api_calls"] == {"BatchGetSecretValue": 1}


def test_the_group_has_the_name_one_gives_it(client: SecretsClient) -> None:
    """Or there is none."""
    app, other = Flask("tested"), Flask("tested")
    Secrets(app, client=client, cli_group="vault")
    Secrets(other, client=client, cli_group=None)
    assert "vault" in app.cli.commands
    assert "secrets" not in app.cli.commands
    assert "secrets" not in other.cli.commands
