"""``serve --config``: a file of accounts, principals, keys, organisation and secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from smclient.errors import ConfigError
from smclient_embedded.config import apply_config, read_config
from tests.backends.embedded.access.realm import HOME, OTHER, allow, policy
from tests.backends.embedded.http.served import REGION, boto, end, start_server

USER = f"arn:aws:iam::{HOME}:user/app"
FULL: dict[str, Any] = {
    "groups": [{"name": "readers", "policies": policy(allow("GetSecretValue"))}],
    "users": [
        {
            "name": "app",
            "groups": ["readers"],
            "tags": {"team": "web"},
            "policies": {"list": policy(allow("ListSecrets"))},
            "boundary": policy(allow("*", "kms:*")),
            "access_keys": [{"id": "AKIACONFIG0000000000", "secret": "env:CONFIG_SECRET"}],
        }
    ],
    "roles": [
        {
            "name": "rotator",
            "path": "/service/",
            "policies": [policy(allow("*"))],
            "trust": policy(
                {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole"}
            ),
        }
    ],
    "keys": [{"alias": "app", "grants": [{"grantee": USER, "operations": ["Decrypt"]}]}],
    "organisation": {
        "management": "999999999999",
        "accounts": {HOME: "root/prod"},
        "policies": [
            {
                "kind": "scp",
                "node": "root/prod",
                "name": "no",
                "document": policy({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}),
            }
        ],
        "detach": [{"kind": "scp", "node": HOME, "name": "none"}],
    },
    "secrets": [{"name": "prod/db", "value": "first", "kms_key": "alias/app"}],
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Path]:
    """Writes a file as JSON, or TOML text as it is."""
    monkeypatch.setenv("CONFIG_SECRET", "a-secret-for-tests")

    def write(content: Any) -> Path:
        path = tmp_path / ("config.toml" if isinstance(content, str) else "config.json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


class TestApplying:
    def test_everything_in_it_counts(self, realm: Any, write: Any) -> None:
        apply_config(realm.service, read_config(write(FULL)))
        assert realm(USER, "GetSecretValue", SecretId="prod/db")["SecretString"] == "first"
        assert realm.may(USER, "ListSecrets")
        assert not realm.may(USER, "DescribeSecret", SecretId="prod/db")
        role = f"arn:aws:iam::{HOME}:role/service/rotator"
        assert realm.service.assume_role(role, "s-1", caller=USER)
        found = realm.service.find_key("AKIACONFIG0000000000")
        assert (found.principal.arn, found.secret) == (USER, "a-secret-for-tests")
        assert realm.accounts.all().organisation.nodes(HOME) == ["root", "root/prod", HOME]

    def test_twice_is_the_same_as_once(self, realm: Any, write: Any) -> None:
        """And a value that was changed meanwhile stays."""
        config = read_config(write(FULL))
        apply_config(realm.service, config)
        realm(None, "PutSecretValue", SecretId="prod/db", SecretString="second")
        before = realm.accounts.all().account(HOME).identities
        apply_config(realm.service, config)
        assert realm.accounts.all().account(HOME).identities == before
        assert realm(None, "GetSecretValue", SecretId="prod/db")["SecretString"] == "second"

    def test_what_is_named_is_brought_to_what_the_file_says(self, realm: Any, write: Any) -> None:
        """And what is not named stays."""
        other = realm.user("other", allow("*"))
        realm.user("app", allow("*"), tags={"old": "tag"})
        apply_config(realm.service, read_config(write(FULL)))
        user = realm.accounts.all().identity(USER)
        assert dict(user.tags) == {"team": "web"}
        assert set(user.policies) == {"list"}
        assert realm.may(other, "ListSecrets")

    def test_policies_may_be_files_beside_it(self, realm: Any, write: Any, tmp_path: Path) -> None:
        (tmp_path / "reads.json").write_text(json.dumps(policy(allow("GetRandomPassword"))))
        text = '[[users]]\nname = "app"\npolicies = ["@reads.json"]\n'
        apply_config(realm.service, read_config(write(text)))
        assert realm.may(USER, "GetRandomPassword")


class TestFaults:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ({"people": []}, "people is not known here; known are functions, groups"),
            ({"users": {}}, "users has to be a list of tables"),
            ({"users": [7]}, r"users\[0\] has to be a table"),
            ({"users": [{}]}, r"users\[0\].name is missing"),
            ({"users": [{"name": "a b"}]}, r"users\[0\] is wrong: .* no name for a user"),
            ({"users": [{"name": "a", "trust": {}}]}, r"users\[0\].trust is not known here"),
            ({"users": [{"name": "a", "account": "1"}]}, r"users\[0\] is wrong: .*12 digits"),
            ({"users": [{"name": "a", "groups": ["b"]}]}, r"users\[0\] names the group 'b'"),
            ({"users": [{"name": "a", "tags": {"k": 1}}]}, r"users\[0\].tags has to be a table"),
            (
                {"users": [{"name": "a", "policies": [policy({"Effect": "Maybe"})]}]},
                r"users\[0\].policies is wrong: .*Effect",
            ),
            ({"users": [{"name": "a", "policies": ["@none.json"]}]}, "none.json cannot be read"),
            ({"users": [{"name": "a", "policies": [7]}]}, r"policies\[0\] has to be a policy"),
            (
                {"users": [{"name": "a", "access_keys": [{"id": "A", "secret": "env:NO_SUCH"}]}]},
                r"access_keys\[0\].secret names NO_SUCH",
            ),
            ({"roles": [{"name": "a", "trust": "{"}]}, r"roles\[0\].trust is wrong"),
            ({"keys": [{}]}, r"keys\[0\].alias is missing"),
            ({"organisation": {}}, "organisation.management is missing"),
            ({"organisation": {"management": "1"}}, "organisation is wrong: .*12 digits"),
            (
                {"organisation": {"management": OTHER, "detach": [{"kind": "x"}]}},
                r"detach\[0\].kind is 'scp' or 'rcp'",
            ),
            ({"secrets": [{"value": "canary-value"}]}, "has no 'name'"),
            ("[[users]\n", "is not TOML"),
            ([], "it has to be a table"),
        ],
    )
    def test_a_fault_names_file_and_key(self, write: Any, content: Any, says: str) -> None:
        """And no secret."""
        path = write(content)
        with pytest.raises(ConfigError, match=says) as caught:
            read_config(path)
        assert str(path) in str(caught.value)
        assert "canary-value" not in str(caught.value)

    def test_a_secret_in_a_file_for_everybody_is_refused(self, write: Any) -> None:
        """Without repeating it."""
        keys = [{"id": "AKIA", "secret": "canary-value"}]
        path = write({"users": [{"name": "a", "access_keys": keys}]})
        path.chmod(0o644)
        with pytest.raises(ConfigError, match="others may read") as caught:
            read_config(path)
        assert "canary-value" not in str(caught.value)
        path.chmod(0o600)
        assert "canary-value" not in repr(read_config(path))


class TestServing:
    def test_a_server_lets_in_who_is_in_the_file(self, write: Any, tmp_path: Path) -> None:
        path = write({**FULL, "organisation": None, "keys": None} | {"secrets": []})
        server = start_server(
            tmp_path, "--config", str(path), "--region", REGION, CONFIG_SECRET="over-http"
        )
        try:
            server.ready = json.loads(server.output.line() or "{}")
            client = boto(
                server.endpoint, access_key="AKIACONFIG0000000000", secret_key="over-http"
            )
            assert client.list_secrets()["SecretList"] == []
            with pytest.raises(ClientError, match=f"User: {USER} is not authorized"):
                client.create_secret(Name="a", SecretString="b")
        finally:
            end(server.process)

    def test_a_server_that_only_records_lets_everything_through(
        self, write: Any, tmp_path: Path
    ) -> None:
        path = write({"users": [{**FULL["users"][0], "groups": []}]})
        server = start_server(
            tmp_path, "--access", "audit", "--config", str(path), CONFIG_SECRET="over-http"
        )
        try:
            server.ready = json.loads(server.output.line() or "{}")
            client = boto(
                server.endpoint, access_key="AKIACONFIG0000000000", secret_key="over-http"
            )
            assert client.create_secret(Name="a", SecretString="b")["Name"] == "a"
        finally:
            end(server.process)

    def test_a_faulty_file_stops_the_server_before_it_listens(
        self, write: Any, tmp_path: Path
    ) -> None:
        server = start_server(tmp_path, "--config", str(write({"users": [{}]})))
        assert server.process.wait(30) == 2
        assert "users[0].name is missing" in server.errors.all()
