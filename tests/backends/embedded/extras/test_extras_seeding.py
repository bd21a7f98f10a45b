"""The init file: what it may say, what it makes, and that no value is ever shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from smclient_embedded.seeding import read_seeds, sow


@pytest.fixture
def service() -> Iterator[EmbeddedService]:
    with EmbeddedService() as service:
        yield service


def written(folder: Path, content: Any, name: str = "init.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def value(service: EmbeddedService, name: str) -> Any:
    answer = service.call("GetSecretValue", {"SecretId": name})
    return answer.get("SecretString", answer.get("SecretBinary"))


def test_names_and_values(service: EmbeddedService, tmp_path: Path) -> None:
    secrets = {"text": "t", "object": {"user": "ü"}, "number": 5, "list": [1], "empty": None}
    assert sow(service, read_seeds(written(tmp_path, {"secrets": secrets}))) == 5
    assert value(service, "text") == "t"
    assert json.loads(value(service, "object")) == {"user": "ü"}
    assert (value(service, "number"), value(service, "list")) == ("5", "[1]")


def test_a_list_in_toml(service: EmbeddedService, tmp_path: Path) -> None:
    written(tmp_path, "from a file", "value.txt")
    blob = base64.b64encode(b"\0\xff").decode()
    text = f"""
[[secrets]]
name = "file"
value_file = "value.txt"
description = "what it is for"
tags = {{env = "prod"}}

[[secrets]]
name = "blob"
binary = "{blob}"

[[secrets]]
name = "bare"

[[secrets]]
name = "elsewhere"
value = {{user = "app"}}
account = "444455556666"
region = "eu-west-1"
"""
    assert sow(service, read_seeds(written(tmp_path, text, "init.toml"))) == 4
    assert value(service, "file") == "from a file"
    assert value(service, "blob") == b"\0\xff"
    shown = service.call("DescribeSecret", {"SecretId": "file"})
    assert shown["Description"] == "what it is for"
    assert shown["Tags"] == [{"Key": "env", "Value": "prod"}]
    assert "VersionIdsToStages" not in service.call("DescribeSecret", {"SecretId": "bare"})
    with service.door.store.transaction(write=False) as tx:
        assert ("444455556666", "eu-west-1") in {(s.account, s.region) for s in tx.scopes()}


def test_what_is_there_is_left_alone(service: EmbeddedService, tmp_path: Path) -> None:
    seeds = read_seeds(written(tmp_path, {"secrets": {"a": "first", "b": "first"}}))
    assert sow(service, seeds) == 2
    token = "t" * 32
    request = {"SecretId": "a", "SecretString": "second", "ClientRequestToken": token}
    service.call("PutSecretValue", request)
    service.call("DeleteSecret", {"SecretId": "b"})
    assert sow(service, seeds) == 0
    assert value(service, "a") == "second"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{'secrets': canary}", "line 1 is not JSON"),
        ([], "one member, 'secrets'"),
        ({"secrets": {}, "users": []}, "one member, 'secrets'"),
        ({"secrets": "canary"}, "neither a list nor a table"),
        ({"secrets": [{"value": "canary"}]}, "secret 1 in .* has no 'name'"),
        ({"secrets": [{"name": "a", "valeu": "canary"}]}, "no member 'valeu'; known: name"),
        ({"secrets": [{"name": "a", "value": "canary", "binary": ""}]}, "both 'value' and 'bin"),
        ({"secrets": [{"name": "a", "binary": "canary!"}]}, "'binary' is not base64"),
        ({"secrets": [{"name": "a", "value_file": "none"}]}, "none cannot be read: No such"),
        ({"secrets": [{"name": "a", "description": 5}]}, "'description' has to be a text"),
        ({"secrets": [{"name": "a", "tags": ["canary"]}]}, "'tags' has to be a table"),
    ],
)
def test_what_it_may_not_say(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_seeds(written(tmp_path, content))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_toml_that_is_none_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        read_seeds(written(tmp_path, "= canary", "init.toml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_seeds(tmp_path / "nothing.json")


def test_a_date_is_no_value(tmp_path: Path) -> None:
    text = '[[secrets]]\nname = "a"\nvalue = {since = 2026-01-01}\n'
    with pytest.raises(ConfigError, match="JSON does not have"):
        read_seeds(written(tmp_path, text, "init.toml"))


def test_a_secret_that_the_service_refuses_is_named(
    service: EmbeddedService, tmp_path: Path
) -> None:
    seeds = read_seeds(written(tmp_path, {"secrets": {"a": "x" * 70_000}}))
    with pytest.raises(ConfigError, match="'a' of the init file: .*65536") as caught:
        sow(service, seeds)
    assert "xxx" not in str(caught.value)


def test_a_seed_hides_its_value(tmp_path: Path) -> None:
    (seed,) = read_seeds(written(tmp_path, {"secrets": {"a": "canary"}}))
    assert "canary" not in repr(seed)
