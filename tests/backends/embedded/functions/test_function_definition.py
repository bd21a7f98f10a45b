"""What may be a function at all, and what is kept and shown of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError, ResourceNotFoundError
from smclient_embedded import EmbeddedService
from smclient_embedded.config import apply_config, read_config
from smclient_embedded.functions.masters import master_named_in

FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:rotate"
SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:master-AbCdEf"
CODE = "def lambda_handler(event, context): return 1"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"handler": "lambda_handler"}, "not module.function"),
        ({"handler": "other.lambda_handler"}, "no module 'other'"),
        ({"python": "/nowhere/python"}, "no interpreter .* at /nowhere/python"),
        ({"timeout": 0}, "time limit"),
        ({"timeout": 901}, "time limit"),
        ({"memory_mb": 1}, "memory limit"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "x"}}, "AWS_SECRET_ACCESS_KEY is set by"),
        ({"environment": {"no name": "x"}}, "cannot be an environment variable"),
        ({"environment": {"A": "x" * 40_000}}, "more than 32 KB"),
        ({"role": "arn:aws:iam::123456789012:role/none"}, "role/none"),
        ({"role_policy": "{"}, "its role policy is none"),
        ({"handler": lambda event, context: None}, "is named, as text"),
    ],
    ids=lambda given: str(given)[:40].partition(" at 0x")[0],
)
def test_what_cannot_be_run_is_refused_when_it_is_registered(
    workshop: Any, given: dict[str, Any], says: str
) -> None:
    """The message names it; nothing is kept."""
    with pytest.raises(ConfigError, match=says):
        workshop.function(CODE, **given)
    assert workshop.service.functions() == []


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b", "a:b"])
def test_a_name_that_lambda_would_not_take_is_refused(workshop: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a function"):
        workshop.function(CODE, name)


def test_it_survives_the_process_in_a_store_that_lasts(open_workshop: Any) -> None:
    """Code, variables, limits and log."""
    with (first := open_workshop()).service:
        first.function(
            "import os\ndef lambda_handler(event, context): print('said'); return os.environ['A']",
            environment={"A": "kept"},
        )
        first.run()
        shown = first.service.functions()
    with (second := open_workshop()).service:
        assert second.service.functions() == shown
        assert "said" in second.service.function_log("f")
        assert second.run() == "kept"


def test_one_added_by_another_process_is_found_without_a_restart(open_workshop: Any) -> None:
    """And one replaced, and one removed."""
    with (first := open_workshop()).service, (second := open_workshop()).service:
        second.secret()
        arn = first.function(CODE)
        assert second.run() == 1
        first.function("def lambda_handler(event, context): return 2")
        assert second.run() == 2
        first.service.remove_function("f")
        assert second.service.functions() == []
        with pytest.raises(Exception, match="ensure|Ensure"):
            second.rotate(arn)


def test_what_is_secret_about_it_is_sealed_in_the_store(open_workshop: Any) -> None:
    """Neither variables nor code nor log are in the file in clear, nor in what is shown."""
    with (workshop := open_workshop()).service:
        workshop.function(
            "def lambda_handler(event, context): print('canary-log')  # canary-code",
            environment={"PASSWORD": "canary-value"},
        )
        workshop.invoke()
        shown = json.dumps(workshop.service.functions())
    assert '"PASSWORD"' in shown
    content = b"".join(path.read_bytes() for path in workshop.folder.glob("secrets.db*"))
    for text in (shown.encode(), content):
        assert b"canary" not in text


def test_it_opens_after_the_master_key_was_changed(open_workshop: Any) -> None:
    """It is sealed as values are."""
    from smclient_embedded.master import MasterKey

    with (workshop := open_workshop()).service:
        workshop.function(CODE)
        workshop.service.rotate_master_key(MasterKey.random())
        assert workshop.run() == 1


def test_sealing_it_is_no_call_to_kms(workshop: Any) -> None:
    """AWS would not bill it to Secrets Manager."""
    workshop.function(CODE)
    workshop.run()
    assert workshop.service.usage().get("kms_calls") in (0, None, {})


def test_the_encrypted_file_keeps_none_but_runs_them(tmp_path: Path, monkeypatch: Any) -> None:
    """As long as the process lasts, as it does with callables."""
    monkeypatch.setenv("SMCLIENT_PASSPHRASE", "passphrase of the test")
    code = tmp_path / "lambda_function.py"
    code.write_text(CODE)
    path = tmp_path / "secrets.sms"
    smclient = Path(sys.executable).with_name("smclient")
    subprocess.run([smclient, "file", "init", path], check=True, capture_output=True)
    url = f"file://{path}"
    with EmbeddedService(url) as service:
        assert not service.keeps_functions
        service.register_function("f", file=code)
        assert service.invoke_function("f", {}).result == "1"
        assert "START" in service.function_log("f")
    with EmbeddedService(url) as service:
        assert service.functions() == []


def test_one_that_is_not_there_is_said(workshop: Any) -> None:
    for ask in (workshop.service.function_log, workshop.service.remove_function):
        with pytest.raises(ResourceNotFoundError, match="function add"):
            ask("f")
    assert workshop.failure().kind == "ResourceNotFound"


def test_a_callable_takes_the_place_of_code_and_the_other_way_round(workshop: Any) -> None:
    """One function a name."""
    workshop.secret()
    arn = workshop.function(CODE)
    called: list[str] = []
    workshop.service.register_function("f", lambda event, context: called.append(event["Step"]))
    workshop.rotate(arn)
    assert called[0] == "createSecret"
    workshop.function(CODE)
    assert workshop.run() == 1


class TestTheDefaultRole:
    @pytest.mark.parametrize(
        ("value", "master"),
        [
            (json.dumps({"masterarn": SECRET}), SECRET),
            (json.dumps({"masterarn": SECRET.replace("111122223333", "999999999999")}), None),
            (json.dumps({"masterarn": SECRET.replace("master-AbCdEf", "*")}), None),
            (json.dumps({"masterarn": "arn:aws:secretsmanager:*:111122223333:secret:a"}), None),
            (json.dumps({"masterarn": 5}), None),
            (json.dumps(["masterarn"]), None),
            ("no JSON", None),
            (None, None),
            ("[" * 100_000, None),
        ],
    )
    def test_reaches_masters_of_its_own_account_alone(
        self, value: str | None, master: str | None
    ) -> None:
        """A value is written by others: it cannot widen the role to patterns or other accounts."""
        assert master_named_in(value, account="111122223333") == master


class TestItsRights:
    """What a function may do without being given a role, and with one."""

    READS = """
        import os, boto3
        from botocore.exceptions import ClientError

        def lambda_handler(event, context):
            secrets = boto3.client("secretsmanager")
            answers = {}
            for name in event["names"]:
                try:
                    answers[name] = secrets.get_secret_value(SecretId=name)["SecretString"]
                except ClientError as error:
                    answers[name] = error.response["Error"]["Code"]
            return answers
    """

    def test_end_at_the_secrets_that_name_it(self, workshop: Any) -> None:
        """Another secret, and a secret that names another function, are denied."""
        workshop.secret("own")
        workshop.secret("other")
        workshop.secret("anothers")
        arn = workshop.function(self.READS)
        another = workshop.function(CODE, "another")
        workshop.rotate(arn, "own")
        workshop.rotate(another, "anothers")
        assert workshop.run({"names": ["own", "other", "anothers"]}) == {
            "own": "old",
            "other": "AccessDeniedException",
            "anothers": "AccessDeniedException",
        }

    def test_reach_the_master_during_that_rotation_alone(self, workshop: Any) -> None:
        """The event's secret names it; another event with the same process does not."""
        master = workshop.secret("master")
        own = workshop.secret("own", json.dumps({"masterarn": master}))
        workshop.secret("other", json.dumps({"masterarn": own}))
        arn = workshop.function(self.READS)
        workshop.rotate(arn, "own")
        assert workshop.run({"SecretId": own, "names": ["master"]}) == {"master": "old"}
        for event in ({}, {"SecretId": "own"}, {"SecretId": workshop.arn("other")}):
            denied = workshop.run({**event, "names": ["master"]})
            assert denied == {"master": "AccessDeniedException"}

    def test_are_those_of_a_policy_that_it_is_given(self, workshop: Any) -> None:
        """In the place of the default ones."""
        workshop.secret("own")
        allowed = workshop.secret("allowed")
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": allowed,
                }
            ],
        }
        arn = workshop.function(self.READS, role_policy=policy)
        workshop.rotate(arn, "own")
        assert workshop.run({"names": ["own", "allowed"]}) == {
            "own": "AccessDeniedException",
            "allowed": "old",
        }

    def test_are_those_of_a_role_that_it_is_given(self, workshop: Any) -> None:
        """As they are when it is called."""
        allowed = workshop.secret("allowed")
        statement = {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": allowed,
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        role = workshop.service.create_principal("worker", kind="role", policies=policy)
        workshop.function(self.READS, role=role)
        assert workshop.run({"names": ["allowed"]}) == {"allowed": "old"}
        statement["Effect"] = "Deny"
        workshop.service.create_principal("worker", kind="role", policies=policy)
        assert workshop.run({"names": ["allowed"]}) == {"allowed": "AccessDeniedException"}

    def test_are_on_record_under_its_own_name(self, workshop: Any) -> None:
        """A session of its role, in the trail."""
        workshop.secret("own")
        workshop.rotate(workshop.function(self.READS), "own")
        workshop.run({"names": ["own"]})
        (read, *_) = workshop.service.audit.lookup(event_name="GetSecretValue")
        identity = read["userIdentity"]
        assert identity["type"] == "AssumedRole"
        assert identity["arn"].endswith(":assumed-role/f-role/f")


class TestInAConfiguration:
    def test_functions_are_brought_to_what_the_file_says(
        self, workshop: Any, monkeypatch: Any
    ) -> None:
        """Code beside the file, variables from the environment and from files."""
        monkeypatch.setenv("SECRET_OF_THE_TEST", "from the environment")
        (workshop.folder / "value").write_text("from a file\n")
        workshop.code(
            """
            import os
            def handle(event, context):
                return [os.environ[name] for name in ("PLAIN", "FILE", "ENVIRONMENT")]
            """,
            "code.py",
        )
        path = workshop.folder / "config.toml"
        path.write_text(
            """
            [[functions]]
            name = "f"
            file = "code.py"
            handler = "code.handle"
            timeout = 10
            memory = 300
            [functions.environment]
            PLAIN = "plain"
            FILE = "@value"
            ENVIRONMENT = "env:SECRET_OF_THE_TEST"
            """
        )
        config = read_config(path)
        for _ in range(2):
            apply_config(workshop.service, config)
        assert workshop.run() == ["plain", "from a file", "from the environment"]
        (shown,) = workshop.service.functions()
        assert (shown["timeout_seconds"], shown["memory_mb"]) == (10, 300)
        assert "from" not in repr(config)

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("", "functions\\[0\\].file is missing"),
            ('file = "absent.py"', "functions\\[0\\].file is wrong: .*absent.py"),
            ('file = "code.py"\ntimeout = "10"', "functions\\[0\\].timeout has to be a number"),
            ('file = "code.py"\nmemroy = 1', "functions\\[0\\].memroy is not known here"),
        ],
    )
    def test_what_is_wrong_names_file_and_key(self, workshop: Any, line: str, says: str) -> None:
        workshop.code(CODE, "code.py")
        path = workshop.folder / "config.toml"
        path.write_text(f'[[functions]]\nname = "f"\n{line}\n')
        with pytest.raises(ConfigError, match=f"config.toml: {says}"):
            read_config(path)
