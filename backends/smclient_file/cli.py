"""``smclient file``: make, use, check, compare and move encrypted files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from smclient.cli.options import confirm, json_option, print_fields, print_json, yes_option
from smclient_embedded.kdf import ARGON2ID, PBKDF2, SCRYPT, Kdf
from smclient_file import first_slot, new_store_id
from smclient_file.admin import add_slot, left_behind, rekey, remove_slot, verify
from smclient_file.cli_common import FileGroup, Given, opening, secret_from, store_argument
from smclient_file.cli_git import diff, merge
from smclient_file.cli_move import export, import_
from smclient_file.cli_values import edit, get, list_, put
from smclient_file.crypto import ALGORITHMS, StoreKeys
from smclient_file.errors import StoreExists
from smclient_file.slots import PASSPHRASE, Slot
from smclient_file.store import FileStore, create
from smclient_file.unlock import (
    Credentials,
    git_tree,
    make_key_file,
    make_keyring_slot,
    make_kms_slot,
)

_KDFS = {"argon2id": ARGON2ID, "scrypt": SCRYPT, "pbkdf2": PBKDF2}
_SHORT = 12

REVOKED_NOT = (
    "who kept an older file and that key still reads what was in it then; to lock them out of what "
    "comes: smclient file rekey --rotate-root --reencrypt, and new values for the secrets"
)


@click.group(cls=FileGroup)
def file() -> None:
    """Secrets in one encrypted file that can live in git. STORE is its path.

    Exit codes: 0 fine, 1 refused or damaged, 2 wrong usage, 3 no such file or secret, 4 wrong key
    or denied, 5 busy.
    """


def _slot_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option("--label", default="", help="Your own word for the key slot."),
            click.option("--kdf", type=click.Choice(sorted(_KDFS)), help="For a passphrase."),
            click.option("--fips", is_flag=True, help="The same as --kdf pbkdf2."),
            click.option("--kms", metavar="KEY", help="Open with this AWS KMS key."),
            click.option("--kms-region", metavar="REGION", help="Where the KMS key is."),
            click.option("--keyring", is_flag=True, help="Open with the system keyring."),
            click.option("--force", is_flag=True, help="Make a key file even in a git work tree."),
        )
    ):
        command = option(command)
    return command


@file.command()
@store_argument()
@_slot_options
@click.option("--alg", type=click.Choice(sorted(ALGORITHMS)), default="A256GCM", show_default=True)
@opening
@json_option
def init(
    given: Given,
    store: str,
    label: str,
    kdf: str | None,
    fips: bool,
    kms: str | None,
    kms_region: str | None,
    keyring: bool,
    force: bool,
    alg: str,
    as_json: bool,
) -> None:
    """Make an empty STORE, opened by a passphrase, or by a key file, which is made if there is
    none."""
    if os.path.lexists(store):
        raise StoreExists(store, "there is a file already", remedy="choose another path")
    credentials = given.credentials()
    made = _key_file(credentials, force)

    def slots(keys: StoreKeys) -> list[Slot]:
        if kms is not None or keyring:
            return [_remote_slot(store, keys, label, kms, kms_region, credentials)]
        _warn_if_short(credentials)
        return [first_slot(store, keys, credentials, label=label, kdf=_kdf(kdf, fips))]

    path = create(store, slots, algorithm=alg, store_id=new_store_id())
    opened = FileStore(path, credentials)
    shown = {
        "path": path,
        **_told(opened),
        "key_file": None if made is None else str(made),
        "gitignore": _ignored(path, made),
        "gitattributes": f"{os.path.basename(path)} -text merge=smclient",
    }
    if as_json:
        print_json(shown)
        return
    click.echo(f"made {path} (store {shown['store_id']})")
    if made is not None:
        click.echo(f"made the key file {made}: keep a copy, nothing else opens the store")
    if git_tree(Path(path)) is not None:
        click.echo("for git:")
        click.echo("  .gitignore      " + "  ".join(shown["gitignore"]))
        click.echo(f"  .gitattributes  {shown['gitattributes']}")
        click.echo("  git config merge.smclient.driver 'smclient file merge %O %A %B'")


@file.command("verify")
@store_argument()
@opening
@json_option
def verify_(given: Given, store: str, as_json: bool) -> None:
    """Check the MAC of STORE, read every line, open every value. Prints no value."""
    with given.store(store) as opened:
        report = verify(opened)
        shown = {
            "path": opened.path,
            **_told(opened),
            "secrets": report.secrets,
            "versions": report.versions,
            "problems": list(report.problems),
        }
    if as_json:
        print_json(shown)
    else:
        slots = ", ".join(f"{slot['id']} ({slot['kind']})" for slot in shown["slots"])
        print_fields({**shown, "slots": slots, "problems": len(report.problems) or "none"})
        for problem in report.problems:
            click.echo(f"problem: {problem}", err=True)
    if report.problems:
        raise click.exceptions.Exit(1)


@file.command("rekey")
@store_argument()
@click.option("--reencrypt", is_flag=True, help="New data keys and ciphertext for every value.")
@click.option("--rotate-root", is_flag=True, help="A new root key; slots without a key here go.")
@yes_option
@opening
@json_option
def rekey_(
    given: Given, store: str, reencrypt: bool, rotate_root: bool, yes: bool, as_json: bool
) -> None:
    """Begin a new epoch of keys: data keys are wrapped anew, values stay as they are."""
    credentials = given.credentials()
    opened = given.open(store, credentials)
    gone = left_behind(opened, credentials) if rotate_root else ()
    if gone:
        said = ", ".join(f"{slot.head.id} ({slot.head.kind} {slot.head.label})" for slot in gone)
        confirm(f"Remove the key slots whose key is not at hand: {said}?", yes=yes)
    lost = rekey(opened, credentials, reencrypt=reencrypt, rotate_root=rotate_root)
    told = {**_told(opened), "removed_slots": [_slot(slot) for slot in lost]}
    opened.close()
    if as_json:
        print_json(told)
        return
    click.echo(f"{store}: epoch {told['epoch']}, generation {told['generation']}")
    for slot in lost:
        click.echo(
            f"removed key slot {slot.head.id} ({slot.head.kind} {slot.head.label}): its key "
            "was not at hand; add it again"
        )


@file.command("add-key")
@store_argument()
@click.option("--new-key-file", metavar="PATH", help="A key file, made if there is none.")
@click.option("--new-passphrase", metavar="SOURCE", help="@FILE, - or env:NAME.")
@_slot_options
@opening
@json_option
def add_key(
    given: Given,
    store: str,
    new_key_file: str | None,
    new_passphrase: str | None,
    label: str,
    kdf: str | None,
    fips: bool,
    kms: str | None,
    kms_region: str | None,
    keyring: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Add a way to open STORE. No value is touched."""
    if sum(map(bool, (new_key_file, new_passphrase, kms, keyring))) != 1:
        raise click.UsageError(
            "say which: --new-key-file, --new-passphrase, --kms with --kms-region, or --keyring"
        )
    credentials = given.credentials()
    new = Credentials(
        passphrase=secret_from(new_passphrase) if new_passphrase else None,
        key_file=Path(new_key_file) if new_key_file else None,
        environment=False,
    )
    opened = given.open(store, credentials)
    made = _key_file(new, force)

    def make(keys: StoreKeys) -> Slot:
        if kms is not None or keyring:
            return _remote_slot(store, keys, label, kms, kms_region, credentials)
        _warn_if_short(new)
        return first_slot(store, keys, new, label=label, kdf=_kdf(kdf, fips))

    slot = add_slot(opened, make)
    opened.close()
    if as_json:
        print_json({**_slot(slot), "key_file": None if made is None else str(made)})
    else:
        click.echo(f"{store}: added key slot {slot.head.id} ({slot.head.kind})")


@file.command("remove-key")
@store_argument()
@click.argument("slot")
@opening
@json_option
def remove_key(given: Given, store: str, slot: str, as_json: bool) -> None:
    """Take the key slot SLOT (its id, see verify) away from STORE."""
    with given.store(store) as opened:
        remove_slot(opened, slot)
        told = _told(opened)
    if as_json:
        print_json({**told, "removed": slot})
    else:
        click.echo(f"{store}: removed key slot {slot}")
    click.echo(f"note: {REVOKED_NOT}", err=True)


for _command in (put, get, list_, edit, diff, merge, import_, export):
    file.add_command(_command)


def _kdf(name: str | None, fips: bool) -> Kdf:
    if fips and name not in (None, "pbkdf2"):
        raise click.UsageError("--fips allows --kdf pbkdf2 only")
    return Kdf.choose(PBKDF2 if fips else None if name is None else _KDFS[name])


def _key_file(credentials: Credentials, force: bool) -> Path | None:
    """Make the key file that is named, if there is none."""
    path = credentials.get_key_file()
    if path is None or path.exists():
        return None
    make_key_file(path, even_in_git=force)
    return path


def _remote_slot(
    store: str,
    keys: StoreKeys,
    label: str,
    kms: str | None,
    region: str | None,
    credentials: Credentials,
) -> Slot:
    if kms is None:
        return make_keyring_slot(store, keys, label)
    parts = kms.split(":")
    region = region or (parts[3] if len(parts) > 3 else None)
    if region is None:
        raise click.UsageError("say where the KMS key is: --kms-region, or give its ARN")
    return make_kms_slot(store, keys, label, kms, region, credentials)


def _warn_if_short(credentials: Credentials) -> None:
    passphrase = credentials.get_passphrase() if credentials.get_key_file() is None else None
    if passphrase is not None and len(passphrase) < _SHORT:
        click.echo(
            f"warning: a passphrase of fewer than {_SHORT} characters can be guessed by whoever "
            "has the file",
            err=True,
        )


def _told(store: FileStore) -> dict[str, Any]:
    header = store.generation().header
    return {
        "store_id": header.store_id,
        "generation": header.generation,
        "epoch": header.epoch,
        "algorithm": header.algorithm,
        "slots": [_slot(slot) for slot in header.slots],
    }


def _slot(slot: Slot) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": slot.head.id, "kind": slot.head.kind, "label": slot.head.label}
    if slot.head.kind == PASSPHRASE:
        kdf = slot.head.kdf()
        shown["kdf"] = {"name": kdf.name, **kdf.parameters}
    return shown


def _ignored(path: str, key_file: Path | None) -> list[str]:
    name = os.path.basename(path)
    keys = [] if key_file is None else [key_file.name]
    return [f"{name}.lock", f".{name}.*.tmp", *keys]
