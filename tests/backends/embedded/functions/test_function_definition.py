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
    ids=str,
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
