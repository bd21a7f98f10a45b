"""A wheel built from the sdist, installed in a clean environment, has everything and works."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
from smclient import SecretsClient
with SecretsClient("embedded://") as client:
    client.call("CreateSecret", Name="a", SecretString='{"k": "v"}')
    assert client.resolve("secret://a#k") == "v"
with SecretsClient("embedded:///" + __import__("os").getcwd().lstrip("/") + "/s.db") as client:
    client.call("CreateSecret", Name="a", SecretString="x")
    assert client.get("a").text == "x"
print("works")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; its output, or a failure that shows it."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", folder, ROOT, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    run(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder, source, cwd=folder
    )
    (built,) = folder.glob("*.whl")
    return built


def packages() -> dict[str, Path]:
    """Every package of the project as it lies on disk."""
    homes = [ROOT / "smclient", *(ROOT / "backends").iterdir(), *(ROOT / "integrations").iterdir()]
    return {home.name: home for home in homes if (home / "__init__.py").exists()}


def test_the_list_of_packages_names_every_folder() -> None:
    """One that is forgotten would be missing in the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {Path(path).name for path in listed} == set(packages())


def test_the_wheel_has_every_module_its_types_and_the_licence(wheel: Path) -> None:
    """As they lie on disk."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name, home in packages().items():
        modules = {f"{name}/{path.relative_to(home)}" for path in home.rglob("*.py")}
        assert modules <= names
        assert f"{name}/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    assert any(name.endswith("/entry_points.txt") for name in names)


def test_it_works_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """With the extras that it needs, from another folder."""
    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    extras = f"smclient[embedded,cli] @ {wheel.as_uri()}"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", extras, cwd=tmp_path)
    assert run(python, "-c", SCRIPT, cwd=tmp_path).strip() == "works"
    smclient = tmp_path / "env" / "bin" / "smclient"
    assert "smclient" in run(smclient, "--version", cwd=tmp_path)
    shown = run(smclient, "get", "secret://any#key", "--backend", "null://", cwd=tmp_path)
    assert "placeholder" in shown


def test_no_tracked_file_names_a_path_of_this_machine_or_a_registry() -> None:
    """The patterns are put together here, so that this file does not match itself."""
    patterns = ["/wo" + "rk/", "/ro" + "ot/", "files.python" + "hosted", "pypi" + ".org"]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split():
        content = (ROOT / name).read_bytes()
        found = [pattern for pattern in patterns if pattern.encode() in content]
        assert not found, f"{name}: {found}"
