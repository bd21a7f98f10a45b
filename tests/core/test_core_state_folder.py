"""Where a user's programs keep what is neither settings nor cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smclient.state_folder import state_folder


@pytest.mark.parametrize(
    ("platform", "variables", "where"),
    [
        ("linux", {}, ".local/state/smclient"),
        ("linux", {"XDG_STATE_HOME": "/x"}, "/x/smclient"),
        ("linux", {"XDG_STATE_HOME": "relative"}, ".local/state/smclient"),
        ("darwin", {}, "Library/Application Support/smclient"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/smclient"),
        ("win32", {}, "AppData/Local/smclient"),
        ("linux", {"SMCLIENT_STATE_DIR": "/named"}, "/named"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    platform: str,
    variables: dict[str, str],
    where: str,
) -> None:
    for name in ("SMCLIENT_STATE_DIR", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", platform)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert state_folder() == tmp_path / where


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_user_without_a_home_has_none(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """It is never made in whatever folder the process is in."""
    monkeypatch.setattr("sys.platform", platform)
    for name in ("SMCLIENT_STATE_DIR", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert state_folder() is None


def test_a_folder_that_is_named_may_be_relative(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMCLIENT_STATE_DIR", "here")
    assert state_folder() == tmp_path / "here"
