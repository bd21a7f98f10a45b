"""Three files into one: what one side changed is taken, what both changed alike is taken, what both
changed differently is a conflict. By secret, version, label, tag and field; never by line."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from smclient_embedded.store import SecretRecord, StoreConflict
from smclient_file.admin import Reseal, resealed, resealed_content
from smclient_file.crypto import Place, SealBroken, StoreKeys, Value
from smclient_file.errors import FileStoreError, MergeConflict, StoreDamaged
from smclient_file.format import Header
from smclient_file.generation import Generation
from smclient_file.lines import Content, OwnKey, VersionRow, value_of
from smclient_file.seals import opened_setting
from smclient_file.slots import Slot
from smclient_file.tables import Tables, name_key, tables_from

T = TypeVar("T")
Prefer = Literal["ours", "theirs"]


def merge(
    store: str,
    base: Generation | None,
    ours: Generation,
    theirs: Generation,
    *,
    prefer: Prefer | None = None,
) -> tuple[Header, StoreKeys, Tables]:
    """Header, keys and lines of the merged file; its generation is above both.

    ``prefer`` decides what both sides changed differently. The keys are those of the side that
    changed them; values of the other side are wrapped anew where it must be.

    Raises:
        MergeConflict: with a line for each thing that both changed.
        FileStoreError: the files are not of one store.
    """
    sides = [side for side in (base, ours, theirs) if side is not None]
    if len({(side.header.store_id, side.header.algorithm) for side in sides}) != 1:
        raise FileStoreError(
            store,
            "the files are not of one store, so they have no common history",
            part="header",
            remedy="import one into the other with 'smclient file export' and 'import'",
        )
    merging = _Merging(store, base, ours, theirs, prefer)
    result = merging.run()
    if merging.conflicts:
        raise MergeConflict(store, sorted(merging.conflicts))
    return result


@dataclass(slots=True)
class _Merging:
    store: str
    base: Generation | None
    ours: Generation
    theirs: Generation
    prefer: Prefer | None
    conflicts: set[str] = field(default_factory=set)

    def run(self) -> tuple[Header, StoreKeys, Tables]:
        header, keys = self._header()
        base, ours, theirs = (
            self._contents(side, header, keys) for side in (self.base, self.ours, self.theirs)
        )
        merged: list[Content] = []
        for arn in sorted(base.keys() | ours.keys() | theirs.keys()):
            content = self._secret(keys, base.get(arn), ours.get(arn), theirs.get(arn))
            if content is not None:
                merged.append(content)
        merged = self._one_of_each_name(merged, ours, theirs)
        try:
            tables = tables_from(self.store, header.store_id, merged)
        except StoreConflict as error:
            self.conflicts.add(str(error))
            return header, keys, Tables()
        settings = self._settings(header, keys)
        return header, keys, tables.changed({}, settings)

    def pick(self, what: str, base: T, ours: T, theirs: T) -> T:
        """The side that changed something; a conflict where both did."""
        if ours == theirs or theirs == base:
            return ours
        if ours == base:
            return theirs
        if self.prefer is None:
            self.conflicts.add(what)
        return theirs if self.prefer == "theirs" else ours

    def clash(self, what: str) -> Literal["ours", "theirs"]:
        """What cannot be picked field by field; the side that is preferred."""
        if self.prefer is None:
            self.conflicts.add(what)
        return self.prefer or "ours"

    # --- header -----------------------------------------------------------------------------------

    def _header(self) -> tuple[Header, StoreKeys]:
        base, ours, theirs = self.base, self.ours, self.theirs
        target = ours
        if not ours.keys.same_root(theirs.keys):
            of_base = base.keys if base is not None else ours.keys
            rotated = (not of_base.same_root(ours.keys), not of_base.same_root(theirs.keys))
            if rotated == (True, True):
                target = theirs if self.clash("the root key") == "theirs" else ours
            elif rotated[1]:
                target = theirs
            slots = target.header.slots
            other = ours if target is theirs else theirs
            if base is not None and _by_id(other) != _by_id(base):
                self.clash("the key slots, of which one side has a new root key")
            epoch = target.header.epoch
        else:
            slots = self._slots()
            epoch = max(ours.header.epoch, theirs.header.epoch)
        header = replace(
            target.header,
            generation=max(ours.header.generation, theirs.header.generation),
            slots=slots,
            epoch=epoch,
        )
        return header, target.keys

    def _slots(self) -> tuple[Slot, ...]:
        base = _by_id(self.base) if self.base is not None else {}
        ours, theirs = _by_id(self.ours), _by_id(self.theirs)
        picked = [
            self.pick(f"key slot {id_}", base.get(id_), ours.get(id_), theirs.get(id_))
            for id_ in dict.fromkeys([*ours, *theirs])
        ]
        slots = tuple(slot for slot in picked if slot is not None)
        if not slots:
            self.conflicts.add("the key slots: together both sides removed all of them")
        return slots or self.ours.header.slots

    # --- secrets ----------------------------------------------------------------------------------

    def _contents(
        self, side: Generation | None, header: Header, keys: StoreKeys
    ) -> dict[str, Content]:
        """The secrets of a side, their values under the keys of the result."""
        if side is None:
            return {}
        reseal = _rewrapper(side.keys, keys, header.epoch)
        found: dict[str, Content] = {}
        for arn, entry in side.tables.entries.items():
            try:
                found[arn] = resealed_content(entry.content(), header, reseal)
            except SealBroken:
                raise self._damaged(arn) from None
        return found

    def _damaged(self, arn: str) -> StoreDamaged:
        return StoreDamaged(
            self.store,
            f"a value of {arn} does not open",
            part=f"secret {arn}",
            remedy="find it with 'smclient file verify' in both files",
        )

    def _secret(
        self,
        keys: StoreKeys,
        base: Content | None,
        ours: Content | None,
        theirs: Content | None,
    ) -> Content | None:
        if ours is None or theirs is None:
            there = ours or theirs
            if there is None:
                return None
            if base is None:
                return there
            if _same(there, base):
                return None
            name = there.record.name
            preferred = self.clash(f"secret {name}: removed in one, changed in the other")
            return theirs if preferred == "theirs" else ours
        if _same(ours, theirs):
            return ours
        old = base or _nothing(ours.record)
        record = self._record(old.record, ours.record, theirs.record)
        name = record.name
        versions = self._versions(keys, old, ours, theirs)
        labels = self._each(f"secret {name}: label", old.labels, ours.labels, theirs.labels)
        job = self.pick(f"secret {name}: rotation under way", old.job, ours.job, theirs.job)
        merged = Content(record, ours.sequence, versions, labels, job)
        lost = {label for label, at in labels.items() if at not in versions}
        if lost:
            self.clash(f"secret {name}: a version with the label {min(lost)} was removed")
            merged = replace(
                merged, labels={label: at for label, at in labels.items() if label not in lost}
            )
        return merged

    def _record(self, old: SecretRecord, ours: SecretRecord, theirs: SecretRecord) -> SecretRecord:
        def one(name: str, of: Callable[[SecretRecord], Any]) -> Any:
            return self.pick(f"secret {ours.name}: {name}", of(old), of(ours), of(theirs))

        deletion = one("deletion", lambda record: (record.deleted_at, record.delete_after))
        tags = self._each(
            f"secret {ours.name}: tag", *(dict(r.tags or ()) for r in (old, ours, theirs))
        )
        tagged = ours.tags is not None or theirs.tags is not None
        return replace(
            ours,
            name=one("name", lambda record: record.name),
            changed_at=max(ours.changed_at, theirs.changed_at),
            description=one("description", lambda record: record.description),
            kms_key_id=one("KMS key", lambda record: record.kms_key_id),
            deleted_at=deletion[0],
            delete_after=deletion[1],
            tags=tuple(tags.items()) if tagged else None,
            rotation=one("rotation", lambda record: record.rotation),
            policies=self._each(
                f"secret {ours.name}: policy", old.policies, ours.policies, theirs.policies
            ),
            owning_service=one("owner", lambda record: record.owning_service),
            primary_region=one("primary region", lambda record: record.primary_region),
            secret_type=one("type", lambda record: record.secret_type),
            replicas=one("replicas", lambda record: record.replicas),
            cross_account_primary=one("primary", lambda record: record.cross_account_primary),
        )

    def _each(
        self, what: str, old: Mapping[str, T], ours: Mapping[str, T], theirs: Mapping[str, T]
    ) -> dict[str, T]:
        merged: dict[str, T] = {}
        for key in dict.fromkeys([*ours, *theirs]):
            value = self.pick(f"{what} {key}", old.get(key), ours.get(key), theirs.get(key))
            if value is not None:
                merged[key] = value
        return merged

    def _versions(
        self, keys: StoreKeys, old: Content, ours: Content, theirs: Content
    ) -> dict[str, VersionRow]:
        name = ours.record.name
        merged: dict[str, VersionRow] = {}
        for version_id in dict.fromkeys([*ours.versions, *theirs.versions]):
            rows = [side.versions.get(version_id) for side in (old, ours, theirs)]
            told = [None if row is None else _identity(row) for row in rows]
            try:
                if told[0] not in told[1:] and _same_value(keys, rows[1], rows[2]):
                    told[2] = told[1]  # both sealed it anew
            except SealBroken:
                raise self._damaged(ours.record.arn) from None
            picked = self.pick(f"secret {name}: version {version_id}", *told)
            row = rows[1] if picked == told[1] else rows[2]
            if row is not None:
                merged[version_id] = row
        order = sorted(merged.items(), key=lambda pair: (pair[1].sequence, pair[0]))
        return dict(order)

    def _one_of_each_name(
        self, merged: list[Content], ours: Mapping[str, Content], theirs: Mapping[str, Content]
    ) -> list[Content]:
        """Both sides made a secret of one name: two ARNs."""
        by_name: dict[object, Content] = {}
        for content in merged:
            key = name_key(content.record)
            other = by_name.get(key)
            if other is not None:
                preferred = self.clash(f"secret {content.record.name}: made on both sides")
                side = theirs if preferred == "theirs" else ours
                content = content if content.record.arn in side else other
            by_name[key] = content
        return list(by_name.values())

    # --- settings ---------------------------------------------------------------------------------

    def _settings(self, header: Header, keys: StoreKeys) -> dict[str, bytes]:
        base, ours, theirs = (
            self._opened_settings(side, header, keys)
            for side in (self.base, self.ours, self.theirs)
        )
        merged: dict[str, bytes] = {}
        for name in sorted(ours.keys() | theirs.keys()):
            held = [side[name][0] if name in side else None for side in (base, ours, theirs)]
            picked = self.pick(f"setting {name}", *held)
            if picked is not None:
                merged[name] = (ours if picked == held[1] else theirs)[name][1]
        return merged

    def _opened_settings(
        self, side: Generation | None, header: Header, keys: StoreKeys
    ) -> dict[str, tuple[bytes, bytes]]:
        """Value and line of each setting, the line under the keys of the result."""
        if side is None:
            return {}
        reseal = _rewrapper(side.keys, keys, header.epoch)
        tables = resealed(self.store, header, Tables(settings=side.tables.settings), reseal)
        opened: dict[str, tuple[bytes, bytes]] = {}
        for name, line in tables.settings.items():
            opened[name] = opened_setting(self.store, keys, name, line), line
        return opened


def _nothing(record: SecretRecord) -> Content:
    """What both sides came from where both made the secret: nothing is set, not even its name."""
    made = record.created_at
    return Content(SecretRecord(record.arn, record.scope, "", made, made), 0)


def _rewrapper(of: StoreKeys, to: StoreKeys, epoch: int) -> Reseal:
    """Brings values of one side under the keys of the result. What is so already keeps its very
    bytes."""
    same = of.same_root(to)

    def reseal(value: Value, place: Place, was: int) -> Value:
        if same and was == epoch:
            return value
        return of.rewrap(value, place, was, to, epoch)

    return reseal


def _same_value(keys: StoreKeys, one: VersionRow | None, other: VersionRow | None) -> bool:
    """Whether two versions of one id hold the same value. Raises ``SealBroken``."""
    if one is None or other is None:
        return False
    opened: list[bytes] = []
    for row in (one, other):
        sealed = row.record.sealed
        own = None if sealed is None else OwnKey.parse(sealed.key_id)
        if sealed is None or own is None or row.place != one.place:
            return False
        opened.append(keys.open(value_of(sealed), row.place, own.epoch))
    return hmac.compare_digest(opened[0], opened[1])


def _identity(row: VersionRow) -> tuple[object, ...]:
    """A version without the wrapping of its data key, which differs after a rekey."""
    sealed = row.record.sealed
    seal = None if sealed is None else (sealed.nonce, sealed.ciphertext)
    return (row.record.kind, row.record.created_at, seal)


def _same(one: Content, other: Content) -> bool:
    def told(content: Content) -> tuple[object, ...]:
        versions = {id_: _identity(row) for id_, row in content.versions.items()}
        return (content.record, dict(content.labels), content.job, versions)

    return told(one) == told(other)


def _by_id(side: Generation) -> dict[str, Slot]:
    return {slot.head.id: slot for slot in side.header.slots}
