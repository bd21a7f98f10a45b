"""Lambda code in a process of its own: what it finds there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.backends.embedded.functions.conftest import ROTATES, TOKEN


class TestTheHandler:
    def test_gets_the_event_and_its_result_comes_back(self, workshop: Any) -> None:
        workshop.function("def lambda_handler(event, context): return {'got': event}")
        assert workshop.run({"a": [1, "ü"]}) == {"got": {"a": [1, "ü"]}}

    def test_gets_a_context_with_lambdas_names(self, workshop: Any) -> None:
        arn = workshop.function(
            """
            def lambda_handler(event, context):
                left = context.get_remaining_time_in_millis()
                return [
                    context.function_name, context.function_version, context.invoked_function_arn,
                    context.memory_limit_in_mb, len(context.aws_request_id), 0 < left <= 20000,
                    context.log_group_name, bool(context.log_stream_name),
                    context.identity, context.client_context,
                ]
            """,
            timeout=20,
            memory_mb=300,
        )
        expected = ["f", "$LATEST", arn, "300", 36, True, "/aws/lambda/f", True, None, None]
        assert workshop.run() == expected

    def test_is_found_in_a_folder_with_modules_beside_it(self, workshop: Any) -> None:
        folder = workshop.folder / "code"
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / "handlers.py").write_text("import helper\nfrom helper import go\n")
        (folder / "helper.py").write_text("def go(event, context): return __file__\n")
        workshop.service.register_function("f", "lib/handlers.go", file=folder)
        assert workshop.run().endswith("/helper.py")

    def test_keeps_its_process_between_events(self, workshop: Any) -> None:
        """As Lambda does: what the module made at its import is still there."""
        workshop.function(
            """
            import os
            seen = []
            def lambda_handler(event, context):
                seen.append(event["n"])
                return [os.getpid(), seen]
            """
        )
        first, second = workshop.run({"n": 1}), workshop.run({"n": 2})
        assert first[0] == second[0] != os.getpid()
        assert second[1] == [1, 2]

    def test_replaced_begins_anew(self, workshop: Any) -> None:
        workshop.function("def lambda_handler(event, context): return 1")
        assert workshop.run() == 1
        workshop.function("def lambda_handler(event, context): return 2")
        assert workshop.run() == 2

    def test_does_not_find_the_services_files_by_import(self, workshop: Any) -> None:
        """The folder of the script that starts it is not on its path."""
        workshop.function(
            """
            import sys, os
            def lambda_handler(event, context):
                return [p for p in sys.path if p.endswith("runtime")], sys.path[0] == os.getcwd()
            """
        )
        assert workshop.run() == [[], True]

    @pytest.mark.parametrize("name", ["f", "another-one_2"])
    def test_is_known_by_its_name_or_its_arn(self, workshop: Any, name: str) -> None:
        arn = workshop.function("def lambda_handler(event, context): return 7", name)
        assert workshop.run(name=name) == workshop.run(name=arn) == 7


class TestItsEnvironment:
    def test_is_what_lambda_sets_and_what_it_was_given(self, workshop: Any) -> None:
        workshop.function(
            """
            import os
            def lambda_handler(event, context): return dict(os.environ)
            """,
            environment={"EXCLUDE_CHARACTERS": "/@\"'\\", "EMPTY": ""},
        )
        found = workshop.run()
        assert found["EXCLUDE_CHARACTERS"] == "/@\"'\\"
        assert found["EMPTY"] == ""
        assert found["SECRETS_MANAGER_ENDPOINT"].startswith("http://127.0.0.1:")
        assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
        assert found["AWS_LAMBDA_FUNCTION_NAME"] == "f"
        assert found["_HANDLER"] == "lambda_function.lambda_handler"
        assert found["LAMBDA_TASK_ROOT"].endswith("/task")
        assert found["AWS_ACCESS_KEY_ID"].startswith("ASIA")
        assert found["AWS_SESSION_TOKEN"]

    def test_has_nothing_of_the_services(
        self, workshop: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Master keys and passphrases are often given by the environment."""
        for name in ("PASSPHRASE", "MASTER_KEY", "MASTER_PASSPHRASE"):
            monkeypatch.setenv(f"SMCLIENT_{name}", "canary-1")
        monkeypatch.setenv("AWS_PROFILE", "canary-2")
        monkeypatch.setenv("PYTHONPATH", "/canary-3")
        workshop.function(
            """
            import os, sys
            def lambda_handler(event, context): return [str(os.environ), sys.path]
            """
        )
        assert "canary" not in str(workshop.run())

    def test_holds_its_keys_and_its_arguments_do_not(self, workshop: Any) -> None:
        """Arguments are seen by every user of the machine."""
        workshop.function(
            """
            import os, sys
            def lambda_handler(event, context):
                arguments = open("/proc/self/cmdline").read() if os.path.exists("/proc") else ""
                secret = os.environ["AWS_SECRET_ACCESS_KEY"]
                token, own = os.environ["AWS_SESSION_TOKEN"], os.environ["PASSWORD"]
                return [s in arguments + str(sys.argv) for s in (secret, token, own)]
            """,
            environment={"PASSWORD": "canary-4"},
        )
        assert workshop.run() == [False, False, False]

    def test_reads_nothing_from_standard_input(self, workshop: Any) -> None:
        """That is the service's way to talk to its process."""
        workshop.function(
            """
            import sys
            def lambda_handler(event, context): return sys.stdin.read()
            """
        )
        assert workshop.run() == ""

    def test_has_an_interpreter_of_its_own(self, workshop: Any) -> None:
        """A link to one, such as a virtual environment's, is not followed."""
        link = workshop.folder / "python-of-its-own"
        link.symlink_to(sys.executable)
        workshop.function(
            """
            import sys
            def lambda_handler(event, context): return sys.orig_argv[0]
            """,
            python=link,
        )
        assert workshop.run() == str(link)

    def test_leaves_no_folder_behind(self, workshop: Any) -> None:
        workshop.function(
            """
            import os
            def lambda_handler(event, context):
                open(os.path.join(os.environ["TMPDIR"], "left"), "w").close()
                return os.environ["LAMBDA_TASK_ROOT"]
            """
        )
        task = Path(workshop.run())
        assert task.is_dir()
        assert task.parent.stat().st_mode & 0o077 == 0
        workshop.service.close()
        assert not task.parent.exists()


class TestItsLog:
    def test_has_what_it_printed_and_logged(self, workshop: Any) -> None:
        workshop.function(
            """
            import logging, os, sys
            logging.getLogger().setLevel(logging.INFO)
            def lambda_handler(event, context):
                print("printed")
                print("complained", file=sys.stderr)
                os.write(1, b"written past Python\\n")
                logging.getLogger(__name__).info("logged for %s", context.aws_request_id)
            """
        )
        log = workshop.invoke().log
        for words in ("printed\n", "complained\n", "written past Python\n", "[INFO]\t"):
            assert words in log
        assert log == workshop.service.function_log("f")
        assert "START RequestId: " in log
        assert "\tMemory Size: 256 MB\n" in log

    def test_does_not_show_its_keys(self, workshop: Any) -> None:
        workshop.function(
            """
            import os
            def lambda_handler(event, context):
                print(os.environ)
                return [os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_SESSION_TOKEN"]]
            """
        )
        secret, token = workshop.run()
        log = workshop.service.function_log("f")
        assert "AWS_SECRET_ACCESS_KEY" in log
        assert secret not in log
        assert token not in log

    def test_keeps_the_beginning_and_the_end_of_very_much(self, workshop: Any) -> None:
        workshop.function(
            """
            def lambda_handler(event, context):
                print("the beginning")
                for _ in range(40_000):
                    print("x" * 100)
                print("the end")
            """
        )
        log = workshop.invoke().log
        assert len(log) < 70_000
        assert "the beginning" in log
        assert "the end" in log
        assert "bytes left out" in log

    def test_of_many_invocations_loses_the_oldest(self, workshop: Any) -> None:
        workshop.function("def lambda_handler(event, context): print(event['n'] + 'x' * 60_000)")
        for n in range(6):
            workshop.invoke({"n": f"invocation-{n}-"})
        log = workshop.service.function_log("f")
        assert len(log) <= 256 * 1024
        assert "invocation-0-" not in log
        assert "invocation-5-" in log


class TestARotation:
    def test_is_done_through_the_endpoint(self, workshop: Any) -> None:
        """By an unmodified handler with boto3, which finds keys, region and endpoint."""
        arn = workshop.secret()
        done = workshop.rotate(workshop.function(ROTATES))
        assert (done.rotated, done.failed) == ((arn,), ())
        assert workshop.value() == "new"
        assert workshop.labels() == {"AWSCURRENT": TOKEN, "AWSPREVIOUS": "v0".ljust(32, "0")}

    def test_uses_one_process_for_all_steps(self, workshop: Any) -> None:
        workshop.secret()
        workshop.rotate(
            workshop.function("import os\nprint('loaded', os.getpid())\n" + _dedented(ROTATES))
        )
        assert workshop.service.function_log("f").count("loaded") == 1

    def test_is_not_known_by_the_keys_of_an_ended_process(self, workshop: Any) -> None:
        """Its keys end with it."""
        import boto3
        from botocore.exceptions import ClientError

        workshop.function(
            """
            import os
            def lambda_handler(event, context):
                if event:
                    os._exit(3)
                return dict(os.environ)
            """
        )
        found = workshop.run()
        client = boto3.Session().client(
            "secretsmanager",
            endpoint_url=found["SECRETS_MANAGER_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=found["AWS_SESSION_TOKEN"],
        )
        client.get_random_password()
        workshop.failure({"end": True})
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client.get_random_password()


def _dedented(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)
