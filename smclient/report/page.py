"""The frame of the HTML report: head, style, and small building blocks that escape their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2430;--soft:#5b6675;--edge:#dbe0e7;
--panel:#f5f7fa;--one:#0b6e4f;--two:#b3541e;--three:#3557a8;--rest:#e3e8ee}
@media(prefers-color-scheme:dark){:root{--paper:#12161c;--ink:#e6eaf0;--soft:#9aa7b7;--edge:#2b3440;
--panel:#1a2029;--one:#4cc38a;--two:#f0a35e;--three:#86a8f5;--rest:#28313d}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
main{max-width:60rem;margin:0 auto;padding:1.25rem 1rem 3rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.15rem;margin:2.25rem 0 .5rem}
h3{font-size:1rem;margin:0}
p{margin:.4rem 0}
.soft,figcaption,.note{color:var(--soft);font-size:.9rem}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;
margin:1.25rem 0}
.numbers div,.card{background:var(--panel);border:1px solid var(--edge);border-radius:.5rem;
padding:.75rem .9rem}
.numbers b{display:block;font-size:1.4rem;line-height:1.2;font-variant-numeric:tabular-nums}
figure{margin:.75rem 0 1.25rem}
.lines{display:block;width:100%;height:11rem;overflow:visible;border-left:1px solid var(--edge)}
.axis{display:flex;justify-content:space-between;gap:1rem;font-size:.85rem;color:var(--soft);
font-variant-numeric:tabular-nums}
.line{fill:none;stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.area{opacity:.14}.grid{stroke:var(--edge);stroke-width:1;vector-effect:non-scaling-stroke}
.line.one{stroke:var(--one)}.line.two{stroke:var(--two)}
.one{fill:var(--one)}.two{fill:var(--two)}.three{fill:var(--three)}.rest{fill:var(--rest)}
.line.one,.line.two{fill:none}
.bar{display:block;width:100%;height:.6rem;border-radius:.2rem}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;font-size:.9rem;margin:.4rem 0;padding:0;
list-style:none}
.legend svg{width:.8rem;height:.8rem;margin-right:.4rem;vertical-align:-.05rem}
.rows{list-style:none;margin:.5rem 0;padding:0}
.rows li{padding:.45rem 0;border-bottom:1px solid var(--edge)}
.rows .head{display:flex;justify-content:space-between;gap:1rem;flex-wrap:wrap;margin-bottom:.2rem}
.rows .head span+span{color:var(--soft);font-size:.9rem;font-variant-numeric:tabular-nums}
.cards{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr))}
.card .head{display:flex;justify-content:space-between;gap:1rem;align-items:baseline}
.card .head b{white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--one)}
.sums{margin:.5rem 0;padding:0;list-style:none;font-size:.9rem;font-variant-numeric:tabular-nums}
.sums li{padding:.1rem 0 .1rem .75rem;border-left:2px solid var(--edge)}
footer{margin-top:2.5rem;border-top:1px solid var(--edge);padding-top:.75rem}
@media print{.numbers div,.card,figure,.rows li{break-inside:avoid}main{max-width:none}}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, body: str) -> str:
    """A whole document that loads nothing and runs nothing."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def numbers(items: Iterable[tuple[str, str]]) -> str:
    """Big numbers, each with what it counts."""
    cells = (f"<div><b>{escape(n)}</b>{escape(what)}</div>" for n, what in items)
    return f'<div class="numbers">{"".join(cells)}</div>'


def legend(items: Iterable[tuple[str, str]]) -> str:
    """CSS class and meaning of each colour."""
    square = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{}" width="10" height="10"/>'
    cells = (f"<li>{square.format(name)}</svg>{escape(what)}</li>" for name, what in items)
    return f'<ul class="legend">{"".join(cells)}</ul>'


def chart(picture: str, top: str, left: str, right: str, caption: str) -> str:
    """A picture with the value at its upper edge, its first and its last moment."""
    return (
        f'<figure><div class="axis"><span>{escape(top)}</span></div>{picture}'
        f'<div class="axis"><span>{escape(left)}</span><span>{escape(right)}</span></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def rows(items: Iterable[tuple[str, str, str]]) -> str:
    """Lines of a name, its numbers, and a bar (markup) below."""
    lines = (
        f'<li><div class="head"><span>{escape(name)}</span><span>{escape(told)}</span></div>'
        f"{picture}</li>"
        for name, told, picture in items
    )
    return f'<ul class="rows">{"".join(lines)}</ul>'


def card(title: str, amount: str, sums: Sequence[str], note: str) -> str:
    """One strategy with its arithmetic."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in sums)
    return (
        f'<section class="card"><div class="head"><h3>{escape(title)}</h3>'
        f'<b>{escape(amount)}</b></div><ul class="sums">{lines}</ul>'
        f'<p class="note">{escape(note)}</p></section>'
    )
