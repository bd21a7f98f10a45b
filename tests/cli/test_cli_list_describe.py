"""``smclient list`` and ``smclient describe``: everything but values."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from smclient import SecretsClient
from tests.cli.canary import CANARY


@pytest.fixture
def three(client: SecretsClient) -> None:
    """Three secrets, two tagged."""
    for name, tags in (
        ("prod/app", {"env": "prod", "team": "a"}),
        ("prod/db", {"env": "prod"}),
        ("test/db", {}),
    ):
        shape = [{"Key": k, "Value": v} for k, v in tags.items()]
        client.call("CreateSecret", Name=name, SecretString=CANARY, Description="d", Tags=shape)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["prod/app", "prod/db", "test/db"]),
        (("prod/",), ["prod/app", "prod/db"]),
        (("--tag", "env"), ["prod/app", "prod/db"]),
        (("--tag", "env=prod", "--tag", "team=a"), ["prod/app"]),
        (("--tag", "env=a"), []),  # key and value are there, not together
        (("none",), []),
    ],
)
def test_what_is_listed(
    run: Callable[..., Result], args: tuple[str, ...], names: list[str]
) -> None:
    """By prefix and by all tags, each with its value."""
    listed = json.loads(run("list", "--json", *args).stdout)["secrets"]
    assert sorted(secret["name"] for secret in listed) == names
    table = run("list", *args).stdout.splitlines()
    assert table[0].split() == ["NAME", "CHANGED", "ROTATION", "TAGS"]
    assert sorted(line.split()[0] for line in table[1:]) == names


@pytest.mark.usefixtures("three")
def test_what_is_told_of_each(run: Callable[..., Result], client: SecretsClient) -> None:
    """The documented shape; times are ISO 8601."""
    [secret] = json.loads(run("list", "prod/app", "--json").stdout)["secrets"]
    changed = client.call("DescribeSecret", SecretId="prod/app")["LastChangedDate"]
    assert secret == {
        "name": "prod/app",
        "arn": client.get("prod/app").arn,
        "description": "d",
        "last_changed_date": changed.isoformat(),
        "next_rotation_date": None,
        "deleted_date": None,
        "rotation_enabled": False,
        "tags": {"env": "prod", "team": "a"},
    }


def test_every_page_is_read(run: Callable[..., Result], client: SecretsClient) -> None:
    """More than one call gives."""
    for number in range(105):
        client.call("CreateSecret", Name=f"s{number:03}", SecretString="x")
    listed = json.loads(run("list", "--json").stdout)["secrets"]
    assert sorted(secret["name"] for secret in listed) == [f"s{n:03}" for n in range(105)]


@pytest.mark.usefixtures("three")
def test_deleted_ones_are_listed_on_request(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """With what they are."""
    client.call("DeleteSecret", SecretId="test/db")
    assert "test/db" not in run("list").stdout
    assert "marked for deletion" in run("list", "test", "--all").stdout


@pytest.mark.usefixtures("three")
def test_describe_shows_labels_and_no_value(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """Every version with its labels."""
    old = client.get("prod/db").version_id
    client.call("PutSecretValue", SecretId="prod/db", SecretString=CANARY * 2)
    new = client.get("prod/db").version_id
    shown = json.loads(run("describe", "prod/db", "--json").stdout)
    assert shown["versions"] == {new: ["AWSCURRENT"], old: ["AWSPREVIOUS"]}
    assert (shown["name"], shown["tags"]) == ("prod/db", {"env": "prod"})
    assert set(shown) == {
        "name", "arn", "description", "kms_key_id", "rotation_enabled", "rotation_function",
        "rotation_rules", "created_date", "last_changed_date", "last_rotated_date",
        "next_rotation_date", "deleted_date", "tags", "versions",
    }  # fmt: skip
    lines = run("describe", "prod/db").stdout.splitlines()
    assert lines[-2:] in (
        [f"version {new}  AWSCURRENT", f"version {old}  AWSPREVIOUS"],
        [f"version {old}  AWSPREVIOUS", f"version {new}  AWSCURRENT"],
    )


def test_describe_of_what_is_absent_is_3(run: Callable[..., Result]) -> None:
    """Not found."""
    assert "can't find" in run("describe", "none", code=3).stderr


def test_a_bad_backend_is_2(run: Callable[..., Result]) -> None:
    """--backend wins over the environment."""
    assert "nosuch" in run("list", "--backend", "nosuch://", code=2).stderr
