"""The examples of README and docs run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(<!-- not run: [^\n]* -->\n)?```python\n(.*?)```", re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Every block of Python that is not marked as not run."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, match in enumerate(BLOCK.finditer(path.read_text()), 1):
            if match[1] is None:
                found.append((f"{path.relative_to(ROOT)}:{number}", match[2]))
    return found


@pytest.mark.parametrize(("name", "code"), blocks(), ids=lambda v: v if "\n" not in v else "")
def test_docs_example(
    name: str, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it stands, over the embedded default."""
    if name.startswith("docs/migrating.md"):
        pytest.skip("run by tests/cli, with the clients that are migrated from")
    monkeypatch.setenv("SMCLIENT_BACKEND", "embedded://")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, name, "exec"), {"__name__": "docs"})
