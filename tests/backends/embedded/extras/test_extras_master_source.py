"""Where a master key is from: a file, a variable, a passphrase."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError, SmclientError
from smclient_embedded import EmbeddedService
from smclient_embedded.backup import BackupError
from smclient_embedded.kdf import ARGON2ID, BOUNDS, DEFAULTS, LOWEST, PBKDF2, Kdf
from smclient_embedded.master import DERIVATION, MasterKey, MasterKeyError, Passphrase
from smclient_embedded.store import StoreError

KEY, FILE, PHRASE = (
    "SMCLIENT_MASTER_KEY",
    "SMCLIENT_MASTER_KEY_FILE",
    "SMCLIENT_MASTER_PASSPHRASE",
)
DEFAULT = DEFAULTS[ARGON2ID]
CANARY = "canary-9d21 correct horse"
CANARY_KEY = base64.b64encode(b"canary-key-7711".ljust(32, b"!")).decode()


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """New derivations at the lowest cost that is accepted."""
    monkeypatch.setitem(DEFAULTS, ARGON2ID, LOWEST[ARGON2ID])  # type: ignore[arg-type]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the store is."""
    return f"embedded://{tmp_path}/s.db"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set these of the three variables, and no others."""

    def name(**given: str) -> None:
        for variable in (KEY, FILE, PHRASE):
            monkeypatch.delenv(variable, raising=False)
        for variable, text in given.items():
            monkeypatch.setenv(variable, text)

    return name


def filled(url: str, **more: Any) -> None:
    """A store with one secret."""
    with EmbeddedService(url, **more) as service:
        made = {"Name": "a", "SecretString": "kept", "ClientRequestToken": "t" * 32}
        service.call("CreateSecret", made)


def value(url: str, **more: Any) -> str:
    with EmbeddedService(url, **more) as service:
        return str(service.call("GetSecretValue", {"SecretId": "a"})["SecretString"])


def setting(url: str, name: str, put: bytes | None = None, **more: Any) -> bytes | None:
    """A setting of a store, as whoever can write the file reads or changes it."""
    from smclient_embedded.store.sql import SqlStore

    store = SqlStore.sqlite(url.removeprefix("embedded://"))
    try:
        with store.transaction(write=True) as tx:
            if put is not None:
                tx.put_setting(name, put)
            return tx.setting(name)
    finally:
        store.close()


def key_file(path: Path, content: bytes = b"k" * 32) -> str:
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


class TestAVariable:
    @pytest.mark.parametrize("given", [{KEY: CANARY_KEY}, {PHRASE: CANARY}])
    def test_opens_the_store_it_made(
        self, url: str, tmp_path: Path, named: Any, given: dict[str, str]
    ) -> None:
        """And no key file is made."""
        named(**given)
        filled(url)
        assert value(url) == "kept"
        assert not (tmp_path / "s.db.key").exists()

    @pytest.mark.parametrize("given", [{KEY: CANARY_KEY}, {PHRASE: CANARY}])
    def test_opens_a_store_in_memory(self, named: Any, given: dict[str, str]) -> None:
        named(**given)
        filled("embedded://")

    @pytest.mark.parametrize("given", [{KEY: CANARY_KEY}, {PHRASE: CANARY}])
    def test_is_named_enough_for_postgresql(
        self, postgres_url: str, named: Any, given: dict[str, str]
    ) -> None:
        named(**given)
        filled(postgres_url)
        assert value(postgres_url) == "kept"

    @pytest.mark.parametrize(
        "two", [(KEY, PHRASE), (KEY, FILE), (PHRASE, FILE), (KEY, PHRASE, FILE)]
    )
    def test_beside_another_one_is_refused(
        self, url: str, tmp_path: Path, named: Any, two: tuple[str, ...]
    ) -> None:
        """Which of them was meant cannot be known."""
        texts = {KEY: CANARY_KEY, PHRASE: CANARY, FILE: key_file(tmp_path / "k")}
        named(**{name: texts[name] for name in two})
        with pytest.raises(ConfigError, match="unset all but one") as refused:
            filled(url)
        assert all(name in str(refused.value) for name in two)
        assert not (tmp_path / "s.db.key").exists()

    @pytest.mark.parametrize("name", [KEY, PHRASE])
    @pytest.mark.parametrize("text", ["", " \n"])
    def test_that_is_empty_is_no_leave_to_make_a_key_file(
        self, url: str, tmp_path: Path, named: Any, name: str, text: str
    ) -> None:
        """It was to hold something: the store would be under another key than was meant."""
        named(**{name: text})
        with pytest.raises(MasterKeyError, match=f"{name} is set, and empty"):
            filled(url)
        assert not (tmp_path / "s.db.key").exists()

    def test_goes_after_what_the_url_names(self, url: str, tmp_path: Path, named: Any) -> None:
        file = key_file(tmp_path / "k")
        filled(f"{url}?master_key_file={file}")
        for given in ({KEY: CANARY_KEY}, {PHRASE: CANARY}):
            named(**given)
            assert value(f"{url}?master_key_file={file}") == "kept"

    def test_goes_after_what_is_passed(self, url: str, named: Any) -> None:
        filled(url, master_key=Passphrase("passed"))
        named(**{KEY: CANARY_KEY})
        assert value(url, master_key=Passphrase("passed")) == "kept"

    @pytest.mark.parametrize(
        "text", ["canary", "canary!" * 6, CANARY_KEY[:-4], CANARY_KEY + CANARY_KEY, "é" * 44]
    )
    def test_that_holds_no_key_is_told_without_its_text(
        self, url: str, named: Any, text: str
    ) -> None:
        named(**{KEY: text})
        with pytest.raises(MasterKeyError, match=f"{KEY} holds no master key") as refused:
            filled(url)
        assert text not in "".join(traceback.format_exception(refused.value))

    def test_may_end_with_a_line_break(self, url: str, named: Any) -> None:
        """As files do that variables are filled from; a passphrase is taken as it is."""
        named(**{KEY: CANARY_KEY})
        filled(url)
        named(**{KEY: f"{CANARY_KEY}\n"})
        assert value(url) == "kept"


class TestAStoreSays:
    def test_that_the_key_is_another_one(self, url: str, tmp_path: Path, named: Any) -> None:
        """And which one was tried."""
        named(**{KEY: CANARY_KEY})
        filled(url)
        named(**{KEY: base64.b64encode(b"x" * 32).decode()})
        with pytest.raises(MasterKeyError, match=f"not the one this store .* Tried was {KEY}"):
            value(url)
        named(**{FILE: key_file(tmp_path / "k")})
        with pytest.raises(MasterKeyError, match=f"Tried was the file {tmp_path}/k"):
            value(url)

    def test_that_the_passphrase_is_another_one(self, url: str, named: Any) -> None:
        named(**{PHRASE: CANARY})
        filled(url)
        for wrong in (f"{CANARY} ", CANARY.upper(), "x"):
            named(**{PHRASE: wrong})
            with pytest.raises(MasterKeyError, match=f"{PHRASE} is not the passphrase of this"):
                value(url)

    def test_that_its_passphrase_was_lost(self, url: str, tmp_path: Path, named: Any) -> None:
        named(**{PHRASE: CANARY})
        filled(url)
        named()
        with pytest.raises(MasterKeyError, match=f"under a passphrase: give it in {PHRASE}"):
            value(url)
        assert not (tmp_path / "s.db.key").exists()

    def test_that_its_key_was_lost(self, url: str, tmp_path: Path, named: Any) -> None:
        """No new one takes its place."""
        named(**{KEY: CANARY_KEY})
        filled(url)
        named()
        with pytest.raises(MasterKeyError, match=f"give the key in {KEY}"):
            value(url)
        assert not (tmp_path / "s.db.key").exists()

    def test_that_it_is_under_a_passphrase_and_no_key(
        self, url: str, tmp_path: Path, named: Any
    ) -> None:
        named(**{PHRASE: CANARY})
        filled(url)
        for given in ({KEY: CANARY_KEY}, {FILE: key_file(tmp_path / "k")}):
            named(**given)
            with pytest.raises(MasterKeyError, match=f"under a passphrase: give it in {PHRASE}"):
                value(url)

    def test_that_it_is_under_a_key_and_no_passphrase(self, url: str, named: Any) -> None:
        filled(url)
        named(**{PHRASE: CANARY})
        with pytest.raises(MasterKeyError, match=f"{PHRASE} is a passphrase, but this store"):
            value(url)
        named()
        assert value(url) == "kept"


class TestAPassphrase:
    def test_is_the_same_in_both_forms_of_unicode(self, url: str) -> None:
        """Keyboards differ in how they write é."""
        filled(url, master_key=Passphrase("caf\u00e9"))
        assert value(url, master_key=Passphrase("cafe\u0301")) == "kept"

    def test_gives_each_store_another_key(self, tmp_path: Path) -> None:
        """The salt is the store's own, so one guess is good for one store."""
        said = set()
        for name in ("a", "b"):
            url = f"embedded://{tmp_path}/{name}.db"
            filled(url, master_key=Passphrase(CANARY))
            said.add(setting(url, DERIVATION))
        assert len(said) == 2

    def test_is_derived_at_a_cost_that_a_thief_has_too(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(DEFAULTS, ARGON2ID, DEFAULT)  # type: ignore[arg-type]
        filled(url, master_key=Passphrase(CANARY))
        said = json.loads(setting(url, DERIVATION) or b"")
        assert len(base64.b64decode(said.pop("salt"))) == 16
        assert said == {"kdf": ARGON2ID, "m": 64 * 1024, "t": 3, "p": 4}

    @pytest.mark.parametrize(
        "changed",
        [
            {"m": BOUNDS[ARGON2ID]["m"][1] + 1},
            {"m": 8},
            {"t": 1},
            {"t": 10**9},
            {"p": 0},
            {"m": "65536"},
            {"m": True},
            {"m": None},
            {"salt": ""},
            {"salt": "!"},
            {"salt": 7},
            {"kdf": "md5"},
            {"kdf": []},
            {"more": 1},
            {"kdf": PBKDF2, "i": 1_000_000, "m": None, "t": None, "p": None},
        ],
    )
    def test_is_not_derived_by_what_cannot_be(
        self, url: str, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
    ) -> None:
        """Who can write the file must not choose a weak derivation, nor one without end."""
        filled(url, master_key=Passphrase(CANARY))
        said = {**json.loads(setting(url, DERIVATION) or b""), **changed}
        kept = {name: given for name, given in said.items() if given is not None}
        setting(url, DERIVATION, json.dumps(kept).encode())
        self.refuses(url, monkeypatch)

    @pytest.mark.parametrize(
        "raw", [b"{", b"[]", b"7", b'"x"', b"{}", b"\xff", b"[" * 1000, b" " * 2000 + b"{}"]
    )
    def test_is_not_derived_by_what_cannot_be_read(
        self, url: str, monkeypatch: pytest.MonkeyPatch, raw: bytes
    ) -> None:
        filled(url, master_key=Passphrase(CANARY))
        setting(url, DERIVATION, raw)
        self.refuses(url, monkeypatch)

    def refuses(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_: object) -> bytes:
            raise AssertionError("it was derived")

        monkeypatch.setattr(Kdf, "derive", never)
        with pytest.raises(MasterKeyError, match="says of its passphrase cannot be"):
            value(url, master_key=Passphrase(CANARY))

    def test_of_a_store_that_many_make_at_once_is_one(self, url: str) -> None:
        """One salt holds; the others take it."""
        with ThreadPoolExecutor(3) as pool:
            services = list(
                pool.map(lambda _: EmbeddedService(url, master_key=Passphrase(CANARY)), range(3))
            )
        services[0].create_key()
        for service in services:
            service.close()
        filled(url, master_key=Passphrase(CANARY))
        assert value(url, master_key=Passphrase(CANARY)) == "kept"

    def test_that_is_empty_is_none(self) -> None:
        for text in ("", "  ", "\n"):
            with pytest.raises(MasterKeyError, match="empty"):
                Passphrase(text)

    def test_refuses_pickling(self) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(Passphrase(CANARY))


def sources(tmp_path: Path) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """Each kind: how it is passed, and how it is named."""
    file = key_file(tmp_path / "named.key", b"f" * 32)
    yield "file", MasterKey.from_file(Path(file), create=False), {FILE: file}
    yield "key", MasterKey.from_base64(CANARY_KEY), {KEY: CANARY_KEY}
    yield "passphrase", Passphrase(CANARY), {PHRASE: CANARY}
    yield "other passphrase", Passphrase("another"), {PHRASE: "another"}


@pytest.mark.parametrize("old", range(4))
@pytest.mark.parametrize("new", range(4))
def test_each_kind_takes_the_place_of_each(
    url: str, tmp_path: Path, named: Any, old: int, new: int
) -> None:
    """The old one opens nothing after it, unless it is the same."""
    kinds = list(sources(tmp_path))
    named(**kinds[old][2])
    filled(url)
    with EmbeddedService(url) as service:
        service.rotate_master_key(kinds[new][1])
        assert service.call("GetSecretValue", {"SecretId": "a"})["SecretString"] == "kept"
    named(**kinds[new][2])
    assert value(url) == "kept"
    assert bool(setting(url, DERIVATION)) == ("passphrase" in kinds[new][0])
    if old != new:
        named(**kinds[old][2])
        with pytest.raises(MasterKeyError):
            value(url)


def test_a_rotation_that_fails_leaves_the_passphrase_before(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key and derivation change together."""
    filled(url, master_key=Passphrase(CANARY))
    from smclient_embedded.store.sql_transaction import SqlTransaction

    put = SqlTransaction.put_setting

    def fails_last(self: Any, name: str, content: bytes) -> None:
        put(self, name, content)
        if name == DERIVATION:
            raise StoreError("the disk is full")

    with EmbeddedService(url, master_key=Passphrase(CANARY)) as service:
        monkeypatch.setattr(SqlTransaction, "put_setting", fails_last)
        with pytest.raises(StoreError, match="the disk is full"):
            service.rotate_master_key(Passphrase("another"))
        monkeypatch.undo()
    assert value(url, master_key=Passphrase(CANARY)) == "kept"
    with pytest.raises(MasterKeyError):
        value(url, master_key=Passphrase("another"))


class TestABackup:
    def test_opens_with_the_passphrase_of_its_store(
        self, url: str, tmp_path: Path, named: Any
    ) -> None:
        """By variable or passed, on disk or in memory; the restored store goes on with it."""
        named(**{PHRASE: CANARY})
        filled(url)
        with EmbeddedService(url) as service:
            service.backup(tmp_path / "b")
        for number, given in enumerate([{}, {"master_key": Passphrase(CANARY)}]):
            named(**({} if given else {PHRASE: CANARY}))
            there = f"embedded://{tmp_path}/restored-{number}.db"
            EmbeddedService.restore(tmp_path / "b", there, **given).close()
            assert value(there, **given) == "kept"
            with EmbeddedService.restore(tmp_path / "b", **given) as restored:
                read = restored.call("GetSecretValue", {"SecretId": "a"})
                assert read["SecretString"] == "kept"

    def test_with_another_one_restores_nothing(self, url: str, tmp_path: Path, named: Any) -> None:
        filled(url, master_key=Passphrase(CANARY))
        with EmbeddedService(url, master_key=Passphrase(CANARY)) as service:
            service.backup(tmp_path / "b")
        there = f"embedded://{tmp_path}/restored.db"
        for given in ({PHRASE: "wrong"}, {KEY: CANARY_KEY}, {}):
            named(**given)
            with pytest.raises(MasterKeyError, match="passphrase"):
                EmbeddedService.restore(tmp_path / "b", there)
        EmbeddedService.restore(tmp_path / "b", there, master_key=Passphrase(CANARY)).close()

    def test_that_says_later_that_it_is_under_another_one_is_refused(
        self, url: str, tmp_path: Path
    ) -> None:
        """The key was checked before."""
        filled(url)
        with EmbeddedService(url) as service:
            service.backup(tmp_path / "b")
        lines = (tmp_path / "b").read_bytes().splitlines(keepends=True)
        said = next(line for line in lines if b"master-key-check" in line)
        (tmp_path / "b").write_bytes(b"".join([*lines[:-1], said, lines[-1]]))
        with pytest.raises(BackupError, match="no 'setting'"):
            EmbeddedService.restore(
                tmp_path / "b",
                f"{url}?master_key_file={tmp_path}/s.db.key".replace("s.db?", "r.db?"),
            )


@pytest.mark.parametrize(("name", "text"), [(KEY, CANARY_KEY), (PHRASE, CANARY)])
def test_neither_is_shown_anywhere(
    url: str,
    tmp_path: Path,
    named: Any,
    name: str,
    text: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not by the objects, logs, errors, the store, its trail, a backup."""
    shown: list[str] = []
    canaries = [text.encode()] if name == PHRASE else [text.encode(), base64.b64decode(text)]
    with caplog.at_level(logging.DEBUG):
        named(**{name: text})
        filled(url)
        with EmbeddedService(url) as service:
            service.backup(tmp_path / "b")
            given = MasterKey.from_base64(text) if name == KEY else Passphrase(text)
            shown += [repr(given), str(given), f"{given}", repr(service), repr(service.door)]
            shown += [
                repr(vars(service)),
                repr(service._door.master),
                repr(vars(service._door.master)),
            ]
            shown.append(json.dumps(service.audit.lookup(limit=1000)))
        setting(url, "master-key-check", b"x" * 60)
        with pytest.raises(SmclientError) as wrong:
            value(url)
        named(**{KEY: CANARY_KEY, PHRASE: CANARY})
        with pytest.raises(ConfigError) as both:
            value(url)
    for error in (wrong.value, both.value):
        shown += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
    shown += [caplog.text, *capfd.readouterr()]
    for said in shown:
        assert not any(canary in said.encode() for canary in canaries)
    for path in tmp_path.iterdir():
        assert not any(canary in path.read_bytes() for canary in canaries)
