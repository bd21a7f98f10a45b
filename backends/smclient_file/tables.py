"""The contents of one generation of the file, found by ARN, by name, by the stem of an ARN.

Opening a file only looks at where each secret begins; a secret's lines are read when it is first
asked for. By then the MAC has vouched for every byte. Tables are never changed: a write makes new
ones, which share what did not change.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from smclient_embedded.store import Scope, SecretRecord, StoreConflict, stem_of
from smclient_file.errors import StoreDamaged
from smclient_file.lines import Content, content_of
from smclient_file.slots import canonical

_TEXT = rb'"((?:[^"\\]|\\.)*)"'
_FIRST = re.compile(
    rb'^\{"t":"secret","arn":%b,"account":%b,"region":%b,"name":%b,"seq":([0-9]{1,15}),'
    % ((_TEXT,) * 4),
    re.MULTILINE,
)
_SETTING = re.compile(rb'\{"t":"setting","name":%b,' % _TEXT)

NameKey = tuple[str, str, str]


class Entry:
    """One secret: its lines, and, once asked for, what they say."""

    __slots__ = ("_content", "_store", "arn", "block", "name", "sequence", "store_id")

    def __init__(
        self, store: str, store_id: str, arn: str, name: NameKey, sequence: int, block: bytes
    ) -> None:
        self._store = store
        self.store_id = store_id
        self.arn = arn
        self.name = name
        self.sequence = sequence
        self.block = block
        self._content: Content | None = None

    @classmethod
    def of(cls, store: str, store_id: str, content: Content) -> Entry:
        """The entry of a secret that was changed."""
        record = content.record
        block = content.block()
        entry = cls(store, store_id, record.arn, name_key(record), content.sequence, block)
        entry._content = content
        return entry

    def content(self) -> Content:
        """What the lines say. Raises ``StoreDamaged`` where they do not follow the format."""
        if self._content is None:
            try:
                self._content = content_of(self.block, self.store_id)
            except (ValueError, RecursionError) as error:
                raise StoreDamaged(
                    self._store,
                    f"the record of {self.arn} does not follow the format ({error}), although the "
                    "MAC fits: a faulty program with the key wrote it",
                    part=f"secret {self.arn}",
                    remedy="restore an older file",
                ) from None
        return self._content


@dataclass(slots=True)
class Tables:
    """Everything in one generation."""

    entries: dict[str, Entry] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)  # ARNs as JSON has them, sorted as lines are
    names: dict[NameKey, str] = field(default_factory=dict)
    stems: dict[str, tuple[str, ...]] = field(default_factory=dict)
    settings: dict[str, bytes] = field(default_factory=dict)  # lines by name
    next_sequence: int = 1

    def blocks(self) -> list[bytes]:
        """The body of the file."""
        found = [self.settings[name] for name in sorted(self.settings)]
        entries = self.entries
        found += [entries[_read(text)].block for text in self.order]
        return found

    def changed(self, entries: Mapping[str, Entry | None], settings: Mapping[str, bytes]) -> Tables:
        """New tables in which some entries are others, or gone (``None``)."""
        new = Tables(
            dict(self.entries),
            list(self.order),
            dict(self.names),
            dict(self.stems),
            {**self.settings, **settings},
            self.next_sequence,
        )
        for arn, entry in entries.items():
            if entry is None:
                new._remove(arn)
        for entry in entries.values():
            if entry is not None:
                new._add(entry)
        return new

    def _remove(self, arn: str) -> None:
        entry = self.entries.pop(arn, None)
        if entry is None:
            return
        del self.order[bisect_left(self.order, _written(arn))]
        self.names.pop(entry.name, None)
        stem = stem_of(arn)
        rest = tuple(other for other in self.stems[stem] if other != arn)
        if rest:
            self.stems[stem] = rest
        else:
            del self.stems[stem]

    def _add(self, entry: Entry) -> None:
        before = self.entries.get(entry.arn)
        if before is None:
            insort(self.order, _written(entry.arn))
            stem = stem_of(entry.arn)
            self.stems[stem] = (*self.stems.get(stem, ()), entry.arn)
        elif before.name != entry.name and self.names.get(before.name) == entry.arn:
            del self.names[before.name]
        if self.names.setdefault(entry.name, entry.arn) != entry.arn:
            raise StoreConflict(f"{entry.name[2]} is the name of {self.names[entry.name]} already")
        self.entries[entry.arn] = entry
        self.next_sequence = max(self.next_sequence, entry.sequence + 1)


def tables_of(store: str, store_id: str, body: bytes) -> Tables:
    """The tables of a body whose MAC was checked.

    Raises:
        StoreDamaged: lines out of order, a name or an ARN twice, lines of nothing known.
    """
    tables = Tables()
    found = list(_FIRST.finditer(body))
    _read_settings(store, tables, body[: found[0].start() if found else len(body)])
    ends = [match.start() for match in found[1:]] + [len(body)] * bool(found)
    before = b""
    for match, end in zip(found, ends, strict=True):
        raw_arn = match[1]
        if raw_arn <= before:
            raise _damaged(store, "its lines are out of order, or an ARN is there twice")
        before = raw_arn
        arn, account, region, name = (_read(part.decode()) for part in match.group(1, 2, 3, 4))
        key = (account, region, name)
        block = body[match.start() : end]
        entry = Entry(store, store_id, arn, key, int(match[5]), block)
        if tables.names.setdefault(key, arn) != arn:
            raise _damaged(store, f"two secrets have the name {name}")
        tables.entries[arn] = entry
        tables.order.append(raw_arn.decode())
        stem = stem_of(arn)
        tables.stems[stem] = (*tables.stems.get(stem, ()), arn)
        if entry.sequence >= tables.next_sequence:
            tables.next_sequence = entry.sequence + 1
    return tables


def tables_from(store: str, store_id: str, contents: Iterable[Content]) -> Tables:
    """Tables of secrets that were put together anew. Raises ``StoreConflict``."""
    entries = (Entry.of(store, store_id, content) for content in contents)
    return Tables().changed({entry.arn: entry for entry in entries}, {})


def name_key(record: SecretRecord) -> NameKey:
    """What no two secrets share: account, region and name."""
    return (record.scope.account, record.scope.region, record.name)


def name_in(scope: Scope, name: str) -> NameKey:
    """The same, for looking up."""
    return (scope.account, scope.region, name)


def _read_settings(store: str, tables: Tables, lines: bytes) -> None:
    before = ""
    for line in lines.splitlines(keepends=True):
        match = _SETTING.match(line)
        name = "" if match is None else _read(match[1].decode())
        if match is None or (tables.settings and name <= before):
            raise _damaged(store, "it has lines that are no setting and no secret")
        before = name
        tables.settings[name] = line


def _read(text: str) -> str:
    return text if "\\" not in text else json.loads(f'"{text}"')


def _written(text: str) -> str:
    return canonical(text)[1:-1]


def _damaged(store: str, problem: str) -> StoreDamaged:
    return StoreDamaged(
        store,
        f"{problem}, although the MAC fits: a faulty program with the key wrote it",
        part="body",
        remedy="restore an older file",
    )
