"""The root command: it lists without loading, turns errors into exit codes, and needs click."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from smclient import __version__, errors
from smclient.cli import root as root_module
from smclient.cli.root import COMMANDS, exit_code, root

CANARY = "canary-cli-88c1"
MAIN = "from smclient.cli import main; main()"


class Point:
    """An entry point, as far as the root command looks at it."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name = name
        self.load = load


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts commands in place of the installed ones."""

    def put(**commands: Callable[[], Any]) -> None:
        points = [Point(name, load) for name, load in commands.items()]

        def entry_points(*, group: str, name: str | None = None) -> list[Point]:
            assert group == COMMANDS
            return [point for point in points if name in (None, point.name)]

        monkeypatch.setattr(root_module, "entry_points", entry_points)

    return put


def raising(error: Exception) -> Callable[[], click.Command]:
    @click.command()
    def fail() -> None:
        raise error

    return lambda: fail


def python(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in another interpreter, far from our settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMCLIENT_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "AWS_EC2_METADATA_DISABLED": "true", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- listing --------------------------------------------------------------------------------------


def test_commands_are_listed_without_loading_them() -> None:
    """Neither help nor version pays for the packages of all commands."""
    code = """
import sys
from smclient.cli.root import root
try:
    root(["--help"])
except SystemExit as end:
    assert end.code == 0
heavy = ("smclient_demo", "smclient_embedded", "smclient_aws", "flask", "sqlalchemy", "botocore")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    listed = done.stdout.partition("Commands:")[2].replace(",", " ").split()
    assert {"get", "demo", "rotation"} <= set(listed)
    assert listed == sorted(listed)
    assert done.stderr.strip() == "[]"


def test_only_the_command_that_is_called_is_loaded(install: Callable[..., None]) -> None:
    """A command that cannot load does not harm the others."""

    def broken() -> Any:
        raise AssertionError("loaded")

    @click.command()
    def fine() -> None:
        click.echo("fine")

    install(broken=broken, fine=lambda: fine)
    answer = CliRunner().invoke(root, ["fine"])
    assert (answer.exit_code, answer.output) == (0, "fine\n")
    assert "broken, fine" in CliRunner().invoke(root, ["--help"]).output


def test_the_version_is_the_packages() -> None:
    """``smclient --version``."""
    answer = CliRunner().invoke(root, ["--version"])
    assert answer.exit_code == 0
    assert answer.output == f"smclient, version {__version__}\n"


# --- what is absent -------------------------------------------------------------------------------


def test_an_unknown_command_is_wrong_usage() -> None:
    """Click's own message, exit 2."""
    answer = CliRunner().invoke(root, ["nonsense"])
    assert answer.exit_code == 2
    assert "No such command 'nonsense'" in answer.stderr


def test_a_command_whose_package_is_absent_names_the_extra(install: Callable[..., None]) -> None:
    """One line, and the exit code of a missing extra: wrong usage, as with a backend's."""

    def load() -> Any:
        raise ModuleNotFoundError("No module named 'flask'", name="flask")

    install(demo=load)
    answer = CliRunner().invoke(root, ["demo"])
    assert "pip install 'smclient[flask]'" in answer.stderr
    assert answer.exit_code == exit_code(errors.MissingExtraError("x")) == 2
    assert "Traceback" not in answer.output


@pytest.mark.parametrize("absent", ["click", "rich"])
def test_without_click_it_says_which_extra(absent: str) -> None:
    """As it is without the cli extra. What needs rich says so when it is called."""
    done = python(f"import sys; sys.modules[{absent!r}] = None; {MAIN}", "demo", "--help")
    assert done.returncode == 2
    assert "smclient[cli]" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bug_of_ours_is_not_taken_for_a_missing_extra() -> None:
    """Another module that cannot be imported is raised as it is."""
    done = python(f"import sys; sys.modules['smclient.errors'] = None; {MAIN}", "--help")
    assert done.returncode == 1
    assert "smclient[cli]" not in done.stderr


# --- exit codes -----------------------------------------------------------------------------------

CASES = [
    (errors.ConfigError, 2),
    (errors.UnknownSettingError, 2),
    (errors.UnknownBackendError, 2),
    (errors.MissingExtraError, 2),
    (errors.InvalidReferenceError, 2),
    (errors.ResourceNotFoundError, 3),
    (errors.AccessDeniedError, 4),
    (errors.CredentialsError, 4),
    (errors.TransientError, 5),
    (errors.ThrottlingError, 5),
    (errors.InternalServiceError, 5),
    (errors.BackendUnavailableError, 5),
    (errors.SecretKeyError, 1),
    (errors.NotJsonError, 1),
    (errors.InvalidRequestError, 1),
    (errors.DecryptionFailureError, 1),
    (errors.RotationStepError, 1),
    (errors.ClientClosedError, 1),
    (errors.BackendError, 1),
    (errors.SmclientError, 1),
]


@pytest.mark.parametrize(("kind", "code"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_each_error_has_its_exit_code(
    install: Callable[..., None], kind: type[errors.SmclientError], code: int
) -> None:
    """One line on standard error, nothing on standard output, no traceback."""
    install(fail=raising(kind("what was wrong, and what to do")))
    answer = CliRunner().invoke(root, ["fail"])
    assert answer.exit_code == code
    assert answer.stderr == "error: what was wrong, and what to do\n"
    assert answer.stdout == ""


def test_every_error_of_the_tree_has_an_exit_code_of_the_list() -> None:
    """0 stands for success only."""

    def tree(kind: type[errors.SmclientError]) -> list[type[errors.SmclientError]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]

    ours = [kind for kind in tree(errors.SmclientError) if kind.__module__ == errors.__name__]
    codes = {kind.__name__: exit_code(kind("x")) for kind in ours}
    assert len(codes) > 30
    assert set(codes.values()) == {1, 2, 3, 4, 5}


def test_a_bug_is_not_hidden(install: Callable[..., None]) -> None:
    """What is no error of our tree is not dressed up as one."""
    install(fail=raising(ZeroDivisionError("a bug")))
    answer = CliRunner().invoke(root, ["fail"])
    assert isinstance(answer.exception, ZeroDivisionError)


AWAY = "aws://us-east-1?endpoint_url=http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("backend", "secret", "code", "said"),
    [
        ("null://", "any", 0, ""),
        ("embedded://", "none", 3, "'none'"),
        ("bogus://", "any", 2, "nothing installed answers to 'bogus'"),
        ("no url", "any", 2, "not a backend URL"),
        ("null://?option=1", "any", 2, "'option'"),
        ("embedded://?account=12", "any", 2, "12 digits"),
        ("embedded:///no/such/folder/x.db", "any", 1, "/no/such/folder"),
        ("null://", "secret://", 2, "secret name: it is empty"),
        ("null://", "{{resolve:secretsmanager:x", 2, "closing }}"),
        (AWAY, "any", 5, "127.0.0.1:9"),
    ],
)
def test_exit_codes_of_a_real_process(
    backend: str, secret: str, code: int, said: str, tmp_path: Path
) -> None:
    """By the backend's URL and the name alone, as a script would see them."""
    credentials = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": CANARY}
    done = python(MAIN, "get", secret, "--backend", backend, HOME=str(tmp_path), **credentials)
    assert done.returncode == code, done.stderr
    if code:
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert CANARY not in done.stderr


def test_a_real_process_without_credentials_is_denied(tmp_path: Path) -> None:
    """AWS is not even asked."""
    empty = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no"), "AWS_CONFIG_FILE": "/dev/null"}
    done = python(MAIN, "get", "any", "--backend", AWAY, HOME=str(tmp_path), **empty)
    assert done.returncode == 4
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
