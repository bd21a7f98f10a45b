"""What is shipped: a wheel built from the sdist, installed in a clean environment, used there."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = "embedded,cli,flask,django,sqlalchemy,pydantic,fastapi,redis,mongodb"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("build") is None, reason="build is not installed"
)


def packages_on_disk() -> set[str]:
    """Every import package of ours, by its path from the root."""
    folders = [*ROOT.glob("smclient"), *ROOT.glob("backends/*"), *ROOT.glob("integrations/*")]
    return {str(f.relative_to(ROOT)) for f in folders if any(f.glob("*.py"))}


def run(*command: str | Path, **more: Any) -> str:
    """Standard output; the test fails with the rest if the command does."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_all_is_every_extra_for_users() -> None:
    """Those for work on the project itself are not."""
    extras = PROJECT["project"]["optional-dependencies"]
    (whole,) = extras["all"]
    named = set(whole.removeprefix("smclient[").removesuffix("]").split(","))
    assert named == extras.keys() - {"all", "bench", "demo", "dev", "test"}


@dataclass
class Built:
    """Sdist and wheel of this checkout."""

    sdist: Path
    wheel: Path

    def in_sdist(self) -> set[str]:
        """The files of the sdist, from its root."""
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}

    def in_wheel(self) -> set[str]:
        """The files of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def metadata(self, name: str) -> str:
        """One file of the wheel's dist-info."""
        with zipfile.ZipFile(self.wheel) as archive:
            path = next(p for p in archive.namelist() if p.endswith(f".dist-info/{name}"))
            return archive.read(path).decode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built once; the wheel from the sdist, not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    isolation = [] if importlib.util.find_spec("hatchling") is None else ["--no-isolation"]
    run(sys.executable, "-m", "build", *isolation, "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Built(sdist, wheel)


@dataclass
class Clean:
    """An environment that has the wheel with some extras, and nothing else."""

    home: Path

    def script(self, name: str) -> Path:
        """A program of the environment."""
        return self.home / ("Scripts" if os.name == "nt" else "bin") / name

    def environ(self) -> dict[str, str]:
        """Ours, without what would lead back to the checkout."""
        ours = ("PYTHON", "SMCLIENT_", "AWS_", "VIRTUAL_ENV")
        return {k: v for k, v in os.environ.items() if not k.startswith(ours)}

    def python(self, code: str, *arguments: str) -> str:
        """Run code there, from a folder of its own."""
        return run(self.script("python"), "-c", code, *arguments, cwd=self.home, env=self.environ())

    def smclient(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command."""
        return subprocess.run(
            [self.script("smclient"), *arguments],
            cwd=self.home,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def clean(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """Installed once, from the wheel and the registry."""
    made = Clean(tmp_path_factory.mktemp("clean"))
    venv.create(made.home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", made.script("python")]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    run(*pip, "install", *quiet, f"{built.wheel}[{EXTRAS}]", env=made.environ())
    return made


# --- what is in them ------------------------------------------------------------------------------


def test_the_list_of_packages_is_what_is_there() -> None:
    """A new package is shipped, or this fails."""
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_on_disk()


def test_no_package_lies_in_a_package_of_packages() -> None:
    """``backends`` and ``integrations`` are folders, not importable names."""
    assert not list(ROOT.glob("backends/*.py"))
    assert not list(ROOT.glob("integrations/*.py"))


def test_the_wheel_has_every_file_of_every_package(built: Built) -> None:
    """Modules, types and data, under their import names; no tests, no strays."""
    expected = {
        str(file.relative_to((ROOT / package).parent))
        for package in packages_on_disk()
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    shipped = {name for name in built.in_wheel() if ".dist-info/" not in name}
    assert {f"{Path(package).name}/py.typed" for package in packages_on_disk()} <= shipped
    assert {f"{Path(package).name}/__init__.py" for package in packages_on_disk()} <= shipped
    assert shipped == expected


def test_the_wheel_has_the_licence(built: Built) -> None:
    """Apache-2.0, as a file and as an expression."""
    assert built.metadata("licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in built.metadata("licenses/LICENSE")
    assert "License-Expression: Apache-2.0" in built.metadata("METADATA").splitlines()


def test_the_wheel_has_the_entry_points(built: Built) -> None:
    """All that ``pyproject.toml`` names: scripts, backends, stores, commands."""
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are
    parser.read_string(built.metadata("entry_points.txt"))
    project = PROJECT["project"]
    expected = {"console_scripts": project["scripts"], **project["entry-points"]}
    assert {name: dict(parser[name]) for name in parser.sections()} == expected


def test_the_wheel_has_the_version_of_the_package(built: Built) -> None:
    """One place says it."""
    from smclient import __version__

    assert f"Version: {__version__}" in built.metadata("METADATA").splitlines()
    assert built.wheel.name == f"smclient-{__version__}-py3-none-any.whl"


def test_the_wheel_knows_its_extras(built: Built) -> None:
    """Every extra of ``pyproject.toml``, and a Python floor."""
    lines = built.metadata("METADATA").splitlines()
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if "Provides-Extra" in line}
    assert extras == set(PROJECT["project"]["optional-dependencies"])
    assert f"Requires-Python: {PROJECT['project']['requires-python']}" in lines


def test_the_sdist_has_what_a_packager_needs(built: Built) -> None:
    """Sources, tests with their data, documents, and the file that builds it; nothing of ours."""
    shipped = built.in_sdist()
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "tests/conftest.py",
        "tests/data/rotation/schedules.json",
        "tests/packaging/test_packaging_wheel.py",
        "docs/architecture.md",
        "examples/django/start.py",
        "backends/smclient_aws/py.typed",
    ):
        assert name in shipped
    strays = (".venv", ".git/", "__pycache__", ".pytest_cache", "dist/", ".hypothesis")
    assert [name for name in shipped if name.startswith(strays) or "__pycache__" in name] == []


# --- what it does where only it is installed ------------------------------------------------------


def test_a_clean_environment_makes_and_reads_a_secret(clean: Clean) -> None:
    """The embedded service, in memory and on a file, from a folder that is not the checkout."""
    code = """
import json, sys
import smclient
from smclient import SecretsClient
for url in ("embedded://", "embedded://" + sys.argv[1]):
    with SecretsClient(url) as client:
        client.call("CreateSecret", Name="prod/web", SecretString='{"key": "seen"}')
        assert client.get("prod/web")["key"] == "seen"
        assert client.resolve("secret://prod/web#key") == "seen"
print(json.dumps({"file": smclient.__file__, "path": sys.path}))
"""
    told = json.loads(clean.python(code, str(clean.home / "made.db")))
    assert str(clean.home.resolve()) in str(Path(told["file"]).resolve())
    assert not any(Path(entry).resolve() == ROOT for entry in told["path"] if entry)
    again = clean.smclient(
        "get", "secret://prod/web#key", "--backend", f"embedded://{clean.home}/made.db"
    )
    assert (again.returncode, again.stdout) == (0, "seen\n"), again.stderr


def test_the_installed_command(clean: Clean) -> None:
    """Its version, and a value from the null backend."""
    from smclient import __version__

    assert clean.smclient("--version").stdout == f"smclient, version {__version__}\n"
    got = clean.smclient("get", "secret://any#password", "--backend", "null://")
    assert (got.returncode, got.stdout) == (0, "smclient-null-placeholder\n")
    windows = [{"expression": "rate(1 day)", "now": "2026-03-04T09:15:00Z"}]
    (clean.home / "cases.json").write_text(json.dumps(windows))
    answer = clean.smclient("rotation", "windows", "cases.json")
    assert answer.returncode == 0, answer.stderr
    assert len(json.loads(answer.stdout)) == 1


def test_every_entry_point_leads_somewhere(clean: Clean) -> None:
    """Each loads, or lacks a package of an extra that was not installed."""
    code = """
import json
from importlib.metadata import distribution
absent = {}
for point in distribution("smclient").entry_points:
    if point.group.startswith("smclient."):
        try:
            assert callable(point.load()), point
        except ModuleNotFoundError as error:
            absent[f"{point.group}:{point.name}"] = error.name
print(json.dumps(absent))
"""
    absent = json.loads(clean.python(code))
    known = {"psycopg", "uvicorn", "httptools", "uvloop"}
    assert set(absent.values()) <= known, absent
    assert absent.get("smclient.commands:demo") == "psycopg"


def test_every_module_of_ours_can_be_imported_from_the_wheel(clean: Clean) -> None:
    """No module needs what is only in the checkout."""
    code = """
import django, importlib, json, pkgutil, sys
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
absent = {}
apps = ["smclient_django", *(f"django.contrib.{n}" for n in ("admin", "auth", "contenttypes"))]
settings.configure(INSTALLED_APPS=apps)
django.setup()
for package in sys.argv[1:]:
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, package + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            absent[module.name] = error.name
        except ImproperlyConfigured as error:  # Django's own word for a driver that is absent
            told = error.__cause__ or error.__context__
            absent[module.name] = getattr(told, "name", None) or "gdal"
print(json.dumps(absent))
"""
    packages = sorted(Path(package).name for package in packages_on_disk())
    absent = json.loads(clean.python(code, *packages))
    drivers = {"MySQLdb", "cx_Oracle", "gdal", "oracledb", "psycopg", "psycopg2", "pymysql"}
    allowed = {
        *drivers,
        "bson",
        "pymongo",
        "redis",
        "pytest",
        "uvicorn",
        "httptools",
        "uvloop",
        "moto",
    }
    assert {name.partition(".")[0] for name in absent.values()} <= allowed, absent


def test_a_command_whose_extra_is_not_installed_names_it(clean: Clean) -> None:
    """Really absent here: psycopg, which the demo needs."""
    answer = clean.smclient("demo")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        "error: 'demo' needs the module 'psycopg', which is absent: "
        "pip install 'smclient[postgresql]'"
    ]


# --- what is said when a package is absent --------------------------------------------------------

Simulate = Callable[..., str]


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Runs code in an interpreter that cannot import a package; it prints what it caught."""

    def simulated(absent: str, code: str) -> str:
        begin = f"import sys; sys.modules[{absent!r}] = None\n"
        return run(sys.executable, "-c", begin + code, cwd=tmp_path)

    return simulated


CATCH = """
from smclient import MissingExtraError, SecretsClient
try:
    {code}
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("absent", "code", "extra"),
    [
        ("sqlalchemy", "SecretsClient('embedded:///tmp/never-made.db')", "embedded"),
        ("smclient_embedded", "SecretsClient('embedded://')", "embedded"),
        (
            "psycopg",
            "from smclient.rotation.databases import load_driver; load_driver('psycopg')",
            "postgresql",
        ),
    ],
)
def test_a_package_that_is_absent_is_told_with_its_extra(
    simulate: Simulate, absent: str, code: str, extra: str
) -> None:
    """An error of ours, which names the module and the extra, and that extra exists."""
    told = simulate(absent, CATCH.format(code=code))
    assert f"pip install 'smclient[{extra}]'" in told
    assert repr(absent) in told
    assert extra in PROJECT["project"]["optional-dependencies"]


def test_the_core_needs_no_extra(simulate: Simulate) -> None:
    """Without SQLAlchemy, click, Flask and psycopg, the embedded service in memory works."""
    others = "for name in ('click', 'rich', 'flask', 'psycopg'): sys.modules[name] = None\n"
    code = """
from smclient import SecretsClient
with SecretsClient("embedded://") as client:
    client.call("CreateSecret", Name="a", SecretString="seen")
    print(client.get("a").text)
"""
    assert simulate("sqlalchemy", others + code) == "seen\n"
