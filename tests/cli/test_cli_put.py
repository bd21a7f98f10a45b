"""``smclient put``: where a value may come from, and that it is never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from smclient import SecretsClient
from tests.cli.canary import CANARY


def test_a_value_comes_from_standard_input(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """One line break at its end is taken off; the labels move."""
    first = json.loads(run("put", "a", "-", "--create", "--json", stdin=f"{CANARY}\n\n").stdout)
    assert client.get("a").text == f"{CANARY}\n"
    assert first == {
        "name": "a",
        "arn": client.get("a").arn,
        "version_id": client.get("a").version_id,
        "created": True,
    }
    second = run("put", "a", "-", stdin="second\r\n")
    assert client.refresh("a").text == "second"
    assert second.stdout == f"a: stored, version {client.get('a').version_id}\n"
    assert client.get("a", version_stage="AWSPREVIOUS").version_id == first["version_id"]


def test_a_value_comes_from_a_file(
    run: Callable[..., Result], client: SecretsClient, tmp_path: Path
) -> None:
    """Text, or bytes as they are."""
    (tmp_path / "v").write_bytes(b"\xff\x00\n")
    run("put", "b", f"@{tmp_path}/v", "--create", "--binary")
    assert client.get("b").binary == b"\xff\x00\n"
    assert "--binary" in run("put", "b", f"@{tmp_path}/v", code=2).stderr
    missing = run("put", "b", f"@{tmp_path}/none", code=2).stderr
    assert "none cannot be read: No such file" in missing


def test_a_value_comes_from_the_environment(
    run: Callable[..., Result], client: SecretsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable's name."""
    monkeypatch.setenv("THE_VALUE", f"{CANARY}ä")
    run("put", "e", "--from-env", "THE_VALUE", "--create")
    assert client.get("e").text == f"{CANARY}ä"
    assert "no variable NONE" in run("put", "e", "--from-env", "NONE", code=2).stderr


def test_a_value_is_never_an_argument(run: Callable[..., Result], client: SecretsClient) -> None:
    """Refused, and not repeated (``run`` looks for the canary)."""
    assert "never an argument" in run("put", "a", CANARY, "--create", code=2).stderr
    assert "where the value comes from" in run("put", "a", code=2).stderr
    run("put", "a", "-", "--from-env", "HOME", code=2, stdin="x")
    assert client.call("ListSecrets")["SecretList"] == []


def test_a_secret_is_made_only_on_request(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """Not found is 3; with --create it gets description and tags."""
    run("put", "new", "-", code=3, stdin=CANARY)
    run(
        "put", "new", "-", "--create", "--description", "d", "--tag", "k=v", "--tag", "x", stdin="1"
    )
    shape = client.call("DescribeSecret", SecretId="new")
    assert shape["Description"] == "d"
    assert shape["Tags"] == [{"Key": "k", "Value": "v"}, {"Key": "x", "Value": ""}]
    run("put", "new", "-", "--tag", "=v", "--create", stdin="1")
    run("put", "other", "-", "--tag", "=v", "--create", code=2, stdin="1")


def test_another_label_leaves_the_current_version(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """--stage instead of AWSCURRENT."""
    run("put", "a", "-", "--create", stdin="one")
    run("put", "a", "-", "--stage", "NEXT", stdin="two")
    assert client.refresh("a").text == "one"
    assert client.get("a", version_stage="NEXT").text == "two"
    run("put", "none", "-", "--stage", "NEXT", "--create", code=2, stdin="two")


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_value_is_refused(run: Callable[..., Result], content: str) -> None:
    """Before anybody is asked."""
    assert "is empty" in run("put", "a", "-", "--create", code=2, stdin=content).stderr


def test_what_the_service_refuses_is_not_shown(run: Callable[..., Result]) -> None:
    """A value that is too long: exit code 1, and no part of it in the message."""
    run("put", "a", "-", "--create", code=1, stdin=CANARY * 5000)
