"""Users, roles, keys of access: how they are made, kept, seen by others, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from smclient_embedded.context import Principal
from smclient_embedded.errors import AccessDeniedException, ExpiredTokenException
from smclient_embedded.master import MasterKey
from smclient_file.cli import file
from tests.backends.embedded.access.realm import HOME, OTHER, allow, policy

USER = f"arn:aws:iam::{HOME}:user/app"


class TestMaking:
    def test_a_principal_is_made_with_what_it_may_do(self, realm: Any) -> None:
        """Once more is fine, and changes what is given."""
        realm.secret()
        reads = policy(allow("GetSecretValue"))
        assert realm.service.create_principal("app", policies=reads) == USER
        assert realm.may(USER, "GetSecretValue", SecretId="prod/db")
        assert realm.service.create_principal("app") == USER
        assert realm.may(USER, "GetSecretValue", SecretId="prod/db")
        realm.service.create_principal("app", policies=[])
        assert not realm.may(USER, "GetSecretValue", SecretId="prod/db")

    def test_a_role_is_made_as_a_principal_too(self, realm: Any) -> None:
        realm.secret()
        role = realm.service.create_principal(
            "app", kind="role", policies=policy(allow("GetSecretValue"))
        )
        assert role == f"arn:aws:iam::{HOME}:role/app"
        assert realm.may(role, "GetSecretValue", SecretId="prod/db")

    def test_accounts_are_apart(self, realm: Any) -> None:
        here = realm.user("app", allow("*"))
        there = realm.user("app", allow("*"), account=OTHER)
        realm(here, "CreateSecret", Name="a", SecretString="here")
        realm(there, "CreateSecret", Name="a", SecretString="there")
        assert realm(there, "GetSecretValue", SecretId="a")["SecretString"] == "there"
        assert realm(here, "GetSecretValue", SecretId="a")["SecretString"] == "here"

    def test_a_path_belongs_to_the_arn_of_a_role_and_not_of_its_session(self, realm: Any) -> None:
        role = realm.accounts.create_role("app", path="/team/x/")
        session = realm.accounts.assume_role(role, "s-1").principal
        assert role == f"arn:aws:iam::{HOME}:role/team/x/app"
        assert session.arn == f"arn:aws:sts::{HOME}:assumed-role/app/s-1"
        assert realm.service.principal(session.arn).session.source == role

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda a: a.create_user("no name"), "no name"),
            (lambda a: a.create_user("x", account="12"), "12 digits"),
            (lambda a: a.create_user("x", path="team"), "begins and ends"),
            (lambda a: a.create_user("x", groups=["none"]), "no group 'none'"),
            (lambda a: a.create_user("x", policies="{"), "not JSON"),
            (lambda a: a.create_user("x", policies={"Statement": []}), "holds no statement"),
            (lambda a: a.create_role("x", trust={"Statement": {"Effect": "Allow"}}), "trust"),
            (lambda a: a.create_user("x", boundary=policy({"Effect": "Maybe"})), "boundary"),
            (lambda a: a.put_policy(USER, "p", policy(allow("*"))), "no principal"),
            (lambda a: a.remove(USER), "no principal"),
            (lambda a: a.create_access_key(USER), "no user"),
            (lambda a: a.assume_role(f"arn:aws:iam::{HOME}:role/x", "s-1"), "no role"),
            (lambda a: a.remove_access_key("AKIA"), "no access key"),
            (lambda a: a.revoke_grant(f"arn:aws:kms:us-east-1:{HOME}:key/k", "g"), "no grant"),
            (lambda a: a.put_account(OTHER), "no organisation"),
        ],
    )
    def test_a_fault_says_where_it_is_and_changes_nothing(
        self, realm: Any, change: Callable[[Any], object], says: str
    ) -> None:
        before = realm.accounts.all()
        with pytest.raises(ConfigError, match=says):
            change(realm.accounts)
        assert realm.accounts.all() == before

    def test_a_name_is_taken_once(self, realm: Any) -> None:
        """Whatever the path, as in AWS; a user and a role may share it."""
        realm.user("app")
        with pytest.raises(ConfigError, match="there already"):
            realm.accounts.create_user("app", path="/other/")
        realm.accounts.create_role("app")

    def test_an_unknown_caller_is_refused(self, realm: Any) -> None:
        with pytest.raises(ConfigError, match="create_principal"):
            realm.service.client(principal=USER)


class TestAssumingRoles:
    def test_the_account_decides_unless_the_role_says_otherwise(self, realm: Any) -> None:
        role = realm.accounts.create_role("app")
        user = realm.user("dev")
        with pytest.raises(AccessDeniedException) as caught:
            realm.service.assume_role(role, "s-1", caller=user)
        assert str(caught.value) == (
            f"User: {user} is not authorized to perform: sts:AssumeRole on resource: {role} "
            "because no identity-based policy allows the sts:AssumeRole action"
        )
        realm.accounts.put_policy(user, "assume", policy(allow("sts:AssumeRole", on=role)))
        assert realm.service.assume_role(role, "s-1", caller=user).principal.kind == "role"

    def test_another_account_needs_the_roles_trust_as_well(self, realm: Any) -> None:
        user = realm.user("dev", allow("sts:AssumeRole"), account=OTHER)
        shut = realm.accounts.create_role("shut")
        trust = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}
        open_ = realm.accounts.create_role("open", trust=policy(trust))
        with pytest.raises(AccessDeniedException, match="no resource-based policy"):
            realm.service.assume_role(shut, "s-1", caller=user)
        assert realm.service.assume_role(open_, "s-1", caller=user).principal.account == HOME

    def test_a_trust_that_names_another_shuts_out_the_account(self, realm: Any) -> None:
        """What the caller's own policies allow counts where the role trusts the account."""
        user = realm.user("dev", allow("sts:AssumeRole"))
        trusted = realm.user("trusted")
        trust = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
        role = realm.accounts.create_role("app", trust=policy(trust))
        for caller in (user, f"arn:aws:iam::{HOME}:root"):
            with pytest.raises(AccessDeniedException, match="no resource-based policy"):
                realm.service.assume_role(role, "s-1", caller=caller)
        assert realm.service.assume_role(role, "s-1", caller=trusted)

    def test_tags_for_a_session_need_the_right_to_tag_it(self, realm: Any) -> None:
        """Else whoever may assume a role gives itself the tags that policies ask for."""
        role = realm.accounts.create_role("app")
        user = realm.user("dev", allow("sts:AssumeRole"))
        blue = {"team": "blue"}
        with pytest.raises(AccessDeniedException) as caught:
            realm.service.assume_role(role, "s-1", caller=user, tags=blue)
        assert "is not authorized to perform: sts:TagSession on resource: " in str(caught.value)
        realm.accounts.put_policy(user, "tag", policy(allow("sts:TagSession")))
        assert realm.service.assume_role(role, "s-1", caller=user, tags=blue)

    @pytest.mark.parametrize(
        ("condition", "tags", "may"),
        [
            ({"StringEquals": {"aws:RequestTag/team": "blue"}}, {"team": "blue"}, True),
            ({"StringEquals": {"aws:RequestTag/team": "blue"}}, {"team": "red"}, False),
            ({"StringEquals": {"aws:RequestTag/team": "blue"}}, {}, False),
            ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, {"owner": "me"}, False),
        ],
    )
    def test_conditions_see_the_tags_of_the_session(
        self, realm: Any, condition: dict[str, Any], tags: dict[str, str], may: bool
    ) -> None:
        role = realm.accounts.create_role("app")
        user = realm.user("dev", allow("sts:AssumeRole", "sts:TagSession", Condition=condition))
        try:
            assert realm.service.assume_role(role, "s-1", caller=user, tags=tags)
            assert may
        except AccessDeniedException:
            assert not may

    def test_a_session_that_ended_assumes_nothing(self, realm: Any) -> None:
        caller = realm.session("first", allow("sts:AssumeRole"), seconds=900)
        role = realm.accounts.create_role("app")
        assert realm.service.assume_role(role, "s-1", caller=caller)
        realm.clock.advance(900)
        with pytest.raises(ExpiredTokenException):
            realm.service.assume_role(role, "s-1", caller=caller)

    @pytest.mark.parametrize("seconds", [0, 43_201, float("nan")])
    def test_a_session_lasts_up_to_twelve_hours(self, realm: Any, seconds: float) -> None:
        role = realm.accounts.create_role("app")
        with pytest.raises(ConfigError, match="a session lasts"):
            realm.service.assume_role(role, "s-1", seconds=seconds)


class TestKeeping:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"embedded://{tmp_path}/secrets.db"

    def test_a_restarted_service_knows_its_principals(self, make: Any, url: str) -> None:
        first = make(url)
        first.secret()
        user = first.user("app", allow("GetSecretValue"), tags={"team": "blue"})
        credentials = first.service.create_access_key(user)
        role = first.accounts.create_role("r", policies=policy(allow("DescribeSecret")))
        session = first.service.assume_role(role, "s-1").credentials
        first.accounts.create_organisation(HOME)
        kept = first.accounts.all()
        first.service.close()
        second = make(url)
        assert second.accounts.all() == kept
        assert second.may(user, "GetSecretValue", SecretId="prod/db")
        found = second.service.find_key(credentials.access_key_id)
        assert found.secret == credentials.secret_access_key
        opened = second.service.open_session(session.access_key_id, session.session_token)
        assert opened.principal.session.source == role

    def test_another_process_sees_a_change_within_a_second(self, make: Any, url: str) -> None:
        first, second = make(url), make(url)
        first.secret()
        user = first.user("app", allow("GetSecretValue"))
        second.clock.advance(1)
        assert second.may(user, "GetSecretValue", SecretId="prod/db")
        first.accounts.remove_policy(user, "policy")
        second.clock.advance(1)
        assert not second.may(user, "GetSecretValue", SecretId="prod/db")

    def test_two_nodes_lose_nothing_of_each_other(self, make: Any, url: str) -> None:
        first, second = make(url), make(url)
        for index in range(4):
            (first, second)[index % 2].user(f"user-{index}")
        first.clock.advance(1)
        names = {each.name for each in first.accounts.all().account(HOME).identities.values()}
        assert names == {"user-0", "user-1", "user-2", "user-3"}

    def test_no_secret_of_a_key_is_in_the_store(self, make: Any, url: str, tmp_path: Path) -> None:
        realm = make(url)
        credentials = realm.service.create_access_key(realm.user())
        realm.service.close()
        held = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert credentials.access_key_id.encode() in held
        assert credentials.secret_access_key.encode() not in held
        assert credentials.secret_access_key not in repr(credentials)

    def test_keys_and_sessions_outlive_a_change_of_the_master_key(self, realm: Any) -> None:
        credentials = realm.service.create_access_key(realm.user())
        session = realm.service.assume_role(realm.accounts.create_role("r"), "s-1").credentials
        realm.service.rotate_master_key(MasterKey.random())
        realm.service._opened.clear()
        found = realm.service.find_key(credentials.access_key_id)
        assert found.secret == credentials.secret_access_key
        assert realm.service.open_session(session.access_key_id, session.session_token)

    def test_a_token_of_another_store_opens_nothing(self, realm: Any, make: Any) -> None:
        """Nor one with a character changed, nor with another key's id."""
        session = make().service
        theirs = session.assume_role(session.accounts.create_role("r"), "s-1").credentials
        mine = realm.service.assume_role(realm.accounts.create_role("r"), "s-1").credentials
        token = mine.session_token
        for access_key_id, sent in (
            (theirs.access_key_id, theirs.session_token),
            ("ASIAAAAAAAAAAAAAAAAA", token),
            (mine.access_key_id, token[:-8] + "AAAAAAAA"),
            (mine.access_key_id, "not base64 \0"),
            (mine.access_key_id, "e30="),
            (mine.access_key_id, "A" * 20_000),
        ):
            assert realm.service.open_session(access_key_id, sent) is None

    def test_the_encrypted_file_keeps_no_principals_and_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        store, key = f"{tmp_path}/secrets.sms", f"{tmp_path}/key"
        made = CliRunner().invoke(file, ["init", store, "--key-file", key])
        assert made.exit_code == 0, made.output
        with EmbeddedService(f"file://{store}?key_file={key}") as service:
            with pytest.raises(ConfigError, match="the encrypted file keeps no users"):
                service.create_principal("app")
            token = "t" * 32
            request = {"Name": "a", "SecretString": "x", "ClientRequestToken": token}
            service.call("CreateSecret", request)
            assert service.call("GetSecretValue", {"SecretId": "a"})["SecretString"] == "x"

    def test_accounts_that_cannot_be_read_refuse_everybody(self, realm: Any) -> None:
        """The administrator too: what binds the account is not known."""
        realm.secret()
        user = realm.user("app", allow("*"))
        with realm.service.door.store.transaction(write=True) as tx:
            index = json.loads(tx.setting("accounts") or b"")
            tx.put_setting("accounts", json.dumps({**index, "stamp": "another"}).encode())
            tx.put_setting(f"account/{HOME}", b'{"account": "broken"}')
        realm.clock.advance(2)
        for caller in (None, Principal(user, HOME)):
            assert not realm.may(caller, "DescribeSecret", SecretId="prod/db")
