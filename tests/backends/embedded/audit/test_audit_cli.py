"""``smclient audit``: lookup, tail, export, on a store of its own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient.cli.root import root
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.audit import AuditTrail
from smclient_embedded.audit.logfiles import export, log_path
from smclient_embedded.audit_cli import tailed
from smclient_embedded.store import AuditRecord, MemoryStore, Scope
from smclient_embedded.store.records import AuditPage, AuditQuery

CANARY = "canary-93ab1c"
HOME = Scope("123456789012", "us-east-1")
ABROAD = Scope("123456789012", "eu-west-1")
NOON = datetime(2026, 9, 24, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a day of calls in two regions: they are on record from 12:00 to 12:04."""
    url = f"embedded://{tmp_path}/secrets.db"
    clock = FakeClock(NOON)
    with EmbeddedService(url, clock=clock) as service:
        for n, (operation, more) in enumerate(
            (
                ("CreateSecret", {"Name": "web/db", "SecretString": CANARY}),
                ("GetSecretValue", {"SecretId": "web/db"}),
                ("GetSecretValue", {"SecretId": "web/db"}),
            )
        ):
            request = {**more, "ClientRequestToken": f"{n}" * 32} if not n else more
            service.call(operation, request)
            clock.advance(minutes=1)
        service.call("ListSecrets", {}, service.context(region="eu-west-1"))
    return url


@pytest.fixture
def run() -> Callable[..., Result]:
    def run(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(root, ["audit", *args])
        assert result.exit_code == code, (result.output, result.exception)
        assert CANARY not in result.output
        return result

    return run


class TestLookup:
    def test_prints_the_newest_first_over_all_regions(
        self, run: Callable[..., Result], url: str
    ) -> None:
        """Time, event, who, what, outcome."""
        lines = run("lookup", "--store", url).output.splitlines()
        assert lines[0].split() == ["TIME", "EVENT", "WHO", "WHAT", "OUTCOME"]
        assert lines[1].split()[:3] == ["2026-09-24T12:03:00Z", "ListSecrets", "root"]
        assert [line.split()[1] for line in lines[2:]].count("GetSecretValue") == 2

    def test_prints_the_records_as_json(self, run: Callable[..., Result], url: str) -> None:
        """An array of them, by attribute."""
        result = run("lookup", "--store", url, "--event-name", "GetSecretValue", "--json")
        records = json.loads(result.output)
        assert [record["eventTime"] for record in records] == [
            "2026-09-24T12:02:00Z",
            "2026-09-24T12:01:00Z",
        ]

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            (("--region", "eu-west-1"), ["ListSecrets"]),
            (("--account", "000000000000"), []),
            (("--writes-only",), ["CreateSecret"]),
            (("--since", "2026-09-24T12:02:00Z", "--read-only", "--region", "us-east-1",
              "--event-source", "secretsmanager.amazonaws.com"), ["GetSecretValue"]),
            (("--until", "2026-09-24T12:00:00"), ["GenerateDataKey", "CreateSecret"]),
            (("--limit", "1"), ["ListSecrets"]),
            (("--since", "1h"), []),
            (("--resource-name", "web/db", "--event-name", "CreateSecret"), ["CreateSecret"]),
            (("--username", "nobody"), []),
        ],
    )  # fmt: skip
    def test_narrows(
        self, run: Callable[..., Result], url: str, options: tuple[str, ...], names: list[str]
    ) -> None:
        """By place, time, attribute and number."""
        records = json.loads(run("lookup", "--store", url, "--json", *options).output)
        assert [record["eventName"] for record in records] == names

    def test_needs_no_master_key(
        self, run: Callable[..., Result], url: str, tmp_path: Path
    ) -> None:
        """What is on record is not sealed."""
        (tmp_path / "secrets.db.key").unlink()
        assert "GetSecretValue" in run("lookup", "--store", url).output

    @pytest.mark.parametrize(
        ("store", "says"),
        [
            ("embedded://", "one that lasts"),
            ("embedded:///nowhere/secrets.db", "there is no store"),
        ],
    )
    def test_refuses_a_store_that_is_not_there(
        self, run: Callable[..., Result], store: str, says: str
    ) -> None:
        """And makes none."""
        assert says in run("lookup", "--store", store, code=2).output

    def test_says_that_the_encrypted_file_keeps_none(
        self, run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rather than show an empty trail."""
        monkeypatch.setenv("SMCLIENT_PASSPHRASE", "correct horse battery staple")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        path = tmp_path / "secrets.sms"
        made = CliRunner().invoke(root, ["file", "init", str(path)])
        assert made.exit_code == 0, made.output
        assert "keeps no audit trail" in run("lookup", "--store", f"file://{path}", code=2).output

    def test_refuses_what_is_no_time(self, run: Callable[..., Result], url: str) -> None:
        """Saying how one is written."""
        assert "2h for two" in run("lookup", "--store", url, "--since", "noonish", code=2).output


class TestTail:
    def test_prints_the_last_ones_oldest_first(self, run: Callable[..., Result], url: str) -> None:
        """Of all regions, one a line."""
        lines = run("tail", "--store", url, "-n", "2", "--json").output.splitlines()
        names = [json.loads(line)["eventName"] for line in lines]
        assert len(names) == 2
        assert names[-1] == "ListSecrets"
        assert run("tail", "--store", url, "-n", "0").output == ""
        assert run("tail", "--store", url, "-n", "1").output.split()[1] == "ListSecrets"

    def test_follows_what_comes_in_every_region(self) -> None:
        """Once each, in order, also where there was nothing before."""
        store = MemoryStore()
        trail = AuditTrail(store, lambda: 0.0, HOME)
        add(store, HOME, 1, 2, 3)
        rounds: Iterator[Callable[[], None]] = iter(
            [
                lambda: add(store, HOME, 4, 5),
                lambda: None,
                lambda: add(store, ABROAD, 6),
                lambda: add(store, HOME, *range(7, 3000)),
            ]
        )
        found: list[int] = []
        followed = tailed(trail, trail.scopes, last=2, wait=lambda: go_on(rounds))
        with pytest.raises(KeyboardInterrupt):
            found.extend(map(number, followed))
        assert found == list(range(2, 3000))

    def test_follows_a_record_that_comes_to_be_there_behind_others(self) -> None:
        """In PostgreSQL whoever was given a place first may be there last. And no further back than
        that is anything looked at."""
        store = BehindStore(5, 7)
        trail = AuditTrail(store, lambda: 0.0, HOME)
        for n in range(9):
            add(store, HOME, n, at=NOON + timedelta(seconds=4 * n))
        rounds: Iterator[Callable[[], None]] = iter(
            [
                lambda: store.hidden.discard("e7"),
                lambda: add(store, HOME, 9, at=NOON + timedelta(seconds=36)),
                lambda: store.hidden.discard("e5"),
                lambda: None,
            ]
        )
        found: list[int] = []
        followed = tailed(trail, trail.scopes, last=2, wait=lambda: go_on(rounds))
        with pytest.raises(KeyboardInterrupt):
            found.extend(map(number, followed))
        assert found == [6, 8, 7, 9]

    def test_follows_on_where_all_that_was_seen_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store keeps the newest only; nothing is told twice."""
        monkeypatch.setattr("smclient_embedded.store.memory.KEPT_AUDIT", 2)
        store = MemoryStore()
        trail = AuditTrail(store, lambda: 0.0, HOME)
        add(store, HOME, 1, 2, 3)
        rounds: Iterator[Callable[[], None]] = iter(
            [lambda: add(store, HOME, *range(4, 10)), lambda: None]
        )
        found: list[int] = []
        followed = tailed(trail, trail.scopes, last=2, wait=lambda: go_on(rounds))
        with pytest.raises(KeyboardInterrupt):
            found.extend(map(number, followed))
        assert found == [2, 3, 8, 9]


class TestExport:
    def test_writes_cloudtrails_files_under_cloudtrails_names(
        self, run: Callable[..., Result], url: str, tmp_path: Path
    ) -> None:
        """Gzipped JSON, oldest first, one folder for each account, region and day."""
        folder = tmp_path / "out"
        result = run("export", "--store", url, str(folder), "--json")
        files = [Path(file) for file in json.loads(result.output)["files"]]
        assert sorted(files) == sorted(folder.rglob("*.json.gz"))
        (home,) = [file for file in files if "us-east-1" in str(file)]
        assert str(home.parent.relative_to(folder)) == (
            "AWSLogs/123456789012/CloudTrail/us-east-1/2026/09/24"
        )
        assert home.name.startswith("123456789012_CloudTrail_us-east-1_20260924T1202Z_")
        content = json.loads(gzip.decompress(home.read_bytes()))
        assert [record["eventName"] for record in content["Records"]] == [
            "CreateSecret",
            "GenerateDataKey",
            "GetSecretValue",
            "Decrypt",
            "GetSecretValue",
            "Decrypt",
        ]
        assert home.stat().st_mode & 0o077 == 0

    def test_again_writes_the_same_files(
        self, run: Callable[..., Result], url: str, tmp_path: Path
    ) -> None:
        """Same names, same bytes: nothing is there twice."""
        folder = tmp_path / "out"
        first = run("export", "--store", url, str(folder)).output
        contents = {file: file.read_bytes() for file in folder.rglob("*.gz")}
        assert run("export", "--store", url, str(folder)).output == first
        assert {file: file.read_bytes() for file in folder.rglob("*.gz")} == contents
        assert [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".gz"] == []

    def test_splits_by_day_and_by_number(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each record is in one file."""
        monkeypatch.setattr("smclient_embedded.audit.logfiles.MOST_RECORDS", 10)
        store = MemoryStore()
        add(store, HOME, *range(25))
        add(store, HOME, *range(25, 30), at=NOON + timedelta(days=1))
        files = export(AuditTrail(store, lambda: 0.0, HOME), tmp_path)
        sizes = [len(json.loads(gzip.decompress(f.read_bytes()))["Records"]) for f in files]
        assert sizes == [10, 10, 5, 5]
        assert len(set(files)) == 4

    def test_is_narrowed_by_time(
        self, run: Callable[..., Result], url: str, tmp_path: Path
    ) -> None:
        """Nothing else is written; a range with nothing in it writes nothing."""
        since = ("--since", "2026-09-24T12:03:00Z")
        result = run("export", "--store", url, str(tmp_path / "a"), *since, "--json")
        assert len(json.loads(result.output)["files"]) == 1
        result = run("export", "--store", url, str(tmp_path / "b"), "--since", "1s")
        assert result.output == ""

    def test_says_where_it_cannot_write(
        self, run: Callable[..., Result], url: str, tmp_path: Path
    ) -> None:
        """In one line."""
        (tmp_path / "AWSLogs").write_text("a file")
        assert "cannot be written to" in run("export", "--store", url, str(tmp_path), code=1).output

    def test_names_differ_where_records_do(self) -> None:
        """Also within a minute."""
        one, other = a_record(HOME, 1), a_record(HOME, 2)
        assert log_path(HOME, [one]) != log_path(HOME, [other])


def a_record(scope: Scope, n: int, at: datetime = NOON) -> AuditRecord:
    at += timedelta(milliseconds=n)
    document = {"eventID": f"e{n}", "eventName": "Get", "eventTime": "", "userIdentity": {}}
    return AuditRecord(f"e{n}", scope, at, "Get", document)


class BehindStore(MemoryStore):
    """A store in which some records are not there yet, though others behind them are."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self.hidden = {f"e{n}" for n in numbers}

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Any]:
        with super().transaction(write=write) as tx:
            yield _Hiding(tx, self.hidden)


class _Hiding:
    def __init__(self, tx: Any, hidden: set[str]) -> None:
        self._tx = tx
        self._hidden = hidden

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def audit_page(self, scope: Scope, query: AuditQuery) -> AuditPage:
        page: AuditPage = self._tx.audit_page(scope, query)
        shown = [at for at, r in enumerate(page.records) if r.event_id not in self._hidden]
        return replace(
            page,
            records=tuple(page.records[at] for at in shown),
            positions=tuple(page.positions[at] for at in shown),
        )


def add(store: MemoryStore, scope: Scope, *numbers: int, at: datetime = NOON) -> None:
    with store.transaction(write=True) as tx:
        tx.append_audit([a_record(scope, n, at) for n in numbers])


def number(record: AuditRecord) -> int:
    return int(record.event_id[1:])


def go_on(rounds: Iterator[Callable[[], None]]) -> None:
    """The next round; after the last one somebody interrupts."""
    for work in rounds:
        work()
        return
    raise KeyboardInterrupt
