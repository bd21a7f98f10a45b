"""The page: well-formed, loads nothing, runs nothing, escapes everything, says what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient import ConfigError, SecretsClient, Usage
from smclient.report import html, page, shapes
from smclient.report.advice import Holdings
from smclient.report.snapshots import Snapshot
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient.usage import SecretUsage

VOID = {"meta", "br", "hr", "img", "link", "input"}
START = datetime(2026, 1, 1, tzinfo=UTC)


class Checked(HTMLParser):
    """Every element closed in order; what there is of elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {"svg", "head"} & set(self.open)  # a slash closes inside SVG only
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def shown(self) -> str:
        return " ".join("".join(self.text).split())


def history() -> Iterator[Snapshot]:
    """Two hours of one process, a snapshot every ten minutes."""
    clock = FakeClock()
    backend = FakeBackend({f"web/{n}": f"{n}" for n in range(3)} | {"db": "x"})
    client = SecretsClient(backend, clock=clock, worker=Inline())
    for n in range(120):
        for name in ("web/0", "web/1", "web/2", "db", "db"):
            client.get(name)
        if n == 60:
            backend.put("db", "rotated")
        clock.advance(60)
        if n % 10 == 9:
            yield Snapshot("one", clock.now(), client.usage())
    client.close()


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    """The same for all."""
    return list(history())


# --- what it says ---------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_usage(snapshots: list[Snapshot]) -> None:
    """Reads, calls, what was saved; each secret, operation and other client by name."""
    usage = snapshots[-1].usage
    shown = Checked(html.render(snapshots)).shown
    saved = usage.reads - usage.calls
    for words in (
        f"{usage.reads:,}",
        f"{saved:,}",
        f"{usage.calls:,} made",
        "web/0",
        "db",
        "GetSecretValue",
        "aws-secretsmanager-caching",
        "aws-lambda-powertools",
        "2.0 hours",
        "one process",
        "Rotations seen: 1.",
        "2026-01-01 00:00 UTC",
        "2026-01-01 02:00 UTC",
    ):
        assert words in shown, words


def test_the_six_strategies_are_there_with_their_arithmetic(snapshots: list[Snapshot]) -> None:
    """In dollars a month."""
    text = html.render(snapshots, holdings=Holdings(secrets=40, unused=10))
    shown = Checked(text).shown
    for title in (
        "Fewer secrets",
        "AWS's own key",
        "Caching",
        "Rotate half as often",
        "Tags for cost allocation",
        "Delete unused secrets",
    ):
        assert title in shown
    assert text.count('<section class="card">') == 6
    assert "10 \N{MULTIPLICATION SIGN} $0.40 a month = $4.00 a month" in shown
    assert "(3 - 1) \N{MULTIPLICATION SIGN} $0.40 a month = $0.80 a month" in shown
    assert "not known" in Checked(html.render(snapshots)).shown


def test_many_processes_are_added_up(snapshots: list[Snapshot]) -> None:
    """Each by its newest."""
    both = [*snapshots, *(replace(s, process="two") for s in snapshots)]
    shown = Checked(html.render(both)).shown
    assert "2 processes" in shown
    assert f"{2 * snapshots[-1].usage.reads:,}" in shown


def test_little_time_is_a_bold_claim(snapshots: list[Snapshot]) -> None:
    """And said to be one."""
    assert "bold extrapolation" in Checked(html.render(snapshots[:1])).shown
    assert "bold extrapolation" not in Checked(html.render(snapshots)).shown


def test_no_snapshot_is_no_report() -> None:
    """Rather than a page of noughts."""
    with pytest.raises(ConfigError):
        html.render([])


def test_a_process_that_did_nothing_has_a_page() -> None:
    """Nothing is divided by nothing."""
    for seconds in (0.0, 10.0):
        usage = replace(Usage.none(), processes=1, seconds=seconds)
        assert "$0.00" in Checked(html.render([Snapshot("idle", START, usage)])).shown


def test_many_secrets_are_cut_and_counted(snapshots: list[Snapshot]) -> None:
    """The most read first, the rest in one line."""
    per_secret = {f"s{n:03}": SecretUsage(hits=1000 - n) for n in range(100)}
    usage = replace(snapshots[-1].usage, per_secret=per_secret)
    shown = Checked(html.render([replace(snapshots[-1], usage=usage)])).shown
    assert "s000" in shown
    assert "s024" in shown
    assert "s025" not in shown
    assert "75 more" in shown


# --- what it is made of ---------------------------------------------------------------------------


def test_nothing_is_loaded_and_nothing_runs(snapshots: list[Snapshot]) -> None:
    """No script, no link, no image, no font, no handler; and the page forbids it itself."""
    text = html.render(snapshots)
    checked = Checked(text)
    assert not {t for t, _ in checked.tags} & {
        "script", "link", "img", "iframe", "object", "embed", "form", "a", "base", "use", "image",
    }  # fmt: skip
    for _, attributes in checked.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"href", "src", "xlink:href", "action", "style"} & attributes.keys()
    assert not re.search(r"https?://|//\w|url\(|@import|expression|javascript:", text)
    policy = [a for _, a in checked.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"] == page.POLICY
    assert page.POLICY.startswith("default-src 'none'")


def test_it_is_made_for_a_phone_and_for_the_dark(snapshots: list[Snapshot]) -> None:
    """Width of the device, both schemes, no width in pixels, pictures that stretch."""
    text = html.render(snapshots)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme:dark" in page.STYLE
    assert "color-scheme:light dark" in page.STYLE
    assert not re.search(r"[^-]width:\d{3,}px", page.STYLE)
    pictures = [a for tag, a in Checked(text).tags if tag == "svg"]
    assert all("viewbox" in a and "width" not in a for a in pictures)
    assert all(a.get("aria-hidden") == "true" or a.get("aria-label") for a in pictures)


def test_every_class_that_is_used_has_a_style(snapshots: list[Snapshot]) -> None:
    """And every colour is defined for both schemes."""
    used = {
        name
        for _, a in Checked(html.render(snapshots)).tags
        for name in str(a.get("class") or "").split()
    }
    assert used
    for name in used - {"note", "soft"}:
        assert f".{name}" in page.STYLE, name
    light, dark = re.findall(r":root\{([^}]*)\}", page.STYLE)
    variables = set(re.findall(r"var\((--\w+)\)", page.STYLE))
    for scheme in (light, dark):
        assert variables <= set(re.findall(r"(--\w+):", scheme))


@pytest.mark.parametrize(("one", "other"), [("ink", "paper"), ("soft", "paper"), ("one", "panel")])
def test_text_can_be_read_in_both_schemes(one: str, other: str) -> None:
    """A contrast of 4.5 to 1, as WCAG asks of text."""
    for scheme in re.findall(r":root\{([^}]*)\}", page.STYLE):
        colours = dict(re.findall(r"--(\w+):(#\w+)", scheme))
        lights = sorted(_luminance(colours[name]) for name in (one, other))
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * d for d in colour[1:])
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- what others put in it ------------------------------------------------------------------------

HOSTILE = "</style><script>alert(1)</script>\"' onload=x & \x1b[0m"
names = st.text(max_size=15) | st.sampled_from([HOSTILE, "<svg/onload=x>", "&lt;", "]]>", "-->"])


@given(names)
@settings(deadline=None, database=None, max_examples=60)
def test_names_are_text_wherever_they_stand(name: str) -> None:
    """Of secrets, tags, codes, operations, clients, keys, processes, and the title."""
    usage = replace(
        Usage.none(),
        hits=5,
        kms_billed=1,
        processes=1,
        seconds=10.0,
        api_calls={name: 2},
        errors={name: 1},
        per_secret={name: SecretUsage(hits=5)},
        per_tag={name: SecretUsage(fetched=5)},
        per_key={name: 1},
        baselines={name: {name: 5}},
    )
    plain = Checked(html.render([Snapshot("p", START, replace(usage, per_secret={}))], title="t"))
    text = html.render([Snapshot(name, START, usage)], title=name)
    checked = Checked(text)
    extra = [t for t, _ in checked.tags if t not in {tag for tag, _ in plain.tags}]
    assert extra == []
    attributes = {a for _, found in checked.tags for a in found}
    assert attributes == {a for _, found in plain.tags for a in found}


def test_a_hostile_name_is_shown_as_it_is(snapshots: list[Snapshot]) -> None:
    """But for what cannot be printed."""
    usage = replace(snapshots[-1].usage, per_secret={HOSTILE: SecretUsage(hits=1)})
    text = html.render([replace(snapshots[-1], usage=usage)])
    assert "<script>" not in text
    assert HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}") in unescape(text)


# --- pictures -------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 1e10), st.floats(-1e6, 1e12)), max_size=20),
    st.lists(st.tuples(st.floats(0, 1e10), st.floats(-1e6, 1e12)), max_size=20),
)
@settings(deadline=None, database=None)
def test_lines_stay_in_their_picture(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    """Whatever the numbers, less than nothing among them."""
    picture = shapes.lines([("one", sorted(one)), ("two", sorted(other))], "told")
    Checked(picture)
    for points in re.findall(r'points="([^"]*)"', picture):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert -0.01 <= x <= 100.01
            assert -0.01 <= y <= 100.01


@pytest.mark.parametrize("amount", [-1.0, 0.0])
def test_a_line_without_any_height_is_still_drawn(amount: float) -> None:
    """Less than nothing throughout, or nothing."""
    assert "polyline" in shapes.lines([("one", [(0.0, amount), (1.0, amount)])], "told")


def test_a_line_goes_up_where_numbers_do() -> None:
    """Down is up in a picture: the largest is at 0, nothing at 100."""
    picture = shapes.lines([("one", [(0, 0), (5, 50), (10, 100)])], "told")
    assert 'points="0.00,100.00 50.00,50.00 100.00,0.00"' in picture


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=4), st.floats(0, 1e9))
@settings(deadline=None, database=None)
def test_a_bar_is_never_longer_than_its_whole(parts: list[float], whole: float) -> None:
    """Also where the parts are more than that."""
    picture = shapes.bar([("one", part) for part in parts], whole)
    Checked(picture)
    placed = re.findall(r'class="one" x="([\d.]+)" width="([\d.]+)"', picture)
    assert all(float(x) + float(width) <= 100.02 for x, width in placed)


def test_a_bar_shows_shares() -> None:
    """One quarter and one half."""
    picture = shapes.bar([("one", 25), ("two", 50)], 100)
    assert '<rect class="one" x="0.00" width="25.00" height="10"/>' in picture
    assert '<rect class="two" x="25.00" width="50.00" height="10"/>' in picture
