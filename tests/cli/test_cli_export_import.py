"""``smclient export`` and ``smclient import``: environments as text, there and back."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from smclient import SecretsClient
from smclient.cli.dotenv import (
    DotenvError,
    parse_dotenv,
    write_dotenv,
    write_json,
    write_shell,
    write_yaml,
)
from smclient.cli.root import root

NASTY = 'it\'s "quoted" $HOME ${X} `id` \\n \\\\ # no\ncomment\r\n\tend '
CANARY = "canary-value-c12"

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
variables = st.dictionaries(names, texts, max_size=5)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on a store of its own."""
    monkeypatch.setenv("SMCLIENT_BACKEND", f"embedded://{tmp_path}/secrets.db")

    def run(*args: str, code: int = 0, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(root, args, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


@pytest.fixture
def client(run: object) -> Iterator[SecretsClient]:
    """A client of the same store, with three secrets."""
    with SecretsClient() as made:
        app = {"user": "app", "api-key": NASTY, "port": 5432, "none": None, "hosts": ["a", "b"]}
        for name, value in (("prod/app", json.dumps(app)), ("prod/the-key", CANARY)):
            made.call("CreateSecret", Name=name, SecretString=value)
        made.call("CreateSecret", Name="prod/bin", SecretBinary=b"\xff")
        yield made


# --- text, pure -----------------------------------------------------------------------------------


@given(variables)
def test_dotenv_comes_back(given_: dict[str, str]) -> None:
    """Whatever is written is read as it was; only a CRLF is a line break like any other."""
    assert parse_dotenv(write_dotenv(given_)) == given_


@given(variables)
def test_dotenv_is_read_alike_by_python_dotenv(given_: dict[str, str]) -> None:
    """The reader that most have, without its interpolation, which cannot be escaped."""
    dotenv = pytest.importorskip("dotenv")
    import io

    read = dotenv.dotenv_values(stream=io.StringIO(write_dotenv(given_)), interpolate=False)
    assert dict(read) == given_


@given(variables)
def test_yaml_is_read_alike_by_pyyaml(given_: dict[str, str]) -> None:
    """Each text stays a text: no, 1e3, null and ~ too."""
    yaml = pytest.importorskip("yaml")
    given_ = {**given_, "no": "no", "n": "1e3", "null": "null", "t": "~"}
    assert yaml.safe_load(write_yaml(given_)) == given_


def test_yaml_and_json_keep_json_types() -> None:
    """Numbers, null and objects."""
    yaml = pytest.importorskip("yaml")
    mixed = {"n": 1.5, "x": None, "o": {"a": ["\U0001f600", True]}}
    assert yaml.safe_load(write_yaml(mixed)) == mixed
    assert json.loads(write_json(mixed)) == mixed
    assert yaml.safe_load(write_yaml({})) == {}


def test_a_shell_reads_what_was_written() -> None:
    """By eval, every byte; nothing in it is run."""
    script = write_shell({"A": NASTY, "B": "", "C": 7}) + 'printf %s "$A|$B|$C"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{NASTY}||7"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {}),
        ("\n# comment\n  \nA=1\n", {"A": "1"}),
        ("export A = 1 # why\nB=\n", {"A": "1", "B": ""}),
        ('A=\'x y\' # c\nB="a\\tb\\"c\\z"', {"A": "x y", "B": 'a\tb"cz'}),
        ("A='two\nlines'\r\nB='it\\'s'\r\n", {"A": "two\nlines", "B": "it's"}),
        ("A=a#b\nA=c", {"A": "c"}),
        ("\ufeffA=$B ${C}", {"A": "$B ${C}"}),
    ],
)
def test_dotenv_as_people_write_it(text: str, read: dict[str, str]) -> None:
    """Comments, export, quotes, several lines; the later one wins."""
    assert parse_dotenv(text) == read


@pytest.mark.parametrize(
    ("text", "line"),
    [("A=1\nnonsense", 2), ("A='open", 1), ("\n\n=x", 3), ('A="x" y', 1), ("1A=x", 1)],
)
def test_a_line_that_is_no_assignment_is_named_and_not_shown(text: str, line: int) -> None:
    """It may be a value."""
    with pytest.raises(DotenvError, match=f"^line {line} is no assignment such as NAME='value'$"):
        parse_dotenv(text)


# --- export ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("client")
def test_keys_become_variables(run: Callable[..., Result]) -> None:
    """A secret without keys is named after the end of its name."""
    shown = json.loads(run("export", "prod/app", "prod/the-key", "--format", "json").stdout)
    assert shown == {
        "user": "app",
        "api_key": NASTY,
        "port": 5432,
        "none": None,
        "hosts": ["a", "b"],
        "THE_KEY": CANARY,
    }
    assert json.loads(run("export", "prod/app", "--json", "--upper").stdout)["API_KEY"] == NASTY


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("form", ["env", "dotenv", "yaml"])
def test_every_format_is_what_its_writer_writes(run: Callable[..., Result], form: str) -> None:
    """The default is for eval."""
    writer = {"env": write_shell, "dotenv": write_dotenv, "yaml": write_yaml}[form]
    expected = writer({"user": "app", "THE_KEY": CANARY})
    args = ("export", "user=secret://prod/app#user", "prod/the-key")
    assert run(*args, "--format", form).stdout == expected
    if form == "env":
        assert run(*args).stdout == expected


@pytest.mark.usefixtures("client")
def test_a_later_secret_wins_and_a_reference_may_name_a_version(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """secret://…?stage= for a whole secret, NAME= for a part, optional ones left out."""
    client.call("PutSecretValue", SecretId="prod/app", SecretString='{"user": "next"}')
    args = (
        "prod/app",
        "secret://prod/app?stage=AWSPREVIOUS",
        "x=secret://prod/app?optional=1#none",
    )
    shown = json.loads(run("export", *args, "--json").stdout)
    assert shown["user"] == "app"
    assert "x" not in shown
    told = run("export", "secret://prod/app#user", code=2).stderr
    assert "write NAME=secret://prod/app#user" in told


def test_a_file_is_for_its_owner_only(
    run: Callable[..., Result], client: SecretsClient, tmp_path: Path
) -> None:
    """Also one that was there; nothing is printed."""
    target = tmp_path / "env"
    target.touch(0o644)
    result = run("export", "prod/the-key", "--format", "dotenv", "--output", str(target))
    assert result.output == ""
    assert target.read_text() == f"THE_KEY={CANARY}\n"
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    run("export", "prod/the-key", "--output", str(tmp_path / "no" / "dir"), code=2)


def test_what_cannot_be_a_variable_is_refused_without_values(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """Bytes, keys that collide, absent secrets, bad references."""
    assert "is binary" in run("export", "prod/bin", code=1).output
    client.call(
        "CreateSecret", Name="twin", SecretString=json.dumps({"a-b": CANARY, "a_b": CANARY})
    )
    told = run("export", "twin", code=1).output
    assert "keys 'a-b' and 'a_b' are both the variable a_b" in told
    assert CANARY not in told
    run("export", "prod/none", code=3)
    run("export", "a=secret://prod/app#", code=2)


# --- import ---------------------------------------------------------------------------------------


def imported(run: Callable[..., Result], *args: str, stdin: str, code: int = 0) -> Any:
    """The plan; no value in any output."""
    result = run("import", "-", *args, "--json", stdin=stdin, code=code)
    assert CANARY not in result.output
    return json.loads(result.stdout) if code == 0 else result.stderr


def test_variables_become_one_secret(run: Callable[..., Result], client: SecretsClient) -> None:
    """Made, then merged, then replaced; the plan names keys."""
    plan = imported(run, "--into", "new", "--yes", stdin=f"A='{CANARY}'\nB=2\n")
    step = {"name": "new", "action": "create", "added": ["A", "B"], "changed": [], "removed": []}
    assert plan == {"plan": [step], "done": True}
    assert client.get("new").json() == {"A": CANARY, "B": "2"}
    plan = imported(run, "--into", "new", "--yes", stdin='{"B": 3, "C": {"d": 1}}')
    assert plan["plan"] == [
        {"name": "new", "action": "update", "added": ["C"], "changed": ["B"], "removed": []}
    ]
    assert client.refresh("new").json() == {"A": CANARY, "B": 3, "C": {"d": 1}}
    plan = imported(run, "--into", "new", "--yes", "--replace", stdin='{"B": 3}')
    assert plan["plan"][0]["removed"] == ["A", "C"]
    before = client.refresh("new").version_id
    plan = imported(run, "--into", "new", stdin='{"B": 3}')
    assert plan["plan"][0]["action"] == "unchanged"
    assert client.refresh("new").version_id == before


def test_variables_become_many_secrets(run: Callable[..., Result], client: SecretsClient) -> None:
    """One text each, only what changed is stored."""
    client.call("CreateSecret", Name="p/A", SecretString="same")
    client.call("CreateSecret", Name="p/B", SecretString="old")
    stdin = json.dumps({"A": "same", "B": CANARY, "C": {"x": 1}})
    plan = imported(run, "--prefix", "p", "--yes", stdin=stdin)
    actions = {step["name"]: step["action"] for step in plan["plan"]}
    assert actions == {"p/A": "unchanged", "p/B": "update", "p/C": "create"}
    assert client.refresh("p/B").text == CANARY
    assert client.get("p/C").json() == {"x": 1}


def test_the_plan_is_shown_first_and_nothing_is_done_unasked(
    run: Callable[..., Result], client: SecretsClient
) -> None:
    """Names of keys, no values."""
    result = run("import", "-", "--into", "prod/app", "--dry-run", stdin=f"user={CANARY}\nx=1\n")
    assert result.stdout == "update     prod/app +x ~user\n"
    result = run("import", "-", "--into", "prod/app", stdin=f"user={CANARY}\n", code=2)
    assert "add --yes" in result.stderr
    assert CANARY not in result.output
    assert client.refresh("prod/app")["user"] == "app"


@pytest.mark.parametrize(
    ("args", "stdin", "told"),
    [
        (("--into", "x"), f"{CANARY}\n", "line 1 is no assignment"),
        (("--into", "x"), f'{{"a": "{CANARY}"', "it is no JSON"),
        (("--into", "x", "--format", "json"), f'["{CANARY}"]', "it has no variables"),
        (("--into", "x"), "# nothing\n", "it has no variables"),
        (("--prefix", "x"), "A=\n", "x/A would be empty"),
        ((), "A=1\n", "say where to"),
        (("--into", "x", "--prefix", "y"), "A=1\n", "say where to"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    run: Callable[..., Result], args: tuple[str, ...], stdin: str, told: str
) -> None:
    """Wrong usage, and no value shown."""
    assert told in imported(run, *args, stdin=stdin, code=2)


@pytest.mark.usefixtures("client")
def test_variables_go_into_json_objects_only(run: Callable[..., Result]) -> None:
    """Not into bytes, not into text."""
    imported(run, "--into", "prod/bin", "--yes", stdin="A=1\n", code=1)
    imported(run, "--into", "prod/the-key", "--yes", stdin="A=1\n", code=1)


@pytest.mark.usefixtures("client")
def test_an_export_comes_back_by_import(run: Callable[..., Result], client: SecretsClient) -> None:
    """The same texts."""
    text = run("export", "prod/app", "--format", "dotenv").stdout
    run("import", "-", "--into", "copy", "--yes", stdin=text)
    assert client.get("copy")["api_key"] == NASTY
