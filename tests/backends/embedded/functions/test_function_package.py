"""The code of a function as a zip: from whatever it is given, and never out of its folder."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient.errors import ConfigError
from smclient_embedded.functions import package


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def names(content: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_a_file_is_packed_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "lambda_function.py"
    path.write_text("x = 1")
    assert names(package.package_of(path)) == ["lambda_function.py"]


def test_a_folder_is_packed_without_what_python_and_git_leave_there(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", "__pycache__/a.pyc", ".git/config", ".venv/lib/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    assert names(package.package_of(tmp_path)) == ["a.py", "sub/b.py"]


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1")
    first = package.package_of(path)
    path.touch()
    assert package.package_of(path) == first


def test_a_zip_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "f.zip"
    path.write_bytes(zipped(**{"a.py": b"x = 1", "lib/b.py": b""}))
    out = tmp_path / "out"
    out.mkdir()
    package.unpack(package.package_of(path), out)
    assert (out / "a.py").read_text() == "x = 1"
    assert (out / "lib" / "b.py").exists()


@pytest.mark.parametrize("name", ["../a.py", "/a.py", "a/../../b.py", "..\\a.py"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="outside its folder"):
        package.checked(zipped(**{name: b""}))


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", zipped(**{"a.py": b"x" * 99})[:60]],
    ids=["nothing", "another", "cut short"],
)
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="not a zip that can be read"):
        package.checked(content)


def test_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the zip claims of its sizes."""
    monkeypatch.setattr(package, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="--python"):
        package.checked(zipped(a=b"x" * 600, b=b"x" * 600))


def test_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no files"):
        package.package_of(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        package.package_of(tmp_path / "absent.py")


@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "..", ".", "", "c.py"]), min_size=1, max_size=4).map(
            "/".join
        ),
        st.binary(max_size=20),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_unpacked_stays_in_the_folder(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    """Or is refused as a whole."""
    outer = tmp_path_factory.mktemp("outer")
    inner = outer / "x" / "y" / "z"
    inner.mkdir(parents=True)
    try:
        content = package.checked(zipped(**{name or "empty": c for name, c in files.items()}))
    except ConfigError:
        return
    with contextlib.suppress(OSError):  # one name may be a file and a folder
        package.unpack(content, inner)
    outside = [p for p in outer.rglob("*") if p.is_file() and inner not in p.parents]
    assert outside == []
