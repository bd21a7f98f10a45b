"""``smclient demo`` as a user runs it: it ends well, also for a plain user, and when its PostgreSQL
dies it says so, ends soon, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import smclient

ROOT = Path(smclient.__file__).parents[1]
ENTRY = "from smclient.cli import main; main()"
SHORT = ("demo", "--rotations", "1", "--hold", "1.1", "--threads", "4", "--json")
PLAIN_USER = "nobody"

pytestmark = [
    pytest.mark.server,
    pytest.mark.usefixtures("postgres"),  # skips, or fails, where there is no PostgreSQL
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc"),
]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that everybody may use, to see what is left in it."""
    folder = Path(tempfile.mkdtemp(prefix="smclient-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def plain() -> list[str]:
    """The beginning of a command that runs Python as a plain user, with our packages."""
    if os.geteuid() != 0:
        pytest.skip("we are a plain user already, so the other tests show it")
    runuser = shutil.which("runuser")
    if runuser is None:
        pytest.skip("there is no runuser")
    path = [ROOT, ROOT / "backends", ROOT / "integrations", Path(sysconfig.get_path("purelib"))]
    own = f"python3.{sys.version_info.minor}"
    check = "import psycopg, flask, smclient_demo, sys; "
    check += f"assert sys.version_info[:2] == {sys.version_info[:2]}"
    for python in (sys.executable, shutil.which(own, path="/usr/local/bin:/usr/bin")):
        command = [runuser, "-u", PLAIN_USER, "--", "env"]
        command += [f"PYTHONPATH={os.pathsep.join(map(str, path))}", str(python), "-c"]
        tried = subprocess.run([*command, check], capture_output=True, cwd="/", check=False)
        if tried.returncode == 0:
            return command
    pytest.skip(f"{PLAIN_USER} can run no Python that can read our packages")


def environment(temporary: Path) -> dict[str, str]:
    """Ours, without what would choose a server or a backend."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMCLIENT_", "PG"))}
    kept |= {"TMPDIR": str(temporary), "HOME": str(temporary), "COLUMNS": "100"}
    if "SMCLIENT_PG_BIN" in os.environ:
        kept["SMCLIENT_PG_BIN"] = os.environ["SMCLIENT_PG_BIN"]
    return kept


def processes() -> dict[int, tuple[int, bytes]]:
    """Process id to parent and command line, of whatever still runs."""
    found: dict[int, tuple[int, bytes]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(process.name)] = int(parent), (process / "cmdline").read_bytes()
    return found


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """Look again and again; what the condition gave when it held, else its last answer."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if answer := condition():
            return answer
        pause.wait(0.05)
    return condition()


def assert_nothing_left(temporary: Path) -> None:
    """No process that has to do with the folder, and no file in it."""
    name = os.fsencode(temporary)

    def alive() -> list[bytes]:
        return [line for _, line in processes().values() if name in line]

    assert until(lambda: not alive(), 10), alive()
    assert until(lambda: not any(temporary.iterdir()), 10), list(temporary.iterdir())


def assert_holds(output: str) -> None:
    """Every claim, looked at here once more from the numbers."""
    told = json.loads(output)
    assert told["ok"] is True
    assert told["broken"] == []
    main, control = told["main"], told["control"]
    assert main["requests"] > 50
    assert main["failed"] == 0
    assert main["rotations"] == main["rotations_asked"] == 1
    assert main["shortest_window_seconds"] > 1
    assert main["usage"]["logins"]["AWSPENDING"] >= 1
    assert main["usage"]["failed_logins"] >= 1
    assert control["failed"] > 0
    assert control["rotations"] == 1
    assert "AWSPENDING" not in control["usage"]["logins"]
    made = sum(main["usage"]["api_calls"].values())
    uncached = sum(main["usage"]["baselines"]["no cache"].values())
    assert 0 < made < uncached / 10
    assert 0 < main["dollars_a_month"] < main["baseline_dollars_a_month"]["no cache"]


def test_the_demo_ends_well(temporary: Path) -> None:
    """The installed command, with progress on standard error meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", ENTRY, *SHORT],
        env=environment(temporary),
        cwd=temporary,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_holds(done.stdout)
    for words in ("starting PostgreSQL", "main run: 4 threads", "rotation 1:", "control run"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_left(temporary)


def test_the_demo_as_a_plain_user(temporary: Path, plain: list[str]) -> None:
    """Nothing in it needs to be root."""
    done = subprocess.run(
        [*plain, f"import os; assert os.getuid() != 0; {ENTRY}", *SHORT],
        env=environment(temporary),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_holds(done.stdout)
    assert_nothing_left(temporary)


def started(temporary: Path) -> subprocess.Popen[str]:
    """The demo, with a long window, waited for until the main run is under way."""
    command = [sys.executable, "-c", ENTRY, "demo", "--rotations", "1", "--hold", "2", "--json"]
    demo = subprocess.Popen(
        command,
        env=environment(temporary),
        cwd=temporary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    for line in demo.stderr:
        if "main run" in line:
            return demo
    pytest.fail("the demo ended before its main run")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=lambda sign: sign.name)
def test_a_demo_whose_server_dies_is_honest(temporary: Path, sign: signal.Signals) -> None:
    """A non-zero exit within seconds, claims named, no process and no folder left."""
    demo = started(temporary)
    try:
        children = {
            pid: line
            for pid, (parent, line) in processes().items()
            if parent == demo.pid and line.split(b"\0")[0].endswith(b"/postgres")
        }
        assert len(children) == 1, children
        os.kill(next(iter(children)), sign)
        output, errors = demo.communicate(timeout=40)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == 1
    assert "NOT TRUE: no request failed" in errors
    assert "NOT TRUE: every rotation ended" in errors
    assert "Traceback" not in errors
    told = json.loads(output)
    assert told["ok"] is False
    assert told["main"]["failed"] > 0
    assert_nothing_left(temporary)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=lambda sign: sign.name)
def test_a_demo_that_is_stopped_leaves_no_server(temporary: Path, sign: signal.Signals) -> None:
    """Ctrl-C cleans everything up; after SIGKILL the server and its folder still go."""
    demo = started(temporary)
    demo.send_signal(sign)
    _, errors = demo.communicate(timeout=40)
    assert demo.returncode != 0
    name = os.fsencode(temporary)
    assert until(lambda: not [x for _, x in processes().values() if name in x], 10)
    if sign is signal.SIGINT:
        assert "Traceback" not in errors
        assert_nothing_left(temporary)
    else:
        assert until(lambda: not list(temporary.glob("smclient-pg-*")), 10)
