"""Another master key: the store opens with the old one or with the new one, never with neither."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import InternalServiceError
from smclient_embedded.kms import MasterKey, MasterKeyError, open_version
from smclient_embedded.master import CHECK
from smclient_embedded.store import MemoryStore, StoreError

OLD, NEW, NEWER = (MasterKey(bytes([n]) * 32) for n in (1, 2, 3))
SCOPES = 3


class Kept:
    """A store that can be opened more than once, and that fails where it is told to.

    ``fail_at`` counts puts of a transaction down; 0 is the commit: before it, or after it was done
    but before it was acknowledged (``late``).
    """

    def __init__(self, open_store: Callable[[], Any]) -> None:
        self._open_store = open_store
        self._store = open_store()
        self.fail_at: int | None = None
        self.late = False
        self.puts = 0

    def reopened(self) -> Kept:
        """As after a crash."""
        if not isinstance(self._store, MemoryStore):
            self._store.close()
            self._store = self._open_store()
        self.fail_at = None
        return self

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[Any]:
        """A transaction of the real store, watched."""
        with self._store.transaction(write=write) as tx:
            yield _Watched(tx, self) if write else tx
            if write and self.fail_at is not None and not self.late:
                raise StoreError("the commit failed")
        if write and self.fail_at is not None and self.late:
            raise StoreError("the connection broke after the commit")

    def keyring(self) -> None:
        """None."""

    def close(self) -> None:
        """Stays, to be opened again."""


class _Watched:
    def __init__(self, tx: Any, kept: Kept) -> None:
        self._tx, self._kept = tx, kept

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tx, name)
        if name not in ("put_key", "put_setting"):
            return found

        def put(*given: Any) -> Any:
            self._kept.puts += 1
            if self._kept.fail_at == self._kept.puts:
                raise StoreError(f"put {self._kept.puts} failed")
            return found(*given)

        return put


@pytest.fixture
def kept(store_url: str) -> Kept:
    """A store of each kind, with keys and values in several scopes."""
    if store_url == "embedded://":
        made = Kept(MemoryStore)
    else:
        sql = pytest.importorskip("smclient_embedded.store.sql")
        made = Kept(lambda: sql.SqlStore.sqlite(store_url.removeprefix("embedded://")))
    with EmbeddedService(made, master_key=OLD) as service:
        for n in range(SCOPES):
            fill(service, f"eu-west-{n + 1}")
    return made


def fill(service: EmbeddedService, region: str) -> None:
    """A secret under the managed key and one under a customer key."""
    context = service.context(region=region)
    for name, more in (("a", {}), ("b", {"KmsKeyId": service.create_key(region=region)})):
        token = service.context().request_id
        made = {"Name": name, "SecretString": f"{region} {name}", "ClientRequestToken": token}
        service.call("CreateSecret", {**made, **more}, context)


def read(service: EmbeddedService) -> list[str]:
    """All values."""
    return [
        service.call("GetSecretValue", {"SecretId": name}, service.context(region=region))[
            "SecretString"
        ]
        for region in (f"eu-west-{n + 1}" for n in range(SCOPES))
        for name in "ab"
    ]


ALL = [f"eu-west-{n + 1} {name}" for n in range(SCOPES) for name in "ab"]


def opens(kept: Kept, master: MasterKey) -> bool:
    """Whether the store opens with a key, and every value with it."""
    try:
        with EmbeddedService(kept.reopened(), master_key=master) as service:
            assert read(service) == ALL
    except MasterKeyError:
        return False
    return True


def test_the_store_opens_with_the_new_key_only(kept: Kept) -> None:
    """And went on being served meanwhile."""
    with EmbeddedService(kept, master_key=OLD) as service:
        assert read(service) == ALL
        assert service.rotate_master_key(NEW) == 2 * SCOPES
        assert read(service) == ALL
        fill(service, "us-west-2")
    assert opens(kept, NEW)
    assert not opens(kept, OLD)
    with EmbeddedService(kept, master_key=NEW) as service:
        context = service.context(region="us-west-2")
        answer = service.call("GetSecretValue", {"SecretId": "b"}, context)
        assert answer["SecretString"] == "us-west-2 b"


def test_values_are_not_touched(kept: Kept) -> None:
    """Only keys are rewrapped."""
    with EmbeddedService(kept, master_key=OLD) as service:
        context = service.context(region="eu-west-1")
        arn = service.call("DescribeSecret", {"SecretId": "a"}, context)["ARN"]
        with kept.transaction(write=False) as tx:
            before = tx.versions(arn)
        service.rotate_master_key(NEW)
        with kept.transaction(write=False) as tx:
            assert tx.versions(arn) == before


@pytest.mark.parametrize("step", range(1, 2 * SCOPES + 2))
def test_a_failure_at_any_put_leaves_the_old_key(kept: Kept, step: int) -> None:
    """Every KMS key, and the check at the end; the service goes on and can try again."""
    with EmbeddedService(kept, master_key=OLD) as service:
        kept.fail_at, kept.puts = step, 0
        with pytest.raises(StoreError, match=f"put {step} failed"):
            service.rotate_master_key(NEW)
        kept.fail_at = None
        assert read(service) == ALL
        fill(service, "us-west-2")
    assert opens(kept, OLD)
    assert not opens(kept, NEW)
    with EmbeddedService(kept, master_key=OLD) as service:
        service.rotate_master_key(NEW)
    assert opens(kept, NEW)


@pytest.mark.parametrize("late", [False, True])
def test_a_failure_of_the_commit_leaves_one_of_the_two(kept: Kept, late: bool) -> None:
    """Also where nobody can tell: the service opens values with either, and makes keys under the
    one that holds."""
    with EmbeddedService(kept, master_key=OLD) as service:
        kept.fail_at, kept.late = 0, late
        with pytest.raises(StoreError, match="commit"):
            service.rotate_master_key(NEW)
        kept.fail_at = None
        assert read(service) == ALL
        fill(service, "us-west-2")
    assert [opens(kept, OLD), opens(kept, NEW)] == [not late, late]
    with EmbeddedService(kept, master_key=NEW if late else OLD) as service:
        context = service.context(region="us-west-2")
        answer = service.call("GetSecretValue", {"SecretId": "b"}, context)
        assert answer["SecretString"] == "us-west-2 b"
        assert service.rotate_master_key(NEWER) == 2 * SCOPES + 2
    assert opens(kept, NEWER)


def test_many_rotations_one_after_another(kept: Kept) -> None:
    """Each with the key before."""
    with EmbeddedService(kept, master_key=OLD) as service:
        for master in (NEW, NEWER, OLD, NEW):
            service.rotate_master_key(master)
            assert read(service) == ALL
    assert opens(kept, NEW)


def test_a_reader_that_began_before_two_rotations_still_reads(kept: Kept) -> None:
    """Its snapshot has keys wrapped by the key before the last one."""
    with EmbeddedService(kept, master_key=OLD) as service:
        context = service.context(region="eu-west-1")
        arn = service.call("DescribeSecret", {"SecretId": "b"}, context)["ARN"]
        with kept.transaction(write=False) as tx:
            (version,) = tx.versions(arn)
            service.rotate_master_key(NEW)
            service.rotate_master_key(NEWER)
            keys = service.door.deps(context, tx, lambda version: None).keys
            assert open_version(keys, version) == b"eu-west-1 b"


def test_another_process_says_that_the_key_was_changed(kept: Kept) -> None:
    """It neither reads nor makes keys under the old one."""
    with (
        EmbeddedService(kept, master_key=OLD) as one,
        EmbeddedService(kept, master_key=OLD) as other,
    ):
        one.rotate_master_key(NEW)
        with pytest.raises(InternalServiceError, match="does not open"):
            read(other)
        with pytest.raises((InternalServiceError, MasterKeyError), match="changed by another"):
            other.create_key(region="us-west-2")
        with pytest.raises(MasterKeyError, match="changed by another"):
            other.rotate_master_key(NEWER)
    assert opens(kept, NEW)


def test_a_damaged_key_stops_the_rotation_before_anything_changes(kept: Kept) -> None:
    """The message names the key."""
    with kept.transaction(write=True) as tx:
        (scope, *_) = tx.scopes()
        key = tx.keys(scope)[0]
        from dataclasses import replace

        tx.put_key(replace(key, wrapped_material=b"\0" * 60))
    with EmbeddedService(kept, master_key=OLD) as service:
        with pytest.raises(MasterKeyError, match="does not open arn:aws:kms"):
            service.rotate_master_key(NEW)
        with kept.transaction(write=False) as tx:
            OLD.verify(tx.setting(CHECK))


def test_readers_and_writers_notice_nothing(kept: Kept) -> None:
    """While the key is changed again and again."""
    failed: list[BaseException] = []
    stop = threading.Event()

    with EmbeddedService(kept, master_key=OLD) as service:

        def work(number: int) -> None:
            try:
                while not stop.is_set():
                    assert read(service) == ALL
                    service.create_key(region=f"ap-south-{number}")
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for master in (NEW, NEWER) * 4:
                service.rotate_master_key(master)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failed == []
    assert opens(kept, NEWER)


def test_the_default_file_of_sqlite(tmp_path: Path, clock: FakeClock) -> None:
    """A new file is made before, and put in the old one's place after; in between one of them
    opens the store."""
    url, key = f"embedded://{tmp_path}/s.db", tmp_path / "s.db.key"
    with EmbeddedService(url, clock=clock) as service:
        token = service.context().request_id
        made = {"Name": "a", "SecretString": "x", "ClientRequestToken": token}
        service.call("CreateSecret", made)
        service.rotate_master_key(MasterKey.from_file(tmp_path / "new.key", create=True))
    with pytest.raises(MasterKeyError):
        EmbeddedService(url)
    EmbeddedService(f"{url}?master_key_file={tmp_path}/new.key").close()
    (tmp_path / "new.key").replace(key)
    with EmbeddedService(url) as service:
        assert service.call("GetSecretValue", {"SecretId": "a"})["SecretString"] == "x"
