"""Ways to open a store: passphrase, key file, KMS, the system keyring; several at once."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf import argon2
from moto import mock_aws

from smclient_embedded.kdf import (
    ARGON2ID,
    BOUNDS,
    DEFAULTS,
    LOWEST,
    PBKDF2,
    SCRYPT,
    Kdf,
    KdfRefused,
)
from smclient_file import Credentials, FileStore, create, first_slot, new_store_id
from smclient_file.admin import add_slot, left_behind, rekey, remove_slot
from smclient_file.crypto import Place, SealBroken, StoreKeys
from smclient_file.errors import (
    FileStoreError,
    KdfParametersRefused,
    KeyUnavailable,
    StoreExists,
    StoreLocked,
    StorePermissionsRefused,
    WrongKey,
)
from smclient_file.slots import canonical, head, passphrase_head
from smclient_file.unlock import (
    KEY_FILE_VARIABLE,
    PASSPHRASE_VARIABLE,
    make_key_file,
    make_keyring_slot,
    make_kms_slot,
    read_key_file,
)
from tests.backends.file.helpers_file import CANARY, value

Make = Callable[..., Path]
Open = Callable[..., FileStore]
NOTHING = Credentials(environment=False)


# --- passphrases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ARGON2ID, SCRYPT, PBKDF2])
def test_each_derivation_opens(tmp_path: Path, name: str) -> None:
    path, given = tmp_path / "s.sms", Credentials(passphrase="right")
    kdf = Kdf.choose(name, **LOWEST[name])
    create(path, lambda keys: [first_slot("x", keys, given, kdf=kdf)], store_id=new_store_id())
    store = FileStore(path, given)
    assert store.generation().slot.head.kdf().name == name
    with pytest.raises(WrongKey):
        FileStore(path, Credentials(passphrase="wrong"))


@pytest.mark.parametrize("name", [ARGON2ID, SCRYPT, PBKDF2])
def test_defaults_are_within_the_bounds(name: str) -> None:
    for parameter, (low, high) in BOUNDS[name].items():
        assert low <= DEFAULTS[name][parameter] <= high
        for outside in (low - 1, high + 1):
            with pytest.raises(KdfRefused):
                Kdf.choose(name, **{parameter: outside})
    with pytest.raises(KdfRefused):
        Kdf.choose("md5")
    with pytest.raises(KdfRefused):
        Kdf(name, DEFAULTS[name], b"short").check()


def test_an_openssl_without_argon2(
    make_file: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New stores take scrypt and say so; one made elsewhere says what is missing."""
    made_elsewhere = make_file("passphrase")

    def missing(**_: object) -> None:
        raise UnsupportedAlgorithm("not in this OpenSSL")

    monkeypatch.setattr(argon2, "Argon2id", missing)
    assert Kdf.choose().name == SCRYPT
    assert Kdf.choose().parameters == {"cost": 2**17, "r": 8, "p": 1}
    with pytest.raises(KdfParametersRefused, match="no argon2id"):
        FileStore(made_elsewhere, Credentials(passphrase="passphrase"))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.kdf.argon2", None)
    assert Kdf.choose().name == SCRYPT


def test_memory_that_does_not_suffice_is_told(
    make_file: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> bytes:
        raise MemoryError

    path = make_file("passphrase")
    monkeypatch.setattr(Kdf, "_derive", no_memory)
    with pytest.raises(KdfParametersRefused, match="memory"):
        FileStore(path, Credentials(passphrase="passphrase"))


def test_the_environment_has_the_passphrase(make_file: Make, monkeypatch: Any) -> None:
    path = make_file("passphrase")
    with pytest.raises(StoreLocked, match=PASSPHRASE_VARIABLE):
        FileStore(path)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "passphrase")
    FileStore(path)
    with pytest.raises(StoreLocked):
        FileStore(path, NOTHING)


def test_a_passphrase_that_was_given_goes_before_the_environment(
    make_file: Make, key_file: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be there a key file, another one, or none at its path; a key file that was given too."""
    locked, given = make_file("passphrase"), Credentials(passphrase="passphrase")
    store = FileStore(locked, given)
    add_slot(store, lambda keys: first_slot("x", keys, Credentials(key_file=key_file)))
    for named in (key_file, key_file.with_name("none")):
        monkeypatch.setenv(KEY_FILE_VARIABLE, str(named))
        assert FileStore(locked, given).generation().slot.head.kind == "passphrase"
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(key_file))
    for path_of_it, word in ((locked, "wrong"), (path, "of no slot")):
        with pytest.raises(WrongKey, match="the passphrase"):
            FileStore(path_of_it, Credentials(passphrase=word))
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    assert value(FileStore(path, Credentials(key_file=key_file)), "app/key") == CANARY.encode()


def test_a_new_root_key_takes_along_every_key_at_hand(
    make_file: Make, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the environment too, beside a passphrase that was given."""
    path, given = make_file("passphrase"), Credentials(passphrase="passphrase")
    store = FileStore(path, given)
    add_slot(store, lambda keys: first_slot("x", keys, Credentials(key_file=key_file)))
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(key_file))
    assert left_behind(store, given) == ()
    assert rekey(store, given, rotate_root=True) == ()
    FileStore(path, Credentials(key_file=key_file))


def test_several_slots_at_once(path: Path, open_file: Open, cheap: Callable[[], Kdf]) -> None:
    """Two passphrases and the key file; each opens, and none after it was removed."""
    store, ids = open_file(path), {}
    for word in ("one", "two"):
        kdf = cheap()
        slot = add_slot(
            store,
            lambda keys, kdf=kdf, word=word: passphrase_head(kdf, word).wrap(
                kdf.derive(word), keys.root(), keys.store_id
            ),
        )
        ids[word] = slot.head.id
    for word in ids:
        opened = FileStore(path, Credentials(passphrase=word))
        assert value(opened, "app/key") == CANARY.encode()
    remove_slot(store, ids["one"])
    with pytest.raises(WrongKey):
        FileStore(path, Credentials(passphrase="one"))
    with pytest.raises(FileStoreError, match="no key slot"):
        remove_slot(store, ids["one"])
    assert value(FileStore(path, Credentials(passphrase="two")), "app/key") == CANARY.encode()


def test_an_open_store_notices_that_its_slot_was_removed(
    path: Path, open_file: Open, cheap: Callable[[], Kdf]
) -> None:
    """And one whose slot stays does not even ask for its key again."""
    kdf = cheap()
    add_slot(
        open_file(path),
        lambda keys: passphrase_head(kdf, "").wrap(kdf.derive("word"), keys.root(), keys.store_id),
    )
    by_word, by_file = FileStore(path, Credentials(passphrase="word")), open_file(path)
    first = by_file.generation().header.slots[0].head.id
    remove_slot(by_word, first)
    assert value(by_word, "app/key") == CANARY.encode()
    with pytest.raises(WrongKey):
        value(by_file, "app/key")


def test_at_most_sixteen_slots_and_at_least_one(path: Path, open_file: Open) -> None:
    store = open_file(path)
    make: Any = lambda keys: head("keyfile", "x").wrap(os.urandom(32), keys.root(), keys.store_id)  # noqa: E731
    for _ in range(15):
        add_slot(store, make)
    with pytest.raises(FileStoreError, match="16 key slots"):
        add_slot(store, make)
    slots = [slot.head.id for slot in store.generation().header.slots]
    for slot in slots[1:]:
        remove_slot(store, slot)
    with pytest.raises(FileStoreError, match="last key slot"):
        remove_slot(store, slots[0])
    with pytest.raises(ValueError, match="label"):
        head("keyfile", "x" * 65)


# --- key files ------------------------------------------------------------------------------------


def test_a_key_file_must_be_its_owners_alone(path: Path, key_file: Path) -> None:
    for mode in (0o640, 0o604, 0o660, 0o644):
        os.chmod(key_file, mode)
        with pytest.raises(StorePermissionsRefused, match="chmod 600"):
            FileStore(path, Credentials(key_file=key_file))


def test_what_is_no_key_file(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for content in (b"", bytes(31), bytes(33)):
        other.write_bytes(content)
        os.chmod(other, 0o600)
        with pytest.raises(KeyUnavailable, match="32 bytes"):
            read_key_file(other)
    with pytest.raises(KeyUnavailable):
        read_key_file(tmp_path)
    with pytest.raises(KeyUnavailable, match="No such file"):
        read_key_file(tmp_path / "none")
    other.write_bytes(bytes(32))
    with pytest.raises(WrongKey, match="key file"):
        FileStore(path, Credentials(key_file=other))
    with pytest.raises(StoreExists):
        make_key_file(other, even_in_git=True)
    with pytest.raises(KeyUnavailable):
        make_key_file(tmp_path / "none" / "key", even_in_git=True)


@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_a_key_file_that_cannot_be_written_whole_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Half a key would be taken for the key by the next command."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(KeyUnavailable, match="No space left"):
            make_key_file(tmp_path / "new.key", even_in_git=True)
    assert list(tmp_path.iterdir()) == []
    make_key_file(tmp_path / "new.key", even_in_git=True)


def test_a_key_file_is_written_whole_and_its_folder_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few bytes the system takes; a key that a power cut takes away opens nothing."""
    write, flush, flushed = os.write, os.fsync, []
    monkeypatch.setattr(os, "write", lambda descriptor, raw: write(descriptor, bytes(raw)[:5]))

    def fsync(descriptor: int) -> None:
        flushed.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    made = make_key_file(tmp_path / "new.key", even_in_git=True)
    assert read_key_file(tmp_path / "new.key") == made
    assert flushed == [False, True]


def test_a_key_file_for_a_store_that_has_no_such_slot(make_file: Make, key_file: Path) -> None:
    with pytest.raises(WrongKey):
        FileStore(make_file("passphrase"), Credentials(key_file=key_file))


# --- KMS and the keyring --------------------------------------------------------------------------


def test_kms(path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data key of KMS bound to the store; asked only where nothing else was given."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        kms = boto3.client("kms", region_name="eu-west-1")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        store = open_file(path)
        slot = add_slot(
            store, lambda keys: make_kms_slot(str(path), keys, "kms", key, "eu-west-1", NOTHING)
        )
        assert dict(slot.head.own)["kms"] == key
        assert value(FileStore(path, NOTHING), "app/key") == CANARY.encode()
        assert rekey(store, NOTHING, rotate_root=True)[0].head.kind == "keyfile"
        assert value(FileStore(path, NOTHING), "app/key") == CANARY.encode()
    with mock_aws(), pytest.raises(KeyUnavailable, match="KMS"):  # an account without that key
        FileStore(path, NOTHING)


def test_kms_without_boto3(path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    keys = open_file(path).generation().keys
    with pytest.raises(KeyUnavailable, match="pip install boto3"):
        make_kms_slot(str(path), keys, "", "alias/x", "eu-west-1", NOTHING)


def test_the_context_goes_to_kms(path: Path, open_file: Open) -> None:
    """So that CloudTrail and key policies see which store it was."""
    asked: list[dict[str, Any]] = []

    class Kms:
        def generate_data_key(self, **request: Any) -> dict[str, Any]:
            asked.append(request)
            return {"Plaintext": bytes(32), "CiphertextBlob": b"blob", "KeyId": "arn:key"}

        def decrypt(self, **request: Any) -> dict[str, Any]:
            asked.append(request)
            return {"Plaintext": bytes(32)}

    given = Credentials(kms_client=lambda region: Kms(), environment=False)
    store = open_file(path)
    add_slot(store, lambda keys: make_kms_slot(str(path), keys, "", "alias/x", "r", given))
    FileStore(path, given)
    context = {"smclient:store_id": store.generation().header.store_id}
    assert [request["EncryptionContext"] for request in asked] == [context, context]


def test_the_system_keyring(path: Path, open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], str] = {}
    keyring: Any = ModuleType("keyring")
    keyring.set_password = lambda service, user, text: kept.update({(service, user): text})
    keyring.get_password = lambda service, user: kept.get((service, user))
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    store = open_file(path)
    add_slot(store, lambda keys: make_keyring_slot(str(path), keys, "laptop"))
    assert value(FileStore(path, NOTHING), "app/key") == CANARY.encode()
    entry = next(iter(kept))
    for wrong in ("AAAA", "no base64 !"):
        kept[entry] = wrong
        with pytest.raises(WrongKey):
            FileStore(path, NOTHING)
    kept.clear()
    with pytest.raises(KeyUnavailable, match="no entry"):
        FileStore(path, NOTHING)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(KeyUnavailable, match="pip install keyring"):
        FileStore(path, NOTHING)


# --- seals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["A256GCM", "C20P1305"])
def test_a_value_opens_in_its_place_only(algorithm: str) -> None:
    """No other ARN, id, kind, epoch, store or root key opens it."""
    keys = StoreKeys.random(store_id="one", algorithm=algorithm)
    place = Place("arn", "v1", "string")
    sealed = keys.seal(b"value", place, 1)
    assert keys.open(sealed, place, 1) == b"value"
    other = StoreKeys(keys.root(), store_id="two", algorithm=algorithm)
    for who, where, epoch in (
        (keys, Place("arn2", "v1", "string"), 1),
        (keys, Place("arn", "v2", "string"), 1),
        (keys, Place("arn", "v1", "binary"), 1),
        (keys, Place("ar", "nv1", "string"), 1),
        (keys, place, 2),
        (other, place, 1),
        (StoreKeys.random(store_id="one", algorithm=algorithm), place, 1),
    ):
        with pytest.raises(SealBroken):
            who.open(sealed, where, epoch)
    moved = keys.rewrap(sealed, place, 1, keys, 2)
    assert (moved.nonce, moved.ciphertext) == (sealed.nonce, sealed.ciphertext)
    assert keys.open(moved, place, 2) == b"value"


def test_no_two_seals_share_a_key_or_a_nonce() -> None:
    keys = StoreKeys.random(store_id="one")
    place = Place("arn", "v1", "string")
    sealed = [keys.seal(b"same", place, 1) for _ in range(500)]
    assert len({value.wrapped_key for value in sealed}) == 500
    assert len({value.ciphertext for value in sealed}) == 500


def test_keys_hide_themselves_and_can_be_wiped() -> None:
    keys = StoreKeys(b"k" * 32, store_id="one")
    assert "kkk" not in repr(keys) + repr(Credentials(passphrase="kkk"))
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            refuse(keys)
    keys.wipe()
    assert keys.root() == bytes(32)


def test_json_of_the_format() -> None:
    """UTF-8 as it is; half a character as an escape; two halves are refused."""
    assert canonical({"a": "ü", "b": "\ud800"}) == '{"a":"ü","b":"\\ud800"}'
    with pytest.raises(ValueError, match="surrogate"):
        canonical("\ud83d\ude00")
