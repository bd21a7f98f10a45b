"""``smclient usage`` and ``smclient cost``: counts to dollars, exactly."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from smclient import SecretsClient
from smclient.cli.cloudtrail import analyse
from smclient.cli.root import root
from smclient.metering import Usage
from smclient.report import prometheus
from smclient.report.snapshots import SnapshotWriter
from smclient.testing import FakeBackend, FakeClock, Inline

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """The command, without a store: neither verb asks anybody."""

    def run(*args: str, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(root, args, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return run


def snapshot(reads: int) -> dict[str, Any]:
    """What a process wrote that read one secret so many times."""
    client = SecretsClient(FakeBackend({"a": "x"}), clock=FakeClock(), worker=Inline())
    for _ in range(reads):
        client.get("a")
    found = client.usage().to_dict()
    client.close()
    return found


# --- usage ----------------------------------------------------------------------------------------


def test_snapshots_are_added_up(run: Run, tmp_path: Path) -> None:
    """One to a file, several in an array, one on each line."""
    (tmp_path / "one").write_text(json.dumps(snapshot(10)))
    (tmp_path / "array").write_text(json.dumps([snapshot(20), snapshot(30)]))
    (tmp_path / "lines").write_text(f"{json.dumps(snapshot(40))}\n{json.dumps(snapshot(50))}\n")
    files = [str(tmp_path / name) for name in ("one", "array", "lines")]
    shown = json.loads(run("usage", "--json", *files).stdout)
    assert shown["snapshots"] == 5
    total = Usage.from_dict(shown["usage"])  # what was added up can be added up again
    assert total.processes == 5
    assert sum(secret.hits for secret in total.per_secret.values()) == 145
    assert shown["usage"]["api_calls"] == {"GetSecretValue": 5}
    assert (shown["usage"]["misses"], shown["usage"]["hits"]) == (5, 145)
    assert shown["dollars"]["api_calls"] == "0.000025"
    assert shown["instead"]["no cache"] == {
        "calls": 150,
        "dollars": "0.00075",
        "saved_dollars": "0.000725",
    }
    table = run("usage", *files).stdout
    assert re.search(r"from memory .* 145 \(96\.7 %\)", table)
    assert "no cache" in table


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text",
        "3",
        "{}",
        "[]",
        '{"a": 1}',
        '{"hits": "1"}',
        '{"hits": {"a": 1}}\n{"hits": 1}',
        '{"hits": 1}\n{"hits": {"a": 1}}',
    ],
)
def test_what_is_no_snapshot_is_refused(run: Run, content: str) -> None:
    """As wrong usage."""
    run("usage", "-", code=2, stdin=content)


class Endpoint(BaseHTTPRequestHandler):
    """A process whose metrics are scraped."""

    def do_GET(self) -> None:
        body = b"# HELP other_total of others\nother_total 3\n" + prometheus.render(USAGE).encode()
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


USAGE = Usage.from_dict(snapshot(7))


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_another_process_is_read_at_its_metrics_endpoint(run: Run, endpoint: str) -> None:
    """Among metrics of others, and together with files."""
    shown = json.loads(run("usage", "--json", f"{endpoint}/metrics").stdout)
    assert shown["usage"]["api_calls"] == {"GetSecretValue": 1}
    assert (shown["usage"]["hits"], shown["usage"]["misses"]) == (6, 1)


def test_an_endpoint_that_does_not_answer_is_unavailable(run: Run, endpoint: str) -> None:
    """Not wrong usage: it may answer later."""
    run("usage", f"{endpoint}/elsewhere", code=5)


def test_a_folder_of_snapshots_and_a_file_of_metrics_are_sources_too(
    run: Run, tmp_path: Path
) -> None:
    """What a writer wrote, and what an exporter left on the disk."""
    folder = tmp_path / "snapshots"
    writer = SnapshotWriter(lambda: Usage.from_dict(snapshot(10)), folder, clock=FakeClock())
    written = writer.write()
    metrics = tmp_path / "app.prom"
    metrics.write_text(prometheus.render(USAGE))
    shown = json.loads(run("usage", "--json", str(folder), str(metrics)).stdout)
    assert shown["snapshots"] == 2
    assert shown["usage"]["hits"] == 9 + 6
    alone = json.loads(run("usage", "--json", str(written)).stdout)
    assert alone["usage"]["hits"] == 9


def test_the_page_is_written_to_a_file(run: Run, tmp_path: Path) -> None:
    """Self-contained; what it shows has tests of its own."""
    (tmp_path / "one").write_text(json.dumps(snapshot(10)))
    run("usage", "--html", str(tmp_path / "page.html"), str(tmp_path / "one"))
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "no cache" in page
    run("usage", "--html", "x", "--json", str(tmp_path / "one"), code=2)


def test_a_source_that_is_not_there_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    """Named."""
    assert "nowhere" in run("usage", str(tmp_path / "nowhere"), code=2).output


# --- cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "dollars"),
    [
        (
            ("--secrets", "10", "--requests", "100000", "--cmks", "1"),
            {
                "secrets": "4.00",
                "api_calls": "0.50",
                "customer_keys": "1.00",
                "kms_calls": "0.30",
                "total": "5.80",
            },
        ),
        (("--secrets", "10", "--requests", "100000"), {"kms_calls": "0.00", "total": "4.50"}),
        (
            ("--secrets", "10", "--requests", "100000", "--cmks", "1", "--free-tier"),
            {"kms_calls": "0.24", "total": "5.74"},
        ),
        (("--cmks", "2", "--kms-requests", "10000"), {"kms_calls": "0.03", "total": "2.03"}),
        (("--requests", "1"), {"total": "0.000005"}),
        ((), {"total": "0.00"}),
        (
            ("--secrets", "3", "--requests", "20000", "--price-secret", "1", "--price-call", "0.5"),
            {"secrets": "3.00", "api_calls": "1.00", "total": "4.00"},
        ),
    ],
)
def test_a_months_bill(run: Run, args: tuple[str, ...], dollars: dict[str, str]) -> None:
    """The pricing page's example comes out at $5.80, to the cent."""
    shown = json.loads(run("cost", "--json", *args).stdout)
    assert {name: shown["dollars"][name] for name in dollars} == dollars
    assert shown["as_of"] == "2026-09-01"
    assert f"${Decimal(dollars['total']):,.2f}" in run("cost", *args).stdout


@pytest.mark.parametrize(
    "args",
    [("--secrets", "-1"), ("--price-call", "nan"), ("--price-secret", "x"), ("--price-call", "-1")],
)
def test_numbers_that_make_no_sense_are_refused(run: Run, args: tuple[str, ...]) -> None:
    """As wrong usage."""
    run("cost", *args, code=2)


START = datetime(2026, 9, 1, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf"


def event(
    seconds: float,
    *,
    name: str = "GetSecretValue",
    secret: str | None = "prod/db",
    session: str = "web/i-1",
    **more: Any,
) -> dict[str, Any]:
    """A record of CloudTrail."""
    return {
        "eventVersion": "1.11",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventType": "AwsApiCall",
        "eventName": name,
        "eventTime": (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
        "eventID": f"{seconds}-{name}-{session}-{secret}",
        "userIdentity": {"arn": f"arn:aws:sts::123456789012:assumed-role/{session}"},
        "sourceIPAddress": "10.0.0.1",
        "requestParameters": {"secretId": secret} if secret else None,
        **more,
    }


def write(folder: Path, name: str, records: list[Any]) -> None:
    """A log file, packed if its name says so."""
    content = json.dumps({"Records": records}).encode()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def test_logs_tell_who_calls_most_and_what_caching_saves(run: Run, tmp_path: Path) -> None:
    """A read every 10 s for two hours, by two processes of one role, name and ARN alike."""
    first = [event(10 * n, secret=ARN if n % 2 else "prod/db") for n in range(720)]
    second = [event(10 * n, session="web/i-2") for n in range(720)]
    write(tmp_path, "a/b/one.json.gz", first)
    write(tmp_path, "two.json", second)
    write(tmp_path, "again.json", first[:5])  # delivered twice
    (tmp_path / "broken.json.gz").write_bytes(gzip.compress(b"{}")[:-9])
    (tmp_path / "other.json").write_text("[]")
    shown = json.loads(run("cost", "--from-cloudtrail", str(tmp_path), "--json").stdout)
    assert (shown["calls"], shown["reads"]) == (1440, 1440)
    assert shown["seconds"] == 7190
    assert shown["reads_with_cache"] == 2 * 7200 / 300
    assert shown["saved_calls"] == 1440 - 48
    assert shown["dollars"] == "0.0072"
    assert shown["saved_dollars"] == "0.00696"
    a_month = Decimal("0.0072") * 730 * 3600 / 7190
    assert abs(Decimal(shown["dollars_a_month"]) - a_month) < Decimal("0.000001")
    assert shown["callers"] == [
        {
            "caller": "arn:aws:sts::123456789012:assumed-role/web",
            "calls": 1440,
            "reads": 1440,
            "saved_calls": 1392,
        }
    ]
    assert [row["secret"] for row in shown["secrets"]] == ["prod/db"]
    assert shown["skipped_files"] == ["broken.json.gz", "other.json"]
    told = run("cost", "--from-cloudtrail", str(tmp_path), "--top", "1")
    assert "1,392" in told.stdout
    assert "broken.json.gz is no CloudTrail log" in told.stderr


def test_only_calls_of_secrets_manager_count() -> None:
    """Not other services, not rotations' own events, not what a batch does for each secret."""
    report = analyse(
        [
            event(0, name="BatchGetSecretValue", secret=None),
            event(0, userIdentity={"invokedBy": "secretsmanager.amazonaws.com"}),
            event(1, eventSource="kms.amazonaws.com"),
            event(2, eventType="AwsServiceEvent", name="RotationSucceeded"),
            event(3, eventTime="yesterday"),
            event(4, name="DescribeSecret"),
        ]
    )
    assert dict(report.operations) == {"BatchGetSecretValue": 1, "DescribeSecret": 1}
    assert report.total.reads == 0
    assert report.a_month(2) is None  # a few seconds say nothing of a month


def test_what_a_cache_cannot_save_is_not_promised() -> None:
    """Failures, other versions, other processes, and reads past the ttl stay calls."""
    events = [
        event(0, errorCode="AccessDenied"),
        event(1, errorCode="AccessDenied"),
        event(2),
        event(3, requestParameters={"secretId": "prod/db", "versionStage": "AWSPREVIOUS"}),
        event(4, sourceIPAddress="10.0.0.2"),
        event(302),
        event(303),
    ]
    report = analyse(reversed(events), ttl=300)
    assert report.total.reads == 7
    assert report.total.saved == 1
    assert analyse(events, ttl=0).total.saved == 0
    assert dict(report.errors) == {"AccessDenied": 2}


def test_records_without_what_is_usual_do_no_harm() -> None:
    """A log is not ours; odd ones count as unknown."""
    odd = event(
        0, userIdentity=None, requestParameters=None, resources=[{"ARN": ARN}], eventID=None
    )
    odder = event(1, userIdentity=3, requestParameters="x", resources=[])
    report = analyse([odd, odder, {}])
    assert report.callers["unknown"].calls == 2
    assert report.secrets["prod/db"].calls == 1


def test_logs_and_numbers_exclude_each_other(run: Run, tmp_path: Path) -> None:
    """And an empty folder is no error."""
    run("cost", "--from-cloudtrail", str(tmp_path), "--secrets", "1", code=2)
    run("cost", "--from-cloudtrail", str(tmp_path / "none"), code=2)
    shown = json.loads(run("cost", "--from-cloudtrail", str(tmp_path), "--json").stdout)
    assert (shown["calls"], shown["saved_dollars_a_month"]) == (0, None)
