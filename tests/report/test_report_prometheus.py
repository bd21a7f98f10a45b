"""Prometheus text: written by the rules, read back to the same usage, from file or endpoint."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient import BackendUnavailableError, ConfigError, SecretsClient, Usage
from smclient.report import prometheus
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient.usage import BASELINES, BUCKETS, Histogram, SecretUsage

quick = settings(deadline=None, database=None, max_examples=150)
counts = st.integers(0, 10**15)
names = st.text(max_size=12) | st.sampled_from(
    ['"', "\\", "\n", "\\n", '\\"', "}", "a,b", "\r", " "]
)
by_name = st.dictionaries(names, counts, max_size=4)
by_two = st.dictionaries(names, st.dictionaries(names, counts, min_size=1, max_size=3), max_size=3)
histograms = st.builds(
    Histogram,
    st.lists(st.integers(0, 10**6), min_size=len(BUCKETS), max_size=len(BUCKETS)).map(tuple),
    st.integers(0, 10**14),
)
secrets = st.dictionaries(names, st.builds(SecretUsage, *[counts] * 7), max_size=4)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any usage that a client can have: the baselines are always named."""
    numbers = {name: draw(counts) for name, kind in Usage.__annotations__.items() if kind == "int"}
    return Usage(
        **{
            **numbers,
            **{name: draw(by_name) for name in ("api_calls", "errors", "logins", "per_key")},
            "seconds": draw(st.floats(0, 1e9)),
            "baselines": {**{name: {} for name in BASELINES}, **draw(by_two)},
            "per_region": draw(by_two),
            "per_secret": draw(secrets),
            "per_tag": draw(secrets),
            "latency": draw(st.dictionaries(names, histograms, max_size=2)),
            "refresh_latency": draw(histograms),
            "format": Usage.none().format,
        }
    )


@pytest.fixture
def usage() -> Usage:
    """Of a client that did a little of everything."""
    client = SecretsClient(
        FakeBackend({"db": "x", "web/api": "y"}), clock=FakeClock(), worker=Inline()
    )
    client.get("db")
    client.get("db")
    client.get_many(["web/api", "absent"])
    found = client.usage()
    client.close()
    return found


# --- there and back -------------------------------------------------------------------------------


@given(usages())
@quick
def test_text_and_back_is_the_same(usage: Usage) -> None:
    """Whatever the names hold: quotes, backslashes, ends of lines, braces."""
    assert prometheus.parse(prometheus.render(usage)) == usage


@given(names)
@quick
def test_a_name_never_breaks_out_of_its_line(name: str) -> None:
    """Each sample is one line, its label value in quotes without a bare quote in it."""
    usage = replace(Usage.none(), errors={name: 7})
    lines = prometheus.render(usage).split("\n")
    mine = [line for line in lines if line.startswith("smclient_errors_total{")]
    assert len(mine) == 1
    assert re.fullmatch(
        r'smclient_errors_total\{code="(?:[^"\\\n]|\\[\\n"])*"\} 7', mine[0], re.DOTALL
    )


def test_what_a_client_counted_survives_the_way(usage: Usage) -> None:
    """With secrets, regions and times."""
    assert usage.per_secret
    assert usage.per_region
    assert prometheus.parse(prometheus.render(usage)) == usage


# --- the rules of the format ----------------------------------------------------------------------


def test_every_name_is_explained_once_before_its_samples(usage: Usage) -> None:
    """HELP and TYPE, then the samples of that name together; counters end in _total."""
    text = prometheus.render(usage)
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    helped: list[str] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.append(line.split(" ")[2])
            assert len(line.split(" ", 3)[3]) > 10
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == helped[-1]
            assert name not in kinds
            assert name.startswith("smclient_")
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
        else:
            name = re.split(r"[{ ]", line, maxsplit=1)[0]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert helped[-1] in (name, base)
    assert set(kinds) == set(helped)
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}


def test_buckets_hold_those_before_them_too() -> None:
    """And the last one holds all, as ``_count`` does."""
    histogram = Histogram().observe(0.003).observe(0.003).observe(0.3).observe(60.0)
    usage = replace(Usage.none(), refresh_latency=histogram)
    lines = prometheus.render(usage).splitlines()
    assert 'smclient_refresh_seconds_bucket{le="0.005"} 2' in lines
    assert 'smclient_refresh_seconds_bucket{le="0.5"} 3' in lines
    assert 'smclient_refresh_seconds_bucket{le="+Inf"} 4' in lines
    assert "smclient_refresh_seconds_count 4" in lines
    assert "smclient_refresh_seconds_sum 60.306" in lines


# --- reading what others wrote around it ----------------------------------------------------------


def test_metrics_of_others_are_left_out(usage: Usage) -> None:
    """An endpoint has those of the process too, comments, empty lines, times of samples."""
    text = (
        '# a comment\n\nprocess_cpu_seconds_total 0.5\nhttp_requests{path="/"} 3 1700000000\n'
        + prometheus.render(usage).replace("smclient_hits_total 1\n", "smclient_hits_total 1 17\n")
        + "smclient_unheard_of 3\n"
    )
    assert "smclient_hits_total 1 17\n" in text
    assert prometheus.parse(text) == usage


def test_numbers_in_other_spellings_are_read() -> None:
    """A proxy in between may write them so."""
    text = "smclient_hits_total 1e+06\nsmclient_misses_total 5.0\r\n"
    text += 'smclient_errors_total{ code = "x" , } 2\n'
    usage = prometheus.parse(text)
    assert (usage.hits, usage.misses, usage.errors) == (1_000_000, 5, {"x": 2})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up 1\n",
        "smclient_hits_total\n",
        "smclient_hits_total many\n",
        "smclient_hits_total NaN\n",
        "smclient_hits_total +Inf\n",
        "smclient_hits_total -1\n",
        "smclient_hits_total 1.5\n",
        'smclient_errors_total{code="x} 1\n',
        "smclient_errors_total 1\n",
        'smclient_errors_total{kind="x"} 1\n',
        'smclient_refresh_seconds_bucket{le="0.005"} 5\n'
        'smclient_refresh_seconds_bucket{le="+Inf"} 3\n',
    ],
)
def test_what_is_no_usage_is_refused(text: str) -> None:
    """With a ConfigError, never a wrong number."""
    with pytest.raises(ConfigError):
        prometheus.parse(text)


# --- a file, an endpoint --------------------------------------------------------------------------


def test_a_file_is_read(usage: Usage, tmp_path: Path) -> None:
    """By its path."""
    path = tmp_path / "metrics"
    path.write_text(prometheus.render(usage))
    assert prometheus.read(str(path)) == usage


def test_a_file_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Absent, binary, or far too large."""
    with pytest.raises(ConfigError, match="No such file"):
        prometheus.read(str(tmp_path / "absent"))
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no text"):
        prometheus.read(str(path))
    monkeypatch.setattr(prometheus, "MOST_BYTES", 1)
    with pytest.raises(ConfigError, match="more than"):
        prometheus.read(str(path))


@pytest.fixture
def endpoint(usage: Usage) -> Iterator[str]:
    """A metrics endpoint on the loopback; ``/gone`` is 404."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = prometheus.render(usage).encode()
            self.send_response(404 if self.path == "/gone" else 200)
            self.send_header("Content-Type", prometheus.CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_is_read(usage: Usage, endpoint: str) -> None:
    """Of another process."""
    assert prometheus.read(f"{endpoint}/metrics") == usage


def test_an_endpoint_that_does_not_answer_is_unavailable(endpoint: str) -> None:
    """Refused, or nobody there."""
    with pytest.raises(BackendUnavailableError):
        prometheus.read(f"{endpoint}/gone")
    with pytest.raises(BackendUnavailableError):
        prometheus.read("http://127.0.0.1:1/metrics", timeout=1)
    with pytest.raises(BackendUnavailableError):
        prometheus.read("http://[bad", timeout=1)


def test_a_local_file_is_never_fetched_as_a_url(tmp_path: Path) -> None:
    """``file://`` is a path that does not exist."""
    path = tmp_path / "metrics"
    path.write_text("smclient_hits_total 1\n")
    with pytest.raises(ConfigError):
        prometheus.read(f"file://{path}")
