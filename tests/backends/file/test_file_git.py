"""The file in a real git repository: small diffs, a merge driver, and merging by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.kdf import Kdf
from smclient_embedded.store import Replica, RotationSettings
from smclient_file import Credentials, FileStore, merging
from smclient_file.admin import add_slot, rekey, remove_slot, verify
from smclient_file.errors import FileStoreError, MergeConflict
from smclient_file.slots import passphrase_head
from tests.backends.file.helpers_file import NOW, arn, put, value

Make = Callable[..., Path]
Open = Callable[..., FileStore]
LATER = NOW + timedelta(days=7)
SMCLIENT = Path(sys.executable).with_name("smclient")


class Sides:
    """A file and two copies that go their own ways."""

    def __init__(self, path: Path, key_file: Path) -> None:
        self.given = Credentials(key_file=key_file)
        self.base = path
        self.ours, self.theirs = (path.with_name(name) for name in ("ours.sms", "theirs.sms"))
        for copy in (self.ours, self.theirs):
            shutil.copy(path, copy)

    def open(self, path: Path) -> FileStore:
        return FileStore(path, self.given, private=True)

    def merge(self, prefer: merging.Prefer | None = None) -> FileStore:
        base, theirs = (self.open(p).generation() for p in (self.base, self.theirs))
        store = self.open(self.ours)
        store.rewrite(lambda ours: merging.merge("x", base, ours, theirs, prefer=prefer))
        merged = self.open(self.ours)
        assert verify(merged).problems == ()
        generations = [
            self.open(p).generation().header.generation for p in (self.base, self.theirs)
        ]
        assert merged.generation().header.generation > max(generations)
        return merged


@pytest.fixture
def sides(path: Path, key_file: Path) -> Sides:
    return Sides(path, key_file)


def test_a_change_of_one_secret_changes_its_lines_only(path: Path, open_file: Open) -> None:
    """Its secret and version lines, the header, the MAC."""
    before = path.read_bytes().splitlines()
    put(open_file(path), "app/db", "third", "v3")
    after = path.read_bytes().splitlines()
    changed = set(after) - set(before)
    assert len(changed) == 4  # header, v2 without its label, v3, MAC
    assert before[-3:-1] == after[-3:-1]  # the other secret


def test_what_each_side_changed_is_taken(sides: Sides) -> None:
    """New secrets, new versions, tags, removals; lines of either side stay as they are."""
    ours, theirs = sides.open(sides.ours), sides.open(sides.theirs)
    put(ours, "ours/new", "1")
    put(theirs, "theirs/new", "2")
    put(ours, "app/db", "third", "v3")
    with theirs.transaction(write=True) as tx:
        secret = tx.secret(arn("app/db"))
        assert secret is not None
        tx.put_secret(replace(secret, tags=(("team", "b"), ("new", "x")), description="other"))
        tx.remove_secret(arn("app/key"))
        tx.put_setting("of theirs", b"kept")
    wanted = set(sides.theirs.read_bytes().splitlines())
    merged = sides.merge()
    assert value(merged, "app/db") == b"third"
    assert value(merged, "ours/new") == b"1"
    assert value(merged, "theirs/new") == b"2"
    with merged.transaction(write=False) as tx:
        secret = tx.secret(arn("app/db"))
        assert secret is not None
        assert secret.tags == (("team", "b"), ("new", "x"))
        assert secret.description == "other"
        assert tx.secret(arn("app/key")) is None
        assert tx.setting("of theirs") == b"kept"
    kept = {line for line in wanted if b"theirs/new" in line}
    assert len(kept) == 2
    assert kept <= set(sides.ours.read_bytes().splitlines())


def test_both_sides_changed_the_same(sides: Sides) -> None:
    """Two new current values: a conflict that names secret and label; a preference decides."""
    put(sides.open(sides.ours), "app/db", "of ours", "v3")
    put(sides.open(sides.theirs), "app/db", "of theirs", "v4")
    raw = sides.ours.read_bytes()
    with pytest.raises(MergeConflict, match="app/db: label AWSCURRENT") as caught:
        sides.merge()
    assert "of ours" not in str(caught.value)
    assert sides.ours.read_bytes() == raw
    merged = sides.merge("theirs")
    assert value(merged, "app/db") == b"of theirs"
    with merged.transaction(write=False) as tx:
        assert {v.version_id for v in tx.versions(arn("app/db"))} >= {"v3", "v4"}


def test_removed_and_changed_is_a_conflict(sides: Sides) -> None:
    with sides.open(sides.ours).transaction(write=True) as tx:
        tx.remove_secret(arn("app/db"))
    put(sides.open(sides.theirs), "app/db", "of theirs", "v4")
    with pytest.raises(MergeConflict, match="removed in one"):
        sides.merge()
    assert value(sides.merge("theirs"), "app/db") == b"of theirs"


def test_one_name_made_on_both_sides_is_a_conflict(sides: Sides) -> None:
    put(sides.open(sides.ours), "same", "of ours")
    with sides.open(sides.theirs).transaction(write=True) as tx:
        other = tx.secret(arn("app/key"))
        assert other is not None
        tx.put_secret(replace(other, arn=arn("same")[:-1] + "X", name="same"))
    with pytest.raises(MergeConflict, match="same: made on both sides"):
        sides.merge()
    assert value(sides.merge("ours"), "same") == b"of ours"


def change(store: FileStore, of: str, **fields: Any) -> None:
    """Set fields of a secret."""
    with store.transaction(write=True) as tx:
        secret = tx.secret(arn(of))
        assert secret is not None
        tx.put_secret(replace(secret, **fields))


@pytest.mark.parametrize("prefer", ["ours", "theirs"])
@pytest.mark.parametrize(
    ("field", "ours", "theirs", "what"),
    [
        ("description", "one", "two", "description"),
        ("kms_key_id", "alias/one", "alias/two", "KMS key"),
        ("name", "same/one", "same/two", "name"),
        ("owning_service", "one", "two", "owner"),
        ("secret_type", "one", "two", "type"),
        ("tags", (("team", "one"),), (("team", "two"),), "tag team"),
        ("policies", {"ResourcePolicy": "1"}, {"ResourcePolicy": "2"}, "policy ResourcePolicy"),
        ("rotation", RotationSettings(True, "one"), RotationSettings(True, "two"), "rotation"),
        ("delete_after", NOW, LATER, "deletion"),
        ("replicas", (Replica("one"),), (Replica("two"),), "replicas"),
    ],
)
def test_one_arn_made_on_both_sides_conflicts_where_it_differs(
    sides: Sides, field: str, ours: object, theirs: object, what: str, prefer: merging.Prefer
) -> None:
    """As after an import with its ARNs on two branches: there is nothing that both came from."""
    for path, side, made in ((sides.ours, "ours", ours), (sides.theirs, "theirs", theirs)):
        put(sides.open(path), "same", "a value", version=f"v-{side}", labels=())
        change(sides.open(path), "same", **{field: made})
    with pytest.raises(MergeConflict, match=f"secret same.*: {what}"):
        sides.merge()
    with sides.merge(prefer).transaction(write=False) as tx:
        secret = tx.secret(arn("same"))
        assert {v.version_id for v in tx.versions(arn("same"))} == {"v-ours", "v-theirs"}
    assert getattr(secret, field) == (ours if prefer == "ours" else theirs)


def test_one_arn_made_on_both_sides_is_put_together_where_it_can_be(sides: Sides) -> None:
    """What only one side said is taken; a value that both sealed is one."""
    for path, tags in ((sides.ours, (("a", "1"),)), (sides.theirs, (("b", "2"),))):
        put(sides.open(path), "same", "one value", tags=tags)
    change(sides.open(sides.theirs), "same", description="of theirs")
    merged = sides.merge()
    assert value(merged, "same") == b"one value"
    with merged.transaction(write=False) as tx:
        secret = tx.secret(arn("same"))
    assert secret is not None
    assert secret.description == "of theirs"
    assert secret.tags == (("a", "1"), ("b", "2"))


@pytest.mark.parametrize("by_ours", [True, False])
@pytest.mark.parametrize("how", [{}, {"reencrypt": True}, {"rotate_root": True}])
def test_one_side_rekeyed(sides: Sides, by_ours: bool, how: dict[str, bool]) -> None:
    """Values of the other side are brought under the new keys."""
    rekeyed, other = (sides.ours, sides.theirs) if by_ours else (sides.theirs, sides.ours)
    rekey(sides.open(rekeyed), sides.given, **how)
    put(sides.open(other), "other/new", "1")
    merged = sides.merge()
    assert value(merged, "other/new") == b"1"
    assert merged.generation().header.epoch == 2
    assert b'"epoch":1' not in sides.ours.read_bytes()


def test_both_sides_rekeyed(sides: Sides) -> None:
    """Fine under one root, a conflict under two."""
    for side in (sides.ours, sides.theirs):
        rekey(sides.open(side), sides.given, reencrypt=True)
    sides.merge()
    for side in (sides.ours, sides.theirs):
        rekey(sides.open(side), sides.given, rotate_root=True)
    with pytest.raises(MergeConflict, match="root key"):
        sides.merge()
    sides.merge("theirs")


def test_key_slots_are_merged_too(sides: Sides, cheap: Callable[[], Kdf]) -> None:
    """One side adds, the other removes."""

    def add(path: Path, word: str) -> str:
        kdf = cheap()
        return add_slot(
            sides.open(path),
            lambda keys: passphrase_head(kdf, word).wrap(
                kdf.derive(word), keys.root(), keys.store_id
            ),
        ).head.id

    first = sides.open(sides.base).generation().header.slots[0].head.id
    add(sides.ours, "of ours")
    add(sides.theirs, "of theirs")
    merged = sides.merge()
    labels = [slot.head.label for slot in merged.generation().header.slots]
    assert labels == ["", "of ours", "of theirs"]
    with pytest.raises(FileStoreError, match="no key slot"):
        remove_slot(merged, "00")
    remove_slot(merged, first)


def test_without_a_common_file(sides: Sides) -> None:
    """As git has it when both sides added the file: what is the same is the same."""
    put(sides.open(sides.theirs), "theirs/new", "2")
    theirs = sides.open(sides.theirs).generation()
    store = sides.open(sides.ours)
    store.rewrite(lambda ours: merging.merge("x", None, ours, theirs))
    assert value(store, "theirs/new") == b"2"
    assert verify(store).problems == ()


def test_files_of_two_stores_are_not_merged(sides: Sides, make_file: Make) -> None:
    shutil.copy(make_file(), sides.theirs)
    with pytest.raises(FileStoreError, match="not of one store"):
        sides.merge()


@pytest.fixture
def repository(path: Path, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree with the file in it and the driver set."""
    monkeypatch.setenv("SMCLIENT_KEY_FILE", str(key_file))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    git(tree, "config", "user.email", "t@example.com")
    git(tree, "config", "user.name", "t")
    git(tree, "config", "merge.smclient.driver", f"'{SMCLIENT}' file merge %O %A %B")
    (tree / ".gitattributes").write_text("*.sms -text merge=smclient\n")
    (tree / ".gitignore").write_text("*.lock\n")
    shutil.copy(path, tree / "s.sms")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "first")
    return tree


def git(tree: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_git_merges_with_the_driver(repository: Path, open_file: Open) -> None:
    """Two branches that changed two secrets; then two that changed the same."""
    store = repository / "s.sms"
    git(repository, "checkout", "-qb", "theirs")
    put(open_file(store), "app/key", "of theirs", "v2")
    git(repository, "commit", "-qam", "theirs")
    git(repository, "checkout", "-q", "main")
    with pytest.raises(FileStoreError, match="accept_rollback"):
        open_file(store)  # git put an older file there
    put(open_file(store, accept_rollback=True), "app/db", "of ours", "v3")
    git(repository, "commit", "-qam", "ours")
    git(repository, "merge", "-q", "theirs", "-m", "merged")
    merged = open_file(store)
    assert value(merged, "app/key") == b"of theirs"
    assert value(merged, "app/db") == b"of ours"
    assert git(repository, "status", "--porcelain") == ""

    git(repository, "checkout", "-qb", "again")
    put(open_file(store), "app/key", "one", "v3")
    git(repository, "commit", "-qam", "one")
    git(repository, "checkout", "-q", "main")
    put(open_file(store, accept_rollback=True), "app/key", "two", "v4")
    git(repository, "commit", "-qam", "two")
    told = git(repository, "merge", "again", "-m", "merged", code=1)
    assert "app/key: label AWSCURRENT" in told
    assert "CONFLICT" in told
    assert value(open_file(store), "app/key") == b"two"  # still a whole file: ours
