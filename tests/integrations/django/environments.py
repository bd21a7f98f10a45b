"""Runs the tests of the Django integration in an environment for each supported version.

    make django                                    # every version that the Pythons here allow
    python tests/integrations/django/environments.py --python python3.12 6.0 6.1

Django versions exclude each other, and 6.x needs Python 3.12. Environments are kept in
``.venv-django``; the result is a line for each. Exits with 1 if one failed, or none could be run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".venv-django"
VERSIONS = {
    "4.2": (3, 11, 3, 12),
    "5.2": (3, 11, 3, 14),
    "6.0": (3, 12, 3, 14),
    "6.1": (3, 12, 3, 15),
}
"""Django to the first and the last Python that it supports, of those that we do."""
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14", sys.executable)
EXTRAS = "demo,server,django"
MORE = ("PyMySQL", "gunicorn", "hypothesis", "psycopg[pool]", "pytest", "redis")


def main() -> None:
    """Run what was asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(VERSIONS), help="of Django")
    parser.add_argument("--python", action="append", help="an interpreter; may be repeated")
    given = parser.parse_args()
    pythons = interpreters(given.python or PYTHONS)
    results: dict[str, int] = {}
    for version in given.versions:
        first, last = VERSIONS[version][:2], VERSIONS[version][2:]
        fitting = {found: path for found, path in pythons.items() if first <= found <= last}
        if not fitting:
            print(f"Django {version}: no Python from {first} to {last} here")
            continue
        found = min(fitting)
        name = f"Django {version} on Python {found[0]}.{found[1]}"
        results[name] = run(version, found, fitting[found])
    for name, code in results.items():
        print(f"{name}: {'passed' if code == 0 else f'FAILED ({code})'}")
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


def run(version: str, found: tuple[int, int], python: str) -> int:
    """The exit code of pytest in the environment of a version, which is made if need be."""
    home = FOLDER / f"{version}-{found[0]}.{found[1]}"
    inside = home / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", home], check=True)
    pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--editable", f"{ROOT}[{EXTRAS}]", f"django~={version}.0", *MORE]
    subprocess.run([*pip, *wanted], check=True, cwd=ROOT)
    tests = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integrations/django"]
    return subprocess.run(tests, check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    main()
