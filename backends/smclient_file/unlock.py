"""From what a user has (a passphrase, a key file, KMS, the system keyring) to the root key."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from smclient_file.crypto import KEY_BYTES, SealBroken, StoreKeys
from smclient_file.errors import (
    KdfParametersRefused,
    KeyUnavailable,
    StoreDamaged,
    StoreExists,
    StoreLocked,
    StorePermissionsRefused,
    WrongKey,
)
from smclient_file.format import Header
from smclient_file.kdf import KdfRefused
from smclient_file.slots import KEY_FILE, KEYRING, KMS, PASSPHRASE, Slot, SlotHead, head, unpacked
from smclient_file.system import flag, open_to_others, this_system
from smclient_file.write import write_all

PASSPHRASE_VARIABLE = "SMCLIENT_PASSPHRASE"  # noqa: S105  a name, not a passphrase
KEY_FILE_VARIABLE = "SMCLIENT_KEY_FILE"
KEYRING_SERVICE = "smclient-file"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user opens a store with. Hides itself.

    What was given goes before the environment, which is seen each time anew; a key file goes before
    a passphrase, both before the system keyring and KMS, which are asked only where the store has a
    slot for them and nothing else was given.
    """

    passphrase: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    kms_client: Callable[[str], Any] | None = field(default=None, repr=False)
    environment: bool = True

    def get_passphrase(self) -> str | None:
        """The passphrase, if there is one."""
        return self.passphrase or self._variable(PASSPHRASE_VARIABLE)

    def get_key_file(self) -> Path | None:
        """The key file, if one is named: one that was given, or that of the environment where no
        passphrase was given."""
        return self.key_file if self.passphrase else self.any_key_file()

    def any_key_file(self) -> Path | None:
        """The same; that of the environment even beside a passphrase that was given."""
        named = self._variable(KEY_FILE_VARIABLE)
        return self.key_file or (Path(named) if named else None)

    def _variable(self, name: str) -> str | None:
        return os.environ.get(name) or None if self.environment else None


def unlock(store: str, header: Header, given: Credentials) -> tuple[StoreKeys, Slot]:
    """The keys of a store, and the slot that gave them.

    Raises:
        WrongKey: what was given is not what the store was locked with.
        StoreLocked: nothing was given that the store has a slot for.
        KeyUnavailable: the key file, KMS or the keyring cannot be asked.
        StoreDamaged: a slot knows the key and does not open.
    """
    slots = {kind: [s for s in header.slots if s.head.kind == kind] for kind in _KINDS}
    key_file, passphrase = given.get_key_file(), given.get_passphrase()
    if key_file is not None and (slots[KEY_FILE] or given.key_file is not None):
        material = read_key_file(key_file)
        return _try(store, header, slots[KEY_FILE], lambda _: material, f"the key file {key_file}")
    if passphrase is not None and (slots[PASSPHRASE] or given.passphrase):
        derive = _deriver(store, passphrase)
        return _try(store, header, slots[PASSPHRASE], derive, "the passphrase")
    if slots[KEYRING]:
        ask = _keyring_asker(store, header.store_id)
        return _try(store, header, slots[KEYRING], ask, "the entry in the system keyring")
    if slots[KMS]:
        return _try(store, header, slots[KMS], _kms_asker(store, header, given), "the KMS key")
    kinds = ", ".join(sorted({slot.head.kind for slot in header.slots}))
    raise StoreLocked(
        store,
        f"no key was given; it opens with: {kinds}",
        part="key slots",
        remedy=f"set {PASSPHRASE_VARIABLE}, or name a key file with ?key_file= or --key-file",
    )


_KINDS = (PASSPHRASE, KEY_FILE, KEYRING, KMS)


def _try(
    store: str,
    header: Header,
    slots: Iterable[Slot],
    material_of: Callable[[Slot], bytes],
    what: str,
) -> tuple[StoreKeys, Slot]:
    unavailable: KeyUnavailable | None = None
    for slot in slots:
        try:
            material = material_of(slot)
        except KeyUnavailable as error:
            unavailable = error
            continue
        if not slot.recognises(material, header.store_id):
            continue
        try:
            root = slot.unwrap(material, header.store_id)
        except SealBroken:
            raise StoreDamaged(
                store,
                f"the key slot {slot.head.id} ({slot.head.kind}) is damaged: {what} is right, and "
                "it does not open",
                part=f"key slot {slot.head.id}",
                remedy="open it with another slot, or restore it from a backup or from git",
            ) from None
        keys = StoreKeys(root, store_id=header.store_id, algorithm=header.algorithm)
        return keys, slot
    if unavailable is not None:
        raise unavailable
    raise WrongKey(
        store,
        f"{what} does not open it; the header itself is intact",
        part="key slots",
        remedy="give the right key, or open it with another slot",
    )


def material_of(store: str, header: Header, slot: Slot, given: Credentials) -> bytes | None:
    """The material of one slot, if what was given or the environment has it."""
    key_file, passphrase = given.any_key_file(), given.get_passphrase()
    try:
        if slot.head.kind == PASSPHRASE:
            material = _deriver(store, passphrase)(slot) if passphrase is not None else b""
        elif slot.head.kind == KEY_FILE:
            material = read_key_file(key_file) if key_file is not None else b""
        elif slot.head.kind == KEYRING:
            material = _keyring_asker(store, header.store_id)(slot)
        else:
            material = _kms_asker(store, header, given)(slot)
    except KeyUnavailable:
        return None
    return material if material and slot.recognises(material, header.store_id) else None


def _deriver(store: str, passphrase: str) -> Callable[[Slot], bytes]:
    def derive(slot: Slot) -> bytes:
        try:
            return slot.head.kdf().derive(passphrase)
        except KdfRefused as error:
            raise KdfParametersRefused(store, str(error), part=f"key slot {slot.head.id}") from None

    return derive


# --- key files ------------------------------------------------------------------------------------


def read_key_file(path: Path) -> bytes:
    """The 32 bytes of a key file that only its owner may read.

    Raises:
        KeyUnavailable, StorePermissionsRefused
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | flag("O_CLOEXEC") | flag("O_BINARY"))
        try:
            mode = os.fstat(descriptor).st_mode
            material = os.read(descriptor, KEY_BYTES + 1) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyUnavailable(
            path, f"the key file cannot be read: {error.strerror}", part="key file"
        ) from error
    if os.name == "posix" and open_to_others(mode):
        raise StorePermissionsRefused(
            path,
            "the key file is open to others than its owner",
            part="key file",
            remedy=f"chmod 600 {path}, and change the key if others may have read it",
        )
    if len(material) != KEY_BYTES:
        raise KeyUnavailable(
            path, f"a key file has exactly {KEY_BYTES} bytes, and this has not", part="key file"
        )
    return material


def make_key_file(path: Path, *, even_in_git: bool = False) -> bytes:
    """A new key file, 0600, and its content.

    Raises:
        StoreExists: there is a file already.
        StorePermissionsRefused: the path is in a git work tree, where it would be committed.
        KeyUnavailable: it cannot be written.
    """
    tree = None if even_in_git else git_tree(path)
    if tree is not None:
        raise StorePermissionsRefused(
            path,
            f"a key file in the git work tree {tree} would be committed beside what it opens",
            part="key file",
            remedy="put it outside, or insist with --force",
        )
    material = os.urandom(KEY_BYTES)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | flag("O_CLOEXEC") | flag("O_BINARY")
        _fill_key_file(path, os.open(path, flags, 0o600), material)
    except FileExistsError:
        raise StoreExists(path, "there is a file already", part="key file") from None
    except OSError as error:
        raise KeyUnavailable(
            path, f"the key file cannot be written: {error.strerror}", part="key file"
        ) from error
    return material


def _fill_key_file(path: Path, descriptor: int, material: bytes) -> None:
    """Bring the key and its name to the disk; what is not whole goes."""
    system = this_system()
    try:
        try:
            write_all(descriptor, material)
            system.flush(descriptor)
        finally:
            os.close(descriptor)
        system.flush_folder(os.path.dirname(os.path.abspath(path)))
    except BaseException:
        with suppress(OSError):  # the error that is on its way says more
            os.unlink(path)
        raise


def git_tree(path: Path) -> Path | None:
    """The git work tree that a path is in: a folder above it has ``.git``."""
    folder = Path(os.path.realpath(path)).parent
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


# --- the system keyring ---------------------------------------------------------------------------


def make_keyring_slot(store: str, keys: StoreKeys, label: str) -> Slot:
    """A slot whose key is a new entry of the system keyring.

    Raises:
        KeyUnavailable: the package or a working keyring is missing.
    """
    keyring = _package(store, "keyring")
    material = os.urandom(KEY_BYTES)
    slot_head = head(KEYRING, label, service=KEYRING_SERVICE)
    user = _keyring_user(keys.store_id, slot_head)
    _asked(
        store,
        "the system keyring",
        lambda: keyring.set_password(KEYRING_SERVICE, user, base64.b64encode(material).decode()),
    )
    return slot_head.wrap(material, keys.root(), keys.store_id)


def _keyring_asker(store: str, store_id: str) -> Callable[[Slot], bytes]:
    def ask(slot: Slot) -> bytes:
        keyring = _package(store, "keyring")
        service = str(dict(slot.head.own)["service"])
        user = _keyring_user(store_id, slot.head)
        found = _asked(store, "the system keyring", lambda: keyring.get_password(service, user))
        if not isinstance(found, str):
            raise KeyUnavailable(
                store,
                f"the system keyring has no entry {user!r} of {service!r}",
                part=f"key slot {slot.head.id}",
            )
        try:
            return base64.b64decode(found, validate=True)
        except ValueError:
            return b""

    return ask


def _keyring_user(store_id: str, slot_head: SlotHead) -> str:
    return f"{store_id}/{slot_head.id}"


# --- KMS ------------------------------------------------------------------------------------------


def make_kms_slot(
    store: str, keys: StoreKeys, label: str, key: str, region: str, given: Credentials
) -> Slot:
    """A slot whose key is a data key of AWS KMS.

    Raises:
        KeyUnavailable: boto3 is missing, or KMS refuses or does not answer.
    """
    client = _kms_client(store, region, given)
    answer = _asked(
        store,
        f"KMS key {key}",
        lambda: client.generate_data_key(
            KeyId=key, KeySpec="AES_256", EncryptionContext=_context(keys.store_id)
        ),
    )
    blob = base64.b64encode(answer["CiphertextBlob"]).decode()
    slot_head = head(KMS, label, kms=answer["KeyId"], region=region, blob=blob)
    return slot_head.wrap(answer["Plaintext"], keys.root(), keys.store_id)


def _kms_asker(store: str, header: Header, given: Credentials) -> Callable[[Slot], bytes]:
    def ask(slot: Slot) -> bytes:
        own = {name: str(value) for name, value in slot.head.own}
        client = _kms_client(store, own["region"], given)
        answer = _asked(
            store,
            f"KMS key {own['kms']}",
            lambda: client.decrypt(
                CiphertextBlob=unpacked(own["blob"]),
                KeyId=own["kms"],
                EncryptionContext=_context(header.store_id),
            ),
        )
        plaintext: bytes = answer["Plaintext"]
        return plaintext

    return ask


def _context(store_id: str) -> dict[str, str]:
    return {"smclient:store_id": store_id}


def _kms_client(store: str, region: str, given: Credentials) -> Any:
    if given.kms_client is not None:
        return given.kms_client(region)
    boto3 = _package(store, "boto3")
    return _asked(store, "boto3", lambda: boto3.client("kms", region_name=region))


def _package(store: str, name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise KeyUnavailable(
            store,
            f"this key slot needs the package {name!r}, which is absent",
            part="key slots",
            remedy=f"pip install {name}",
        ) from None


def _asked(store: str, whom: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  boto3's and keyring's errors have no common base
        response = getattr(error, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        raise KeyUnavailable(
            store, f"{whom} cannot be used: {code or type(error).__name__}", part="key slots"
        ) from None
