"""``smclient file …`` as people use it, through the root command."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient import SecretsClient
from smclient.cli.root import root
from smclient_file.unlock import PASSPHRASE_VARIABLE

Run = Callable[..., Result]
VALUE = "correct-horse-canary"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs ``smclient file …``; standard input is text or bytes; the exit code is checked."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "a passphrase that is long enough")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: str | bytes = "", code: int = 0) -> Result:
        result = CliRunner().invoke(root, ["file", *map(str, arguments)], input=stdin)
        assert result.exit_code == code, result.output + repr(result.exception)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store opened by a key file, with two secrets."""
    run("init", "s.sms", "--key-file", "k.key", "--force")
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    monkeypatch.setenv("SMCLIENT_KEY_FILE", str(tmp_path / "k.key"))
    run("put", "s.sms", "app/db", stdin=json.dumps({"user": "u", "password": VALUE}))
    run("put", "s.sms", "app/key", "--tag", "team=a", "--description", "d", stdin=VALUE)
    return tmp_path / "s.sms"


def shape(result: Result) -> Any:
    return json.loads(result.stdout)


def test_init_put_get_list_with_a_passphrase(run: Run, tmp_path: Path) -> None:
    """The way of a new user; the file is theirs alone, and nothing else was left."""
    made = shape(run("init", "s.sms", "--json"))
    assert made["slots"][0]["kind"] == "passphrase"
    assert made["slots"][0]["kdf"] == {"name": "argon2id", "m": 65536, "t": 3, "p": 4}
    assert made["gitignore"] == ["s.sms.lock", ".s.sms.*.tmp"]
    assert stat.S_IMODE((tmp_path / "s.sms").stat().st_mode) == 0o600
    put = shape(run("put", "s.sms", "app/db", "--json", stdin=VALUE + "\n"))
    assert put["created"] is True
    assert run("get", "s.sms", "app/db").stdout == VALUE + "\n"
    got = shape(run("get", "s.sms", "app/db", "--json"))
    assert (got["value"], got["version_id"]) == (VALUE, put["version_id"])
    assert [s["name"] for s in shape(run("list", "s.sms", "--json"))["secrets"]] == ["app/db"]
    assert VALUE.encode() not in (tmp_path / "s.sms").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"s.sms", "s.sms.lock", "state"}


def test_it_is_found_by_url_and_client(store: Path, tmp_path: Path) -> None:
    """What the command made, the library opens, by an absolute and a relative URL."""
    for url in (f"file://{store}?key_file={tmp_path / 'k.key'}", "file:s.sms"):
        with SecretsClient(url) as client:
            assert client.get("app/db")["password"] == VALUE


def test_values_and_passphrases_are_never_arguments(run: Run, store: Path) -> None:
    """And what was given by mistake is not repeated."""
    for result in (
        run("put", "s.sms", "app/db", VALUE, code=2),
        run("verify", "s.sms", "--passphrase", VALUE, code=2),
        run("add-key", "s.sms", "--new-passphrase", VALUE, code=2),
    ):
        assert VALUE not in result.output


def test_sources_of_values(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("value").write_bytes(b"\x00\xff")
    run("put", "s.sms", "bin", "@value", "--binary")
    assert run("get", "s.sms", "bin").stdout_bytes == b"\x00\xff"
    monkeypatch.setenv("THE_VALUE", "from env")
    run("put", "s.sms", "env", "--from-env", "THE_VALUE")
    assert run("get", "s.sms", "env").stdout == "from env\n"
    run("put", "s.sms", "none", "--update-only", stdin="x", code=3)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("get", "none.sms", "x"), 3),
        (("get", "s.sms", "none"), 3),
        (("verify", "s.sms", "--key-file", "other.key"), 4),
        (("verify", "s.sms", "--key-file", "none.key"), 4),
        (("verify", "s.sms", "--passphrase", "env:NONE"), 2),
        (("init", "s.sms"), 1),
        (("remove-key", "s.sms", "none"), 1),
        (("verify", "file://host/s.sms"), 2),
        (("verify", "s.sms", "--expected-generation", "99"), 1),
    ],
)
def test_exit_codes(run: Run, store: Path, arguments: tuple[str, ...], code: int) -> None:
    other = Path("other.key")
    other.touch(mode=0o600)
    other.write_bytes(bytes(32))
    result = run(*arguments, code=code)
    assert result.stderr.startswith(("error: ", "Usage: "))


def test_verify_says_what_is_there_and_what_is_damaged(run: Run, store: Path) -> None:
    told = shape(run("verify", "s.sms", "--json"))
    assert (told["secrets"], told["versions"], told["problems"]) == (2, 2, [])
    assert told["generation"] == 3
    assert "app" not in run("verify", "s.sms").stdout
    raw = store.read_bytes()
    store.write_bytes(raw[:-100])
    assert "restore it" in run("verify", "s.sms", code=1).stderr


def test_keys_are_added_and_removed_without_touching_values(
    run: Run, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.read_bytes().splitlines()
    Path("p").write_text("another passphrase\n")
    added = shape(run("add-key", "s.sms", "--new-passphrase", "@p", "--label", "ci", "--json"))
    assert (added["kind"], added["label"]) == ("passphrase", "ci")
    after = store.read_bytes().splitlines()
    assert before[2:-1] == after[2:-1]
    monkeypatch.delenv("SMCLIENT_KEY_FILE")
    assert run("get", "s.sms", "app/key", "--passphrase", "@p").stdout == VALUE + "\n"
    first = shape(run("verify", "s.sms", "--passphrase", "@p", "--json"))["slots"][0]["id"]
    removed = run("remove-key", "s.sms", first, "--passphrase", "@p")
    assert "still reads" in removed.stderr
    run("get", "s.sms", "app/key", "--key-file", "k.key", code=4)
    last = shape(run("verify", "s.sms", "--passphrase", "@p", "--json"))["slots"]
    assert (
        "last key slot"
        in run("remove-key", "s.sms", last[0]["id"], "--passphrase", "@p", code=1).stderr
    )


def test_a_passphrase_on_the_command_line_makes_its_slot(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key file in the environment is not meant then, and not made."""
    monkeypatch.setenv("SMCLIENT_KEY_FILE", str(tmp_path / "k.key"))
    Path("p").write_text("a passphrase that is long enough\n")
    made = shape(run("init", "s.sms", "--passphrase", "@p", "--force", "--json"))
    assert ([slot["kind"] for slot in made["slots"]], made["key_file"]) == (["passphrase"], None)
    assert not Path("k.key").exists()
    run("put", "s.sms", "app/key", "--passphrase", "@p", stdin=VALUE)
    assert run("get", "s.sms", "app/key", "--passphrase", "@p").stdout == VALUE + "\n"


def test_rekey_rewraps_reencrypts_and_rotates(run: Run, store: Path) -> None:
    """Values stay readable; ciphertexts change only where that is asked for."""

    def parts(name: str) -> list[bytes]:
        return re.findall(rb'"%s":"([^"]*)"' % name.encode(), store.read_bytes())

    wrapped, ciphertexts = parts("wdk"), parts("ct")
    assert shape(run("rekey", "s.sms", "--json"))["epoch"] == 2
    assert parts("ct") == ciphertexts
    assert not set(parts("wdk")) & set(wrapped)
    run("rekey", "s.sms", "--reencrypt")
    assert not set(parts("ct")) & set(ciphertexts)
    Path("p").write_text("another passphrase\n")
    run("add-key", "s.sms", "--new-passphrase", "@p")
    assert "nobody to ask" in run("rekey", "s.sms", "--rotate-root", code=2).stderr
    gone = shape(run("rekey", "s.sms", "--rotate-root", "--yes", "--json"))
    assert [slot["kind"] for slot in gone["removed_slots"]] == ["passphrase"]
    assert [slot["kind"] for slot in gone["slots"]] == ["keyfile"]
    assert run("get", "s.sms", "app/key").stdout == VALUE + "\n"
    assert shape(run("verify", "s.sms", "--json"))["problems"] == []


def test_a_key_file_is_not_made_in_a_work_tree(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert "work tree" in run("init", "s.sms", "--key-file", "k.key", code=1).stderr
    assert not Path("k.key").exists()
    assert not Path("s.sms").exists()
    shown = run("init", "s.sms", "--key-file", "k.key", "--force").stdout
    assert "s.sms -text merge=smclient" in shown
    assert "k.key" in shown


def test_edit(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor gets a file of the user's alone; an unchanged value makes no version."""
    script = Path("editor.py")
    script.write_text(
        "import os, sys, stat; p = sys.argv[1]\n"
        "assert stat.S_IMODE(os.stat(p).st_mode) == 0o600\n"
        "assert 'SMCLIENT_PASSPHRASE' not in os.environ\n"
        "text = open(p).read(); open('seen', 'w').write(p)\n"
        "open(p, 'w').write(text.replace('canary', 'bird'))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script.resolve()}")
    assert shape(run("edit", "s.sms", "app/key", "--json")) == {"name": "app/key", "changed": True}
    assert run("get", "s.sms", "app/key").stdout == "correct-horse-bird\n"
    assert not Path(Path("seen").read_text()).exists()
    assert "unchanged" in run("edit", "s.sms", "app/key").stdout
    monkeypatch.setenv("EDITOR", f"{sys.executable} -c 'raise SystemExit(3)'")
    assert "nothing was changed" in run("edit", "s.sms", "app/key", code=1).stderr


@pytest.mark.parametrize("ends", [0, 3])
def test_an_editor_that_leaves_no_text(
    run: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int
) -> None:
    """What it left is overwritten all the same, here seen by another link, and nothing told."""
    script, is_folder = Path("editor.py"), os.path.isdir
    script.write_text(
        "import os, sys; open(sys.argv[1], 'ab').write(b'\\xff')\n"
        f"os.link(sys.argv[1], {str(tmp_path / 'link')!r}); raise SystemExit({ends})\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script.resolve()}")
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/dev/shm" and is_folder(path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = run("edit", "s.sms", "app/key", code=1)
    assert "nothing was changed" in told.stderr
    assert VALUE not in told.output
    assert Path("link").read_bytes() == bytes(len(VALUE) + 2)
    assert run("get", "s.sms", "app/key").stdout == VALUE + "\n"


def test_an_older_file_needs_a_word(run: Run, store: Path) -> None:
    old = store.read_bytes()
    run("put", "s.sms", "app/key", stdin="newer")
    store.write_bytes(old)
    assert "--accept-rollback" in run("get", "s.sms", "app/key", code=1).stderr
    assert run("get", "s.sms", "app/key", "--accept-rollback").stdout == VALUE + "\n"
    run("get", "s.sms", "app/key")


def test_diff_names_and_labels_only(run: Run, store: Path) -> None:
    Path("old.sms").write_bytes(store.read_bytes())
    os.chmod("old.sms", 0o600)
    run("put", "s.sms", "app/key", stdin="changed-" + VALUE)
    run("put", "s.sms", "new", stdin="added-" + VALUE)
    result = run("diff", "old.sms", "s.sms", "--exit-code", code=1)
    assert VALUE not in result.output
    assert "+ new" in result.stdout
    assert "~ app/key" in result.stdout
    assert "label AWSCURRENT" in result.stdout
    found = shape(run("diff", "old.sms", "s.sms", "--json"))["differences"]
    assert [(d["name"], d["change"]) for d in found] == [("app/key", "changed"), ("new", "added")]
    assert run("diff", "s.sms", "s.sms", "--exit-code").stdout == ""


def test_the_command_in_a_process_of_its_own(store: Path, tmp_path: Path) -> None:
    """The installed entry point; a broken file is one line, not a traceback."""
    command = [sys.executable, "-m", "smclient.cli", "file"]
    if not (Path(__file__).parents[3] / "smclient/cli/__main__.py").exists():
        command = [str(Path(sys.executable).with_name("smclient")), "file"]
    environment = {**os.environ, "SMCLIENT_KEY_FILE": str(tmp_path / "k.key")}
    got = subprocess.run(
        [*command, "get", str(store), "app/key"], capture_output=True, env=environment, check=False
    )
    assert (got.returncode, got.stdout) == (0, VALUE.encode() + b"\n")
    store.write_bytes(store.read_bytes().replace(b"AWSCURRENT", b"AWSCURREN_"))
    got = subprocess.run(
        [*command, "get", str(store), "app/key"], capture_output=True, env=environment, check=False
    )
    assert got.returncode == 1
    assert got.stderr.startswith(b"error: ")
    assert b"Traceback" not in got.stderr
    assert got.stdout == b""
