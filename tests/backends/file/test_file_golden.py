"""Files of format 1 as they were when it was frozen: readable for ever, by every later version.

The files in ``tests/data/file`` are never made anew. Run as a module this makes those that are
missing, which is how they came to be.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.kdf import ARGON2ID, LOWEST, PBKDF2, SCRYPT, Kdf
from smclient_embedded.store import RotationJob, RotationSettings, Sealed, VersionRecord
from smclient_file import Credentials, FileStore, Pins, create, first_slot
from smclient_file.admin import add_slot, rekey, verify
from smclient_file.slots import passphrase_head
from tests.backends.file.helpers_file import HOME, NOW, arn, header, lines, put, value

GOLDEN = Path(__file__).parents[2] / "data" / "file"
STORES = ("format1-a256gcm", "format1-c20p1305")
WORDS = {ARGON2ID: "golden passphrase", SCRYPT: "goldenes Passwort: grün", PBKDF2: "fips"}
BYTES = bytes(range(256))
SECRET = (
    "arn scope name created_at changed_at description kms_key_id accessed_on deleted_at "
    "delete_after tags rotation policies owning_service primary_region"
)
"""What there was to a secret when the format was frozen."""
ROTATION = (
    "enabled function_arn automatically_after_days duration schedule_expression last_rotated_at "
    "next_rotation_at window_ends_at"
)
JOB = "arn token asked_at due_at test_only attempts owner leased_until fence last_error"


@pytest.fixture(params=STORES)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden file; git does not keep who may read it."""
    copy = tmp_path / "golden.sms"
    shutil.copyfile(GOLDEN / f"{request.param}.sms", copy)
    os.chmod(copy, 0o600)
    return copy


@pytest.fixture
def key(tmp_path: Path) -> Path:
    copy = tmp_path / "golden.keyfile"
    shutil.copyfile(GOLDEN / "golden.keyfile", copy)
    os.chmod(copy, 0o600)
    return copy


def test_every_slot_opens_it(golden: Path, key: Path) -> None:
    """The key file and a passphrase for each derivation."""
    for given in (
        Credentials(key_file=key),
        *(Credentials(passphrase=word) for word in WORDS.values()),
    ):
        store = FileStore(golden, given, private=True)
        assert value(store, "app/db") == "second: größer".encode()
        assert verify(store).problems == (
            "version foreign of " + arn("app/all") + " does not open",
        )


def test_everything_in_it_is_read(golden: Path, key: Path) -> None:
    store = FileStore(golden, Credentials(key_file=key), private=True)
    assert told(store) == json.loads((GOLDEN / "format1.json").read_text("utf-8"))


def test_it_can_be_written_on(golden: Path, key: Path) -> None:
    """And what was not touched keeps its bytes."""
    store = FileStore(golden, Credentials(key_file=key))
    before = lines(golden)
    put(store, "later", "added")
    after = lines(golden)
    assert set(before[2:-1]) < set(after)
    assert header(golden)["generation"] == json.loads(before[1])["generation"] + 1
    assert value(FileStore(golden, Credentials(passphrase=WORDS[SCRYPT])), "later") == b"added"


def told(store: FileStore) -> dict[str, Any]:
    """All that a store says, as JSON."""
    keys = store.keyring()
    assert keys is not None
    found: dict[str, Any] = {}
    with store.transaction(write=False) as tx:
        for name in ("app/all", "app/db", "app/plain"):
            secret = tx.secret(arn(name))
            versions = {}
            for version in tx.versions(arn(name)):
                own = version.sealed is not None and version.version_id != "foreign"
                opened = keys.open(version.sealed).hex() if own and version.sealed else None
                versions[version.version_id] = [
                    version.kind,
                    version.created_at.isoformat(),
                    opened,
                ]
            found[name] = {
                "secret": _as_it_was(secret),
                "versions": versions,
                "labels": dict(sorted(tx.labels(arn(name)).items())),
                "job": _fields(tx.rotation_job(arn(name)), JOB),
            }
        found["setting"] = (tx.setting("name") or b"").hex()
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def _fields(record: object, names: str) -> dict[str, str] | None:
    return None if record is None else {n: repr(getattr(record, n)) for n in names.split()}


def _as_it_was(secret: object) -> str:
    """A secret as ``repr`` showed it then."""
    return f"SecretRecord({', '.join(f'{n}={getattr(secret, n)!r}' for n in SECRET.split())})"


def _fill(store: FileStore) -> None:
    put(store, "app/db", "first", description='Größe 🔑 "quoted" \\ \n', tags=(("k", "ü"),))
    put(store, "app/db", "second: größer", "v2", labels=())
    put(store, "app/plain", "plain")
    put(
        store,
        "app/all",
        BYTES,
        kms_key_id="alias/x",
        tags=(),
        deleted_at=NOW,
        delete_after=NOW + timedelta(days=7),
        policies={"ResourcePolicy": '{"Statement":[]}'},
        owning_service="rds",
        primary_region="eu-west-1",
        rotation=RotationSettings(True, "arn:f", 30, "3h", "rate(30 days)", NOW, NOW, NOW),
    )
    with store.transaction(write=True) as tx:
        tx.put_label(arn("app/db"), "AWSPREVIOUS", "v1")
        tx.put_label(arn("app/db"), "AWSCURRENT", "v2")
        tx.put_version(VersionRecord(arn("app/all"), "empty", NOW))
        foreign = Sealed("arn:aws:kms:x", b"w", b"n", b"c", {"a": "\ud800"})
        tx.put_version(VersionRecord(arn("app/all"), "foreign", NOW, sealed=foreign))
        tx.put_label(arn("app/all"), "AWSPENDING", "empty")
        tx.put_rotation_job(
            RotationJob(arn("app/all"), "empty", NOW, NOW, True, 2, "node", NOW, 3, "why")
        )
        tx.put_setting("name", b"\0\xff")
        secret = tx.secret(arn("app/db"))
        assert secret is not None
        tx.put_secret(replace(secret, accessed_on=date(2026, 1, 1)))
    assert datetime.now(UTC) > NOW
    assert HOME.account in arn("x")


def _make() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    key = GOLDEN / "golden.keyfile"
    if not key.exists():
        key.write_bytes(bytes(range(32)))
    os.chmod(key, 0o600)
    for name in STORES:
        path = GOLDEN / f"{name}.sms"
        if path.exists():
            continue
        given, pins = Credentials(key_file=key), Pins(GOLDEN / "state")
        create(
            path,
            lambda keys, path=path, given=given: [first_slot(str(path), keys, given, label="file")],
            store_id=f"00000000-0000-4000-8000-00000000000{STORES.index(name)}",
            algorithm=name.removeprefix("format1-").upper(),
            pins=pins,
        )
        store = FileStore(path, given, pins=pins)
        for kdf_name, word in WORDS.items():
            kdf = Kdf.choose(kdf_name, **LOWEST[kdf_name])
            slot = passphrase_head(kdf, kdf_name)
            add_slot(
                store,
                lambda keys, slot=slot, kdf=kdf, word=word: slot.wrap(
                    kdf.derive(word), keys.root(), keys.store_id
                ),
            )
        _fill(store)
        rekey(store, given)
        put(store, "app/plain", "plain again", "v2", labels=())
        if not (GOLDEN / "format1.json").exists():
            fresh = FileStore(path, given, pins=pins)
            text = json.dumps(told(fresh), indent=1, ensure_ascii=True)
            (GOLDEN / "format1.json").write_text(text + "\n", "utf-8")
        Path(f"{path}.lock").unlink()
    shutil.rmtree(GOLDEN / "state", ignore_errors=True)


if __name__ == "__main__":
    _make()
