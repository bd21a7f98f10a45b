"""Every Python example of README.md and the documentation runs, on the embedded service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!--[ ]*not[ ]run:[ ]*(?P<reason>[^\n]*?)[ ]*-->\n+)?"
    r"^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^[ ]*```[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Example:
    """A block of Python in a page."""

    page: Path
    line: int
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples(page: Path, text: str) -> list[Example]:
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        code = re.sub(f"(?m)^{match['indent']}", "", match["code"])
        found.append(Example(page, line, code, match["reason"]))
    return found


EXAMPLES = [found for page in PAGES for found in examples(page, page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_in_the_docs(
    example: Example, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a namespace of its own, in an empty folder, with ``embedded://`` where no URL is given."""
    if example.page.name == "migrating.md":
        pytest.skip("run by tests/cli, with the clients that are migrated from")
    if example.reason is not None:
        assert example.reason, f"{example}: say why it is not run"
        pytest.skip(f"{example} is not run: {example.reason}")
    monkeypatch.setenv("SMCLIENT_BACKEND", "embedded://")
    monkeypatch.chdir(tmp_path)
    lines = "\n" * (example.line - 1)  # so that a traceback shows the page's own line
    namespace: dict[str, Any] = {"__name__": "example"}
    code = compile(lines + example.code, str(example.page), "exec", dont_inherit=True)
    exec(code, namespace)


def test_the_readme_shows_python() -> None:
    """The search finds what is there: the five-line use at least, and it is run."""
    readme = [example for example in EXAMPLES if example.page.name == "README.md"]
    assert any(example.reason is None and "SecretsClient" in example.code for example in readme)


def test_the_search_sees_blocks_and_reasons() -> None:
    """Plain, indented, with a reason, and none of another language."""
    text = """
```python
one = 1
```
```sh
not python
```
<!-- not run: needs AWS -->
```python
two = 2
```
- item
  ```python title="x"
  if three:
      pass
  ```
<!-- not run: -->

```python
four = 4
```
"""
    found = examples(Path("x.md"), text)
    assert [(e.code, e.reason) for e in found] == [
        ("one = 1\n", None),
        ("two = 2\n", "needs AWS"),
        ("if three:\n    pass\n", None),
        ("four = 4\n", ""),
    ]
    assert [e.line for e in found] == [3, 10, 14, 20]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """Relative links of a page are files or folders of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []
