"""Backup and restore: everything comes back, on any store, or nothing is kept."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.backup import BackupError, from_plain, records, to_plain
from smclient_embedded.kms import MasterKey, MasterKeyError
from smclient_embedded.store import MemoryStore, SecretRecord, VersionRecord

Opener = Callable[..., Any]
SECRETS = ("clear-text-one", "clear-text-two", "clear-text-bytes")


@pytest.fixture
def master() -> MasterKey:
    """The key of the store that is backed up."""
    return MasterKey(bytes(range(32)))


@pytest.fixture
def filled(open_service: Opener, store_url: str, master: MasterKey) -> Any:
    """A service over each store with something of every kind."""
    extras = open_service(store_url, master_key=master)
    service = extras.service
    key = service.create_key(alias="alias/ours")
    extras.create("plain", SECRETS[0], Description="é\u2028", Tags=[{"Key": "a", "Value": "b"}])
    extras.create("ours", SECRETS[1], KmsKeyId=key)
    extras("CreateSecret", Name="bytes", SecretBinary=SECRETS[2].encode() + bytes(range(256)))
    extras("CreateSecret", Name="empty")
    extras.create("gone")
    extras("DeleteSecret", SecretId="gone", RecoveryWindowInDays=9)
    extras("PutSecretValue", SecretId="plain", SecretString="newer", VersionStages=["blue"])
    extras("CreateSecret", Name="plain", context=service.context(region="eu-west-1"))
    arn = service.register_function("f", lambda event, context: None)
    rules = {"AutomaticallyAfterDays": 30}
    extras("RotateSecret", SecretId="ours", RotationLambdaARN=arn, RotationRules=rules)
    other_key = service.create_key(alias="alias/other")
    extras("UpdateSecret", SecretId="ours", KmsKeyId=other_key)  # sealed under both keys now
    replicas = [{"Region": "ap-south-2"}, {"Region": "eu-west-1"}]  # the name is taken in one
    extras("ReplicateSecretToRegions", SecretId="plain", AddReplicaRegions=replicas)
    service.keys.schedule_deletion(service.create_key(), days=7)
    extras.value("plain")
    return extras


def everything(service: EmbeddedService) -> list[Any]:
    """All records of a store."""
    service.audit.flush()
    with service._store.transaction(write=False) as tx:
        return list(records(tx))


@pytest.fixture(params=["memory", "sqlite"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where it is restored to."""
    return "embedded://" if request.param == "memory" else f"embedded://{tmp_path}/restored.db"


def test_everything_comes_back_on_any_store(
    filled: Any, master: MasterKey, tmp_path: Path, target: str, clock: FakeClock
) -> None:
    """Record by record, in order; values open; the service goes on."""
    count = filled.service.backup(tmp_path / "b.jsonl")
    before = everything(filled.service)
    assert count == len(before)
    assert {kind for kind, _ in before} == {
        "setting",
        "key",
        "secret",
        "version",
        "label",
        "job",
        "audit",
    }
    with EmbeddedService.restore(
        tmp_path / "b.jsonl", target, master_key=master, clock=clock
    ) as restored:
        assert everything(restored) == before
        read = restored.call("GetSecretValue", {"SecretId": "plain"})
        assert read["SecretString"] == SECRETS[0]
        raw = restored.call("GetSecretValue", {"SecretId": "bytes"})["SecretBinary"]
        assert raw == SECRETS[2].encode() + bytes(range(256))
        names = [s["Name"] for s in restored.call("ListSecrets", {})["SecretList"]]
        assert names == [s["Name"] for s in filled("ListSecrets")["SecretList"]]
        restored.call("RestoreSecret", {"SecretId": "gone"})
    if target != "embedded://":
        with EmbeddedService(target, master_key=master) as again:
            assert again.call("GetSecretValue", {"SecretId": "gone"})["SecretString"] == "first"


def test_a_backup_of_a_restored_store_is_the_same(
    filled: Any, master: MasterKey, tmp_path: Path, clock: FakeClock
) -> None:
    """Byte by byte."""
    first, second = tmp_path / "1", tmp_path / "2"
    filled.service.backup(first)
    with EmbeddedService.restore(first, master_key=master, clock=clock) as restored:
        restored.backup(second)
    assert first.read_bytes() == second.read_bytes()


def test_values_stay_sealed_and_the_file_is_ours_alone(
    filled: Any, master: MasterKey, tmp_path: Path
) -> None:
    """No value, no key in it; mode 0600; nothing else is left in the folder."""
    folder = tmp_path / "backups"
    folder.mkdir()
    path = folder / "b.jsonl"
    filled.service.backup(path)
    content = path.read_bytes()
    for secret in SECRETS:
        assert secret.encode() not in content
        assert base64.b64encode(secret.encode())[:-4] not in content
    assert base64.b64encode(bytes(range(32)))[:-4] not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(folder) == ["b.jsonl"]


def test_a_wrong_master_key_restores_nothing(
    filled: Any, tmp_path: Path, target: str, clock: FakeClock
) -> None:
    """The store stays empty."""
    filled.service.backup(tmp_path / "b")
    store = MemoryStore()
    for place in (target, store):
        with pytest.raises(MasterKeyError, match="does not open"):
            EmbeddedService.restore(
                tmp_path / "b", place, master_key=MasterKey.random(), clock=clock
            )
    with store.transaction(write=False) as tx:
        assert list(records(tx)) == []


def test_the_key_file_of_a_new_place_is_found(filled: Any, tmp_path: Path) -> None:
    """Where the store's would be; without it nothing is restored."""
    filled.service.backup(tmp_path / "b")
    url = f"embedded://{tmp_path}/new.db"
    with pytest.raises(MasterKeyError, match="cannot be read"):
        EmbeddedService.restore(tmp_path / "b", url)
    (tmp_path / "new.db.key").write_bytes(bytes(range(32)))
    (tmp_path / "new.db.key").chmod(0o600)
    EmbeddedService.restore(tmp_path / "b", url).close()
    with EmbeddedService(url) as service:
        assert service.call("GetSecretValue", {"SecretId": "plain"})["SecretString"] == SECRETS[0]


def test_only_an_empty_store_is_restored_into(
    filled: Any, master: MasterKey, tmp_path: Path
) -> None:
    """Not over something else."""
    filled.service.backup(tmp_path / "b")
    store = MemoryStore()
    EmbeddedService(store, master_key=master)
    with pytest.raises(BackupError, match="empty store only"):
        EmbeddedService.restore(tmp_path / "b", store, master_key=master)


Change = Callable[[list[bytes]], list[bytes]]


def _header(**changes: Any) -> Change:
    def change(lines: list[bytes]) -> list[bytes]:
        return [json.dumps({**json.loads(lines[0]), **changes}).encode() + b"\n", *lines[1:]]

    return change


def _of_kind(kind: bytes, change: Callable[[bytes], bytes]) -> Change:
    def apply(lines: list[bytes]) -> list[bytes]:
        at = next(n for n, line in enumerate(lines) if line.startswith(b'{"' + kind + b'"'))
        return [*lines[:at], change(lines[at]), *lines[at + 1 :]]

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_header(version=2), "format version 2; .* reads 1"),
        (_header(version="1"), "format version '1'"),
        (_header(format="tar"), "is no backup"),
        (lambda lines: [], "is no backup"),
        (lambda lines: [b"\xff\x00\n", *lines], "is no backup"),
        (lambda lines: lines[:-1], "is incomplete"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "not a line"),
        (lambda lines: [*lines, lines[-1]], "damaged"),
        (lambda lines: [lines[0], *lines[2:]], "damaged|master key|no 'version'"),
        (lambda lines: [*lines[:5], lines[4], *lines[5:]], "damaged"),
        (_of_kind(b"secret", lambda line: line.replace(b'"name"', b'"title"')), "no 'secret'"),
        (_of_kind(b"secret", lambda line: line.replace(b'"created_at"', b'"x"')), "no 'secret'"),
        (_of_kind(b"version", lambda line: line.replace(b'"string"', b'"tape"')), "no 'version'"),
        (_of_kind(b"secret", lambda line: b'{"planet":{}}\n'), "no 'planet'"),
        (_of_kind(b"secret", lambda line: b"[]\n"), "not a line"),
        (_of_kind(b"audit", lambda line: line.replace(b"AwsApiCall", b"AwsApiBall")), "damaged"),
    ],
)
def test_what_is_not_a_whole_backup_is_refused_and_nothing_is_kept(
    filled: Any, master: MasterKey, tmp_path: Path, change: Change, said: str
) -> None:
    """Another version, a changed, missing or unknown line."""
    path = tmp_path / "b"
    filled.service.backup(path)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    store = MemoryStore()
    with pytest.raises(BackupError, match=said):
        EmbeddedService.restore(path, store, master_key=master)
    with store.transaction(write=False) as tx:
        assert list(records(tx)) == []


def test_every_cut_of_a_backup_is_refused(filled: Any, master: MasterKey, tmp_path: Path) -> None:
    """A disk that was full leaves no half store."""
    path = tmp_path / "b"
    filled.service.backup(path)
    content = path.read_bytes()
    for length in range(0, len(content) - 1, max(1, len(content) // 60)):
        path.write_bytes(content[:length])
        with pytest.raises(BackupError):
            EmbeddedService.restore(path, MemoryStore(), master_key=master)


def test_files_that_cannot_be_used_say_so(extras: Any, master: MasterKey, tmp_path: Path) -> None:
    """Which, and why."""
    with pytest.raises(BackupError, match="nowhere/b cannot be written: No such file"):
        extras.service.backup(tmp_path / "nowhere" / "b")
    with pytest.raises(BackupError, match="nowhere cannot be read: No such file"):
        EmbeddedService.restore(tmp_path / "nowhere", master_key=master)


def test_a_failed_backup_leaves_the_old_one(
    extras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else."""
    path = tmp_path / "b"
    extras.service.backup(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    extras.create("more")
    with pytest.raises(BackupError, match="No space left"):
        extras.service.backup(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["b"]


def test_a_store_with_its_own_keys_is_its_own_backup(tmp_path: Path, extras: Any) -> None:
    """The encrypted file."""

    class Own(MemoryStore):
        def keyring(self) -> Any:
            return object()

    service = EmbeddedService(Own())
    for act in (
        lambda: service.backup(tmp_path / "b"),
        lambda: EmbeddedService.restore(tmp_path / "b", Own()),
        lambda: service.rotate_master_key(MasterKey.random()),
    ):
        with pytest.raises(ConfigError, match="brings its own keys"):
            act()


def test_a_backup_under_writes_is_one_moment(
    open_service: Opener, store_url: str, master: MasterKey, tmp_path: Path
) -> None:
    """Two secrets that are always written in one order: the second is never ahead."""
    extras = open_service(store_url, master_key=master)
    extras.create("first", "0")
    extras.create("second", "0")
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            for name in ("first", "second"):
                extras(
                    "PutSecretValue",
                    SecretId=name,
                    SecretString=str(n),
                    ClientRequestToken=f"{n % 50:032d}" if n < 50 else f"{n:032d}",
                )
            written.append(n)
            if n > 80:
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(4):
            path = tmp_path / f"b{number}"
            extras.service.backup(path)
            with EmbeddedService.restore(path, master_key=master) as restored:
                values = [
                    int(restored.call("GetSecretValue", {"SecretId": name})["SecretString"])
                    for name in ("first", "second")
                ]
            assert values[0] - values[1] in (0, 1)
    finally:
        stop.set()
        thread.join()
    assert written


def test_records_become_plain_and_back() -> None:
    """Types are those of the records, not of JSON."""
    for record, kind in (
        (VersionRecord, {"arn": "a", "version_id": "v", "created_at": "2026-01-01T00:00:00+00:00"}),
    ):
        read = from_plain(record, kind)
        assert to_plain(read) == {**kind, "kind": "string"}
    with pytest.raises((TypeError, ValueError)):
        from_plain(SecretRecord, {"arn": 5})
    with pytest.raises((TypeError, ValueError)):
        from_plain(VersionRecord, {"arn": "a", "version_id": "v", "created_at": "yesterday"})
    with pytest.raises((TypeError, ValueError)):
        from_plain(VersionRecord, [])
