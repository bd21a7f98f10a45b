"""``smclient access``: principals of a store are made, shown, used and removed."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient.cli.root import root
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import AccessDeniedException

USER = "arn:aws:iam::123456789012:user/app"
ROLE = "arn:aws:iam::123456789012:role/app"
READS = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "*"},
}


class Store:
    """A store in a file, the commands on it, and a file with a policy."""

    def __init__(self, folder: Path) -> None:
        self.url = f"embedded://{folder}/secrets.db"
        self.reads = folder / "reads.json"
        self.reads.write_text(json.dumps(READS))
        with EmbeddedService(self.url) as service:
            service.client().create_secret(Name="prod/db", SecretString="value")

    def __call__(self, *arguments: str | Path) -> Result:
        given = [str(each) for each in arguments]
        return CliRunner().invoke(root, ["access", *given, "--store", self.url])

    def fine(self, *arguments: str | Path) -> str:
        """What it prints; the test fails if it does not end with 0."""
        answer = self(*arguments)
        assert answer.exit_code == 0, answer.output
        return answer.stdout.strip()

    def may(self, who: Any) -> bool:
        """Whether somebody may read the secret now."""
        with EmbeddedService(self.url) as service:
            try:
                service.call("GetSecretValue", {"SecretId": "prod/db"}, service.context(who))
            except AccessDeniedException:
                return False
            return True


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_user_is_made_with_a_policy_and_loses_it(store: Store) -> None:
    """The policy is called as its file."""
    assert store.fine("create-user", "app", "--policy", store.reads, "--tag", "team=web") == USER
    assert store.may(USER)
    store.fine("remove-policy", USER, "reads")
    assert not store.may(USER)
    store.fine("put-policy", USER, "again", store.reads)
    assert store.may(USER)


def test_a_user_has_what_its_group_has(store: Store) -> None:
    store.fine("create-group", "readers", "--policy", store.reads)
    store.fine("create-user", "app", "--group", "readers")
    assert store.may(USER)


def test_a_list_says_who_there_is(store: Store) -> None:
    """And no secret."""
    store.fine("create-user", "app", "--policy", store.reads)
    made = json.loads(store.fine("create-key", USER))
    assert store.fine("list").splitlines() == [f"{USER} reads", f"{made['AccessKeyId']} {USER}"]
    text = store.fine("list", "--json")
    assert made["SecretAccessKey"] not in text
    assert json.loads(text)["principals"][0]["arn"] == USER


def test_a_key_is_printed_once_and_can_be_taken_back(store: Store) -> None:
    store.fine("create-user", "app")
    made = json.loads(store.fine("create-key", USER))
    with EmbeddedService(store.url) as service:
        found = service.find_key(made["AccessKeyId"])
        assert found is not None
        assert found.secret == made["SecretAccessKey"]
    store.fine("remove-key", made["AccessKeyId"])
    with EmbeddedService(store.url) as service:
        assert service.find_key(made["AccessKeyId"]) is None


def test_a_session_is_printed_as_a_credential_process_does(store: Store) -> None:
    store.fine("create-role", "app", "--policy", store.reads)
    shown = json.loads(store.fine("assume-role", ROLE, "s-1", "--seconds", "900"))
    assert shown["Version"] == 1
    assert datetime.fromisoformat(shown["Expiration"]).tzinfo is not None
    with EmbeddedService(store.url) as service:
        key = service.open_session(shown["AccessKeyId"], shown["SessionToken"])
        assert key is not None
        assert key.secret == shown["SecretAccessKey"]
    assert store.may(key.principal)


def test_a_caller_who_may_not_assume_a_role_is_denied(store: Store) -> None:
    store.fine("create-user", "app")
    store.fine("create-role", "app")
    answer = store("assume-role", ROLE, "s-1", "--caller", USER)
    assert answer.exit_code == 4
    assert "is not authorized to perform: sts:AssumeRole" in answer.stderr


def test_a_whole_file_is_applied(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text('[[users]]\nname = "app"\npolicies = ["@reads.json"]\n')
    store.fine("apply", file)
    assert store.may(USER)


def test_what_is_removed_is_gone(store: Store) -> None:
    store.fine("create-user", "app")
    store.fine("remove", USER)
    assert store.fine("list") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("create-user", "no name"),
        ("create-user", "app", "--tag", "team"),
        ("create-user", "app", "--group", "none"),
        ("remove", USER),
        ("put-policy", USER, "name", "FILE"),
        ("create-key", USER),
        ("assume-role", ROLE, "s-1"),
    ],
)
def test_what_is_wrong_is_wrong_usage(store: Store, arguments: tuple[str, ...]) -> None:
    """And changes nothing."""
    given = [store.reads if each == "FILE" else each for each in arguments]
    assert store(*given).exit_code == 2
    assert store.fine("list") == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("create-key", USER),
        ("remove-key", "AKIA"),
        ("remove", USER),
        ("remove-policy", USER, "reads"),
        ("assume-role", ROLE, "s-1"),
    ],
)
def test_a_store_that_is_not_there_is_not_made_by_a_typing_error(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    absent = tmp_path / "typo.db"
    url = f"embedded://{absent}"
    answer = CliRunner().invoke(root, ["access", *arguments, "--store", url])
    assert answer.exit_code == 2
    assert f"there is no store at {absent}" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_user_may_be_the_first_thing_in_a_store(tmp_path: Path) -> None:
    """The store is named in the environment, too."""
    environment = {"SMCLIENT_STORE": f"embedded://{tmp_path}/new.db"}
    made = CliRunner().invoke(root, ["access", "create-user", "app"], env=environment)
    assert made.stdout.strip() == USER
    listed = CliRunner().invoke(root, ["access", "list"], env=environment)
    assert listed.stdout.strip() == USER
