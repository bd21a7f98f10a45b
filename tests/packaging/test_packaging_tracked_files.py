"""Nothing of the machine that built it: no path of this checkout, no package registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
REGISTRY_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL")


def tracked() -> list[Path]:
    """The files that git knows; skips where this is no checkout."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    safe = f"safe.directory={ROOT}"  # whoever owns it
    listed = subprocess.run(
        [git, "-c", safe, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]


def registries() -> set[str]:
    """Where pip is told to look here, hosts, and folders."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = [line for line in told.splitlines() if re.search("index|find.links", line)]
    words = " ".join(lines).replace("'", " ").replace("=", " ").split()
    words += " ".join(os.environ.get(name, "") for name in REGISTRY_VARIABLES).split()
    found = set()
    for word in words:
        parts = urlsplit(word)
        if parts.scheme in ("http", "https") and parts.hostname:
            found.add(parts.hostname)
        elif parts.path.startswith("/"):
            found.add(parts.path)
    return found


def forbidden() -> set[str]:
    """Texts that have no place in a repository. Put together here, so that this file has none."""
    texts = {f"/{folder}/" for folder in ("work", "root")}
    texts |= {"pypi" + ".org", "files.python" + "hosted"}
    texts |= {str(ROOT)} if len(ROOT.parts) > 2 else set()
    return texts | {text for text in registries() if len(text) > 6}


def test_no_tracked_file_tells_of_this_machine() -> None:
    """Neither paths nor registry hosts, in text or binary files."""
    files = tracked()
    assert ROOT / "pyproject.toml" in files
    texts = {text.encode() for text in forbidden()}
    found = {
        f"{file.relative_to(ROOT)}: {text.decode()}"
        for file in files
        if file.is_file()
        for text in texts
        if text in file.read_bytes()
    }
    assert found == set()


def test_the_search_would_find_it(tmp_path: Path) -> None:
    """The texts are whole: a file that has one is found."""
    (tmp_path / "x").write_text(f"see {'/'.join(['', 'work', 'main', 'README.md'])}")
    content = (tmp_path / "x").read_bytes()
    assert any(text.encode() in content for text in forbidden())


def test_no_tracked_file_is_a_by_product() -> None:
    """Caches, environments and builds stay out."""
    by_products = re.compile(
        r"(^|/)(__pycache__|\.venv|dist|build|\.(pytest|mypy|ruff)_cache|\.hypothesis)/|\.pyc$"
    )
    names = [str(file.relative_to(ROOT)) for file in tracked()]
    assert [name for name in names if by_products.search(name)] == []
