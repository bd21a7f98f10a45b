"""What can go wrong with an encrypted file. Each message names the store, the part and what to do.

SmclientError
└── StoreError                        (smclient_embedded.store)
    └── FileStoreError                base of all below; ``store`` is the path, ``part`` where
        ├── StoreMissing              there is no file
        ├── StoreExists               there is one already
        ├── StorePermissionsRefused   others may write the file, or read the key file
        ├── StoreReadFailed           the operating system refused to read
        ├── StoreWriteFailed          a write failed; what was acknowledged before is intact
        │   ├── StoreReadOnly         the folder takes no writes
        │   └── StoreDurabilityUnknown  a flush to the disk failed
        ├── StoreBusy                 another process holds the lock
        ├── StoreLimitExceeded        too big: file, header or value
        ├── StoreFormatUnknown        not a store, or one of a newer format
        ├── StoreDamaged              the bytes are not what was written
        │   ├── StoreTruncated        the end is missing
        │   └── StoreTampered         the MAC, or a value's seal, does not fit
        ├── StoreRolledBack           an older file was put back
        │   └── StoreForked           another file of the same generation
        ├── StoreLocked               no key that was given opens it
        │   ├── WrongKey              wrong passphrase, key file, KMS key or keyring entry
        │   └── KeyUnavailable        a key cannot be had: no file, no network, no package
        ├── KdfParametersRefused      a key derivation that is too weak or too expensive
        └── MergeConflict             both sides changed the same thing
"""

from __future__ import annotations

from collections.abc import Sequence

from smclient_embedded.store import StoreError


class FileStoreError(StoreError):
    """An encrypted file cannot be used.

    Attributes:
        store: the path of the file.
        part: the part that is meant, such as ``header`` or ``body``.
    """

    def __init__(
        self, store: object, problem: str, *, part: str = "file", remedy: str = ""
    ) -> None:
        self.store = str(store)
        self.part = part
        super().__init__(f"{self.store}: {problem}" + (f"; {remedy}" if remedy else ""))


class StoreMissing(FileStoreError):
    """There is no such file."""


class StoreExists(FileStoreError):
    """There is a file already, and it is not overwritten."""


class StorePermissionsRefused(FileStoreError):
    """Others may write the file, or read the key file."""


class StoreReadFailed(FileStoreError):
    """The operating system refused to read."""


class StoreWriteFailed(FileStoreError):
    """A write failed. The old file is in place, unless the message says otherwise."""


class StoreReadOnly(StoreWriteFailed):
    """The folder takes no writes. Reading goes on."""


class StoreDurabilityUnknown(StoreWriteFailed):
    """A flush to the disk failed. It is not tried again: the system may have dropped the data."""


class StoreBusy(FileStoreError):
    """Another process or thread held the lock for too long."""


class StoreLimitExceeded(FileStoreError):
    """The file, its header or a value is bigger than the format allows."""


class StoreFormatUnknown(FileStoreError):
    """Not a store, or one whose format this version does not know."""


class StoreDamaged(FileStoreError):
    """The bytes are not what was written."""


class StoreTruncated(StoreDamaged):
    """The end of the file is missing."""


class StoreTampered(StoreDamaged):
    """The MAC or a seal does not fit: something was changed without the key."""


class StoreRolledBack(FileStoreError):
    """The file is older than one that this user has seen."""


class StoreForked(StoreRolledBack):
    """The file has the generation of one that this user has seen, and is another."""


class StoreLocked(FileStoreError):
    """No key that was given opens the file."""


class WrongKey(StoreLocked):
    """A key was given, and it is not one that the file was locked with."""


class KeyUnavailable(StoreLocked):
    """A key cannot be had: no such file, no answer of the service, a package is missing."""


class KdfParametersRefused(FileStoreError):
    """The key derivation is too weak to be trusted or too expensive to be run."""


class MergeConflict(FileStoreError):
    """Both sides changed the same thing.

    Attributes:
        conflicts: one line each, names and labels only.
    """

    def __init__(self, store: object, conflicts: Sequence[str]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(
            store,
            "both sides changed: " + "; ".join(self.conflicts),
            part="body",
            remedy="merge again with --prefer ours or --prefer theirs",
        )
