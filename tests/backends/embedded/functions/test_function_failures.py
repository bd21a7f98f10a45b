"""A function that fails, in whatever way: said why, and the application keeps its value."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.functions.child import Child
from tests.backends.embedded.functions.conftest import ROTATES, TOKEN

HANGS = """
    import threading
    def lambda_handler(event, context):
        threading.Event().wait()
"""

BROKEN = {
    "raises": (
        "def lambda_handler(event, context): raise ValueError('canary-1')",
        "ValueError",
    ),
    "exits": (
        "import sys\ndef lambda_handler(event, context): sys.exit('canary-1')",
        "Runtime.ExitError",
    ),
    "is gone": (
        "import os\ndef lambda_handler(event, context): os._exit(7)",
        "Runtime.ExitError: its process ended (with status 7)",
    ),
    "is killed": (
        "import os\ndef lambda_handler(event, context): os.kill(os.getpid(), 11)",
        "Runtime.ExitError: its process ended (by signal 11)",
    ),
    "needs too much": (
        "def lambda_handler(event, context): return len(bytearray(500 * 2**20))",
        "MemoryError: it needed more than its memory of 256 MB",
    ),
    "cannot be imported": ("import there_is_no_such_module", "Runtime.ImportModuleError"),
    "raises at import": ("raise OSError('canary-1')", "Runtime.ImportModuleError"),
    "is no Python": ("def lambda_handler(event", "Runtime.UserCodeSyntaxError"),
    "has no handler": ("def other(event, context): pass", "Runtime.HandlerNotFound"),
    "returns what is no JSON": (
        "def lambda_handler(event, context): return object()",
        "Runtime.MarshalError",
    ),
    "writes rubbish": (
        """
        import os, sys
        def lambda_handler(event, context):
            os.write(int(sys.argv[1]), b"rubbish\\n")
        """,
        "Runtime.InvalidResponse",
    ),
    "closes what it should not": (
        """
        import os, sys
        def lambda_handler(event, context):
            os.closerange(0, 100)
        """,
        "Runtime.ExitError",
    ),
}


@pytest.mark.parametrize(("code", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_failure_is_a_failed_rotation_with_the_reason_in_the_event(
    workshop: Any, code: str, reason: str
) -> None:
    """And the application keeps AWSCURRENT; the function's own words are in its log alone."""
    workshop.secret()
    done = workshop.rotate(workshop.function(code))
    assert (done.rotated, len(done.failed)) == ((), 1)
    assert workshop.reason().startswith(f"createSecret: {reason}")
    assert "canary" not in str(workshop.service.audit.lookup())
    assert ("canary-1" in code) == ("canary-1" in workshop.service.function_log("f"))
    assert workshop.value() == "old"
    assert workshop.labels() == {"AWSCURRENT": "v0".ljust(32, "0"), "AWSPENDING": TOKEN}


def test_one_that_hangs_is_ended_with_all_that_it_started(workshop: Any) -> None:
    """Its time limit is real, and its children end with it."""
    workshop.secret()
    note = workshop.folder / "child"
    arn = workshop.function(
        f"""
        import pathlib, subprocess, sys, threading
        def lambda_handler(event, context):
            wait = "import threading; threading.Event().wait()"
            started = subprocess.Popen([sys.executable, "-c", wait])
            pathlib.Path({str(note)!r}).write_text(str(started.pid))
            threading.Event().wait()
        """,
        timeout=1.0,
    )
    done = workshop.rotate(arn)
    assert len(done.failed) == 1
    reason = "createSecret: Sandbox.Timedout: it ran longer than 1 seconds"
    assert workshop.reason() == reason
    assert "Sandbox.Timedout" in workshop.service.function_log("f")
    assert _has_ended(int(note.read_text()))
    assert workshop.value() == "old"


def test_one_that_deletes_awspending_fails_and_harms_nothing(workshop: Any) -> None:
    """It takes its own label away; the value in use stays."""
    workshop.secret()
    arn = workshop.function(
        textwrap.dedent(ROTATES).replace(
            'elif event["Step"] == "finishSecret":',
            'elif event["Step"] == "testSecret":\n'
            "        secrets.update_secret_version_stage(\n"
            '            SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=token)\n'
            '    elif event["Step"] == "finish":',
        )
    )
    done = workshop.rotate(arn)
    assert (done.rotated, len(done.failed)) == ((), 1)
    assert workshop.reason() == "testSecret: AWSPENDING was taken off the version of this rotation"
    assert workshop.value() == "old"
    assert workshop.labels() == {"AWSCURRENT": "v0".ljust(32, "0")}


def test_after_a_failure_the_next_try_has_a_process_of_its_own(workshop: Any) -> None:
    """Whatever the failure left behind in the process is gone."""
    workshop.function(
        """
        state = []
        def lambda_handler(event, context):
            state.append(1)
            if event:
                raise ValueError
            return len(state)
        """
    )
    assert workshop.run() == 1
    assert workshop.failure({"fail": True}).kind == "ValueError"
    assert workshop.run() == 1


def test_a_process_that_ended_between_events_is_replaced(workshop: Any) -> None:
    """By itself, or by somebody's hand."""
    workshop.function("import os\ndef lambda_handler(event, context): return os.getpid()")
    first = workshop.run()
    os.killpg(first, signal.SIGKILL)
    assert workshop.run() != first


def test_an_interpreter_that_is_gone_is_said(workshop: Any) -> None:
    """It was there when the function was registered."""
    link = workshop.folder / "python"
    link.symlink_to(sys.executable)
    workshop.function("def lambda_handler(event, context): pass", python=link)
    link.unlink()
    assert workshop.failure().kind == "Runtime.StartError"


def test_a_deleted_function_is_a_failed_rotation(workshop: Any) -> None:
    """The secret names it still, and for a while another node might have it."""
    workshop.secret()
    arn = workshop.function(ROTATES)
    workshop.service.call(
        "RotateSecret",
        {"SecretId": "s", "RotationLambdaARN": arn, "ClientRequestToken": TOKEN},
    )
    workshop.service.remove_function("f")
    assert workshop.service.run_due().failed == ()
    workshop.clock.advance(minutes=10)
    assert len(workshop.service.run_due().failed) == 1
    assert workshop.reason().startswith("createSecret: ResourceNotFound")


def test_a_killed_service_takes_its_functions_with_it(tmp_path: Path) -> None:
    """No half-done step goes on by itself: its process ends when the service's does."""
    note = tmp_path / "pid"
    (tmp_path / "lambda_function.py").write_text(
        textwrap.dedent(
            f"""
            import os, pathlib, threading
            def lambda_handler(event, context):
                pathlib.Path({str(note)!r}).write_text(str(os.getpid()))
                os.kill(os.getppid(), 9)
                threading.Event().wait()
            """
        )
    )
    program = f"""
from smclient_embedded import EmbeddedService
service = EmbeddedService()
service.register_function("f", file={str(tmp_path / "lambda_function.py")!r})
service.invoke_function("f", {{}})
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert _has_ended(int(note.read_text()))


def test_an_end_that_was_not_seen_is_no_error(workshop: Any, monkeypatch: Any) -> None:
    """A warm process may end after it was looked at and before it was asked."""
    workshop.function("import os\ndef lambda_handler(event, context): return os.getpid()")
    first = workshop.run()
    os.killpg(first, signal.SIGKILL)
    assert _has_ended(first)
    monkeypatch.setattr(Child, "alive", True)
    assert workshop.run() != first


def _has_ended(process_id: int) -> bool:
    """Waits for the end of a process that is not ours; a zombie has ended."""
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
            status = Path(f"/proc/{process_id}/stat")
            if status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
    return False
