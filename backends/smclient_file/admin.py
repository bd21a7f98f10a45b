"""What is done to a store as a whole: its key slots, its keys, a check of everything in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from smclient_file.crypto import Place, SealBroken, StoreKeys, Value
from smclient_file.errors import FileStoreError, StoreDamaged, StoreLocked
from smclient_file.format import Header
from smclient_file.generation import Generation
from smclient_file.lines import (
    Content,
    OwnKey,
    VersionRow,
    own_sealed,
    setting_line,
    setting_of,
    setting_place,
    value_of,
)
from smclient_file.seals import opened_setting, setting_damaged
from smclient_file.slots import MAX_SLOTS, Slot
from smclient_file.store import FileStore
from smclient_file.tables import Entry, Tables
from smclient_file.unlock import Credentials, material_of

Reseal = Callable[[Value, Place, int], Value]
"""From a sealed value, its place and its epoch to the same value sealed anew."""


def add_slot(store: FileStore, make: Callable[[StoreKeys], Slot]) -> Slot:
    """Add a way to open the store. No value is touched.

    Raises:
        FileStoreError: there are sixteen already.
    """
    made: list[Slot] = []

    def change(base: Generation) -> tuple[Header, StoreKeys, Tables]:
        if len(base.header.slots) >= MAX_SLOTS:
            raise FileStoreError(
                store.path,
                f"it has {MAX_SLOTS} key slots, as many as the format allows",
                part="key slots",
                remedy="remove one first",
            )
        made.append(make(base.keys))
        return replace(base.header, slots=(*base.header.slots, *made)), base.keys, base.tables

    store.rewrite(change)
    return made[0]


def remove_slot(store: FileStore, slot_id: str) -> None:
    """Take a way to open the store away. Who kept an older file and its key still reads that.

    Raises:
        FileStoreError: there is no such slot, or it is the last one.
    """

    def change(base: Generation) -> tuple[Header, StoreKeys, Tables]:
        rest = tuple(slot for slot in base.header.slots if slot.head.id != slot_id)
        if len(rest) == len(base.header.slots):
            known = ", ".join(slot.head.id for slot in base.header.slots)
            raise FileStoreError(
                store.path, f"there is no key slot {slot_id!r}; it has: {known}", part="key slots"
            )
        if not rest:
            raise FileStoreError(
                store.path,
                "the last key slot cannot be removed: nobody could open it any more",
                part="key slots",
                remedy="add another one first",
            )
        return replace(base.header, slots=rest), base.keys, base.tables

    store.rewrite(change)


def left_behind(store: FileStore, given: Credentials) -> tuple[Slot, ...]:
    """The slots whose key is not in ``given``: those that a new root key would lock out."""
    header = store.generation().header
    return tuple(
        slot for slot in header.slots if material_of(store.path, header, slot, given) is None
    )


def rekey(
    store: FileStore, given: Credentials, *, reencrypt: bool = False, rotate_root: bool = False
) -> tuple[Slot, ...]:
    """Begin a new epoch: every data key is wrapped anew, and with ``reencrypt`` every value too.

    With ``rotate_root`` there is a new root key as well. Only slots whose key is in ``given`` can
    follow it; the others are removed and returned.

    Raises:
        StoreLocked: ``rotate_root``, and no slot could follow.
        StoreDamaged: a value does not open.
    """
    lost: list[Slot] = []

    def change(base: Generation) -> tuple[Header, StoreKeys, Tables]:
        header, keys = base.header, base.keys
        if rotate_root:
            keys = StoreKeys.random(store_id=header.store_id, algorithm=header.algorithm)
            kept: list[Slot] = []
            for slot in header.slots:
                material = material_of(store.path, header, slot, given)
                if material is None:
                    lost.append(slot)
                else:
                    kept.append(slot.head.wrap(material, keys.root(), header.store_id))
            if not kept:
                raise StoreLocked(store.path, "no key was given that could open it afterwards")
            header = replace(header, slots=tuple(kept))
        header = replace(header, epoch=header.epoch + 1)

        def reseal(value: Value, place: Place, epoch: int) -> Value:
            if reencrypt:
                return keys.seal(base.keys.open(value, place, epoch), place, header.epoch)
            return base.keys.rewrap(value, place, epoch, keys, header.epoch)

        return header, keys, resealed(store.path, header, base.tables, reseal)

    store.rewrite(change)
    return tuple(lost)


def resealed(store: str, header: Header, tables: Tables, reseal: Reseal) -> Tables:
    """Tables with every value and setting sealed anew, under the header's epoch.

    Raises:
        StoreDamaged: a value does not open.
    """
    entries: dict[str, Entry | None] = {}
    for arn, entry in tables.entries.items():
        content = entry.content()
        try:
            new = resealed_content(content, header, reseal)
        except SealBroken:
            raise StoreDamaged(
                store,
                f"a value of {arn} does not open",
                part=f"secret {arn}",
                remedy="delete that version, or restore an older file",
            ) from None
        entries[arn] = Entry.of(store, header.store_id, new)
    settings: dict[str, bytes] = {}
    for name, line in tables.settings.items():
        try:
            _, epoch, value = setting_of(line)
            new_value = reseal(value, setting_place(name), epoch)
        except (SealBroken, ValueError):
            raise setting_damaged(store, name) from None
        settings[name] = setting_line(name, header.epoch, new_value)
    return tables.changed(entries, settings)


def resealed_content(content: Content, header: Header, reseal: Reseal) -> Content:
    """A secret with every value of the file's own seal sealed anew. Raises ``SealBroken``."""
    versions = {
        version_id: _resealed_row(row, header, reseal)
        for version_id, row in content.versions.items()
    }
    return replace(content, versions=versions)


def _resealed_row(row: VersionRow, header: Header, reseal: Reseal) -> VersionRow:
    sealed = row.record.sealed
    own = None if sealed is None else OwnKey.parse(sealed.key_id)
    if sealed is None or own is None:
        return row
    value = reseal(value_of(sealed), row.place, own.epoch)
    key = replace(own, epoch=header.epoch)
    return replace(row, record=replace(row.record, sealed=own_sealed(row.place, key, value)))


@dataclass(frozen=True, slots=True)
class Report:
    """What a check of everything found. ``problems`` names secrets and versions, no value."""

    secrets: int
    versions: int
    problems: tuple[str, ...]


def verify(store: FileStore) -> Report:
    """Read every line and open every value. The file as a whole was checked when it was opened."""
    base = store.generation()
    problems: list[str] = []
    versions = 0
    for arn, entry in base.tables.entries.items():
        try:
            content = entry.content()
        except StoreDamaged as error:
            problems.append(str(error))
            continue
        for row in content.versions.values():
            versions += 1
            if not _opens(base.keys, row):
                problems.append(f"version {row.record.version_id} of {arn} does not open")
    for name, line in base.tables.settings.items():
        try:
            opened_setting(store.path, base.keys, name, line)
        except StoreDamaged as error:
            problems.append(str(error))
    return Report(len(base.tables.entries), versions, tuple(problems))


def _opens(keys: StoreKeys, row: VersionRow) -> bool:
    sealed = row.record.sealed
    own = None if sealed is None else OwnKey.parse(sealed.key_id)
    if sealed is None or own is None:
        return sealed is None  # a value that another keyring sealed cannot be opened here
    try:
        keys.open(value_of(sealed), row.place, own.epoch)
    except SealBroken:
        return False
    return True
