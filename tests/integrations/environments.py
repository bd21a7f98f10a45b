"""Runs the tests of the integrations in an environment for each supported version of a framework.

    make frameworks                                                   # all that can be run here
    python tests/integrations/environments.py flask-3.0 django-6.1    # some

Versions of a framework exclude each other. Environments are kept in ``.venv-frameworks``; the
result is a line for each. Exits with 1 if one failed, or none could be run. ``docs/versions.md`` is
the table of what is in ``MATRIX``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-frameworks"
EXTRAS = "demo,server,mysql,mongodb,redis"
TOOLS = ("hypothesis", "pytest")
# Old versions of a framework are deprecated by new ones of what they use; that is not ours.
LENIENT = ("-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions that go together, and what is tested with them."""

    extra: str
    pins: tuple[str, ...]
    more: tuple[str, ...]
    oldest: bool
    """On the oldest Python of those that are here and fit, else on the newest."""
    fits: tuple[tuple[int, int], tuple[int, int]] = ((3, 11), (3, 99))
    """The first and the last Python that the framework supports, of those that we do."""
    options: tuple[str, ...] = LENIENT
    """Of pytest."""

    @property
    def tests(self) -> str:
        """The folder of tests."""
        return f"tests/integrations/{self.extra}"


_FLASK = ("Flask-Session[cachelib]", "Flask-SQLAlchemy")
_FASTAPI = ("httpx", "websockets")


def _django(version: str, first: tuple[int, int], last: tuple[int, int]) -> Environment:
    more = ("gunicorn", "psycopg[pool]")
    return Environment("django", (f"django~={version}.0",), more, True, (first, last), ())


MATRIX = {
    "flask-3.0": Environment("flask", ("flask~=3.0.0", "werkzeug~=3.0.0"), _FLASK, True),
    "flask-3.1": Environment("flask", ("flask~=3.1.0",), _FLASK, False),
    "pydantic-settings-2.10": Environment(
        "pydantic", ("pydantic-settings~=2.10.0", "pydantic~=2.11.0"), (), True
    ),
    "pydantic-settings-2.12": Environment(
        "pydantic", ("pydantic-settings~=2.12.0", "pydantic~=2.12.0"), (), True
    ),
    "pydantic-settings-2.16": Environment("pydantic", ("pydantic-settings~=2.16.0",), (), False),
    "starlette-0.40": Environment(
        "fastapi", ("starlette~=0.40.0", "fastapi~=0.115.0"), _FASTAPI, True
    ),
    "starlette-1": Environment(
        "fastapi", ("starlette~=1.0", "fastapi"), (*_FASTAPI, "httpx2"), False
    ),
    "django-4.2": _django("4.2", (3, 11), (3, 12)),
    "django-5.2": _django("5.2", (3, 11), (3, 14)),
    "django-6.0": _django("6.0", (3, 12), (3, 14)),
    "django-6.1": _django("6.1", (3, 12), (3, 15)),
}
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14", sys.executable)


def main() -> None:
    """Run what was asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MATRIX), metavar="NAME")
    parser.add_argument("--python", action="append", help="an interpreter; may be repeated")
    given = parser.parse_args()
    pythons = interpreters(given.python or PYTHONS)
    results: dict[str, int] = {}
    for name in given.names:
        first, last = MATRIX[name].fits
        fitting = [found for found in pythons if first <= found <= last]
        if not fitting:
            print(f"{name}: no Python from {_dotted(first)} to {_dotted(last)} here")
            continue
        found = (min if MATRIX[name].oldest else max)(fitting)
        label = f"{name} on Python {_dotted(found)}"
        results[label] = run(name, MATRIX[name], found, pythons[found])
        print(f"{label}: {results[label]}", flush=True)
    for label, code in results.items():
        print(f"{label}: {'passed' if code == 0 else f'FAILED ({code})'}")
    sys.exit(0 if results and not any(results.values()) else 1)


def interpreters(names: list[str] | tuple[str, ...]) -> dict[tuple[int, int], str]:
    """Version to path of the interpreters that there are."""
    found: dict[tuple[int, int], str] = {}
    code = "import sys; print(*sys.version_info[:2])"
    for name in names:
        try:
            asked = subprocess.run([name, "-c", code], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if asked.returncode == 0:
            major, minor = asked.stdout.split()
            found.setdefault((int(major), int(minor)), name)
    return found


def run(name: str, environment: Environment, found: tuple[int, int], python: str) -> int:
    """The exit code of pytest in an environment, which is made if need be."""
    home = FOLDER / f"{name}-{_dotted(found)}"
    inside = home / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", home], check=True)
    pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ours = ["--editable", f"{ROOT}[{EXTRAS},{environment.extra}]"]
    subprocess.run(
        [*pip, *ours, *environment.pins, *environment.more, *TOOLS], check=True, cwd=ROOT
    )
    pytest = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", environment.tests]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*pytest, *environment.options], check=False, cwd=ROOT, env=environ
    ).returncode


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


if __name__ == "__main__":
    main()
