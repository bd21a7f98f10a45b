"""Whatever is done to the bytes without the key: a clear error, never wrong data."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient_embedded.kdf import ARGON2ID, BOUNDS
from smclient_file import Credentials, FileStore
from smclient_file.admin import rekey
from smclient_file.crypto import FORMAT, Place, StoreKeys
from smclient_file.errors import (
    FileStoreError,
    KdfParametersRefused,
    StoreDamaged,
    StoreFormatUnknown,
    StoreLimitExceeded,
    StoreTampered,
    StoreTruncated,
    WrongKey,
)
from smclient_file.format import Header
from smclient_file.generation import Generation
from smclient_file.lines import OwnKey, own_sealed, setting_line, setting_place
from smclient_file.merging import merge
from smclient_file.slots import canonical
from smclient_file.tables import Entry, Tables
from tests.backends.file.helpers_file import CANARY, arn, header, lines, sample, value

Make = Callable[..., Path]
Open = Callable[..., FileStore]


def with_header(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the header as somebody would who knows the format but not the key."""
    fields = header(path)
    change(fields)
    fields["sum"] = ""
    fields["sum"] = hashlib.sha256(canonical(fields).encode()).hexdigest()
    found = lines(path)
    found[1] = canonical(fields).encode() + b"\n"
    path.write_bytes(b"".join(found))


def refused(path: Path, open_file: Open) -> FileStoreError:
    """The error that opening raises: ours, naming file and remedy, without a value in it."""
    with pytest.raises(FileStoreError) as caught:
        open_file(path)
    assert str(path) in str(caught.value)
    assert caught.value.part
    assert CANARY not in str(caught.value)
    return caught.value


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_byte_flipped_is_noticed(path: Path, open_file: Open, mask: int) -> None:
    """All bytes, magic and MAC line included."""
    raw = path.read_bytes()
    kinds: dict[str, int] = {}
    with path.open("r+b", buffering=0) as file:  # in place: cutting a file off flushes it
        for index in range(len(raw)):
            os.pwrite(file.fileno(), bytes([raw[index] ^ mask]), index)
            kind = type(refused(path, open_file)).__name__
            kinds[kind] = kinds.get(kind, 0) + 1
            os.pwrite(file.fileno(), raw[index : index + 1], index)
    assert sum(kinds.values()) == len(raw)
    assert kinds["StoreTampered"] > 1000
    assert "WrongKey" not in kinds  # damage is never taken for a wrong key
    path.write_bytes(raw)
    assert value(open_file(path), "app/key") == CANARY.encode()


def test_every_truncation_is_noticed(path: Path, open_file: Open) -> None:
    """To any length, the empty file included."""
    for length in range(path.stat().st_size - 1, -1, -1):
        os.truncate(path, length)
        assert isinstance(refused(path, open_file), StoreTruncated | StoreDamaged)


@given(more=st.binary(min_size=1, max_size=200))
@settings(max_examples=40)
def test_appended_bytes_are_noticed(more: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Anything, another MAC line included."""
    path, key = _shared(tmp_path_factory)
    raw = path.read_bytes()
    changed = path.with_name("appended.sms")
    for tail in (more, raw[-81:], b"\n", b"\0"):
        changed.write_bytes(raw + tail)
        with pytest.raises(StoreDamaged):
            FileStore(changed, Credentials(key_file=key))


def test_lines_cannot_be_deleted_doubled_or_swapped(path: Path, open_file: Open) -> None:
    """Any of the body, any two of them."""
    found = lines(path)
    body = range(2, len(found) - 1)
    changed: list[list[bytes]] = []
    for index in body:
        changed.append(found[:index] + found[index + 1 :])
        changed.append(found[: index + 1] + found[index:])
        for other in range(index + 1, len(found) - 1):
            swapped = list(found)
            swapped[index], swapped[other] = found[other], found[index]
            changed.append(swapped)
    for some in changed:
        path.write_bytes(b"".join(some))
        assert isinstance(refused(path, open_file), StoreTampered)


def test_a_label_moved_in_the_text_is_noticed(path: Path, open_file: Open) -> None:
    """AWSPREVIOUS and AWSCURRENT exchanged."""
    raw = path.read_bytes()
    moved = raw.replace(b"AWSCURRENT", b"AWS_______").replace(b"AWSPREVIOUS", b"AWSCURRENT")
    path.write_bytes(moved.replace(b"AWS_______", b"AWSPREVIOUS"))
    assert isinstance(refused(path, open_file), StoreTampered)


def test_a_version_put_in_anothers_place_is_noticed(
    path: Path, make_file: Make, open_file: Open
) -> None:
    """Between two secrets, and between two files of one key file."""
    raw = path.read_bytes()
    ciphertexts = re.findall(rb'"wdk":"[^}]*"', raw)
    path.write_bytes(raw.replace(ciphertexts[1], b"#").replace(ciphertexts[2], ciphertexts[1]))
    refused(path, open_file)
    other = make_file()
    sample(open_file(other))
    mixed = [*lines(other)[:2], *lines(path)[2:-1], lines(other)[-1]]
    other.write_bytes(b"".join(mixed))
    assert isinstance(refused(other, open_file), StoreTampered)


@pytest.mark.parametrize(
    "text",
    [b"", b"SMSTORE", b"hello\n", b"\x7fELF" + bytes(200), b"SMSTORE 1\n", b"SMSTORE 1\n{}\n"],
)
def test_what_is_no_store_is_told_from_one(path: Path, open_file: Open, text: bytes) -> None:
    path.write_bytes(text)
    refused(path, open_file)


def test_a_newer_format_is_named(path: Path, open_file: Open) -> None:
    path.write_bytes(path.read_bytes().replace(b"SMSTORE 1", b"SMSTORE 2", 1))
    error = refused(path, open_file)
    assert isinstance(error, StoreFormatUnknown)
    assert "SMSTORE 2" in str(error)
    assert FORMAT in str(error)


def test_changed_line_ends_are_named(path: Path, open_file: Open) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert "CR LF" in str(refused(path, open_file))


def test_a_text_merge_is_named(path: Path, open_file: Open) -> None:
    """Git's marks, and lines of both sides without marks."""
    found = lines(path)
    marked = [*found[:3], b"<<<<<<< HEAD\n", found[3], b"=======\n", b">>>>>>> x\n", *found[4:]]
    path.write_bytes(b"".join(marked)[:-1])
    assert "smclient file merge" in str(refused(path, open_file))


def test_a_file_too_big_is_not_read(
    path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with path.open("r+b") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert isinstance(refused(path, open_file), StoreLimitExceeded)


def test_a_header_too_big_is_not_read(path: Path, open_file: Open) -> None:
    path.write_bytes(b"SMSTORE 1\n{" + b" " * 70_000 + b"}\n")
    assert isinstance(refused(path, open_file), StoreLimitExceeded)
    path.write_bytes(b"SMSTORE 1\n" + b"[" * 60_000 + b"\n" + b"x" * 200)
    assert isinstance(refused(path, open_file), StoreDamaged)


@given(data=st.data())
@settings(max_examples=150)
def test_nothing_made_up_is_believed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random edits of a real file: our error, or, if nothing was changed, the right value."""
    path, key = _shared(tmp_path_factory)
    raw = path.read_bytes()
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed)))
        end = data.draw(st.integers(start, min(start + 40, len(changed))))
        changed[start:end] = data.draw(st.binary(max_size=20))
    edited = path.with_name("edited.sms")
    edited.write_bytes(changed)
    try:
        store = FileStore(edited, Credentials(key_file=key))
    except FileStoreError:
        assert changed != raw
    else:
        assert bytes(changed) == raw
        assert value(store, "app/key") == CANARY.encode()


_made: dict[str, tuple[Path, Path]] = {}


def _shared(factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One file for all examples of a property."""
    if "file" not in _made:
        from smclient_file import create, first_slot, new_store_id
        from smclient_file.unlock import make_key_file

        folder = factory.mktemp("shared")
        path, key = folder / "secrets.sms", folder / "key"
        make_key_file(key, even_in_git=True)
        opened = Credentials(key_file=key)
        create(path, lambda keys: [first_slot(str(path), keys, opened)], store_id=new_store_id())
        sample(FileStore(path, opened))
        _made["file"] = path, key
    return _made["file"]


# --- keys and their derivation --------------------------------------------------------------------


def test_a_wrong_passphrase_and_a_damaged_file_are_told_apart(make_file: Make) -> None:
    path = make_file("right")
    with pytest.raises(WrongKey, match="passphrase"):
        FileStore(path, Credentials(passphrase="wrong"))
    assert FileStore(path, Credentials(passphrase="right")).generation().header.generation == 1
    raw = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for index in range(10, raw.index(b"\n", 10)):  # the whole header, the salt included
            os.pwrite(file.fileno(), bytes([raw[index] ^ 1]), index)
            with pytest.raises((StoreDamaged, KdfParametersRefused)):
                FileStore(path, Credentials(passphrase="right"))
            os.pwrite(file.fileno(), raw[index : index + 1], index)


def test_a_passphrase_is_one_however_it_was_typed(make_file: Make) -> None:
    """Composed and decomposed letters are the same."""
    path = make_file("gr\u00fcn")
    FileStore(path, Credentials(passphrase="gru\u0308n"))


@pytest.mark.parametrize("parameter", ["m", "t", "p"])
@pytest.mark.parametrize("far", [1, 1000, 10**9])
@pytest.mark.parametrize("up", [True, False])
def test_a_key_derivation_out_of_bounds_is_refused_before_it_runs(
    make_file: Make, monkeypatch: pytest.MonkeyPatch, parameter: str, far: int, up: bool
) -> None:
    """Weakened or inflated, with the checksum of the header made to fit."""
    path = make_file("passphrase")
    low, high = BOUNDS[ARGON2ID][parameter]
    number = high + far if up else max(low - far, 0)

    def change(fields: dict[str, Any]) -> None:
        fields["slots"][0][parameter] = number

    with_header(path, change)
    monkeypatch.setattr("smclient_embedded.kdf.Kdf.derive", _never)
    with pytest.raises(KdfParametersRefused, match=f"{parameter}={number}"):
        FileStore(path, Credentials(passphrase="passphrase"))


def test_a_derivation_weakened_within_bounds_opens_nothing(make_file: Make) -> None:
    """The parameters are bound into the slot."""
    path = make_file("passphrase")

    def change(fields: dict[str, Any]) -> None:
        fields["slots"][0]["t"] = 3

    with_header(path, change)
    with pytest.raises(WrongKey):
        FileStore(path, Credentials(passphrase="passphrase"))


def test_many_slots_may_not_add_up_to_a_siege(make_file: Make) -> None:
    """Each within its bounds, together too much."""
    path = make_file("passphrase")

    def change(fields: dict[str, Any]) -> None:
        slot = fields["slots"][0]
        fields["slots"] = [{**slot, "m": BOUNDS[ARGON2ID]["m"][1], "t": 10} for _ in range(2)]

    with_header(path, change)
    with pytest.raises(KdfParametersRefused, match="together"):
        FileStore(path, Credentials(passphrase="passphrase"))


def test_a_slot_of_another_store_opens_nothing(make_file: Make, open_file: Open) -> None:
    """The same key file, another store."""
    path, other = make_file(), make_file()
    sample(open_file(path))
    slots = header(other)["slots"]

    def change(fields: dict[str, Any]) -> None:
        fields["slots"] = slots

    with_header(path, change)
    assert isinstance(refused(path, open_file), WrongKey)


def test_a_slot_added_or_removed_without_the_key_is_noticed(path: Path, open_file: Open) -> None:
    with_header(path, lambda fields: fields["slots"].append({**fields["slots"][0], "label": "x"}))
    assert isinstance(refused(path, open_file), StoreTampered)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.update(store_id="00000000-0000-4000-8000-000000000000"),
        lambda f: f.update(alg="C20P1305"),
        lambda f: f.update(alg="none"),
        lambda f: f.update(generation=f["generation"] + 1),
        lambda f: f.update(generation=-1),
        lambda f: f.update(generation=1.5),
        lambda f: f.update(generation=True),
        lambda f: f.update(prev_mac="0" * 64),
        lambda f: f.update(epoch=2),
        lambda f: f.update(slots=[]),
        lambda f: f.update(slots=[f["slots"][0]] * 17),
        lambda f: f.update(slots=[7]),
        lambda f: f["slots"][0].update(kind="magic"),
        lambda f: f["slots"][0].update(more="x"),
        lambda f: f["slots"][0].pop("label"),
        lambda f: f.pop("epoch"),
        lambda f: f.update(more=1),
    ],
)
def test_any_change_of_the_header_is_noticed(
    path: Path, open_file: Open, change: Callable[[dict[str, Any]], object]
) -> None:
    """Also by somebody who makes its checksum fit."""
    with_header(path, change)
    refused(path, open_file)


def test_a_member_twice_is_refused(path: Path, open_file: Open) -> None:
    path.write_bytes(path.read_bytes().replace(b'"epoch":1,', b'"epoch":1,"epoch":1,', 1))
    assert isinstance(refused(path, open_file), StoreDamaged)


def _never(*_: object) -> bytes:
    raise AssertionError("a key was derived")


def test_a_setting_that_does_not_open_is_named(path: Path, open_file: Open) -> None:
    """Sealed for another name, by a faulty program with the key: the MAC fits."""
    store = open_file(path)

    def change(base: Generation) -> tuple[Header, StoreKeys, Tables]:
        sealed = base.keys.seal(CANARY.encode(), setting_place("other"), base.header.epoch)
        line = setting_line("name", base.header.epoch, sealed)
        return base.header, base.keys, base.tables.changed({}, {"name": line})

    store.rewrite(change)
    raw, here = path.read_bytes(), store.generation()
    nothing = Credentials(environment=False)
    for work in (
        lambda: settings_of(store),
        lambda: rekey(store, nothing),
        lambda: rekey(store, nothing, reencrypt=True),
        lambda: store.rewrite(lambda ours: merge(store.path, here, ours, here)),
    ):
        with pytest.raises(StoreDamaged, match="the setting 'name' does not open") as caught:
            work()
        assert caught.value.part == "setting name"
        assert CANARY not in str(caught.value)
    assert path.read_bytes() == raw


def settings_of(store: FileStore) -> Mapping[str, bytes]:
    with store.transaction(write=False) as tx:
        return tx.settings()


def test_a_value_that_does_not_open_is_named_by_a_merge(path: Path, open_file: Open) -> None:
    """Where both sides sealed one version anew, and their values have to be compared."""
    store = open_file(path)
    ours = store.generation()
    place = Place(arn("app/db"), "v1", "string")

    def change(base: Generation) -> tuple[Header, StoreKeys, Tables]:
        content = base.tables.entries[place.arn].content()
        row = content.versions["v1"]
        sealed = base.keys.seal(b"x", replace(place, version_id="v2"), base.header.epoch)
        own = own_sealed(place, OwnKey(base.header.store_id, base.header.epoch, "string"), sealed)
        versions = {**content.versions, "v1": replace(row, record=replace(row.record, sealed=own))}
        entry = Entry.of(store.path, base.header.store_id, replace(content, versions=versions))
        return base.header, base.keys, base.tables.changed({place.arn: entry}, {})

    store.rewrite(change)
    with pytest.raises(StoreDamaged, match="does not open") as caught:
        merge(store.path, None, ours, store.generation())
    assert caught.value.part == f"secret {place.arn}"
