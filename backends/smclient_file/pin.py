"""The pin: what this user has seen of a store, kept outside of it, so that an older file that is
put back is noticed.

It lies in the user's state folder (``SMCLIENT_STATE_DIR``, else the system's place for it), one
small file a store: the highest generation and its MAC. It is written after the store, so a crash
leaves one that is lower, never higher. Whoever can write the store and the pin, or has the key,
wins; a machine that has never seen the store has no pin and takes what it finds.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smclient.state_folder import STATE_DIR, state_folder
from smclient_file.errors import StoreForked, StoreRolledBack

logger = logging.getLogger("smclient.file")


@dataclass(frozen=True, slots=True)
class Seen:
    """A generation of a store."""

    generation: int
    mac: str


class Pins:
    """The pins of one user."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or state_folder()
        self._folder = None if folder is None else folder.absolute() / "pins"
        if self._folder is None:
            logger.warning("there is no home folder and no %s: rollbacks go unnoticed", STATE_DIR)

    def get(self, store_id: str) -> Seen | None:
        """What was seen of a store, or ``None``. A broken pin is as none, and logged."""
        if self._folder is None:
            return None
        path = _path(self._folder, store_id)
        try:
            fields = json.loads(path.read_bytes())
            generation, mac = fields["generation"], fields["mac"]
            if type(generation) is int and isinstance(mac, str):
                return Seen(generation, mac)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            pass  # told below, as a pin of other content is
        logger.warning("the pin %s cannot be read: no rollback can be noticed by it", path)
        return None

    def advance(self, store_id: str, seen: Seen, *, back: bool = False) -> None:
        """Remember a generation, unless a higher one is remembered (or ``back`` is meant). That it
        cannot be written is logged: the store is safe, only the next rollback is not noticed."""
        if self._folder is None:
            return
        known = self.get(store_id)
        if known == seen or (known is not None and known.generation > seen.generation and not back):
            return
        path = _path(self._folder, store_id)
        temp = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        content = json.dumps({"generation": seen.generation, "mac": seen.mac}).encode()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)
            os.replace(temp, path)
        except OSError as error:
            logger.warning("the pin %s cannot be written: %s", path, error.strerror)
            with suppress(OSError):  # there may be none
                temp.unlink()


class NoPins(Pins):
    """Nothing was seen, and nothing is remembered."""

    def get(self, store_id: str) -> Seen | None:
        """Nothing."""
        return None

    def advance(self, store_id: str, seen: Seen, *, back: bool = False) -> None:
        """Nothing."""


def _path(folder: Path, store_id: str) -> Path:
    return folder / f"{store_id}.json"


def check(store: str, found: Seen, pinned: Seen | None, expected: int | None) -> None:
    """Compare a file with what was seen before and with what a deployment expects at least.

    Raises:
        StoreRolledBack, StoreForked
    """
    accept = (
        "if that is meant (git checkout of an older commit, a restored backup), open it once with "
        "accept_rollback=true or --accept-rollback"
    )
    if expected is not None and found.generation < expected:
        raise StoreRolledBack(
            store,
            f"it has generation {found.generation}, and at least {expected} was expected",
            part="generation",
            remedy="deploy the current file, or lower expected_generation",
        )
    if pinned is None:
        return
    if found.generation < pinned.generation:
        raise StoreRolledBack(
            store,
            f"an older file was put back: generation {found.generation}, and "
            f"{pinned.generation} was seen before",
            part="generation",
            remedy=accept,
        )
    if found.generation == pinned.generation and found.mac != pinned.mac:
        raise StoreForked(
            store,
            f"another file of generation {found.generation} was seen before: two were made from "
            "the same one",
            part="generation",
            remedy="merge them with 'smclient file merge'; " + accept,
        )
