"""``smclient exec`` with real child processes, waited for on their pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient import SecretsClient
from smclient.cli.environment import EnvironmentRefusedError, Found, build

SMCLIENT = [sys.executable, "-c", "from smclient.cli import main; main()"]
CANARY = "canary-value-c13"
SHOW = "import json, os, sys; json.dump(dict(os.environ), sys.stdout)"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsClient]:
    """A store with two secrets, named by the environment."""
    monkeypatch.setenv("SMCLIENT_BACKEND", f"embedded://{tmp_path}/secrets.db")
    with SecretsClient() as made:
        made.call("CreateSecret", Name="app", SecretString=json.dumps({"user": "u", "pw": CANARY}))
        made.call("CreateSecret", Name="more", SecretString=json.dumps({"user": "later", "n": 1}))
        yield made


def run(*args: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    done = subprocess.run(
        [*SMCLIENT, "exec", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        timeout=30,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert CANARY not in done.stderr
    return done


def shown(*args: str, **environ: str) -> dict[str, str]:
    """The environment that a child has."""
    found: dict[str, str] = json.loads(
        run(*args, "--", sys.executable, "-c", SHOW, **environ).stdout
    )
    return found


@pytest.mark.usefixtures("client")
def test_the_child_has_the_secrets_and_the_rest() -> None:
    """Later secrets win; numbers as text; nothing else printed."""
    environment = shown("app", "more", "P=secret://app#pw", OTHER="kept")
    assert environment["OTHER"] == "kept"
    assert {n: environment[n] for n in ("user", "pw", "n", "P")} == {
        "user": "later",
        "pw": CANARY,
        "n": "1",
        "P": CANARY,
    }
    assert "PW" in shown("app", "--upper")


@pytest.mark.usefixtures("client")
def test_variables_that_are_references_are_resolved() -> None:
    """No SECRETS needed; an optional one that is absent goes."""
    environment = shown(
        URL="pg://{{resolve:secretsmanager:app:SecretString:user}}@h",
        GONE="secret://app?optional=1#none",
        PLAIN="arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf",
    )
    assert environment["URL"] == "pg://u@h"
    assert "GONE" not in environment
    assert environment["PLAIN"].startswith("arn:")


@pytest.mark.usefixtures("client")
def test_pristine_passes_on_nothing_else() -> None:
    """But what secrets give, references included."""
    environment = shown("--pristine", "app", OTHER="x", REF="secret://app#user")
    environment.pop("LC_CTYPE", None)  # Python's own, coerced at its start
    assert environment == {"user": "u", "pw": CANARY, "REF": "u"}


@pytest.mark.usefixtures("client")
def test_the_exit_code_is_the_childs() -> None:
    """Also that of a signal; the command's own arguments are not looked at."""
    script = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = run("app", "--", sys.executable, "-c", script, "--", "--json", "-h", code=7)
    assert done.stdout == "['--', '--json', '-h']\n"
    kill = "import os; os.kill(os.getpid(), 15)"
    run("app", "--", sys.executable, "-c", kill, code=-15)
    restarting = ("--restart-on-rotate", "app", "--", sys.executable, "-c")
    run(*restarting, kill, code=143)
    run(*restarting, "raise SystemExit(9)", code=9)


@pytest.mark.usefixtures("client")
def test_what_cannot_be_run_is_said_as_shells_do(tmp_path: Path) -> None:
    """127, 126; no command is 2, and absent secrets start nothing."""
    assert "nosuchcommand: not found" in run("app", "--", "nosuchcommand", code=127).stderr
    (tmp_path / "file").write_text("x")
    assert "cannot be run" in run("app", "--", str(tmp_path / "file"), code=126).stderr
    run("app", code=2)
    run("none", "--", "touch", str(tmp_path / "touched"), code=3)
    run("BAD=secret://", "--", "touch", str(tmp_path / "touched"), code=2)
    assert not (tmp_path / "touched").exists()


@pytest.mark.usefixtures("client")
def test_what_is_replaced_is_noted() -> None:
    """By name, without a value."""
    done = run("app", "--", "true", user="mine")
    assert done.stderr == "note: secrets replace user of the environment\n"
    assert run("app", "--", "true", user="smclientme").stderr == ""


@pytest.mark.usefixtures("client")
def test_strict_wants_every_placeholder_and_nothing_else() -> None:
    """As chamber's."""
    environment = shown("--strict", "app", user="smclientme", pw="secret://app#pw")
    assert (environment["user"], environment["pw"]) == ("u", CANARY)
    told = run("--strict", "app", "--", "true", code=1, missing="smclientme").stderr
    assert "no secret gives missing" in told
    told = run("--strict", "app", "--", "true", code=1, user="mine").stderr
    assert "they are set already: user" in told
    run("--strict", "--strict-value", "todo", "app", "--", "true", user="todo")


def test_a_value_with_a_nul_is_refused_without_it() -> None:
    """No environment can hold it."""
    with pytest.raises(EnvironmentRefusedError, match=r"^an environment cannot hold a NUL: x$"):
        build({}, Found({"x": f"{CANARY}\0"}))


# --- signals and restarts -------------------------------------------------------------------------

CHILD = """
import os, signal, sys
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number in ending:
        sys.exit(3)
ending = {getattr(signal, name) for name in sys.argv[1:]}
for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
    signal.signal(getattr(signal, name), note)
print("pw", os.environ["pw"], os.getpid(), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def start(client: SecretsClient) -> Iterator[Callable[..., Any]]:
    """Starts the command; its child tells what it gets. Whatever is left is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, ending: tuple[str, ...] = ("SIGTERM",)) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SMCLIENT, "exec", *options, "app", "--", sys.executable, "-c", CHILD, *ending],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def line(process: subprocess.Popen[str]) -> list[str]:
    """The next line of the child, as words."""
    assert process.stdout is not None
    return process.stdout.readline().split()


@pytest.mark.parametrize("options", [(), ("--restart-on-rotate",)])
def test_signals_reach_the_child(start: Callable[..., Any], options: tuple[str, ...]) -> None:
    """Each as it is; the child decides what it means, and its exit code is passed on."""
    process = start(*options)
    assert line(process)[:2] == ["pw", CANARY]
    for name in ("SIGUSR1", "SIGHUP", "SIGINT", "SIGTERM"):
        process.send_signal(getattr(signal, name))
        assert line(process) == [name]
    assert process.wait(20) == 3


def test_a_rotation_starts_the_command_anew(
    start: Callable[..., Any], client: SecretsClient
) -> None:
    """SIGTERM, then a new process with the new value; a change of nothing starts nothing."""
    process = start("--restart-on-rotate", "--check-every", "0.05")
    _, first, pid = line(process)
    client.call("PutSecretValue", SecretId="app", SecretString='{"pw": "second"}')
    assert line(process) == ["SIGTERM"]
    _, second, other = line(process)
    assert (first, second) == (CANARY, "second")
    assert pid != other
    process.send_signal(signal.SIGTERM)
    assert line(process) == ["SIGTERM"]
    assert process.wait(20) == 3
    assert process.stderr.read() == "smclient: secrets were rotated: starting the command anew\n"


def test_a_child_that_does_not_end_is_killed(
    start: Callable[..., Any], client: SecretsClient
) -> None:
    """After the grace."""
    process = start("--restart-on-rotate", "--check-every", "0.05", "--grace", "0.1", ending=())
    _, _, pid = line(process)
    client.call("PutSecretValue", SecretId="app", SecretString='{"pw": "second"}')
    assert line(process) == ["SIGTERM"]
    assert line(process)[1] == "second"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_secret_that_goes_does_not_end_the_command(
    start: Callable[..., Any], client: SecretsClient
) -> None:
    """It goes on with what it has, says so once, and is started anew when the secret is back."""
    process = start("--restart-on-rotate", "--check-every", "0.05")
    assert line(process)[1] == CANARY
    client.call("DeleteSecret", SecretId="app")
    told = process.stderr.readline()
    assert "the command goes on with what it has" in told
    assert CANARY not in told
    client.call("RestoreSecret", SecretId="app")
    client.call("PutSecretValue", SecretId="app", SecretString='{"pw": "third"}')
    assert line(process) == ["SIGTERM"]
    assert line(process)[1] == "third"
