"""Keys and envelopes: what a store holds, what opens it, and what happens when the key is not
there."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import DecryptionFailure
from smclient_embedded.kms import MasterKey, MasterKeyError
from smclient_embedded.store import MemoryStore
from smclient_embedded.store.records import Scope

CANARY = "canary-5f1c0e9ab4"
SCOPE = Scope("123456789012", "us-east-1")
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def tail(code: str) -> str:
    return (
        rf"\(Service: AWSKMS; Status Code: 400; Error Code: {code}; Request ID: {UUID}; "
        r"Proxy: null\)"
    )


def set_state(world: Any, arn: str, state: str) -> None:
    """Disable a key, or mark it for deletion."""
    with world.service._store.transaction(write=True) as tx:
        tx.put_key(replace(tx.key(arn), state=state))


class TestSealing:
    def test_no_record_of_a_store_holds_a_value(self, memory: Any) -> None:
        """Neither in text nor in bytes, anywhere in it."""
        memory.create(value=CANARY, Description="d", Tags=[{"Key": "k", "Value": "v"}])
        memory.put("v1", value=CANARY + "-2")
        memory.value()
        tables = vars(memory.service._store._tables)
        held = repr(dict(tables))
        assert "v0-000" in held  # the search does see what is there
        assert CANARY not in held
        for versions in tables["versions"].values():
            for version in versions.values():
                for field in ("wrapped_key", "nonce", "ciphertext"):
                    assert CANARY.encode() not in getattr(version.sealed, field)

    def test_no_file_of_a_store_holds_a_value(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """Database, write-ahead log, key: none of them, before and after closing."""
        world = make(f"embedded://{tmp_path}/s.db")
        world.create("findme", CANARY)
        world("CreateSecret", Name="b", SecretBinary=CANARY.encode() * 100)
        world.put("v1", secret="findme", value=CANARY + "x")
        for _ in range(2):
            contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
            assert any(b"findme" in content for content in contents.values())
            for name, content in contents.items():
                assert CANARY.encode() not in content, name
            world.service.close()

    def test_the_same_value_is_sealed_differently_each_time(self, memory: Any) -> None:
        """A data key and a nonce of its own for each version."""
        memory.create("a", CANARY)
        memory.create("b", CANARY)
        sealed = [
            version.sealed
            for versions in memory.service._store._tables.versions.values()
            for version in versions.values()
        ]
        for field in ("ciphertext", "nonce", "wrapped_key"):
            assert len({getattr(seal, field) for seal in sealed}) == 2

    def test_a_seal_does_not_open_on_another_version_or_secret(self, world: Any) -> None:
        """Whoever can write to the store cannot pass one secret off as another."""
        first = world.create("a", "of a")
        second = world.create("b", "of b")
        world.put("v1", secret="a", value="newer")
        v0, v1 = world.token("v0"), world.token("v1")
        with world.service._store.transaction(write=True) as tx:
            seals = {
                "v0": tx.version(first, v0).sealed,
                "v1": tx.version(first, v1).sealed,
            }
            tx.put_version(replace(tx.version(first, v1), sealed=seals["v0"]))
            tx.put_version(replace(tx.version(second, v0), sealed=seals["v0"]))
        for secret in ("a", "b"):
            code, text = world.refused("GetSecretValue", SecretId=secret)
            assert code == "DecryptionFailure"
            assert text.startswith("Secrets Manager can't decrypt the secret value")
        assert world.value("a", VersionId=v0) == "of a"

    def test_a_seal_does_not_open_with_its_context_rewritten(self, world: Any) -> None:
        """The context is authenticated, not only compared."""
        first = world.create("a", "of a")
        second = world.create("b", "of b")
        v0 = world.token("v0")
        with world.service._store.transaction(write=True) as tx:
            moved = replace(
                tx.version(first, v0).sealed, context=tx.version(second, v0).sealed.context
            )
            tx.put_version(replace(tx.version(second, v0), sealed=moved))
        assert world.refused("GetSecretValue", SecretId="b")[0] == "DecryptionFailure"

    @pytest.mark.parametrize("field", ["ciphertext", "nonce", "wrapped_key"])
    def test_a_changed_byte_is_noticed(self, world: Any, field: str) -> None:
        """Each part of a seal is authenticated."""
        arn = world.create()
        with world.service._store.transaction(write=True) as tx:
            version = tx.version(arn, world.token("v0"))
            content = bytearray(getattr(version.sealed, field))
            content[0] ^= 1
            tx.put_version(
                replace(version, sealed=replace(version.sealed, **{field: bytes(content)}))
            )
        assert world.refused("GetSecretValue", SecretId="s")[0] == "DecryptionFailure"

    def test_a_batch_answers_the_failure_of_one_beside_the_others(self, world: Any) -> None:
        """DecryptionFailure is an item's error."""
        arn = world.create("a")
        world.create("b", "fine")
        with world.service._store.transaction(write=True) as tx:
            version = tx.version(arn, world.token("v0"))
            tx.put_version(replace(version, sealed=replace(version.sealed, ciphertext=b"x" * 40)))
        answer = world("BatchGetSecretValue", SecretIdList=["a", "b"])
        assert [value["SecretString"] for value in answer["SecretValues"]] == ["fine"]
        assert [error["ErrorCode"] for error in answer["Errors"]] == ["DecryptionFailure"]

    def test_repr_of_what_seals_shows_nothing(self, memory: Any) -> None:
        """Neither the master key nor a sealed value."""
        memory.create(value=CANARY)
        (versions,) = memory.service._store._tables.versions.values()
        (version,) = versions.values()
        assert "bytes" in repr(version.sealed)
        assert str(version.sealed.ciphertext)[2:-1] not in repr(version)
        assert repr(MasterKey(b"k" * 32)) == "MasterKey(***)"


class TestCustomerKeys:
    def test_seal_under_their_arn_by_alias_id_or_arn(self, world: Any) -> None:
        """KmsKeyId is shown as it was sent."""
        arn = world.service.create_key(alias="alias/mine")
        for n, name in enumerate(
            ("alias/mine", arn, arn.split("/")[1], "key/" + arn.split("/")[1])
        ):
            world.create(f"s{n}", KmsKeyId=name)
            assert world.describe(f"s{n}")["KmsKeyId"] == name
            assert world.value(f"s{n}") == "v0"
            versions = world("ListSecretVersionIds", SecretId=f"s{n}")["Versions"]
            assert versions[0]["KmsKeyIds"] == [arn]

    def test_may_be_named_without_the_word_alias_when_made(self, world: Any) -> None:
        """They are called with it."""
        world.service.create_key(alias="short")
        world.create(KmsKeyId="alias/short")
        assert world.value() == "v0"

    @pytest.mark.parametrize("alias", ["alias/mine", "mine", "alias/aws/secretsmanager", "aws/x"])
    def test_have_an_alias_of_their_own(self, world: Any, alias: str) -> None:
        """Neither another's nor AWS's."""
        world.service.create_key(alias="alias/mine")
        with pytest.raises(ConfigError, match="alias/"):
            world.service.create_key(alias=alias)

    def test_belong_to_a_region(self, world: Any) -> None:
        """Another region does not know them."""
        arn = world.service.create_key(alias="alias/there", region="eu-west-1")
        assert arn.split(":")[3] == "eu-west-1"
        code, text = world.refused("CreateSecret", Name="s", KmsKeyId="alias/there")
        assert code == "InvalidParameterException"
        assert "Alias arn:aws:kms:us-east-1:123456789012:alias/there is not found." in text

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            (
                "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000",
                "Key 'arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000' "
                "does not exist",
            ),
            (
                "00000000-0000-4000-8000-000000000000",
                "Key 'arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000' "
                "does not exist",
            ),
            (
                "alias/nope",
                "Alias arn:aws:kms:us-east-1:123456789012:alias/nope is not found.",
            ),
            ("not-a-key", "Invalid keyId 'not-a-key'"),
        ],
    )
    @pytest.mark.parametrize("value", ["v0", None])
    @pytest.mark.parametrize("operation", ["CreateSecret", "UpdateSecret"])
    def test_that_do_not_exist_are_refused_in_the_words_of_kms(
        self, memory: Any, key: str, said: str, value: str | None, operation: str
    ) -> None:
        """Also where the secret has no value; the secret is not made, or stays as it is."""
        request: dict[str, Any] = {} if value is None else {"SecretString": value}
        if operation == "UpdateSecret":
            memory.create("there", None)
            request["SecretId"] = "there"
        else:
            request["Name"] = "new"
        before = memory("ListSecrets")
        code, text = memory.refused(operation, KmsKeyId=key, **request)
        assert code == "InvalidParameterException"
        assert re.fullmatch(
            "The operation failed because of an invalid KMS key: "
            + re.escape(said)
            + " "
            + tail("NotFoundException"),
            text,
        )
        assert memory("ListSecrets") == before

    def test_that_are_disabled_neither_seal_nor_open(self, world: Any) -> None:
        """DescribeSecret and labels still work; enabled again, all is as before."""
        key = world.service.create_key(alias="alias/mine")
        world.create(KmsKeyId="alias/mine")
        set_state(world, key, "Disabled")
        for operation, verb, code, more in (
            ("GetSecretValue", "decrypt", "DecryptionFailure", {}),
            ("PutSecretValue", "encrypt", "EncryptionFailure", {"SecretString": "x"}),
            ("UpdateSecret", "encrypt", "EncryptionFailure", {"SecretString": "x"}),
        ):
            found, text = world.refused(operation, SecretId="s", **more)
            assert found == code
            assert re.fullmatch(
                f"Secrets Manager can't {verb} the secret value: {key} is disabled. "
                + tail("DisabledException"),
                text,
            )
        assert world.labels() == {"v0": {"AWSCURRENT"}}
        set_state(world, key, "Enabled")
        assert world.value() == "v0"

    def test_that_wait_for_their_deletion_neither_seal_nor_open(self, world: Any) -> None:
        """With KMS's other code."""
        key = world.service.create_key()
        world.create(KmsKeyId=key)
        set_state(world, key, "PendingDeletion")
        for operation, verb, more in (
            ("GetSecretValue", "decrypt", {}),
            ("PutSecretValue", "encrypt", {"SecretString": "x"}),
        ):
            _, text = world.refused(operation, SecretId="s", **more)
            assert re.fullmatch(
                f"Secrets Manager can't {verb} the secret value: {key} is pending deletion. "
                + tail("KMSInvalidStateException"),
                text,
            )

    @pytest.mark.parametrize("value", [{"SecretString": "x"}, {}])
    def test_that_are_disabled_cannot_be_named(self, world: Any, value: dict[str, str]) -> None:
        """Neither by CreateSecret nor by UpdateSecret."""
        key = world.service.create_key()
        set_state(world, key, "Disabled")
        expected = (
            "InvalidParameterException",
            "The operation failed because the specified KMS key is disabled.",
        )
        assert world.refused("CreateSecret", Name="new", KmsKeyId=key, **value) == expected
        world.create()
        assert world.refused("UpdateSecret", SecretId="s", KmsKeyId=key, **value) == expected

    def test_are_refused_where_the_store_brings_its_own(self) -> None:
        """Nothing is encrypted twice."""

        class Bringing(MemoryStore):
            def keyring(self) -> Any:
                return Plain()

        class Plain:
            def seal(self, plaintext: bytes, *, key_id: str | None, context: Any) -> Any:
                raise NotImplementedError

            def open(self, sealed: Any) -> bytes:
                raise DecryptionFailure("x")

        with EmbeddedService(Bringing()) as service, pytest.raises(ConfigError, match="own keys"):
            service.create_key()


class TestTheMasterKey:
    def test_is_made_beside_the_file_for_its_owner_only(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """32 bytes, 0600, whatever the umask."""
        before = os.umask(0)
        try:
            make(f"embedded://{tmp_path}/s.db")
        finally:
            os.umask(before)
        key = tmp_path / "s.db.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(key.read_bytes()) == 32

    def test_opens_the_store_again(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """After closing, from the same file."""
        url = f"embedded://{tmp_path}/s.db"
        first = make(url)
        first.create(value="kept")
        first.service.close()
        assert make(url).value() == "kept"

    def test_lost_is_an_error_and_no_new_one_is_made(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """A new key would make the loss final and hide it."""
        url = f"embedded://{tmp_path}/s.db"
        make(url).service.close()
        key = tmp_path / "s.db.key"
        key.rename(tmp_path / "elsewhere")
        with pytest.raises(MasterKeyError, match=re.escape(str(key))):
            make(url)
        assert not key.exists()

    def test_of_another_store_is_an_error(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """At once, not at the first read."""
        for name in ("a", "b"):
            make(f"embedded://{tmp_path}/{name}.db").service.close()
        with pytest.raises(MasterKeyError, match="not the one this store was made with"):
            make(f"embedded://{tmp_path}/a.db?master_key_file={tmp_path}/b.db.key")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
    def test_that_others_may_read_is_refused(
        self, make: Callable[..., Any], tmp_path: Path, mode: int
    ) -> None:
        """With the command that mends it."""
        url = f"embedded://{tmp_path}/s.db"
        make(url).service.close()
        key = tmp_path / "s.db.key"
        key.chmod(mode)
        with pytest.raises(MasterKeyError, match=f"chmod 600 {re.escape(str(key))}"):
            make(url)
        key.chmod(0o600)
        make(url)

    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_of_another_length_is_refused(
        self, make: Callable[..., Any], tmp_path: Path, length: int
    ) -> None:
        """It is no key then."""
        key = tmp_path / "key"
        key.write_bytes(b"k" * length)
        key.chmod(0o600)
        with pytest.raises(MasterKeyError, match="32 bytes"):
            make(f"embedded://?master_key_file={key}")

    def test_may_be_named_in_the_url_or_the_environment(
        self, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The URL goes first; a named one is never made."""
        named = tmp_path / "named.key"
        with pytest.raises(MasterKeyError, match=r"named\.key"):
            make(f"embedded://{tmp_path}/s.db?master_key_file={named}")
        assert not named.exists()
        named.write_bytes(b"k" * 32)
        named.chmod(0o600)
        world = make(f"embedded://{tmp_path}/s.db?master_key_file={named}")
        world.create(value="kept")
        world.service.close()
        assert not (tmp_path / "s.db.key").exists()
        monkeypatch.setenv("SMCLIENT_MASTER_KEY_FILE", str(named))
        assert make(f"embedded://{tmp_path}/s.db").value() == "kept"
        monkeypatch.setenv("SMCLIENT_MASTER_KEY_FILE", str(tmp_path / "nowhere"))
        with pytest.raises(MasterKeyError, match="nowhere"):
            make(f"embedded://{tmp_path}/s.db")
        assert make(f"embedded://{tmp_path}/s.db?master_key_file={named}").value() == "kept"

    def test_may_be_given_as_an_object(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """Then there is no file; another one does not open the store."""
        url = f"embedded://{tmp_path}/s.db"
        world = make(url, master_key=MasterKey(b"k" * 32))
        world.create(value="kept")
        world.service.close()
        assert not (tmp_path / "s.db.key").exists()
        assert make(url, master_key=MasterKey(b"k" * 32)).value() == "kept"
        with pytest.raises(MasterKeyError):
            make(url, master_key=MasterKey(b"x" * 32))

    def test_that_cannot_be_made_is_told_and_nothing_stays(
        self, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither a short file, which no store would open with, nor a draft."""
        url = f"embedded://{tmp_path}/s.db"

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(MasterKeyError, match="cannot be made .No such file"):
            MasterKey.from_file(tmp_path / "nowhere" / "k", create=True)
        monkeypatch.setattr("smclient_embedded.disk.os.fsync", full)
        with pytest.raises(MasterKeyError, match="cannot be made .No space left"):
            MasterKey.from_file(tmp_path / "k", create=True)
        monkeypatch.undo()
        assert list(tmp_path.iterdir()) == []
        make(url).create(value="kept")

    def test_never_stands_in_the_store(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """A copied database is useless without it."""
        world = make(f"embedded://{tmp_path}/s.db")
        world.create(value=CANARY)
        world.service.close()
        key = (tmp_path / "s.db.key").read_bytes()
        for path in tmp_path.iterdir():
            if path.name != "s.db.key":
                assert key not in path.read_bytes()

    def test_refuses_pickling(self) -> None:
        """It is not to travel."""
        import pickle

        with pytest.raises(TypeError):
            pickle.dumps(MasterKey(b"k" * 32))
